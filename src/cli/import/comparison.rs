//! `sendport import dbmail --compare`

use std::collections::BTreeMap;

use super::super::{Failure, say};
use crate::app::{MessageDifference, compare_database_mail};
use crate::config::Config;
use crate::import::ImportedConfig;
use crate::import::dbmail::{SentMessage, Snapshot, sent_messages};

/// Composes the messages of the document with the imported send ports, and prints every difference.
pub(super) async fn compare(snapshot: &Snapshot, made: &ImportedConfig) -> Result<(), Failure> {
    let messages = sent_messages(snapshot);
    if messages.is_empty() {
        return Err(Failure::Other(
            "there is no message to compare; read some with --history 200, from the server or in the script"
                .to_owned(),
        ));
    }
    let config = Config::from_text(&made.to_toml())?;
    let compared = compare_database_mail(&config, &messages).await?;
    let mut counts = BTreeMap::<&str, usize>::new();
    for (message, differences) in messages.iter().zip(&compared) {
        differences
            .iter()
            .for_each(|it| *counts.entry(it.property).or_default() += 1);
        print(message, differences);
    }
    let differ = compared.iter().filter(|it| !it.is_empty()).count();
    let counts: Vec<_> = counts
        .iter()
        .map(|(property, count)| format!("{property} {count}"))
        .collect();
    say(format_args!(
        "{} messages compared, {differ} differ{}{}; nothing was sent",
        messages.len(),
        if counts.is_empty() { "" } else { ": " },
        counts.join(", ")
    ));
    say(
        "In every message: Message-ID, Date and Auto-Submitted are sendport's own; HTML has a text alternative.",
    );
    Ok(())
}

fn print(message: &SentMessage, differences: &[MessageDifference]) {
    if differences.is_empty() {
        return;
    }
    let port = message.send_port.as_deref().unwrap_or("none");
    say(format_args!(
        "mailitem_id {}, send port '{port}'",
        message.item
    ));
    for it in differences {
        let visible = |text: &str| text.replace(|c: char| c.is_control(), " ");
        say(format_args!(
            "  {:12}  Database Mail: {}",
            it.property,
            visible(&it.database_mail)
        ));
        say(format_args!(
            "  {:12}  sendport:      {}",
            "",
            visible(&it.sendport)
        ));
    }
}
