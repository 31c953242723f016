//! Answers for people: as JSON lines, CSV and Parquet, with columns of the input carried along, rounded, and
//! with a line for each input that could not be read.

use crate::support::program::Workshop;
use serde_json::Value;

/// A run on 60 rows of two classes, which leaves out rows that cannot be read.
fn rows(workshop: &Workshop) {
    let row = |n: usize| {
        format!("{n},{},{}\n", n * 7 % 60, if n.is_multiple_of(2) { "even" } else { "odd, or so" })
    };
    let rows: String = (0..60).map(|n| row(n).replace("odd, or so", "\"odd, or so\"")).collect();
    workshop.write("train.csv", format!("a,b,kind\n{rows}"));
    workshop.write(
        "r.toml",
        "[data]\nkind = 'table'\ntrain = 'train.csv'\ntarget = 'kind'\non_corrupt = 'skip'\n\
         [model]\nname = 'logistic'\n[train]\nsteps = 20\nbatch_size = 8\n",
    );
    workshop.succeed(&["train", "r.toml", "--run", "run"]);
    workshop.write("ask.csv", "id,a,b,name\n001,1,2,ann\n002,x,3,\"bob, jr\"\n003,5\n004,3,4,dan\n");
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn every_format_carries_columns_along_and_says_what_could_not_be_read() {
    let workshop = Workshop::new();
    rows(&workshop);
    let ask = |more: &[&str]| workshop.succeed(&[&["predict", "run", "ask.csv"], more].concat());
    let plain = ask(&[]);
    assert!(plain.stderr.contains("2 inputs have no answer"), "{}", plain.stderr);
    let plain = lines(&plain.stdout);
    let names: Vec<&str> = plain.iter().map(|line| line["input"].as_str().unwrap()).collect();
    assert_eq!(names, ["ask.csv:2", "ask.csv:3", "ask.csv:4", "ask.csv:5"]);
    assert!(plain[0]["label"].is_string() && plain[0]["error"].is_null());
    assert!(plain[1]["error"].as_str().unwrap().contains("line 3, column `a`"), "{}", plain[1]);
    assert!(plain[2]["error"].as_str().unwrap().contains("line 4"), "{}", plain[2]);

    let kept = lines(&ask(&["--keep", "id,name", "--digits", "2"]).stdout);
    assert_eq!((&kept[0]["id"], &kept[1]["name"]), (&"001".into(), &"bob, jr".into()));
    for (kept, plain) in kept.iter().zip(&plain).filter(|(kept, _)| kept["error"].is_null()) {
        assert_eq!(kept["label"], plain["label"]);
        let [rounded, whole] = [kept, plain].map(|line| line["probability"].as_f64().unwrap());
        assert!((rounded - whole).abs() <= 0.005 + 1e-9 && (rounded * 100.0).fract().abs() < 1e-6);
    }

    // The ending of the output says how it is written.
    ask(&["--keep", "id,name", "--digits", "2", "--output", "out.csv"]);
    let csv = String::from_utf8(workshop.read("out.csv")).unwrap();
    let table: Vec<&str> = csv.lines().collect();
    assert_eq!(table[0], "input,id,name,label,probability,p_even,\"p_odd, or so\",error");
    assert!(table[1].starts_with("ask.csv:2,001,ann,") && table[1].ends_with(','), "{csv}");
    assert!(table[2].starts_with("ask.csv:3,002,\"bob, jr\",,,,,"), "{csv}");
    assert_eq!(table.len(), 5);
    ask(&["--output", "out.parquet"]);
    let parquet = workshop.read("out.parquet");
    assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"));
    assert_eq!(lines(&ask(&["--format", "jsonl"]).stdout), plain);
    let told = ask(&["--output", "out.tsv"]).stderr;
    assert!(told.contains("out.tsv: written as JSON lines"), "{told}");

    workshop
        .fail(&["predict", "run", "ask.csv", "--keep", "idd"], &["a column `idd`", "the nearest are `id`"]);
    workshop.fail(&["predict", "run", "ask.csv", "--keep", "id,id"], &["--keep", "once"]);
}

#[test]
fn texts_have_a_line_for_each_that_could_not_be_read() {
    let workshop = Workshop::new();
    let rows: String = (0..40).map(|n| format!("{} {n},{}\n", ["sun", "rain"][n % 2], n % 2)).collect();
    workshop.write("t.csv", format!("text,label\n{rows}"));
    workshop.write(
        "r.toml",
        "[data]\nkind = 'text'\ntrain = 't.csv'\non_corrupt = 'skip'\n[model]\nname = 'lstm'\nhidden = 8\n\
         [train]\nsteps = 3\nbatch_size = 8\n",
    );
    workshop.succeed(&["train", "r.toml", "--run", "run"]);
    workshop.write("ask.csv", b"id,text\n1,sun\n2,\xff\n3,rain\n");
    let asked = lines(&workshop.succeed(&["predict", "run", "ask.csv", "--keep", "id"]).stdout);
    assert_eq!(asked.len(), 3);
    assert!(asked[1]["error"].as_str().unwrap().contains("UTF-8") && asked[1]["input"] == "ask.csv:3");
    assert_eq!((&asked[0]["id"], &asked[2]["id"]), (&"1".into(), &"3".into()));
    workshop.fail(&["predict", "run", "some sun", "--keep", "id"], &["a column `id`", "without columns"]);
}
