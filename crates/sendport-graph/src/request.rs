//! One HTTP request to Graph, on a thread of its own.

use std::io::Read as _;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{Command, LocalCause, Reply};
use sendport_core::secret::Secret;
use sendport_oauth2::http_client::is_certificate_error;
use tokio::sync::mpsc;
use ureq::http::{HeaderMap, header};
use ureq::{Agent, SendBody};

use crate::gated_body::{GatedBody, Progress, Question, SharedProgress};
use crate::reply::Response;

/// Bytes of an answer that are read.
const MOST_BYTES: u64 = 64 * 1024;

/// A header of Graph; its support asks for the value.
const REQUEST_ID: &str = "request-id";

/// What became of a request.
#[derive(Debug)]
pub(crate) enum Exchange {
    /// Graph answered.
    Answered(Response),
    /// It had at most the header section of the request.
    NotBegun(Reply),
    /// It had some of the request, and not all of it.
    Incomplete(Reply),
    /// The last block was not permitted.
    Refused,
    /// It may have the whole request.
    Unanswered(Reply),
}

/// The endpoint, and how long its answer may take.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    pub(crate) agent: Agent,
    pub(crate) url: String,
    pub(crate) timeout: Duration,
}

impl Client {
    /// Posts a message. `may_send` is asked right before the last block of the body. Where this future is dropped before,
    /// that block is not sent.
    pub(crate) async fn post(
        &self,
        token: &Secret,
        body: Arc<[u8]>,
        may_send: impl Fn() -> bool + Send,
    ) -> Exchange {
        let (ask, mut questions) = mpsc::channel::<Question>(1);
        let progress = SharedProgress::default();
        let body_length = body.len();
        let gated = GatedBody::new(body, ask, progress.clone());
        let (client, token, span) = (self.clone(), token.clone(), tracing::Span::current());
        let mut sending = tokio::task::spawn_blocking(move || {
            span.in_scope(|| client.send(&token, gated, body_length))
        });
        let sent = loop {
            tokio::select! {
                biased;
                Some(question) = questions.recv() => question.answer(may_send()),
                sent = &mut sending => break sent,
            }
        };
        match sent {
            Ok(Ok(response)) => Exchange::Answered(response),
            Ok(Err(error)) => self.without_answer(&error, progress.get()),
            Err(_) => {
                let what = "the request to Microsoft Graph was aborted";
                unanswered(Reply::absent(Command::Post, what), progress.get())
            }
        }
    }

    /// Whether something answers there. Blocks the thread, for a bounded time.
    pub(crate) fn ask_for_service(&self, url: &str, token: &Secret) -> Result<u16, Reply> {
        let bearer = format!("Bearer {}", token.expose());
        let request = self.agent.get(url).header(header::AUTHORIZATION, bearer);
        match request.call() {
            Ok(response) => Ok(response.status().as_u16()),
            Err(error) => Err(self.reply_to_failure(&error, Command::Connect)),
        }
    }

    fn send(
        &self,
        token: &Secret,
        mut body: GatedBody,
        length: usize,
    ) -> Result<Response, ureq::Error> {
        let mut response = self
            .agent
            .post(&self.url)
            .header(header::AUTHORIZATION, format!("Bearer {}", token.expose()))
            .header(header::CONTENT_LENGTH, length)
            .content_type("text/plain")
            .send(SendBody::from_reader(&mut body))?;
        let mut content = Vec::new();
        let whole = response.body_mut().as_reader();
        // The status decides, also where the rest of the answer does not come.
        let _ = whole.take(MOST_BYTES).read_to_end(&mut content);
        Ok(Response {
            status: response.status().as_u16(),
            retry_after: text_of(response.headers(), header::RETRY_AFTER.as_str()),
            request_id: text_of(response.headers(), REQUEST_ID),
            body: content,
        })
    }

    fn without_answer(&self, error: &ureq::Error, progress: Progress) -> Exchange {
        let command = match progress {
            Progress::HandedOver => Command::Post,
            _ => Command::Connect,
        };
        unanswered(self.reply_to_failure(error, command), progress)
    }

    /// The local reply in place of an answer.
    fn reply_to_failure(&self, error: &ureq::Error, command: Command) -> Reply {
        let url = &self.url;
        let (what, local) = match error {
            ureq::Error::HostNotFound => (
                format!("the name in {url} has no address"),
                LocalCause::NameNotFound,
            ),
            ureq::Error::Timeout(_) => (
                format!(
                    "{url} did not answer within {:.0?} (setting timeout)",
                    self.timeout
                ),
                LocalCause::Timeout,
            ),
            ureq::Error::NativeTls(cause) if is_certificate_error(cause) => (
                format!(
                    "the certificate of {url} is not trusted: {cause}; where its authority is your own, or a proxy's, \
                     name it in ca_file"
                ),
                LocalCause::CertificateNotTrusted,
            ),
            ureq::Error::NativeTls(cause) => (
                format!("the TLS handshake with {url} failed: {cause}"),
                LocalCause::TlsHandshakeFailed,
            ),
            ureq::Error::ConnectionFailed => (
                format!("{url} cannot be connected to"),
                LocalCause::ConnectionRefused,
            ),
            ureq::Error::Io(cause) if cause.kind() == std::io::ErrorKind::ConnectionRefused => (
                format!("{url} refuses the connection"),
                LocalCause::ConnectionRefused,
            ),
            error => (
                format!("the connection to {url} ended without an answer: {error}"),
                LocalCause::ConnectionClosed,
            ),
        };
        match command {
            // The table of replies knows a request without an answer by its command.
            Command::Post => Reply::absent(command, what),
            _ => Reply::absent(command, what).because(local),
        }
    }
}

fn unanswered(reply: Reply, progress: Progress) -> Exchange {
    match progress {
        Progress::NotBegun => Exchange::NotBegun(reply),
        Progress::Incomplete => Exchange::Incomplete(reply),
        Progress::Refused => Exchange::Refused,
        Progress::HandedOver => Exchange::Unanswered(reply),
    }
}

fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    let value = headers.get(name)?.to_str().ok()?;
    Some(value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_request_without_an_answer_is_in_doubt() {
        let exchange = |progress| unanswered(Reply::absent(Command::Post, "lost"), progress);
        assert!(matches!(
            exchange(Progress::NotBegun),
            Exchange::NotBegun(_)
        ));
        assert!(matches!(
            exchange(Progress::Incomplete),
            Exchange::Incomplete(_)
        ));
        assert!(matches!(exchange(Progress::Refused), Exchange::Refused));
        assert!(matches!(
            exchange(Progress::HandedOver),
            Exchange::Unanswered(_)
        ));
    }
}
