//! Files and folders told by their names.

use super::foreign::{self, Foreign};
use super::listed::{self, ListedLook, Names};
use super::pictures::{self, Layout as PictureLayout};
use super::rows::{self, RowsLook};
use super::words::{stem_words, words};
use super::{Found, Look};
use crate::records::{self, Format};
use crate::source::{self, Object, stats};
use crate::{DataError, image};
use std::collections::{BTreeMap, BTreeSet};

/// Files whose names are looked at, of a folder with more.
const MOST_FILES: usize = 2_000_000;

/// The names of folders and files that hold a part of the samples, in small letters.
const TRAIN: [&str; 2] = ["train", "training"];
const VALID: [&str; 5] = ["valid", "validation", "val", "dev", "eval"];
const TEST: [&str; 2] = ["test", "testing"];

/// The names of class folders whose samples have no class: those of reviews that nobody judged.
const UNLABELLED: [&str; 4] = ["unsup", "unlabeled", "unlabelled", "unlab"];

/// Tables of a folder that are looked at, to find the one that names its pictures.
const MOST_TABLES: usize = 32;

/// The files of one kind.
#[derive(Debug, Default)]
struct Files {
    pictures: Vec<String>,
    shards: Vec<String>,
    idx: Vec<String>,
    rows: Vec<String>,
    texts: Vec<String>,
    others: Vec<String>,
    /// No data by their names: notes, source code, documents.
    foreign: Vec<String>,
}

pub(super) fn look(uri: &str) -> Result<Look, DataError> {
    let listed = records::files(uri)?;
    if listed.len() > MOST_FILES {
        let expected = format!("at most {MOST_FILES} files (`bonfire data pack` puts them into shards)");
        return Err(DataError::source(uri, expected, listed.len()));
    }
    let is_one_file = matches!(listed.as_slice(), [file] if file == uri);
    if is_one_file {
        return file(uri);
    }
    let files = Files::of(listed);
    if let Some(parts) = Parts::of_folders(uri, &files) {
        return match parts.listed(uri, &files)? {
            Some(look) => Ok(look),
            None => parts.look(uri, &files),
        };
    }
    if !files.shards.is_empty() {
        return shards(uri, &files);
    }
    if !files.pictures.is_empty() {
        return pictures(uri, &files);
    }
    if !files.idx.is_empty() {
        return idx(uri, &files);
    }
    // Tables beside class folders of texts are about something else.
    let classes =
        Classes::of(uri, &files.texts).filter(|_| files.rows.iter().all(|file| is_right_below(uri, file)));
    if !files.rows.is_empty() && classes.is_none() {
        return tables(uri, &files);
    }
    texts(uri, &files)
}

impl Files {
    fn of(uris: Vec<String>) -> Self {
        let mut files = Files::default();
        for uri in uris {
            let kind = match Format::named(&uri) {
                _ if image::is_picture(&uri) => &mut files.pictures,
                _ if foreign::of(&uri).is_some() => &mut files.foreign,
                Some(Format::Tar) => &mut files.shards,
                Some(format) if format.has_columns() => &mut files.rows,
                Some(Format::Text) => &mut files.texts,
                _ if is_idx(&uri) => &mut files.idx,
                _ => &mut files.others,
            };
            kind.push(uri);
        }
        // Beside data, JSON most often says something about them.
        let is_json = |file: &String| Format::named(file) == Some(Format::Json);
        let others = [&files.pictures, &files.shards, &files.idx, &files.texts];
        if others.iter().any(|kind| !kind.is_empty()) || !files.rows.iter().all(is_json) {
            let (json, rows) = std::mem::take(&mut files.rows).into_iter().partition(is_json);
            (files.rows, files.others) = (rows, [std::mem::take(&mut files.others), json].concat());
        }
        files
    }

    fn all(&self) -> impl Iterator<Item = &String> {
        let kinds = [&self.pictures, &self.shards, &self.idx, &self.rows, &self.texts];
        kinds.into_iter().flatten().chain(self.no_samples())
    }

    /// Those of which no kind of samples is told.
    fn no_samples(&self) -> impl Iterator<Item = &String> {
        self.others.iter().chain(&self.foreign)
    }
}

/// True for a name of the IDX files that digits and clothes come in.
fn is_idx(uri: &str) -> bool {
    let name = source::unpacked_name(uri);
    name.ends_with("-ubyte") || name.ends_with(".idx")
}

/// Folders or files of one folder that are named after the parts of a set.
struct Parts {
    train: String,
    valid: Option<String>,
    test: Option<String>,
}

impl Parts {
    /// The folders right below `uri` whose names, or else the words of them, say that they are parts.
    fn of_folders(uri: &str, files: &Files) -> Option<Self> {
        let names: BTreeSet<&str> =
            files.all().filter_map(|file| Some(below(uri, file).split_once('/')?.0)).collect();
        let folder = |name: &str| format!("{}/{name}", uri.trim_end_matches('/'));
        let parts = Parts::named(|known| {
            let exact = known.iter().find_map(|part| names.iter().find(|name| name.to_lowercase() == *part));
            let has_word = |name: &&&str| words(name).iter().any(|word| known.contains(&word.as_str()));
            let mut worded = names.iter().filter(has_word);
            let only = worded.next().filter(|_| worded.next().is_none());
            exact.or(only).map(|name| folder(name))
        })?;
        // Beside folders of pictures that are no parts, `train` may be what they show.
        let name = below(uri, &parts.train).to_lowercase();
        let enough = if TRAIN.contains(&name.as_str()) { 2 } else { 1 };
        let is_alone = parts.valid.is_none() && parts.test.is_none();
        let holds = |name: &&&str| {
            let folder = folder(name);
            folder != parts.train && files.pictures.iter().any(|file| file.starts_with(&format!("{folder}/")))
        };
        let shows = || files.pictures.iter().any(|file| is_right_below(&parts.train, file));
        let is_class = is_alone && shows() && names.iter().filter(holds).count() >= enough;
        Some(parts).filter(|_| !is_class)
    }

    /// The files whose names, or the words of them, say that they are parts.
    fn of_files(files: &[String]) -> Option<Self> {
        Parts::named(|names| {
            let is_named =
                |file: &&String| stem_words(file).iter().any(|word| names.contains(&word.as_str()));
            let mut found = files.iter().filter(is_named);
            // Several of one part are shards of it, which a glob would have to name.
            found.next().filter(|_| found.next().is_none()).cloned()
        })
    }

    fn named(find: impl Fn(&[&str]) -> Option<String>) -> Option<Self> {
        Some(Parts { train: find(&TRAIN)?, valid: find(&VALID), test: find(&TEST) })
    }

    fn look(self, uri: &str, files: &Files) -> Result<Look, DataError> {
        let Parts { train, valid, test } = self;
        let mut look = look(&train)?;
        let held = [valid.as_ref().map(|uri| ("validates", uri)), test.as_ref().map(|uri| ("tests", uri))];
        for (use_of, part) in held.into_iter().flatten() {
            look.notes.push(format!("{} {use_of}, by its name", below(uri, part)));
        }
        let is_of_part = |file: &String| {
            [Some(&train), valid.as_ref(), test.as_ref()]
                .into_iter()
                .flatten()
                .any(|part| file.starts_with(&format!("{part}/")))
        };
        look.notes.extend(left_out(files.all().filter(|file| !is_of_part(file)), "beside them"));
        // What a part has beside its class folders is left out of each of them by a pattern.
        let classes = |part: String| match look.found {
            Found::TextFolders { .. } => text_classes(&part),
            _ => Ok(part),
        };
        let valid = valid.map(classes).transpose()?;
        let test = test.map(classes).transpose()?;
        Ok(Look { valid, test, ..look })
    }

    /// The pictures of a folder of parts, where a table beside the parts names those to train on.
    fn listed(&self, uri: &str, files: &Files) -> Result<Option<Look>, DataError> {
        let is_of = |part: &str, file: &String| file.starts_with(&format!("{part}/"));
        let pictures: Vec<String> =
            files.pictures.iter().filter(|file| is_of(&self.train, file)).cloned().collect();
        let tables: Vec<String> =
            files.rows.iter().filter(|file| is_right_below(uri, file)).cloned().collect();
        if pictures.is_empty()
            || tables.is_empty()
            || class_folders(&self.train, &pictures).is_some_and(|classes| classes.len() > 1)
        {
            return Ok(None);
        }
        let Some(mut look) = listed_by(uri, &tables, &pictures)? else { return Ok(None) };
        for part in [&self.valid, &self.test].into_iter().flatten() {
            let count = files.pictures.iter().filter(|file| is_of(part, file)).count();
            if count > 0 {
                // Their table would be read as one of the training pictures, whatever its names are.
                (look.valid, look.test) = (None, None);
                look.notes.retain(|note| !note.ends_with(", by its name"));
                look.notes.push(format!(
                    "left out the {count} pictures in {}, and their table: data.folder is one for all parts",
                    below(uri, part)
                ));
            }
        }
        let is_used = |file: &&String| !files.pictures.contains(file) && !tables.contains(file);
        look.notes.extend(left_out(files.all().filter(is_used), "no pictures"));
        Ok(Some(look))
    }
}

/// True for a file that lies in a folder itself, not in one of its folders.
fn is_right_below(folder: &str, file: &str) -> bool {
    file.strip_prefix(folder.trim_end_matches('/'))
        .is_some_and(|rest| rest.strip_prefix('/').is_some_and(|name| !name.contains('/')))
}

/// The name of a file below a folder.
fn below<'a>(uri: &str, file: &'a str) -> &'a str {
    file.strip_prefix(uri.trim_end_matches('/')).unwrap_or(file).trim_start_matches('/')
}

/// The folders right below `uri`, with the number of files in each; none where a file lies outside of them.
fn class_folders(uri: &str, files: &[String]) -> Option<Vec<(String, u64)>> {
    let mut classes: BTreeMap<String, u64> = BTreeMap::new();
    for file in files {
        let (class, _) = below(uri, file).split_once('/')?;
        *classes.entry(class.to_string()).or_default() += 1;
    }
    Some(classes.into_iter().collect())
}

/// One file, by its format.
fn file(uri: &str) -> Result<Look, DataError> {
    let plain = |found| Look { train: uri.to_string(), valid: None, test: None, found, notes: Vec::new() };
    if image::is_picture(uri) {
        let needed = "a folder of class folders of pictures, or a table of their names and labels";
        return Err(DataError::source(uri, needed, "one picture"));
    }
    if is_idx(uri) {
        return Ok(plain(Found::Pictures(pictures::of_idx(uri)?)));
    }
    if let Some(Foreign { what, .. }) = foreign::of(uri) {
        return Err(DataError::source(uri, foreign::TAKEN, format!("{what}, by its name")));
    }
    if Format::named(uri).is_none() {
        refuse_zip(uri)?;
    }
    match Format::of(uri)? {
        Format::Tar => {
            Ok(plain(Found::Pictures(pictures::of_shards(uri, std::slice::from_ref(&uri.to_string()))?)))
        }
        Format::Text => Ok(plain(Found::Corpus { files: 1, bytes: Object::open(uri)?.stat()?.size })),
        _ => {
            let files = [uri.to_string()];
            if let Some(pictures) = pictures::of_parquet(uri, &files)? {
                return Ok(plain(Found::Pictures(pictures)));
            }
            let rows = rows::look(uri, &files)?;
            let pictures = listed::beside(uri, &rows);
            match listed::names(uri, &rows, &pictures)? {
                Some(names) => {
                    let mut notes = vec![naming(uri, &names)];
                    notes.extend(of_names(&names));
                    let found = Found::Listed(Box::new(ListedLook::new(rows, names)?));
                    Ok(Look { notes, ..plain(found) })
                }
                None => Ok(plain(Found::Rows(rows))),
            }
        }
    }
}

/// Refuses a zip of pictures: only its members could be read, one at a time.
fn refuse_zip(uri: &str) -> Result<(), DataError> {
    let Some(members) = source::members(&Object::open(uri)?)? else { return Ok(()) };
    let pictures = members.iter().filter(|name| image::is_picture(name)).count();
    if pictures == 0 {
        return Ok(());
    }
    let needed = "pictures in a folder or in tar shards (unpack the zip, then name its folder; `bonfire data pack \
                  FOLDER SHARDS` makes shards of that)";
    Err(DataError::source(uri, needed, format!("a zip with {pictures} pictures")))
}

/// Files with columns: rows or, where one of the columns holds them, pictures.
fn rows_or_pictures(uri: &str, files: &[String]) -> Result<Found, DataError> {
    match pictures::of_parquet(uri, files)? {
        Some(pictures) => Ok(Found::Pictures(pictures)),
        None => Ok(Found::Rows(rows::look(uri, files)?)),
    }
}

fn shards(uri: &str, files: &Files) -> Result<Look, DataError> {
    let train = if source::is_folder(uri) { pattern(uri, &files.shards)? } else { uri.to_string() };
    let found = Found::Pictures(pictures::of_shards(&train, &files.shards)?);
    let notes = left_out(files.all().filter(|file| !files.shards.contains(file)), "beside the shards");
    Ok(Look { train, valid: None, test: None, found, notes })
}

/// The pattern of all shards of a folder.
fn pattern(uri: &str, shards: &[String]) -> Result<String, DataError> {
    let ending = |shard: &String| {
        let name = source::name(shard);
        let stem = source::unpacked_name(name);
        let at = stem.rfind('.').filter(|&at| name.is_char_boundary(at));
        at.map_or(String::new(), |at| name[at..].to_string())
    };
    let endings: BTreeSet<String> = shards.iter().map(ending).collect();
    let is_nested = shards.iter().any(|shard| below(uri, shard).contains('/'));
    match endings.first().filter(|_| endings.len() == 1) {
        Some(ending) => {
            let folders = if is_nested { "**/" } else { "" };
            Ok(format!("{}/{folders}*{ending}", uri.trim_end_matches('/')))
        }
        None => Err(DataError::source(uri, "shards of one ending", names(shards))),
    }
}

fn pictures(uri: &str, files: &Files) -> Result<Look, DataError> {
    let others = || files.all().filter(|file| !image::is_picture(file));
    let tables: Vec<String> = files.rows.iter().take(MOST_TABLES).cloned().collect();
    if let Some(classes) = class_folders(uri, &files.pictures).filter(|classes| classes.len() > 1) {
        // Folders of parts are no classes where a table says what their pictures show.
        let is_part = |(name, _): &(String, u64)| {
            words(name)
                .iter()
                .any(|word| [&TRAIN[..], &VALID, &TEST].iter().any(|part| part.contains(&word.as_str())))
        };
        if classes.iter().any(is_part)
            && let Some(mut look) = listed_by(uri, &tables, &files.pictures)?
        {
            look.notes.extend(left_out(others().filter(|file| !tables.contains(file)), "no pictures"));
            return Ok(look);
        }
        let found = pictures::of_files(PictureLayout::ClassFolders, classes, &files.pictures)?;
        let mut notes = left_out(others().filter(|file| !tables.contains(file)), "no pictures");
        notes.extend(tables.iter().map(|table| {
            format!(
                "left out {0}: the folders are the classes; `bonfire init {table}` reads it",
                below(uri, table)
            )
        }));
        let found = Found::Pictures(found);
        return Ok(Look { train: uri.to_string(), valid: None, test: None, found, notes });
    }
    // A table beside the pictures that names them says what they show; it may lie beside their folder, too.
    let beside: Vec<String> = if tables.is_empty() { tables_above(uri) } else { Vec::new() };
    let tables = if tables.is_empty() { beside } else { tables };
    if let Some(mut look) = listed_by(uri, &tables, &files.pictures)? {
        look.notes.extend(left_out(others().filter(|file| !tables.contains(file)), "no pictures"));
        return Ok(look);
    }
    let needed = "a folder for each class of pictures, or one table (CSV, JSON lines, Parquet) beside them with a \
                  column of their file names and one of their labels";
    let count = files.pictures.len();
    let found = match tables.as_slice() {
        [] => format!("{count} pictures without classes"),
        tables => {
            let hint = format!("`bonfire init {}` reads one alone", tables[0]);
            format!(
                "{count} pictures without classes, and no column that names them in {} ({hint})",
                names(tables)
            )
        }
    };
    Err(DataError::source(uri, needed, found))
}

/// The tables that lie beside a folder.
fn tables_above(uri: &str) -> Vec<String> {
    let folder = uri.trim_end_matches('/');
    let above = folder.rsplit_once('/').map_or(".", |(above, _)| above);
    if !source::is_folder(uri) || matches!(source::name(folder), "." | ".." | "") || above.is_empty() {
        return Vec::new();
    }
    let files = source::right_below(above).map(|found| found.files).unwrap_or_default();
    // A file of the working folder is called by its name alone.
    let plain = |file: String| file.strip_prefix("./").map(str::to_string).unwrap_or(file);
    let mut tables = Files::of(files.into_iter().map(plain).collect()).rows;
    tables.truncate(MOST_TABLES);
    tables
}

/// The pictures that one of the tables names or, where several are called after the parts of a set, these; none where
/// no table does.
///
/// # Errors
/// When several tables name them, and the names of these say nothing; when the only table cannot be read.
fn listed_by(uri: &str, tables: &[String], pictures: &[String]) -> Result<Option<Look>, DataError> {
    let mut found_in: Vec<(&String, RowsLook, Names)> = Vec::new();
    for table in tables {
        let rows = match rows::look(table, std::slice::from_ref(table)) {
            Err(error) if tables.len() == 1 => return Err(error),
            Err(_) => continue,
            Ok(rows) => rows,
        };
        if let Some(names) = listed::names(table, &rows, pictures)? {
            found_in.push((table, rows, names));
        }
    }
    // What a competition is to be sent has made-up labels.
    let is_made_up = |table: &str| stem_words(table).iter().any(|word| word == "submission");
    let mut notes: Vec<String> = Vec::new();
    if found_in.len() > 1 {
        found_in.retain(|(table, ..)| !is_made_up(table));
    }
    let uris: Vec<String> = found_in.iter().map(|(table, ..)| (*table).clone()).collect();
    let parts = match uris.as_slice() {
        [] => return Ok(None),
        [only] => Parts { train: only.clone(), valid: None, test: None },
        several => Parts::of_files(several).ok_or_else(|| {
            let needed = "one table that names the pictures (name the one that is meant)";
            DataError::source(uri, needed, names(several))
        })?,
    };
    let is_train = |(table, ..): &(&String, RowsLook, Names)| **table == parts.train;
    let Some(at) = found_in.iter().position(is_train) else { return Ok(None) };
    let (table, rows, taken) = found_in.swap_remove(at);
    notes.push(naming(table, &taken));
    let mut part = |given: Option<String>, use_of: &str| {
        let table = given?;
        let (_, _, names) = found_in.iter().find(|(other, ..)| **other == table)?;
        if names.folder != taken.folder {
            notes.push(format!(
                "left out {}: its pictures are in another folder, and data.folder is one for all parts",
                source::name(&table)
            ));
            return None;
        }
        notes.push(format!("{} {use_of}, by its name", source::name(&table)));
        Some(table)
    };
    let (valid, test) = (part(parts.valid, "validates"), part(parts.test, "tests"));
    let used = [Some(table), valid.as_ref(), test.as_ref()];
    let others: Vec<String> = tables.iter().filter(|table| !used.contains(&Some(table))).cloned().collect();
    if !others.is_empty() {
        notes.push(format!("left out {} (`bonfire init {}` reads it alone)", names(&others), others[0]));
    }
    notes.extend(of_names(&taken));
    let train = table.clone();
    let found = Found::Listed(Box::new(ListedLook::new(rows, taken)?));
    Ok(Some(Look { train, valid, test, found, notes }))
}

/// A line about the column that names pictures.
fn naming(table: &str, names: &Names) -> String {
    let folder = names.folder.as_ref().map(|folder| format!(" in {folder}")).unwrap_or_default();
    format!("`{}` of {} names the pictures{folder}", names.column, source::name(table))
}

fn idx(uri: &str, files: &Files) -> Result<Look, DataError> {
    let images: Vec<String> = files.idx.iter().filter(|file| file.contains("images")).cloned().collect();
    let part = |words: &[&str]| {
        let is_named = |file: &&String| words.iter().any(|word| source::name(file).starts_with(word));
        images.iter().find(is_named).cloned()
    };
    let Some(train) = part(&["train"]).or_else(|| images.first().cloned().filter(|_| images.len() == 1))
    else {
        let needed = "an IDX file of training pictures, train-images-idx3-ubyte";
        return Err(DataError::source(uri, needed, names(&files.idx)));
    };
    let test = part(&["t10k", "test"]);
    let found = Found::Pictures(pictures::of_idx(&train)?);
    let notes = test.iter().map(|test| format!("{} tests, by its name", source::name(test))).collect();
    Ok(Look { train, valid: None, test, found, notes })
}

fn tables(uri: &str, files: &Files) -> Result<Look, DataError> {
    let mut left_out = left_out(files.no_samples().chain(&files.idx), "no tables");
    if !files.texts.is_empty() {
        let (count, pattern) = (files.texts.len(), text_pattern(uri, &files.texts));
        left_out.push(format!("left out {count} files of text: `bonfire init '{pattern}'` reads them"));
    }
    if let Some(pictures) = pictures::of_parquet(uri, &files.rows)? {
        let train = if source::is_folder(uri) { pattern(uri, &files.rows)? } else { uri.to_string() };
        return Ok(Look {
            train,
            valid: None,
            test: None,
            found: Found::Pictures(pictures),
            notes: left_out,
        });
    }
    let one = |train: &String, valid: Option<String>, test: Option<String>, mut notes: Vec<String>| {
        notes.extend(left_out.clone());
        let found = rows_or_pictures(train, std::slice::from_ref(train))?;
        Ok(Look { train: train.clone(), valid, test, found, notes })
    };
    if let [only] = files.rows.as_slice() {
        return one(only, None, None, vec![format!("{} is the only table of {uri}", source::name(only))]);
    }
    if let Some(Parts { train, valid, test }) = Parts::of_files(&files.rows) {
        let mut notes = vec![format!("{} trains, by its name", source::name(&train))];
        notes.extend(valid.iter().map(|part| format!("{} validates, by its name", source::name(part))));
        notes.extend(test.iter().map(|part| format!("{} tests, by its name", source::name(part))));
        let parts = [Some(&train), valid.as_ref(), test.as_ref()];
        let others: Vec<String> =
            files.rows.iter().filter(|file| !parts.contains(&Some(file))).cloned().collect();
        if !others.is_empty() {
            notes.push(format!("left out, not named as a part: {}", names(&others)));
        }
        return one(&train, valid, test, notes);
    }
    // Files of the same columns are parts of one table.
    let formats: Vec<Option<Format>> = files.rows.iter().map(|file| Format::named(file)).collect();
    let first = rows::names(&files.rows[0])?;
    let same = formats.iter().all(|format| *format == formats[0])
        && files.rows[1..].iter().all(|file| rows::names(file).is_ok_and(|names| names == first));
    if !same {
        let needed = "one table, or files of the same columns (name the one that is meant)";
        return Err(DataError::source(uri, needed, names(&files.rows)));
    }
    let mut notes = vec![format!("{} files of the same columns are one table", files.rows.len())];
    notes.extend(left_out.clone());
    let found = rows_or_pictures(uri, &files.rows)?;
    Ok(Look { train: uri.to_string(), valid: None, test: None, found, notes })
}

/// Texts in class folders, and what lies beside these.
struct Classes {
    /// Each class with the number of its files.
    of: Vec<(String, u64)>,
    /// The folders whose texts have no class, with the number of their files.
    unlabelled: Vec<(String, u64)>,
    /// Files outside of the folders.
    strays: Vec<String>,
}

impl Classes {
    /// None where there are not two of them, or too many files beside them.
    fn of(uri: &str, files: &[String]) -> Option<Self> {
        let (inside, strays): (Vec<String>, Vec<String>) =
            files.iter().cloned().partition(|file| below(uri, file).contains('/'));
        let (unlabelled, of): (Vec<_>, Vec<_>) = class_folders(uri, &inside)?
            .into_iter()
            .partition(|(name, _)| UNLABELLED.contains(&name.to_lowercase().as_str()));
        let is_few = 10 * strays.len() <= inside.len();
        (of.len() > 1 && is_few).then_some(Classes { of, unlabelled, strays })
    }

    /// The pattern of the files in the class folders alone.
    ///
    /// # Errors
    /// When a class has a name that a pattern cannot have.
    fn pattern(&self, uri: &str, files: &[String]) -> Result<String, DataError> {
        let names: Vec<&str> = self.of.iter().map(|(name, _)| name.as_str()).collect();
        let uri = uri.trim_end_matches('/');
        let is_special = |text: &str| text.contains(['{', '}', '*', '?', '[']);
        let is_unfit = |name: &&&str| is_special(name) || name.contains(',') || name.contains("..");
        if let Some(name) = names.iter().find(is_unfit).or(Some(&uri).filter(|uri| is_special(uri))) {
            let needed =
                "class folders alone, as their names make no pattern that leaves the other files out";
            return Err(DataError::source(uri, needed, format!("{name:?}")));
        }
        let is_nested = files.iter().any(|file| below(uri, file).split('/').count() > 2);
        let ending =
            if files.iter().all(|file| Format::named(file) == Some(Format::Text)) { "*.txt" } else { "*" };
        let deep = if is_nested { "**/" } else { "" };
        Ok(format!("{uri}/{{{}}}/{deep}{ending}", names.join(",")))
    }
}

/// The texts of a part: the folder, or the pattern of its class folders where something else lies beside them.
fn text_classes(uri: &str) -> Result<String, DataError> {
    let files = Files::of(records::files(uri)?);
    let texts = if files.texts.is_empty() { &files.others } else { &files.texts };
    match Classes::of(uri, texts) {
        Some(classes)
            if classes.unlabelled.is_empty() && classes.strays.is_empty() && files.rows.is_empty() =>
        {
            Ok(uri.to_string())
        }
        Some(classes) => classes.pattern(uri, texts),
        None => Ok(uri.to_string()),
    }
}

/// A pattern of the files of text below a folder.
fn text_pattern(uri: &str, texts: &[String]) -> String {
    let is_nested = texts.iter().any(|file| !is_right_below(uri, file));
    format!("{}/{}*.txt", uri.trim_end_matches('/'), if is_nested { "**/" } else { "" })
}

fn texts(uri: &str, files: &Files) -> Result<Look, DataError> {
    let (texts, unnamed) = match files.texts.is_empty() {
        false => (&files.texts, false),
        true => (&files.others, true),
    };
    if texts.is_empty() {
        let found = match files.foreign.as_slice() {
            [] => "no file".to_string(),
            foreign => left_out(foreign.iter(), "no data").concat(),
        };
        return Err(DataError::source(uri, foreign::TAKEN, found));
    }
    if unnamed {
        text_inside(uri, texts)?;
    }
    let beside: Vec<&String> =
        if unnamed { files.foreign.iter().collect() } else { files.no_samples().collect() };
    let mut notes = left_out(beside.into_iter(), "not named as texts");
    if let Some(classes) = Classes::of(uri, texts) {
        if let Some(file) = files.foreign.iter().find(|file| unnamed && below(uri, file).contains('/')) {
            let needed = "texts alone in class folders, where their names do not end in .txt";
            return Err(DataError::source(uri, needed, format!("{file}, which is no data by its name")));
        }
        let is_plain = classes.unlabelled.is_empty() && classes.strays.is_empty() && files.rows.is_empty();
        let is_pure = is_plain && (!unnamed || files.foreign.is_empty());
        let train = if is_pure { uri.to_string() } else { classes.pattern(uri, texts)? };
        if !is_pure {
            notes.push(format!("data.train names the class folders alone: {train}"));
        }
        notes.extend(
            classes.unlabelled.iter().map(|(name, count)| {
                format!("left out {name}: its {count} texts have no class, by its name")
            }),
        );
        if !classes.strays.is_empty() {
            notes.push(format!("left out, outside of the class folders: {}", names(&classes.strays)));
        }
        if let Some(first) = files.rows.first() {
            notes.push(format!("left out {}: `bonfire init {first}` reads it", names(&files.rows)));
        }
        let found = Found::TextFolders { classes: classes.of, unnamed };
        return Ok(Look { train, valid: None, test: None, found, notes });
    }
    if unnamed {
        let needed = "files that end in .txt, or a folder of texts for each class";
        return Err(DataError::source(uri, needed, names(texts)));
    }
    let objects = texts.iter().map(|file| Object::open(file)).collect::<Result<Vec<_>, _>>()?;
    let bytes = stats(&objects)?.iter().map(|stat| stat.size).sum();
    let found = Found::Corpus { files: texts.len() as u64, bytes };
    Ok(Look { train: uri.to_string(), valid: None, test: None, found, notes })
}

/// Refuses files whose first bytes are no text.
fn text_inside(uri: &str, files: &[String]) -> Result<(), DataError> {
    const LOOKED_AT: usize = 16;
    for file in files.iter().step_by((files.len() / LOOKED_AT).max(1)) {
        let object = Object::open(file)?;
        let first = object.range(0..object.stat()?.size.min(512))?;
        if first.contains(&0) {
            return Err(DataError::source(
                uri,
                foreign::TAKEN,
                format!("files such as {file}, which is binary"),
            ));
        }
    }
    Ok(())
}

/// Lines about rows and pictures that do not find each other.
fn of_names(names: &Names) -> Vec<String> {
    let lost = names
        .lost
        .as_ref()
        .map(|(count, first)| format!("{count} rows name a picture that is not there, such as `{first}`"));
    let unnamed =
        (names.unnamed > 0).then(|| format!("left out {} pictures that no row names", names.unnamed));
    lost.into_iter().chain(unnamed).collect()
}

/// A line about the files that were left out, by their endings; none where there is none.
fn left_out<'a>(files: impl Iterator<Item = &'a String>, why: &str) -> Vec<String> {
    let mut endings: BTreeMap<String, u64> = BTreeMap::new();
    for file in files {
        let name = source::name(file);
        let ending = name.rsplit_once('.').map_or(name.to_string(), |(_, ending)| format!(".{ending}"));
        *endings.entry(ending).or_default() += 1;
    }
    if endings.is_empty() {
        return Vec::new();
    }
    let counts: Vec<String> =
        endings.iter().take(8).map(|(ending, count)| format!("{count} {ending}")).collect();
    vec![format!("left out, {why}: {}", counts.join(", "))]
}

/// The names of some files in the words of an error.
fn names(files: &[String]) -> String {
    const MOST: usize = 6;
    let names: Vec<&str> = files.iter().take(MOST).map(|file| source::name(file)).collect();
    let more = if files.len() > MOST { format!(" … ({} in all)", files.len()) } else { String::new() };
    names.join(", ") + &more
}
