//! The peak of memory while training from shards is the same whatever their number, in a process that may not
//! take more than 700 MB of addresses.
//!
//! Each run takes the same steps, 16 epochs of the smallest set to one of the largest: what an allocator
//! holds in small pieces varies from moment to moment, and the longer it is watched, the higher is the
//! highest.
//!
//! What a process has by the system's count takes in the pages of its own file that are mapped, and how many
//! come at a time depends on how the file lies in the system's memory: the same program has 31 MiB or 37. So
//! a peak is the least of up to three runs. An order that reads from anywhere holds twelve bytes for each
//! picture (`index::lookup`), which are taken off; what is left is the same within 5 %.
//!
//! Sets of 6,400, 25,600 and 102,400 pictures in 16, 64 and 256 shards are trained from twice: with pictures
//! of 2.6 kB, 17 to 265 MB in all, which takes a minute, and with pictures of 160 kB, 1 to 16 GB in all. The
//! small ones show all that grows with the number of shards or pictures, be it a set's bytes or a few for
//! each picture; the large ones that a set beyond the process's addresses is read too.
//!
//! `cargo test --release --test program memory:: -- --ignored --nocapture` is the large run and prints its
//! table. It takes five to twenty minutes, and 4 GB of the temporary folder: the shards of 16 GB are four
//! names each of those.

use crate::support::picture;
use crate::support::program::Workshop;
use std::path::Path;
use std::process::Command;

/// Pictures of a shard: 64 MB of large ones, 1 MB of small ones.
const PICTURES: u32 = 400;
/// Shards of the smallest set.
const SHARDS: u32 = 16;
/// The limit of the address space in KiB. It includes the program's own 60 MB.
const LIMIT: &str = "683593";
/// The allocator's settings. Address space is reserved in steps of 32 MiB; the default is a GiB at once, used
/// or not. Freed pages are returned at once; by default they are kept for 10 ms, and the longer a process
/// runs, the more of them are in use. Huge pages are off: the system counts 2 MiB where a few bytes are used,
/// which doubles the peak and makes it vary from run to run.
const ALLOCATOR: [(&str, &str); 3] =
    [("MIMALLOC_ARENA_RESERVE", "32MiB"), ("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];

/// A shard of grey pictures of `side` x `side` pixels, whose PNGs are not compressed.
fn shard(path: &Path, number: u32, side: u32) {
    let mut tar = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(path).unwrap()));
    for at in 0..PICTURES {
        let content = picture::grey(side, number * PICTURES + at);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let name = format!("{}/{number}-{at}.png", ["cat", "dog"][at as usize % 2]);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
}

/// The peak of the resident memory in MiB, as the program reports it at its end.
fn peak(workshop: &Workshop, shards: u32, epochs: u32, order: &str, round: u32) -> (f64, String) {
    let uri = format!("shards/s-{{00000..{:05}}}.tar", shards - 1);
    // Indexed by a process of its own: the memory for making an index grows with the set and is not given
    // back.
    workshop.succeed(&["data", "index", &uri]);
    let data = format!("data.train='{uri}'");
    let order = format!("data.order={order}");
    let run = format!("run-{shards}-{}-{round}", order.len());
    let epochs = format!("train.epochs={epochs}");
    let sets = ["--set", &data, "--set", &order, "--set", &epochs];
    let program = workshop.command(&[&["train", "r.toml", "--run", &run][..], &sets].concat());
    let mut limited = Command::new("sh");
    limited
        .current_dir(workshop.path(""))
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))));
    limited.envs(ALLOCATOR).args(["-c", &format!("ulimit -v {LIMIT} && exec \"$@\""), "sh"]);
    limited.arg(program.get_program()).args(program.get_args());
    let ended = limited.output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(ended.status.success(), "{printed}");
    let done = printed.lines().find(|line| line.starts_with("done: ")).unwrap().to_string();
    let peak = done.split("peak memory ").nth(1).unwrap().split(' ').next().unwrap();
    (peak.parse().unwrap(), done)
}

/// Trains `model` from sets of once, four and sixteen times `SHARDS` shards, whose pictures are `side` pixels
/// wide and high.
fn the_peak_is_the_same(side: u32, model: &str) {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("shards")).unwrap();
    let name = |number: u32| workshop.path(&format!("shards/s-{number:05}.tar"));
    for number in 0..16 * SHARDS {
        if number < 4 * SHARDS {
            shard(&name(number), number, side);
        } else {
            std::fs::hard_link(name(number % (4 * SHARDS)), name(number)).unwrap();
        }
    }
    let bytes = std::fs::metadata(name(0)).unwrap().len();
    workshop.write(
        "r.toml",
        format!(
            "[data]\nkind = 'image'\ntrain = 'set below'\nresize = [28, 28]\nwindow_shards = 8\nworkers = 2\n\
             [model]\nname = '{model}'\n[train]\nbatch_size = 64\n[checkpoint]\nevery_steps = 1000\n"
        ),
    );
    println!("| order | MB | epochs | peak, MiB | |\n|---|---|---|---|---|");
    for order in ["window", "full"] {
        let mut peaks = [f64::MAX; 3];
        let same = |peaks: &[f64; 3]| {
            let (least, most) = peaks
                .iter()
                .fold((f64::MAX, 0.0f64), |(least, most), peak| (least.min(*peak), most.max(*peak)));
            most <= 1.05 * least
        };
        for round in 0..3 {
            for (least, times) in peaks.iter_mut().zip([1, 4, 16]) {
                let (shards, epochs) = (times * SHARDS, 16 / times);
                let (peak, done) = peak(&workshop, shards, epochs, order, round);
                println!(
                    "| {order} | {} | {epochs} | {peak} | {done} |",
                    u64::from(shards) * bytes / 1_000_000
                );
                let places = if order == "full" { 12 * shards * PICTURES } else { 0 };
                *least = least.min(peak - f64::from(places) / f64::from(1 << 20));
            }
            if same(&peaks) {
                break;
            }
        }
        assert!(same(&peaks), "{order}: {peaks:?}");
    }
}

#[test]
fn the_peak_is_the_same_for_6_25_and_102_thousand_pictures() {
    the_peak_is_the_same(50, "logistic");
}

#[test]
#[ignore = "five to twenty minutes and 4 GB of disk"]
fn the_peak_is_the_same_for_1_4_and_16_gigabytes() {
    the_peak_is_the_same(400, "lenet");
}
