//! File names and the pictures of their folder.

use crate::image::folder;
use crate::records::below;
use crate::source::{self, Object};
use std::collections::{HashMap, HashSet};

/// The files of the folder that names are relative to; none where it cannot be listed.
pub(super) struct Known(Option<Files>);

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
    pub(super) fn of(root: &str) -> Self {
        // Most web servers cannot list: what is not there is named when it is read.
        let listed = source::is_folder(root).then(|| source::list(root)).and_then(Result::ok);
        let below = |uris: Vec<String>| uris.iter().map(|uri| below(root, uri).to_string()).collect();
        Known(listed.map(|uris| Files::of(below(uris))))
    }

    /// The picture that a row names, which may leave the ending out where one picture alone has the name.
    ///
    /// # Errors
    /// Why it is not there.
    pub(super) fn find(&self, root: &str, uri: String) -> Result<String, &'static str> {
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

    /// Tells the log of pictures of the folder that are not among `named`.
    pub(super) fn tell<'a>(&self, file: &str, root: &str, named: impl Iterator<Item = &'a str>) {
        let Some(Files { names, .. }) = &self.0 else { return };
        let pictures = names.iter().filter(|name| folder::is_picture(name)).count();
        let named: HashSet<&str> = named.collect();
        if named.len() < pictures {
            log::info!("{file}: names {} of the {pictures} pictures in {root}", named.len());
        }
    }
}
