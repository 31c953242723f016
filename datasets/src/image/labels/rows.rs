//! The rows of a table: the picture that each names, and what it says of it.

use super::names::Known;
use super::table::{Columns, read_table};
use crate::DataError;
use crate::image::{ImageConfig, ImageTarget};
use crate::records::{Found, Frame, Use, canonical, shortened};
use std::collections::BTreeSet;

/// One row of the table.
#[derive(Debug, PartialEq)]
pub(super) struct Row {
    /// The URI of the picture.
    pub uri: String,
    pub answer: Answer,
    /// The value of the column of groups.
    pub group: Option<String>,
    /// The row's place, for messages.
    pub place: String,
}

/// A picture as the table has it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Answer {
    Nothing,
    Class(String),
    Value(f64),
    /// In no order.
    Labels(BTreeSet<String>),
}

/// The rows of a table's files so far.
pub(super) struct Reader<'a> {
    pub config: &'a ImageConfig,
    pub target: ImageTarget,
    /// The column of groups, where pictures are held out by them.
    pub group: Option<&'a str>,
    pub rows: Vec<Row>,
    /// Rows that were left out, and the error of the first.
    pub skipped: u64,
    pub first_error: Option<DataError>,
}

impl Reader<'_> {
    /// Reads a file.
    ///
    /// # Errors
    /// When it cannot be read, or a row of it is refused and not to be skipped.
    pub(super) fn read(&mut self, file: &str) -> Result<(), DataError> {
        let columns = Columns::of(file, self.config, self.target, self.group)?;
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
        known.tell(file, &root, rows.iter().map(|row| row.uri.as_str()));
        self.skipped += errors.len() as u64;
        self.first_error = self.first_error.take().or_else(|| errors.into_iter().next());
        self.rows.append(&mut rows);
        Ok(())
    }

    /// A row.
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

    /// The picture of a row.
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
