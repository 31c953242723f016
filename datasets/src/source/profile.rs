//! Credentials of AWS's own files, which `object_store` does not read.
//!
//! ```text
//! ~/.aws/credentials      [name]           aws_access_key_id = …, aws_secret_access_key = …,
//!                                          aws_session_token = …
//! ~/.aws/config           [profile name]   region = …, endpoint_url = …, and what the other file lacks
//! ```
//!
//! The AWS SDKs and Tools Reference Guide, "Shared config and credentials files". `AWS_PROFILE` names the
//! profile, `AWS_SHARED_CREDENTIALS_FILE` and `AWS_CONFIG_FILE` other places. Profiles that name a login
//! (SSO), a role or a program are refused with what to do: this reads keys alone.

use object_store::aws::AwsCredential;
use object_store::{CredentialProvider, Error, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The files are read again after this long: whoever renews a session's token writes it there, and a long run
/// goes on.
const FRESH: Duration = Duration::from_secs(10);

/// Keys by which a profile gets credentials from elsewhere.
const ELSEWHERE: [&str; 5] =
    ["credential_process", "sso_session", "sso_start_url", "role_arn", "web_identity_token_file"];

/// A profile's keys and values; never printed.
pub(super) struct Profile {
    name: String,
    values: BTreeMap<String, String>,
}

impl Profile {
    /// The profile that `AWS_PROFILE` names, or the one named `default`; `None` where there is no such one
    /// and none was named.
    ///
    /// # Errors
    /// When a profile was named that is in neither file.
    pub(super) fn load() -> Result<Option<Self>> {
        let named = variable("AWS_PROFILE").or_else(|| variable("AWS_DEFAULT_PROFILE"));
        let name = named.clone().unwrap_or_else(|| "default".to_string());
        let [credentials, config] =
            [file("AWS_SHARED_CREDENTIALS_FILE", "credentials"), file("AWS_CONFIG_FILE", "config")];
        let text = |path: &Option<PathBuf>| {
            path.as_ref().and_then(|path| std::fs::read_to_string(path).ok()).unwrap_or_default()
        };
        let mut sections = sections(&text(&config), true);
        for (section, values) in self::sections(&text(&credentials), false) {
            sections.entry(section).or_default().extend(values);
        }
        match (sections.remove(&name), named) {
            (Some(values), _) => Ok(Some(Profile { name, values })),
            (None, None) => Ok(None),
            (None, Some(_)) => {
                let known = sections.into_keys().collect::<Vec<_>>().join(", ");
                let known = if known.is_empty() { "none" } else { &known };
                let shown = |path: Option<PathBuf>| path.unwrap_or_default().display().to_string();
                let (credentials, config) = (shown(credentials), shown(config));
                Err(refuse(format!(
                    "AWS_PROFILE={name}: expected a profile of {credentials} or {config}, which have {known}"
                )))
            }
        }
    }

    /// A value by its key.
    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.values.get(key).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// Its keys; `None` where it has none, and other sources of credentials come next.
    ///
    /// # Errors
    /// When it has half of a pair of keys, or gets them from elsewhere.
    pub(super) fn credential(&self) -> Result<Option<AwsCredential>> {
        match (self.get("aws_access_key_id"), self.get("aws_secret_access_key")) {
            (Some(key_id), Some(secret_key)) => Ok(Some(AwsCredential {
                key_id: key_id.to_string(),
                secret_key: secret_key.to_string(),
                token: self.get("aws_session_token").map(str::to_string),
            })),
            (None, None) => match ELSEWHERE.iter().find(|key| self.get(key).is_some()) {
                None => Ok(None),
                Some(found) => Err(refuse(format!(
                    "AWS profile {name}: expected aws_access_key_id and aws_secret_access_key, found {found}; \
                     `aws configure export-credentials --profile {name} --format env` gives them",
                    name = self.name
                ))),
            },
            (key_id, _) => {
                let (lacking, has) = match key_id {
                    Some(_) => ("aws_secret_access_key", "aws_access_key_id"),
                    None => ("aws_access_key_id", "aws_secret_access_key"),
                };
                Err(refuse(format!("AWS profile {}: expected {lacking} beside {has}, found none", self.name)))
            }
        }
    }
}

/// The keys of the profile, as the files have them now.
pub(super) struct ProfileCredentials {
    last: Mutex<(Instant, Arc<AwsCredential>)>,
}

impl ProfileCredentials {
    /// Begins with what was read already.
    pub(super) fn new(credential: AwsCredential) -> Self {
        ProfileCredentials { last: Mutex::new((Instant::now(), Arc::new(credential))) }
    }

    fn current(&self) -> Arc<AwsCredential> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.0.elapsed() > FRESH {
            last.0 = Instant::now();
            // A file that is just being written may have none: those known already serve as long as they are
            // valid.
            if let Ok(Some(profile)) = Profile::load()
                && let Ok(Some(credential)) = profile.credential()
            {
                last.1 = Arc::new(credential);
            }
        }
        last.1.clone()
    }
}

impl fmt::Debug for ProfileCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ProfileCredentials")
    }
}

impl CredentialProvider for ProfileCredentials {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(
        &'a self,
    ) -> Pin<Box<dyn Future<Output = Result<Arc<AwsCredential>>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async { Ok(self.current()) })
    }
}

/// An environment variable that says something.
pub(super) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn file(name: &str, usual: &str) -> Option<PathBuf> {
    variable(name)
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(variable("HOME")?).join(".aws").join(usual)))
}

fn refuse(message: String) -> Error {
    Error::Generic { store: "S3", source: message.into() }
}

/// The sections of such a file; in a `config` file, profiles other than `default` are called `profile NAME`.
fn sections(text: &str, config: bool) -> BTreeMap<String, BTreeMap<String, String>> {
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        // An indented line is part of a nested value (`s3 =`), none of which matters here.
        if line.starts_with([' ', '\t', '#', ';']) || line.trim().is_empty() {
            continue;
        }
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            let name = header.0.trim();
            let profile = name.strip_prefix("profile").filter(|rest| rest.starts_with([' ', '\t']));
            let name = match (config, profile) {
                (true, Some(profile)) => Some(profile),
                (true, None) => (name == "default").then_some(name),
                (false, _) => Some(name),
            };
            current = name.map(|name| name.trim().trim_matches('"').to_string());
        } else if let (Some(section), Some((key, value))) = (&current, line.split_once('=')) {
            let value = value.split(" #").next().unwrap_or_default();
            let value = value.split(" ;").next().unwrap_or_default().trim().to_string();
            sections.entry(section.clone()).or_default().insert(key.trim().to_ascii_lowercase(), value);
        }
    }
    sections
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_as_aws_writes_them() {
        let config = "# of 2024\n[default]\nregion = eu-west-1 # Dublin\n[profile \"my team\"]\nregion=us-east-2\n\
                      s3 =\n  max_concurrent_requests = 20\nendpoint_url = http://localhost:9000\n\
                      [sso-session x]\nregion = no\n";
        let read = sections(config, true);
        assert_eq!(read.keys().collect::<Vec<_>>(), ["default", "my team"]);
        assert_eq!(read["default"]["region"], "eu-west-1");
        assert_eq!(read["my team"]["endpoint_url"], "http://localhost:9000");
        assert!(!read["my team"].contains_key("max_concurrent_requests"));
        let credentials =
            sections("[a]\r\nAWS_ACCESS_KEY_ID = id\r\naws_secret_access_key = se=cr;et#x\r\n", false);
        assert_eq!(credentials["a"]["aws_access_key_id"], "id");
        assert_eq!(credentials["a"]["aws_secret_access_key"], "se=cr;et#x");
    }

    #[test]
    fn keys_are_whole_or_refused_without_them() {
        let profile = |text: &str| Profile {
            name: "p".into(),
            values: sections(&format!("[p]\n{text}"), false).remove("p").unwrap_or_default(),
        };
        let whole = profile("aws_access_key_id = id\naws_secret_access_key = hunter2\naws_session_token = t");
        let credential = whole.credential().unwrap().unwrap();
        assert_eq!((credential.secret_key.as_str(), credential.token.as_deref()), ("hunter2", Some("t")));
        assert!(profile("region = x").credential().unwrap().is_none());
        let half = profile("aws_secret_access_key = hunter2").credential().unwrap_err().to_string();
        assert!(half.contains("expected aws_access_key_id") && !half.contains("hunter2"), "{half}");
        let login = profile("sso_session = company").credential().unwrap_err().to_string();
        assert!(
            login.contains("found sso_session; `aws configure export-credentials --profile p"),
            "{login}"
        );
    }
}
