//! One alert and its recipients, as people read it.

use std::collections::BTreeSet;

use sendport_core::domain::shown_name;
use sendport_store::{AlertLine, DeliveryLine, Store, StoreError};
use serde::Serialize;

use super::say;
use super::table::Table;
use super::terminal::{Paint, painted, when};
use crate::app;

/// What the views say of one alert.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct OneAlert {
    pub(super) alert: AlertLine,
    pub(super) deliveries: Vec<DeliveryLine>,
}

impl OneAlert {
    pub(super) async fn of(store: &dyn Store, alert: AlertLine) -> Result<Self, StoreError> {
        let deliveries = store.deliveries(Some(alert.alert_id), 10_000).await?;
        Ok(Self { alert, deliveries })
    }
}

pub(super) fn show(one: &OneAlert) {
    let alert = &one.alert;
    let status = alert.status.as_str();
    let paint = Paint::of_word("Status", status);
    let status = paint.map_or_else(|| status.to_owned(), |paint| painted(paint, status));
    say(format_args!("Alert {}: {status}", alert.alert_id));
    for (what, says) in facts(one) {
        say(format_args!("  {what:13} {}", one_line(&says)));
    }
    say("");
    say(delivery_table(&one.deliveries));
}

fn facts(one: &OneAlert) -> Vec<(&'static str, String)> {
    let (alert, now) = (&one.alert, app::now());
    let of_all = |column: fn(&DeliveryLine) -> &Option<String>| {
        let all: BTreeSet<_> = one
            .deliveries
            .iter()
            .filter_map(|it| column(it).as_deref())
            .collect();
        Some(all.into_iter().collect::<Vec<_>>().join(", ")).filter(|all| !all.is_empty())
    };
    let next = alert.next_attempt_at.filter(|_| !alert.status.is_final());
    let facts = [
        ("Why", alert.status_reason.clone()),
        ("Subject", alert.subject.clone()),
        ("Reference", alert.reference.clone()),
        ("Send port", Some(shown_name(&alert.send_port).into_owned())),
        ("Inserted", Some(when(alert.created_at, now))),
        (
            "Last change",
            one.deliveries
                .iter()
                .map(|it| it.status_at)
                .max()
                .map(|at| when(at, now)),
        ),
        ("Attempts", Some(alert.attempt_count.to_string())),
        ("Next attempt", next.map(|at| when(at, now))),
        ("Relay", of_all(|it| &it.relay)),
        ("Message-ID", of_all(|it| &it.message_id)),
        ("PublicId", Some(alert.public_id.clone())),
    ];
    facts
        .into_iter()
        .filter_map(|(what, says)| Some((what, says?)))
        .collect()
}

/// What is of an application cannot disturb the terminal.
pub(super) fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

/// What was said about a recipient; empty where nothing was.
pub(super) fn recorded_reply(line: &DeliveryLine) -> String {
    let code = line
        .reply_code
        .filter(|code| *code != 0)
        .map(|code| code.to_string());
    let reply = [
        code,
        line.enhanced_status_code.clone(),
        line.reply_text.clone(),
    ];
    reply.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

pub(super) fn delivery_table(lines: &[DeliveryLine]) -> Table {
    let mut table = Table::new([
        "Kind", "Address", "Status", "Remark", "Reply", "Cause", "Advice",
    ]);
    for line in lines {
        table.row([
            line.kind.clone(),
            line.address.clone(),
            line.status.clone(),
            line.remark.clone().unwrap_or_default(),
            recorded_reply(line),
            line.cause.clone().unwrap_or_default(),
            line.advice.clone().unwrap_or_default(),
        ]);
    }
    table
}
