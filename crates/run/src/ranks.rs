//! A run as the ranks of a job begin it: errors that all agree on, data that all have alike.

use crate::RunError;
use crate::places::{path_from_here, seen_from_here};
use crate::schema::Schema;
use crate::sets::{self, Sets};
use bonfire_checkpoint::Files;
use bonfire_cluster::{Communicator, Failure, broadcast_files, first_failure};
use bonfire_contract::{AnyInput, Batch, Loader, Position, Target};
use bonfire_datasets::DataError;
use bonfire_kernels::{Isa, threads};
use bonfire_recipe::{Document, Recipe};
use bonfire_train::{BatchSize, TrainError};
use burn::tensor::{Device, TensorData};
use std::hash::{DefaultHasher, Hasher};
use std::path::Path;

/// Samples that the ranks compare before they train.
const COMPARED: usize = 8;

/// This rank's outcome, where no rank failed.
///
/// # Errors
/// When any rank failed: on all ranks, as [`RunError::OfAll`], the error of the first rank that failed.
pub(crate) fn agreed<T>(
    communicator: &dyn Communicator,
    outcome: Result<T, RunError>,
) -> Result<T, RunError> {
    if communicator.size() == 1 {
        return outcome;
    }
    let message = outcome.as_ref().err().map(RunError::line);
    match (first_failure(communicator, message.as_deref()), outcome) {
        (None, outcome) => outcome,
        (Some(Failure { of_all: true, .. }), Err(error)) => Err(RunError::OfAll(Box::new(error))),
        (Some(Failure { rank, host, message, .. }), _) => Err(of_rank(rank, host, message)),
    }
}

/// The error of one rank, as all know it.
fn of_rank(rank: usize, host: String, message: String) -> RunError {
    RunError::OfAll(Box::new(TrainError::Rank { rank, host, message }.into()))
}

/// The recipe's data. Rank 0 learns their schema, unless the run has `kept` one, and the other ranks take it
/// over.
///
/// # Errors
/// On all ranks, when any of them cannot open the data.
pub(crate) fn open(
    communicator: &dyn Communicator,
    document: &Document,
    recipe: &Recipe,
    kept: Option<Schema>,
) -> Result<Sets, RunError> {
    let data = seen_from_here(&recipe.data);
    let goes_on = kept.is_some();
    let open = |kept: Option<Schema>| {
        sets::open(&data, recipe.seed, kept).map_err(|error| match error {
            DataError::Config { key, expected, found } => {
                document.wrong(&format!("data.{key}"), expected, found).into()
            }
            DataError::Unreachable { uri, expected, found } if goes_on => {
                let keys = "--set data.train=URI (or data.valid, data.test) says where the run's data are";
                RunError::unexpected(uri, expected, format!("{found}; {keys}"))
            }
            other => RunError::from(other),
        })
    };
    if communicator.size() == 1 {
        return open(kept);
    }
    let learn = || {
        let sets = open(kept)?;
        let files = files(&sets.schema)?;
        Ok((sets, files))
    };
    let learned = (communicator.rank() == 0).then(learn).transpose();
    let (sets, files) = agreed(communicator, learned)?.unzip();
    let files = broadcast_files(communicator, files.unwrap_or_default());
    let take_over = || {
        let folder = scratch()?;
        for (name, bytes) in files {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).map_err(RunError::io(&path))?;
        }
        open(Some(Schema::load(&recipe.data, folder.path())?))
    };
    agreed(communicator, sets.map_or_else(take_over, Ok))
}

/// The files of a schema, by their names.
fn files(schema: &Schema) -> Result<Files, RunError> {
    let folder = scratch()?;
    let refused = RunError::io(folder.path());
    schema.save(folder.path())?;
    let mut files = Files::new();
    for entry in std::fs::read_dir(folder.path()).map_err(&refused)? {
        let entry = entry.map_err(&refused)?;
        let bytes = std::fs::read(entry.path()).map_err(&refused)?;
        files.insert(entry.file_name().to_string_lossy().into_owned(), bytes);
    }
    Ok(files)
}

/// A folder for a schema on its way between ranks.
fn scratch() -> Result<tempfile::TempDir, RunError> {
    tempfile::tempdir().map_err(RunError::io(&std::env::temp_dir()))
}

/// Refuses ranks that would not train the same model on the same data: another build, other instructions,
/// another recipe, other data.
///
/// # Errors
/// Names the first rank that differs from rank 0, and in what; on all ranks.
pub(crate) fn check(
    communicator: &dyn Communicator,
    recipe: &Recipe,
    sets: &Sets,
    device: &Device,
) -> Result<(), RunError> {
    if communicator.size() == 1 {
        return Ok(());
    }
    let samples =
        |loader: Option<&dyn Loader<AnyInput>>| loader.map_or("none".into(), |set| set.len().to_string());
    let facts = [
        ("program", program()?),
        ("instructions (BONFIRE_CPU)", format!("{:?}", Isa::chosen()).to_lowercase()),
        ("recipe", as_typed(recipe)?),
        ("samples to train", samples(Some(&*sets.train))),
        ("samples to validate", samples(sets.valid.as_deref())),
        ("samples to test", samples(sets.test.as_ref().map(|test| &*test.loader))),
        ("the first samples' hash", first_samples(sets, device)),
    ];
    let facts = facts.map(|(name, value)| [name.to_string(), value]);
    let mine = serde_json::to_vec(&facts).expect("texts are JSON");
    let mut facts: Vec<Vec<[String; 2]>> = Vec::new();
    for (rank, told) in communicator.gather(&mine).iter().enumerate() {
        let host = communicator.host(rank);
        facts.push(serde_json::from_slice(told).map_err(|error| {
            RunError::unexpected(format!("rank {rank} on {host}"), "the facts of a rank", error)
        })?);
    }
    for (rank, others) in facts.iter().enumerate() {
        if let Some((first, other)) = facts[0].iter().zip(others).find(|(first, other)| first != other) {
            let (expected, found) = difference(&first[1], &other[1]);
            let message = format!(
                "{}: expected what rank 0 on {} has, '{expected}', found '{found}'",
                first[0],
                communicator.host(0)
            );
            return Err(of_rank(rank, communicator.host(rank).to_string(), message));
        }
    }
    Ok(())
}

/// The recipe with the paths that a person in the working folder would type: machines may have that folder in
/// different places.
fn as_typed(recipe: &Recipe) -> Result<String, RunError> {
    let mut recipe = Recipe { data: seen_from_here(&recipe.data), ..recipe.clone() };
    recipe.finetune.pretrained = recipe.finetune.pretrained.map(|path| path_from_here(&path));
    Ok(recipe.to_toml()?)
}

/// The version and a hash of the running program.
fn program() -> Result<String, RunError> {
    let path = std::env::current_exe().map_err(RunError::io(Path::new("the running program")))?;
    let bytes = std::fs::read(&path).map_err(RunError::io(&path))?;
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

/// A hash of the first samples of an epoch. A sample that cannot be read is told when it is trained on.
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
        AnyInput::Bags(bags) => vec![bags.features.into_data(), bags.weights.into_data()],
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

/// The job's ranks, machines and batches in a line; none for one rank.
pub(crate) fn layout(
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
            "; each reads shards of all, as data.canonical_ranks is {canonical}: a new run with {ranks} lets it \
             read its own"
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
