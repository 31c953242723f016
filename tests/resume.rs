//! A run that is killed at any moment and resumed ends as if it had never been killed: the same weights and
//! optimizer state, bit for bit, and the same log except for its times.

use crate::support::picture;
use crate::support::program::{Workshop, records};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Small runs that together have everything a checkpoint must hold.
const RUNS: [(&str, &[&str]); 4] = [
    // Batch norm's running statistics, augmentation, momentum, an average of the weights.
    (
        "fashion",
        &[
            "train.steps=24",
            "train.average=0.9",
            "optimizer.name=sgd",
            "optimizer.momentum=0.9",
            "model.dropout=0.2",
            "train.batch_size=16",
        ],
    ),
    // Dropout in a transformer, gradients accumulated over several batches, AdamW, a schedule.
    ("shakespeare", &["train.steps=16", "model.dropout=0.1", "train.accumulate=3", "train.evaluate_every=5"]),
    // Padded sequences, several epochs.
    ("sms", &["train.steps=30", "train.evaluate_every=10"]),
    // The gradient of the whole set in pieces: one step an epoch.
    ("adult", &["train.epochs=6", "train.batch_size=full", "train.piece_size=4000"]),
];

fn arguments<'a>(recipe: &'a str, sets: &[&'a str], run: &'a str) -> Vec<&'a str> {
    let mut arguments = vec!["train", recipe, "--run", run, "--set", "checkpoint.every_steps=2"];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments
}

/// The newest checkpoint of a run.
fn newest(run: &Path) -> PathBuf {
    let entries = std::fs::read_dir(run.join("checkpoints")).unwrap();
    let mut names: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.file_name().unwrap().to_str().unwrap().starts_with("step-"));
    names.sort();
    names.pop().expect("a finished run has a checkpoint")
}

/// A run's records without the fields that depend on the clock.
fn timeless(run: &Path) -> Vec<Value> {
    let mut records = records(run);
    for record in &mut records {
        let object = record.as_object_mut().unwrap();
        object.retain(|key, _| !key.contains("second") && !key.contains("memory"));
    }
    records
}

fn assert_same(workshop: &Workshop, recipe: &str, killed: &str) {
    let (whole, killed) = (workshop.path("whole"), workshop.path(killed));
    let read = |run: &Path, file: &str| std::fs::read(run.join(file)).unwrap();
    assert!(
        read(&whole, "model.safetensors") == read(&killed, "model.safetensors"),
        "{recipe}: weights differ"
    );
    let (a, b) = (newest(&whole), newest(&killed));
    for file in ["weights.safetensors", "optimizer.bpk"] {
        assert!(read(&a, file) == read(&b, file), "{recipe}: {file} differs");
    }
    assert_eq!(timeless(&whole), timeless(&killed), "{recipe}: the logs differ");
}

/// A random generator, seeded by the clock. The seed is printed, so that a failure can be repeated.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

#[test]
fn a_run_killed_at_random_moments_ends_bit_identical() {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    eprintln!("moments of killing drawn from seed {seed}");
    let mut chance = Chance(seed);
    for (recipe, sets) in RUNS {
        let workshop = Workshop::new();
        let begun = Instant::now();
        workshop.succeed(&arguments(recipe, sets, "whole"));
        let whole = begun.elapsed();

        const KILLS: usize = 4;
        for _ in 0..KILLS {
            let mut child = resume(&workshop, recipe, sets).spawn().unwrap();
            std::thread::sleep(Duration::from_millis(chance.below(whole.as_millis() as u64)));
            child.kill().unwrap(); // SIGKILL: nothing of the process runs after it
            child.wait().unwrap();
        }
        let ended = resume(&workshop, recipe, sets).output().unwrap();
        assert!(ended.status.success(), "{recipe}: {}", String::from_utf8_lossy(&ended.stderr));
        assert_same(&workshop, recipe, "killed");
    }
}

fn resume(workshop: &Workshop, recipe: &str, sets: &[&str]) -> std::process::Command {
    let mut command = workshop.command(&arguments(recipe, sets, "killed"));
    command.arg("--resume").stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
    command
}

#[cfg(unix)]
#[test]
fn a_run_interrupted_by_a_signal_saves_and_goes_on_bit_identical() {
    use nix::sys::signal::{Signal, kill};
    use nix::unistd::Pid;
    // One step an epoch in many pieces, so that a signal falls inside a step, and a report for each step.
    let (recipe, sets) = (
        "adult",
        &["train.epochs=60", "train.batch_size=full", "train.piece_size=400", "train.report_every=1"][..],
    );
    let workshop = Workshop::new();
    workshop.succeed(&arguments(recipe, sets, "whole"));

    let log = workshop.path("killed/metrics.jsonl");
    let written = || std::fs::metadata(&log).map_or(0, |file| file.len());
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let before = written();
        // The only checkpoint is the one that the signal asks for.
        let child =
            resume(&workshop, recipe, sets).args(["--set", "checkpoint.every_steps=100000"]).spawn().unwrap();
        let patience = Instant::now();
        while written() <= before && patience.elapsed().as_secs() < 60 {
            std::thread::sleep(Duration::from_millis(1));
        }
        kill(Pid::from_raw(child.id() as i32), signal).unwrap();
        let output = child.wait_with_output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(128 + signal as i32), "{signal}: {stderr}");
    }
    let ended = resume(&workshop, recipe, sets).output().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    assert_same(&workshop, recipe, "killed");
}

#[test]
fn the_resolved_recipe_gives_the_same_run_again() {
    let (recipe, sets) = RUNS[0];
    let workshop = Workshop::new();
    workshop.succeed(&arguments(recipe, sets, "whole"));
    workshop.succeed(&["train", "whole/recipe.toml", "--run", "again"]);
    assert_same(&workshop, recipe, "again");
    assert_eq!(workshop.read("whole/recipe.toml"), workshop.read("again/recipe.toml"));
}

#[test]
fn another_recipe_cannot_be_resumed() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "diamonds", "--run", "run", "--set", "train.steps=3"]);
    workshop.fail(
        &[
            &["train", "diamonds", "--run", "run", "--resume", "--set", "train.steps=3"][..],
            &["--set", "optimizer.learning_rate=0.5"],
        ]
        .concat(),
        &["learning_rate", "0.5"],
    );
    workshop.fail(&["train", "diamonds", "--run", "run"], &["--resume"]);
    // A cosine of another length is another run. Without a schedule, a longer run goes on.
    workshop
        .fail(&["train", "--run", "run", "--resume", "--set", "train.steps=5"], &["steps = 3", "steps = 5"]);
    let constant = ["--run", "longer", "--set", "schedule.name=constant"];
    workshop.succeed(&[&["train", "diamonds", "--set", "train.steps=3"], &constant[..]].concat());
    workshop.succeed(&["train", "--run", "longer", "--resume", "--set", "train.steps=5"]);
    let run = workshop.path("longer");
    // A run cannot be made shorter than it already is. Its recipe stays unchanged.
    let recipe = workshop.read("longer/recipe.toml");
    workshop.fail(
        &["train", "--run", "longer", "--resume", "--set", "train.steps=2"],
        &["train.steps", "5", "2"],
    );
    assert_eq!(workshop.read("longer/recipe.toml"), recipe);
    assert_eq!(records(&run).iter().filter_map(|record| record["step"].as_u64()).max(), Some(5));
}

/// The files of a run that its answers depend on.
fn kept(workshop: &Workshop, schema: &str) -> [Vec<u8>; 3] {
    [schema, "model.safetensors", "recipe.toml"].map(|file| workshop.read(&format!("run/{file}")))
}

/// Trains, goes on with the finished run, then changes its data: going on is refused with the difference, and
/// the run's files and answers stay.
fn data_that_changed_are_refused(
    workshop: &Workshop,
    schema: &str,
    input: &str,
    change: impl FnOnce(&Workshop),
    difference: &[&str],
) {
    workshop.succeed(&["train", "recipe.toml", "--run", "run"]);
    let files = kept(workshop, schema);
    let answers = workshop.succeed(&["predict", "run", input]).stdout;
    workshop.succeed(&["train", "--run", "run", "--resume"]);
    assert!(kept(workshop, schema) == files, "{schema}: a finished run that goes on changed");
    change(workshop);
    workshop.fail(&["train", "--run", "run", "--resume"], difference);
    workshop.fail(&["train", "recipe.toml", "--run", "run", "--resume"], difference);
    assert!(kept(workshop, schema) == files, "{schema}: a run whose data changed was written to");
    assert_eq!(workshop.succeed(&["predict", "run", input]).stdout, answers);
}

#[test]
fn a_table_with_more_rows_is_refused() {
    for stream in ["", "stream = true\nwindow_bytes = 4096"] {
        let workshop = Workshop::new();
        let rows = |range: std::ops::Range<u32>, factor: u32| -> String {
            range.map(|row| format!("{},{}\n", row % 17, (row % 17) * factor)).collect()
        };
        workshop.write("rows.csv", "size,price\n".to_string() + &rows(0..400, 2));
        workshop.write("asked.csv", "size\n3\n5\n");
        workshop.write(
            "recipe.toml",
            format!(
                "[data]\nkind = 'table'\ntrain = 'rows.csv'\ntarget = 'price'\ntarget_kind = 'value'\n{stream}\n\
                 [model]\nname = 'linear'\n[train]\nepochs = 2\nbatch_size = 32\n"
            ),
        );
        let change = |workshop: &Workshop| {
            let more = "size,price\n".to_string() + &rows(0..400, 2) + &rows(0..200, 900);
            workshop.write("rows.csv", more);
        };
        data_that_changed_are_refused(
            &workshop,
            "columns.json",
            "asked.csv",
            change,
            &["rows.csv", "expected"],
        );
    }
}

#[test]
fn pictures_with_another_class_are_refused() {
    let workshop = Workshop::new();
    let add = |workshop: &Workshop, class: &str, first: u32| {
        for number in first..first + 8 {
            workshop.write(&format!("pictures/{class}/{number}.png"), picture::grey(12, number));
        }
    };
    add(&workshop, "cat", 0);
    add(&workshop, "dog", 20);
    workshop.write("asked.png", picture::grey(12, 5));
    workshop.write(
        "recipe.toml",
        "[data]\nkind = 'image'\ntrain = 'pictures'\nworkers = 1\n[model]\nname = 'logistic'\n[train]\nsteps = 3\n",
    );
    let change = |workshop: &Workshop| add(workshop, "ant", 40);
    data_that_changed_are_refused(&workshop, "labels.json", "asked.png", change, &["cat", "ant"]);
}

#[test]
fn texts_with_other_words_or_labels_are_refused() {
    for stream in ["", "stream = true\nwindow_bytes = 4096"] {
        let workshop = Workshop::new();
        let texts = |words: [&str; 4], labels: [&str; 2], count: usize| -> String {
            (0..count)
                .map(|row| format!("{} {},{}\n", words[row % 4], words[row * 3 % 4], labels[row % 2]))
                .collect()
        };
        let begun = "text,label\n".to_string() + &texts(["sea", "sun", "win", "call"], ["ham", "spam"], 200);
        workshop.write("texts.csv", &begun);
        workshop.write("asked.csv", "text\nsea win\nsun\n");
        workshop.write(
            "recipe.toml",
            format!(
                "[data]\nkind = 'text'\ntask = 'classify'\ntext_column = 'text'\nlabel_column = 'label'\n\
                 vocabulary = 'word'\nmax_tokens = 8\ntrain = 'texts.csv'\n{stream}\n\
                 [model]\nname = 'gru'\n[train]\nsteps = 3\nbatch_size = 16\n"
            ),
        );
        let change = |workshop: &Workshop| {
            let more = texts(["aardvark", "bee", "sea", "sun"], ["egg", "ham"], 100);
            workshop.write("texts.csv", begun.clone() + &more);
        };
        data_that_changed_are_refused(
            &workshop,
            "vocabulary.json",
            "asked.csv",
            change,
            &["texts.csv", "expected"],
        );
    }
}
