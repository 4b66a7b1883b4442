//! The authentication exchange (RFC 4954 section 4): sends responses to challenges, up to the final
//! reply.

use openssl::base64::{decode_block, encode_block};
use secrecy::zeroize::Zeroizing;
use sendport_core::domain::{Command, Reply};

use super::error::AuthError;
use super::mechanism::{Mechanism, Response};
use crate::observer::{REDACTED, Step};
use crate::redaction::SecretRedactor;
use crate::stream::{ReplyError, Stream, Wait};

/// Longest line of a command with the initial response in it (RFC 5321 section 4.5.3.1.4).
const MAX_COMMAND: usize = 510;

/// Challenges after which the exchange is cancelled.
const MAX_STEPS: usize = 8;

/// Why an exchange has no final reply.
pub(super) enum ExchangeError {
    Reply(ReplyError),
    /// The client cancelled it.
    Cancelled(AuthError),
}

impl From<ReplyError> for ExchangeError {
    fn from(error: ReplyError) -> Self {
        Self::Reply(error)
    }
}

/// Carries the exchange out, up to the reply that is not 334.
pub(super) async fn carry_out(
    stream: &mut Stream,
    name: &str,
    mechanism: &mut dyn Mechanism,
    wait: Wait,
) -> Result<Reply, ExchangeError> {
    let result = exchange(stream, name, mechanism, wait).await;
    stream.secrets = SecretRedactor::default();
    result
}

async fn exchange(
    stream: &mut Stream,
    name: &str,
    mechanism: &mut dyn Mechanism,
    wait: Wait,
) -> Result<Reply, ExchangeError> {
    let initial = mechanism
        .initial_response()
        .map_err(ExchangeError::Cancelled)?;
    let (mut line, mut unsent) = command(name, initial);
    let mut shown = redacted(name, &line);
    for _ in 0..MAX_STEPS {
        stream.notify(|| Step::CommandSent(shown.to_owned()));
        stream.secrets.add(response_of(&line, name));
        // Not queued: the buffer for queued lines is not zeroised.
        let written = stream.write(line.as_bytes(), wait).await;
        stream.auth_tried |= !matches!(written, Err(ReplyError::Unsolicited(_)));
        written?;
        let reply = stream.read_reply(wait).await?;
        if reply.code != 334 {
            return Ok(with_reason(reply.into_reply(Command::Auth), mechanism));
        }
        // `334 NTLM supported` and the like are no base64.
        let challenge = decode_block(reply.first_line().trim()).unwrap_or_default();
        line = match next(mechanism, &mut unsent, &challenge) {
            Ok(response) => response_line(&response),
            Err(why) => return Err(cancel(stream, wait, why).await),
        };
        REDACTED.clone_into(&mut shown);
    }
    let why = AuthError::unexpected(format!("the server asked more than {MAX_STEPS} times"));
    Err(cancel(stream, wait, why).await)
}

/// The command, and the initial response where it does not fit into it.
fn command(name: &str, initial: Option<Response>) -> (Zeroizing<String>, Option<Response>) {
    let Some(initial) = initial else {
        return (line(&["AUTH ", name]), None);
    };
    let encoded = match initial.is_empty() {
        true => Zeroizing::new("=".to_owned()),
        false => encoded(&initial),
    };
    let whole = line(&["AUTH ", name, " ", &encoded]);
    if whole.len() <= MAX_COMMAND + 2 {
        return (whole, None);
    }
    (line(&["AUTH ", name]), Some(initial))
}

/// The secret part of a written line; empty where there is none.
fn response_of<'a>(line: &'a str, name: &str) -> &'a str {
    let line = line.trim_end();
    let command = line
        .strip_prefix("AUTH ")
        .and_then(|rest| rest.strip_prefix(name));
    match command.unwrap_or(line).trim() {
        "=" => "",
        response => response,
    }
}

/// The command without its initial response.
fn redacted(name: &str, line: &str) -> String {
    let command = format!("AUTH {name}");
    match line.trim_end() == command {
        true => command,
        false => format!("{command} {REDACTED}"),
    }
}

/// The initial response, if it did not fit into the command, else the response to the challenge.
fn next(
    mechanism: &mut dyn Mechanism,
    unsent: &mut Option<Response>,
    challenge: &[u8],
) -> Result<Response, AuthError> {
    match unsent.take() {
        Some(initial) => Ok(initial),
        None => mechanism.respond(challenge),
    }
}

/// Cancels the exchange (RFC 4954 section 4); the reply does not matter.
async fn cancel(stream: &mut Stream, wait: Wait, why: AuthError) -> ExchangeError {
    stream.notify(|| Step::CommandSent("*".to_owned()));
    if stream.write(b"*\r\n", wait).await.is_ok()
        && let Err(lost) = stream.read_reply(wait).await
    {
        tracing::debug!(reason = %lost, "no reply to cancelled authentication");
    }
    ExchangeError::Cancelled(why)
}

fn with_reason(mut reply: Reply, mechanism: &dyn Mechanism) -> Reply {
    if let Some(reason) = mechanism.reason() {
        reply.append(&format!(" ({reason})"));
    }
    reply
}

fn response_line(response: &[u8]) -> Zeroizing<String> {
    line(&[&encoded(response)])
}

/// In one allocation: a buffer that grows leaves a copy of the secret behind.
fn line(parts: &[&str]) -> Zeroizing<String> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut line = Zeroizing::new(String::with_capacity(length + 2));
    for part in parts {
        line.push_str(part);
    }
    line.push_str("\r\n");
    line
}

fn encoded(response: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(encode_block(response))
}
