//! What arrived, by Message-ID and recipient.

use std::collections::BTreeMap;
use std::path::Path;

use crate::database::Database;

/// The verdict over one run.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) alerts: u32,
    /// Recorded as relayed or still open, and not arrived.
    pub(crate) lost: u32,
    /// Copies beyond the first.
    pub(crate) duplicated: u32,
    /// Of those, copies explained by an attempt of outcome `unknown`.
    pub(crate) explained: u32,
    /// Attempts of outcome `unknown`.
    pub(crate) unknown: u32,
}

/// Counts the .eml files of the sink against the database.
pub(crate) async fn count(database: &Database, mails: &Path, alerts: u32) -> Counts {
    let mut arrived: BTreeMap<(String, String), u32> = BTreeMap::new();
    for file in std::fs::read_dir(mails)
        .expect("the folder of mails")
        .flatten()
    {
        let text = std::fs::read_to_string(file.path()).expect("a mail");
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            line.unwrap_or_default().trim().to_owned()
        };
        *arrived
            .entry((field("Message-ID:"), field("X-Receiver:")))
            .or_default() += 1;
    }
    let number = |text: String| text.parse().unwrap_or(0);
    let mut counts = Counts {
        alerts,
        lost: alerts - u32::try_from(arrived.len()).unwrap_or(0).min(alerts),
        unknown: number(
            database
                .value("SELECT count(*) FROM {Attempt} WHERE Outcome = 'unknown'")
                .await,
        ),
        ..Counts::default()
    };
    for ((message_id, _), copies) in arrived.iter().filter(|(_, copies)| **copies > 1) {
        let id = message_id
            .trim_matches(['<', '>'])
            .split('@')
            .next()
            .unwrap_or_default();
        let unknown = database
            .value(&format!(
                "SELECT count(*) FROM {{Attempt}} t JOIN {{Alert}} a ON a.AlertId = t.AlertId \
                 WHERE a.PublicId = '{id}' AND t.Outcome = 'unknown'"
            ))
            .await;
        counts.duplicated += copies - 1;
        counts.explained += number(unknown).min(copies - 1);
    }
    counts
}
