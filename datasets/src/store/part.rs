//! The member of a tar's sample that is its picture.
//!
//! ```text
//! a.b.png   key `a`, member `b.png`: the key ends at the first dot behind the last slash, as webdataset has it
//! ```

use crate::DataError;
use crate::records::{Entry, PICTURE_ENDINGS, has_picture_ending};

/// Which member of a sample is wanted: the one that a recipe names by its ending, or else the only one that
/// ends as a picture does.
#[derive(Clone, Debug, Default)]
pub(crate) struct PicturePart {
    /// In lower case, without a dot before it.
    named: Option<String>,
}

/// True for the extension of a member that is a picture: `jpg`, `image.png`.
pub(crate) fn is_picture_part(extension: &str) -> bool {
    has_picture_ending(extension)
}

impl PicturePart {
    /// The member of this ending; of any picture's where there is none.
    pub(crate) fn new(ending: Option<&str>) -> Self {
        PicturePart { named: ending.map(|ending| ending.trim_start_matches('.').to_ascii_lowercase()) }
    }

    /// True for the extension of a member that may be the one.
    fn fits(&self, extension: &str) -> bool {
        match &self.named {
            None => is_picture_part(extension),
            Some(named) => extension.strip_suffix(named.as_str()).is_some_and(|before| before.ends_with('.')),
        }
    }

    /// The place of the wanted member among those of a sample; none where there is none, or several may be.
    pub(crate) fn among(&self, extensions: &[&str]) -> Option<usize> {
        let exactly = |named: &String| extensions.iter().position(|extension| extension == named);
        if let Some(at) = self.named.as_ref().and_then(exactly) {
            return Some(at);
        }
        let mut fitting = (0..extensions.len()).filter(|&at| self.fits(extensions[at]));
        fitting.next().filter(|_| fitting.next().is_none())
    }

    /// What is looked for, in errors.
    pub(crate) fn expected(&self) -> String {
        match &self.named {
            Some(named) => format!("one part named {named}, as data.picture says"),
            None => format!(
                "one part that is a picture (.{}), or data.picture to say which",
                PICTURE_ENDINGS.join(", .")
            ),
        }
    }

    /// Refuses a sample of which several members may be the one.
    ///
    /// # Errors
    /// Names the key that says which.
    pub(crate) fn check(&self, sample: &Entry) -> Result<(), DataError> {
        let extensions: Vec<&str> = sample.parts.iter().map(|part| part.extension.as_str()).collect();
        let fitting: Vec<&str> =
            extensions.iter().copied().filter(|extension| self.fits(extension)).collect();
        if fitting.len() < 2 || self.among(&extensions).is_some() {
            return Ok(());
        }
        let expected = format!("the ending of one of the pictures of a sample: {}", fitting.join(" or "));
        let found = match &self.named {
            Some(named) => format!("{named:?}, with which several end in sample {}", sample.key),
            None => format!("none for sample {}", sample.key),
        };
        Err(DataError::config("picture", expected, found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::Member;

    #[test]
    fn a_sample_has_one_picture_or_the_recipe_says_which() {
        let among = |named: Option<&str>, extensions: &[&str]| PicturePart::new(named).among(extensions);
        assert_eq!(among(None, &["cls", "webp"]), Some(1));
        assert_eq!(among(None, &["b.png", "cls"]), Some(0));
        assert_eq!(among(None, &["image.png", "mask.png", "cls"]), None);
        assert_eq!(among(None, &["jpg", "seg.png"]), None);
        assert_eq!(among(None, &["cls"]), None);
        for named in ["mask.png", ".mask.png", "Mask.PNG"] {
            assert_eq!(among(Some(named), &["image.png", "mask.png"]), Some(1), "{named}");
        }
        assert_eq!(among(Some("jpg"), &["seg.jpg", "jpg"]), Some(1));
        assert_eq!(among(Some("png"), &["image.png", "jpg"]), Some(0));
        assert_eq!(among(Some("png"), &["image.png", "mask.png"]), None);
        assert_eq!(among(Some("ng"), &["image.png"]), None);
    }

    #[test]
    fn several_pictures_are_refused_with_the_key_that_says_which() {
        let part = |extension: &str| Member { extension: extension.into(), offset: 0, length: 0, crc32: 0 };
        let parts = ["image.png", "mask.png", "cls"].map(part).to_vec();
        let sample = Entry { key: "a".into(), records: 1, line: 0, class: None, parts };
        let refused =
            |named: Option<&str>| PicturePart::new(named).check(&sample).map_err(|error| error.to_string());
        let expected =
            "data.picture: expected the ending of one of the pictures of a sample: image.png or mask.png";
        assert_eq!(refused(None).unwrap_err(), format!("{expected}, found none for sample a"));
        assert!(refused(Some("png")).unwrap_err().contains("several end in sample a"));
        assert_eq!(refused(Some("image.png")), Ok(()));
    }
}
