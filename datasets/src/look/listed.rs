//! Pictures that a table names: the column of their names, the folder that these are relative to, and the columns
//! that give a picture more than one label.

use super::columns::{ColumnKind, ColumnLook, Seen};
use super::pictures::{self, Layout, PicturesLook};
use super::rows::RowsLook;
use super::words::{stem_words, words};
use crate::records::{Format, PICTURE_ENDINGS, has_picture_ending};
use crate::{DataError, image, source};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

/// Names of a column that are compared with the pictures, to tell whether it names them.
const COMPARED: usize = 200;

/// Names by which the folder of the pictures is looked for.
const PLACED: usize = 16;

/// Folders beside a table in which its pictures are looked for.
const MOST_FOLDERS: usize = 64;

/// Names that columns of file names without endings usually have, in small letters.
const USUAL: [&str; 11] = [
    "image",
    "file_name",
    "filename",
    "file",
    "image_path",
    "path",
    "image_name",
    "img",
    "image_id",
    "id",
    "name",
];

/// Names of columns of labels that stand side by side, in small letters.
const PLURAL: [&str; 9] =
    ["labels", "tags", "classes", "categories", "attributes", "genres", "objects", "keywords", "findings"];

/// Pictures, and the table that names them.
#[derive(Debug)]
pub struct ListedLook {
    /// The table.
    pub rows: RowsLook,
    /// Its column of file names.
    pub column: String,
    /// The folder that the names are relative to, where it is not the table's own.
    pub folder: Option<String>,
    /// The pictures that rows name.
    pub pictures: PicturesLook,
    /// Rows whose picture is not there, with the first name.
    pub lost: Option<(u64, String)>,
    /// True where several rows name one picture.
    pub repeats: bool,
}

/// Where a table says several labels of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Several {
    /// In one cell, side by side.
    Cell {
        /// The column.
        column: String,
        /// What stands between two labels.
        separator: &'static str,
        /// Each label with the number of its pictures, the most frequent first.
        labels: Vec<(String, u64)>,
        /// The rows with more than one.
        rows: u64,
    },
    /// In a column a label, which says 0 or 1.
    Columns {
        /// Each column with the number of the pictures that it says 1 of.
        labels: Vec<(String, u64)>,
        /// True where each picture has exactly one of the labels.
        exclusive: bool,
    },
}

impl ListedLook {
    /// Pictures by the names that a table has for them.
    pub(super) fn new(rows: RowsLook, names: Names) -> Result<Self, DataError> {
        let Names { column, folder, named, lost, repeats, .. } = names;
        let pictures = pictures::of_files(Layout::Listed, Vec::new(), &named)?;
        Ok(ListedLook { rows, column, folder, pictures, lost, repeats })
    }

    /// True where rows that name one picture say different things of it in `columns`.
    pub fn contradicts(&self, columns: &[String]) -> bool {
        self.repeats && columns.iter().any(|column| !self.rows.decides(&self.column, column))
    }

    /// The labels of which `column` holds several in a cell; none where it does not.
    pub fn labels_in(&self, column: &str) -> Option<Several> {
        let look = self.rows.column(column).filter(|look| look.name != self.column)?;
        let is_plural = PLURAL.contains(&column.to_lowercase().as_str());
        ["|", ";", ",", " "].into_iter().find_map(|separator| {
            let mut labels: HashMap<String, u64> = HashMap::new();
            let mut cells: BTreeSet<String> = BTreeSet::new();
            let mut several = 0;
            for cell in self.rows.cells(column) {
                let parts: BTreeSet<&str> =
                    cell.split(separator).map(str::trim).filter(|label| !label.is_empty()).collect();
                several += u64::from(parts.len() > 1);
                parts.into_iter().for_each(|label| *labels.entry(label.to_string()).or_default() += 1);
                cells.insert(cell.into_owned());
            }
            // Labels come together in many ways; the words of a name come together in one.
            let recurs = labels.len() < cells.len();
            let is_meant = match separator {
                "|" | ";" => true,
                "," => recurs,
                _ => recurs && is_plural,
            };
            if several == 0 || labels.len() < 2 || !is_meant || look.kind == ColumnKind::Number {
                return None;
            }
            let labels = most_first(labels);
            Some(Several::Cell { column: column.to_string(), separator, labels, rows: several })
        })
    }

    /// The columns of the table that hold several labels in a cell.
    pub fn several_in_cells(&self) -> Vec<Several> {
        self.rows.columns.iter().filter_map(|column| self.labels_in(&column.name)).collect()
    }

    /// The columns that each say by 0 or 1 whether a picture has their label, where there are two and more.
    pub fn several_columns(&self) -> Option<Several> {
        let says = |column: &&ColumnLook| {
            let is_flag = |value: &str| matches!(value.to_lowercase().as_str(), "0" | "1" | "true" | "false");
            column.name != self.column
                && column.missing == 0
                && column.distinct.is_some_and(|distinct| distinct <= 2)
                && column.commonest.iter().all(|(value, _)| is_flag(value))
        };
        let columns: Vec<&ColumnLook> = self.rows.columns.iter().filter(says).collect();
        if columns.len() < 2 {
            return None;
        }
        let is_set = |value: &str| matches!(value.to_lowercase().as_str(), "1" | "true");
        let count = |column: &ColumnLook| {
            column.commonest.iter().filter(|(value, _)| is_set(value)).map(|(_, count)| count).sum::<u64>()
        };
        let labels: Vec<(String, u64)> =
            columns.iter().map(|column| (column.name.clone(), count(column))).collect();
        let mut of_rows: Vec<u64> = Vec::new();
        for column in &columns {
            for (row, cell) in self.rows.cells(&column.name).enumerate() {
                of_rows.resize(of_rows.len().max(row + 1), 0);
                of_rows[row] += u64::from(is_set(&cell));
            }
        }
        Some(Several::Columns { labels, exclusive: of_rows.iter().all(|&labels| labels == 1) })
    }
}

/// Labels by their counts, the most frequent first.
fn most_first(labels: HashMap<String, u64>) -> Vec<(String, u64)> {
    let mut labels: Vec<(String, u64)> = labels.into_iter().collect();
    labels.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    labels
}

/// The names that a table has for pictures.
#[derive(Debug)]
pub(super) struct Names {
    pub column: String,
    pub folder: Option<String>,
    /// The URIs of the pictures that rows name.
    named: Vec<String>,
    /// Rows whose picture is not there, with the first name.
    pub lost: Option<(u64, String)>,
    /// Pictures that no row names.
    pub unnamed: u64,
    repeats: bool,
}

/// The pictures below a folder, by the names that a table may call them.
struct Below<'a> {
    names: HashMap<&'a str, &'a str>,
    /// Names without an ending; none where several pictures have the same.
    stems: HashMap<&'a str, Option<&'a str>>,
}

impl<'a> Below<'a> {
    fn of(root: &str, pictures: &'a [String]) -> Self {
        let (mut names, mut stems) = (HashMap::new(), HashMap::new());
        for uri in pictures {
            let Some(name) = uri.strip_prefix(root).and_then(|rest| rest.strip_prefix('/')) else { continue };
            names.insert(name, uri.as_str());
            stems.entry(stem(name)).and_modify(|only| *only = None).or_insert(Some(uri.as_str()));
        }
        Below { names, stems }
    }

    fn find(&self, cell: &str) -> Option<&'a str> {
        let name = plain(cell);
        self.names.get(name).copied().or_else(|| self.stems.get(name).copied().flatten())
    }
}

/// A name without its ending.
fn stem(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

/// A cell as a name below a folder.
fn plain(cell: &str) -> &str {
    cell.trim().trim_start_matches("./")
}

/// The folder that a file lies in.
fn above(uri: &str) -> &str {
    uri.rsplit_once('/').map_or(".", |(folder, _)| folder)
}

/// The names that `table` has for some of `pictures`; none where no column names them.
///
/// # Errors
/// When the first line of the table is no header, or the names are those of pictures in several folders alike.
pub(super) fn names(table: &str, rows: &RowsLook, pictures: &[String]) -> Result<Option<Names>, DataError> {
    let known: HashSet<&str> = pictures.iter().map(|uri| source::name(uri)).collect();
    let stems: HashSet<&str> = known.iter().map(|name| stem(name)).collect();
    let is_known = |cell: &str| known.contains(source::name(cell)) || stems.contains(source::name(cell));
    if let Some(column) = rows.columns.iter().find(|column| image::is_picture(&column.name)) {
        let expected = "a first line that names the columns, such as `image,label`";
        return Err(DataError::source(table, expected, format!("`{}`, a picture's name", column.name)));
    }
    let named = |column: &&ColumnLook| {
        let cells: Vec<Cow<'_, str>> = rows.cells(&column.name).take(COMPARED).collect();
        let found = cells.iter().filter(|cell| is_known(plain(cell))).count();
        // Numbers of few values may be names of pictures by chance.
        let is_name = cells.first().is_some_and(|cell| has_ending(cell))
            || column.distinct.is_none_or(|distinct| 2 * distinct > column.values);
        // Any table may count its rows from 1, and many a picture is called by a number.
        let are_numbers = cells.first().is_some_and(|cell| cell.trim().parse::<f64>().is_ok());
        let enough = if are_numbers { 10 * found >= 9 * cells.len() } else { 2 * found >= cells.len() };
        found > 0 && enough && is_name
    };
    let rank = |column: &&ColumnLook| {
        let has_ending = rows.cells(&column.name).next().is_some_and(|cell| has_ending(&cell));
        (!has_ending, !USUAL.contains(&column.name.to_lowercase().as_str()))
    };
    let Some(column) = rows.columns.iter().filter(named).min_by_key(rank) else { return Ok(None) };
    let Some(root) = root(table, rows, &column.name, pictures)? else { return Ok(None) };
    let below = Below::of(&root, pictures);
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let (mut lost, mut repeats): (Option<(u64, String)>, bool) = (None, false);
    for cell in rows.cells(&column.name) {
        match below.find(&cell) {
            Some(uri) => repeats |= !found.insert(uri),
            None if is_elsewhere(&cell) => {}
            None => lost.get_or_insert_with(|| (0, cell.into_owned())).0 += 1,
        }
    }
    Ok(Some(Names {
        column: column.name.clone(),
        folder: Some(root).filter(|root| root != above(table)),
        unnamed: (pictures.len() - found.len()) as u64,
        named: found.into_iter().map(str::to_string).collect(),
        lost,
        repeats,
    }))
}

fn has_ending(cell: &str) -> bool {
    cell.contains('.') && has_picture_ending(cell)
}

/// True for a name that is relative to no folder.
fn is_elsewhere(cell: &str) -> bool {
    cell.starts_with('/') || cell.contains("://")
}

/// The folder below which most cells of a column name a picture.
///
/// # Errors
/// When several folders have as many of them, and none is the table's or called as the table is.
fn root(
    table: &str,
    rows: &RowsLook,
    column: &str,
    pictures: &[String],
) -> Result<Option<String>, DataError> {
    let first: Vec<String> = rows.cells(column).take(PLACED).map(|cell| plain(&cell).to_string()).collect();
    let by_name: HashMap<&str, &str> = first.iter().map(|cell| (source::name(cell), cell.as_str())).collect();
    let mut roots: BTreeSet<&str> = BTreeSet::new();
    for uri in pictures {
        for spelled in [uri.as_str(), stem(uri)] {
            let Some(cell) = by_name.get(source::name(spelled)) else { continue };
            let root = spelled.strip_suffix(cell).and_then(|rest| rest.strip_suffix('/'));
            roots.extend(root.filter(|_| roots.len() < MOST_FOLDERS));
        }
    }
    let mut counts: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for root in roots {
        let below = Below::of(root, pictures);
        counts
            .entry(rows.cells(column).filter(|cell| below.find(cell).is_some()).count())
            .or_default()
            .push(root);
    }
    let Some((_, best)) = counts.pop_last() else {
        return Ok(Some(above(table).to_string()).filter(|_| first.iter().all(|cell| is_elsewhere(cell))));
    };
    let known = stem_words(table);
    let is_named = |root: &&&str| words(source::name(root)).iter().any(|word| known.contains(word));
    let chosen = match best.as_slice() {
        [only] => Some(only),
        several => {
            several.iter().find(|root| **root == above(table)).or_else(|| several.iter().find(is_named))
        }
    };
    match chosen {
        Some(root) => Ok(Some(root.to_string())),
        None => {
            let expected = format!("one folder (data.folder) with the pictures that `{column}` names");
            Err(DataError::source(table, expected, best.join(", ")))
        }
    }
}

/// The pictures that a table may name which lie in its folder, or in one right below it.
pub(super) fn beside(table: &str, rows: &RowsLook) -> Vec<String> {
    // What is embedded lies in no folder, and training knows tables of pictures by their endings.
    if table.starts_with("builtin:") || !Format::named(table).is_some_and(Format::has_columns) {
        return Vec::new();
    }
    let own = above(table).to_string();
    let mut folders = source::right_below(&own).map(|found| found.folders).unwrap_or_default();
    folders.truncate(MOST_FOLDERS);
    folders.insert(0, own);
    let is_remote = source::is_remote(table);
    let may_name = |column: &&ColumnLook| {
        let is_usual = USUAL.contains(&column.name.to_lowercase().as_str());
        let first = rows.cells(&column.name).next();
        let has_ending = first.is_some_and(|cell| has_ending(&cell));
        has_ending || !is_remote && (is_usual || column.kind == ColumnKind::Identifier)
    };
    let names: Vec<String> = rows
        .columns
        .iter()
        .filter(may_name)
        .flat_map(|column| rows.cells(&column.name).take(3).map(|cell| plain(&cell).to_string()))
        .filter(|name| !name.is_empty() && !is_elsewhere(name))
        .collect();
    let is_there = |uri: String| source::Object::open(&uri).and_then(|object| object.stat()).is_ok();
    let has_one = |folder: &String| {
        names.iter().any(|name| match has_ending(name) {
            true => is_there(format!("{folder}/{name}")),
            false => PICTURE_ENDINGS.iter().any(|ending| {
                [ending.to_string(), ending.to_uppercase()]
                    .into_iter()
                    .any(|ending| is_there(format!("{folder}/{name}.{ending}")))
            }),
        })
    };
    let mut pictures: BTreeSet<String> = BTreeSet::new();
    for folder in folders.iter().filter(|folder| has_one(folder)) {
        let listed = crate::records::files(folder).unwrap_or_default();
        pictures.extend(listed.into_iter().filter(|file| image::is_picture(file)));
    }
    pictures.into_iter().collect()
}

impl RowsLook {
    /// The cells with a value of a column, in the rows' order.
    pub(super) fn cells<'a>(&'a self, column: &'a str) -> impl Iterator<Item = Cow<'a, str>> {
        Seen::cells(self.frames(), column)
    }
}
