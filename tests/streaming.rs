//! Tables, texts and pictures streamed in blocks: trained, killed and resumed, packed and checked.

use crate::support::picture;
use crate::support::program::Workshop;
use std::fmt::Write;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// 30,000 rows in several blocks. The target is three times the size, plus 5 for one colour.
fn rows() -> impl Iterator<Item = (f64, &'static str, f64)> {
    (0..30_000u64).map(|row| {
        let size = (row.wrapping_mul(2_654_435_761) % 1000) as f64 / 100.0;
        let colour = ["red", "green", "blue"][row as usize % 3];
        (size, colour, 3.0 * size + if colour == "red" { 5.0 } else { 0.0 })
    })
}

fn csv(workshop: &Workshop) {
    let mut text = "size,colour,note,price\n".to_string();
    for (size, colour, price) in rows() {
        writeln!(text, "{size},{colour},\"a note of more than one\nline, to fill the blocks\",{price}")
            .unwrap();
    }
    workshop.write("rows.csv", text);
}

fn jsonl(workshop: &Workshop) {
    let mut text = String::new();
    for (size, colour, price) in rows() {
        writeln!(
            text,
            r#"{{"size": {size}, "colour": "{colour}", "price": {price}, "fill": "{}"}}"#,
            "x".repeat(40)
        )
        .unwrap();
    }
    workshop.write("rows.jsonl", text);
}

fn recipe(workshop: &Workshop, train: &str, ignore: &str) {
    workshop.write(
        "r.toml",
        format!(
            "[data]\nkind = 'table'\ntrain = '{train}'\ntarget = 'price'\nignore = [{ignore}]\nstream = true\n\
             valid_fraction = 0.34\nwindow_bytes = 2000000\n[model]\nname = 'mlp'\n[train]\nsteps = 400\n\
             batch_size = 64\n[optimizer]\nname = 'adam'\nlearning_rate = 0.01\n[checkpoint]\nevery_steps = 20\n"
        ),
    );
}

/// Trains once undisturbed, and once killed again and again. Asserts that the weights are the same, bit for
/// bit.
fn killed_and_resumed(workshop: &Workshop, schema: &str) {
    let train = |run| ["train", "r.toml", "--run", run, "--threads", "1"];
    let begun = Instant::now();
    workshop.succeed(&train("whole"));
    let whole = begun.elapsed();
    for part in [3, 5, 2, 4] {
        let mut command = workshop.command(&train("killed"));
        let mut child = command.arg("--resume").stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::max(whole / part, Duration::from_millis(1)));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    workshop.succeed(&[&train("killed")[..], &["--resume"]].concat());
    for file in ["model.safetensors", schema, "streamed.json"] {
        let [a, b] = ["whole", "killed"].map(|run| workshop.read(&format!("{run}/{file}")));
        assert!(a == b, "{file} differs");
    }
}

#[test]
fn streamed_tables_end_bit_identical_when_killed_and_packing_keeps_their_rows() {
    let workshop = Workshop::new();
    csv(&workshop);
    recipe(&workshop, "rows.csv", "'note'");
    killed_and_resumed(&workshop, "columns.json");
    let evaluated = workshop.succeed(&["evaluate", "whole", "--json"]).stdout;
    let evaluated: serde_json::Value = serde_json::from_str(&evaluated).unwrap();
    assert!(evaluated["r2"].as_f64().unwrap_or(1.0) > 0.9, "{evaluated}");
    let resumed = workshop.succeed(&["train", "--run", "killed", "--resume"]);
    assert!(!resumed.stderr.contains("once for its columns"), "{}", resumed.stderr);

    let packed = workshop.succeed(&["data", "pack", "rows.csv", "packed", "--shard-size", "1MB"]).stdout;
    assert!(packed.contains("30000 records in ") && packed.contains(".parquet"), "{packed}");
    let again = workshop.succeed(&["data", "pack", "rows.csv", "packed", "--shard-size", "1MB"]).stdout;
    assert!(!again.contains("(0 were there)"), "{again}");
    for uri in ["rows.csv", "packed/*.parquet"] {
        let inspected = workshop.succeed(&["data", "inspect", uri]).stdout;
        assert!(inspected.contains("30000 rows of "), "{inspected}");
        let verified = workshop.succeed(&["data", "verify", uri]);
        assert!(verified.stderr.contains("30000 samples") && verified.stderr.contains(" 0 corrupt"));
    }
    let evaluate = |uri| workshop.succeed(&["evaluate", "whole", "--json", "--data", uri]).stdout;
    assert_eq!(evaluate("rows.csv"), evaluate("packed/*.parquet"));
    for uri in ["rows.csv", "packed/*.parquet"] {
        let measured =
            workshop.succeed(&["data", "bench", uri, "--seconds", "0.2", "--target", "price"]).stdout;
        assert_eq!(measured.matches("rows/s").count(), 3, "{measured}");
    }
    let measured =
        workshop.succeed(&["data", "bench", "rows.csv", "--seconds", "0.2", "--text-column", "note"]);
    assert!(measured.stdout.contains("tokens/s"), "{}", measured.stdout);
    recipe(&workshop, "packed/*.parquet", "'note'");
    for run in ["whole", "killed"] {
        std::fs::remove_dir_all(workshop.path(run)).unwrap();
    }
    killed_and_resumed(&workshop, "columns.json");
}

#[test]
fn streamed_json_lines_end_bit_identical_when_killed() {
    let workshop = Workshop::new();
    jsonl(&workshop);
    recipe(&workshop, "rows.jsonl", "'fill'");
    killed_and_resumed(&workshop, "columns.json");
}

/// Writes 3 MB of lines, three blocks.
fn tale(workshop: &Workshop) {
    let words = ["the", "cat", "sat", "on", "a", "mat", "and", "said", "nothing", "more"];
    let mut text = String::new();
    let mut draw = 1u64;
    while text.len() < 3_000_000 {
        for _ in 0..9 {
            draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            write!(text, "{} ", words[(draw >> 33) as usize % words.len()]).unwrap();
        }
        text += ".\n";
    }
    workshop.write("tale.txt", text);
}

#[test]
fn a_streamed_language_model_ends_bit_identical_when_killed_and_is_evaluated_and_continued() {
    let workshop = Workshop::new();
    tale(&workshop);
    let recipe = |stream: bool, order: &str| {
        workshop.write(
            "r.toml",
            format!(
                "[data]\nkind = 'text'\ntask = 'language_model'\ntrain = 'tale.txt'\nvocabulary = 'character'\n\
                 max_tokens = 32\nstream = {stream}\n{order}window_bytes = 3000000\nvalid_fraction = 0.005\n\
                 [model]\nname = 'lstm_lm'\nhidden = 16\n[train]\nsteps = 200\nbatch_size = 16\n\
                 [checkpoint]\nevery_steps = 10\n"
            ),
        );
    };
    recipe(true, "");
    killed_and_resumed(&workshop, "vocabulary.json");
    let evaluate = |run| workshop.succeed(&["evaluate", run, "--json"]).stdout;
    let evaluated: serde_json::Value = serde_json::from_str(&evaluate("whole")).unwrap();
    assert!(evaluated["loss"].as_f64().unwrap() < 3.0, "{evaluated}");
    assert_eq!(evaluate("killed"), evaluate("whole"));
    let continued = workshop.succeed(&["predict", "whole", "the cat", "--tokens", "20"]).stdout;
    assert!(continued.contains("\"text\""), "{continued}");
    let resumed = workshop.succeed(&["train", "--run", "killed", "--resume"]);
    assert!(!resumed.stderr.contains("once for its tokens"), "{}", resumed.stderr);

    // In full order the samples are those of a text in memory, one by one.
    for (run, stream, order) in [("blocks", true, "order = 'full'\n"), ("memory", false, "")] {
        recipe(stream, order);
        workshop.succeed(&["train", "r.toml", "--run", run, "--threads", "1"]);
    }
    assert!(workshop.read("blocks/model.safetensors") == workshop.read("memory/model.safetensors"));

    // A run cannot go on with another text.
    let text = String::from_utf8(workshop.read("tale.txt")).unwrap();
    workshop.write("tale.txt", &text[..text.len() / 2]);
    let resume = ["train", "--run", "killed", "--resume"];
    workshop.fail(&resume, &["tale.txt: expected the ", " records that the run began with, found "]);
    let measured = workshop.succeed(&["data", "bench", "tale.txt", "--seconds", "0.2"]).stdout;
    assert!(measured.contains("lines/s") && measured.contains("tokens/s"), "{measured}");
    assert!(workshop.succeed(&["data", "verify", "tale.txt"]).stderr.contains(" 0 corrupt"));
}

#[test]
fn a_damaged_block_is_named_by_its_file_and_place() {
    let workshop = Workshop::new();
    csv(&workshop);
    workshop.succeed(&["data", "index", "rows.csv"]);
    let path = workshop.path("rows.csv");
    let modified = std::fs::metadata(&path).unwrap().modified().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len() - 3;
    bytes[end] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
    let ended = workshop.run(&["data", "verify", "rows.csv"]);
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(
        ended.stdout.contains("rows.csv, block at line ") && ended.stdout.contains("checksum"),
        "{}",
        ended.stdout
    );
    workshop.fail(&["data", "pack", "rows.csv", "x", "--format", "tar"], &["--format", "parquet"]);
}

#[test]
fn pictures_packed_as_parquet_train_and_verify() {
    let workshop = Workshop::new();
    for number in 0..60 {
        let class = ["cat", "dog"][number as usize % 2];
        workshop.write(&format!("pictures/{class}/{number}.png"), picture::grey(16, number));
    }
    let pack = ["data", "pack", "pictures", "shards", "--shard-size", "5kB", "--format", "parquet"];
    let packed = workshop.succeed(&pack).stdout;
    assert!(packed.contains("60 pictures in ") && packed.contains("(0 were there)"), "{packed}");
    assert!(!workshop.succeed(&pack).stdout.contains("(0 were there)"));
    let uri = "shards/pictures-*.parquet";
    let inspected = workshop.succeed(&["data", "inspect", uri]).stdout;
    assert!(inspected.contains("60 samples in ") && inspected.contains("2 classes"), "{inspected}");
    assert!(workshop.succeed(&["data", "verify", uri]).stderr.contains(" 0 corrupt"));
    assert!(workshop.succeed(&["data", "bench", uri, "--seconds", "0.2"]).stdout.contains("pictures/s"));
    workshop.write(
        "r.toml",
        format!(
            "[data]\nkind = 'image'\ntrain = '{uri}'\ntest = 'pictures'\n[model]\nname = 'logistic'\n\
                 [train]\nepochs = 2\n"
        ),
    );
    workshop.succeed(&["train", "r.toml", "--run", "run"]);
    let evaluate = |uri| -> serde_json::Value {
        serde_json::from_str(&workshop.succeed(&["evaluate", "run", "--json", "--data", uri]).stdout).unwrap()
    };
    assert_eq!(evaluate(uri)["accuracy"], evaluate("pictures")["accuracy"]);
    assert_eq!(workshop.succeed(&["predict", "run", uri]).stdout.lines().count(), 60);
}
