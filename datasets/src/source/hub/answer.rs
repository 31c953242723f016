//! The Hub's answers: redirected to the storage that holds a file, under the version that the Hub knows it
//! by, and refused in words.

use super::{SILENCE, Settings, generic};
use crate::source::failure::SAID;
use crate::source::one_line;
use object_store::client::{
    HttpClient, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
};
use reqwest::header::{
    AUTHORIZATION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH, LOCATION,
};
use reqwest::redirect::Policy;
use reqwest::{Method, StatusCode, Url};
use std::pin::Pin;

/// The version of a file that lies in a storage elsewhere, and its size, as the Hub knows them.
const LINKED_ETAG: HeaderName = HeaderName::from_static("x-linked-etag");
const LINKED_SIZE: HeaderName = HeaderName::from_static("x-linked-size");

/// The Hub's name for what is wrong.
const CODE: &str = "x-error-code";

/// Redirects of one request.
const MOST_REDIRECTS: usize = 10;

/// Sends requests to the Hub, and follows where it sends them.
#[derive(Debug)]
pub(super) struct Answers {
    settings: Settings,
    client: HttpClient,
}

/// The URL as a request has it.
pub(super) fn uri<U: std::str::FromStr>(url: &Url) -> Result<U, HttpError> {
    url.as_str().parse().map_err(|_| failed("a URL that requests may have", url.path()))
}

fn failed(expected: &str, found: &str) -> HttpError {
    let text = format!("expected {expected}, found {found:?}");
    HttpError::new(HttpErrorKind::Unknown, std::io::Error::other(text))
}

impl Answers {
    /// # Errors
    /// When no client can be made.
    pub(super) fn new(settings: Settings) -> object_store::Result<Self> {
        let client = reqwest::Client::builder()
            .redirect(Policy::none())
            .user_agent(concat!("bonfire/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(SILENCE)
            .read_timeout(SILENCE)
            .build()
            .map_err(|error| generic(one_line(error)))?;
        Ok(Answers { settings, client: HttpClient::new(client) })
    }

    /// True for a URL of the Hub itself, which alone may see the token.
    fn is_hub(&self, url: &Url) -> bool {
        url.origin() == self.settings.endpoint.origin()
    }

    async fn answer(&self, mut request: HttpRequest) -> Result<HttpResponse, HttpError> {
        // A storage elsewhere has names of its own for versions: the Hub's are compared here.
        let wanted = request.headers_mut().remove(IF_MATCH);
        let text = request.uri().to_string();
        let mut url = Url::parse(&text).map_err(|_| failed("a URL", &text))?;
        let mut version: Option<HeaderValue> = None;
        for _ in 0..=MOST_REDIRECTS {
            *request.uri_mut() = uri(&url)?;
            request.headers_mut().remove(AUTHORIZATION);
            if let (true, Some(authorization)) = (self.is_hub(&url), &self.settings.authorization) {
                request.headers_mut().insert(AUTHORIZATION, authorization.clone());
            }
            let response = self.client.execute(request.clone()).await?;
            let of_hub = self.is_hub(&url);
            if of_hub && let Some(linked) = response.headers().get(LINKED_ETAG) {
                version = Some(linked.clone());
            }
            let location = response.headers().get(LOCATION).and_then(|location| location.to_str().ok());
            let Some(location) = location.filter(|_| response.status().is_redirection()) else {
                return Ok(self.ended(response, version, wanted, of_hub).await);
            };
            url = url.join(location).map_err(|_| failed("a URL to be sent to", "another text"))?;
            let size = response.headers().get(LINKED_SIZE).filter(|_| version.is_some());
            if let (true, false, Some(size)) = (request.method() == Method::HEAD, self.is_hub(&url), size) {
                // The address is signed for reading, and may not answer to HEAD.
                let mut known = HttpResponse::new(HttpResponseBody::from(Vec::new()));
                known.headers_mut().insert(CONTENT_LENGTH, size.clone());
                return Ok(self.ended(known, version, wanted, of_hub).await);
            }
        }
        Err(failed("an answer", "more redirects than are followed"))
    }

    /// The answer under the Hub's version of the file, or in words where it is a refusal of the Hub.
    async fn ended(
        &self,
        mut response: HttpResponse,
        version: Option<HeaderValue>,
        wanted: Option<HeaderValue>,
        of_hub: bool,
    ) -> HttpResponse {
        if !response.status().is_success() {
            let has_token = self.settings.authorization.is_some();
            if of_hub {
                // Nothing else of the body is worth the risk of what it may repeat.
                let said = words(response.status(), response.headers(), has_token);
                let said = said.map(|words| format!("{SAID}{words}")).unwrap_or_default();
                *response.body_mut() = HttpResponseBody::from(said);
            }
            return response;
        }
        let version = version.or_else(|| response.headers().get(ETAG).cloned()).and_then(|tag| strong(&tag));
        if let Some(version) = &version {
            response.headers_mut().insert(ETAG, version.clone());
        }
        if wanted.is_some() && wanted != version {
            let mut changed = HttpResponse::new(HttpResponseBody::from(Vec::new()));
            *changed.status_mut() = StatusCode::PRECONDITION_FAILED;
            return changed;
        }
        response
    }
}

/// A version's name without the mark that a server puts before one that it would have to pack.
fn strong(tag: &HeaderValue) -> Option<HeaderValue> {
    let text = tag.to_str().ok()?;
    HeaderValue::from_str(text.strip_prefix("W/").unwrap_or(text)).ok()
}

/// A refusal of the Hub in words; none where its status says it all.
pub(super) fn words(status: StatusCode, headers: &HeaderMap, has_token: bool) -> Option<String> {
    let code = headers.get(CODE).and_then(|code| code.to_str().ok()).unwrap_or_default();
    let why = match (status, code) {
        (StatusCode::NOT_FOUND, "RevisionNotFound") => return Some("no such revision".to_string()),
        (StatusCode::NOT_FOUND, "RepoNotFound") => "no such data set, or one that the token may not read",
        (StatusCode::FORBIDDEN, _) | (_, "GatedRepo") => {
            "a gated data set (its page on the Hub says how to be let in, and HF_TOKEN has to be a token of who was)"
        }
        (StatusCode::UNAUTHORIZED, _) if has_token => {
            "a token that the Hub does not know, or may not read this with (HF_TOKEN, or the file that logging \
             in wrote)"
        }
        (StatusCode::UNAUTHORIZED, _) => "a private, gated or missing data set, and no token: set HF_TOKEN",
        _ => return None,
    };
    Some(format!("{status}: {why}"))
}

impl HttpService for Answers {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.answer(request))
    }
}
