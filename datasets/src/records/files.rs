//! The files that a URI names, and those of a folder that no data set means.

use super::once::warn_once;
use crate::{DataError, source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// The ending of every sidecar index.
pub(crate) const SIDECAR_ENDING: &str = ".index.parquet";

/// Endings of picture files, in any case; what the content is decides how it is decoded.
pub const PICTURE_ENDINGS: [&str; 10] =
    ["png", "jpg", "jpeg", "jpe", "jfif", "webp", "bmp", "tif", "tiff", "gif"];

/// The files that a URI names: of a folder those that are not [set aside](is_set_aside), and never the index
/// beside them.
///
/// # Errors
/// When nothing of that name is there.
pub(crate) fn files(uri: &str) -> Result<Vec<String>, DataError> {
    let mut files = source::list(uri)?;
    files.retain(|file| !file.ends_with(SIDECAR_ENDING));
    if source::is_folder(uri) {
        files.retain(|file| !is_set_aside(below(uri, file)));
    }
    Ok(files)
}

/// The part of a URI below the folder that it lies in.
pub(crate) fn below<'a>(folder: &str, uri: &'a str) -> &'a str {
    uri.get(folder.trim_end_matches('/').len()..).unwrap_or(uri).trim_start_matches('/')
}

/// True for the path of a file below a folder that lies there for another reason than to be a sample: what file
/// managers, archivers, notebooks and Spark leave (`.DS_Store`, `Thumbs.db`, `__MACOSX/…`,
/// `.ipynb_checkpoints/…`, `_SUCCESS`), the index of shards, and a `README`, a `LICENSE` or notes in Markdown.
/// A file that is named itself is never asked about.
pub fn is_set_aside(below: &str) -> bool {
    let (folders, name) = below.rsplit_once('/').unwrap_or(("", below));
    if is_litter(folders, name) {
        return true;
    }
    // Cameras call pictures `_DSC0001.JPG`, and Spark leaves none.
    let spark = folders.split('/').chain([name]).any(|part| part.starts_with('_'));
    !has_picture_ending(name) && (spark || is_about_data(name)) || name.ends_with(SIDECAR_ENDING)
}

/// True for a member of an archive that lies there for another reason than to be a sample. Names of samples may
/// begin with `_` there, whatever their parts are called.
pub(super) fn is_set_aside_in_archive(path: &str) -> bool {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    is_litter(folders, name) || is_about_data(name)
}

/// True for what file managers, archivers and notebooks leave.
fn is_litter(folders: &str, name: &str) -> bool {
    let mut parts = folders.split('/').chain([name]);
    parts.any(|part| part.starts_with('.') || part == "__MACOSX") || is_left_by_system(name)
}

/// True for the files that Windows and macOS leave in folders.
fn is_left_by_system(name: &str) -> bool {
    ["thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r"].contains(&name.to_ascii_lowercase().as_str())
}

/// True for the name of a text about data beside it.
fn is_about_data(name: &str) -> bool {
    const STEMS: [&str; 3] = ["readme", "license", "licence"];
    let lower = name.to_lowercase();
    let (stem, ending) = lower.split_once('.').unwrap_or((&lower, ""));
    let is_prose = ["", "txt", "rst", "html", "pdf"].contains(&ending);
    // `license_plates.txt` is none: of names that go on, those in capitals alone are meant.
    let goes_on = || STEMS.iter().any(|known| name.starts_with(&known.to_uppercase()));
    lower.ends_with(".md") || is_prose && (STEMS.contains(&stem) || goes_on())
}

/// True for a name that ends as a picture's does.
pub(crate) fn has_picture_ending(name: &str) -> bool {
    let ending = name.rsplit_once('.').map_or(name, |(_, ending)| ending);
    PICTURE_ENDINGS.iter().any(|known| ending.eq_ignore_ascii_case(known))
}

/// The lower-case letters behind the last dot of a name, the ending of a packing aside; empty where there is
/// none.
pub(super) fn ending(uri: &str) -> String {
    let name = source::unpacked_name(uri);
    name.rsplit_once('.').map(|(_, ending)| ending.to_string()).unwrap_or_default()
}

/// Files of a folder that are no samples of the set that is read there, counted by their endings. Files that
/// are [set aside](is_set_aside) are not among them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeftOut {
    /// How many, by ending: `.txt`, and nothing for names without one.
    pub endings: BTreeMap<String, u64>,
    /// The first of them.
    pub first: Option<String>,
    /// Folders that would be classes, had they a sample.
    pub folders: Vec<String>,
}

/// Different endings that are counted apart; more are counted together, under [`OTHERS`].
const MOST_ENDINGS: usize = 64;

const OTHERS: &str = ".…";

/// Endings and folders that are named in a line.
const SHOWN: usize = 6;

impl LeftOut {
    /// Counts a file by its path.
    pub(crate) fn add(&mut self, path: &str) {
        let name = source::name(path);
        let ending = name.rsplit_once('.').map(|(_, ending)| format!(".{}", ending.to_lowercase()));
        let ending = ending.unwrap_or_default();
        let known = self.endings.contains_key(&ending) || self.endings.len() < MOST_ENDINGS;
        *self.endings.entry(if known { ending } else { OTHERS.to_string() }).or_default() += 1;
        self.first.get_or_insert_with(|| name.to_string());
    }

    /// True where nothing was left out.
    pub fn is_empty(&self) -> bool {
        self.endings.is_empty() && self.folders.is_empty()
    }

    /// The files.
    pub fn files(&self) -> u64 {
        self.endings.values().sum()
    }

    /// Tells the log, where there is something to tell of `uri`.
    pub(crate) fn tell(&self, uri: &str) {
        if !self.is_empty() {
            warn_once(format!("{uri}: left out: {self}"));
        }
    }
}

/// `3 .txt, 1 .mp4 (notes.txt, …); no sample in the folder fox`
impl fmt::Display for LeftOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut endings: Vec<(&String, &u64)> = self.endings.iter().collect();
        endings.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        let named = |(ending, count): &(&String, &u64)| match ending.as_str() {
            "" => format!("{count} without an ending"),
            ending => format!("{count} {ending}"),
        };
        let shown: Vec<String> = endings.iter().take(SHOWN).map(named).collect();
        f.write_str(&shown.join(", "))?;
        let rest: u64 = endings.iter().skip(SHOWN).map(|(_, count)| **count).sum();
        if rest > 0 {
            write!(f, ", {rest} others")?;
        }
        if let Some(first) = &self.first {
            let more = if self.files() > 1 { ", …" } else { "" };
            write!(f, " ({first}{more})")?;
        }
        if !self.folders.is_empty() {
            let before = if self.endings.is_empty() { "" } else { "; " };
            let folders = if self.folders.len() == 1 { "folder" } else { "folders" };
            let shown = self.folders[..self.folders.len().min(SHOWN)].join(", ");
            let more = if self.folders.len() > SHOWN { ", …" } else { "" };
            write!(f, "{before}no sample in the {folders} {shown}{more}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_systems_and_notes_about_data_are_set_aside() {
        for aside in [
            ".DS_Store",
            "cat/.DS_Store",
            "cat/Thumbs.db",
            "cat/desktop.ini",
            ".ipynb_checkpoints/3-checkpoint.png",
            "cat/.ipynb_checkpoints/4-checkpoint.png",
            ".git/objects/ab/12.png",
            "__MACOSX/cat/._0.png",
            "cat/.hidden.png",
            "_SUCCESS",
            "_delta_log/000.json",
            ".part-0.csv.crc",
            "README",
            "README.md",
            "readme.txt",
            "README-first.txt",
            "LICENSE",
            "LICENSE-MIT",
            "deep/notes.md",
            "part-all.index.parquet",
        ] {
            assert!(is_set_aside(aside), "{aside}");
        }
        for sample in [
            "cat/_DSC0001.JPG",
            "_unknown/1.png",
            "cat/README.png",
            "license_plates.txt",
            "license_plates/1.png",
            "readmes.csv",
            "part-0.csv",
            "notes/read.txt",
            "a.parquet",
        ] {
            assert!(!is_set_aside(sample), "{sample}");
        }
    }

    #[test]
    fn a_folder_is_listed_without_them_and_a_file_that_is_named_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["part-0.csv", "_SUCCESS", "README.md", ".git/x.csv", "__MACOSX/part-0.csv", "_old/x.csv"]
        {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        let root = folder.path().to_str().unwrap();
        for root in [root.to_string(), format!("{root}/")] {
            let found = files(&root).unwrap();
            assert_eq!(found, [format!("{}/part-0.csv", root.trim_end_matches('/'))]);
        }
        for name in ["_SUCCESS", "README.md", ".git/x.csv"] {
            let uri = format!("{root}/{name}");
            assert_eq!(files(&uri).unwrap(), [uri]);
        }
    }

    #[test]
    fn what_is_left_out_is_counted_by_ending() {
        let mut left = LeftOut::default();
        assert!(left.is_empty());
        ["a/notes.txt", "a/x.mp4", "b/2.TXT", "b/3.txt", "b/plain"].iter().for_each(|path| left.add(path));
        assert_eq!(left.to_string(), "3 .txt, 1 without an ending, 1 .mp4 (notes.txt, …)");
        left.folders.push("fox".into());
        assert!(left.to_string().ends_with("; no sample in the folder fox"), "{left}");
        // Names without end do not make counts without end.
        (0..1000).for_each(|number| left.add(&format!("x.{number}")));
        assert_eq!((left.files(), left.endings.len()), (1005, MOST_ENDINGS + 1));
        assert!(left.to_string().contains(" others ("), "{left}");
    }
}
