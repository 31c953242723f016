//! Data as they were found, printed: columns with their cells, classes with their counts, first samples.

use bonfire_datasets::look::{ColumnLook, Found, Look, PictureLayout, PicturesLook, RowsLook};
use bonfire_datasets::size;
use std::io::{self, Write};

/// Classes that are listed.
const CLASSES: usize = 20;

/// Columns that are listed.
const COLUMNS: usize = 200;

/// Rows that are shown.
const ROWS: usize = 5;

/// Characters of a cell that are shown.
const WIDTH: usize = 24;

/// The heights of the bars of a histogram.
const BARS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Writes what was found.
///
/// # Errors
/// When it cannot be written.
pub fn write(look: &Look, out: &mut dyn Write) -> io::Result<()> {
    for note in &look.notes {
        writeln!(out, "{note}")?;
    }
    match &look.found {
        Found::Pictures(pictures) => write_pictures(pictures, out),
        Found::Rows(rows) => write_rows(rows, out),
        Found::Listed(listed) => {
            write_pictures(&listed.pictures, out)?;
            write_rows(&listed.rows, out)
        }
        Found::TextFolders { classes, .. } => {
            let files: u64 = classes.iter().map(|class| class.1).sum();
            writeln!(out, "{files} files of text in {} folders, a class each", classes.len())?;
            write_classes(classes, out)
        }
        Found::Corpus { files, bytes } => {
            writeln!(
                out,
                "plain text: {} in {files} file{}",
                size(*bytes),
                if *files == 1 { "" } else { "s" }
            )
        }
    }
}

fn write_pictures(pictures: &PicturesLook, out: &mut dyn Write) -> io::Result<()> {
    let of = if pictures.of_first_shard { " in the first shard" } else { "" };
    writeln!(
        out,
        "{} pictures in {} files; {} of them{of}",
        pictures.layout.name(),
        pictures.files,
        pictures.pictures
    )?;
    if let Some([least, middle, most]) = pictures.shorter_side {
        writeln!(out, "shorter side: {least} to {most} pixels, {middle} in the middle")?;
    }
    let modes: Vec<String> = pictures.modes.iter().map(|(mode, count)| format!("{count} {mode}")).collect();
    if !modes.is_empty() {
        writeln!(out, "of those looked at: {}", modes.join(", "))?;
    }
    if let Some((count, error)) = &pictures.unreadable {
        writeln!(out, "cannot be read: {count} of the {} looked at, the first: {error}", pictures.looked_at)?;
    }
    if pictures.layout == PictureLayout::Listed { Ok(()) } else { write_classes(&pictures.classes, out) }
}

/// Writes classes by their counts.
///
/// # Errors
/// When it cannot be written.
pub fn write_classes(classes: &[(String, u64)], out: &mut dyn Write) -> io::Result<()> {
    let mut classes: Vec<&(String, u64)> = classes.iter().collect();
    classes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let most = classes.first().map_or(1, |class| class.1.max(1));
    writeln!(out, "{} classes:", classes.len())?;
    for (name, count) in classes.iter().take(CLASSES) {
        let bar = "█".repeat((count * 30).div_ceil(most) as usize);
        writeln!(out, "  {:<WIDTH$} {count:>8}  {bar}", shortened(name))?;
    }
    if classes.len() > CLASSES {
        writeln!(
            out,
            "  … and {} more, of {} at least",
            classes.len() - CLASSES,
            classes[classes.len() - 1].1
        )?;
    }
    Ok(())
}

fn write_rows(rows: &RowsLook, out: &mut dyn Write) -> io::Result<()> {
    let looked = if rows.is_whole { "" } else { "the first " };
    let files = if rows.files == 1 { "1 file".to_string() } else { format!("{} files", rows.files) };
    writeln!(
        out,
        "{looked}{} rows of {} columns in {files}, {}",
        rows.rows,
        rows.columns.len(),
        size(rows.bytes)
    )?;
    if let Some((count, error)) = &rows.unreadable {
        writeln!(out, "rows that cannot be read: {count}, the first: {error}")?;
    }
    for guess in &rows.guesses {
        writeln!(out, "read by data.{} = {}: {}", guess.key, guess.value, guess.why)?;
    }
    writeln!(out, "\n{:<WIDTH$} {:<10} {:>9} {:>9}  values", "column", "kind", "missing", "distinct")?;
    for column in rows.columns.iter().take(COLUMNS) {
        let distinct = column.distinct.map_or("many".to_string(), |distinct| distinct.to_string());
        let (name, kind) = (shortened(&column.name), column.kind.name());
        let values = values(column);
        writeln!(out, "{name:<WIDTH$} {kind:<10} {:>9} {distinct:>9}  {values}", column.missing)?;
        if let Some(refused) = &column.refused {
            writeln!(out, "{:<WIDTH$} {refused}", "")?;
        }
        if let Some((mark, count)) = &column.sentinel {
            writeln!(out, "{:<WIDTH$} {mark} in {count} rows, far from all others: no value?", "")?;
        }
    }
    if rows.columns.len() > COLUMNS {
        writeln!(out, "… and {} more", rows.columns.len() - COLUMNS)?;
    }
    writeln!(out, "\nfirst rows:")?;
    for row in rows.first_rows(ROWS) {
        let cells: Vec<String> =
            row.iter().take(COLUMNS).map(|cell| cell.as_deref().map_or("–".into(), shortened)).collect();
        writeln!(out, "  {}", cells.join(" | "))?;
    }
    Ok(())
}

/// The values of a column: a histogram of numbers, or the commonest.
fn values(column: &ColumnLook) -> String {
    if let (Some(range), Some(histogram)) = (column.range, column.histogram) {
        let most = histogram.iter().max().copied().unwrap_or(1).max(1);
        let bar = |count: &u64| BARS[(count * 8).div_ceil(most) as usize];
        let bars: String = histogram.iter().map(bar).collect();
        return format!("{} {bars} {}", range.least, range.greatest);
    }
    let shown: Vec<String> =
        column.commonest.iter().map(|(value, count)| format!("{} ({count})", shortened(value))).collect();
    shown.join(", ")
}

/// A text of at most [`WIDTH`] characters on one line.
fn shortened(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(WIDTH).collect();
    match text.chars().nth(WIDTH) {
        Some(_) => line.chars().take(WIDTH - 1).chain(['…']).collect(),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bonfire_datasets::look::look;

    #[test]
    fn columns_are_shown_with_their_kinds_and_cells() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.csv");
        let rows: String =
            (0..50).map(|row| format!("{row},{},{}\n", row * row, ["red", "blue"][row % 2])).collect();
        std::fs::write(&path, format!("id,square,colour\n{rows}")).unwrap();
        let mut page = Vec::new();
        write(&look(path.to_str().unwrap()).unwrap(), &mut page).unwrap();
        let page = String::from_utf8(page).unwrap();
        assert!(page.starts_with("50 rows of 3 columns in 1 file"), "{page}");
        let line = |name: &str| page.lines().find(|line| line.starts_with(name)).unwrap().to_string();
        assert!(line("id").contains("identifier") && line("square").contains("number"), "{page}");
        assert!(line("colour").contains("blue (25), red (25)"), "{page}");
        assert!(page.contains("  0 | 0 | red\n"), "{page}");
    }
}
