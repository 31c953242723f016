//! A look at a folder of pictures, which reads the beginnings of some and writes nothing.

use super::decode::{self, Facts};
use super::folder::{self, Classed};
use crate::records::LeftOut;
use crate::{DataError, pool, source};
use std::collections::BTreeMap;

/// Pictures that are read, evenly out of all.
const LOOKS: usize = 500;

/// What a folder of pictures holds.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// Pictures.
    pub pictures: u64,
    /// The class folders, in the order of their labels, and the pictures in each; none where the pictures are
    /// not in class folders.
    pub classes: Vec<(String, u64)>,
    /// What else lies there.
    pub left_out: LeftOut,
    /// The facts about some of the pictures.
    pub looked: Looked,
}

/// What some pictures say of themselves.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// Pictures that were read.
    pub pictures: u64,
    /// The least and the greatest height, pixels.
    pub heights: Option<[usize; 2]>,
    /// The least and the greatest width, pixels.
    pub widths: Option<[usize; 2]>,
    /// Pictures of each mode: `colour`, `grey`, and either with transparency.
    pub modes: BTreeMap<&'static str, u64>,
    /// Pictures that are none, and the error of the first.
    pub unreadable: u64,
    /// The error of the first of these.
    pub error: Option<String>,
}

/// True where a URI names a picture file, or a folder in which there are pictures and no shards or tables.
pub fn is_look_of_pictures(uri: &str) -> bool {
    if !source::is_folder(uri) {
        return folder::is_picture(uri) && source::list(uri).is_ok();
    }
    let mut sorting = folder::Sorting::default();
    let files = source::list(uri).unwrap_or_default();
    let pictures = files.iter().filter(|file| sorting.take(uri, file)).count();
    // A CSV of labels beside pictures does not make them a table.
    pictures > 0 && sorting.finish(uri).is_ok_and(|left_out| left_out.files() < pictures as u64)
}

/// Looks at the pictures of a folder or a file.
///
/// # Errors
/// When there is none, or a picture cannot be reached.
pub fn look(uri: &str) -> Result<Look, DataError> {
    let (uris, left_out, classes) = match source::is_folder(uri).then(|| folder::classed(uri)) {
        Some(Ok(Classed { names, pictures, left_out })) => {
            let mut classes: Vec<(String, u64)> = names.into_iter().map(|name| (name, 0)).collect();
            pictures.iter().for_each(|(_, class)| classes[*class].1 += 1);
            (pictures.into_iter().map(|(uri, _)| uri).collect(), left_out, classes)
        }
        _ => {
            let (uris, left_out) = folder::pictures(uri)?;
            (uris, left_out, Vec::new())
        }
    };
    let looks = LOOKS.min(uris.len());
    let mut looked = Looked::default();
    let facts = |number: usize| {
        let uri = &uris[number * uris.len() / looks.max(1)];
        Ok(source::read(uri).and_then(|bytes| decode::facts(uri, &bytes)))
    };
    pool::in_order(pool::requests(), 0..looks, facts, |facts| looked.add(facts))?;
    Ok(Look { pictures: uris.len() as u64, classes, left_out, looked })
}

impl Looked {
    fn add(&mut self, facts: Result<Facts, DataError>) -> Result<(), DataError> {
        self.pictures += 1;
        match facts {
            Ok(Facts { size: [height, width], mode }) => {
                for (range, side) in [(&mut self.heights, height), (&mut self.widths, width)] {
                    let [least, most] = range.unwrap_or([side, side]);
                    *range = Some([least.min(side), most.max(side)]);
                }
                *self.modes.entry(mode).or_default() += 1;
            }
            Err(error) if error.is_unreachable() => return Err(error),
            Err(error) => {
                self.unreadable += 1;
                self.error.get_or_insert_with(|| error.to_string());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::decode::tests::file;
    use super::*;
    use image::ImageFormat;
    use std::fs;

    #[test]
    fn a_folder_is_looked_at_and_left_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let put = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, bytes).unwrap();
        };
        put("cat/1.png", &file(ImageFormat::Png, 8, 9));
        put("cat/2.jpg", &file(ImageFormat::Jpeg, 5, 20));
        put("dog/1.webp", &file(ImageFormat::WebP, 6, 7));
        put("dog/2.bmp", b"no picture");
        put("cat/.DS_Store", b"");
        put("labels.csv", b"a,b");
        let root = folder.path().to_str().unwrap();
        assert!(is_look_of_pictures(root));
        let found = look(root).unwrap();
        assert_eq!((found.pictures, &found.classes[..]), (4, &[("cat".into(), 2), ("dog".into(), 2)][..]));
        assert_eq!(found.left_out.to_string(), "1 .csv (labels.csv)");
        let looked = &found.looked;
        assert_eq!((looked.heights, looked.widths), (Some([5, 8]), Some([7, 20])));
        assert_eq!((looked.modes["colour"], looked.unreadable), (3, 1));
        assert!(looked.error.as_ref().unwrap().contains("dog/2.bmp, picture: expected"));
        assert_eq!(fs::read_dir(root).unwrap().count(), 3);
        assert!(is_look_of_pictures(&format!("{root}/cat/1.png")));
        assert!(!is_look_of_pictures(&format!("{root}/labels.csv")) && !is_look_of_pictures("no/such"));
    }

    #[test]
    fn a_folder_of_tables_is_none_of_pictures() {
        let folder = tempfile::tempdir().unwrap();
        ["a.csv", "b.csv", "logo.png"]
            .iter()
            .for_each(|name| fs::write(folder.path().join(name), "").unwrap());
        assert!(!is_look_of_pictures(folder.path().to_str().unwrap()));
    }
}
