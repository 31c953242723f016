//! The `bonfire` program: arguments in, pages and printed answers out, one file a subcommand.
//!
//! ```text
//! args -> train | evaluate | predict | export      (bonfire-run does the work)
//!      -> init | models | recipes | devices | data …
//! ```

mod args;
mod data;
mod describe;
mod evaluate;
mod export;
mod inform;
mod init;
mod job;
mod look;
mod output;
mod page;
mod predict;
mod report;
mod sheet;
mod stderr;
mod train;

use anyhow::{Context, Result};
use args::{Arguments, Command};
use bonfire_kernels::{Isa, threads};
use bonfire_run::{Run, RunError};
use clap::Parser;
use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

/// Runs the program. `started` is when the process began, for the time to the first step.
pub fn main(started: Instant) -> ExitCode {
    stderr::show();
    let Arguments { threads, max_memory, command } = Arguments::parse();
    if let Err(error) = limit_memory(max_memory) {
        return report(Err(error));
    }
    if let Err(error) = Isa::from_environment() {
        return report(Err(error.into()));
    }
    if let Some(threads) = threads
        && let Err(error) = threads::set_count(threads.into())
    {
        return report(Err(error).context("--threads"));
    }
    report(run(command, started, threads))
}

/// Sets the memory that data may take, where the command line or the environment says it.
fn limit_memory(given: Option<String>) -> Result<()> {
    const VARIABLE: &str = "BONFIRE_MEMORY";
    let of_environment = || std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
    let (name, text) = match given {
        Some(text) => ("--max-memory", Some(text)),
        None => (VARIABLE, of_environment()),
    };
    if let Some(text) = text {
        let bytes =
            bonfire_datasets::parse_size(&text).map_err(|error| anyhow::anyhow!("{name}: {error}"))?;
        bonfire_datasets::memory::set_limit(bytes);
    }
    Ok(())
}

fn run(command: Command, started: Instant, threads_given: Option<u16>) -> Result<ExitCode> {
    // Ops are run from a thread of the pool, which takes part in the work that it hands out; a thread outside
    // would wake the pool for each op, and wait.
    if !matches!(command, Command::Train(_)) {
        job::computing_threads()?;
    }
    match command {
        Command::Train(arguments) => {
            let job = job::join(std::time::Duration::from_secs(arguments.timeout), threads_given)?;
            return job::run(job, |communicator| {
                threads::inside(|| train::train(&arguments, started, communicator))
            });
        }
        Command::Evaluate(arguments) => threads::inside(|| evaluate::evaluate(&arguments)),
        Command::Predict(arguments) => threads::inside(|| predict::predict(&arguments)),
        Command::Init(arguments) => init::init(&arguments),
        Command::Export(arguments) => export::export(&arguments),
        Command::Models { name } => inform::models(name.as_deref()),
        Command::Recipes { name } => inform::recipes(name.as_deref()),
        Command::Devices => inform::devices(),
        Command::Data(command) => return data::data(&command),
    }?;
    Ok(ExitCode::SUCCESS)
}

/// Opens a run, and says what a person should know before its answers.
fn open(run: &Path) -> Result<Run> {
    let run = Run::open(run)?;
    run.notices().iter().for_each(|notice| eprintln!("warning: {notice}"));
    Ok(run)
}

/// An error is one line on stderr, its causes joined by colons.
fn report(result: Result<ExitCode>) -> ExitCode {
    result.unwrap_or_else(|error| {
        // Files are named by the context of their errors; without one it is standard output's.
        let error = match error.downcast_ref::<std::io::Error>() {
            Some(refused) if error.chain().count() == 1 => match refused.kind() {
                // `bonfire models | head` closed the pipe.
                std::io::ErrorKind::BrokenPipe => return ExitCode::SUCCESS,
                _ => error.context("output: expected to write, found it refused"),
            },
            _ => error,
        };
        eprintln!("{}", line(&error));
        ExitCode::FAILURE
    })
}

/// An error and its causes, joined by colons.
fn line(error: &anyhow::Error) -> String {
    let message: Vec<String> = error.chain().map(as_typed).collect();
    format!("error: {}", message.join(": ").replace('\n', " "))
}

/// An error's message; about a field of the library that is typed as an option, by the option's name.
fn as_typed(error: &(dyn Error + 'static)) -> String {
    match error.downcast_ref::<RunError>() {
        Some(RunError::OfAll(error)) => as_typed(&**error),
        Some(RunError::Argument { field, expected, found }) => {
            let option = match *field {
                "library" => "names".to_string(),
                field => field.replace('_', "-"),
            };
            format!("--{option}: expected {expected}, found {found}")
        }
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_told_as_its_option() {
        let argument = |field| RunError::Argument { field, expected: "at least 1".into(), found: "0".into() };
        let told = |error: RunError| line(&error.into());
        assert_eq!(told(argument("top_k")), "error: --top-k: expected at least 1, found 0");
        let of_all = RunError::OfAll(Box::new(argument("library")));
        assert_eq!(told(of_all), "error: --names: expected at least 1, found 0");
    }
}
