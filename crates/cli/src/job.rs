//! `bonfire train` as one rank of a job: how it begins and ends beside the others.

use crate::document::Document;
use crate::recipe::Recipe;
use crate::sets::{Schema, Sets};
use anyhow::{Context, Result};
use bonfire_checkpoint::Files;
use bonfire_cluster::{Communicator, Failure, Job, broadcast_files, first_failure};
use bonfire_contract::{AnyInput, Batch, Loader, Position, Target};
use bonfire_datasets::DataError;
use bonfire_kernels::{Isa, threads};
use bonfire_train::{BatchSize, TrainError};
use burn::tensor::{Device, TensorData};
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Samples that the ranks compare before they train.
const COMPARED: usize = 8;

/// Joins the job that this process is a rank of, or is alone; the threads that compute are its share of the machine's,
/// unless their number is given.
pub fn join(patience: Duration, given: Option<u16>) -> Result<Job> {
    let job = Job::join(patience)?;
    let communicator = job.communicator();
    bonfire_device::set_rank_on_this_host(communicator.on_this_host().0);
    if given.is_none() && communicator.size() > 1 {
        threads::set_count(share(&*communicator)).context("threads of a rank")?;
    }
    Ok(job)
}

/// Threads of this rank: those of its cores, divided among the ranks of its machine that may run on the same. A launcher
/// that binds each rank to cores of its own has divided the machine already.
fn share(communicator: &dyn Communicator) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let cores = status.lines().find(|line| line.starts_with("Cpus_allowed:")).unwrap_or_default();
    let all = communicator.gather(cores.as_bytes());
    let host = communicator.host(communicator.rank());
    let here = (0..communicator.size()).filter(|&rank| communicator.host(rank) == host);
    let sharing = here.filter(|&rank| all[rank] == cores.as_bytes()).count();
    let mine = std::thread::available_parallelism().map_or(1, usize::from);
    (mine / sharing.max(1)).max(1)
}

/// Runs a rank's work to its end. What goes wrong on one rank alone is told by that rank, by its name, and ends the job at
/// once, as the others would wait for it; an error that all know is told by rank 0.
pub fn run(job: Job, work: impl FnOnce(&Arc<dyn Communicator>) -> Result<ExitCode>) -> Result<ExitCode> {
    let communicator = job.communicator();
    if communicator.size() == 1 {
        return work(&communicator);
    }
    let (rank, name) = (communicator.rank(), communicator.host(communicator.rank()).to_string());
    let outcome = catch_unwind(AssertUnwindSafe(|| work(&communicator)));
    match outcome {
        Ok(Ok(code)) => {
            // Leaving the job waits without a limit.
            communicator.barrier();
            Ok(code)
        }
        Ok(Err(error)) if error.is::<Known>() => {
            if rank == 0 {
                eprintln!("{}", crate::line(&error));
            }
            communicator.barrier();
            Ok(ExitCode::FAILURE)
        }
        Ok(Err(error)) => {
            // Where all ranks meet the same error, one of them says so.
            std::thread::sleep(Duration::from_millis(300) * u32::from(rank > 0));
            eprintln!("{}", crate::line(&error.context(format!("rank {rank} on {name}"))));
            communicator.abort()
        }
        Err(_panic) => {
            eprintln!("error: rank {rank} on {name}: a fault of the program, told above");
            communicator.abort()
        }
    }
}

/// An error that every rank of the job ends with, for rank 0 to tell.
#[derive(Debug)]
pub struct Known(pub anyhow::Error);

impl fmt::Display for Known {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:#}", self.0)
    }
}

impl std::error::Error for Known {}

/// What this rank came to, where no rank failed.
///
/// # Errors
/// When any rank failed: on all of them, as [`Known`], the first one's error.
pub fn agreed<T>(communicator: &dyn Communicator, outcome: Result<T>) -> Result<T> {
    if communicator.size() == 1 {
        return outcome;
    }
    let message = outcome.as_ref().err().map(|error| format!("{error:#}"));
    match (first_failure(communicator, message.as_deref()), outcome) {
        (None, outcome) => outcome,
        (Some(Failure { of_all: true, .. }), Err(error)) => Err(Known(error).into()),
        (Some(Failure { rank, host, message, .. }), _) => {
            Err(Known(TrainError::Rank { rank, host, message }.into()).into())
        }
    }
}

/// The recipe's data: rank 0 reads what it must to know them, and the others take that over.
pub fn open(
    communicator: &dyn Communicator,
    document: &Document,
    recipe: &Recipe,
    known: Option<Schema>,
) -> Result<Sets> {
    let named = |error: DataError| match error {
        DataError::Config { key, expected, found } => {
            document.wrong(&format!("data.{key}"), expected, found).into()
        }
        other => anyhow::Error::new(other),
    };
    if communicator.size() == 1 {
        return recipe.data.open(recipe.seed, known).map_err(named);
    }
    let read = || {
        let sets = recipe.data.open(recipe.seed, known).map_err(named)?;
        let folder = tempfile::tempdir().context("room for a schema")?;
        sets.schema.save(folder.path())?;
        let mut files = Files::new();
        for entry in std::fs::read_dir(folder.path())? {
            let entry = entry?;
            files.insert(entry.file_name().to_string_lossy().into_owned(), std::fs::read(entry.path())?);
        }
        Ok((sets, files))
    };
    let (sets, files) = agreed(communicator, (communicator.rank() == 0).then(read).transpose())?.unzip();
    let files = broadcast_files(communicator, files.unwrap_or_default());
    let take_over = || {
        let folder = tempfile::tempdir().context("room for a schema")?;
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes)?;
        }
        let known = recipe.data.load_schema(folder.path())?;
        recipe.data.open(recipe.seed, Some(known)).map_err(named)
    };
    agreed(communicator, sets.map_or_else(take_over, Ok))
}

/// Refuses ranks that would not train the same model on the same data: another build, other instructions, another
/// recipe, other data.
///
/// # Errors
/// Names the first rank that differs from rank 0, and in what; on all ranks.
pub fn check(communicator: &dyn Communicator, recipe: &Recipe, sets: &Sets, device: &Device) -> Result<()> {
    if communicator.size() == 1 {
        return Ok(());
    }
    let samples =
        |loader: Option<&dyn Loader<AnyInput>>| loader.map_or("none".into(), |set| set.len().to_string());
    let facts = [
        ("program", program()?),
        ("instructions (BONFIRE_CPU)", format!("{:?}", Isa::chosen()).to_lowercase()),
        ("recipe", recipe.to_toml()),
        ("samples to train", samples(Some(&*sets.train))),
        ("samples to validate", samples(sets.valid.as_deref())),
        ("samples to test", samples(sets.test.as_ref().map(|test| &*test.loader))),
        ("the first samples' hash", first_samples(sets, device)),
    ];
    let mine = serde_json::to_vec(&facts.map(|(name, value)| [name.to_string(), value]))?;
    let all = communicator.gather(&mine);
    let facts: Vec<Vec<[String; 2]>> = all
        .iter()
        .map(|facts| serde_json::from_slice(facts))
        .collect::<Result<_, _>>()
        .context("facts of a rank")?;
    for (rank, others) in facts.iter().enumerate() {
        if let Some((first, other)) = facts[0].iter().zip(others).find(|(first, other)| first != other) {
            let (expected, found) = difference(&first[1], &other[1]);
            let error = TrainError::Rank {
                rank,
                host: communicator.host(rank).to_string(),
                message: format!(
                    "{}: expected what rank 0 on {} has, '{expected}', found '{found}'",
                    first[0],
                    communicator.host(0)
                ),
            };
            return Err(Known(error.into()).into());
        }
    }
    Ok(())
}

/// The version and a hash of the running program.
fn program() -> Result<String> {
    let path = std::env::current_exe().context("the running program")?;
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    Ok(format!("{} {:016x}", env!("CARGO_PKG_VERSION"), hash(&[&bytes])))
}

/// The first line in which two texts differ.
fn difference<'a>(first: &'a str, other: &'a str) -> (&'a str, &'a str) {
    let (mut ours, mut theirs) = (first.lines(), other.lines());
    loop {
        match (ours.next(), theirs.next()) {
            (Some(a), Some(b)) if a == b => {}
            (a, b) => return (a.unwrap_or("nothing"), b.unwrap_or("nothing")),
        }
    }
}

/// What an epoch begins with. What cannot be read is told when it is trained on.
fn first_samples(sets: &Sets, device: &Device) -> String {
    let device = device.clone().without_autodiff();
    match sets.train.batches(Position::default(), COMPARED, &device).next() {
        Some(Ok(batch)) => format!("{:016x}", of_batch(batch)),
        Some(Err(error)) => error.to_string(),
        None => "none".into(),
    }
}

fn of_batch(batch: Batch<AnyInput>) -> u64 {
    let mut parts: Vec<TensorData> = match batch.input {
        AnyInput::Images(images) => vec![images.pixels.into_data()],
        AnyInput::Tokens(tokens) => vec![tokens.tokens.into_data()],
        AnyInput::Table(table) => vec![table.numeric.into_data(), table.categories.into_data()],
    };
    parts.extend(match batch.target {
        Target::Classes(classes) => Some(classes.into_data()),
        Target::Probabilities(shares) => Some(shares.into_data()),
        Target::Values(values) => Some(values.into_data()),
        Target::NextTokens(tokens) => Some(tokens.into_data()),
        Target::Input | Target::Absent => None,
    });
    let bytes: Vec<&[u8]> = parts.iter().map(|data| data.as_bytes()).collect();
    hash(&bytes)
}

fn hash(parts: &[&[u8]]) -> u64 {
    let mut hasher = DefaultHasher::new();
    parts.iter().for_each(|bytes| hasher.write(bytes));
    hasher.finish()
}

/// How the job is laid out, in a line; none for one rank.
pub fn layout(
    communicator: &dyn Communicator,
    recipe: &Recipe,
    train: &dyn Loader<AnyInput>,
) -> Option<String> {
    let ranks = communicator.size();
    if ranks == 1 {
        return None;
    }
    let mut hosts: Vec<&str> = (0..ranks).map(|rank| communicator.host(rank)).collect();
    hosts.sort_unstable();
    hosts.dedup();
    let batch = match recipe.train.batch_size {
        BatchSize::Full => train.len(),
        BatchSize::Samples(batch) => batch as u64,
    };
    let (least, most) = (batch / ranks as u64, batch.div_ceil(ranks as u64));
    let each = if least == most { most.to_string() } else { format!("{least} or {most}") };
    let of_all = match train.canonical_ranks() {
        Some(canonical) if !canonical.is_multiple_of(ranks as u64) => format!(
            "; each reads shards of all, as data.canonical_ranks is {canonical}: a new run with {ranks} lets it read its own"
        ),
        _ => String::new(),
    };
    Some(format!(
        "{ranks} ranks on {} host{}: batches of {batch} samples, {each} a rank; {} thread{} a rank{of_all}",
        hosts.len(),
        if hosts.len() == 1 { "" } else { "s" },
        threads::count(),
        if threads::count() == 1 { "" } else { "s" },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(difference("a = 1\nb = 2\n", "a = 1\nb = 3\n"), ("b = 2", "b = 3"));
        assert_eq!(difference("a = 1", "a = 1\nc = 3"), ("nothing", "c = 3"));
    }
}
