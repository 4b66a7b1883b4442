//! Why no mail host of a domain took a transaction, as a reply to its recipients.

use sendport_core::domain::{Command, EnhancedStatusCode, LocalCause, Reply};

use crate::relay::SessionError;

/// Why nothing was sent to any host.
pub(super) enum Unsent {
    /// Another attempt may find one.
    Later(SessionError),
    /// No host can take it: a permanent reply for each recipient.
    Never(Reply),
}

/// A server that did not take the transaction.
pub(super) struct Failure {
    pub(super) server: String,
    pub(super) error: SessionError,
}

/// The failure that says most, with the others: a reply of a server before a connection that was not
/// made.
pub(super) fn main_failure(domain: &str, failures: &[Failure]) -> Option<SessionError> {
    let limited = |failure: &&Failure| failure.error.reply.local == Some(LocalCause::HostLimit);
    if let Some(limited) = failures.iter().find(limited) {
        return Some(limited.error.clone());
    }
    let replied = |failure: &&Failure| failure.error.reply.code != 0;
    let main = failures.iter().find(replied).or(failures.last())?;
    let text = |failure: &Failure| format!("{}: {}", failure.server, failure.error.reply);
    let all: Vec<_> = failures.iter().map(text).collect();
    let mut error = main.error.clone();
    if error.reply.code != 0 {
        let (reply, others) = (&mut error.reply, all.len() - 1);
        reply.append(&format!(" ({}", main.server));
        if others > 0 {
            reply.append(&format!(
                ", and no other of {} servers of {domain}",
                all.len()
            ));
        }
        reply.append(")");
        return Some(error);
    }
    let what = format!("no mail host of {domain} can be used: {}", all.join("; "));
    let status = EnhancedStatusCode::new(4, 4, 1);
    let reply = Reply::local(Command::Connect, 451, status, what);
    Some(SessionError::new(
        reply.because(LocalCause::MailHostsUnreachable),
    ))
}

/// A mail host does not offer the encryption that the policy of the domain requires.
pub(super) fn is_policy_failure(failure: &Failure) -> bool {
    failure.error.reply.command == Command::StartTls
}

/// The settings that other failures name are not those of this relay: the domain requires it.
pub(super) fn policy_not_met(domain: &str, failures: &[Failure]) -> SessionError {
    let text = |failure: &Failure| {
        let reply = &failure.error.reply;
        let why = match reply.local {
            Some(LocalCause::StarttlsNotOffered) => "it does not offer STARTTLS".to_owned(),
            _ => reply.to_string(),
        };
        format!("{}: {why}", failure.server)
    };
    let all: Vec<_> = failures.iter().map(text).collect();
    let what = format!(
        "the MTA-STS policy of {domain} requires STARTTLS with a valid certificate: {}",
        all.join("; ")
    );
    let status = EnhancedStatusCode::new(4, 4, 1);
    let reply = Reply::local(Command::Connect, 451, status, what);
    SessionError::new(reply.because(LocalCause::MtaStsNotMet))
}

pub(super) fn dns_failed(what: &str) -> Unsent {
    let what = format!("the name servers cannot say now where to send: {what}");
    let status = EnhancedStatusCode::new(4, 4, 3);
    let reply = Reply::local(Command::Connect, 451, status, what);
    Unsent::Later(SessionError::new(reply.because(LocalCause::DnsFailed)))
}

/// A permanent reply with the subject and the detail of its enhanced status code (RFC 3463).
pub(super) fn never(
    (code, subject, detail): (u16, u16, u16),
    cause: LocalCause,
    what: String,
) -> Unsent {
    let status = EnhancedStatusCode::new(5, subject, detail);
    let reply = Reply::local(Command::Rcpt, code, status, what);
    Unsent::Never(reply.because(cause))
}
