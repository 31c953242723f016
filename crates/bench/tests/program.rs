//! Tests of the program itself. None depends on a duration.

use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Command, Output};

fn run(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_bonfire-bench")).args(arguments).output().unwrap()
}

fn lines(output: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(output);
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}")))
        .collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn cases_print_a_line_each_of_exactly_the_keys() {
    let output = run(&["steps", "mlp_b128", "linear_regression_b1024_d100", "--json", "--threads", "1"]);
    assert!(output.status.success(), "{}", said(&output));
    let lines = lines(&output.stdout);
    let cases: Vec<&Value> = lines.iter().map(|line| &line["case"]).collect();
    assert_eq!(cases, ["linear_regression_b1024_d100", "mlp_b128"]);
    for line in &lines {
        assert_eq!(keys(line), BTreeSet::from(["case", "median_ms", "min_ms", "threads", "peak_rss_mb"]));
        assert_eq!(line["threads"], 1);
        assert!(line["min_ms"].as_f64() <= line["median_ms"].as_f64());
        assert!(line["peak_rss_mb"].as_u64().unwrap() > 0);
    }
}

#[test]
fn predictions_print_the_same_keys() {
    let output = run(&["infer", "linear_regression_b1_d100", "--json"]);
    assert!(output.status.success(), "{}", said(&output));
    let lines = lines(&output.stdout);
    assert_eq!(lines.len(), 1);
    assert_eq!(keys(&lines[0]), BTreeSet::from(["case", "median_ms", "min_ms", "threads", "peak_rss_mb"]));
}

#[test]
fn what_cannot_be_measured_is_one_line_of_error() {
    for (arguments, words) in [
        (vec!["steps", "cnn"], "case: expected a known one such as cnn28_b64"),
        (vec!["ops", "liner_gelu"], "op: expected a known one such as linear_gelu"),
        (vec!["steps", "mlp_b128", "--device", "cpp"], "device 'cpp': expected one of"),
        (vec!["compare", "mlp_b128", "--torch", "no/such/python"], "no/such/python"),
    ] {
        let output = run(&arguments);
        let said = said(&output);
        assert!(!output.status.success(), "{arguments:?}");
        assert!(said.starts_with("error: ") && said.contains(words) && said.lines().count() == 1, "{said}");
    }
}

/// The script stands in for PyTorch's side, in a language that every Unix has.
#[cfg(unix)]
#[test]
fn both_sides_are_compared_in_a_table_and_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("steps.sh");
    let line = concat!(
        r#"{\"case\": \"$1\", \"median_ms\": 5.5, \"min_ms\": 5.0, \"threads\": $OMP_NUM_THREADS, "#,
        r#"\"peak_rss_mb_so_far\": 300, \"torch\": \"2\"}"#
    );
    std::fs::write(&script, format!("echo building\necho \"{line}\"\n")).unwrap();
    let file = folder.path().join("figures.json");
    let (script, file) = (script.to_str().unwrap(), file.to_str().unwrap());
    let case = "linear_regression_b1024_d100";
    let output = run(&[
        "compare",
        case,
        "--torch",
        "/bin/sh",
        "--script",
        script,
        "--rounds",
        "2",
        "--json",
        file,
        "--threads",
        "1",
    ]);
    assert!(output.status.success(), "{}", said(&output));
    let table = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(table.contains(&format!("| {case} | 5.500 |")), "{table}");
    let figures: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    assert_eq!((&figures["threads"], &figures["rounds"]), (&1.into(), &2.into()));
    assert_eq!(figures["cases"][0]["torch_peak_mb"], 300);
}
