//! The errors of a store, each in one line and without secrets.
//!
//! The body of a refusal may repeat what was sent: S3's `ExpiredToken` has the session's token in it, and
//! `SignatureDoesNotMatch` the text that was signed. So nothing of a body is shown but its code and message.

use super::one_line;
use object_store::Error;

/// Stands before words that a store of ours says itself, which are shown as they are.
pub(super) const SAID: &str = "said in words: ";

/// Letters of a message that are shown.
const LONGEST: usize = 500;

/// S3's codes for credentials that do not serve any more, which come under the status 400.
const CREDENTIALS: [&str; 4] = ["ExpiredToken", "InvalidToken", "TokenRefreshRequired", "RequestExpired"];

/// True where the server has answered, and refused.
pub(super) fn is_refusal(error: &Error) -> bool {
    !matches!(error, Error::NotFound { .. }) && error.to_string().contains("status code: 4")
}

/// True where the credentials did not serve.
pub(super) fn is_of_credentials(error: &Error) -> bool {
    let refused = matches!(error, Error::PermissionDenied { .. } | Error::Unauthenticated { .. });
    // A listing's refusal has no kind of its own.
    let text = error.to_string();
    refused
        || ["status code: 401", "status code: 403"].iter().chain(&CREDENTIALS).any(|sign| text.contains(sign))
}

/// The thing that should have been there to read; `otherwise` for other errors.
pub(super) fn expected<'a>(error: &Error, otherwise: &'a str) -> &'a str {
    if is_of_credentials(error) { "credentials that may read it" } else { otherwise }
}

/// The words for the thing that was there instead.
pub(super) fn found(error: &Error) -> String {
    if let Some((_, words)) = one_line(error).rsplit_once(SAID) {
        return words.chars().take(LONGEST).collect();
    }
    if matches!(error, Error::NotFound { .. }) {
        return "nothing of that name".to_string();
    }
    let text = one_line(error);
    let text = match text.split_once("status code: ") {
        Some((_, answer)) => answered(answer),
        None => {
            // The libraries below say "error sending request"; why, says the last of their causes.
            let mut cause: &dyn std::error::Error = error;
            while let Some(deeper) = cause.source() {
                cause = deeper;
            }
            let cause = one_line(cause);
            if text.contains(&cause) { text } else { format!("{text}: {cause}") }
        }
    };
    text.chars().take(LONGEST).collect()
}

/// `status: body` without the body, but for its code and message.
fn answered(answer: &str) -> String {
    let (status, body) = answer.split_once(": ").unwrap_or((answer, ""));
    let said = [element(body, "Code"), element(body, "Message")];
    let said: Vec<&str> = said.into_iter().flatten().collect();
    match said.is_empty() {
        true => status.trim_end_matches(':').to_string(),
        false => format!("{status}, {}", said.join(": ")),
    }
}

/// The text of an XML element without elements in it.
fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    let (text, _) = rest.split_once('<')?;
    Some(text.trim()).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn generic(text: &str) -> Error {
        Error::Generic { store: "S3", source: text.into() }
    }

    #[test]
    fn a_refusal_is_known_by_its_code_and_keeps_its_secrets() {
        let error = generic(
            "Error performing GET http://x/y in 3ms - Server returned non-2xx status code: 400 Bad Request: \
             <?xml version=\"1.0\"?>\n<Error><Code>ExpiredToken</Code>\
             <Message>The provided token has expired.</Message><Token-0>hunter2</Token-0></Error>",
        );
        assert_eq!(expected(&error, "a file"), "credentials that may read it");
        assert_eq!(found(&error), "400 Bad Request, ExpiredToken: The provided token has expired.");
        let page = generic("Server returned non-2xx status code: 502 Bad Gateway: <html>hunter2</html>");
        assert_eq!((expected(&page, "a file"), found(&page).as_str()), ("a file", "502 Bad Gateway"));
        let head = generic("Server returned non-2xx status code: 400 Bad Request: ");
        assert_eq!(found(&head), "400 Bad Request");
    }

    #[test]
    fn other_errors_are_shown_with_their_last_cause() {
        let io = std::io::Error::new(std::io::ErrorKind::TimedOut, "operation timed out");
        let error = Error::Generic { store: "S3", source: Box::new(io) };
        assert_eq!(found(&error), "Generic S3 error: operation timed out");
        assert!(found(&generic(&"x".repeat(2_000))).len() <= LONGEST);
    }
}
