//! `sendport send`

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::one_alert::delivery_table;
use super::{Failure, open, read_text, say};
use crate::app;
use crate::config::Config;
use crate::domain::{AlertId, AlertStatus, BodyFormat, Priority};
use crate::store::{AlertLine, NewAlert, NewAttachment, QueueLine, Store};

/// Inserts one alert, as an application would by SQL. The service sends it. What the service would refuse as
/// soon as it sees it is not inserted.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("recipients").required(true).multiple(true).args(["to", "cc", "bcc"]))]
#[command(group = clap::ArgGroup::new("content").required(true).multiple(true).args(["subject", "body", "body_file", "template", "attach"]))]
#[command(after_help = "Examples:
  sendport send --to 'ops@contoso.com; oncall@contoso.com' --subject 'Order 4711 is late' --body '...' --wait
  sendport send --to ops@contoso.com --template order-late --payload '{\"order\": 4711}'")]
pub(super) struct Args {
    /// Recipients, separated by ; or ,
    #[arg(long, value_name = "LIST", value_parser = recipients)]
    to: Option<String>,
    /// Recipients of a copy
    #[arg(long, value_name = "LIST", value_parser = recipients)]
    cc: Option<String>,
    /// Recipients of a blind copy
    #[arg(long, value_name = "LIST", value_parser = recipients)]
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
    app::check_environment(&*store, &config.environment).await?;
    let no_port = unknown_send_port(&args.send_port, &config);
    let (wait, timeout) = (args.wait, Duration::from_secs(args.timeout));
    let alert = new_alert(args)?;
    if let Some(why) = app::refused_beforehand(&config, &store, &alert).await? {
        let why = why.strip_prefix("would fail, ").unwrap_or(&why);
        return Err(Failure::NotRelayed(format!(
            "nothing was inserted, it would fail: {why}"
        )));
    }
    let id = store.insert(&alert).await?;
    say(format_args!("alert {id} queued"));
    no_port.iter().for_each(say);
    if wait {
        show_outcome(&*store, id, timeout).await
    } else {
        Ok(())
    }
}

/// Somebody at least.
fn recipients(text: &str) -> Result<String, String> {
    let somebody = text
        .chars()
        .any(|c| !c.is_whitespace() && !";,".contains(c));
    let expected = "expected an address such as ops@contoso.com, or several separated by ;";
    somebody
        .then(|| text.to_owned())
        .ok_or_else(|| expected.to_owned())
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
        Some(file) => Some(read_text(&file)?),
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
    let mut said = None;
    loop {
        look.tick().await;
        let line = store.alerts(Some(id), 1).await?.into_iter().next();
        let Some(line) = line else {
            return Err(Failure::Other(format!("alert {id} is gone")));
        };
        if line.status.is_final() {
            return ended(store, &line).await;
        }
        let queue = store.queue().await?.into_iter();
        let of_it = |it: &QueueLine| it.send_port == line.send_port && it.status == line.status;
        let queue = queue.filter(of_it).find(|it| it.waiting_for.is_some());
        let why = queue.as_ref().and_then(|it| it.waiting_for.clone());
        if queue.is_some_and(|it| it.nobody_sends()) || tokio::time::Instant::now() >= deadline {
            say(delivery_table(&store.deliveries(Some(id), 10_000).await?));
            let why = line.status_reason.or(why);
            let why = why.map(|why| format!(": {why}")).unwrap_or_default();
            let (status, hint) = (
                line.status,
                format!("`sendport status {id}` shows what becomes of it"),
            );
            return Err(Failure::NotRelayed(format!(
                "alert {id} is {status}{why}; {hint}"
            )));
        }
        if why.is_some() && why != said {
            say(format_args!(
                "waits    {}",
                why.as_deref().unwrap_or_default()
            ));
            said = why;
        }
    }
}

async fn ended(store: &dyn Store, line: &AlertLine) -> Result<(), Failure> {
    let (id, status) = (line.alert_id, line.status);
    say(delivery_table(&store.deliveries(Some(id), 10_000).await?));
    if status == AlertStatus::Relayed {
        say(format_args!("alert {id} relayed"));
        return Ok(());
    }
    let reason = line.status_reason.as_ref();
    let reason = reason
        .map(|reason| format!(": {reason}"))
        .unwrap_or_default();
    Err(Failure::NotRelayed(format!(
        "alert {id} is {status}{reason}"
    )))
}
