//! Training from shards on a server that cuts connections, answers 500 and is late gives the same weights,
//! bit for bit, as training from the same shards on the disk; also when the run is killed meanwhile and
//! resumed.
//!
//! Needs a build with the features `s3` and `http`. The server is one of these tests', on loopback.

use crate::support::picture;
use crate::support::program::Workshop;
use crate::support::server::{Faults, Server};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FAULTS: Faults = Faults { cut: 3, error: 7, delay: 5, no_etag: false };
const SHARDS: &str = "pictures-{00000..00003}.tar";

/// Packs 160 pictures in four shards below `bucket`.
fn shards(workshop: &Workshop) {
    for number in 0..160 {
        let class = ["cat", "dog"][number as usize % 2];
        workshop.write(&format!("pictures/{class}/{number}.png"), picture::grey(16, number));
    }
    let packed = workshop.succeed(&["data", "pack", "pictures", "bucket", "--shard-size", "86kB"]);
    assert!(packed.stdout.contains(SHARDS), "{}", packed.stdout);
    std::fs::remove_file(workshop.path("bucket/pictures-00000..00003.index.parquet")).unwrap();
}

/// The program, with the server as its S3 endpoint.
fn command(workshop: &Workshop, server: &Server, arguments: &[&str]) -> Command {
    let mut command = workshop.command(arguments);
    command
        .env("AWS_ENDPOINT", format!("http://{}", server.address))
        .env("AWS_REGION", "here")
        .env("AWS_ACCESS_KEY_ID", "nobody")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2");
    command
}

fn recipe(workshop: &Workshop) {
    workshop.write(
        "r.toml",
        "[data]\nkind = 'image'\ntrain = 'set below'\norder = 'window'\nwindow_shards = 2\nwindow_block = 8\n\
         flip = true\n[model]\nname = 'lenet'\n[train]\nsteps = 60\nbatch_size = 8\n[checkpoint]\nevery_steps = 3\n",
    );
}

fn train<'a>(train: &'a str, run: &'a str) -> Vec<&'a str> {
    vec!["train", "r.toml", "--run", run, "--threads", "1", "--set", train]
}

fn succeed(command: &mut Command) -> String {
    let ended = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{stderr}");
    assert!(!stderr.contains("hunter2"));
    stderr
}

#[test]
fn training_sees_the_same_bytes_through_every_fault() {
    let workshop = Workshop::new();
    shards(&workshop);
    recipe(&workshop);
    let faultless = Server::start(&workshop.path(""), Faults::default());
    let weights = |run: &str| workshop.read(&format!("{run}/model.safetensors"));
    succeed(&mut command(&workshop, &faultless, &train(&format!("data.train=bucket/{SHARDS}"), "disk")));

    let faulty = Server::start(&workshop.path(""), FAULTS);
    succeed(&mut command(&workshop, &faulty, &train(&format!("data.train=s3://bucket/{SHARDS}"), "s3")));
    assert!(weights("disk") == weights("s3"), "weights differ");
    let (requests, failed) = faulty.requests();
    assert!(failed > 20, "{failed} of {requests} requests failed");
    // The index was written beside the shards, and describes them correctly.
    assert!(workshop.path("bucket/pictures-00000..00003.index.parquet").is_file());
    let verified = command(&workshop, &faulty, &["data", "verify", &format!("s3://bucket/{SHARDS}")]);
    assert!(succeed(&mut { verified }).contains("160 samples"));

    // A web server that names no versions, and whose folder is never written to.
    let plain = Server::start(&workshop.path("bucket"), Faults { no_etag: true, ..FAULTS });
    let uri = format!("data.train=http://{}/{SHARDS}", plain.address);
    succeed(&mut command(&workshop, &plain, &train(&uri, "http")));
    assert!(weights("disk") == weights("http"), "weights differ");
    assert!(workshop.path("cache/index").read_dir().unwrap().count() > 0);
}

#[test]
fn a_streaming_run_killed_at_random_moments_ends_bit_identical() {
    let workshop = Workshop::new();
    shards(&workshop);
    recipe(&workshop);
    let server = Server::start(&workshop.path(""), FAULTS);
    let uri = format!("data.train=s3://bucket/{SHARDS}");
    let begun = Instant::now();
    succeed(&mut command(&workshop, &server, &train(&uri, "whole")));
    let whole = begun.elapsed().as_millis() as u64;

    let resume = || {
        let mut command = command(&workshop, &server, &train(&uri, "killed"));
        command.arg("--resume").stdout(Stdio::null()).stderr(Stdio::piped());
        command
    };
    for kill in 1..=5 {
        let mut child = resume().spawn().unwrap();
        std::thread::sleep(Duration::from_millis(whole * kill / 6));
        child.kill().unwrap(); // SIGKILL: nothing of the process runs after it
        child.wait().unwrap();
    }
    succeed(&mut resume());
    assert!(
        workshop.read("whole/model.safetensors") == workshop.read("killed/model.safetensors"),
        "weights differ"
    );
}

#[test]
fn what_is_not_there_is_an_error_in_one_line_without_secrets() {
    let workshop = Workshop::new();
    recipe(&workshop);
    let server = Server::start(&workshop.path(""), Faults::default());
    let missing = train("data.train=s3://bucket/none-{0..3}.tar", "none");
    let ended = command(&workshop, &server, &missing).output().unwrap();
    let stderr = String::from_utf8_lossy(&ended.stderr);
    assert!(!ended.status.success());
    let expected = "error: s3://bucket/none-0.tar: expected a readable file, found nothing of that name";
    assert!(stderr.contains(expected) && !stderr.contains("hunter2"), "{stderr}");
}

/// A mounted folder of limited size, unmounted when dropped.
struct Small<'a>(&'a std::path::Path);

impl<'a> Small<'a> {
    /// Needs root; otherwise the test is skipped.
    fn mount(path: &'a std::path::Path, bytes: u64) -> Option<Self> {
        std::fs::create_dir_all(path).unwrap();
        let options = format!("size={bytes}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "none"]).arg(path).output();
        let small = mounted.is_ok_and(|ended| ended.status.success()).then_some(Small(path));
        if small.is_none() {
            eprintln!("left out: this user may not mount a small file system");
        }
        small
    }
}

impl Drop for Small<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0).status();
    }
}

/// The files below `cache/ranges`.
fn entries(workshop: &Workshop) -> Vec<std::path::PathBuf> {
    let folders = workshop.path("cache/ranges").read_dir().unwrap().map(|entry| entry.unwrap().path());
    let folders = folders.filter(|path| path.is_dir());
    folders.flat_map(|folder| folder.read_dir().unwrap().map(|entry| entry.unwrap().path())).collect()
}

#[test]
fn what_was_read_once_is_kept_within_its_limit() {
    let workshop = Workshop::new();
    shards(&workshop);
    recipe(&workshop);
    let uri = format!("data.train=s3://bucket/{SHARDS}");
    let server = Server::start(&workshop.path(""), Faults::default());
    let run = |run: &str, limit: &str| {
        let mut command = command(&workshop, &server, &train(&uri, run));
        command.env("BONFIRE_CACHE_LIMIT", limit);
        command
    };
    let asked = |mut command: Command| {
        let before = server.requests().0;
        succeed(&mut command);
        server.requests().0 - before
    };
    let same = |run: &str| {
        let weights = |run: &str| workshop.read(&format!("{run}/model.safetensors"));
        assert!(weights("plain") == weights(run), "the weights of plain and {run} differ");
    };
    let plain = asked(command(&workshop, &server, &train(&uri, "plain")));
    let plain = plain.min(asked(command(&workshop, &server, &train(&uri, "again"))));
    let first = asked(run("first", "100MB"));
    let second = asked(run("second", "100MB"));
    // The remaining requests ask for the versions of four shards and of their index.
    assert!(second < 15 && second < first && first < plain, "{plain}, {first} and {second} requests");
    same("first");
    same("second");

    // Damaged entries are read anew.
    for entry in entries(&workshop) {
        let mut bytes = std::fs::read(&entry).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(entry, bytes).unwrap();
    }
    assert!(asked(run("damaged", "100MB")) >= first - 5);
    same("damaged");

    // Several processes share a cache that has room for a part of the data.
    let mut children: Vec<_> = (0..4)
        .map(|number| {
            let mut command = run(&format!("shared-{number}"), "60kB");
            command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
        })
        .collect();
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    (0..4).for_each(|number| same(&format!("shared-{number}")));
    let bytes: u64 = entries(&workshop).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes > 0 && bytes <= 60_000, "{bytes} bytes are kept");

    let mut wrong = run("wrong", "much");
    let ended = wrong.output().unwrap();
    let error = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && error.contains("BONFIRE_CACHE_LIMIT: expected a size"), "{error}");
}

#[test]
fn a_full_disk_ends_the_keeping_and_not_the_training() {
    let workshop = Workshop::new();
    shards(&workshop);
    recipe(&workshop);
    let uri = format!("data.train=s3://bucket/{SHARDS}");
    let server = Server::start(&workshop.path(""), Faults::default());
    succeed(&mut command(&workshop, &server, &train(&uri, "plain")));
    let path = workshop.path("small");
    let Some(_small) = Small::mount(&path, 64 << 10) else { return };
    let mut full = command(&workshop, &server, &train(&uri, "full"));
    full.env("BONFIRE_CACHE", &path).env("BONFIRE_CACHE_LIMIT", "100MB");
    let printed = succeed(&mut full);
    let warnings: Vec<&str> = printed.lines().filter(|line| line.starts_with("warning: ")).collect();
    assert!(warnings.len() == 1 && warnings[0].contains("No space left"), "{printed}");
    assert!(workshop.read("plain/model.safetensors") == workshop.read("full/model.safetensors"));
}
