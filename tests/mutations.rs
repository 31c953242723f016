//! Files of every format, damaged at random: each is answered in time and within a limit of memory.
//!
//! ```text
//! corpus of a reader --seed, number--> damaged file --reader--> what it holds, or an error
//! ```
//!
//! The files are read by processes of their own, with a limit of addresses and a watch on the time of each
//! file: an abort, a panic or a hang ends the process, and the file is named and kept.
//!
//! `BONFIRE_MUTATIONS=100000 cargo test --release --test program mutations:: -- --nocapture` reads so many files;
//! `BONFIRE_MUTATIONS_SEED` draws others.

use bonfire::checkpoint::hostile as weights;
use bonfire::contract::{SplitMix64, mix};
use bonfire::datasets::hostile;
use nix::sys::resource::{Resource, UsageWho, getrusage, setrlimit};
use std::fmt::Display;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Files that are read where nothing is said.
const FILES: u64 = 20_000;
/// Addresses that a process may have: 2 GiB.
const ADDRESSES: u64 = 2 << 30;
/// The longest that a file may take, unoptimised builds aside.
const PATIENCE: Duration = Duration::from_secs(if cfg!(debug_assertions) { 60 } else { 5 });
/// The variable that tells the process of a test to read the files: `FIRST END SEED FOLDER`.
const TASK: &str = "BONFIRE_MUTATIONS_TASK";

/// Numbers that lengths, counts and offsets are mistaken at.
const NUMBERS: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 1 << 20, 0x7fff_ffff, 0xffff_ffff, i64::MAX as u64, u64::MAX];

/// A file of the corpus of `files`, damaged in one place to eight.
fn damaged(files: &[Vec<u8>], random: &mut SplitMix64) -> Vec<u8> {
    let mut below = |bound: usize| random.below(bound.max(1) as u64) as usize;
    let mut bytes = files[below(files.len())].clone();
    for _ in 0..=below(8) {
        let (at, number) = (below(bytes.len()), NUMBERS[below(NUMBERS.len())]);
        // Short stretches are likelier than long ones.
        let most = bytes.len().saturating_sub(at);
        let longest = most.min(1 << below(16));
        let stretch = at..at + below(longest + 1);
        match below(9) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << below(8),
            1 if !bytes.is_empty() => bytes[at] = number as u8,
            kind @ (2 | 3) => {
                let size = [2, 4, 8][below(3)];
                let little = number.to_le_bytes();
                let mut number = little[..size].to_vec();
                if kind == 3 {
                    number.reverse();
                }
                let end = (at + size).min(bytes.len());
                bytes[at..end].copy_from_slice(&number[..end - at]);
            }
            4 => drop(bytes.drain(stretch)),
            5 => {
                let copied = bytes[stretch].to_vec();
                let to = below(bytes.len());
                bytes.splice(to..to, copied);
            }
            6 => bytes.truncate(at),
            7 => {
                let other = &files[below(files.len())];
                let from = below(other.len());
                let longest = (other.len() - from).min(1 << below(16));
                let end = from + below(longest + 1);
                bytes.splice(stretch, other[from..end].iter().copied());
            }
            _ => bytes[stretch].iter_mut().for_each(|byte| *byte = below(256) as u8),
        }
    }
    bytes
}

type Read = Box<dyn Fn(&[u8]) -> Result<usize, String>>;

/// A reader of bytes, its corpus, and the formats of that.
struct Reader {
    name: &'static str,
    formats: usize,
    read: Read,
    corpus: Vec<Vec<u8>>,
}

impl Reader {
    fn new<E: Display + 'static>(
        name: &'static str,
        formats: usize,
        read: fn(&[u8]) -> Result<usize, E>,
    ) -> Self {
        let folder = format!("{}/fuzz/corpus/{name}", env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let corpus = paths.iter().map(|path| fs::read(path).unwrap()).collect();
        Reader {
            name,
            formats,
            read: Box::new(move |bytes| read(bytes).map_err(|error| error.to_string())),
            corpus,
        }
    }
}

fn readers() -> Vec<Reader> {
    vec![
        Reader::new("avro", 1, hostile::avro),
        Reader::new("csv", 1, hostile::csv),
        // xlsx, ods.
        Reader::new("excel", 2, hostile::excel),
        Reader::new("idx", 1, hostile::idx),
        Reader::new("index", 1, hostile::index),
        // A file and a stream.
        Reader::new("ipc", 2, hostile::ipc),
        Reader::new("json", 1, hostile::json),
        Reader::new("jsonl", 1, hostile::jsonl),
        Reader::new("libsvm", 1, hostile::libsvm),
        // bz2, gz, xz, zip, zst.
        Reader::new("packed", 5, hostile::packed),
        Reader::new("parquet", 1, hostile::parquet),
        // JPEG, PNG, BMP, WebP, TIFF, GIF.
        Reader::new("picture", 6, hostile::picture),
        Reader::new("tar", 1, hostile::tar),
        Reader::new("text", 1, hostile::text),
        Reader::new("manifest", 1, weights::manifest),
        Reader::new("safetensors", 1, weights::safetensors),
        // A zip, a tar, and a stream of pickles.
        Reader::new("torch", 3, weights::torch),
    ]
}

/// The place of the reader of a file's number, and the damaged file.
fn case(readers: &[Reader], number: u64, seed: u64) -> (usize, Vec<u8>) {
    let reader = (number % readers.len() as u64) as usize;
    let mut random = SplitMix64::new(mix(seed, number));
    (reader, damaged(&readers[reader].corpus, &mut random))
}

/// What the process of a task does: reads the files `first..end`. A file `at` in `folder` holds the number of
/// the one under way.
fn work(task: &str) {
    let parts: Vec<&str> = task.splitn(4, ' ').collect();
    let [first, end, seed] = [0, 1, 2].map(|part| parts[part].parse::<u64>().unwrap());
    let folder = Path::new(parts[3]);
    setrlimit(Resource::RLIMIT_AS, ADDRESSES, ADDRESSES).unwrap();
    let readers = readers();
    let at = fs::File::create(folder.join("at")).unwrap();
    static UNDER_WAY: AtomicU64 = AtomicU64::new(0);
    std::thread::spawn(|| {
        let (mut seen, mut since) = (0, Instant::now());
        loop {
            std::thread::sleep(Duration::from_millis(100));
            let now = UNDER_WAY.load(Ordering::Relaxed);
            if now != seen {
                (seen, since) = (now, Instant::now());
            } else if since.elapsed() > PATIENCE {
                eprintln!("still at it after {PATIENCE:?}");
                std::process::abort();
            }
        }
    });
    let (mut whole, mut refused) = (0u64, 0u64);
    for number in first..end {
        at.write_all_at(&number.to_le_bytes(), 0).unwrap();
        UNDER_WAY.store(number + 1, Ordering::Relaxed);
        let (reader, bytes) = case(&readers, number, seed);
        match (readers[reader].read)(&bytes) {
            Ok(_) => whole += 1,
            Err(error) => {
                assert!(!error.contains('\n'), "{error}");
                refused += 1;
            }
        }
    }
    let peak = getrusage(UsageWho::RUSAGE_SELF).unwrap().max_rss() / 1024;
    fs::write(folder.join("done"), format!("{whole} {refused} {peak}")).unwrap();
}

/// A process that reads the files `first..end`.
struct Part {
    child: std::process::Child,
    folder: tempfile::TempDir,
}

fn start(first: u64, end: u64, seed: u64) -> Part {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["mutations::mutated_files_are_answered", "--exact", "--nocapture", "--test-threads=1"]);
    command.env(TASK, format!("{first} {end} {seed} {}", folder.path().display()));
    let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    Part { child, folder }
}

/// Waits for a part; its counts of whole and refused files, and the peak of its memory in MiB.
fn wait(part: Part, seed: u64) -> [u64; 3] {
    let Part { child, folder } = part;
    let ended = child.wait_with_output().unwrap();
    if let Ok(done) = fs::read_to_string(folder.path().join("done")) {
        let mut numbers = done.split(' ').map(|number| number.parse().unwrap());
        return [(); 3].map(|()| numbers.next().unwrap());
    }
    let at = fs::read(folder.path().join("at")).unwrap_or_default();
    let number = at.try_into().map_or(0, u64::from_le_bytes);
    let readers = readers();
    let (reader, bytes) = case(&readers, number, seed);
    let kept: PathBuf =
        std::env::temp_dir().join(format!("bonfire-{}-{seed}-{number}", readers[reader].name));
    fs::write(&kept, bytes).unwrap();
    panic!(
        "the reader of {} on file {number} of seed {seed}, kept as {}: expected an answer, found {}: {}",
        readers[reader].name,
        kept.display(),
        ended.status,
        String::from_utf8_lossy(&ended.stderr)
    );
}

#[test]
fn the_corpus_of_fuzzing_is_answered() {
    for Reader { name, read, corpus, .. } in readers() {
        let whole = corpus.iter().filter(|bytes| read(bytes).is_ok()).count();
        assert!(whole > 0, "{name}");
    }
}

#[test]
fn mutated_files_are_answered() {
    if let Ok(task) = std::env::var(TASK) {
        return work(&task);
    }
    let given = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let (files, seed) =
        (given("BONFIRE_MUTATIONS").unwrap_or(FILES), given("BONFIRE_MUTATIONS_SEED").unwrap_or(19));
    let begun = Instant::now();
    let processes = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    let bounds: Vec<u64> = (0..=processes).map(|part| files * part / processes).collect();
    let parts: Vec<Part> = bounds.windows(2).map(|part| start(part[0], part[1], seed)).collect();
    let counts: Vec<[u64; 3]> = parts.into_iter().map(|part| wait(part, seed)).collect();
    let total = |which: usize| counts.iter().map(|count| count[which]).sum::<u64>();
    println!(
        "{files} files of {} formats in {:.1} s: {} read, {} refused, peak {} MiB",
        readers().iter().map(|reader| reader.formats).sum::<usize>(),
        begun.elapsed().as_secs_f64(),
        total(0),
        total(1),
        counts.iter().map(|count| count[2]).max().unwrap_or(0)
    );
    assert_eq!(total(0) + total(1), files);
    assert!(total(0) > files / 100 && total(1) > files / 10, "{counts:?}");
}
