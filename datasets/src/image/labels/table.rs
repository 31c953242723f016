//! A table of file names: how it is known, which of its columns say what, and its records.

use crate::DataError;
use crate::image::{ImageConfig, ImageTarget};
use crate::records::{Decoding, Dialect, DialectKeys, Format, Found, ReadOptions, Use, nearest, quoted};
use crate::source;

/// Names of columns that hold file names; the first that is there does, where a recipe names none.
const IMAGES: [&str; 9] =
    ["image", "file_name", "filename", "file", "image_path", "path", "image_name", "img", "image_id"];

/// Names of columns that hold what a picture shows.
const LABELS: [&str; 8] = ["label", "labels", "class", "class_name", "category", "cls", "target", "value"];

/// True for a URI of a table of file names: no shards and no pictures.
pub(in crate::image) fn is_table(uri: &str, config: &ImageConfig) -> bool {
    let is_asked = config.image_column.is_some() || config.folder.is_some();
    let is_table = |format: Format| format.has_columns() && (is_asked || !format.may_hold_pictures());
    Format::named(uri).is_some_and(is_table)
}

/// The columns that are read.
pub(super) struct Columns {
    pub image: String,
    /// None where nothing is asked of a picture; several where each says of one label whether it has it.
    pub labels: Vec<String>,
}

impl Columns {
    /// The columns of a file: those that the recipe names, or else those whose names are the usual ones. The column
    /// `group` has to be there, too.
    ///
    /// # Errors
    /// When the file cannot be read, or a column is not there or not known.
    pub(super) fn of(
        file: &str,
        config: &ImageConfig,
        target: ImageTarget,
        group: Option<&str>,
    ) -> Result<Self, DataError> {
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
        if let Some(group) = group {
            find("group_column", &Some(group.to_string()), &[], "")?;
        }
        let image = find("image_column", &config.image_column, &IMAGES, "file names")?;
        let of_labels = config.label_columns.iter();
        let (labels, what) = match target {
            ImageTarget::Input => (Vec::new(), String::new()),
            ImageTarget::Labels if !config.label_columns.is_empty() => {
                let find = |name: &String| find("label_columns", &Some(name.clone()), &[], "");
                let labels = of_labels.map(find).collect::<Result<Vec<_>, _>>()?;
                let told = format!(", a column for each of {} labels", labels.len());
                (labels, told)
            }
            ImageTarget::Class | ImageTarget::Value | ImageTarget::Labels => {
                let is_other =
                    |name: &&String| **name != image && config.group_column.as_ref() != Some(*name);
                let others: Vec<&String> = names.iter().filter(is_other).collect();
                let label = match (&config.label_column, others.as_slice()) {
                    (None, [only]) => (*only).clone(),
                    (given, _) => find("label_column", given, &LABELS, "what the pictures show")?,
                };
                let what = match target {
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
}

/// Hands the records of a file to `take`.
pub(super) fn read_table(
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
