//! The quick examples reach the number that their first lines state; the slower ones are only built.
//!
//! `cargo test` builds examples; `cargo test --test program` runs those that `cargo build --examples` left.

use crate::support::program::Workshop;
use std::path::Path;
use std::process::Command;

/// Runs an example and gives its standard output.
fn run(name: &str, arguments: &[&str]) -> String {
    let examples = Path::new(env!("CARGO_BIN_EXE_bonfire")).with_file_name("examples");
    let example = examples.join(name);
    let output = Command::new(&example)
        .args(arguments)
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}; `cargo build --examples` builds it", example.display()));
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The number after `label` in a text.
fn number_after(text: &str, label: &str) -> f64 {
    let rest = &text[text.find(label).unwrap_or_else(|| panic!("no '{label}' in {text}")) + label.len()..];
    let number: String =
        rest.trim_start().chars().take_while(|c| c.is_ascii_digit() || "+-.e".contains(*c)).collect();
    number.parse().unwrap_or_else(|_| panic!("no number after '{label}' in {text}"))
}

#[test]
fn the_line_is_found() {
    let text = run("01_line", &[]);
    assert!((number_after(&text, "y =") - 2.0).abs() < 0.02, "{text}");
    assert!((number_after(&text, "x +") - 1.0).abs() < 0.02, "{text}");
}

#[test]
fn logistic_regression_reaches_its_number() {
    let stated = include_str!("../examples/02_logistic.rs");
    let text = run("02_logistic", &[]);
    assert!(number_after(&text, "accuracy") >= number_after(stated, "reaches") - 0.001, "{text}");
}

#[test]
fn a_run_is_asked_from_a_program() {
    let workshop = Workshop::new();
    workshop.succeed(&["train", "sms", "--run", "sms"]);
    let text = run("08_predict", &[workshop.path("sms").to_str().unwrap()]);
    let stated = include_str!("../examples/08_predict.rs");
    let (prize, dinner) = text.split_once('\n').unwrap();
    assert!(number_after(prize, "with") > number_after(stated, "above"), "{text}");
    assert!(number_after(dinner, "with") < 0.1, "{text}");
}
