//! Recipes for rows: tables, and texts in a column.

use super::lines::Lines;
use super::target::{Target, classes, listed, target};
use super::{Asked, Parts, check_parts, epochs, refuse, texts};
use crate::RecipeError;
use bonfire_datasets::look::{ColumnKind, ColumnLook, Look, Question, RowsLook};

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
    let parts = check_parts(look, asked, std::slice::from_ref(&target.name), &inputs, told)?;
    match text.filter(|text| inputs == [text.name.clone()]) {
        Some(text) => texts::column(parts, rows, text, &target, lines, told),
        None => table(parts, rows, &target, &ignored, lines, told),
    }
    Ok(())
}

/// The rows in a line.
pub(super) fn about(rows: &RowsLook) -> String {
    let files = if rows.files == 1 { String::new() } else { format!(" in {} files", rows.files) };
    let looked = if rows.is_whole { "" } else { "the first " };
    format!("{looked}{} rows of {} columns{files}", rows.rows, rows.columns.len())
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
    parts: Parts<'_>,
    rows: &RowsLook,
    target: &Target,
    ignore: &[(String, String)],
    lines: &mut Lines,
    told: &mut Vec<String>,
) {
    let column = rows.column(&target.name);
    lines.section("data");
    lines.key("kind", "table", &about(rows));
    lines.key("train", parts.train, "");
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
    let validates = parts.write(rows.is_whole.then_some(rows.rows), lines);
    if !ignore.is_empty() {
        let names: Vec<&str> = ignore.iter().map(|(name, _)| name.as_str()).collect();
        lines.key("ignore", &names, "left out:");
        for (name, why) in ignore {
            lines.comment(&format!("    {name}: {why}"));
            told.push(format!("left out `{name}`: {why}"));
        }
    }
    let is_input = |name: &str| name != target.name && !ignore.iter().any(|(ignored, _)| ignored == name);
    let inputs = || rows.columns.iter().filter(|column| is_input(&column.name));
    let codes: Vec<&str> =
        inputs().filter(|column| column.codes).map(|column| column.name.as_str()).collect();
    if !codes.is_empty() {
        let why = "a guess: zeros in front of whole numbers are those of codes, such as postal ones";
        lines.key("categorical", &codes, why);
        told.push(format!("data.categorical = {}: {why}", serde_json::json!(codes)));
    }
    for (column, (mark, count)) in
        inputs().chain(column).filter_map(|column| Some((column, column.sentinel.as_ref()?)))
    {
        let warning = format!(
            "`{}` is {mark} in {count} rows, far from all its other numbers: if that means no value, say so by \
             missing = [\"{mark}\"]",
            column.name
        );
        lines.comment(&warning);
        told.push(warning);
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
