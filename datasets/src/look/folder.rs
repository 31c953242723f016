//! Files and folders told by their names.

use super::pictures::{self, Layout as PictureLayout};
use super::rows;
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

/// The files of one kind.
#[derive(Debug, Default)]
struct Files {
    pictures: Vec<String>,
    shards: Vec<String>,
    idx: Vec<String>,
    rows: Vec<String>,
    texts: Vec<String>,
    others: Vec<String>,
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
        return parts.look(uri);
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
    if !files.rows.is_empty() {
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
        let kinds = [&self.pictures, &self.shards, &self.idx, &self.rows, &self.texts, &self.others];
        kinds.into_iter().flatten()
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
    /// The folders right below `uri` whose names say that they are parts.
    fn of_folders(uri: &str, files: &Files) -> Option<Self> {
        let folders: BTreeMap<String, String> = files
            .all()
            .filter_map(|file| below(uri, file).split_once('/').map(|(folder, _)| folder.to_string()))
            .map(|folder| (folder.to_lowercase(), format!("{}/{folder}", uri.trim_end_matches('/'))))
            .collect();
        Parts::named(|names| names.iter().find_map(|name| folders.get(*name)).cloned())
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

    fn look(self, uri: &str) -> Result<Look, DataError> {
        let Parts { train, valid, test } = self;
        let mut look = look(&train)?;
        let held = [valid.as_ref().map(|uri| ("validates", uri)), test.as_ref().map(|uri| ("tests", uri))];
        for (use_of, part) in held.into_iter().flatten() {
            look.notes.push(format!("{} {use_of}, by its name", below(uri, part)));
        }
        Ok(Look { valid, test, ..look })
    }
}

/// The words of a file's name in small letters, its endings aside: `adult`, `test` of `Adult_test.csv.gz`.
fn stem_words(uri: &str) -> Vec<String> {
    let name = source::unpacked_name(uri);
    let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
    stem.split(|c: char| !c.is_alphanumeric()).map(str::to_string).collect()
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
    Ok(plain(match Format::of(uri)? {
        Format::Tar => Found::Pictures(pictures::of_shards(uri, std::slice::from_ref(&uri.to_string()))?),
        Format::Text => Found::Corpus { files: 1, bytes: Object::open(uri)?.stat()?.size },
        _ => rows_or_pictures(uri, &[uri.to_string()])?,
    }))
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
    let plain = |found, notes| Look { train: uri.to_string(), valid: None, test: None, found, notes };
    if let Some(classes) = class_folders(uri, &files.pictures).filter(|classes| classes.len() > 1) {
        let found = pictures::of_files(PictureLayout::ClassFolders, classes, &files.pictures)?;
        return Ok(plain(Found::Pictures(found), left_out(others(), "no pictures")));
    }
    // A table beside the pictures that names them says what they show.
    if let [table] = files.rows.as_slice() {
        let rows = rows::look(table, std::slice::from_ref(table))?;
        if let Some(column) = rows.column_of_names(&files.pictures).map(|column| column.name.clone()) {
            let folder = rows.folder_of(&column, table, &files.pictures);
            let pictures = pictures::of_files(PictureLayout::Listed, Vec::new(), &files.pictures)?;
            let mut notes = vec![format!("`{column}` of {} names the pictures", source::name(table))];
            notes.extend(left_out(others().filter(|file| *file != table), "no pictures"));
            let (train, rows) = (table.clone(), Box::new(rows));
            let found = Found::Listed { rows, column, folder, pictures };
            return Ok(Look { train, valid: None, test: None, found, notes });
        }
    }
    let needed = "a folder for each class of pictures, or one table (CSV, JSON lines, Parquet) beside them with a \
                  column of their file names and one of their labels";
    let found = match files.rows.len() {
        0 => format!("{} pictures without classes", files.pictures.len()),
        tables => format!("{} pictures in one class, and {tables} tables beside them", files.pictures.len()),
    };
    Err(DataError::source(uri, needed, found))
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
    let left_out = left_out(files.others.iter().chain(&files.texts).chain(&files.idx), "no tables");
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

fn texts(uri: &str, files: &Files) -> Result<Look, DataError> {
    let plain = |found, notes| Look { train: uri.to_string(), valid: None, test: None, found, notes };
    let (texts, unnamed) = match files.texts.is_empty() {
        false => (&files.texts, false),
        true => (&files.others, true),
    };
    if texts.is_empty() {
        let needed = "pictures in class folders, shards, a table, or texts";
        return Err(DataError::source(uri, needed, "no file"));
    }
    if unnamed {
        text_inside(uri, texts)?;
    }
    let notes = if unnamed { Vec::new() } else { left_out(files.others.iter(), "not named as texts") };
    if let Some(classes) = class_folders(uri, texts).filter(|classes| classes.len() > 1) {
        return Ok(plain(Found::TextFolders { classes, unnamed }, notes));
    }
    if unnamed {
        let needed = "files that end in .txt, or a folder of texts for each class";
        return Err(DataError::source(uri, needed, names(texts)));
    }
    let objects = texts.iter().map(|file| Object::open(file)).collect::<Result<Vec<_>, _>>()?;
    let bytes = stats(&objects)?.iter().map(|stat| stat.size).sum();
    Ok(plain(Found::Corpus { files: texts.len() as u64, bytes }, notes))
}

/// Refuses files whose first bytes are no text.
fn text_inside(uri: &str, files: &[String]) -> Result<(), DataError> {
    const LOOKED_AT: usize = 16;
    for file in files.iter().step_by((files.len() / LOOKED_AT).max(1)) {
        let object = Object::open(file)?;
        let first = object.range(0..object.stat()?.size.min(512))?;
        if first.contains(&0) {
            let needed = "pictures in class folders, shards, a table, or texts";
            return Err(DataError::source(uri, needed, format!("files such as {file}, which is binary")));
        }
    }
    Ok(())
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
