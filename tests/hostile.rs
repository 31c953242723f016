//! A user's mistake or a damaged file gives one line with the place, the expected and the found, and a
//! non-zero exit; no panic, and nothing is lost.

use crate::support::picture;
use crate::support::program::{Workshop, records};
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::Write;
use std::path::Path;

const EMBEDDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/datasets/builtin");

fn embedded(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(EMBEDDED).join(name)).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// `train fashion` with another training file fails with `fragments`.
fn fashion(workshop: &Workshop, train: &str, fragments: &[&str]) {
    let set = format!("data.train={train}");
    workshop.fail(&["train", "fashion", "--run", "run", "--set", "train.steps=1", "--set", &set], fragments);
}

const TABLE: &str = "[data]\nkind = 'table'\ntrain = 'rows.csv'\ntarget = 'y'\n[model]\nname = 'logistic'\n\
                     [train]\nsteps = 1\n";

/// Training a table recipe on `rows` fails with `fragments`.
fn table(rows: impl AsRef<[u8]>, more: &str, fragments: &[&str]) {
    let workshop = Workshop::new();
    workshop.write("rows.csv", rows);
    let recipe = TABLE.replace("target = 'y'", &format!("target = 'y'\n{more}"));
    workshop.write("recipe.toml", recipe);
    workshop.fail(&["train", "recipe.toml", "--run", "run"], fragments);
}

#[test]
fn instruction_sets_that_are_not_there() {
    let ended = Workshop::new().command(&["devices"]).env("BONFIRE_CPU", "avx1024").output().unwrap();
    let stderr = String::from_utf8(ended.stderr).unwrap();
    assert_eq!(ended.status.code(), Some(1));
    assert!(
        stderr.starts_with("error: BONFIRE_CPU: expected one that this machine has, portable"),
        "{stderr}"
    );
    assert!(stderr.ends_with("found \"avx1024\"\n"), "{stderr}");
}

#[test]
fn recipes_with_mistakes() {
    let workshop = Workshop::new();
    let recipe = |text: &str, fragments: &[&str]| {
        workshop.write("r.toml", text);
        workshop.fail(&["train", "r.toml", "--run", "run"], fragments);
    };
    recipe("[data\nkind = 1", &["r.toml:1"]);
    recipe(
        &TABLE.replace("steps = 1", "stepz = 1"),
        &["r.toml:8", "train.stepz", "did you mean 'train.steps'?"],
    );
    recipe(&TABLE.replace("steps = 1", "steps = 'many'"), &["r.toml:8", "train.steps", "many"]);
    recipe(&TABLE.replace("'logistic'", "'logistik'"), &["r.toml:6", "did you mean 'logistic'?"]);
    recipe(&format!("{TABLE}[optimiser]\nname = 'sgd'"), &["r.toml:9", "did you mean 'optimizer'?"]);
    recipe(&format!("{TABLE}[optimizer]\nname = 'sgdd'"), &["r.toml:10", "did you mean 'sgd'?"]);
    recipe(&format!("{TABLE}[optimizer]\nname = 'sgd'\nbeta_1 = 0.9"), &["r.toml:11", "optimizer.beta_1"]);
    recipe(
        &TABLE.replace("name = 'logistic'", "name = 'logistic'\nwidths = [3]"),
        &["r.toml:7", "model.widths"],
    );
    recipe("[model]\nname = 'cnn'", &["[data]"]);
    workshop.fail(&["train", "fashon"], &["did you mean 'fashion'?"]);
    workshop.fail(&["train", "nowhere.toml"], &["nowhere.toml"]);
    workshop.fail(&["train", "fashion", "--set", "train.epochs"], &["--set train.epochs", "'='"]);
    workshop.fail(&["train", "fashion", "--set", "train.batch_size=0"], &["batch_size"]);
    workshop.fail(&["train", "fashion", "--set", "optimizer.learning_rate=-1"], &["learning_rate", "-1"]);
    workshop
        .fail(&["train", "fashion", "--set", "name=../../out"], &["--set name=../../out", "a folder's name"]);
    workshop.fail(
        &["train", "fashion", "--set", "model.hidden=9223372036854775807"],
        &["model.hidden", "at most"],
    );
    workshop.fail(&["train", "fashion", "--set", "model.widths=[1000000, 1000000]"], &["parameters"]);
    workshop.fail(
        &["train", "fashion", "--max-memory", "50MB", "--set", "model.hidden=20000"],
        &["parameters of at most 50.0 MB (BONFIRE_MEMORY, --max-memory)", "found 17552"],
    );
    workshop.fail(&["train", "fashion", "--set", "train.accumulate=-1"], &["a whole number from 0 on", "-1"]);
    workshop
        .fail(&["train", "fashion", "--set", "loss.label_smoothing=1"], &["loss.label_smoothing", "found 1"]);
    workshop.fail(&["train", "fashion", "--set", "loss.name=squared"], &["loss.name", "cross_entropy"]);
    workshop.fail(&["train", "fashion", "--set", "loss.class_weights=[1, 2]"], &["loss.class_weights", "10"]);
    workshop.fail(&["train", "fashion", "--set", "model.name=gpt"], &["model.name", "a language model"]);
    workshop.fail(&["train", "diamonds", "--set", "model.name=logistic"], &["model.name", "regression"]);
    workshop.fail(&["train", "fashion", "--device", "cuda"], &["--features cuda"]);
    workshop.fail(&["train", "fashion", "--device", "gpu"], &["expected one of cpu"]);
    assert!(!workshop.path("run").exists(), "a refused recipe leaves no run folder");
}

/// The limit is of data: what a model took beside them refuses nothing, in no epoch.
#[test]
fn a_model_may_take_more_than_the_limit_of_data() {
    let workshop = Workshop::new();
    let sets = ["train.epochs=2", "train.batch_size=256", "schedule.name=constant"];
    let sets = sets.map(|set| ["--set", set]).concat();
    workshop.succeed(&[&["train", "fashion", "--run", "run", "--max-memory", "40MB"], &sets[..]].concat());
    workshop.succeed(&["evaluate", "run", "--max-memory", "40MB"]);
}

#[test]
fn pictures_that_are_none() {
    let workshop = Workshop::new();
    let images = {
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(
            &mut flate2::read::GzDecoder::new(&embedded("fashion-mnist-small-t10k-images-idx3-ubyte.gz")[..]),
            &mut bytes,
        )
        .unwrap();
        bytes
    };
    let labels = embedded("fashion-mnist-small-t10k-labels-idx1-ubyte.gz");
    workshop.write("a-labels-idx1-ubyte", &labels);

    fashion(&workshop, "nowhere/a-images-idx3-ubyte", &["nowhere"]);
    fashion(&workshop, "s3://bucket/a-images-idx3-ubyte", &["s3"]);
    fashion(&workshop, "builtin:fashon", &["builtin:", "fashion-mnist-small"]);

    let path = workshop.write("a-images-idx3-ubyte", [&[9, 9, 9, 9], &images[4..]].concat());
    fashion(&workshop, &path, &["a-images-idx3-ubyte", "expected", "found"]);
    workshop.write("a-images-idx3-ubyte", &images[..images.len() / 2]);
    fashion(&workshop, &path, &["a-images-idx3-ubyte", "expected", "found"]);
    let packed = gzip(&images);
    workshop.write("a-images-idx3-ubyte", &packed[..packed.len() / 2]);
    fashion(&workshop, &path, &["a-images-idx3-ubyte", "gzip"]);
    workshop.write("a-images-idx3-ubyte", &images);
    workshop.write("a-labels-idx1-ubyte", gzip(&[0, 0, 8, 1, 0, 0, 0, 2, 0, 1]));
    fashion(&workshop, &path, &["500", "2"]);

    std::fs::create_dir(workshop.path("empty")).unwrap();
    fashion(&workshop, "empty", &["empty"]);
}

#[test]
fn a_folder_with_damaged_pictures_stops_or_skips() {
    let workshop = Workshop::new();
    let png = picture::grey(8, 0);
    for class in ["cat", "dog"] {
        for number in 0..6 {
            workshop.write(&format!("pictures/{class}/{number}.png"), &png);
        }
    }
    workshop.write("pictures/dog/broken.png", &png[..png.len() / 2]);
    workshop.write("pictures/dog/text.jpg", "no picture at all");
    workshop.write(
        "r.toml",
        "[data]\nkind = 'image'\ntrain = 'pictures'\ntest = 'pictures'\n[model]\nname = 'logistic'\n[train]\n\
         epochs = 1\n",
    );
    workshop.fail(&["train", "r.toml", "--run", "stopped"], &["pictures/dog/", "expected", "found"]);
    workshop.succeed(&["train", "r.toml", "--run", "skipped", "--set", "data.on_corrupt=skip"]);
    let evaluated = workshop.succeed(&["evaluate", "skipped", "--json"]);
    let figures: serde_json::Value = serde_json::from_str(&evaluated.stdout).unwrap();
    assert_eq!((&figures["samples"], &figures["skipped"]), (&12.into(), &2.into()), "{figures}");

    std::fs::remove_dir_all(workshop.path("pictures/cat")).unwrap();
    workshop.fail(&["train", "r.toml", "--run", "one"], &["dog", "class"]);
}

#[test]
fn tables_that_do_not_fit() {
    table("a,y\n1,no\n2\n", "", &["rows.csv", "line 3", "2", "1"]);
    table("a,y\n1,no\n2,no\n", "", &["class"]);
    table("a,y\n", "", &["rows.csv"]);
    table("", "", &["rows.csv"]);
    table("a,b\n1,no\n2,yes\n", "", &["rows.csv", "`y`", "`a`"]);
    table("a,y\n1,no\nx,yes\n", "numeric = ['a']", &["rows.csv", "line 3", "x"]);
    table("a,y\n1,no\n2,yes\n", "ignore = ['c']", &["`c`"]);
    table(b"a,y\n1,no\n\xff\xfe,yes\n", "", &["rows.csv", "line 3"]);
    table("a,y\n1,no\n2,yes\n", "test = 'gone.csv'", &["gone.csv"]);

    let workshop = Workshop::new();
    workshop.write("rows.csv", "a,y\n1,no\n2,yes\n3,no\n4,yes\n");
    workshop.write("test.csv", "a,y\n1,no\n2,maybe\n");
    workshop.write("recipe.toml", TABLE);
    workshop.succeed(&["train", "recipe.toml", "--run", "run"]);
    workshop.fail(&["evaluate", "run", "--data", "test.csv"], &["test.csv", "maybe"]);
    workshop.write("test.csv", "b,y\n1,no\n");
    workshop.fail(&["evaluate", "run", "--data", "test.csv"], &["test.csv", "`a`"]);
    workshop.write("wrong.parquet", "PAR1 and then nothing of the kind");
    workshop.fail(&["predict", "run", "wrong.parquet"], &["wrong.parquet"]);
    workshop.write("answers.jsonl", "kept");
    workshop.fail(&["predict", "run", "nothing.csv", "--output", "answers.jsonl"], &["nothing.csv"]);
    assert_eq!(workshop.read("answers.jsonl"), b"kept");
    workshop
        .fail(&["predict", "run", "rows.csv", "--temperature", "1"], &["--temperature", "language model"]);
    workshop.fail(&["predict", "run", "rows.csv", "--output", "no/such/folder"], &["no/such/folder"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_or_closed_output_is_no_panic() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "diamonds", "--run", "run", "--set", "train.steps=2"]);
    for arguments in [&["evaluate", "run", "--json"][..], &["models"], &["recipes", "fashion"]] {
        let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
        let output = workshop.command(arguments).stdout(full).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.starts_with("error: output") && stderr.lines().count() == 1, "{stderr}");
    }
}

#[test]
fn a_loss_that_is_no_number_stops_and_keeps_the_last_good_checkpoint() {
    let workshop = Workshop::new();
    let explode = ["--set", "optimizer.name=sgd", "--set", "optimizer.learning_rate=1e30"];
    let steps =
        ["train", "diamonds", "--run", "run", "--set", "train.steps=50", "--set", "checkpoint.every_steps=1"];
    workshop.fail(&[&steps[..], &explode[..]].concat(), &["step", "loss"]);
    assert!(!workshop.path("run/model.safetensors").exists());
    // The last good checkpoint answers, and says that it is no end.
    let told = workshop.succeed(&["evaluate", "run"]).stderr;
    assert!(told.contains("the run is not finished"), "{told}");
}

#[test]
fn run_folders_that_are_none() {
    let workshop = Workshop::new();
    workshop.fail(&["evaluate", "nowhere"], &["nowhere", "run folder"]);
    workshop.succeed(&["train", "diamonds", "--run", "run", "--set", "train.steps=2"]);
    let weights = workshop.read("run/model.safetensors");
    workshop.write("run/model.safetensors", &weights[..weights.len() / 2]);
    workshop.fail(&["evaluate", "run"], &["model.safetensors"]);
    workshop.write("run/model.safetensors", &weights);
    workshop.write("run/columns.json", "{}");
    workshop.fail(&["evaluate", "run"], &["columns.json"]);
    workshop.write("run/run.json", r#"{"format": 99}"#);
    workshop.fail(&["evaluate", "run"], &["99"]);
    workshop.fail(&["train", "--run", "run", "--resume"], &["99"]);
}

/// A limit on the size of files stands for a full disk: writing beyond it fails.
#[cfg(unix)]
#[test]
fn a_full_disk_while_saving_is_an_error_and_loses_no_checkpoint() {
    let workshop = Workshop::new();
    let sets = ["train.steps=4", "checkpoint.every_steps=2", "train.batch_size=8", "schedule.name=constant"];
    let sets = sets.map(|set| ["--set", set]).concat();
    let train = [&["train", "fashion", "--run", "run"], &sets[..]].concat();
    workshop.succeed(&train);
    let before = records(&workshop.path("run")).len();

    let longer = [&train[..], &["--resume", "--set", "train.steps=8"]].concat();
    let bonfire = workshop.command(&longer);
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(workshop.path("")).args(["-c", "trap '' XFSZ; ulimit -f 64; exec \"$0\" \"$@\""]);
    shell.arg(bonfire.get_program()).args(bonfire.get_args());
    let output = shell.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && !stderr.contains("panicked"), "{stderr}");
    assert!(stderr.lines().any(|line| line.starts_with("error: ") && line.contains("run/")), "{stderr}");

    // With room again, the run goes on from its last checkpoint.
    workshop.succeed(&longer);
    assert!(records(&workshop.path("run")).len() > before);
}

#[test]
fn a_damaged_copy_in_the_cache_is_made_anew_and_not_blamed_on_the_shard() {
    let workshop = Workshop::new();
    let mut shard = tar::Builder::new(Vec::new());
    for number in 0..12 {
        let class = (number % 2).to_string();
        for (ending, content) in [("png", picture::grey(12, number)), ("cls", class.into_bytes())] {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            shard.append_data(&mut header, format!("{number}.{ending}"), &content[..]).unwrap();
        }
    }
    workshop.write("set.tar.gz", gzip(&shard.into_inner().unwrap()));
    let data = "[data]\nkind = 'image'\ntrain = 'set.tar.gz'\nvalid = 'set.tar.gz'\n";
    workshop.write("r.toml", format!("{data}[model]\nname = 'cnn'\n[train]\nepochs = 2\nbatch_size = 4\n"));
    let train = |run: &str| {
        let ended = workshop.succeed(&["train", "r.toml", "--run", run]);
        (workshop.read(&format!("{run}/model.safetensors")), ended.stderr)
    };
    let (weights, _) = train("first");
    let copies = std::fs::read_dir(workshop.path("cache/unpacked")).unwrap();
    let copy = copies.map(|entry| entry.unwrap().path()).find(|path| path.extension().unwrap() == "unpacked");
    let copy = copy.unwrap();
    let whole = std::fs::read(&copy).unwrap();
    let changed = std::fs::metadata(&copy).unwrap().modified().unwrap();

    // As a disk damages it: the system knows of no change.
    let mut damaged = whole.clone();
    let pixels = whole.windows(4).position(|bytes| bytes == b"IDAT").unwrap();
    damaged[pixels + 30] ^= 1;
    std::fs::write(&copy, damaged).unwrap();
    std::fs::File::options().write(true).open(&copy).unwrap().set_modified(changed).unwrap();
    let (again, stderr) = train("damaged");
    assert!(again == weights && stderr.contains("a damaged copy of set.tar.gz"), "{stderr}");
    assert!(std::fs::read(&copy).unwrap() == whole);

    std::fs::write(&copy, &whole[..whole.len() / 2]).unwrap();
    let (again, stderr) = train("cut");
    assert!(again == weights && stderr.contains("it is made anew"), "{stderr}");
    assert!(std::fs::read(&copy).unwrap() == whole);
}

/// A limit of a few files is no error: shards are opened in turns.
#[cfg(unix)]
#[test]
fn shards_are_opened_in_turns_where_few_files_may_be_open() {
    let workshop = Workshop::new();
    for number in 0..90 {
        let mut shard = tar::Builder::new(Vec::new());
        for class in ["a", "b"] {
            let content = picture::grey(8, number);
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            shard.append_data(&mut header, format!("{class}/{number}.png"), &content[..]).unwrap();
        }
        workshop.write(&format!("shards/{number:03}.tar"), shard.into_inner().unwrap());
    }
    let data = "[data]\nkind = 'image'\ntrain = 'shards/*.tar'\nvalid = 'shards/00*.tar'\n";
    workshop.write("r.toml", format!("{data}[model]\nname = 'cnn'\n[train]\nepochs = 2\nbatch_size = 16\n"));
    let bonfire = workshop.command(&["train", "r.toml", "--run", "run"]);
    let mut shell = std::process::Command::new("sh");
    shell.current_dir(workshop.path("")).args(["-c", "ulimit -n 32; exec \"$0\" \"$@\""]);
    shell.envs(bonfire.get_envs().filter_map(|(name, value)| Some((name, value?))));
    shell.arg(bonfire.get_program()).args(bonfire.get_args());
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
