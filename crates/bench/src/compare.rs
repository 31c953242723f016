//! PyTorch and Bonfire in turn, in one sitting on one machine.

use crate::args::CompareArguments;
use crate::figures::{Figures, geometric_mean, median, rounded};
use crate::process::{self, Side};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

/// PyTorch's side of predictions.
const INFER: &str = concat!(include_str!("../torch_resnet20.py"), include_str!("../torch_infer.py"));

/// PyTorch's side of the training steps that the usual script lacks.
const STEPS: &str = concat!(include_str!("../torch_resnet20.py"), include_str!("../torch_steps.py"));

/// The cases of [`STEPS`].
const BUILT_IN: [&str; 2] = ["resnet20_b128_28", "efficientnet_b0_b8_224"];

/// A case on both sides: the median time over the rounds, and the greatest peak memory.
#[derive(Clone, Debug)]
pub struct Pair {
    /// The case's name.
    pub case: String,
    /// PyTorch's milliseconds and MiB.
    pub torch: (f64, u64),
    /// Bonfire's milliseconds and MiB.
    pub bonfire: (f64, u64),
}

impl Pair {
    fn new(case: &str, torch: &[Figures], bonfire: &[Figures]) -> Self {
        let side = |rounds: &[Figures]| {
            let times: Vec<f64> = rounds.iter().map(|figures| figures.median_ms).collect();
            (median(&times), rounds.iter().map(|figures| figures.peak_rss_mb).max().unwrap_or(0))
        };
        Pair { case: case.into(), torch: side(torch), bonfire: side(bonfire) }
    }

    /// PyTorch's time divided by Bonfire's.
    pub fn ratio(&self) -> f64 {
        self.torch.0 / self.bonfire.0
    }
}

/// `bonfire-bench compare`.
pub(crate) fn report(arguments: &CompareArguments, threads: Option<usize>) -> Result<ExitCode> {
    let side = if arguments.infer { Side::Predict } else { Side::Train };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(processors);
    let chosen = process::chosen(side, &arguments.cases)?;
    let rounds = usize::from(arguments.rounds);
    let mut figures = vec![(Vec::new(), Vec::new()); chosen.len()];
    for round in 1..=rounds {
        for (measured, (torchs, ours)) in chosen.iter().zip(&mut figures) {
            let torch = torch(arguments, &measured.name, threads)?;
            let bonfire = process::alone(side, &measured.name, "cpu", Some(threads))?;
            eprintln!(
                "round {round}/{rounds}  {}  PyTorch {:.3} ms  Bonfire {:.3} ms",
                measured.name, torch.median_ms, bonfire.median_ms
            );
            torchs.push(torch);
            ours.push(bonfire);
        }
    }
    let pairs: Vec<Pair> = chosen
        .iter()
        .zip(&figures)
        .map(|(measured, (torch, bonfire))| Pair::new(&measured.name, torch, bonfire))
        .collect();
    print!("{}", markdown(&pairs));
    if let Some(path) = &arguments.json {
        let figures = serde_json::to_string_pretty(&json(&pairs, threads, rounds))?;
        std::fs::write(path, figures + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a case on PyTorch's side, in a process of its own.
fn torch(arguments: &CompareArguments, case: &str, threads: usize) -> Result<Figures> {
    let mut command = Command::new(&arguments.torch);
    let script: &Path = match (arguments.infer, BUILT_IN.contains(&case)) {
        (true, _) => {
            command.args(["-c", INFER]);
            Path::new("torch_infer.py")
        }
        (false, true) => {
            command.args(["-c", STEPS]);
            Path::new("torch_steps.py")
        }
        (false, false) => {
            command.arg(&arguments.script);
            &arguments.script
        }
    };
    let what = || format!("{} {} {case}", arguments.torch.display(), script.display());
    command.arg(case).env("OMP_NUM_THREADS", threads.to_string()).env("PYTHONWARNINGS", "ignore");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(what)?;
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
    let found = lines.find_map(|line| serde_json::from_str::<Figures>(&line.ok()?).ok());
    if found.is_some() {
        // The script goes on to build every later model, which the case does not need.
        child.kill().with_context(what)?;
    }
    let status = child.wait().with_context(what)?;
    match found {
        Some(figures) if figures.case == case => Ok(figures),
        Some(figures) => bail!("{}: expected figures of '{case}', found '{}'", what(), figures.case),
        None => bail!("{}: expected a line of figures, found none ({status})", what()),
    }
}

/// A table of both sides, and the geometric mean of the ratios.
pub fn markdown(pairs: &[Pair]) -> String {
    let mut table =
        String::from("| case | PyTorch ms | Bonfire ms | times as fast | PyTorch MB | Bonfire MB |\n");
    table.push_str("|---|---|---|---|---|---|\n");
    for pair in pairs {
        let (torch, bonfire) = (pair.torch, pair.bonfire);
        writeln!(
            table,
            "| {} | {:.3} | {:.3} | {:.2} | {} | {} |",
            pair.case,
            torch.0,
            bonfire.0,
            pair.ratio(),
            torch.1,
            bonfire.1
        )
        .expect("a string takes every line");
    }
    writeln!(table, "| geometric mean | | | {:.2} | | |", mean(pairs)).expect("a string takes every line");
    table
}

fn mean(pairs: &[Pair]) -> f64 {
    geometric_mean(&pairs.iter().map(Pair::ratio).collect::<Vec<f64>>())
}

fn json(pairs: &[Pair], threads: usize, rounds: usize) -> Value {
    let cases: Vec<Value> = pairs
        .iter()
        .map(|pair| {
            json!({
                "case": pair.case,
                "torch_ms": pair.torch.0,
                "bonfire_ms": pair.bonfire.0,
                "ratio": rounded(pair.ratio()),
                "torch_peak_mb": pair.torch.1,
                "bonfire_peak_mb": pair.bonfire.1,
            })
        })
        .collect();
    json!({ "threads": threads, "rounds": rounds, "cases": cases, "geometric_mean": rounded(mean(pairs)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(median_ms: f64, peak_rss_mb: u64) -> Figures {
        Figures { case: "mlp_b128".into(), median_ms, min_ms: 1.0, threads: 2, peak_rss_mb }
    }

    fn pair() -> Pair {
        let torch = [figures(9.0, 400), figures(4.0, 410), figures(5.0, 405)];
        let bonfire = [figures(2.0, 80), figures(2.5, 81), figures(9.0, 82)];
        Pair::new("mlp_b128", &torch, &bonfire)
    }

    #[test]
    fn medians_of_medians_make_the_table() {
        let slower = Pair { case: "slow".into(), torch: (1.0, 1), bonfire: (2.0, 1) };
        let table = markdown(&[pair(), slower]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[2], "| mlp_b128 | 5.000 | 2.500 | 2.00 | 410 | 82 |");
        assert_eq!(lines[4], "| geometric mean | | | 1.00 | | |");
        assert!(lines.iter().all(|line| line.matches('|').count() == 7), "{table}");
    }

    #[test]
    fn the_file_holds_every_figure() {
        let written = json(&[pair()], 2, 3);
        assert_eq!((&written["threads"], &written["rounds"]), (&2.into(), &3.into()));
        assert_eq!(written["cases"][0]["ratio"], 2.0);
        assert_eq!(written["geometric_mean"], 2.0);
    }
}
