//! Training from 1, 4 and 16 GB of shards in a process that may take no more than 700 MB of address space has
//! the same peak for each.
//!
//! All take the same number of steps, 16 epochs of 1 GB or one of 16: the memory that an allocator holds in
//! small pieces varies from moment to moment, so its peak rises with time.
//!
//! `cargo test --release --test memory -- --ignored --nocapture` prints the table. It takes five to twenty
//! minutes, and 4 GB of the temporary folder: the shards of 16 GB are those of 4 GB under four names each.

#[path = "support/picture.rs"]
mod picture;
#[path = "support/program.rs"]
mod program;

use program::Workshop;
use std::path::Path;
use std::process::Command;

/// The side in pixels of a grey picture, whose uncompressed PNG has 160 kB.
const SIDE: u32 = 400;
/// The number of pictures in a shard: 64 MB.
const PICTURES: u32 = 400;
/// The number of shards in 1 GB.
const SHARDS: u32 = 16;
/// The limit of the address space in KiB. It includes the program's own 60 MB.
const LIMIT: &str = "683593";
/// The allocator's settings. Address space is reserved in steps of 32 MiB; the default is a GiB at once, used
/// or not. Freed pages are returned at once; by default they are kept for 10 ms, and the longer a process
/// runs, the more of them are in use. Huge pages are off: the system counts 2 MiB where a few bytes are used,
/// which doubles the peak and makes it vary from run to run.
const ALLOCATOR: [(&str, &str); 3] =
    [("MIMALLOC_ARENA_RESERVE", "32MiB"), ("MIMALLOC_PURGE_DELAY", "0"), ("MIMALLOC_ALLOW_THP", "0")];

fn shard(path: &Path, number: u32) {
    let mut tar = tar::Builder::new(std::io::BufWriter::new(std::fs::File::create(path).unwrap()));
    for at in 0..PICTURES {
        let content = picture::grey(SIDE, number * PICTURES + at);
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        let name = format!("{}/{number}-{at}.png", ["cat", "dog"][at as usize % 2]);
        tar.append_data(&mut header, name, content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap();
}

/// The peak of the resident memory in MiB, as the program reports it at its end.
fn peak(workshop: &Workshop, shards: u32, epochs: u32, order: &str) -> (f64, String) {
    let uri = format!("shards/s-{{00000..{:05}}}.tar", shards - 1);
    // Indexed by a process of its own: the memory for making an index grows with the set and is not given
    // back.
    workshop.succeed(&["data", "index", &uri]);
    let data = format!("data.train='{uri}'");
    let order = format!("data.order={order}");
    let run = format!("run-{shards}-{}", order.len());
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

#[test]
#[ignore = "five to twenty minutes and 4 GB of disk"]
fn the_peak_is_the_same_for_1_4_and_16_gigabytes() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("shards")).unwrap();
    let name = |number: u32| workshop.path(&format!("shards/s-{number:05}.tar"));
    for number in 0..16 * SHARDS {
        if number < 4 * SHARDS {
            shard(&name(number), number);
        } else {
            std::fs::hard_link(name(number % (4 * SHARDS)), name(number)).unwrap();
        }
    }
    workshop.write(
        "r.toml",
        "[data]\nkind = 'image'\ntrain = 'set below'\nresize = [28, 28]\nwindow_shards = 8\nworkers = 2\n\
         [model]\nname = 'lenet'\n[train]\nbatch_size = 64\n[checkpoint]\nevery_steps = 1000\n",
    );
    println!("| order | GB | epochs | peak, MiB | |\n|---|---|---|---|---|");
    for order in ["window", "full"] {
        let mut peaks = Vec::new();
        for gigabytes in [1, 4, 16] {
            let epochs = 16 / gigabytes;
            let (peak, done) = peak(&workshop, gigabytes * SHARDS, epochs, order);
            println!("| {order} | {gigabytes} | {epochs} | {peak:.0} | {done} |");
            peaks.push(peak);
        }
        let (least, most) =
            peaks.iter().fold((f64::MAX, 0.0f64), |(least, most), peak| (least.min(*peak), most.max(*peak)));
        assert!(most <= 1.05 * least, "{order}: {peaks:?}");
    }
}
