//! Runs cases in this process, or each in one of its own.

use crate::args::{Chosen, RanksArguments};
use crate::cases::{self, Case, PREDICTED};
use crate::figures::Figures;
use crate::names;
use anyhow::{Context, Result, bail};
use bonfire_cluster::{Alone, Job};
use bonfire_kernels::threads;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::Duration;

/// The measured use of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Train,
    Predict,
}

impl Side {
    fn subcommand(self) -> &'static str {
        match self {
            Side::Train => "steps",
            Side::Predict => "infer",
        }
    }
}

/// A case with the name and the batch size of one measurement.
pub(crate) struct Measured {
    pub(crate) name: String,
    batch: usize,
    case: Case,
}

/// The cases in `asked`, or all if it is empty.
///
/// # Errors
/// When a name is not known.
pub(crate) fn chosen(side: Side, asked: &[String]) -> Result<Vec<Measured>> {
    let mut known = Vec::new();
    for case in cases::all() {
        match side {
            Side::Train => known.push((case.name.to_owned(), case.batch)),
            Side::Predict => known.extend(PREDICTED.map(|batch| (case.predicted(batch), batch))),
        }
    }
    let wanted = names::chosen("case", &known, |(name, _)| name, asked)?;
    let measured = |(name, batch): &(String, usize)| {
        let named = |case: &Case| case.name == name || case.predicted(*batch) == *name;
        let case = cases::all().into_iter().find(named).expect("the name is a case's");
        Measured { name: name.clone(), batch: *batch, case }
    };
    Ok(wanted.into_iter().map(measured).collect())
}

/// `bonfire-bench steps` and `bonfire-bench infer`.
pub(crate) fn cases(side: Side, arguments: &Chosen, threads: Option<usize>) -> Result<ExitCode> {
    let chosen = chosen(side, &arguments.cases)?;
    if !arguments.json {
        println!("{:<32}{:>12}{:>12}{:>9}{:>10}", "case", "median ms", "min ms", "threads", "peak MB");
    }
    for measured in &chosen {
        let figures = match chosen.len() {
            1 => here(side, &measured.name, &arguments.device)?,
            _ => alone(side, &measured.name, &arguments.device, threads)?,
        };
        if arguments.json {
            println!("{}", serde_json::to_string(&figures)?);
        } else {
            println!(
                "{:<32}{:>12.3}{:>12.3}{:>9}{:>10}",
                figures.case, figures.median_ms, figures.min_ms, figures.threads, figures.peak_rss_mb
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// `bonfire-bench ranks`: this process is one rank of a job whose ranks train one model. Each rank's batch is
/// `times` as large as the case's. Rank 0 prints.
pub(crate) fn ranks(arguments: &RanksArguments) -> Result<ExitCode> {
    let times = usize::from(arguments.times);
    let job = Job::join(Duration::from_secs(600))?;
    let communicator = job.communicator();
    let device = bonfire_device::open("cpu")?.autodiff();
    threads::inside(|| {
        for Measured { name, batch, case } in chosen(Side::Train, &arguments.cases)? {
            device.seed(0);
            // The network's share is small in a short step, which wants more steps to be measured.
            let steps = arguments.steps.max(3 * case.steps);
            let before = communicator.waited();
            let taken = (case.measures.train)(batch * times, steps, &device, communicator.clone())?;
            let waited = (communicator.waited() - before).as_secs_f64() * 1e3 / taken.len() as f64;
            if communicator.rank() == 0 {
                let figures = serde_json::json!({
                    "case": name,
                    "ranks": communicator.size(),
                    "threads": threads::count(),
                    "samples_a_rank": batch * times,
                    "median_ms": Figures::here(&name, &taken).median_ms,
                    "waited_ms": crate::figures::rounded(waited),
                });
                println!("{figures}");
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// Measures a case in this process.
fn here(side: Side, name: &str, device: &str) -> Result<Figures> {
    let device = bonfire_device::open(device)?;
    // On a thread of the kernels' pool, as in `bonfire` itself.
    threads::inside(|| {
        let Measured { batch, case, .. } =
            chosen(side, &[name.to_owned()])?.pop().expect("a case that is there");
        let measures = &case.measures;
        device.seed(0);
        let times = match side {
            Side::Train => (measures.train)(batch, case.steps, &device.clone().autodiff(), Arc::new(Alone))?,
            Side::Predict => (measures.predict)(batch, &device)?,
        };
        Ok(Figures::here(name, &times))
    })
}

/// Measures a case in a process of its own.
pub(crate) fn alone(side: Side, name: &str, device: &str, threads: Option<usize>) -> Result<Figures> {
    let program = std::env::current_exe().context("the path of this program")?;
    let mut command = Command::new(program);
    command.args([side.subcommand(), name, "--json", "--device", device]);
    if let Some(threads) = threads {
        command.args(["--threads", &threads.to_string()]);
    }
    let output = command.stderr(Stdio::inherit()).output().with_context(|| name.to_owned())?;
    if !output.status.success() {
        bail!("{name}: expected the process to succeed, found {}", output.status);
    }
    serde_json::from_slice(&output.stdout).with_context(|| format!("{name}: expected one line of figures"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(side: Side, asked: &[&str]) -> Result<Vec<String>> {
        let asked: Vec<String> = asked.iter().map(ToString::to_string).collect();
        Ok(chosen(side, &asked)?.into_iter().map(|measured| measured.name).collect())
    }

    #[test]
    fn cases_keep_their_order_and_must_be_known() {
        let found = names(Side::Train, &["resnet18_b8_224", "mlp_b128"]).unwrap();
        assert_eq!(found, ["mlp_b128", "resnet18_b8_224"]);
        assert!(names(Side::Train, &["mlp_b12"]).is_err());
    }

    #[test]
    fn each_model_predicts_one_a_few_and_many() {
        let found = names(Side::Predict, &["cnn28_b1", "cnn28_b8", "cnn28_b32"]).unwrap();
        assert_eq!(found, ["cnn28_b1", "cnn28_b8", "cnn28_b32"]);
        assert_eq!(names(Side::Predict, &[]).unwrap().len(), 3 * names(Side::Train, &[]).unwrap().len());
    }
}
