//! `sendport send`

use std::path::{Path, PathBuf};
use std::time::Duration;

use sendport_core::domain::{
    AlertId, AlertStatus, BodyFormat, Priority, Timestamp, shown_name, shown_names,
};
use sendport_core::regular_file;
use sendport_store::{AlertLine, InstanceLine, NewAlert, NewAttachment, QueueLine, Store};

use super::one_alert::{OneAlert, delivery_table};
use super::terminal::{age, note};
use super::{Failure, open, print_json, progress, read_text, say};
use crate::app;
use crate::config::Config;

/// Inserts one alert, as an application would by SQL. The service sends it. What the service would refuse as
/// soon as it sees it is not inserted.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("recipients").required(true).multiple(true).args(["to", "cc", "bcc"]))]
#[command(group = clap::ArgGroup::new("content").required(true).multiple(true).args(["subject", "body", "body_file", "template", "attach"]))]
#[command(after_help = "Examples:
  sendport send --to 'ops@contoso.com; oncall@contoso.com' --subject 'Order 4711 is late' --body '...' --wait
  sendport send --to ops@contoso.com --template order-late --payload '{\"order\": 4711}'")]
pub(super) struct Args {
    /// To recipients, separated by ; or ,
    #[arg(long, value_name = "LIST", value_parser = recipients)]
    to: Option<String>,
    /// Cc recipients, separated by ; or ,
    #[arg(long, value_name = "LIST", value_parser = recipients)]
    cc: Option<String>,
    /// Bcc recipients, separated by ; or ,
    #[arg(long, value_name = "LIST", value_parser = recipients)]
    bcc: Option<String>,
    /// Subject
    #[arg(long)]
    subject: Option<String>,
    /// Body of the message
    #[arg(long, conflicts_with = "body_file")]
    body: Option<String>,
    /// File that contains the body; - is standard input
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
    /// File to attach; can be repeated
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
    /// Priority: urgent, normal or low
    #[arg(long, default_value_t = Priority::Normal, value_name = "CLASS")]
    priority: Priority,
    /// Wait until the status of every recipient is final, and show the alert
    #[arg(long)]
    wait: bool,
    /// Longest wait, in seconds
    #[arg(long, default_value_t = 60, value_name = "SECONDS", requires = "wait")]
    timeout: u64,
    /// Print the alert as JSON, as `status --json` does
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(mut args: Args, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    app::check_environment(&*store, &config.environment).await?;
    // Databases compare without the blanks at the end.
    args.send_port
        .truncate(args.send_port.trim_end_matches(' ').len());
    let no_port = unknown_send_port(&args.send_port, &config);
    let (wait, timeout, json) = (args.wait, Duration::from_secs(args.timeout), args.json);
    let alert = new_alert(args)?;
    if let Some(why) = app::dry_run(&config, &store, &alert).await? {
        return Err(Failure::NotRelayed(format!(
            "nothing was inserted, because the alert would fail: {why}"
        )));
    }
    let id = store.insert(&alert).await?;
    if !json {
        say(format_args!("alert {id} queued"));
    }
    if let Some(no_port) = no_port {
        let served = sender_status(&*store, id).await?;
        note(format_args!("{no_port}; {served}"));
    }
    let outcome = match wait {
        true => outcome(&*store, id, timeout, json).await,
        false => Ok(()),
    };
    if json {
        print_json(&OneAlert::of(&*store, line(&*store, id).await?).await?)?;
    }
    outcome
}

/// Whether a running instance has the send port of an alert that was just inserted, as text.
async fn sender_status(store: &dyn Store, id: AlertId) -> Result<String, Failure> {
    let line = line(store, id).await?;
    let queued = waiting(store, &line).await?;
    let unserved = queued.filter(QueueLine::has_no_sender);
    let unserved = unserved.and_then(|it| it.waiting_for);
    Ok(unserved.map_or_else(
        || "another instance that runs has it".to_owned(),
        |why| format!("no instance sends the alert: {why}"),
    ))
}

async fn line(store: &dyn Store, id: AlertId) -> Result<AlertLine, Failure> {
    let line = store.alerts(Some(id), 1).await?.into_iter().next();
    line.ok_or_else(|| Failure::Other(format!("alert {id} is gone")))
}

/// Where it waits for something, its line of the view Queue.
async fn waiting(store: &dyn Store, alert: &AlertLine) -> Result<Option<QueueLine>, Failure> {
    let of_it = |it: &QueueLine| it.send_port == alert.send_port && it.status == alert.status;
    let mut queue = store.queue().await?.into_iter().filter(of_it);
    Ok(queue.find(|it| it.waiting_for.is_some()))
}

/// Why this very alert waits: the view `Queue` may have the reason of another one. `None` where nothing keeps an instance
/// from sending it.
async fn reason(store: &dyn Store, alert: &AlertLine) -> Result<Option<String>, Failure> {
    if alert.status_reason.is_some() {
        return Ok(alert.status_reason.clone());
    }
    let lines = store.explanation(alert.alert_id).await?;
    let next = lines.into_iter().find(|line| line.kind == "next");
    let because = ["nothing: ", "an instance sends it, once this is over: "];
    Ok(next.and_then(|line| {
        let reasons = because
            .iter()
            .filter_map(|it| line.sentence.strip_prefix(it));
        reasons.map(str::to_owned).next()
    }))
}

/// At least one recipient.
fn recipients(text: &str) -> Result<String, String> {
    let any = text
        .chars()
        .any(|c| !c.is_whitespace() && !";,".contains(c));
    let expected = "expected an address such as ops@contoso.com, or several separated by ;";
    any.then(|| text.to_owned())
        .ok_or_else(|| expected.to_owned())
}

/// Checks here what an application learns only from the status of the alert.
fn json_object(text: &str) -> Result<String, String> {
    match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(_)) => Ok(text.to_owned()),
        Ok(_) => Err("expected a JSON object, such as {\"order\": 4711}".to_owned()),
        Err(error) => Err(format!(
            "this is not JSON: {error}; expected the object itself and no file's name, such as {{\"order\": 4711}}"
        )),
    }
}

/// Another instance may have it, so the alert is inserted anyway.
pub(super) fn unknown_send_port(name: &str, config: &Config) -> Option<String> {
    (!config.send_port.contains_key(name)).then(|| {
        let (name, known) = (shown_name(name), shown_names(config.send_port.keys()));
        format!("this configuration has no send port {name}; it has: {known}")
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
    let content = regular_file::read(file).map_err(unreadable(file))?;
    Ok(NewAttachment::file(name, content))
}

fn unreadable(file: &Path) -> impl FnOnce(std::io::Error) -> Failure {
    move |error| {
        let file = file.display();
        Failure::Other(format!("the file {file} cannot be read: {error}"))
    }
}

/// People wonder then why nothing happens.
const SILENCE: Duration = Duration::from_secs(5);

/// Prints what it waits for, and which recipients got it, unless all of it becomes a document.
async fn outcome(
    store: &dyn Store,
    id: AlertId,
    timeout: Duration,
    json: bool,
) -> Result<(), Failure> {
    let begun = tokio::time::Instant::now();
    let deadline = begun + timeout;
    let mut wondered = json;
    let mut look = tokio::time::interval(Duration::from_millis(200));
    let mut shown = None;
    loop {
        look.tick().await;
        let line = line(store, id).await?;
        let queued = waiting(store, &line).await?;
        let why = match &queued {
            Some(_) => reason(store, &line).await?,
            None => None,
        };
        let given_up =
            queued.is_some_and(|it| it.has_no_sender()) || tokio::time::Instant::now() >= deadline;
        if line.status.is_final() || given_up {
            if !json {
                say(delivery_table(&store.deliveries(Some(id), 10_000).await?));
            }
            return ended(&line, why, json);
        }
        progress::at(format_args!("send: alert {id} is {}", line.status));
        if why.is_some() && why != shown && !json {
            let why = why.as_deref().unwrap_or_default();
            say(format_args!("waits    {why}"));
        }
        if why.is_none() && !wondered && begun.elapsed() >= SILENCE {
            wondered = true;
            let instances = store.instances(100).await?;
            say(format_args!(
                "waits    {}",
                who_runs(&instances, app::now())
            ));
        }
        shown = why;
    }
}

/// When each was last seen: one that has ended without a word has its lease for a while.
fn who_runs(instances: &[InstanceLine], now: Timestamp) -> String {
    let alive = instances.iter().filter(|it| it.alive);
    let seen = alive.map(|it| {
        let (name, ago) = (shown_name(&it.name), (now - it.renewed_at).num_seconds());
        format!("{name} renewed its lease {} ago", age(ago.max(0)))
    });
    let seen: Vec<_> = seen.collect();
    match seen.is_empty() {
        true => "no instance runs".to_owned(),
        false => format!("instances: {}", seen.join("; ")),
    }
}

fn ended(line: &AlertLine, why: Option<String>, json: bool) -> Result<(), Failure> {
    let (id, status) = (line.alert_id, line.status);
    let why = line.status_reason.clone().or(why);
    let why = why.map(|why| format!(": {why}")).unwrap_or_default();
    if status == AlertStatus::Relayed {
        if !json {
            say(format_args!("alert {id} relayed{}{why}", progress::took()));
        }
        return Ok(());
    }
    let hint = match status.is_final() {
        true => String::new(),
        false => format!("; `sendport status {id}` shows its status"),
    };
    Err(Failure::NotRelayed(format!(
        "alert {id} is {status}{why}{hint}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_the_send_ports_instances_with_their_last_renewal() {
        let now = Timestamp::from_timestamp(1_000, 0).expect("a moment");
        let instance = |alive, seconds| InstanceLine {
            name: "a".to_owned(),
            host_name: "host".to_owned(),
            process_id: 1,
            version: "1".to_owned(),
            started_at: now,
            renewed_at: now - chrono::TimeDelta::seconds(seconds),
            lease_until: now,
            stopped_at: None,
            alive,
            waiting_for: None,
            unrecorded_count: 0,
            unrecorded_since: None,
            unclaimed_count: 0,
            unclaimed_since: None,
        };
        let text = who_runs(&[instance(true, 12), instance(false, 90)], now);
        assert_eq!(text, "instances: a renewed its lease 12 s ago");
        assert_eq!(who_runs(&[instance(false, 90)], now), "no instance runs");
    }
}
