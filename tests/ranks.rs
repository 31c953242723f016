//! Jobs of several processes on this machine, started by `mpirun`: they train what one process trains, end together, and
//! go on in another number.

#[path = "support/program.rs"]
mod program;

use program::{Ended, Workshop, records};
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A run of 100 steps of each family, without what each process draws for itself. Plain SGD: what Adam divides by is so
/// small at first that the last bit of a gradient decides. The convolutional network is small for the same reason: with
/// more activations, one of a hundred steps has a ReLU so near to 0 that the last bit turns it.
const FAMILIES: [(&str, &str, &[&str]); 6] = [
    ("linear", "adult", &["train.batch_size=128"]),
    (
        "a multi-layer perceptron",
        "fashion",
        &["model.name=\"mlp\"", "model.dropout=0.0", "train.batch_size=60"],
    ),
    (
        "a convolutional network",
        "fashion",
        &["model.dropout=0.0", "model.widths=[4,8]", "model.hidden=16", "train.sync_batch_norm=true"],
    ),
    ("an autoencoder", "fashion-autoencoder", &["train.batch_size=33"]),
    ("a recurrent network", "sms", &["model.dropout=0.0"]),
    ("a transformer", "shakespeare", &["model.layers=2"]),
];

/// What every run of a family has in common.
const CALM: [&str; 5] = [
    "train.steps=100",
    "train.report_every=1",
    "train.evaluate_every=50",
    "optimizer={name=\"sgd\",learning_rate=0.02}",
    "schedule={name=\"constant\"}",
];

/// The program's arguments for a run.
fn arguments<'a>(recipe: &'a str, run: &'a str, sets: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["train", recipe, "--run", run];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments
}

/// `mpirun` with so many processes of the program.
fn mpirun(workshop: &Workshop, ranks: usize, arguments: &[&str]) -> Command {
    jobs(workshop, &[(ranks, arguments)])
}

/// `mpirun` with groups of processes, each with arguments of its own.
fn jobs(workshop: &Workshop, groups: &[(usize, &[&str])]) -> Command {
    let mut command = Command::new("mpirun");
    command.current_dir(workshop.path("")).env("BONFIRE_CACHE", workshop.path("cache"));
    command.args(["--allow-run-as-root", "--oversubscribe"]);
    for (number, (ranks, arguments)) in groups.iter().enumerate() {
        if number > 0 {
            command.arg(":");
        }
        command.args(["-n", &ranks.to_string(), env!("CARGO_BIN_EXE_bonfire")]).args(*arguments);
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn succeed(mut command: Command) -> Ended {
    let ended: Ended = command.output().expect("mpirun (Debian: openmpi-bin)").into();
    assert_eq!(ended.code, Some(0), "{command:?}\n{}\n{}", ended.stdout, ended.stderr);
    ended
}

/// The step and the figures of each record.
fn curve(run: &Path) -> Vec<(String, Vec<(String, f64)>)> {
    let figures = |record: serde_json::Value| {
        let object = record.as_object().unwrap().clone();
        let name = format!("{} at step {}", object["kind"].as_str().unwrap(), object["step"]);
        let ours = |key: &str| !["kind", "step", "seconds", "epoch", "learning_rate"].contains(&key);
        let figures = object.iter().filter(|(key, _)| ours(key));
        (name, figures.map(|(key, value)| (key.clone(), value.as_f64().unwrap())).collect())
    };
    records(run).into_iter().map(figures).collect()
}

#[test]
fn two_and_four_ranks_train_what_one_does() {
    let workshop = Workshop::new();
    for (family, recipe, sets) in FAMILIES {
        let sets: Vec<&str> = CALM.iter().chain(sets).copied().collect();
        let name = |ranks: usize| format!("{family}-{ranks}");
        workshop.succeed(&arguments(recipe, &name(1), &sets));
        let expected = curve(&workshop.path(&name(1)));
        assert!(expected.len() >= 100, "{family}: {} records", expected.len());
        for ranks in [2, 4] {
            succeed(mpirun(&workshop, ranks, &arguments(recipe, &name(ranks), &sets)));
            let found = curve(&workshop.path(&name(ranks)));
            assert_eq!(found.len(), expected.len(), "{family}, {ranks} ranks");
            let mut most = 0.0f64;
            for ((place, found), (same, expected)) in found.iter().zip(&expected) {
                assert_eq!(place, same);
                for ((key, found), (_, expected)) in found.iter().zip(expected) {
                    // A class that two logits all but tie for may turn: figures that count are left to the loss.
                    if !["loss", "mse", "reconstruction_error"].contains(&key.as_str()) {
                        continue;
                    }
                    let apart = (found - expected).abs();
                    most = most.max(apart);
                    assert!(
                        apart <= 1e-5,
                        "{family}, {ranks} ranks, {place}: {key} {found} against {expected}"
                    );
                }
            }
            println!("{family}: {ranks} ranks are at most {most:.1e} from one");
        }
    }
}

#[test]
fn least_squares_are_solved_over_all_ranks() {
    let workshop = Workshop::new();
    let sets = ["train.solver=\"least_squares\"", "train.epochs=1", "train.piece_size=5000"];
    workshop.succeed(&arguments("diamonds", "one", &sets));
    succeed(mpirun(&workshop, 3, &arguments("diamonds", "three", &sets)));
    let (one, three) = (curve(&workshop.path("one")), curve(&workshop.path("three")));
    assert_eq!(one.len(), three.len());
    for ((place, one), (_, three)) in one.iter().zip(&three) {
        for ((name, one), (_, three)) in one.iter().zip(three) {
            assert!((one - three).abs() <= 1e-5 * one.abs(), "{place}: {name} {one} against {three}");
        }
    }
}

/// A job whose lines on standard error are read as they come.
struct Job {
    child: Child,
    lines: std::sync::mpsc::Receiver<String>,
    seen: Vec<String>,
}

impl Job {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("mpirun (Debian: openmpi-bin)");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Job { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that holds this.
    fn wait_for(&mut self, fragment: &str) {
        let ends = Instant::now() + Duration::from_secs(120);
        while let Ok(line) = self.lines.recv_timeout(ends.saturating_duration_since(Instant::now())) {
            let found = line.contains(fragment);
            self.seen.push(line);
            if found {
                return;
            }
        }
        panic!("no line with '{fragment}':\n{}", self.seen.join("\n"));
    }

    /// The process ids of the ranks, in their sequence.
    fn ranks(&self) -> Vec<i32> {
        let mut ranks = Vec::new();
        for entry in std::fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            // `1234 (bonfire) S 1230 …`: number, name, state, parent.
            let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
            let Some((_, rest)) = stat.split_once(" (bonfire) ") else { continue };
            if rest.split(' ').nth(1) == Some(&self.child.id().to_string()) {
                ranks.push(path.file_name().unwrap().to_str().unwrap().parse().unwrap());
            }
        }
        ranks.sort_unstable();
        ranks
    }

    fn kill(process: i32, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(process), signal).unwrap();
    }

    /// Waits for the end, at most so long; the code and all of standard error.
    fn end(mut self, within: Duration) -> (Option<i32>, String) {
        let ends = Instant::now() + within;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < ends, "still running after {within:?}:\n{}", self.seen.join("\n"));
            std::thread::sleep(Duration::from_millis(20));
        };
        self.seen.extend(self.lines.iter());
        let mut rest = String::new();
        let _ = self.child.stdout.take().unwrap().read_to_string(&mut rest);
        (status.code(), self.seen.join("\n"))
    }
}

/// A run that is long enough to be stopped on its way, with a checkpoint each 20 steps.
const LONG: [&str; 6] = [
    "train.steps=4000",
    "train.report_every=1",
    "train.evaluate_every=4000",
    "checkpoint.every_steps=20",
    "optimizer={name=\"sgd\",learning_rate=0.02}",
    "schedule={name=\"constant\"}",
];

/// LONG, but for its end.
fn until(steps: &'static str) -> Vec<&'static str> {
    LONG.iter().map(|set| if set.starts_with("train.steps") { steps } else { set }).collect()
}

#[test]
fn a_signal_ends_all_ranks_with_a_checkpoint_that_another_number_goes_on_from() {
    let workshop = Workshop::new();
    let mut job = Job::start(mpirun(&workshop, 2, &arguments("adult", "run", &LONG)));
    job.wait_for("step 50/");
    // To one rank alone.
    let one = job.ranks()[1];
    Job::kill(one, nix::sys::signal::Signal::SIGUSR1);
    let (code, text) = job.end(Duration::from_secs(30));
    assert_ne!(code, Some(0));
    assert!(text.contains("goes on"), "{text}");
    let stopped = records(&workshop.path("run")).last().unwrap()["step"].as_u64().unwrap();

    // To the launcher, which forwards it.
    let mut job = Job::start(mpirun(&workshop, 3, &["train", "--run", "run", "--resume"]));
    job.wait_for(&format!("step {}/", stopped + 20));
    Job::kill(job.child.id() as i32, nix::sys::signal::Signal::SIGUSR1);
    let (_, text) = job.end(Duration::from_secs(30));
    assert!(text.contains("goes on"), "{text}");
    let stopped = records(&workshop.path("run")).last().unwrap()["step"].as_u64().unwrap();

    let steps: &str = Box::leak(format!("train.steps={}", stopped + 30).into_boxed_str());
    workshop.succeed(&["train", "--run", "run", "--resume", "--set", steps]);
    workshop.succeed(&arguments("adult", "whole", &until(steps)));
    let (found, expected) = (curve(&workshop.path("run")), curve(&workshop.path("whole")));
    for ((place, found), (same, expected)) in found.iter().zip(&expected) {
        assert_eq!(place, same);
        assert!((found[0].1 - expected[0].1).abs() < 1e-5, "{place}: {found:?} against {expected:?}");
    }
    assert_eq!(found.len(), expected.len());
}

#[test]
fn a_rank_that_is_killed_ends_the_job_and_loses_nothing_before_its_checkpoint() {
    let workshop = Workshop::new();
    let mut job = Job::start(mpirun(&workshop, 2, &arguments("adult", "run", &LONG)));
    job.wait_for("step 50/");
    let one = job.ranks()[1];
    Job::kill(one, nix::sys::signal::Signal::SIGKILL);
    let (code, text) = job.end(Duration::from_secs(30));
    assert!(code != Some(0) && text.contains("rank 1"), "{text}");

    workshop.succeed(&["train", "--run", "run", "--resume", "--set", "train.steps=90"]);
    workshop.succeed(&arguments("adult", "whole", &until("train.steps=90")));
    for ((place, found), (_, expected)) in
        curve(&workshop.path("run")).iter().zip(&curve(&workshop.path("whole")))
    {
        assert!((found[0].1 - expected[0].1).abs() < 1e-5, "{place}: {found:?} against {expected:?}");
    }
}

#[test]
fn a_rank_that_hangs_is_named_within_the_time_that_was_given() {
    let workshop = Workshop::new();
    let mut long = arguments("adult", "run", &LONG);
    long.extend(["--timeout", "4"]);
    for hanging in [1, 0] {
        let mut job = Job::start(mpirun(&workshop, 3, &long));
        job.wait_for("step 50/");
        let ranks = job.ranks();
        Job::kill(ranks[hanging], nix::sys::signal::Signal::SIGSTOP);
        let (code, text) = job.end(Duration::from_secs(40));
        assert_ne!(code, Some(0));
        assert!(text.contains(&format!("waited 4 s for rank {hanging} on ")), "{text}");
        std::fs::remove_dir_all(workshop.path("run")).unwrap();
    }
}

/// A picture of 8 x 8 pixels, in one of two shades.
fn picture(class: usize, number: usize) -> Vec<u8> {
    let shade = |x: u32, y: u32| image::Luma([(class * 90 + number + (3 * x + y) as usize) as u8]);
    let mut bytes = std::io::Cursor::new(Vec::new());
    image::GrayImage::from_fn(8, 8, shade).write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

#[test]
fn a_bad_sample_on_one_rank_is_told_once_and_no_step_is_lost() {
    let workshop = Workshop::new();
    for number in 0..48 {
        workshop.write(&format!("pictures/{}/{number}.png", number % 2), picture(number % 2, number));
    }
    let recipe = "name = \"pictures\"\n[data]\nkind = \"image\"\ntrain = \"pictures\"\n[model]\nname = \"mlp\"\n\
                  [train]\nepochs = 2\nbatch_size = 4\nreport_every = 1\n[optimizer]\nname = \"sgd\"\nlearning_rate = 0.01\n";
    workshop.write("recipe.toml", recipe);
    workshop.succeed(&["train", "recipe.toml", "--run", "whole"]);
    // The last sample of the first epoch, whichever that is, would say most; any but the first will do.
    workshop.write("pictures/1/31.png", &picture(1, 31)[..40]);
    let ended: Ended =
        mpirun(&workshop, 2, &["train", "recipe.toml", "--run", "run"]).output().unwrap().into();
    assert_ne!(ended.code, Some(0));
    let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(
        errors.len() == 1 && errors[0].contains("31.png") && errors[0].contains("rank "),
        "{}",
        ended.stderr
    );
    assert!(
        std::fs::read_dir(workshop.path("run/checkpoints")).unwrap().next().is_some(),
        "{}",
        ended.stderr
    );

    workshop.write("pictures/1/31.png", picture(1, 31));
    succeed(mpirun(&workshop, 3, &["train", "--run", "run", "--resume"]));
    let (found, expected) = (curve(&workshop.path("run")), curve(&workshop.path("whole")));
    assert_eq!(found.len(), expected.len());
    for ((place, found), (_, expected)) in found.iter().zip(&expected) {
        assert!((found[0].1 - expected[0].1).abs() < 1e-5, "{place}: {found:?} against {expected:?}");
    }
}

#[test]
fn ranks_that_differ_are_named_before_they_train() {
    let workshop = Workshop::new();
    let ours = arguments("adult", "run", &["train.steps=5"]);
    let theirs = arguments("adult", "run", &["train.steps=6"]);
    let ended: Ended = jobs(&workshop, &[(1, &ours), (1, &theirs)]).output().unwrap().into();
    assert_ne!(ended.code, Some(0));
    let expected = "recipe: expected what rank 0 on ";
    assert!(
        ended.stderr.contains("error: rank 1 on ") && ended.stderr.contains(expected),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("'steps = 5', found 'steps = 6'"), "{}", ended.stderr);
    assert!(!workshop.path("run").exists(), "nothing was begun");

    let rows: String = (0..50).map(|row| format!("{row},{}\n", row % 3)).collect();
    let text = |file: &str| {
        format!(
            "[data]\nkind = \"table\"\ntrain = \"{file}\"\ntarget = \"y\"\n[model]\nname = \"linear\"\n[train]\nsteps = 5\n"
        )
    };
    workshop.write("one/recipe.toml", text("rows.csv"));
    workshop.write("two/recipe.toml", text("rows.csv"));
    workshop.write("one/rows.csv", format!("x,y\n{rows}"));
    workshop.write("two/rows.csv", format!("x,y\n{}", rows.replace("7,1", "8,1")));
    let program = env!("CARGO_BIN_EXE_bonfire");
    let mut command = Command::new("mpirun");
    command.args(["--allow-run-as-root", "--oversubscribe"]);
    for (number, folder) in ["one", "two"].iter().enumerate() {
        if number > 0 {
            command.arg(":");
        }
        let folder = workshop.path(folder);
        command.args(["-n", "1", "--wdir", folder.to_str().unwrap(), program, "train", "recipe.toml"]);
    }
    let ended: Ended = command.output().unwrap().into();
    assert!(ended.stderr.contains("the first samples' hash: expected what rank 0 on "), "{}", ended.stderr);
}

#[test]
fn a_job_says_how_it_is_laid_out_and_how_long_it_waited() {
    let workshop = Workshop::new();
    let ended = succeed(mpirun(&workshop, 2, &arguments("adult", "run", &["train.steps=20"])));
    assert!(ended.stderr.contains("2 ranks on 1 host: batches of "), "{}", ended.stderr);
    assert!(ended.stderr.contains("% for other ranks"), "{}", ended.stderr);
    assert_eq!(ended.stderr.matches("run folder: run").count(), 1, "{}", ended.stderr);
    workshop.succeed(&["evaluate", "run"]);
}
