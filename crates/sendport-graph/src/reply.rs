//! The answer of Graph as a reply: the HTTP status, and the name and the text of the error.

use std::time::Duration;

use sendport_core::domain::{Command, Reply, SubmissionEnd, Timestamp};
use sendport_oauth2::{redacted, retry_after};
use serde::Deserialize;

/// Longest wait that Graph may ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);

/// Characters of a body that is no error of Graph.
const EXCERPT: usize = 160;

/// An HTTP response.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) request_id: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// `{"error": {"code": "ErrorAccessDenied", "message": ".."}}`
#[derive(Deserialize)]
struct ErrorBody {
    error: GraphError,
}

#[derive(Deserialize)]
struct GraphError {
    #[serde(default)]
    code: String,
    #[serde(default)]
    message: String,
}

impl Response {
    /// The reply to a message for `recipients`.
    pub(crate) fn reply(&self, recipients: usize) -> Reply {
        let text = match self.status {
            200..=299 => accepted(recipients),
            _ => self.error_text(),
        };
        let id = self.request_id.as_deref().map(|id| redacted(id, &[]));
        let id = id.map_or(String::new(), |id| format!(" (request-id {id})"));
        Reply::new(Command::Post, self.status, None, text + &id)
    }

    /// How long Graph asks to be left alone.
    pub(crate) fn wait(&self, now: Timestamp) -> Option<Duration> {
        let value = self.retry_after.as_deref()?;
        Some(retry_after(value, now)?.min(LONGEST_WAIT)).filter(|wait| !wait.is_zero())
    }

    fn error_text(&self) -> String {
        let error = serde_json::from_slice::<ErrorBody>(&self.body).map(|it| it.error);
        match error {
            Ok(error) if !error.code.is_empty() => {
                let message = redacted(&error.message, &[]);
                match message.is_empty() {
                    true => redacted(&error.code, &[]),
                    false => format!("{}: {message}", redacted(&error.code, &[])),
                }
            }
            _ => self.foreign_text(),
        }
    }

    /// Of a proxy in between, mostly.
    fn foreign_text(&self) -> String {
        let text = redacted(&String::from_utf8_lossy(&self.body), &[]);
        let excerpt: String = text.chars().take(EXCERPT).collect();
        match excerpt.is_empty() {
            true => "the answer is empty and no error of Microsoft Graph".to_owned(),
            false => format!("the answer is no error of Microsoft Graph: '{excerpt}'"),
        }
    }
}

fn accepted(recipients: usize) -> String {
    let whom = match recipients {
        1 => "its recipient".to_owned(),
        count => format!("all {count} recipients"),
    };
    format!(
        "Accepted: Microsoft Graph took the message for {whom}, which is no answer for each of them"
    )
}

/// How the transaction of this reply ended.
pub(crate) fn end_of(reply: &Reply) -> SubmissionEnd {
    match reply.code {
        // About this application or mailbox now, whatever the message is: another relay may take it.
        401 | 429 | 503 => not_begun(reply),
        403 | 404 if !is_about_sender(reply) => not_begun(reply),
        // Written by a gateway that did not see what became of the request.
        502 | 504 => SubmissionEnd::InDoubt,
        _ => SubmissionEnd::Answered,
    }
}

/// The table of replies says whose fault it is.
fn not_begun(reply: &Reply) -> SubmissionEnd {
    SubmissionEnd::NotBegun {
        reply: reply.clone(),
        fault: None,
    }
}

/// The From of this message is refused; the next one may have another.
fn is_about_sender(reply: &Reply) -> bool {
    reply.text.starts_with("ErrorSendAsDenied")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn response(status: u16, body: &str) -> Response {
        Response {
            status,
            retry_after: None,
            request_id: Some("0b1e7c32-1111-2222-3333-444455556666".into()),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn an_accepted_message_is_no_answer_for_each_recipient() {
        assert_eq!(
            response(202, "").reply(3).to_string(),
            "202 Accepted: Microsoft Graph took the message for all 3 recipients, which is no answer for each of them \
             (request-id 0b1e7c32-1111-2222-3333-444455556666)"
        );
    }

    #[test]
    fn an_error_shows_its_name_and_its_text() {
        let body = r#"{"error":{"code":"ErrorSendAsDenied","message":"The user account\r\nmay not.","innerError":{}}}"#;
        let reply = response(403, body).reply(1);
        assert!(
            reply
                .to_string()
                .starts_with("403 ErrorSendAsDenied: The user account may not. (request-id")
        );
        assert_eq!(end_of(&reply), SubmissionEnd::Answered);
        let page = response(407, "<html><p>Proxy authentication</p>")
            .reply(1)
            .text;
        assert!(
            page.starts_with("the answer is no error of Microsoft Graph: '<html>"),
            "{page}"
        );
        assert!(
            response(500, "")
                .reply(1)
                .text
                .starts_with("the answer is empty")
        );
        assert!(
            response(500, r#"{"error":{}}"#)
                .reply(1)
                .text
                .contains("no error of Microsoft")
        );
    }

    #[test]
    fn refusals_of_the_application_leave_the_message_to_another_relay() {
        let is_begun = |status, name: &str| {
            let body = format!(r#"{{"error":{{"code":"{name}","message":"x"}}}}"#);
            !matches!(
                end_of(&response(status, &body).reply(1)),
                SubmissionEnd::NotBegun { .. }
            )
        };
        for (status, name) in [
            (401, "InvalidAuthenticationToken"),
            (403, "ErrorAccessDenied"),
            (404, "MailboxNotEnabledForRESTAPI"),
            (429, "ApplicationThrottled"),
            (503, "ErrorServerBusy"),
        ] {
            assert!(!is_begun(status, name), "{name}");
        }
        for (status, name) in [
            (400, "ErrorInvalidRecipients"),
            (403, "ErrorSendAsDenied"),
            (500, "ErrorInternalServerError"),
        ] {
            assert!(is_begun(status, name), "{name}");
        }
        assert_eq!(end_of(&response(504, "").reply(1)), SubmissionEnd::InDoubt);
    }

    #[test]
    fn a_wait_is_bounded() {
        let wait = |value: &str| {
            let retry_after = Some(value.to_owned());
            Response {
                retry_after,
                ..response(429, "")
            }
            .wait(Timestamp::default())
        };
        assert_eq!(wait("17"), Some(Duration::from_secs(17)));
        assert_eq!(wait("9999999"), Some(LONGEST_WAIT));
        assert_eq!((wait("0"), wait("later")), (None, None));
    }
}
