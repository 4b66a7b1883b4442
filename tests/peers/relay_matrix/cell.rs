//! One cell of the table: two submissions, with right and with wrong credentials.

use std::sync::LazyLock;

use sendport_core::domain::{Command, Fault, Reply, SubmissionEnd, SubmissionReport};
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::Relay as _;

use super::mechanism::{Credentials, Mechanism, Proof};
use super::server::Server;
use crate::support::client::{not_begun, submit};

/// Its many patterns are compiled once.
static REPLIES: LazyLock<ReplyTable> = LazyLock::new(ReplyTable::built_in);

const RECIPIENT: &str = "bob@example.test";

/// What comes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cell {
    /// Right credentials authenticate and the message is accepted; wrong ones are reported as wrong.
    Taken,
    /// The server does not offer it, and the error says so.
    NotOffered,
    /// It needs TLS, and the error says so.
    NeedsTls,
    /// The server accepts nothing without authentication, and the error says so.
    AuthRequired,
}

/// # Errors
/// What happened, where that is none of the cells.
pub(super) async fn examine(
    server: &Server,
    tls: &str,
    mechanism: Mechanism,
    credentials: &Credentials,
) -> Result<Cell, String> {
    let right = credentials.relay(server, tls, mechanism, Proof::Right);
    let report = submit(&right, &[RECIPIENT]).await;
    right.close().await;
    if let SubmissionEnd::NotBegun { reply, fault } = &report.end {
        return withheld(mechanism, reply, *fault);
    }
    if !report.is_accepted() {
        return refused(&report);
    }
    check_facts(tls, mechanism, &report)?;
    if mechanism != Mechanism::None {
        let wrong = credentials.relay(server, tls, mechanism, Proof::Wrong);
        check_wrong(mechanism, &submit(&wrong, &[RECIPIENT]).await)?;
    }
    Ok(Cell::Taken)
}

/// The error instead of an authentication.
fn withheld(mechanism: Mechanism, reply: &Reply, fault: Option<Fault>) -> Result<Cell, String> {
    let not_offered = format!("expected the server to offer AUTH {mechanism}, it offers");
    let needs_tls = format!("AUTH {mechanism} needs a connection with TLS");
    let cell = match &reply.text {
        text if text.starts_with(&not_offered) => Cell::NotOffered,
        text if text.starts_with(&needs_tls) => Cell::NeedsTls,
        _ => return Err(format!("right credentials: {reply} ({fault:?})")),
    };
    let ours = reply.command == Command::Auth && fault == Some(Fault::Configuration);
    ours.then_some(cell)
        .ok_or_else(|| format!("not blamed on the configuration: {reply} ({fault:?})"))
}

/// The server's reply to a client without authentication.
fn refused(report: &SubmissionReport) -> Result<Cell, String> {
    let explained = |reply| {
        REPLIES
            .explain(reply)
            .map(|entry| (&*entry.key, entry.fault))
    };
    let asks = report
        .replies
        .iter()
        .map(|reply| explained(&reply.reply))
        .any(|entry| entry == Some(("authentication-required", Fault::Configuration)));
    asks.then_some(Cell::AuthRequired)
        .ok_or_else(|| format!("refused: {:?}", report.replies))
}

fn check_facts(tls: &str, mechanism: Mechanism, report: &SubmissionReport) -> Result<(), String> {
    let facts = &report.facts;
    let name = (mechanism != Mechanism::None).then(|| mechanism.to_string());
    let as_configured =
        facts.auth_mechanism == name && facts.tls_version.is_some() == (tls != "none");
    as_configured
        .then_some(())
        .ok_or_else(|| format!("not as configured: {facts:?}"))
}

/// Wrong credentials are the configuration's fault, and no attempt of the alert is spent.
fn check_wrong(mechanism: Mechanism, report: &SubmissionReport) -> Result<(), String> {
    if !matches!(report.end, SubmissionEnd::NotBegun { .. }) {
        return Err(format!("wrong credentials: {:?}", report.end));
    }
    let (reply, fault) = not_begun(report);
    let blamed = reply.command == Command::Auth && fault == Some(Fault::Configuration);
    let entry = REPLIES.explain(reply);
    // A ticket is refused by the KDC, before the server is asked.
    let explained = mechanism == Mechanism::Gssapi
        || reply.code == 535 && entry.is_some_and(|entry| entry.key == "password-refused");
    (blamed && explained)
        .then_some(())
        .ok_or_else(|| format!("wrong credentials: {reply} ({fault:?})"))
}
