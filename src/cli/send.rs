//! `sendport send`

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::status::delivery_table;
use super::{Failure, open, say};
use crate::config::Config;
use crate::domain::{AlertId, AlertStatus, BodyFormat, Priority};
use crate::store::{NewAlert, NewAttachment, Store};

/// Inserts one alert, as an application would by SQL. The service sends it.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("recipients").required(true).multiple(true).args(["to", "cc", "bcc"]))]
#[command(after_help = "Examples:
  sendport send --to 'ops@contoso.com; oncall@contoso.com' --subject 'Order 4711 is late' --body '...' --wait
  sendport send --to ops@contoso.com --template order-late --payload '{\"order\": 4711}'")]
pub(super) struct Args {
    /// Recipients, separated by ; or ,
    #[arg(long, value_name = "LIST")]
    to: Option<String>,
    /// Recipients of a copy
    #[arg(long, value_name = "LIST")]
    cc: Option<String>,
    /// Recipients of a blind copy
    #[arg(long, value_name = "LIST")]
    bcc: Option<String>,
    /// Subject
    #[arg(long)]
    subject: Option<String>,
    /// Text of the mail
    #[arg(long, conflicts_with = "body_file")]
    body: Option<String>,
    /// File that holds it; - is standard input
    #[arg(long, value_name = "FILE")]
    body_file: Option<PathBuf>,
    /// The body is HTML
    #[arg(long)]
    html: bool,
    /// Name of a template
    #[arg(long)]
    template: Option<String>,
    /// JSON object for the template
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    payload: Option<String>,
    /// File to attach; may be given several times
    #[arg(long, value_name = "FILE")]
    attach: Vec<PathBuf>,
    /// Language of the template, such as de-AT
    #[arg(long, value_name = "TAG")]
    language: Option<String>,
    /// JSON object of extra headers
    #[arg(long, value_name = "JSON", value_parser = json_object)]
    headers: Option<String>,
    /// Your own key, to find the alert by
    #[arg(long)]
    reference: Option<String>,
    /// Send port
    #[arg(long, default_value = "default", value_name = "NAME")]
    send_port: String,
    /// urgent, normal or low
    #[arg(long, default_value_t = Priority::Normal, value_name = "CLASS")]
    priority: Priority,
    /// Wait until something final is known, and show it
    #[arg(long)]
    wait: bool,
    /// Wait no longer than so many seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "wait")]
    timeout: u64,
}

pub(super) async fn perform(args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let no_port = unknown_send_port(&args.send_port, &config);
    let (wait, timeout) = (args.wait, Duration::from_secs(args.timeout));
    let id = store.insert(&new_alert(args)?).await?;
    say(format_args!("alert {id} queued"));
    no_port.iter().for_each(say);
    if wait {
        show_outcome(&*store, id, timeout).await
    } else {
        Ok(())
    }
}

/// What an application would find out by the alert's status.
fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("expected a JSON object, such as {\"order\": 4711}".to_owned()),
        Err(error) => Err(format!(
            "this is not JSON: {error}; expected an object, such as {{\"order\": 4711}}"
        )),
    }
}

/// Another instance may have it, so the alert is inserted all the same.
fn unknown_send_port(name: &str, config: &Config) -> Option<String> {
    let known: Vec<_> = config.send_port.keys().map(String::as_str).collect();
    (!known.contains(&name)).then(|| {
        let known = known.join(", ");
        format!("note  this configuration has no send port '{name}'; it has: {known}")
    })
}

fn new_alert(args: Args) -> Result<NewAlert, Failure> {
    let body = match args.body_file {
        None => args.body,
        Some(file) if file.as_os_str() == "-" => Some(std::io::read_to_string(std::io::stdin())?),
        Some(file) => Some(std::fs::read_to_string(&file).map_err(unreadable(&file))?),
    };
    Ok(NewAlert {
        to_recipients: args.to,
        cc_recipients: args.cc,
        bcc_recipients: args.bcc,
        subject: args.subject,
        body,
        body_format: if args.html {
            BodyFormat::Html
        } else {
            BodyFormat::Text
        },
        template: args.template,
        payload: args.payload,
        language: args.language,
        headers: args.headers,
        reference: args.reference,
        send_port: args.send_port,
        priority: args.priority,
        not_before: None,
        expires_at: None,
        attachments: args
            .attach
            .iter()
            .map(|file| attachment(file))
            .collect::<Result<_, _>>()?,
    })
}

fn attachment(file: &Path) -> Result<NewAttachment, Failure> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let content = std::fs::read(file).map_err(unreadable(file))?;
    Ok(NewAttachment::file(name, content))
}

fn unreadable(file: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        let file = file.display();
        Failure::Other(format!("the file {file} cannot be read: {error}"))
    }
}

async fn show_outcome(store: &dyn Store, id: AlertId, timeout: Duration) -> Result<(), Failure> {
    let deadline = tokio::time::Instant::now() + timeout;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    loop {
        look.tick().await;
        let line = store.alerts(Some(id), 1).await?.into_iter().next();
        let Some(line) = line else {
            return Err(Failure::Other(format!("alert {id} is gone")));
        };
        let timed_out = tokio::time::Instant::now() >= deadline;
        if !line.status.is_final() && !timed_out {
            continue;
        }
        say(delivery_table(&store.deliveries(Some(id), 10_000).await?));
        if line.status == AlertStatus::Relayed {
            say(format_args!("alert {id} relayed"));
            return Ok(());
        }
        let reason = line
            .status_reason
            .map(|reason| format!(": {reason}"))
            .unwrap_or_default();
        let after = if line.status.is_final() {
            String::new()
        } else {
            format!(" after {} s", timeout.as_secs())
        };
        return Err(Failure::NotRelayed(format!(
            "alert {id} is {}{after}{reason}",
            line.status
        )));
    }
}
