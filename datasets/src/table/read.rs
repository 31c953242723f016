//! Files into a table: what is at a URI, each file read by its format.

use super::cells::{Cells, TextCells};
use super::config::TableConfig;
use super::corrupt::{Corrupt, Counted};
use super::frame::Frame;
use super::{jsonl, parquet};
use crate::records::csv::{Csv, for_each_row};
use crate::records::{Format, files};
use crate::{DataError, OnCorrupt, source};
use std::ops::ControlFlow;

/// Reads a file, or every file of a folder or glob.
///
/// # Errors
/// When something cannot be read (and is not to be skipped), there is no row, or the files
/// disagree about the columns.
pub(super) fn read(uri: &str, config: &TableConfig) -> Result<Frame, DataError> {
    let mut files = files(uri)?.into_iter();
    let Some(first) = files.next() else {
        return Err(DataError::source(uri, "at least one file", "an empty folder"));
    };
    let mut frame = read_file(&first, config)?;
    frame.uri = uri.to_string();
    for file in files {
        let more = read_file(&file, config)?;
        frame.append(more)?;
    }
    match frame.len() {
        0 => Err(DataError::source(uri, "at least one row", "none")),
        _ => Ok(frame),
    }
}

fn read_file(uri: &str, config: &TableConfig) -> Result<Frame, DataError> {
    let bytes = source::read_unpacked(uri)?;
    let mut skipped = 0;
    let mut corrupt = |_: u32, error| match config.on_corrupt {
        OnCorrupt::Stop => ControlFlow::Break(error),
        OnCorrupt::Skip => {
            skipped += 1;
            ControlFlow::Continue(())
        }
    };
    let frame = match config.format(uri) {
        Format::Jsonl => jsonl::read(uri, &bytes, 1, config, &mut corrupt)?,
        Format::Parquet => parquet::read(uri, bytes, config)?,
        Format::Csv | Format::Tar | Format::Text => {
            let mut csv = Csv::open(uri, &bytes, config.dialect(uri)?, config.given(None))?;
            read_csv(&mut csv, uri, config, &mut corrupt)?
        }
    };
    Ok(Frame { skipped, ..frame })
}

/// Reads the rows of a CSV; those that cannot be go to `corrupt`.
///
/// # Errors
/// The first that `corrupt` hands back.
pub(super) fn read_csv(
    csv: &mut Csv<'_>,
    uri: &str,
    config: &TableConfig,
    corrupt: Corrupt<'_>,
) -> Result<Frame, DataError> {
    let mut columns: Vec<TextCells> = csv.names().iter().map(|_| TextCells::default()).collect();
    let mut lines = Vec::new();
    let counted = Counted::new(corrupt);
    for_each_row(
        csv,
        |error| counted.corrupt(error),
        |line, csv| {
            lines.push(line);
            for (column, cell) in columns.iter_mut().zip(csv.cells()) {
                let cell = cell.trim();
                column.push((!config.is_missing(cell)).then_some(cell));
            }
            counted.readable();
            Ok(())
        },
    )?;
    let columns = columns.into_iter().map(Cells::Text).collect();
    Ok(Frame::new(uri, csv.names().to_vec(), columns, lines, "line"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_string()
    }

    #[test]
    fn a_folder_of_files_is_one_table_whatever_the_order_of_columns() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "part-0.csv", "a,b\n1,x\n2,?\n");
        let second = write(&folder, "part-1.csv", "b,a\ny,3\n");
        let frame = read(folder.path().to_str().unwrap(), &TableConfig::default()).unwrap();
        assert_eq!(frame.len(), 3);
        assert_eq!(frame.columns[0].number(2), Some(Ok(3.0)));
        assert_eq!(frame.columns[1].text(1), None);
        assert_eq!(frame.columns[1].text(2).unwrap(), "y");
        let error = frame.cell_error(2, "a", "x", "y").to_string();
        assert!(error.contains(&second) && error.contains("line 2, column `a`"), "{error}");
    }

    #[test]
    fn files_that_disagree_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, "1.csv", "a,b\n1,x\n");
        write(&folder, "2.csv", "a,c\n1,x\n");
        let uri = folder.path().to_str().unwrap();
        let error = read(uri, &TableConfig::default()).unwrap_err().to_string();
        assert!(error.contains("`b`"), "{error}");
    }

    #[test]
    fn a_header_alone_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n");
        let error = read(&uri, &TableConfig::default()).unwrap_err().to_string();
        assert!(error.contains("expected at least one row, found none"), "{error}");
    }

    #[test]
    fn corrupt_rows_stop_or_are_counted() {
        let folder = tempfile::tempdir().unwrap();
        let uri = write(&folder, "h.csv", "a,b\n1,2\n3\n4,5\n");
        assert!(read(&uri, &TableConfig::default()).is_err());
        let skip = TableConfig { on_corrupt: OnCorrupt::Skip, ..Default::default() };
        let frame = read(&uri, &skip).unwrap();
        assert_eq!((frame.len(), frame.skipped), (2, 1));
    }
}
