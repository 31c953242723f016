//! A URI, understood: what was typed becomes what was meant, before anything is opened.

use super::one_line;
use crate::DataError;
use object_store::path::Path as ObjectPath;
use std::path::PathBuf;

/// The scheme of embedded sets.
pub(super) const BUILTIN: &str = "builtin:";

/// The scheme of data sets on the Hugging Face Hub.
pub(super) const HUB: &str = "hf";

/// Every remote scheme, with the cargo feature that reads it.
const REMOTE: [(&str, &str); 13] = [
    ("s3", "s3"),
    ("s3a", "s3"),
    ("gs", "gcs"),
    ("az", "azure"),
    ("adl", "azure"),
    ("azure", "azure"),
    ("abfs", "azure"),
    ("abfss", "azure"),
    ("http", "http"),
    ("https", "http"),
    (HUB, "http"),
    ("hdfs", "hdfs"),
    ("viewfs", "hdfs"),
];

/// The thing that a URI names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Location {
    /// A name below `builtin:`.
    Builtin(String),
    /// A path of the local file system, maybe a glob.
    Local(PathBuf),
    /// Something below a server or a bucket, maybe a glob.
    Remote(Remote),
}

/// `scheme://authority/path`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Remote {
    /// In lower case.
    pub scheme: &'static str,
    /// A cargo feature of this crate.
    pub feature: &'static str,
    /// Bucket, container or server; on the Hub `datasets/OWNER/NAME@REVISION`.
    pub authority: String,
    /// The path behind the authority, without a slash at either end.
    pub path: String,
}

impl Location {
    pub(super) fn parse(uri: &str) -> Result<Self, DataError> {
        if let Some(name) = uri.strip_prefix(BUILTIN) {
            return Ok(Location::Builtin(name.trim_matches('/').to_string()));
        }
        let Some((scheme, rest)) = uri.split_once("://") else {
            return match uri.is_empty() {
                false => Ok(Location::Local(uri.into())),
                true => Err(DataError::unreachable("\"\"", "a path or a URI", "nothing")),
            };
        };
        if let Some(&(scheme, feature)) = REMOTE.iter().find(|(known, _)| known.eq_ignore_ascii_case(scheme))
        {
            let remote = match scheme {
                HUB => Remote::on_hub(uri, rest),
                _ => Remote::parse(uri, scheme, feature, rest),
            };
            return remote.map(Location::Remote);
        }
        if !scheme.eq_ignore_ascii_case("file") {
            let known = "a path, builtin:NAME, or one of file, s3, gs, az, abfs, http, https, hf, hdfs://";
            return Err(DataError::unreachable(uri, known, format!("the scheme {scheme:?}")));
        }
        let path = rest.strip_prefix("localhost").unwrap_or(rest);
        if !path.starts_with('/') {
            return Err(DataError::unreachable(uri, "an absolute path after file://", format!("{rest:?}")));
        }
        let decoded = ObjectPath::from_url_path(path)
            .map_err(|error| DataError::unreachable(uri, "a percent-encoded path", one_line(error)))?;
        Ok(Location::Local(format!("/{decoded}").into()))
    }
}

impl Remote {
    /// Refuses secrets inside the URI: a URI stands in recipes, logs and errors.
    fn parse(uri: &str, scheme: &'static str, feature: &'static str, rest: &str) -> Result<Self, DataError> {
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.rsplit_once('@').is_some_and(|(user, _)| user.contains(':')) {
            let shown = format!("{scheme}://…@{}", rest.rsplit('@').next().unwrap_or_default());
            return Err(DataError::unreachable(
                shown,
                "credentials in the environment",
                "a password in the URI",
            ));
        }
        if let (true, Some((path, _))) = (feature == "http", path.split_once('?')) {
            let shown = format!("{scheme}://{authority}/{path}?…");
            let expected = "a URI without a query: credentials belong into the environment";
            return Err(DataError::unreachable(shown, expected, "a query"));
        }
        if authority.is_empty() {
            return Err(DataError::unreachable(uri, format!("a name after {scheme}://"), "none"));
        }
        let (authority, path) = (authority.to_string(), path.trim_matches('/').to_string());
        Ok(Remote { scheme, feature, authority, path })
    }

    /// `hf://datasets/OWNER/NAME@REVISION/PATH`, as huggingface_hub spells it: a revision with slashes is
    /// percent-encoded, but for those below `refs/convert` and `refs/pr`, which may stand as they are.
    fn on_hub(uri: &str, rest: &str) -> Result<Self, DataError> {
        let refused = |found: String| {
            Err(DataError::unreachable(uri, "hf://datasets/OWNER/NAME, or NAME@REVISION, and a path", found))
        };
        let mut parts = rest.split('/');
        let [kind, owner, name] = [parts.next(), parts.next(), parts.next()].map(Option::unwrap_or_default);
        if kind != "datasets" {
            return refused(format!("{kind:?} in the place of datasets"));
        }
        let (name, revision) = match name.split_once('@') {
            None => (name, None),
            Some((name, revision)) => (name, Some(revision.to_string())),
        };
        let plain = |text: &str, also: &str| {
            text.contains(|c: char| c.is_ascii_alphanumeric())
                && text.chars().all(|c| c.is_ascii_alphanumeric() || also.contains(c))
        };
        if !plain(owner, "-_.") || !plain(name, "-_.") {
            return refused(format!("the owner {owner:?} and the name {name:?}"));
        }
        let mut below: Vec<&str> = parts.collect();
        let mut authority = format!("{kind}/{owner}/{name}");
        if let Some(mut revision) = revision {
            if revision == "refs" && below.len() >= 2 && ["convert", "pr"].contains(&below[0]) {
                revision = format!("refs%2F{}%2F{}", below[0], below[1]);
                below.drain(..2);
            }
            if !plain(&revision, "-_.~+%") {
                return refused(format!("the revision {revision:?}"));
            }
            authority = format!("{authority}@{revision}");
        }
        let path = below.join("/").trim_matches('/').to_string();
        Ok(Remote { scheme: HUB, feature: "http", authority, path })
    }

    /// True for a web server, which most often cannot list, and where nothing is written.
    pub(super) fn is_web(&self) -> bool {
        self.feature == "http" && self.scheme != HUB
    }

    /// `scheme://authority`
    pub(super) fn root(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    /// The store's name of the object. The paths of web pages are percent-encoded; the names of
    /// objects in buckets are taken as they stand, as the clouds' own tools do.
    pub(super) fn object(&self, uri: &str) -> Result<ObjectPath, DataError> {
        let parsed = match self.is_web() {
            true => ObjectPath::from_url_path(&self.path),
            false => ObjectPath::parse(&self.path),
        };
        parsed.map_err(|error| DataError::unreachable(uri, "an object's name", one_line(error)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(uri: &str) -> Remote {
        match Location::parse(uri).unwrap() {
            Location::Remote(remote) => remote,
            other => panic!("{uri}: {other:?}"),
        }
    }

    #[test]
    fn every_scheme_is_known_with_its_feature() {
        for (uri, feature, root) in [
            ("s3://bucket/a/b.tar", "s3", "s3://bucket"),
            ("S3A://bucket/a/b.tar", "s3", "s3a://bucket"),
            ("gs://bucket/a/b.tar", "gcs", "gs://bucket"),
            ("az://container@account/a/b.tar", "azure", "az://container@account"),
            ("https://host:8080/a/b.tar", "http", "https://host:8080"),
            ("hdfs://name:9000/a/b.tar", "hdfs", "hdfs://name:9000"),
        ] {
            let remote = remote(uri);
            assert_eq!(
                (remote.feature, remote.root().as_str(), remote.path.as_str()),
                (feature, root, "a/b.tar")
            );
        }
        assert_eq!(remote("s3://bucket").path, "");
        assert_eq!(remote("s3://bucket/a%20b c").object("").unwrap().as_ref(), "a%20b c");
        assert_eq!(remote("http://host/a%20b").object("").unwrap().as_ref(), "a b");
        assert!(Location::parse("ftp://host/x").unwrap_err().to_string().contains("the scheme \"ftp\""));
        assert!(Location::parse("s3:///x").unwrap_err().to_string().contains("a name after s3://"));
    }

    #[test]
    fn a_set_on_the_hub_has_an_owner_a_name_and_maybe_a_revision() {
        for (uri, root, path) in [
            ("hf://datasets/o/n/data/a.csv", "hf://datasets/o/n", "data/a.csv"),
            ("HF://datasets/o/n@v1.0/a b#?.csv", "hf://datasets/o/n@v1.0", "a b#?.csv"),
            ("hf://datasets/o/n@refs%2Fpr%2F7/a", "hf://datasets/o/n@refs%2Fpr%2F7", "a"),
            (
                "hf://datasets/o/n@refs/convert/parquet/default/*.parquet",
                "hf://datasets/o/n@refs%2Fconvert%2Fparquet",
                "default/*.parquet",
            ),
            ("hf://datasets/o/n/", "hf://datasets/o/n", ""),
        ] {
            let remote = remote(uri);
            assert_eq!((remote.root().as_str(), remote.path.as_str()), (root, path), "{uri}");
            assert!(remote.feature == "http" && !remote.is_web());
        }
        for (uri, found) in [
            ("hf://o/n/a.csv", "found \"o\" in the place of datasets"),
            ("hf://datasets/n", "found the owner \"n\" and the name \"\""),
            ("hf://datasets/o/n@/a", "found the revision \"\""),
            ("hf://datasets/../n/a", "found the owner \"..\" and the name \"n\""),
        ] {
            assert!(Location::parse(uri).unwrap_err().to_string().ends_with(found), "{uri}");
        }
    }

    #[test]
    fn a_secret_in_a_uri_is_refused_and_not_repeated() {
        for uri in ["https://user:hunter2@host/x.tar", "https://host/x.tar?X-Amz-Signature=hunter2"] {
            let message = Location::parse(uri).unwrap_err().to_string();
            assert!(message.contains("environment") && !message.contains("hunter2"), "{message}");
        }
        // A question mark is a glob in a bucket, which has no queries.
        assert_eq!(remote("s3://bucket/part-?.tar").path, "part-?.tar");
    }
}
