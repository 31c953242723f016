//! Folders of picture files.
//!
//! ```text
//! root/cat/1.png         class "cat"
//! root/cat/old/2.jpg     class "cat": folders below a class folder do not matter
//! root/dog/1.jpeg        class "dog"
//! ```

use crate::records::sort_labels;
use crate::{DataError, source};

/// Endings of picture files, in any case; what the content is decides how it is decoded.
const ENDINGS: [&str; 3] = ["png", "jpg", "jpeg"];

/// True for a name that ends as a picture's does. Hidden files are none: file managers and archives leave
/// previews and metadata of such names.
pub(crate) fn is_picture(uri: &str) -> bool {
    let name = source::name(uri);
    let ending = name.rsplit_once('.').map(|(_, ending)| ending);
    !name.starts_with('.')
        && ending.is_some_and(|ending| ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known)))
}

/// All pictures below a folder, matching a glob, or the one file, sorted by URI.
pub(super) fn pictures(uri: &str) -> Result<Vec<String>, DataError> {
    let mut uris = source::list(uri)?;
    let files = uris.len();
    uris.retain(|uri| is_picture(uri));
    match (uris.is_empty(), files) {
        (false, _) => Ok(uris),
        (true, 0) => Err(DataError::source(uri, "PNG or JPEG files", "an empty folder")),
        (true, _) => {
            Err(DataError::source(uri, "PNG or JPEG files", format!("{files} files of other kinds")))
        }
    }
}

/// Pictures with the classes that their folders stand for.
#[derive(Debug)]
pub(super) struct Classed {
    /// The sorted names of the class folders that hold pictures.
    pub names: Vec<String>,
    /// Each picture with the index of its class in `names`, sorted by URI.
    pub pictures: Vec<(String, usize)>,
}

/// The pictures of a folder of class folders.
pub(super) fn classed(root: &str) -> Result<Classed, DataError> {
    let uris = pictures(root)?;
    let above = root.trim_end_matches('/').len();
    let mut folders = Vec::with_capacity(uris.len());
    for uri in &uris {
        match uri[above..].trim_start_matches('/').split_once('/') {
            Some((class, _)) => folders.push(class.to_string()),
            None => {
                let found = format!("{:?} outside of them", source::name(uri));
                return Err(DataError::source(
                    root,
                    "pictures in class folders (root/<class>/picture)",
                    found,
                ));
            }
        }
    }
    let mut names = folders.clone();
    names.sort_unstable();
    names.dedup();
    sort_labels(&mut names);
    let index: std::collections::HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let classes: Vec<usize> = folders.iter().map(|class| index[class.as_str()]).collect();
    Ok(Classed { pictures: uris.into_iter().zip(classes).collect(), names })
}

/// The pictures below a folder with the names of their classes, for [`pack`](crate::pack::pack): class
/// folders, or pictures without classes.
///
/// # Errors
/// When there is no picture.
pub fn pictures_of(folder: &str) -> Result<Vec<(String, Option<String>)>, DataError> {
    if let Ok(classed) = classed(folder) {
        let names = classed.names;
        return Ok(classed
            .pictures
            .into_iter()
            .map(|(uri, class)| (uri, Some(names[class].clone())))
            .collect());
    }
    Ok(pictures(folder)?.into_iter().map(|uri| (uri, None)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn classes_are_the_folders_below_the_root() {
        let folder = folder(&[
            "dog/2.PNG",
            "dog/.hidden.png",
            "cat/old/1.jpg",
            "cat/3.jpeg",
            "notes/read.txt",
            "x.csv",
        ]);
        for slash in ["", "/"] {
            let root = format!("{}{slash}", folder.path().display());
            let classed = classed(&root).unwrap();
            assert_eq!(classed.names, ["cat", "dog"]);
            let found: Vec<(&str, usize)> =
                classed.pictures.iter().map(|(uri, class)| (source::name(uri), *class)).collect();
            assert_eq!(found, [("3.jpeg", 0), ("1.jpg", 0), ("2.PNG", 1)]);
        }
    }

    #[test]
    fn numbers_sort_as_numbers() {
        let numbers = folder(&["10/a.png", "9/a.png", "-1/a.png"]);
        assert_eq!(classed(numbers.path().to_str().unwrap()).unwrap().names, ["-1", "9", "10"]);
        let mixed = folder(&["10/a.png", "9/a.png", "b/a.png"]);
        assert_eq!(classed(mixed.path().to_str().unwrap()).unwrap().names, ["10", "9", "b"]);
    }

    #[test]
    fn folders_without_classes_or_pictures_are_refused() {
        let refused = |files: &[&str]| {
            let folder = folder(files);
            classed(folder.path().to_str().unwrap()).unwrap_err().to_string()
        };
        assert!(refused(&[]).ends_with("expected PNG or JPEG files, found an empty folder"));
        assert!(refused(&["a/x.txt"]).ends_with("found 1 files of other kinds"));
        assert!(refused(&["cat/1.png", "stray.png"]).ends_with("found \"stray.png\" outside of them"));
        assert!(classed("no/such/folder").unwrap_err().to_string().contains("nothing of that name"));
    }
}
