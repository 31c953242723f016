//! Peers and Bonfire in turn, in one sitting on one machine.

use crate::args::CompareArguments;
use crate::figures::{Figures, geometric_mean, median, rounded};
use crate::peers::Peer;
use crate::process::{self, Side};
use anyhow::{Context, Result};
use serde_json::{Map, Value, json};
use std::process::ExitCode;

/// One side of a case: the median of its times over the rounds, and its greatest peak memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Taken {
    /// Milliseconds.
    pub ms: f64,
    /// MiB.
    pub mb: u64,
}

impl Taken {
    fn of(rounds: &[Figures]) -> Self {
        let times: Vec<f64> = rounds.iter().map(|figures| figures.median_ms).collect();
        Taken { ms: median(&times), mb: rounds.iter().map(|figures| figures.peak_rss_mb).max().unwrap_or(0) }
    }
}

/// A case on all sides.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The case's name.
    pub case: String,
    /// Each peer's side, in the order in which they were asked for.
    pub peers: Vec<Taken>,
    /// Bonfire's side.
    pub bonfire: Taken,
}

impl Compared {
    /// The fastest peer's time divided by Bonfire's.
    pub fn ratio(&self) -> f64 {
        self.peers.iter().map(|peer| peer.ms).fold(f64::INFINITY, f64::min) / self.bonfire.ms
    }
}

/// `bonfire-bench compare`.
pub(crate) fn report(arguments: &CompareArguments, threads: Option<usize>) -> Result<ExitCode> {
    let side = if arguments.infer { Side::Predict } else { Side::Train };
    let processors = || std::thread::available_parallelism().map_or(1, usize::from);
    let threads = threads.unwrap_or_else(processors);
    let peers = &arguments.peers;
    let exported = tempfile::tempdir().context("a folder for exported models")?;
    let rounds = usize::from(arguments.rounds);
    let mut compared = Vec::new();
    for measured in process::chosen(side, &arguments.cases)? {
        let case = measured.name;
        let mut figures = vec![Vec::new(); peers.len()];
        let mut ours = Vec::new();
        for round in 1..=rounds {
            let mut line = format!("round {round}/{rounds}  {case}");
            for (peer, figures) in peers.iter().zip(&mut figures) {
                let taken = peer.measure(arguments, &case, threads, exported.path())?;
                line += &format!("  {} {:.3} ms", peer.title(), taken.median_ms);
                figures.push(taken);
            }
            let bonfire = process::alone(side, &case, "cpu", Some(threads))?;
            eprintln!("{line}  Bonfire {:.3} ms", bonfire.median_ms);
            ours.push(bonfire);
        }
        let peers = figures.iter().map(|rounds| Taken::of(rounds)).collect();
        compared.push(Compared { case, peers, bonfire: Taken::of(&ours) });
    }
    print!("{}", markdown(peers, &compared));
    if let Some(path) = &arguments.json {
        let figures = serde_json::to_string_pretty(&json(peers, &compared, threads, rounds))?;
        std::fs::write(path, figures + "\n").with_context(|| path.display().to_string())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// A table of all sides, and the geometric mean of the ratios.
pub fn markdown(peers: &[Peer], compared: &[Compared]) -> String {
    let sides = || peers.iter().map(|peer| peer.title()).chain(["Bonfire"]);
    let row = |first: &str, times: Vec<String>, ratio: &str, memory: Vec<String>| {
        let cells = [vec![first.to_string()], times, vec![ratio.to_string()], memory].concat();
        format!("| {} |\n", cells.join(" | "))
    };
    let titles = |unit: &str| sides().map(|side| format!("{side} {unit}")).collect();
    let mut table = row("case", titles("ms"), "times as fast", titles("MB"));
    table += &format!("|{}\n", "---|".repeat(2 * peers.len() + 4));
    for each in compared {
        let sides = || each.peers.iter().chain([&each.bonfire]);
        let times = sides().map(|side| format!("{:.3}", side.ms)).collect();
        let memory = sides().map(|side| side.mb.to_string()).collect();
        table += &row(&each.case, times, &format!("{:.2}", each.ratio()), memory);
    }
    let empty = || vec![String::new(); peers.len() + 1];
    table + &row("geometric mean", empty(), &format!("{:.2}", mean(compared)), empty())
}

fn mean(compared: &[Compared]) -> f64 {
    geometric_mean(&compared.iter().map(Compared::ratio).collect::<Vec<f64>>())
}

fn json(peers: &[Peer], compared: &[Compared], threads: usize, rounds: usize) -> Value {
    let cases: Vec<Value> = compared
        .iter()
        .map(|compared| {
            let mut fields = Map::new();
            fields.insert("case".into(), json!(compared.case));
            let names = peers.iter().map(|peer| peer.name()).chain(["bonfire".to_string()]);
            for (name, side) in names.zip(compared.peers.iter().chain([&compared.bonfire])) {
                fields.insert(format!("{name}_ms"), json!(side.ms));
                fields.insert(format!("{name}_peak_mb"), json!(side.mb));
            }
            fields.insert("ratio".into(), json!(rounded(compared.ratio())));
            Value::Object(fields)
        })
        .collect();
    json!({ "threads": threads, "rounds": rounds, "cases": cases, "geometric_mean": rounded(mean(compared)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures(median_ms: f64, peak_rss_mb: u64) -> Figures {
        Figures { case: "mlp_b128".into(), median_ms, min_ms: 1.0, threads: 2, peak_rss_mb }
    }

    fn compared() -> Compared {
        let torch = [figures(9.0, 400), figures(4.0, 410), figures(5.0, 405)];
        let bonfire = [figures(2.0, 80), figures(2.5, 81), figures(9.0, 82)];
        Compared { case: "mlp_b128".into(), peers: vec![Taken::of(&torch)], bonfire: Taken::of(&bonfire) }
    }

    #[test]
    fn medians_of_medians_make_the_table() {
        let side = |ms| Taken { ms, mb: 1 };
        let slower = Compared { case: "slow".into(), peers: vec![side(1.0)], bonfire: side(2.0) };
        let table = markdown(&[Peer::Torch], &[compared(), slower]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[0], "| case | PyTorch ms | Bonfire ms | times as fast | PyTorch MB | Bonfire MB |");
        assert_eq!(lines[2], "| mlp_b128 | 5.000 | 2.500 | 2.00 | 410 | 82 |");
        assert_eq!(lines[4], "| geometric mean |  |  | 1.00 |  |  |");
        assert!(lines.iter().all(|line| line.matches('|').count() == 7), "{table}");
    }

    #[test]
    fn the_fastest_peer_is_the_measure() {
        let side = |ms| Taken { ms, mb: 1 };
        let case = Compared { case: "x".into(), peers: vec![side(3.0), side(1.0)], bonfire: side(2.0) };
        let peers = [Peer::OpenVino, Peer::OnnxRuntime];
        let table = markdown(&peers, std::slice::from_ref(&case));
        assert!(table.contains("| x | 3.000 | 1.000 | 2.000 | 0.50 | 1 | 1 | 1 |"), "{table}");
        let written = json(&peers, &[case], 2, 3);
        assert_eq!(written["cases"][0]["openvino_ms"], 3.0);
    }

    #[test]
    fn the_file_holds_every_figure() {
        let written = json(&[Peer::Torch], &[compared()], 2, 3);
        assert_eq!((&written["threads"], &written["rounds"]), (&2.into(), &3.into()));
        assert_eq!(written["cases"][0]["torch_peak_mb"], 410);
        assert_eq!(written["cases"][0]["ratio"], 2.0);
        assert_eq!(written["geometric_mean"], 2.0);
    }
}
