//! Jobs of several processes on this machine, started by `mpirun`. They train the same model as one process,
//! end together, and go on in another number.

use crate::support::job::{Job, LONG, Point, arguments, curve};
use crate::support::program::{Ended, Workshop, records};
use nix::sys::signal::Signal;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A run of 100 steps for each family, with the dropout of its recipe or of its model. The optimizer is plain
/// SGD: Adam first divides by numbers so small that the last bit of a gradient decides. The convolutional
/// network is small for the same reason: with more activations, one of them comes so near to a ReLU's 0 in
/// 100 steps that the last bit turns it.
const FAMILIES: [(&str, &str, &[&str]); 8] = [
    ("linear", "adult", &["train.batch_size=128"]),
    (
        "a multi-layer perceptron",
        "fashion",
        &["model.name=\"mlp\"", "model.dropout=0.1", "train.batch_size=60"],
    ),
    (
        "a convolutional network",
        "fashion",
        &["model.widths=[4,8]", "model.hidden=16", "train.sync_batch_norm=true"],
    ),
    (
        // Twenty layers at the rate of the others differ by 2e-2 after 100 steps. So do two single processes,
        // one with AVX2 and one with AVX-512.
        "a residual network",
        "fashion",
        &[
            "model={name=\"resnet\",depth=8}",
            "train.sync_batch_norm=true",
            "optimizer={name=\"sgd\",learning_rate=0.001}",
        ],
    ),
    (
        "a vision transformer",
        "fashion",
        &[
            "model={name=\"vit_ti16\",patch=7,layers=2,width=64,heads=2,dropout=0.1}",
            "train.batch_size=60",
            "data.mixup=0.2",
            "data.cutmix=1.0",
            // Gradients arrive after the backward pass, and blocks that run again drop the same numbers.
            "train.gradient_checkpointing=true",
            "optimizer={name=\"sgd\",learning_rate=0.01}",
        ],
    ),
    ("an autoencoder", "fashion-autoencoder", &["train.batch_size=33"]),
    ("a recurrent network", "sms", &["model.dropout=0.1"]),
    ("a transformer", "shakespeare", &["model.layers=2", "model.dropout=0.1"]),
];

/// The settings shared by the runs of all families.
const CALM: [&str; 5] = [
    "train.steps=100",
    "train.report_every=1",
    "train.evaluate_every=50",
    "optimizer={name=\"sgd\",learning_rate=0.02}",
    "schedule={name=\"constant\"}",
];

/// `mpirun` with `ranks` processes of the program.
fn mpirun(workshop: &Workshop, ranks: usize, arguments: &[&str]) -> Command {
    jobs(workshop, &[(ranks, arguments)])
}

/// `mpirun` with groups of processes, each group with arguments of its own.
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

/// Asserts that two runs recorded the same steps, with losses within 1e-5 of each other.
fn assert_same_curve(workshop: &Workshop, found: &str, expected: &str) {
    let (found, expected) = (curve(&workshop.path(found)), curve(&workshop.path(expected)));
    assert_eq!(found.len(), expected.len());
    for ((place, found), (same, expected)) in found.iter().zip(&expected) {
        assert_eq!(place, same);
        assert!((found[0].1 - expected[0].1).abs() <= 1e-5, "{place}: {found:?} against {expected:?}");
    }
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
                    // Two logits that are almost equal may change places, so figures that count classes are
                    // left out.
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
fn gradients_of_sixteen_bits_train_nearly_the_same() {
    let workshop = Workshop::new();
    let sets: Vec<&str> = CALM.iter().copied().chain(["train.steps=40", "train.evaluate_every=40"]).collect();
    let rounded: Vec<&str> = sets.iter().copied().chain(["train.exchange=\"bf16\""]).collect();
    succeed(mpirun(&workshop, 3, &arguments("adult", "exact", &sets)));
    succeed(mpirun(&workshop, 3, &arguments("adult", "rounded", &rounded)));
    let (exact, rounded) = (curve(&workshop.path("exact")), curve(&workshop.path("rounded")));
    assert_eq!(exact.len(), rounded.len());
    let apart = |(exact, rounded): (&Point, &Point)| (exact.1[0].1 - rounded.1[0].1).abs();
    let most = exact.iter().zip(&rounded).map(apart).fold(0.0, f64::max);
    assert!(0.0 < most && most < 5e-3, "{most}");
    println!("sums of 16 bits are at most {most:.1e} from those of 32");
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

/// The gradient of the whole set is summed in pieces, with one step an epoch.
#[test]
fn full_batches_are_summed_over_all_ranks() {
    let workshop = Workshop::new();
    let sets = [
        "train.batch_size=\"full\"",
        "train.piece_size=1000",
        "train.epochs=4",
        "train.report_every=1",
        "optimizer={name=\"sgd\",learning_rate=0.5}",
    ];
    workshop.succeed(&arguments("adult", "one", &sets));
    succeed(mpirun(&workshop, 3, &arguments("adult", "three", &sets)));
    assert_same_curve(&workshop, "three", "one");
}

/// All ranks follow an evaluation's decisions: when to stop, and which weights to keep.
#[test]
fn ranks_stop_early_together_with_the_best_weights() {
    let workshop = Workshop::new();
    let sets = [
        "data.valid_fraction=0.1",
        "train.steps=400",
        "train.evaluate_every=4",
        "train.early_stopping=2",
        "train.select=\"best\"",
        "optimizer={name=\"sgd\",learning_rate=0.5}",
        "schedule={name=\"constant\"}",
    ];
    let one = workshop.succeed(&arguments("adult", "one", &sets));
    let three = succeed(mpirun(&workshop, 3, &arguments("adult", "three", &sets)));
    for ended in [&one, &three] {
        assert!(ended.stderr.contains("stopped early"), "{}", ended.stderr);
    }
    let records = curve(&workshop.path("one")).len();
    assert!(records < 100, "{records} records");
    assert_same_curve(&workshop, "three", "one");
    let evaluated = |run: &str| workshop.succeed(&["evaluate", run, "--json"]).stdout;
    let loss =
        |text: String| serde_json::from_str::<serde_json::Value>(&text).unwrap()["loss"].as_f64().unwrap();
    assert!((loss(evaluated("one")) - loss(evaluated("three"))).abs() < 1e-5);
}

/// [`LONG`] with another number of steps.
fn until(steps: &'static str) -> Vec<&'static str> {
    LONG.iter().map(|set| if set.starts_with("train.steps") { steps } else { set }).collect()
}

#[test]
fn a_signal_ends_all_ranks_with_a_checkpoint_that_another_number_goes_on_from() {
    let workshop = Workshop::new();
    let mut job = Job::start(mpirun(&workshop, 2, &arguments("adult", "run", &LONG)));
    job.wait_for("step 50/");
    // The signal goes to one rank alone.
    let one = job.ranks()[1];
    Job::kill(one, Signal::SIGUSR1);
    let (code, text) = job.end(Duration::from_secs(30));
    assert_eq!(code, Some(128 + Signal::SIGUSR1 as i32), "{text}");
    assert!(text.contains("goes on"), "{text}");
    let stopped = records(&workshop.path("run")).last().unwrap()["step"].as_u64().unwrap();

    // The signal goes to the launcher, which forwards it.
    let mut job = Job::start(mpirun(&workshop, 3, &["train", "--run", "run", "--resume"]));
    job.wait_for(&format!("step {}/", stopped + 20));
    Job::kill(job.child.id() as i32, Signal::SIGUSR1);
    let (_, text) = job.end(Duration::from_secs(30));
    assert!(text.contains("goes on"), "{text}");
    let stopped = records(&workshop.path("run")).last().unwrap()["step"].as_u64().unwrap();

    // The signal goes to one rank again, as when an operator ends a pod.
    let mut job = Job::start(mpirun(&workshop, 2, &["train", "--run", "run", "--resume"]));
    job.wait_for(&format!("step {}/", stopped + 20));
    Job::kill(job.ranks()[0], Signal::SIGTERM);
    let (code, text) = job.end(Duration::from_secs(30));
    assert_eq!(code, Some(128 + Signal::SIGTERM as i32), "{text}");
    assert!(text.contains("goes on"), "{text}");
    let stopped = records(&workshop.path("run")).last().unwrap()["step"].as_u64().unwrap();

    let steps: &str = Box::leak(format!("train.steps={}", stopped + 30).into_boxed_str());
    workshop.succeed(&["train", "--run", "run", "--resume", "--set", steps]);
    workshop.succeed(&arguments("adult", "whole", &until(steps)));
    assert_same_curve(&workshop, "run", "whole");
}

#[test]
fn a_rank_that_is_killed_ends_the_job_and_loses_nothing_before_its_checkpoint() {
    let workshop = Workshop::new();
    let mut job = Job::start(mpirun(&workshop, 2, &arguments("adult", "run", &LONG)));
    job.wait_for("step 50/");
    let one = job.ranks()[1];
    Job::kill(one, Signal::SIGKILL);
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
        Job::kill(ranks[hanging], Signal::SIGSTOP);
        let (code, text) = job.end(Duration::from_secs(40));
        assert_ne!(code, Some(0));
        assert!(text.contains(&format!("waited 4 s for rank {hanging} on ")), "{text}");
        std::fs::remove_dir_all(workshop.path("run")).unwrap();
    }
}

/// A PNG of 8 x 8 pixels, in one of two shades.
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
                  [train]\nepochs = 2\nbatch_size = 4\nreport_every = 1\n[optimizer]\nname = \"sgd\"\n\
                  learning_rate = 0.01\n";
    workshop.write("recipe.toml", recipe);
    workshop.succeed(&["train", "recipe.toml", "--run", "whole"]);
    // The last sample of the first epoch would be the best test. Any sample but the first will do.
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
    assert_same_curve(&workshop, "run", "whole");
}

/// The disk of rank 0 has no room for a checkpoint, and the other ranks do not wait for it.
#[test]
fn a_full_disk_ends_all_ranks_with_its_error() {
    let workshop = Workshop::new();
    std::fs::create_dir(workshop.path("run")).unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(workshop.path("run"))
        .output();
    if !mount.is_ok_and(|output| output.status.success()) {
        eprintln!("left out: no right to mount a tmpfs");
        return;
    }
    let sets: Vec<&str> = LONG.iter().copied().chain(["model={name=\"mlp\",hidden=[512,512]}"]).collect();
    let job = Job::start(mpirun(&workshop, 3, &arguments("adult", "run", &sets)));
    let (code, text) = job.end(Duration::from_secs(60));
    assert!(Command::new("umount").arg(workshop.path("run")).status().unwrap().success());
    assert_ne!(code, Some(0));
    let errors: Vec<&str> = text.lines().filter(|line| line.starts_with("error: ")).collect();
    assert!(errors.len() == 1 && errors[0].contains("No space left"), "{text}");
}

/// A skipped sample counts once, in whichever epoch and on whichever rank it is met.
#[test]
fn a_sample_that_was_skipped_counts_once() {
    let workshop = Workshop::new();
    for number in 0..48 {
        workshop.write(&format!("pictures/{}/{number}.png", number % 2), picture(number % 2, number));
    }
    workshop.write("pictures/1/31.png", &picture(1, 31)[..40]);
    let recipe = "name = \"pictures\"\n[data]\nkind = \"image\"\ntrain = \"pictures\"\non_corrupt = \"skip\"\n\
                  [model]\nname = \"mlp\"\n[train]\nepochs = 5\nbatch_size = 5\n[optimizer]\nname = \"sgd\"\n\
                  learning_rate = 0.01\n";
    workshop.write("recipe.toml", recipe);
    let one = workshop.succeed(&["train", "recipe.toml", "--run", "one"]);
    let two = succeed(mpirun(&workshop, 2, &["train", "recipe.toml", "--run", "two"]));
    for ended in [one, two] {
        assert!(ended.stderr.contains(", 1 corrupt samples skipped"), "{}", ended.stderr);
    }
}

/// One rank reports an error that all ranks meet. The job ends without the launcher's lines about aborted
/// ranks.
#[test]
fn an_error_of_all_ranks_is_told_once() {
    let workshop = Workshop::new();
    let huge = "optimizer={name=\"sgd\",learning_rate=1e38}";
    for (name, set, expected) in [
        ("small", "train.batch_size=2", "train.batch_size"),
        ("diverged", huge, "expected a finite "),
        ("unmonitored", "train.monitor=\"perplexity\"", "train.monitor"),
        ("misspelled", "train.step=20", "train.step"),
        ("unread", "data.train=\"nowhere.csv\"", "nowhere.csv"),
        ("unbuilt", "model={name=\"resnet\"}", "model.name"),
        ("undevised", "device=\"abacus\"", "abacus"),
    ] {
        let sets = ["train.steps=20", "train.evaluate_every=10", set];
        let ended: Ended = mpirun(&workshop, 3, &arguments("adult", name, &sets)).output().unwrap().into();
        assert_ne!(ended.code, Some(0));
        let errors: Vec<&str> = ended.stderr.lines().filter(|line| line.starts_with("error: ")).collect();
        assert!(errors.len() == 1 && errors[0].contains(expected), "{name}: {}", ended.stderr);
        assert!(!ended.stderr.contains("MPI_ABORT"), "{name}: {}", ended.stderr);
    }
}

/// Under another launcher each rank would start as a job of one, and train the same model again.
#[test]
fn ranks_of_another_launcher_are_refused() {
    let workshop = Workshop::new();
    let mut stranger = workshop.command(&arguments("adult", "run", &["train.steps=5"]));
    stranger.envs([("PMI_RANK", "1"), ("PMI_SIZE", "2")]);
    let ended: Ended = stranger.output().unwrap().into();
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("expected the ranks that the launcher started"), "{}", ended.stderr);
    assert!(!workshop.path("run").exists(), "nothing was begun");
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

    // Rank 0 learns the columns, and the others hold their table against them; rows in another order show
    // only in the first samples.
    let rows: String = (0..50).map(|row| format!("{row},{}\n", row % 3)).collect();
    let recipe = "[data]\nkind = \"table\"\ntrain = \"rows.csv\"\ntarget = \"y\"\n[model]\nname = \"linear\"\n\
                  [train]\nsteps = 5\n";
    let cases = [
        ("one", rows.clone(), None),
        (
            "two",
            rows.replace("\n7,1\n", "\n9,1\n"),
            Some("rows.csv, column `x`: expected the numbers that the run began with (mean 24.5, "),
        ),
        (
            "reversed",
            rows.split_inclusive('\n').rev().collect(),
            Some("the first samples' hash: expected what rank 0 on "),
        ),
    ];
    for (folder, rows, _) in &cases {
        workshop.write(&format!("{folder}/recipe.toml"), recipe);
        workshop.write(&format!("{folder}/rows.csv"), format!("x,y\n{rows}"));
    }
    for (folder, expected) in cases.iter().filter_map(|(folder, _, expected)| Some((folder, (*expected)?))) {
        let mut command = Command::new("mpirun");
        command.args(["--allow-run-as-root", "--oversubscribe"]);
        for (number, folder) in ["one", folder].iter().enumerate() {
            if number > 0 {
                command.arg(":");
            }
            let folder = workshop.path(folder);
            let program = env!("CARGO_BIN_EXE_bonfire");
            command.args(["-n", "1", "--wdir", folder.to_str().unwrap(), program, "train", "recipe.toml"]);
        }
        let ended: Ended = command.output().unwrap().into();
        assert_ne!(ended.code, Some(0));
        assert!(ended.stderr.contains(expected), "{folder}: {}", ended.stderr);
    }
}

/// A byte beyond a program's end changes only its checksum.
#[test]
fn ranks_of_another_build_are_refused() {
    let workshop = Workshop::new();
    let other = workshop.path("bonfire");
    std::fs::copy(env!("CARGO_BIN_EXE_bonfire"), &other).unwrap();
    let mut file = std::fs::OpenOptions::new().append(true).open(&other).unwrap();
    std::io::Write::write_all(&mut file, b"\n").unwrap();
    drop(file);
    let mut command = mpirun(&workshop, 1, &arguments("adult", "run", &["train.steps=5"]));
    command.args([":", "-n", "1"]).arg(other).args(arguments("adult", "run", &["train.steps=5"]));
    let ended: Ended = command.output().unwrap().into();
    assert_ne!(ended.code, Some(0));
    assert!(ended.stderr.contains("error: rank 1 on "), "{}", ended.stderr);
    assert!(ended.stderr.contains("program: expected what rank 0 on "), "{}", ended.stderr);
    assert!(!workshop.path("run").exists(), "nothing was begun");
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
