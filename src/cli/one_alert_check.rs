//! Whether a verb can do anything with the one alert that is named. On SQL Server the procedures say the same.

use sendport_core::clock::utc_text;
use sendport_core::domain::{AlertStatus, OperatorVerb, RequeueRecipients};
use sendport_store::operator_requests::NewRequest;
use sendport_store::{AlertLine, Store};

use super::Failure;

/// Refuses a request that names one alert and can do nothing with it. `is_held`: a hold of this alert is in force.
pub(super) async fn check_one_alert(
    store: &dyn Store,
    request: &NewRequest,
    is_held: bool,
) -> Result<(), Failure> {
    let Some(alert) = request.filter.alert_id else {
        return Ok(());
    };
    let Some(line) = store.alerts(Some(alert), 1).await?.into_iter().next() else {
        return Ok(());
    };
    let mut refused = refusal(request, &line, is_held);
    let changes_now = match request.verb {
        OperatorVerb::Cancel | OperatorVerb::Requeue | OperatorVerb::Purge => true,
        OperatorVerb::Release => line.status == AlertStatus::Held,
        _ => false,
    };
    if refused.is_none() && changes_now && store.count_matching(request).await?.is_empty() {
        refused = Some(no_match(request, &line));
    }
    refused.map_or(Ok(()), |why| {
        Err(Failure::Other(format!("alert {alert} {why}")))
    })
}

/// Why the rest of the filter leaves it out.
fn no_match(request: &NewRequest, line: &AlertLine) -> String {
    let status = line.status;
    match request.filter.status.filter(|wanted| *wanted != status) {
        Some(wanted) => format!("is {status}, and not {wanted}"),
        None if request.recipients == Some(RequeueRecipients::Redirected) => {
            "has no recipient whose message a redirect sent elsewhere".to_owned()
        }
        None if request.bodies_only && line.body_purged_at.is_some() => {
            "has no body any more".to_owned()
        }
        None if request.verb == OperatorVerb::Release => {
            "is being cancelled, and a release ends no cancel: `sendport why` says what keeps it from that".to_owned()
        }
        None => "does not match the other options".to_owned(),
    }
}

/// What follows "alert 4711".
fn refusal(request: &NewRequest, line: &AlertLine, is_held: bool) -> Option<String> {
    use AlertStatus::{Cancelled, Expired, Failed, Held, Partial, Relayed};
    let status = line.status;
    match request.verb {
        OperatorVerb::Cancel if status.is_final() => {
            Some(format!("is {status}, and waits for nothing"))
        }
        OperatorVerb::Hold if status.is_final() => Some(format!(
            "is {status}, and only an alert that waits or is being sent can be held"
        )),
        OperatorVerb::Release if status != Held && !is_held => Some("is not held".to_owned()),
        OperatorVerb::Requeue => match status {
            Relayed if request.recipients != Some(RequeueRecipients::Failed) => without_body(line),
            Failed | Partial | Expired | Cancelled => without_body(line),
            _ => Some(format!(
                "is {status}: only what failed, expired, was cancelled or is partial is sent again; \
                 --recipients all also sends what was relayed"
            )),
        },
        OperatorVerb::Purge => too_young(request, line),
        _ => None,
    }
}

fn without_body(line: &AlertLine) -> Option<String> {
    line.body_purged_at
        .map(|_| "cannot be sent again: its body is deleted".to_owned())
}

fn too_young(request: &NewRequest, line: &AlertLine) -> Option<String> {
    let Some(at) = line.final_at else {
        let status = line.status;
        return Some(format!(
            "is {status}, and only final alerts are purged; `sendport cancel` ends it"
        ));
    };
    let before = request.filter.final_before.filter(|before| at > *before)?;
    let (at, before) = (utc_text(at), utc_text(before));
    Some(format!(
        "became final at {at}: only what became final until {before} is purged"
    ))
}
