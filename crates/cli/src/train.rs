//! `bonfire train`: a recipe becomes a run folder.

use crate::args::TrainArguments;
use crate::report::Report;
use anyhow::Result;
use bonfire_checkpoint::write_atomically;
use bonfire_cluster::Communicator;
use bonfire_run::{Beginning, Trained, Training};
use bonfire_train::{Stopped, Terminal};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

/// Runs the subcommand. The exit code is 0 for a finished run and 128 + signal for one that a signal stopped,
/// which `--resume` goes on with.
pub fn train(
    arguments: &TrainArguments,
    started: Instant,
    communicator: &Arc<dyn Communicator>,
) -> Result<ExitCode> {
    let beginning = Beginning {
        recipe: arguments.recipe.clone(),
        changes: arguments.sets.clone(),
        device: arguments.device.clone(),
        run: arguments.run.clone(),
        resume: arguments.resume,
    };
    let first = communicator.rank() == 0;
    let training = Training::begin(&beginning, communicator, Rc::new(|line| eprintln!("{line}")))?;
    if let (Some(summary), true) = (training.sets.schema.summary(), first) {
        eprintln!("{summary}");
    }
    if let (Some(layout), true) = (training.layout(), first) {
        eprintln!("{layout}");
    }
    let trained = training.fit(started, Box::new(Terminal::new()))?;
    write_report(&training, &trained);
    training.publish()?;
    let path = training.name.display();
    if let Stopped::Interrupted(signal) = trained.stopped {
        if first {
            eprintln!("saved: `bonfire train --run {path} --resume` goes on");
        }
        return Ok(ExitCode::from(128 + signal as u8));
    }
    if first {
        eprintln!("run folder: {path}  (`bonfire evaluate {path}`, `bonfire predict {path} INPUT…`)");
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the page of the test set's metrics, where there are some and this rank keeps the run.
fn write_report(training: &Training, trained: &Trained) {
    let (Some(evaluation), Some(folder)) = (&trained.tested, &trained.folder) else { return };
    let report = Report {
        name: &training.recipe.name,
        data: "the test set",
        crops: 1,
        evaluation,
        labels: training.sets.schema.labels(),
        skipped: trained.skipped_in_test,
        pictures: training.sets.test.as_ref().and_then(|test| test.pictures.as_ref()),
    };
    if let Err(error) = write_atomically(&folder.report(), report.page().as_bytes()) {
        eprintln!("warning: no report: {error}");
    }
}
