//! Data sets on the Hugging Face Hub as an object store: read where the Hub keeps them, listed a page at a
//! time, and never written.
//!
//! ```text
//! hf://datasets/OWNER/NAME@REVISION/PATH
//!   read  ENDPOINT/datasets/OWNER/NAME/resolve/REVISION/PATH ── 302 ─> a storage elsewhere, without the token
//!   list  ENDPOINT/api/datasets/OWNER/NAME/tree/REVISION/PATH?recursive=true ── Link: <…>; rel="next" ─> …
//! ```
//!
//! The endpoint, the token and their places are those of `huggingface_hub`: `HF_ENDPOINT`, `HF_TOKEN`,
//! `HF_TOKEN_PATH`, `HF_HOME`. Requests and ranges, and their repetition, are `object_store`'s for web servers.

mod answer;

use super::failure::SAID;
use answer::{Answers, words};
use futures::stream::{BoxStream, StreamExt, TryStreamExt, iter, once, try_unfold};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
};
use object_store::http::{HttpBuilder, HttpStore};
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientOptions, CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, RetryConfig,
};
use reqwest::header::{HeaderMap, HeaderValue, LINK};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The Hub that is asked where the environment names no other.
const ENDPOINT: &str = "https://huggingface.co";

/// Bytes of a page of a listing; the Hub's hold a thousand names.
const LARGEST_PAGE: usize = 64 << 20;

/// The place of the Hub, and the way into it.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    endpoint: Url,
    /// `Bearer TOKEN`; hidden where it is printed.
    authorization: Option<HeaderValue>,
}

impl Settings {
    /// What the environment says, as `huggingface_hub` reads it.
    ///
    /// # Errors
    /// When the endpoint is no URL.
    pub(super) fn of_environment() -> Result<Self> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.trim().is_empty());
        let cache = set("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".cache")));
        let home = set("HF_HOME").map(PathBuf::from).or_else(|| cache.map(|cache| cache.join("huggingface")));
        let file = set("HF_TOKEN_PATH").map(PathBuf::from).or_else(|| home.map(|home| home.join("token")));
        // Without a file nobody has logged in.
        let kept = || std::fs::read_to_string(file?).ok();
        let token = set("HF_TOKEN").or_else(|| set("HUGGING_FACE_HUB_TOKEN")).or_else(kept);
        Settings::new(&set("HF_ENDPOINT").unwrap_or_else(|| ENDPOINT.to_string()), token.as_deref())
    }

    pub(super) fn new(endpoint: &str, token: Option<&str>) -> Result<Self> {
        let wrong = |found: String| generic(format!("HF_ENDPOINT: expected a URL, found {found}"));
        let url = Url::parse(endpoint.trim().trim_end_matches('/')).ok();
        let url = url.filter(|url| url.scheme().starts_with("http") && url.has_host());
        let endpoint = url.ok_or_else(|| wrong(format!("{endpoint:?}")))?;
        let token = token.map(str::trim).filter(|token| !token.is_empty());
        let authorization = token.map(|token| HeaderValue::from_str(&format!("Bearer {token}"))).transpose();
        let mut authorization = authorization.map_err(|_| {
            generic("HF_TOKEN: expected letters, digits and marks, found something else".to_string())
        })?;
        if let Some(value) = &mut authorization {
            value.set_sensitive(true);
        }
        Ok(Settings { endpoint, authorization })
    }

    /// A URL below the endpoint; `path` is percent-encoded, `names` are not.
    fn below(&self, path: &str, names: &ObjectPath) -> Result<Url> {
        let unfit = || generic(format!("expected a place below {}, found none", self.endpoint));
        let base = format!("{}/{path}", self.endpoint.as_str().trim_end_matches('/'));
        let mut url = Url::parse(&base).map_err(|_| unfit())?;
        let parts: Vec<_> = names.parts().collect();
        url.path_segments_mut().map_err(|()| unfit())?.extend(parts.iter().map(|part| part.as_ref()));
        Ok(url)
    }
}

fn generic(text: String) -> Error {
    Error::Generic { store: "Hub", source: text.into() }
}

/// A data set of the Hub, at one revision.
#[derive(Debug)]
pub(super) struct Hub {
    files: HttpStore,
    listing: Arc<Listing>,
}

/// Hands out a client that was made already.
#[derive(Debug)]
struct Made(HttpClient);

impl HttpConnector for Made {
    fn connect(&self, _options: &ClientOptions) -> Result<HttpClient> {
        Ok(self.0.clone())
    }
}

impl Hub {
    /// The data set `datasets/OWNER/NAME@REVISION`; without a revision that of the branch `main`.
    ///
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(name: &str, settings: Settings, retry: RetryConfig) -> Result<Self> {
        let (name, revision) = name.split_once('@').unwrap_or((name, "main"));
        let root = ObjectPath::default();
        let files = settings.below(&format!("{name}/resolve/{revision}"), &root)?;
        let tree = format!("api/{name}/tree/{revision}");
        let client = HttpClient::new(Answers::new(settings.clone())?);
        let files = HttpBuilder::new()
            .with_url(files)
            .with_http_connector(Made(client.clone()))
            .with_retry(retry.clone())
            .build()?;
        Ok(Hub { files, listing: Arc::new(Listing { settings, tree, client, retry }) })
    }
}

/// The names of a data set's files.
#[derive(Debug)]
struct Listing {
    settings: Settings,
    /// The path of its root below the endpoint.
    tree: String,
    client: HttpClient,
    retry: RetryConfig,
}

/// A file or a folder, as the Hub lists it.
#[derive(Deserialize)]
struct Entry {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    oid: Option<String>,
    lfs: Option<Large>,
}

/// What a pointer in the repository stands for.
#[derive(Deserialize)]
struct Large {
    oid: Option<String>,
    size: Option<u64>,
}

impl Entry {
    /// None for a folder.
    fn meta(self) -> Result<Option<ObjectMeta>> {
        if self.r#type != "file" {
            return Ok(None);
        }
        let (oid, size) = match self.lfs {
            Some(Large { oid, size }) => (oid.or(self.oid), size.unwrap_or(self.size)),
            None => (self.oid, self.size),
        };
        Ok(Some(ObjectMeta {
            location: ObjectPath::parse(&self.path)?,
            last_modified: Default::default(),
            size,
            e_tag: oid.map(|oid| format!("\"{oid}\"")),
            version: None,
        }))
    }
}

impl Listing {
    /// The files of a page, and the URL of the page behind it.
    async fn page(&self, url: Url) -> Result<(Vec<ObjectMeta>, Option<Url>)> {
        let (headers, body) = match self.get(&url).await? {
            Some(answer) => answer,
            None => return Ok((Vec::new(), None)),
        };
        let entries: Vec<Entry> = serde_json::from_slice(&body)
            .map_err(|error| generic(format!("expected a list of files in JSON, found none: {error}")))?;
        let files = entries.into_iter().filter_map(|entry| entry.meta().transpose());
        let next = headers.get_all(LINK).iter().find_map(next_link);
        let next = next.map(|next| url.join(next)).transpose();
        let next =
            next.map_err(|error| generic(format!("expected a link to the next page, found {error}")))?;
        match next {
            Some(next) if next == url => Err(generic("expected another page, found the same again".into())),
            next => Ok((files.collect::<Result<_>>()?, next)),
        }
    }

    /// The answer to a request, which is repeated while the Hub is away or asks to wait; none where the
    /// revision has no such folder.
    async fn get(&self, url: &Url) -> Result<Option<(HeaderMap, Vec<u8>)>> {
        let (begun, mut wait) = (Instant::now(), self.retry.backoff.init_backoff);
        loop {
            let again = begun.elapsed() < self.retry.retry_timeout;
            match self.ask(url).await {
                Ok((status, headers, body)) if status.is_success() => return Ok(Some((headers, body))),
                Ok((StatusCode::NOT_FOUND, headers, _))
                    if words(StatusCode::NOT_FOUND, &headers, true).is_none() =>
                {
                    return Ok(None);
                }
                Ok((status, _, body)) if !again || !may_pass(status) => {
                    return Err(refused(status, url, &body));
                }
                Err(error)
                    if !again || matches!(error.kind(), HttpErrorKind::Decode | HttpErrorKind::Unknown) =>
                {
                    return Err(Error::Generic { store: "Hub", source: Box::new(error) });
                }
                Ok(_) | Err(_) => {}
            }
            tokio::time::sleep(wait).await;
            wait = wait.mul_f64(self.retry.backoff.base).min(self.retry.backoff.max_backoff);
        }
    }

    async fn ask(&self, url: &Url) -> std::result::Result<(StatusCode, HeaderMap, Vec<u8>), HttpError> {
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = answer::uri(url)?;
        let (parts, body) = self.client.execute(request).await?.into_parts();
        let (mut stream, mut all) = (body.bytes_stream(), Vec::new());
        while let Some(bytes) = stream.next().await {
            all.extend_from_slice(&bytes?);
            if all.len() > LARGEST_PAGE {
                let found = std::io::Error::other(format!("a page of more than {LARGEST_PAGE} bytes"));
                return Err(HttpError::new(HttpErrorKind::Decode, found));
            }
        }
        Ok((parts.status, parts.headers, all))
    }
}

/// True for an answer that another time may be another.
fn may_pass(status: StatusCode) -> bool {
    status.is_server_error() || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(&status)
}

/// The error of an answer, worded as `object_store` words those of files.
fn refused(status: StatusCode, url: &Url, body: &[u8]) -> Error {
    let body = String::from_utf8_lossy(body);
    let source = format!("Server returned non-2xx status code: {status}: {body}").into();
    let path = url.path().to_string();
    match status {
        StatusCode::UNAUTHORIZED => Error::Unauthenticated { path, source },
        StatusCode::FORBIDDEN => Error::PermissionDenied { path, source },
        StatusCode::NOT_FOUND => Error::NotFound { path, source },
        _ => Error::Generic { store: "Hub", source },
    }
}

/// The URL of the next page: `<https://…>; rel="next"`.
fn next_link(header: &HeaderValue) -> Option<&str> {
    header.to_str().ok()?.split(", <").find_map(|link| {
        let (url, relation) = link.trim().trim_start_matches('<').split_once('>')?;
        relation.replace(['"', ' '], "").contains(";rel=next").then_some(url)
    })
}

impl std::fmt::Display for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the Hugging Face Hub")
    }
}

/// The error of everything that would change something.
fn read_only() -> Error {
    Error::NotSupported { source: format!("{SAID}the Hub, where nothing is written").into() }
}

type Future<'a, T> = Pin<Box<dyn std::future::Future<Output = Result<T>> + Send + 'a>>;

impl ObjectStore for Hub {
    fn get_opts<'a, 'b, 'c>(&'a self, location: &'b ObjectPath, options: GetOptions) -> Future<'c, GetResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        self.files.get_opts(location, options)
    }

    fn list(&self, prefix: Option<&ObjectPath>) -> BoxStream<'static, Result<ObjectMeta>> {
        let listing = self.listing.clone();
        let first = listing.settings.below(&listing.tree, prefix.unwrap_or(&ObjectPath::default()));
        let first = first.map(|mut url| {
            url.query_pairs_mut().append_pair("recursive", "true").append_pair("expand", "false");
            url
        });
        let pages = move |first: Url| {
            try_unfold(Some(first), move |url| {
                let listing = listing.clone();
                async move {
                    let Some(url) = url else { return Ok(None) };
                    let (files, next) = listing.page(url).await?;
                    Ok::<_, Error>(Some((iter(files.into_iter().map(Ok)), next)))
                }
            })
            .try_flatten()
        };
        once(async move { first.map(pages) }).try_flatten().boxed()
    }

    fn put_opts<'a, 'b, 'c>(
        &'a self,
        _location: &'b ObjectPath,
        _payload: PutPayload,
        _options: PutOptions,
    ) -> Future<'c, PutResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { Err(read_only()) })
    }

    fn put_multipart_opts<'a, 'b, 'c>(
        &'a self,
        _location: &'b ObjectPath,
        _options: PutMultipartOptions,
    ) -> Future<'c, Box<dyn MultipartUpload>>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { Err(read_only()) })
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<ObjectPath>>,
    ) -> BoxStream<'static, Result<ObjectPath>> {
        locations.map(|_| Err(read_only())).boxed()
    }

    fn list_with_delimiter<'a, 'b, 'c>(&'a self, _prefix: Option<&'b ObjectPath>) -> Future<'c, ListResult>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        Box::pin(async { Err(Error::NotSupported { source: "a listing of one folder alone".into() }) })
    }

    fn copy_opts<'a, 'b, 'c, 'd>(
        &'a self,
        _from: &'b ObjectPath,
        _to: &'c ObjectPath,
        _options: CopyOptions,
    ) -> Future<'d, ()>
    where
        'a: 'd,
        'b: 'd,
        'c: 'd,
        Self: 'd,
    {
        Box::pin(async { Err(read_only()) })
    }
}

/// A server that sends nothing for this long is asked again.
const SILENCE: Duration = Duration::from_secs(20);

#[cfg(test)]
mod tests;
