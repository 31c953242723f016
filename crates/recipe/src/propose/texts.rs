//! Recipes for texts.

use super::lines::Lines;
use super::target::{Target, classes};
use super::{Asked, Parts, refuse_option};
use crate::RecipeError;
use bonfire_datasets::look::{ColumnLook, Look, Question, RowsLook};

/// Texts in a column, with labels or values in another one.
pub(super) fn column(
    parts: Parts<'_>,
    rows: &RowsLook,
    text: &ColumnLook,
    target: &Target,
    lines: &mut Lines,
    told: &mut Vec<String>,
) {
    let about = format!("{} texts of {:.0} words in the mean", text.values, text.words);
    told.push(format!("`{}`: {about}", text.name));
    lines.section("data");
    lines.key("kind", "text", &about);
    lines.key("train", parts.train, "");
    lines.key("task", "classify", "");
    lines.key("text_column", &text.name, "the column of written language");
    lines.key("label_column", &target.name, &target.why);
    if let (Some(column), Question::Class(_)) = (rows.column(&target.name), target.question) {
        let (counts, warning) = classes(column);
        lines.comment(&format!("classes: {counts}"));
        if let Some(warning) = warning {
            lines.comment(&warning);
            told.push(warning);
        }
    }
    let unused = rows.columns.iter().map(|column| &column.name);
    let unused: Vec<&str> =
        unused.filter(|name| **name != text.name && **name != target.name).map(String::as_str).collect();
    if !unused.is_empty() {
        told.push(format!("not used: {}", unused.join(", ")));
        lines.comment(&format!("not used: {}", unused.join(", ")));
    }
    let unanswered = rows.column(&target.name).map_or(0, |column| column.missing);
    if unanswered > 0 {
        let why = format!("{unanswered} rows have no `{}`: they are left out, and counted", target.name);
        lines.key("on_corrupt", "skip", &why);
        told.push(why);
    } else if rows.unreadable.is_some() {
        lines.key("on_corrupt", "skip", "rows that cannot be read are left out, and counted");
    }
    for guess in rows.guesses.iter().filter(|guess| ["encoding", "has_header", "sheet"].contains(&guess.key))
    {
        lines.key(guess.key, &guess.value, &guess.why);
        told.push(format!("data.{} = {}: {}", guess.key, guess.value, guess.why));
    }
    let validates = parts.write(rows.is_whole.then_some(rows.rows), lines);
    model(text.values, matches!(target.question, Question::Class(_)), validates, lines);
}

/// Files of text in a folder a class.
pub(super) fn folders(
    look: &Look,
    (classes, unnamed): (&[(String, u64)], bool),
    asked: &Asked,
    lines: &mut Lines,
    told: &mut Vec<String>,
) -> Result<(), RecipeError> {
    refuse(look, asked)?;
    let texts: u64 = classes.iter().map(|class| class.1).sum();
    let counts: Vec<String> =
        classes.iter().take(12).map(|(name, count)| format!("{name} {count}")).collect();
    let about =
        format!("{texts} files of text in {} folders, a class each: {}", classes.len(), counts.join(", "));
    told.push(about.clone());
    lines.section("data");
    lines.key("kind", "text", &about);
    lines.key("train", &look.train, "");
    lines.key("task", "classify", "");
    if unnamed {
        lines.key("format", "txt", "the files have no ending that says so");
    }
    let validates = Parts::of(look, asked).write(Some(texts), lines);
    model(texts, true, validates, lines);
    Ok(())
}

/// Plain text.
pub(super) fn corpus(
    look: &Look,
    (files, bytes): (u64, u64),
    asked: &Asked,
    lines: &mut Lines,
    told: &mut Vec<String>,
) -> Result<(), RecipeError> {
    refuse(look, asked)?;
    let about = format!("{bytes} bytes of text in {files} file{}", if files == 1 { "" } else { "s" });
    told.push(format!("{about}: a language model, which continues texts"));
    lines.section("data");
    lines.key("kind", "text", &about);
    lines.key("train", &look.train, "");
    lines.key("task", "language_model", "continues texts");
    lines.key("vocabulary", "character", "\"word\" for very large texts");
    lines.key("max_tokens", 64, "the context");
    lines.key("valid_fraction", 0.1, "the end of the text");
    lines.section("model");
    lines.key("name", "gpt", "a small transformer");
    lines.key("width", 128, "");
    lines.key("layers", 4, "");
    lines.key("heads", 4, "");
    lines.section("train");
    lines.key("steps", 2000, "some minutes on a laptop");
    lines.key("batch_size", 12, "");
    lines.key("evaluate_every", 500, "");
    lines.section("optimizer");
    lines.key("name", "adamw", "");
    lines.key("learning_rate", 0.001, "");
    lines.section("schedule");
    lines.key("name", "cosine", "");
    Ok(())
}

/// The options that texts cannot have.
fn refuse(look: &Look, asked: &Asked) -> Result<(), RecipeError> {
    if asked.pretrained.is_some() {
        return Err(refuse_option("pretrained", "pictures, which published weights are of", look));
    }
    match asked.target {
        Some(_) => Err(refuse_option("target", "rows of a table, which have columns", look)),
        None => Ok(()),
    }
}

/// The model of texts and its loop.
fn model(texts: u64, classes: bool, validates: bool, lines: &mut Lines) {
    lines.key("vocabulary", "ngrams", "words and pairs of words, weighted by how rare they are (TF-IDF)");
    lines.key("lowercase", true, "");
    lines.key("min_count", 2, "");
    lines.section("model");
    let name = if classes { "logistic" } else { "linear" };
    lines.key("name", name, "trains in seconds, and is hard to beat on few texts; an LSTM is below");
    lines.section("train");
    let batch_size = if texts < 50_000 { 32 } else { 256 };
    let epochs = super::epochs(texts, batch_size, 3_000, (4, 30));
    lines.key("epochs", epochs, &format!("about {} steps", epochs * texts.div_ceil(batch_size)));
    lines.key("batch_size", batch_size, "");
    super::select(validates, "texts", lines);
    lines.section("optimizer");
    lines.key("name", "adamw", "");
    lines.key("learning_rate", 0.02, "");
    lines.key("weight_decay", 0.0, "");
    lines.section("schedule");
    lines.key("name", "one_cycle", "");
    lines.comment("");
    lines.comment("The order of words counts for an LSTM; in place of the lines of the same names above:");
    for line in [
        "[data]      vocabulary = \"word\", max_tokens = 64",
        "[model]     name = \"lstm\"",
        "[train]     epochs = 8, batch_size = 32",
        "[optimizer] name = \"adamw\", learning_rate = 0.002",
    ] {
        lines.comment(line);
    }
}
