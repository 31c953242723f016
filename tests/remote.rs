//! Training from shards on a server that cuts connections, answers 500 and is late: the same weights, bit for
//! bit, as from the same shards on the disk; and again when the run is killed meanwhile and resumed.
//!
//! Needs a build with the features `s3` and `http`. The server is one of our own, on loopback.

#[path = "support/picture.rs"]
mod picture;
#[path = "support/program.rs"]
mod program;
#[path = "support/server.rs"]
mod server;

use program::Workshop;
use server::{Faults, Server};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const FAULTS: Faults = Faults { cut: 3, error: 7, delay: 5, no_etag: false };
const SHARDS: &str = "pictures-{00000..00003}.tar";

/// 160 pictures in four shards below `bucket`.
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
    // The index was put beside the shards, and what it says is true.
    assert!(workshop.path("bucket/pictures-00000..00003.index.parquet").is_file());
    let verified = command(&workshop, &faulty, &["data", "verify", &format!("s3://bucket/{SHARDS}")]);
    assert!(succeed(&mut { verified }).contains("160 samples"));

    // A web server that does not name versions, and whose folder nothing is put into.
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
