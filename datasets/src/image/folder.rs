//! Folders of picture files.
//!
//! ```text
//! root/cat/1.png         class "cat"
//! root/cat/old/2.jpg     class "cat": folders below a class folder do not matter
//! root/dog/1.jpeg        class "dog"
//! ```

use crate::records::{
    Format, LeftOut, PICTURE_ENDINGS, below, has_picture_ending, is_set_aside, sort_labels,
};
use crate::{DataError, source};
use std::collections::{BTreeMap, HashMap};

/// The thing that is asked for where there is none, in errors.
pub(super) fn expected() -> String {
    format!("pictures (.{})", PICTURE_ENDINGS.join(", ."))
}

/// True for a name that ends as a picture's does. Hidden files are none: file managers and archives leave
/// previews and metadata of such names.
pub(crate) fn is_picture(uri: &str) -> bool {
    let name = source::name(uri);
    !name.starts_with('.') && name.contains('.') && has_picture_ending(name)
}

/// The pictures below a folder, and what else is there; one file after the other is sorted in.
#[derive(Debug, Default)]
pub(super) struct Sorting {
    /// True for each folder right below that has a picture.
    folders: BTreeMap<String, bool>,
    left_out: LeftOut,
    pictures: u64,
}

impl Sorting {
    /// True for a picture; `root` is the folder that `uri` lies below.
    pub(super) fn take(&mut self, root: &str, uri: &str) -> bool {
        let path = below(root, uri);
        let folder = path.split_once('/').map(|(folder, _)| folder);
        // A folder that the whole of is set aside would be no class.
        let folder = folder.filter(|folder| !is_set_aside(&format!("{folder}/x.png")));
        let aside = is_set_aside(path);
        let is_picture = !aside && is_picture(uri);
        if let Some(folder) = folder {
            match self.folders.get_mut(folder) {
                Some(any) => *any |= is_picture,
                None => _ = self.folders.insert(folder.to_string(), is_picture),
            }
        }
        self.pictures += u64::from(is_picture);
        if !is_picture && !aside {
            self.left_out.add(path);
        }
        is_picture
    }

    /// What was left out of a folder that holds pictures.
    ///
    /// # Errors
    /// When there was none.
    pub(super) fn finish(mut self, root: &str) -> Result<LeftOut, DataError> {
        match (self.pictures, self.left_out.is_empty()) {
            (0, true) if self.folders.is_empty() => {
                Err(DataError::source(root, expected(), "an empty folder"))
            }
            (0, true) => Err(DataError::source(root, expected(), "folders without one")),
            (0, false) => Err(DataError::source(root, expected(), &self.left_out)),
            _ => {
                let empty = self.folders.into_iter().filter(|(_, any)| !any).map(|(name, _)| name);
                self.left_out.folders = empty.collect();
                Ok(self.left_out)
            }
        }
    }
}

/// All pictures below a folder or matching a glob, sorted by URI, and what else is there.
pub(super) fn pictures(uri: &str) -> Result<(Vec<String>, LeftOut), DataError> {
    let mut uris = source::list(uri)?;
    // The names that a glob matches were all meant, wherever they lie.
    let root = if source::is_folder(uri) { Some(uri) } else { None };
    let mut sorting = Sorting::default();
    uris.retain(|uri| sorting.take(root.unwrap_or_else(|| above(uri)), uri));
    Ok((uris, sorting.finish(uri)?))
}

/// True for the name of a table that may say what pictures show.
fn is_named_table(name: &str) -> bool {
    Format::named(name).is_some_and(|format| format.has_columns() && !format.may_hold_pictures())
}

/// The folder that a file lies in.
fn above(uri: &str) -> &str {
    uri.rfind('/').map_or("", |slash| &uri[..slash])
}

/// Pictures with the classes that their folders stand for.
#[derive(Debug)]
pub(super) struct Classed {
    /// The sorted names of the class folders that hold pictures.
    pub names: Vec<String>,
    /// Each picture with the index of its class in `names`, sorted by URI.
    pub pictures: Vec<(String, usize)>,
    /// What else lies in the folder.
    pub left_out: LeftOut,
}

/// The pictures of a folder of class folders.
pub(super) fn classed(root: &str) -> Result<Classed, DataError> {
    let (uris, left_out) = pictures(root)?;
    let mut folders = Vec::with_capacity(uris.len());
    for uri in &uris {
        match below(root, uri).split_once('/') {
            Some((class, _)) => folders.push(class.to_string()),
            None => {
                let table = left_out.first.as_deref().filter(|name| is_named_table(name));
                let hint = table.map(|name| format!("; a table of labels is read as {name:?}"));
                let found = format!("{:?} outside of them{}", source::name(uri), hint.unwrap_or_default());
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
    let index: HashMap<&str, usize> =
        names.iter().enumerate().map(|(index, name)| (name.as_str(), index)).collect();
    let classes: Vec<usize> = folders.iter().map(|class| index[class.as_str()]).collect();
    Ok(Classed { pictures: uris.into_iter().zip(classes).collect(), names, left_out })
}

/// The pictures below a folder with the names of their classes, for [`pack`](crate::pack::pack): class
/// folders, or pictures without classes. What else lies there is told to the log.
///
/// # Errors
/// When there is no picture, or some are in class folders and others beside these.
pub fn pictures_of(folder: &str) -> Result<Vec<(String, Option<String>)>, DataError> {
    let (uris, left_out) = pictures(folder)?;
    left_out.tell(folder);
    if !source::is_folder(folder) || uris.iter().all(|uri| !below(folder, uri).contains('/')) {
        return Ok(uris.into_iter().map(|uri| (uri, None)).collect());
    }
    let Classed { names, pictures, .. } = classed(folder)?;
    Ok(pictures.into_iter().map(|(uri, class)| (uri, Some(names[class].clone()))).collect())
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
    fn hidden_folders_are_no_classes_and_what_is_left_out_is_named() {
        let folder = folder(&[
            "cat/1.webp",
            "cat/.DS_Store",
            "cat/Thumbs.db",
            "cat/.ipynb_checkpoints/1-checkpoint.png",
            "cat/notes.txt",
            "dog/_DSC01.TIF",
            "dog/clip.mp4",
            "fox/.DS_Store",
            "owl/list.txt",
            ".ipynb_checkpoints/3-checkpoint.png",
            "__MACOSX/cat/._1.png",
            ".DS_Store",
            "README.md",
        ]);
        let root = folder.path().to_str().unwrap();
        let classed = classed(root).unwrap();
        assert_eq!(classed.names, ["cat", "dog"]);
        assert_eq!(classed.pictures.len(), 2);
        let told = "2 .txt, 1 .mp4 (notes.txt, …); no sample in the folders fox, owl";
        assert_eq!(classed.left_out.to_string(), told);
        let packed = pictures_of(root).unwrap();
        let classes: Vec<_> = packed.iter().map(|(_, class)| class.as_deref()).collect();
        assert_eq!(classes, [Some("cat"), Some("dog")]);
    }

    #[test]
    fn pictures_are_packed_with_their_classes_or_all_without() {
        let of = |files: &[&str]| {
            let folder = folder(files);
            pictures_of(folder.path().to_str().unwrap())
        };
        assert!(of(&["1.png", "2.gif"]).unwrap().iter().all(|(_, class)| class.is_none()));
        let error = of(&["cat/1.png", "stray.png"]).unwrap_err().to_string();
        assert!(error.ends_with("found \"stray.png\" outside of them"), "{error}");
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
        assert!(refused(&[]).ends_with("tiff, .gif), found an empty folder"));
        assert!(refused(&["a/x.txt", "README.md"]).ends_with("gif), found 1 .txt (x.txt)"));
        assert!(refused(&["a/.hidden.png"]).ends_with("found folders without one"));
        assert!(refused(&["cat/1.png", "stray.png"]).ends_with("found \"stray.png\" outside of them"));
        assert!(classed("no/such/folder").unwrap_err().to_string().contains("nothing of that name"));
    }
}
