//! A recipe to begin with, out of a look at data: every line says why it stands there.
//!
//! ```text
//! Look ─┬─ pictures ─┐
//!       ├─ rows ─────┼─> Lines (key, value, reason) -> TOML
//!       └─ texts ────┘
//! ```

mod lines;
mod listed;
mod pictures;
mod rows;
mod target;
mod texts;

use crate::{Document, Recipe, RecipeError};
use bonfire_datasets::look::{Found, Look, columns_of};
use lines::Lines;
use listed::Answers;

/// The wishes of the one who asks.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The name of the recipe and of its run folder.
    pub name: String,
    /// The column to predict; by default the likely one.
    pub target: Option<String>,
    /// Samples that no decision is made on, in place of a share of the training ones.
    pub test: Option<String>,
    /// Published weights to begin with.
    pub pretrained: Option<Pretrained>,
}

/// Published weights, and the pictures that they were trained on.
#[derive(Clone, Debug)]
pub struct Pretrained {
    /// The URI of the weights.
    pub uri: String,
    /// The name of their architecture.
    pub architecture: String,
    /// Pixels a side of the pictures that they saw.
    pub size: usize,
    /// Subtracted from pixels in 0..1.
    pub mean: Vec<f64>,
    /// Divides pixels after that.
    pub std: Vec<f64>,
}

/// A recipe and what to tell of it.
#[derive(Clone, Debug)]
pub struct Proposal {
    /// TOML, each line with its reason.
    pub recipe: String,
    /// Lines for a person to read: what the data are, and what was guessed.
    pub told: Vec<String>,
}

/// Proposes a recipe for what was found.
///
/// # Errors
/// When nothing sane can be proposed: the message says what is needed.
pub fn propose(look: &Look, asked: &Asked) -> Result<Proposal, RecipeError> {
    let mut lines = Lines::new(&asked.name);
    let mut told = look.notes.clone();
    match &look.found {
        Found::Pictures(pictures) => {
            pictures::propose(look, (pictures, None), asked, &mut lines, &mut told)?;
        }
        Found::Listed(listed) => {
            told.push(rows::about(&listed.rows));
            let answers = Answers::of(look, listed, asked, &mut told)?;
            pictures::propose(
                look,
                (&listed.pictures, Some((listed, answers))),
                asked,
                &mut lines,
                &mut told,
            )?;
        }
        Found::Rows(rows) => rows::propose(look, rows, asked, &mut lines, &mut told)?,
        Found::TextFolders { classes, unnamed } => {
            texts::folders(look, (classes, *unnamed), asked, &mut lines, &mut told)?;
        }
        Found::Corpus { files, bytes } => {
            texts::corpus(look, (*files, *bytes), asked, &mut lines, &mut told)?
        }
    }
    let recipe = lines.text();
    // A recipe that does not resolve would be worse than none.
    Recipe::resolve(&Document::parse("the proposed recipe", &recipe)?)?;
    Ok(Proposal { recipe, told })
}

/// The refusal to propose: what is needed, and what is there.
fn refuse(look: &Look, expected: impl Into<String>, found: impl Into<String>) -> RecipeError {
    RecipeError::NoProposal { uri: look.train.clone(), expected: expected.into(), found: found.into() }
}

/// Refuses a wish that these data cannot have.
fn refuse_option(option: &'static str, expected: &str, look: &Look) -> RecipeError {
    RecipeError::NoProposal {
        uri: format!("--{option}"),
        expected: expected.into(),
        found: look.train.clone(),
    }
}

/// The URIs of a set: the samples to train on, and those that are held out where files of their own hold them.
#[derive(Clone, Copy)]
struct Parts<'a> {
    train: &'a str,
    valid: Option<&'a str>,
    test: Option<&'a str>,
}

impl<'a> Parts<'a> {
    /// What was found, and what is asked for in its place.
    fn of(look: &'a Look, asked: &'a Asked) -> Self {
        let test = asked.test.as_deref().or(look.test.as_deref());
        Parts { train: &look.train, valid: look.valid.as_deref(), test }
    }

    /// The keys of what is held out: files where there are some, shares of the training samples otherwise. True
    /// where some validate.
    fn write(self, samples: Option<u64>, lines: &mut Lines) -> bool {
        /// Samples of which a tenth is no measure, and those of which not even a fifth can be spared.
        const FEW: u64 = 200;
        const TOO_FEW: u64 = 30;
        if let Some(valid) = self.valid {
            lines.key("valid", valid, "decides which epoch is kept");
        }
        if let Some(test) = self.test {
            lines.key("test", test, "never looked at for a decision");
        }
        let spared = samples.is_none_or(|samples| samples >= TOO_FEW);
        if self.valid.is_none() && spared {
            let share = if samples.is_none_or(|samples| samples >= FEW) { 0.1 } else { 0.2 };
            lines.key("valid_fraction", share, "held out; decides which epoch is kept");
        }
        if self.test.is_none() {
            lines.key("test_fraction", 0.2, "held out from every decision; the figures at the end are of it");
        }
        self.valid.is_some() || spared
    }
}

/// The key that keeps the best epoch, where there is something to tell it by.
fn select(validates: bool, samples: &str, lines: &mut Lines) {
    if validates {
        lines.key("select", "best", &format!("the epoch that was best on the held-out {samples}"));
    }
}

/// The parts of a set whose rows have the columns to predict and all inputs; those that lie beside the training rows
/// without these are left out, and told of.
///
/// # Errors
/// When rows to test on are asked for that lack one.
fn check_parts<'a>(
    look: &'a Look,
    asked: &'a Asked,
    targets: &[String],
    inputs: &[String],
    told: &mut Vec<String>,
) -> Result<Parts<'a>, RecipeError> {
    let mut parts = Parts::of(look, asked);
    if let Some(Err(error)) = parts.valid.map(|valid| check_part("valid", look, valid, targets, inputs)) {
        told.push(format!("not used to validate: {error}"));
        parts.valid = None;
    }
    match (&asked.test, parts.test.map(|test| check_part("test", look, test, targets, inputs))) {
        (Some(_), Some(Err(error))) => Err(error),
        (None, Some(Err(error))) => {
            told.push(format!("not used to test: {error}"));
            Ok(Parts { test: None, ..parts })
        }
        _ => Ok(parts),
    }
}

fn check_part(
    part: &str,
    look: &Look,
    uri: &str,
    targets: &[String],
    inputs: &[String],
) -> Result<(), RecipeError> {
    let refuse = |expected: String, found: String| {
        Err(RecipeError::NoProposal { uri: format!("--{part} {uri}"), expected, found })
    };
    let names = match columns_of(uri) {
        Ok(names) => names,
        Err(error) => return refuse("rows that can be read".to_string(), error.to_string()),
    };
    if let Some(lacking) = targets.iter().find(|target| !names.contains(target)) {
        let expected = format!("the column `{lacking}`, as {} has it", look.train);
        return refuse(expected, "none: rows without an answer are for `bonfire predict`".to_string());
    }
    match inputs.iter().find(|input| !names.contains(input)) {
        Some(lacking) => refuse(format!("the columns of {}", look.train), format!("no `{lacking}`")),
        None => Ok(()),
    }
}

/// Epochs that make about so many steps, within sane bounds.
fn epochs(samples: u64, batch_size: u64, steps: u64, bounds: (u64, u64)) -> u64 {
    let steps_of_epoch = samples.div_ceil(batch_size).max(1);
    steps.div_ceil(steps_of_epoch).clamp(bounds.0, bounds.1)
}
