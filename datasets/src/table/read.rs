//! Files into a table: what is at a URI, each file read by its format.

use super::config::TableConfig;
use crate::records::{Found, Frame, TakeFound, files};
use crate::{DataError, source};

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
    let format = config.format(uri);
    let column = |name: &str| config.column(name);
    let options = config.options(uri, format, &column, None)?;
    let bytes = source::read_unpacked(uri)?;
    let mut skipped = 0;
    let mut unreadable = |_: usize, error| config.refuse(error, &mut skipped);
    let reader = format.reader(uri)?;
    let frame = joined(uri, |take| reader.read(uri, bytes, &options, take), &mut unreadable)?;
    Ok(Frame { skipped, ..frame })
}

/// All records that `read` finds, in one frame; those that cannot be read go to `unreadable`, by their number
/// among all.
///
/// # Errors
/// `read`'s and `unreadable`'s own, and when frames disagree about their columns.
pub(super) fn joined(
    uri: &str,
    read: impl FnOnce(TakeFound<'_>) -> Result<(), DataError>,
    unreadable: &mut dyn FnMut(usize, DataError) -> Result<(), DataError>,
) -> Result<Frame, DataError> {
    let mut all: Option<Frame> = None;
    // The records before the frame under way, and those of it that cannot be read.
    let (mut before, mut lost) = (0, 0);
    read(&mut |found| match found {
        Found::Unreadable(number, error) => {
            lost += 1;
            unreadable(before + number, error)
        }
        Found::Frame(frame) => {
            before += frame.len() + std::mem::take(&mut lost);
            match &mut all {
                Some(all) => all.append(frame),
                None => {
                    all = Some(frame);
                    Ok(())
                }
            }
        }
    })?;
    all.ok_or_else(|| DataError::source(uri, "records", "none"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::OnCorrupt;

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
