//! A job of the program under `mpirun`, watched while it runs.

use super::program::records;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

/// A job, with its lines on standard error read as they come.
pub struct Job {
    pub child: Child,
    lines: Receiver<String>,
    seen: Vec<String>,
}

impl Job {
    pub fn start(mut command: Command) -> Self {
        let mut child = command.spawn().expect("mpirun (Debian: openmpi-bin)");
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let (send, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    break;
                }
            }
        });
        Job { child, lines, seen: Vec::new() }
    }

    /// Waits for a line that contains `fragment`.
    pub fn wait_for(&mut self, fragment: &str) {
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

    /// The process ids of the ranks, in order.
    pub fn ranks(&self) -> Vec<i32> {
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

    pub fn kill(process: i32, signal: Signal) {
        signal::kill(Pid::from_raw(process), signal).unwrap();
    }

    /// Waits for the end of the job for at most `within`. Returns its exit code and its standard error.
    pub fn end(mut self, within: Duration) -> (Option<i32>, String) {
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

/// A run long enough to be stopped on its way, with a checkpoint every 20 steps.
pub const LONG: [&str; 6] = [
    "train.steps=4000",
    "train.report_every=1",
    "train.evaluate_every=4000",
    "checkpoint.every_steps=20",
    "optimizer={name=\"sgd\",learning_rate=0.02}",
    "schedule={name=\"constant\"}",
];

/// The program's arguments for a run.
pub fn arguments<'a>(recipe: &'a str, run: &'a str, sets: &[&'a str]) -> Vec<&'a str> {
    let mut arguments = vec!["train", recipe, "--run", run];
    sets.iter().for_each(|set| arguments.extend(["--set", set]));
    arguments
}

/// A point of the curve: the kind and step of a record, and its figures.
pub type Point = (String, Vec<(String, f64)>);

/// The figures of a run over its steps, without times.
pub fn curve(run: &Path) -> Vec<Point> {
    let figures = |record: serde_json::Value| {
        let object = record.as_object().unwrap().clone();
        let name = format!("{} at step {}", object["kind"].as_str().unwrap(), object["step"]);
        let ours = |key: &str| !["kind", "step", "seconds", "epoch", "learning_rate"].contains(&key);
        let figures = object.iter().filter(|(key, _)| ours(key));
        (name, figures.map(|(key, value)| (key.clone(), value.as_f64().unwrap())).collect())
    };
    records(run).into_iter().map(figures).collect()
}
