//! What `cancel`, `hold`, `release`, `requeue` and `redirect` print.

use sendport_core::domain::{AlertId, OperatorVerb, RequestId, RequeueRecipients, shown_name};
use sendport_store::RefusedRow;
use sendport_store::operator_requests::{MatchingAlerts, NewRequest, PassResult, RequestLine};
use serde::Serialize;

use super::table::Table;
use super::{Failure, print_json, progress, say};

/// For programs: what was done.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AppliedOutput<'a> {
    request_id: RequestId,
    verb: OperatorVerb,
    applied: u64,
    /// Not requeued, because their bodies are gone.
    purged: u64,
    refused: Vec<RefusedOutput<'a>>,
    /// Nothing more can match.
    done: bool,
}

/// What the database refuses to change.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct RefusedOutput<'a> {
    alert_id: AlertId,
    reason: &'a str,
}

/// For programs: what would be done.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct DryRunOutput<'a> {
    verb: OperatorVerb,
    alerts: u64,
    matches: &'a [MatchingAlerts],
}

pub(super) fn show_matches(
    request: &NewRequest,
    matches: &[MatchingAlerts],
    json: bool,
) -> Result<(), Failure> {
    let alerts = matches.iter().map(|it| it.alerts).sum();
    if json {
        return print_json(&DryRunOutput {
            verb: request.verb,
            alerts,
            matches,
        });
    }
    let mut table = Table::new(["SendPort", "Status", "Alerts"]);
    for it in matches {
        let port = shown_name(&it.send_port).into_owned();
        table.row([port, it.status.to_string(), it.alerts.to_string()]);
    }
    say(table);
    let is_rule = matches!(request.verb, OperatorVerb::Hold | OperatorVerb::Redirect)
        && request.filter.alert_id.is_none();
    let later = match is_rule {
        true => ", and alerts that are inserted until a release will, too",
        false => "",
    };
    say(format_args!(
        "{alerts} match now{later}; nothing was changed{}",
        progress::took()
    ));
    Ok(())
}

pub(super) fn show_result(
    request: &NewRequest,
    line: &RequestLine,
    done: &PassResult,
    json: bool,
) -> Result<(), Failure> {
    let id = line.request_id;
    if json {
        let refused = done.refused.iter().map(|it: &RefusedRow| RefusedOutput {
            alert_id: it.alert,
            reason: &it.why,
        });
        return print_json(&AppliedOutput {
            request_id: id,
            verb: request.verb,
            applied: done.applied,
            purged: done.purged,
            refused: refused.collect(),
            done: done.closed,
        });
    }
    if request.verb != OperatorVerb::Redirect {
        say(format_args!(
            "{} {}{}",
            done.applied,
            past(request.verb),
            progress::took()
        ));
    }
    if done.purged > 0 {
        say(format_args!(
            "{} not requeued: their bodies are deleted",
            done.purged
        ));
    }
    if let (OperatorVerb::Release, Some(result)) = (request.verb, &line.result) {
        say(result);
    }
    if let Some(next) = what_happens_next(request, id, done) {
        say(next);
    }
    Ok(())
}

fn past(verb: OperatorVerb) -> &'static str {
    match verb {
        OperatorVerb::Cancel => "cancelled",
        OperatorVerb::Hold => "held",
        OperatorVerb::Release => "released",
        OperatorVerb::Requeue => "requeued",
        OperatorVerb::Redirect => "redirected",
        OperatorVerb::Purge => "deleted",
        OperatorVerb::Resolve => "resolved",
    }
}

fn what_happens_next(request: &NewRequest, id: RequestId, done: &PassResult) -> Option<String> {
    match request.verb {
        OperatorVerb::Hold => Some(format!(
            "request {id} is in force until `sendport release --hold {id}`: {}",
            match &request.filter.send_port {
                Some(_) => "its alerts stay in the queue",
                None => "an alert that matches is taken out of the queue when it is due",
            }
        )),
        OperatorVerb::Redirect => Some(format!(
            "request {id} is in force until `sendport release --redirect {id}`: what matches goes to {} alone, also what \
             is inserted later",
            request.redirect_to.as_deref().unwrap_or_default()
        )),
        _ if !done.closed && done.refused.is_empty() => Some(format!(
            "request {id} stays open: alerts that match are being sent, or are locked by other transactions; \
             the service goes on with it"
        )),
        // A redirected message had a Message-ID of its own.
        OperatorVerb::Requeue if request.recipients == Some(RequeueRecipients::Redirected) => None,
        OperatorVerb::Requeue if done.applied > 0 && request.new_message_id => Some(
            "each message gets a new Message-ID, except one that a program submitted whole: it keeps its own"
                .to_owned(),
        ),
        OperatorVerb::Requeue if done.applied > 0 => Some(
            "the Message-ID is kept; some servers drop a message whose Message-ID they know, and \
             --new-message-id gives it a new one"
                .to_owned(),
        ),
        _ => None,
    }
}
