//! `sendport preview`

use std::io::Write;

use super::{Failure, open, say};
use crate::app::{self, Preview};
use crate::config::Config;
use crate::domain::AlertId;

/// Makes what the service would submit for an alert, by the same steps, and changes nothing:
/// neither the alert nor a relay knows of it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport preview 4711
  sendport preview 4711 --raw > 4711.eml")]
pub(super) struct Args {
    /// The alert, in whatever state it is
    alert: i64,
    /// The message alone, octet by octet as it is before protection
    #[arg(long)]
    raw: bool,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let id = AlertId(args.alert);
    let preview = match app::preview_alert(&config, &store, id).await? {
        Ok(preview) => preview,
        Err(reason) => {
            return Err(Failure::NotRelayed(format!(
                "alert {id} cannot be sent: {reason}"
            )));
        }
    };
    if !args.raw {
        facts(&preview);
        say("");
    }
    std::io::stdout().write_all(&preview.draft.message.octets)?;
    Ok(())
}

fn facts(preview: &Preview) {
    let envelope = &preview.envelope;
    let line = |what: &str, says: &str| say(format_args!("{what:14}{says}"));
    line("Send port", &preview.alert.send_port);
    line("Relays", &preview.relays.join(", "));
    if let Some(version) = &preview.draft.template_version {
        let name = preview.alert.template.as_deref().unwrap_or_default();
        line("Template", &format!("{}, version {version}", name.trim()));
    }
    line("Protection", &protection(preview));
    let path = envelope.reverse_path.0.as_deref().unwrap_or_default();
    line("MAIL FROM", &format!("<{path}>"));
    for path in &envelope.forward_paths {
        line("RCPT TO", &format!("<{}>", path.address));
    }
    for (recipient, said) in &preview.recipients {
        let due = |ordinal| {
            envelope
                .forward_paths
                .iter()
                .any(|it| it.ordinal == ordinal)
        };
        if !due(recipient.ordinal) {
            let said = said.as_ref().map(|reply| format!(": {reply}"));
            let (address, status) = (&recipient.mailbox.address, recipient.status);
            let said = said.unwrap_or_default();
            line("not to", &format!("{address}, {status}{said}"));
        }
    }
    if let Some(dsn) = &envelope.dsn {
        line("ENVID", &dsn.envelope_id);
    }
    match &preview.not_now {
        _ if envelope.forward_paths.is_empty() => line("Not now", "nobody is left to send to"),
        Some(why) => line("Not now", why),
        None => {}
    }
}

fn protection(preview: &Preview) -> String {
    let wanted = preview.draft.protection.as_str();
    match &preview.secured {
        Ok(it) if it.octets() == preview.draft.message.octets => {
            format!(
                "{wanted}: submitted as it stands below, {} octets",
                it.octets().len()
            )
        }
        Ok(it) => format!(
            "{wanted}: submitted as {} octets; {}",
            it.octets().len(),
            preview.headers.describe()
        ),
        Err(why) => format!("{wanted}: {why}"),
    }
}
