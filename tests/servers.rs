//! Shards on third-party servers: S3 (s3s-fs), Azure (Azurite) and plain HTTP (nginx), each a process on
//! loopback. Training from them gives the same weights as the local files, bit for bit: undisturbed, through
//! a proxy that fails on purpose, and killed at random moments and resumed.
//!
//! Needs a build with the features `s3`, `azure` and `http`, and the programs that `.ci/servers` installs.

use crate::support::picture;
use crate::support::program::Workshop;
use crate::support::proxy::{Faults, Proxy};
use crate::support::servers::{Server, USER};
use bonfire_contract::SplitMix64;
use std::hash::{BuildHasher, RandomState};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

const SHARDS: &str = "pictures-{00000..00003}.tar";
const INDEX: &str = "pictures-00000..00003.index.parquet";

/// A workshop with 160 pictures, a recipe, and a run `disk`, trained from the shards on the disk.
fn trained() -> Workshop {
    let workshop = Workshop::new();
    for number in 0..160 {
        let class = ["cat", "dog"][number as usize % 2];
        workshop.write(&format!("pictures/{class}/{number}.png"), picture::grey(16, number));
    }
    std::fs::create_dir_all(workshop.path("root/bucket")).unwrap();
    workshop.succeed(&["data", "pack", "pictures", "shards", "--shard-size", "86kB"]);
    recipe(&workshop, 60);
    workshop.succeed(&train(&format!("data.train=shards/{SHARDS}"), "disk"));
    workshop
}

fn recipe(workshop: &Workshop, steps: u32) {
    workshop.write(
        "r.toml",
        format!(
            "[data]\nkind = 'image'\ntrain = 'set below'\norder = 'window'\nwindow_shards = 2\nwindow_block = 8\n\
             flip = true\n[model]\nname = 'lenet'\n[train]\nsteps = {steps}\nbatch_size = 8\n\
             [checkpoint]\nevery_steps = 3\n"
        ),
    );
}

fn train<'a>(train: &'a str, run: &'a str) -> Vec<&'a str> {
    vec!["train", "r.toml", "--run", run, "--threads", "1", "--set", train]
}

/// Variables that lead to an S3 server.
fn s3(port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("AWS_ENDPOINT", format!("http://127.0.0.1:{port}")),
        ("AWS_REGION", "here".into()),
        ("AWS_ACCESS_KEY_ID", USER.0.into()),
        ("AWS_SECRET_ACCESS_KEY", USER.1.into()),
    ]
}

/// Variables that lead to Azurite.
fn azure(port: u16) -> Vec<(&'static str, String)> {
    vec![
        ("AZURE_STORAGE_USE_EMULATOR", "true".into()),
        ("AZURITE_BLOB_STORAGE_URL", format!("http://127.0.0.1:{port}")),
    ]
}

fn command(workshop: &Workshop, variables: &[(&str, String)], arguments: &[&str]) -> Command {
    let mut command = workshop.command(arguments);
    // The user's own settings must not count.
    command.env("HOME", workshop.path("home")).envs(variables.iter().cloned());
    command
}

/// The program's output, standard error first. Asserts that it succeeds and keeps the secret.
fn succeed(mut command: Command) -> String {
    let ended = command.output().unwrap();
    let printed =
        format!("{}{}", String::from_utf8_lossy(&ended.stderr), String::from_utf8_lossy(&ended.stdout));
    assert!(ended.status.success(), "{command:?}\n{printed}");
    assert!(!printed.contains(USER.1));
    printed
}

/// The one line of error of the program. Asserts that it fails and keeps the secret.
fn fail(mut command: Command) -> String {
    let ended = command.output().unwrap();
    let printed = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && !printed.contains("panicked"), "{command:?}\n{printed}");
    assert!(!printed.contains(USER.1));
    let errors: Vec<&str> = printed.lines().filter(|line| line.starts_with("error: ")).collect();
    assert_eq!(errors.len(), 1, "{printed}");
    errors[0].to_string()
}

fn same_weights(workshop: &Workshop, run: &str, other: &str) {
    let weights = |run: &str| workshop.read(&format!("{run}/model.safetensors"));
    assert!(weights(run) == weights(other), "the weights of {run} and {other} differ");
}

/// Packs to a bucket and from it, inspects it, and trains from it. `pictures` is a folder of the bucket.
fn every_command(workshop: &Workshop, variables: &[(&str, String)], bucket: &str, pictures: &str) {
    let run = |arguments: &[&str]| succeed(command(workshop, variables, arguments));
    let shards = format!("{bucket}/made/{SHARDS}");
    let folder = format!("{bucket}/made");
    let packed = run(&["data", "pack", "pictures", &folder, "--shard-size", "86kB"]);
    assert!(
        packed.contains("160 pictures in 4 shards (0 were there)") && packed.contains(&shards),
        "{packed}"
    );
    let again = run(&["data", "pack", "pictures", &folder, "--shard-size", "86kB"]);
    assert!(again.contains("4 shards (4 were there)"), "{again}");
    let indexed = run(&["data", "index", &shards]);
    assert!(indexed.contains("160 samples") && indexed.contains(&format!("{folder}/{INDEX}")), "{indexed}");
    let verified = run(&["data", "verify", &shards]);
    assert!(verified.contains("160 samples") && verified.contains("0 corrupt"), "{verified}");
    let inspected = run(&["data", "inspect", &format!("{folder}/*.tar")]);
    assert!(inspected.contains("160 samples in 4 shards") && inspected.contains("2 classes"), "{inspected}");

    run(&["data", "pack", pictures, "back", "--shard-size", "86kB"]);
    for number in 0..4 {
        let name = format!("pictures-0000{number}.tar");
        assert!(workshop.read(&format!("back/{name}")) == workshop.read(&format!("shards/{name}")), "{name}");
    }
    run(&train(&format!("data.train={shards}"), "streamed"));
    same_weights(workshop, "disk", "streamed");
}

#[test]
fn an_s3_server_gives_what_the_disk_gives() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    let copied = Command::new("cp")
        .arg("-r")
        .args([workshop.path("pictures"), workshop.path("root/bucket/")])
        .status();
    assert!(copied.unwrap().success());
    every_command(&workshop, &s3(server.port), "s3://bucket", "s3://bucket/pictures");
}

#[test]
fn azure_gives_what_the_disk_gives() {
    let workshop = trained();
    let (root, pictures) = (workshop.path("azure"), workshop.path("pictures"));
    let Some(server) = Server::azure(&root, "container", Some(&pictures)) else { return };
    every_command(&workshop, &azure(server.port), "az://container", "az://container/pictures");
}

#[test]
fn nginx_gives_what_the_disk_gives() {
    let workshop = trained();
    std::fs::remove_file(workshop.path(&format!("shards/{INDEX}"))).unwrap();
    let Some(server) = Server::nginx(&workshop.path("shards"), &workshop.path("nginx")) else { return };
    let shards = format!("http://127.0.0.1:{}/{SHARDS}", server.port);
    succeed(command(&workshop, &[], &train(&format!("data.train={shards}"), "streamed")));
    same_weights(&workshop, "disk", "streamed");
    let verified = succeed(command(&workshop, &[], &["data", "verify", &shards]));
    assert!(verified.contains("160 samples") && verified.contains("0 corrupt"), "{verified}");
    // A web server's folder is never written to.
    assert!(workshop.path("cache/index").read_dir().unwrap().count() > 0);
}

/// Random numbers that differ between test runs; `BONFIRE_SEED` repeats an earlier run's.
fn draws() -> SplitMix64 {
    let given = std::env::var("BONFIRE_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = given.unwrap_or_else(|| RandomState::new().hash_one(0) >> 1);
    eprintln!("BONFIRE_SEED={seed} repeats these moments");
    SplitMix64::new(seed)
}

#[test]
fn a_run_killed_ten_times_behind_a_failing_proxy_ends_bit_identical() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    recipe(&workshop, 240);
    let shards = format!("data.train=s3://bucket/made/{SHARDS}");
    let direct = s3(server.port);
    succeed(command(
        &workshop,
        &direct,
        &["data", "pack", "pictures", "s3://bucket/made", "--shard-size", "86kB"],
    ));
    succeed(command(&workshop, &direct, &train(&shards, "whole")));

    let proxy =
        Proxy::start(server.port, Faults { cut: 5, error: 7, delay: 4, stall: 61, ..Faults::default() });
    let mut variables = s3(proxy.port);
    variables.push(("AWS_READ_TIMEOUT", "1 second".into()));
    let resume = || {
        let mut command = command(&workshop, &variables, &train(&shards, "killed"));
        command.arg("--resume");
        command
    };
    let mut draws = draws();
    let mut killed = 0;
    while killed < 10 {
        let mut child = resume().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(2.0 * draws.unit()));
        assert!(child.try_wait().unwrap().is_none(), "the run ended after {killed} kills");
        child.kill().unwrap(); // SIGKILL: nothing of the process runs after it
        child.wait().unwrap();
        killed += 1;
    }
    let rest = succeed(resume());
    assert!(rest.contains("continuing from step-"), "{rest}");
    same_weights(&workshop, "whole", "killed");
    let (requests, failed) = proxy.requests();
    eprintln!("{failed} of {requests} requests failed");
    assert!(failed > 20, "{failed} of {requests} requests failed");
}

#[test]
fn a_run_folder_in_a_bucket_is_resumed_evaluated_and_predicted_with() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    let proxy = Proxy::start(server.port, Faults { cut: 9, error: 7, ..Faults::default() });
    let variables = s3(proxy.port);
    let data = format!("data.train=shards/{SHARDS}");
    let arguments = train(&data, "s3://bucket/runs/x");
    let resume = || {
        let mut command = command(&workshop, &variables, &arguments);
        command.arg("--resume");
        command
    };
    let mut draws = draws();
    for _ in 0..3 {
        let mut child = resume().stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_secs_f64(1.5 * draws.unit()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let printed = succeed(resume());
    assert!(printed.contains("run folder: s3://bucket/runs/x"), "{printed}");
    let there = |name: &str| workshop.read(&format!("root/bucket/runs/x/{name}"));
    assert!(there("model.safetensors") == workshop.read("disk/model.safetensors"), "weights differ");
    let steps = |log: Vec<u8>| String::from_utf8(log).unwrap().lines().count();
    assert_eq!(steps(there("metrics.jsonl")), steps(workshop.read("disk/metrics.jsonl")));
    // The bucket has as many whole checkpoints as the disk, and this machine keeps no copy. Folders of
    // removed checkpoints stay: they are the server's own.
    let checkpoints = |folder: &str| {
        let folders = workshop.path(folder).join("checkpoints").read_dir().unwrap();
        folders.filter(|folder| folder.as_ref().unwrap().path().join("manifest.json").is_file()).count()
    };
    assert_eq!(checkpoints("root/bucket/runs/x"), checkpoints("disk"));
    assert_eq!(workshop.path("cache/runs").read_dir().unwrap().count(), 0);

    let error = fail(command(&workshop, &variables, &arguments));
    assert!(
        error.contains("s3://bucket/runs/x: expected a place for a new run") && error.contains("--resume"),
        "{error}"
    );
    let evaluate = |run: &str| {
        let evaluate = ["evaluate", run, "--json", "--data", "pictures"];
        let printed = succeed(command(&workshop, &variables, &evaluate));
        serde_json::from_str::<serde_json::Value>(printed.lines().last().unwrap()).unwrap()["loss"].clone()
    };
    assert_eq!(evaluate("s3://bucket/runs/x"), evaluate("disk"));
    let predicted =
        succeed(command(&workshop, &variables, &["predict", "s3://bucket/runs/x", "pictures/cat/0.png"]));
    assert!(predicted.contains("cat"), "{predicted}");
    let mut wrong = variables.clone();
    wrong[3].1 = "another".into();
    let error = fail(command(&workshop, &wrong, &train(&data, "s3://bucket/runs/y")));
    assert!(error.contains("expected credentials that may read it, found 403"), "{error}");
}

#[test]
fn a_server_that_falls_silent_is_asked_again_and_given_up_in_the_end() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    let shards = format!("s3://bucket/made/{SHARDS}");
    let pack = ["data", "pack", "pictures", "s3://bucket/made", "--shard-size", "86kB"];
    succeed(command(&workshop, &s3(server.port), &pack));
    let through = |faults: Faults| {
        let proxy = Proxy::start(server.port, faults);
        let mut variables = s3(proxy.port);
        variables.push(("AWS_READ_TIMEOUT", "1 second".into()));
        variables.push(("BONFIRE_RETRY_SECONDS", "3".into()));
        (proxy, variables)
    };
    let (proxy, variables) = through(Faults { stall: 4, ..Faults::default() });
    succeed(command(&workshop, &variables, &["data", "verify", &shards]));
    assert!(proxy.requests().1 > 1);

    let begun = Instant::now();
    let (_, variables) = through(Faults { stall: 1, ..Faults::default() });
    let error = fail(command(&workshop, &variables, &train(&format!("data.train={shards}"), "never")));
    assert!(error.contains("s3://bucket/made/pictures-00000.tar") && error.contains("time"), "{error}");
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[test]
fn credentials_that_do_not_serve_are_named_without_what_is_secret() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    let inspect = ["data", "inspect", "s3://bucket/made/x.tar"];
    let mut wrong = s3(server.port);
    wrong[3].1 = "another".into();
    let error = fail(command(&workshop, &wrong, &inspect));
    assert!(error.contains("expected credentials that may read it, found 403"), "{error}");

    // The answer of S3, with its token.
    let body = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>ExpiredToken</Code>\
                <Message>The provided token has expired.</Message><Token-0>hunter2hunter2</Token-0></Error>";
    let refuse = Some(("400 Bad Request", body));
    let proxy = Proxy::start(server.port, Faults { refuse, ..Faults::default() });
    let list = ["data", "inspect", "s3://bucket/made/*.tar"];
    let error = fail(command(&workshop, &s3(proxy.port), &list));
    assert!(
        error.contains("expected credentials that may read it")
            && error.contains("ExpiredToken: The provided token has expired."),
        "{error}"
    );
}

#[test]
fn keys_come_from_the_files_of_aws_too() {
    let workshop = trained();
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    workshop.write(
        "home/.aws/credentials",
        format!("[team]\naws_access_key_id = {}\naws_secret_access_key = {}\n", USER.0, USER.1),
    );
    let endpoint = format!("http://127.0.0.1:{}", server.port);
    workshop.write("home/.aws/config", format!("[profile team]\nregion = here\nendpoint_url = {endpoint}\n"));
    let pack = ["data", "pack", "pictures", "s3://bucket/made", "--shard-size", "86kB"];
    succeed(command(&workshop, &[("AWS_PROFILE", "team".into())], &pack));
    let error = fail(command(&workshop, &[("AWS_PROFILE", "tema".into())], &pack));
    assert!(
        error.contains("AWS_PROFILE=tema: expected a profile of ") && error.ends_with("have team"),
        "{error}"
    );
}

#[test]
fn tables_and_texts_behind_a_failing_proxy_give_what_the_disk_gives() {
    let workshop = Workshop::new();
    let (mut csv, mut jsonl, mut text) = (String::from("size,colour,price\n"), String::new(), String::new());
    for row in 0..20_000u32 {
        let size = f64::from(row.wrapping_mul(2_654_435_761) >> 22) / 100.0;
        let colour = ["red", "green"][row as usize % 2];
        csv += &format!("{size},{colour},{}\n", 3.0 * size + f64::from(row % 2));
        jsonl += &format!("{{\"text\": \"a {colour} thing of {size}\", \"label\": \"{colour}\"}}\n");
        text += &format!("line {row} tells of {size} {colour} things\n");
    }
    std::fs::create_dir_all(workshop.path("root/bucket")).unwrap();
    for (name, content) in [("rows.csv", csv), ("texts.jsonl", jsonl), ("long.txt", text)] {
        workshop.write(name, &content);
        workshop.write(&format!("root/bucket/{name}"), content);
    }
    let Some(server) = Server::s3(&workshop.path("root")) else { return };
    let packed = ["data", "pack", "rows.csv", "s3://bucket/packed", "--shard-size", "100kB"];
    succeed(command(&workshop, &s3(server.port), &packed));
    let copied = ["data", "pack", "rows.csv", "packed", "--shard-size", "100kB"];
    succeed(command(&workshop, &[], &copied));
    let table = "kind = 'table'\ntarget = 'price'\n[model]\nname = 'linear'";
    let recipes = [
        ("rows.csv", table),
        ("packed/*.parquet", table),
        ("texts.jsonl", "kind = 'text'\n[model]\nname = 'lstm'"),
        ("long.txt", "kind = 'text'\ntask = 'language_model'\nmax_tokens = 16\n[model]\nname = 'lstm_lm'"),
    ];
    let proxy = Proxy::start(server.port, Faults { cut: 5, error: 7, delay: 4, ..Faults::default() });
    for (uri, recipe) in recipes {
        workshop.write(
            "r.toml",
            format!(
                "[data]\nstream = true\ntrain = 'set below'\nwindow_bytes = 200000\n{recipe}\n\
                     [train]\nsteps = 40\nbatch_size = 64\n[checkpoint]\nevery_steps = 10\n"
            ),
        );
        let [disk, there] = ["", "s3://bucket/"].map(|place| format!("data.train='{place}{uri}'"));
        succeed(command(&workshop, &[], &train(&disk, "disk")));
        succeed(command(&workshop, &s3(proxy.port), &train(&there, "streamed")));
        same_weights(&workshop, "disk", "streamed");
        for run in ["disk", "streamed"] {
            std::fs::remove_dir_all(workshop.path(run)).unwrap();
        }
    }
    let (requests, failed) = proxy.requests();
    assert!(failed > 4, "{failed} of {requests} requests failed");
}
