//! Recipes for rows: tables, and texts in a column.

use super::lines::Lines;
use super::{Asked, check_test, epochs, parts, refuse, texts};
use crate::RecipeError;
use bonfire_contract::{did_you_mean, nearest};
use bonfire_datasets::look::{Candidate, ColumnKind, ColumnLook, Found, Look, Question, RowsLook};

/// The least share of rows that the rarest class should have, for accuracy to say something.
const BALANCED: f64 = 0.1;

/// Columns that are named in a line.
const NAMED: usize = 8;

/// The column to predict.
pub(super) struct Target {
    pub name: String,
    pub question: Question,
    pub why: String,
}

pub(super) fn propose(
    look: &Look,
    rows: &RowsLook,
    asked: &Asked,
    lines: &mut Lines,
    told: &mut Vec<String>,
) -> Result<(), RecipeError> {
    if asked.pretrained.is_some() {
        return Err(super::refuse_option("pretrained", "pictures, which published weights are of", look));
    }
    told.push(about(rows));
    let target = target(look, rows, asked, told)?;
    if let Some((count, error)) = &rows.unreadable {
        told.push(format!(
            "{count} rows cannot be read and are left out (data.on_corrupt = \"skip\"): {error}"
        ));
    }
    let texts = rows.columns.iter().filter(|column| column.kind == ColumnKind::Text);
    let text = texts.filter(|column| column.name != target.name).max_by(|a, b| a.words.total_cmp(&b.words));
    let ignored = left_out(rows, &target.name);
    let mut inputs: Vec<String> = rows.columns.iter().map(|column| column.name.clone()).collect();
    inputs.retain(|name| *name != target.name && !ignored.iter().any(|(ignored, _)| ignored == name));
    match (text, inputs.is_empty()) {
        (Some(text), true) => inputs = vec![text.name.clone()],
        (Some(text), false) => told.push(format!(
            "`{}` is written language, which tables leave out; a recipe of kind \"text\" would read it alone",
            text.name
        )),
        (None, true) => {
            let reasons = ignored.iter().map(|(name, why)| format!("`{name}`: {why}"));
            let found = format!("none beside `{}` ({})", target.name, listed(reasons));
            return Err(refuse(look, "a column to predict from", found));
        }
        (None, false) => {}
    }
    if let Some(test) = &asked.test {
        check_test(look, test, &target.name, &inputs)?;
    }
    let unusable = look.test.as_ref().and_then(|test| check_test(look, test, &target.name, &inputs).err());
    let without = Look {
        test: None,
        notes: Vec::new(),
        train: look.train.clone(),
        valid: look.valid.clone(),
        found: Found::Corpus { files: 0, bytes: 0 },
    };
    let look = match unusable {
        Some(error) => {
            told.push(format!("not used to test: {error}"));
            &without
        }
        None => look,
    };
    match text.filter(|text| inputs == [text.name.clone()]) {
        Some(text) => texts::column(look, rows, text, &target, asked, lines, told),
        None => table(look, rows, &target, &ignored, asked, lines, told),
    }
    Ok(())
}

/// The rows in a line.
pub(super) fn about(rows: &RowsLook) -> String {
    let files = if rows.files == 1 { String::new() } else { format!(" in {} files", rows.files) };
    let looked = if rows.is_whole { "" } else { "the first " };
    format!("{looked}{} rows of {} columns{files}", rows.rows, rows.columns.len())
}

/// The column to predict.
pub(super) fn target(
    look: &Look,
    rows: &RowsLook,
    asked: &Asked,
    told: &mut Vec<String>,
) -> Result<Target, RecipeError> {
    let targets = rows.targets();
    let of = |candidate: &Candidate, why: &str| Target {
        name: candidate.name.clone(),
        question: candidate.question,
        why: why.to_string(),
    };
    if let Some(name) = &asked.target {
        let mut candidates = targets.likely.iter().chain(&targets.others);
        if let Some(found) = candidates.find(|candidate| candidate.name == *name) {
            told.push(format!("target: {}, as asked", asks(found)));
            return Ok(of(found, "as asked"));
        }
        if let Some(column) = rows.column(name) {
            let found = match &column.refused {
                Some(refused) => format!("`{name}`, which cannot be read as it stands: {refused}"),
                None => format!("`{name}`, a column of kind {}", column.kind.name()),
            };
            return Err(refuse(look, "--target to name a column of classes or numbers", found));
        }
        let names = || rows.columns.iter().map(|column| column.name.as_str());
        let expected = format!("--target to name one of {}", listed(names().map(str::to_string)));
        return Err(refuse(look, expected, format!("`{name}`{}", did_you_mean(nearest(name, names())))));
    }
    let others = listed(targets.others.iter().map(asks));
    if let Some(likely) = &targets.likely {
        let instead = if others.is_empty() { others } else { format!("; it could also be {others}") };
        told.push(format!("target: {}, a guess, as {}{instead}", asks(likely), targets.why));
        return Ok(of(likely, &format!("a guess: {}", targets.why)));
    }
    let found = match others.as_str() {
        "" => "no column of classes or numbers".to_string(),
        _ if !targets.equally_likely.is_empty() => {
            format!(
                "several that are likely by their names: {}",
                listed(targets.equally_likely.iter().map(asks))
            )
        }
        _ => format!("none that is likely by its name; it could be {others}"),
    };
    Err(refuse(look, "--target COLUMN, the column to predict", found))
}

/// A candidate with its question.
fn asks(candidate: &Candidate) -> String {
    match candidate.question {
        Question::Class(classes) => format!("`{}` ({classes} classes)", candidate.name),
        Question::Value => format!("`{}` (a value)", candidate.name),
    }
}

/// Some names, and the number of the others.
fn listed(names: impl Iterator<Item = String>) -> String {
    let mut names: Vec<String> = names.collect();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    names.join(", ") + &more
}

/// The classes of a column, with their counts, and a warning where one is rare.
pub(super) fn classes(column: &ColumnLook) -> (String, Option<String>) {
    let counts: Vec<String> =
        column.commonest.iter().map(|(name, count)| format!("{name} {count}")).collect();
    let more = column.distinct.unwrap_or_default().saturating_sub(counts.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let most = column.commonest.first().map_or(0, |class| class.1) as f64 / column.values.max(1) as f64;
    let rarest = (more.is_empty()).then(|| column.commonest.last()).flatten();
    let rare = rarest.filter(|class| (class.1 as f64) < BALANCED * column.values as f64);
    let warning = rare.map(|(name, count)| {
        format!(
            "`{name}` is {count} of {} rows: always to answer the commonest is right in {:.1} %; look at auroc and f1, \
             or weigh classes by loss.class_weights",
            column.values,
            100.0 * most
        )
    });
    (counts.join(", ") + &more, warning)
}

/// The columns that say nothing, or too much, each with the reason to leave it out.
fn left_out(rows: &RowsLook, target: &str) -> Vec<(String, String)> {
    let leaks = rows.leaks(target);
    let reason = |column: &ColumnLook| match column.kind {
        _ if leaks.contains(&column.name) => {
            Some(format!("`{target}` follows from it: known before, or a leak?"))
        }
        ColumnKind::Identifier => Some("an identifier: it differs in each row".to_string()),
        ColumnKind::Text => Some(format!("written language, {:.0} words in the mean", column.words)),
        ColumnKind::Empty => Some("it has no value".to_string()),
        _ => column.refused.as_ref().map(ToString::to_string),
    };
    let inputs = rows.columns.iter().filter(|column| column.name != target);
    inputs.filter_map(|column| Some((column.name.clone(), reason(column)?))).collect()
}

fn table(
    look: &Look,
    rows: &RowsLook,
    target: &Target,
    ignore: &[(String, String)],
    asked: &Asked,
    lines: &mut Lines,
    told: &mut Vec<String>,
) {
    let column = rows.column(&target.name);
    lines.section("data");
    lines.key("kind", "table", &about(rows));
    lines.key("train", &look.train, "");
    lines.key("target", &target.name, &target.why);
    if let (Some(column), Question::Class(_)) = (column, target.question) {
        let (counts, warning) = classes(column);
        lines.key("target_kind", "class", &counts);
        if let Some(warning) = warning {
            lines.comment(&warning);
            told.push(warning);
        }
    } else if let Some(range) = column.and_then(|column| column.range) {
        let why = format!("from {} to {}, {:.6} in the mean", range.least, range.greatest, range.mean);
        lines.key("target_kind", "value", &why);
    }
    for guess in &rows.guesses {
        lines.key(guess.key, &guess.value, &guess.why);
        told.push(format!("data.{} = {}: {}", guess.key, guess.value, guess.why));
    }
    let unanswered = column.map_or(0, |column| column.missing);
    if unanswered > 0 {
        let why = format!("{unanswered} rows have no `{}`: they are left out, and counted", target.name);
        lines.key("on_corrupt", "skip", &why);
        told.push(why);
    } else if rows.unreadable.is_some() {
        lines.key("on_corrupt", "skip", "rows that cannot be read are left out, and counted");
    }
    let validates = parts(look, asked, rows.is_whole.then_some(rows.rows), lines);
    if !ignore.is_empty() {
        let names: Vec<&str> = ignore.iter().map(|(name, _)| name.as_str()).collect();
        lines.key("ignore", &names, "left out:");
        for (name, why) in ignore {
            lines.comment(&format!("    {name}: {why}"));
            told.push(format!("left out `{name}`: {why}"));
        }
    }
    lines.key("one_hot", false, "categories are embedded");
    lines.section("model");
    lines.key("name", "mlp", "\"logistic\" or \"linear\" with one_hot = true is simpler, and easier to read");
    lines.key("hidden", [128, 128], "");
    let samples = rows.rows.max(1);
    let batch_size = match samples {
        0..2_000 => 32,
        2_000..20_000 => 128,
        20_000..200_000 => 256,
        _ => 1024,
    };
    if samples < 20_000 {
        lines.key("dropout", 0.1, "few rows");
    }
    lines.section("train");
    let epochs = epochs(samples, batch_size, 1_500, (8, 60));
    lines.key("epochs", epochs, &format!("about {} steps", epochs * samples.div_ceil(batch_size)));
    lines.key("batch_size", batch_size, &format!("for {samples} rows"));
    super::select(validates, "rows", lines);
    lines.section("optimizer");
    lines.key("name", "adamw", "");
    lines.key("learning_rate", 0.002, "");
    lines.key("weight_decay", 0.01, "");
    lines.section("schedule");
    lines.key("name", "one_cycle", "");
}
