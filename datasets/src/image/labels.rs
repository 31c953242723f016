//! A table of file names beside pictures, and what it says of each: a class, a value, or any number of labels.
//!
//! ```text
//! file_name,label        d/metadata.csv names d/1.png, of the class "cat"
//! 1.png,cat              (CSV, JSONL; Parquet where the recipe says `image_column` or `folder`)
//! ```

use super::gather::{Classes, Gathered, Place};
use super::{ImageConfig, ImageTarget, folder};
use crate::records::{
    Decoding, Dialect, DialectKeys, Format, Found, Frame, LeftOut, ReadOptions, Use, below, canonical, files,
    nearest, quoted, shortened, sort_labels,
};
use crate::source::{self, Object};
use crate::{DataError, bounds};
use std::collections::{BTreeSet, HashMap, HashSet};

/// Names of columns that hold file names; the first that is there does, where a recipe names none.
const IMAGES: [&str; 9] =
    ["image", "file_name", "filename", "file", "image_path", "path", "image_name", "img", "image_id"];

/// Names of columns that hold what a picture shows.
const LABELS: [&str; 8] = ["label", "labels", "class", "class_name", "category", "cls", "target", "value"];

/// Different whole numbers as labels above which it is told that they are classes.
const MANY_NUMBERS: usize = 20;

/// True for a URI of a table of file names: no shards and no pictures.
pub(super) fn is_table(uri: &str, config: &ImageConfig) -> bool {
    let is_asked = config.image_column.is_some() || config.folder.is_some();
    let is_table = |format: Format| format.has_columns() && (is_asked || !format.may_hold_pictures());
    Format::named(uri).is_some_and(is_table)
}

/// One row of the table.
#[derive(Debug, PartialEq)]
struct Row {
    /// The URI of the picture.
    uri: String,
    answer: Answer,
    /// The value of the column of groups.
    group: Option<String>,
    /// The row's place, for messages.
    place: String,
}

/// What the table says of a picture.
#[derive(Clone, Debug, PartialEq)]
enum Answer {
    Nothing,
    Class(String),
    Value(f64),
    /// In no order.
    Labels(BTreeSet<String>),
}

/// The pictures that a table names, in its order, with their classes or values as `target` asks for them.
///
/// # Errors
/// When the table cannot be read, a column is not there, a row names no picture or says nothing of it (and is
/// not to be skipped), or two rows say different things of one picture.
pub(super) fn gather(uri: &str, config: &ImageConfig, target: ImageTarget) -> Result<Gathered, DataError> {
    let group = config.held_out().column().map(|(_, column)| column).filter(|_| uri == config.train);
    let mut rows = Reader { config, target, group, rows: Vec::new(), skipped: 0, first_error: None };
    for file in files(uri)? {
        rows.read(&file)?;
    }
    let Reader { rows, skipped, first_error, .. } = rows;
    if let Some(error) = first_error {
        log::warn!("{uri}: {skipped} rows are skipped; {error}");
    }
    let rows = without_repeats(uri, rows)?;
    if rows.is_empty() {
        return Err(DataError::source(uri, "at least one picture", "none"));
    }
    let classes = match target {
        ImageTarget::Input => Classes::None,
        ImageTarget::Labels => several(uri, config, &rows)?,
        ImageTarget::Class => classes(uri, &rows)?,
        ImageTarget::Value => {
            let value = |row: &Row| if let Answer::Value(value) = row.answer { value } else { f64::NAN };
            Classes::Values { uri: uri.to_string(), values: rows.iter().map(value).collect() }
        }
    };
    let groups = groups(&rows);
    let places = rows.into_iter().map(|row| Place::File(row.uri)).collect();
    Ok(Gathered { places, classes, groups, left_out: LeftOut::default() })
}

/// The number of each row's group; none where pictures are not held out by groups.
fn groups(rows: &[Row]) -> Option<Vec<u32>> {
    let mut numbers: HashMap<&str, u32> = HashMap::new();
    let mut groups = Vec::with_capacity(rows.len());
    for row in rows {
        let next = numbers.len() as u32;
        groups.push(*numbers.entry(row.group.as_deref()?).or_insert(next));
    }
    Some(groups)
}

/// The rows of a table's files so far.
struct Reader<'a> {
    config: &'a ImageConfig,
    target: ImageTarget,
    /// The column of groups, where pictures are held out by them.
    group: Option<&'a str>,
    rows: Vec<Row>,
    /// Rows that were left out, and the error of the first.
    skipped: u64,
    first_error: Option<DataError>,
}

/// The columns that are read.
struct Columns {
    image: String,
    /// None where nothing is asked of a picture; several where each says of one label whether it has it.
    labels: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self, file: &str) -> Result<(), DataError> {
        let columns = self.columns(file)?;
        let above = file.rfind('/').map_or(".", |slash| &file[..slash]);
        let root = self.config.folder.as_deref().unwrap_or(above).trim_end_matches('/').to_string();
        let known = Known::of(&root);
        let wanted = |name: &str| match name {
            name if name == columns.image
                || self.group == Some(name)
                || columns.labels.iter().any(|label| label == name) =>
            {
                Use::Label
            }
            _ => Use::Nothing,
        };
        let (mut rows, mut errors) = (Vec::new(), Vec::new());
        read_table(file, &wanted, &mut |found| {
            match found {
                Found::Unreadable(_, error) => errors.push(error),
                Found::Frame(frame) => {
                    for row in 0..frame.len() {
                        match self.row(&frame, row, &columns, &root, &known) {
                            Ok(row) => rows.push(row),
                            Err(error) => errors.push(error),
                        }
                    }
                }
            }
            match errors.first() {
                Some(error) if !self.config.on_corrupt.skips(error) => Err(error.clone()),
                _ => Ok(()),
            }
        })?;
        known.tell(file, &root, &rows);
        self.skipped += errors.len() as u64;
        self.first_error = self.first_error.take().or_else(|| errors.into_iter().next());
        self.rows.append(&mut rows);
        Ok(())
    }

    /// The columns of a file: those that the recipe names, or else those whose names are the usual ones.
    fn columns(&self, file: &str) -> Result<Columns, DataError> {
        let mut names: Vec<String> = Vec::new();
        read_table(file, &|_| Use::Nothing, &mut |found| {
            if let Found::Frame(frame) = found {
                let new = frame.all_names().into_iter();
                let new: Vec<String> = new.filter(|name| !names.contains(name)).collect();
                names.extend(new);
            }
            Ok(())
        })?;
        let find = |key: &str, given: &Option<String>, usual: &[&str], what: &str| match given {
            Some(name) if names.contains(name) => Ok(name.clone()),
            Some(name) => {
                let expected = format!("a column of {file} ({})", nearest(&names, name));
                Err(DataError::config(key, expected, format!("`{name}`")))
            }
            None => {
                let usual =
                    usual.iter().find_map(|usual| names.iter().find(|name| name.eq_ignore_ascii_case(usual)));
                usual.cloned().ok_or_else(|| {
                    let expected = format!("the column of {file} that holds {what}: {}", quoted(&names));
                    DataError::config(key, expected, "none, and none has a usual name")
                })
            }
        };
        if let Some(group) = self.group {
            find("group_column", &Some(group.to_string()), &[], "")?;
        }
        let image = find("image_column", &self.config.image_column, &IMAGES, "file names")?;
        let of_labels = self.config.label_columns.iter();
        let (labels, what) = match self.target {
            ImageTarget::Input => (Vec::new(), String::new()),
            ImageTarget::Labels if !self.config.label_columns.is_empty() => {
                let find = |name: &String| find("label_columns", &Some(name.clone()), &[], "");
                let labels = of_labels.map(find).collect::<Result<Vec<_>, _>>()?;
                let told = format!(", a column for each of {} labels", labels.len());
                (labels, told)
            }
            ImageTarget::Class | ImageTarget::Value | ImageTarget::Labels => {
                let is_other =
                    |name: &&String| **name != image && self.config.group_column.as_ref() != Some(*name);
                let others: Vec<&String> = names.iter().filter(is_other).collect();
                let label = match (&self.config.label_column, others.as_slice()) {
                    (None, [only]) => (*only).clone(),
                    (given, _) => find("label_column", given, &LABELS, "what the pictures show")?,
                };
                let what = match self.target {
                    ImageTarget::Class => "classes",
                    ImageTarget::Value => "values",
                    _ => "labels",
                };
                let told = format!(", their {what} by column `{label}`");
                (vec![label], told)
            }
        };
        log::info!("{file}: pictures by column `{image}`{what}");
        Ok(Columns { image, labels })
    }

    /// What a row says.
    fn row(
        &self,
        frame: &Frame,
        row: usize,
        columns: &Columns,
        root: &str,
        known: &Known,
    ) -> Result<Row, DataError> {
        let cell = |name: &str| {
            let text = frame.position(name).and_then(|at| frame.columns[at].text(row));
            text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
        };
        let Some(name) = cell(&columns.image) else {
            return Err(frame.cell_error(row, &columns.image, "a file name", "none"));
        };
        let uri = match name.starts_with('/') || name.contains("://") {
            true => name.clone(),
            false => format!("{root}/{}", name.trim_start_matches("./")),
        };
        let uri = known.find(root, uri).map_err(|found| {
            let expected = format!("the name of a picture in {root}");
            let found = format!("`{}`, {found}", shortened(&name));
            frame.cell_error(row, &columns.image, expected, found)
        })?;
        let answer = self.answer(frame, row, columns)?;
        let group = match self.group {
            None => None,
            Some(column) => {
                let group = cell(column).map(|group| canonical(&group).into_owned());
                Some(group.ok_or_else(|| frame.cell_error(row, column, "a group", "no value"))?)
            }
        };
        let place = format!("{} {} of {}", frame.unit, frame.lines[row], frame.file(row));
        Ok(Row { uri, answer, group, place })
    }

    /// What a row says of its picture.
    fn answer(&self, frame: &Frame, row: usize, columns: &Columns) -> Result<Answer, DataError> {
        let cell = |name: &str| {
            let text = frame.position(name).and_then(|at| frame.columns[at].text(row));
            text.map(|text| text.trim().to_string()).filter(|text| !text.is_empty())
        };
        let Some(column) = columns.labels.first() else { return Ok(Answer::Nothing) };
        if self.target == ImageTarget::Labels {
            return self.labels(frame, row, columns, &cell);
        }
        let Some(label) = cell(column) else {
            return Err(frame.cell_error(row, column, "what the picture shows", "nothing"));
        };
        if self.target != ImageTarget::Value {
            return Ok(Answer::Class(canonical(&label).into_owned()));
        }
        let number = label.parse::<f64>().ok().filter(|number| (*number as f32).is_finite());
        number.map(Answer::Value).ok_or_else(|| {
            frame.cell_error(row, column, "a finite number", format!("`{}`", shortened(&label)))
        })
    }

    /// The labels of a picture: those whose column says 1, or those of its one cell.
    fn labels(
        &self,
        frame: &Frame,
        row: usize,
        columns: &Columns,
        cell: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Answer, DataError> {
        let mut labels = BTreeSet::new();
        if let Some(separator) = &self.config.label_separator {
            let all = columns.labels.first().and_then(|column| cell(column)).unwrap_or_default();
            let named = all.split(separator.as_str()).map(str::trim).filter(|label| !label.is_empty());
            labels.extend(named.map(|label| canonical(label).into_owned()));
            return Ok(Answer::Labels(labels));
        }
        for column in &columns.labels {
            let said = cell(column).unwrap_or_default();
            match &*canonical(&said) {
                "1" | "true" => _ = labels.insert(column.clone()),
                "0" | "false" => {}
                _ => {
                    let found = format!("`{}`", shortened(&said));
                    return Err(frame.cell_error(row, column, "0 or 1", found));
                }
            }
        }
        Ok(Answer::Labels(labels))
    }
}

/// Hands the records of a file to `take`.
fn read_table(
    file: &str,
    column: &dyn Fn(&str) -> Use,
    take: &mut dyn FnMut(Found) -> Result<(), DataError>,
) -> Result<(), DataError> {
    let format = Format::told(file, Format::has_columns, Format::Csv)?;
    let (mut bytes, decoding) = (source::read_unpacked(file)?, Decoding::default());
    if let Some(content) = format.content() {
        bytes = decoding.bytes(file, bytes, content)?;
    }
    let dialect = match format.has_dialect() {
        true => Dialect::new(file, &DialectKeys::default(), decoding)?,
        false => Dialect::default(),
    };
    let options = ReadOptions { dialect, class_names: true, ..ReadOptions::plain(column) };
    format.reader(file)?.read(file, bytes, &options, take)
}

/// The files of the folder that names are relative to; none where it cannot be listed.
struct Known(Option<Files>);

struct Files {
    /// Below the folder.
    names: HashSet<String>,
    /// Pictures by their names without an ending; none where several have the same.
    stems: HashMap<String, Option<String>>,
}

impl Files {
    fn of(names: HashSet<String>) -> Self {
        let mut stems: HashMap<String, Option<String>> = HashMap::new();
        for name in names.iter().filter(|name| folder::is_picture(name)) {
            let stem = name.rsplit_once('.').map_or(name.as_str(), |(stem, _)| stem);
            stems
                .entry(stem.to_string())
                .and_modify(|only| *only = None)
                .or_insert_with(|| Some(name.clone()));
        }
        Files { names, stems }
    }
}

impl Known {
    fn of(root: &str) -> Self {
        // Most web servers cannot list: what is not there is named when it is read.
        let listed = source::is_folder(root).then(|| source::list(root)).and_then(Result::ok);
        let below = |uris: Vec<String>| uris.iter().map(|uri| below(root, uri).to_string()).collect();
        Known(listed.map(|uris| Files::of(below(uris))))
    }

    /// The picture that a row names, which may leave the ending out where one picture alone has the name.
    ///
    /// # Errors
    /// Why it is not there.
    fn find(&self, root: &str, uri: String) -> Result<String, &'static str> {
        let Some(Files { names, stems }) = &self.0 else { return Ok(uri) };
        let name = uri.strip_prefix(root).map(|name| name.trim_start_matches('/'));
        let plain = name.filter(|name| !name.split('/').any(|part| matches!(part, "" | "." | "..")));
        let Some(name) = plain else {
            return Object::open(&uri).map(|_| uri).map_err(|_| "which is not there");
        };
        if names.contains(name) {
            return Ok(uri);
        }
        match stems.get(name) {
            Some(Some(only)) => Ok(format!("{root}/{only}")),
            Some(None) => Err("which several pictures are called but for their endings"),
            None => Err("which is not there"),
        }
    }

    /// Tells the log of pictures of the folder that no row names.
    fn tell(&self, file: &str, root: &str, rows: &[Row]) {
        let Some(Files { names, .. }) = &self.0 else { return };
        let pictures = names.iter().filter(|name| folder::is_picture(name)).count();
        let named: HashSet<&str> = rows.iter().map(|row| row.uri.as_str()).collect();
        if named.len() < pictures {
            log::info!("{file}: names {} of the {pictures} pictures in {root}", named.len());
        }
    }
}

/// The rows, one a picture.
///
/// # Errors
/// When two of a picture differ.
fn without_repeats(uri: &str, rows: Vec<Row>) -> Result<Vec<Row>, DataError> {
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut kept: Vec<Row> = Vec::with_capacity(rows.len());
    let mut repeats = 0u64;
    for row in rows {
        let Some(&at) = places.get(&row.uri) else {
            places.insert(row.uri.clone(), kept.len());
            kept.push(row);
            continue;
        };
        let first = &kept[at];
        for (what, is_same) in
            [("answer about", first.answer == row.answer), ("group of", first.group == row.group)]
        {
            if !is_same {
                let expected = format!("the same {what} {} as in {}", row.uri, first.place);
                return Err(DataError::source(&row.place, expected, "another"));
            }
        }
        repeats += 1;
    }
    if repeats > 0 {
        log::warn!("{uri}: {repeats} rows say again what another row says, and count once");
    }
    Ok(kept)
}

/// The classes of rows.
///
/// # Errors
/// When they are numbers that are not whole, or more than any model has.
fn classes(uri: &str, rows: &[Row]) -> Result<Classes, DataError> {
    let class = |row: &Row| match &row.answer {
        Answer::Class(class) => class.clone(),
        Answer::Nothing | Answer::Value(_) | Answer::Labels(_) => String::new(),
    };
    let mut names: Vec<String> = rows.iter().map(class).collect::<BTreeSet<_>>().into_iter().collect();
    if names.len() > bounds::MOST_CLASSES {
        return Err(DataError::source(
            uri,
            "labels that are classes",
            format!("{} different ones", names.len()),
        ));
    }
    let numbers: Option<Vec<f64>> = names.iter().map(|name| name.parse().ok()).collect();
    if let Some(numbers) = numbers {
        if let Some(number) = numbers.iter().find(|number| number.fract() != 0.0) {
            let expected = "\"value\", as the labels are numbers and not all are whole";
            return Err(DataError::config("target", expected, format!("\"class\" with the label {number}")));
        }
        if numbers.len() > MANY_NUMBERS {
            log::warn!(
                "{uri}: {} different numbers are classes; data.target = \"value\" learns them as numbers",
                numbers.len()
            );
        }
    }
    sort_labels(&mut names);
    let index: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let classes = rows.iter().map(|row| index[class(row).as_str()]).collect();
    Ok(Classes::Named { uri: uri.to_string(), names, classes })
}

/// The labels of rows, of which a picture may have any number: in the order of their columns, or sorted.
///
/// # Errors
/// When there are more than any model has.
fn several(uri: &str, config: &ImageConfig, rows: &[Row]) -> Result<Classes, DataError> {
    let of = |row: &Row| match &row.answer {
        Answer::Labels(labels) => labels.clone(),
        Answer::Nothing | Answer::Class(_) | Answer::Value(_) => BTreeSet::new(),
    };
    let mut names = config.label_columns.clone();
    if names.is_empty() {
        names = rows.iter().flat_map(of).collect::<BTreeSet<_>>().into_iter().collect();
        sort_labels(&mut names);
    }
    if names.len() > bounds::MOST_CLASSES {
        let found = format!("{} different ones", names.len());
        return Err(DataError::source(uri, "labels that pictures share", found));
    }
    let index: HashMap<&str, usize> =
        names.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let set = |row: &Row| -> BTreeSet<usize> { of(row).iter().map(|label| index[label.as_str()]).collect() };
    let sets: Vec<Vec<usize>> = rows.iter().map(|row| set(row).into_iter().collect()).collect();
    let mut has = vec![false; names.len()];
    sets.iter().flatten().for_each(|label| has[*label] = true);
    let never: Vec<String> =
        names.iter().zip(has).filter(|(_, has)| !has).map(|(name, _)| name.clone()).collect();
    if !never.is_empty() {
        log::warn!("{uri}: no picture has the labels {}", quoted(&never));
    }
    Ok(Classes::Several { uri: uri.to_string(), names, sets })
}

#[cfg(test)]
mod tests {
    use super::super::gather::Said;
    use super::*;
    use crate::OnCorrupt;
    use std::fs;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new(table: &str, text: &str) -> Self {
            let folder = tempfile::tempdir().unwrap();
            for name in ["1.png", "2.png", "deep/3.jpg", "4.webp"] {
                let path = folder.path().join("pictures").join(name);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, "").unwrap();
            }
            fs::write(folder.path().join("pictures").join(table), text).unwrap();
            Folder(folder)
        }

        fn uri(&self, name: &str) -> String {
            self.0.path().join("pictures").join(name).display().to_string()
        }
    }

    fn gathered(folder: &Folder, table: &str, config: &ImageConfig) -> Result<Gathered, DataError> {
        let config = ImageConfig { train: folder.uri(table), ..config.clone() };
        assert!(is_table(&config.train, &config));
        gather(&config.train, &config, config.target)
    }

    fn names(gathered: &Gathered, folder: &Folder) -> Vec<String> {
        let root = folder.uri("");
        gathered.places.iter().map(|place| below(&root, &place.to_string()).to_string()).collect()
    }

    #[test]
    fn a_table_names_pictures_and_their_classes() {
        let csv = "file_name,label\n1.png,cat\n./2.png,dog\ndeep/3.jpg, cat \n";
        let jsonl = "{\"file_name\": \"1.png\", \"label\": \"cat\"}\n{\"file_name\": \"2.png\", \"label\": \"dog\"}\n\
                     {\"label\": \"cat\", \"file_name\": \"deep/3.jpg\", \"other\": [1]}\n";
        for (table, text) in [("metadata.csv", csv), ("metadata.jsonl", jsonl)] {
            let folder = Folder::new(table, text);
            let found = gathered(&folder, table, &ImageConfig::default()).unwrap();
            assert_eq!(names(&found, &folder), ["1.png", "2.png", "deep/3.jpg"]);
            assert_eq!(found.class_names(), ["cat", "dog"]);
            let items = found.label(&["cat".into(), "dog".into()]).unwrap();
            let classes: Vec<_> = items.iter().map(|item| item.class).collect();
            assert_eq!(classes, [Some(0), Some(1), Some(0)], "{table}");
        }
    }

    #[test]
    fn spellings_of_one_label_are_one_class_and_numbers_that_are_not_whole_none() {
        let folder = Folder::new("t.csv", "id,kind\n1.png,1\n2.png,1.0\n4.webp,2\n");
        let keys = ImageConfig { image_column: Some("id".into()), ..ImageConfig::default() };
        assert_eq!(gathered(&folder, "t.csv", &keys).unwrap().class_names(), ["1", "2"]);
        let folder = Folder::new("t.csv", "image,kind\n1.png,0.25\n2.png,1.0\n");
        let error = gathered(&folder, "t.csv", &ImageConfig::default()).unwrap_err().to_string();
        assert!(
            error.starts_with("data.target: expected \"value\"") && error.ends_with("label 0.25"),
            "{error}"
        );
        let value = ImageConfig { target: ImageTarget::Value, ..ImageConfig::default() };
        let items = gathered(&folder, "t.csv", &value).unwrap().label(&[]).unwrap();
        let values: Vec<f64> = items
            .iter()
            .filter_map(|item| if let Said::Value(value) = item.said { Some(value) } else { None })
            .collect();
        assert_eq!(values, [0.25, 1.0]);
    }

    #[test]
    fn several_labels_are_in_one_cell_or_in_a_column_each() {
        let labels = ImageConfig { target: ImageTarget::Labels, ..ImageConfig::default() };
        let sets = |text: &str, config: &ImageConfig| {
            let folder = Folder::new("t.csv", text);
            let found = gathered(&folder, "t.csv", config)?;
            let names = found.class_names();
            let items = found.label(&names)?;
            let set = |item: &super::super::gather::Item| match &item.said {
                Said::Labels(labels) => labels.to_vec(),
                other => panic!("expected labels, found {other:?}"),
            };
            Ok::<_, DataError>((names, items.iter().map(set).collect::<Vec<_>>()))
        };
        let one = ImageConfig { label_separator: Some("|".into()), ..labels.clone() };
        let (names, found) = sets("image,tags\n1.png,sea|sky\n2.png,\n4.webp, sky | dog\n", &one).unwrap();
        assert_eq!(names, ["dog", "sea", "sky"]);
        assert_eq!(found, [vec![1, 2], vec![], vec![0, 2]]);
        let columns = ["sky", "sea"].map(String::from).to_vec();
        let each = ImageConfig { label_columns: columns, ..labels };
        let (names, found) =
            sets("image,sea,sky\n1.png,1,0\n2.png,False,true\n4.webp,1.0,1\n", &each).unwrap();
        assert_eq!(names, ["sky", "sea"]);
        assert_eq!(found, [vec![1], vec![0], vec![0, 1]]);
        let error = sets("image,sea,sky\n1.png,1,2\n", &each).unwrap_err().to_string();
        assert!(error.ends_with("line 2, column `sky`: expected 0 or 1, found `2`"), "{error}");
        let error = sets("image,sea\n1.png,1\n", &each).unwrap_err().to_string();
        assert!(error.starts_with("data.label_columns: expected a column of"), "{error}");
    }

    #[test]
    fn what_is_missing_is_named_with_its_line() {
        let refused = |text: &str, config: &ImageConfig| {
            let folder = Folder::new("t.csv", text);
            let error = gathered(&folder, "t.csv", config).unwrap_err().to_string();
            error.replace(&folder.uri(""), "")
        };
        let usual = ImageConfig::default();
        let error = refused("image,label\n1.png,a\n9.png,b\n", &usual);
        assert!(
            error.starts_with("t.csv, line 3, column `image`: expected the name of a picture in"),
            "{error}"
        );
        assert!(error.ends_with("found `9.png`, which is not there"), "{error}");
        let error = refused("image,label\n1.png,\n", &usual);
        assert!(
            error.ends_with("line 2, column `label`: expected what the picture shows, found nothing"),
            "{error}"
        );
        let error = refused("a,b,c\n1.png,x,y\n", &usual);
        assert!(
            error.starts_with(
                "data.image_column: expected the column of t.csv that holds file names: `a`, `b`"
            )
        );
        let error = refused("image,b,c\n1.png,x,y\n", &usual);
        assert!(error.starts_with("data.label_column: expected"), "{error}");
        let keys = ImageConfig { label_column: Some("lable".into()), ..usual.clone() };
        assert!(refused("image,label\n1.png,x\n", &keys).contains("the nearest are `label`"));
        let error = refused("image,label\n1.png,a\n2.png,b\n1.png,b\n", &usual);
        assert!(
            error.starts_with("line 4 of t.csv: expected the same answer about 1.png as in line 2"),
            "{error}"
        );
        let value = ImageConfig { target: ImageTarget::Value, ..usual };
        assert!(
            refused("image,label\n1.png,tall\n", &value).ends_with("expected a finite number, found `tall`")
        );
    }

    #[test]
    fn names_may_lack_the_ending_where_one_picture_has_them() {
        let folder = Folder::new("t.csv", "id,label\n1,a\ndeep/3,b\n4.webp,a\n");
        let keys = ImageConfig { image_column: Some("id".into()), ..ImageConfig::default() };
        let found = gathered(&folder, "t.csv", &keys).unwrap();
        assert_eq!(names(&found, &folder), ["1.png", "deep/3.jpg", "4.webp"]);
        fs::write(folder.uri("1.gif"), "").unwrap();
        let error = gathered(&folder, "t.csv", &keys).unwrap_err().to_string();
        assert!(
            error.ends_with("found `1`, which several pictures are called but for their endings"),
            "{error}"
        );
    }

    #[test]
    fn rows_may_be_skipped_and_repeats_count_once() {
        let text = "image,label\n1.png,a\n9.png,b\n2.png,b\n1.png,a\n4.webp,\n";
        let folder = Folder::new("t.csv", text);
        let skipping = ImageConfig { on_corrupt: OnCorrupt::Skip, ..ImageConfig::default() };
        assert_eq!(names(&gathered(&folder, "t.csv", &skipping).unwrap(), &folder), ["1.png", "2.png"]);
    }

    #[test]
    fn names_are_relative_to_the_folder_that_a_recipe_names() {
        let folder = Folder::new("x.csv", "");
        let table = folder.0.path().join("labels.csv").display().to_string();
        fs::write(&table, "image,label\n1.png,a\ndeep/3.jpg,b\n").unwrap();
        let config = ImageConfig { folder: Some(folder.uri("")), ..ImageConfig::default() };
        let found = gather(&table, &config, ImageTarget::Class).unwrap();
        assert_eq!(names(&found, &folder), ["1.png", "deep/3.jpg"]);
        assert!(gather(&table, &ImageConfig::default(), ImageTarget::Class).is_err());
    }
}
