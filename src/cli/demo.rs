//! `sendport demo`: all of it on one machine, with nothing installed.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::table::Table;
use super::terminal::Color;
use super::{Failure, say, stop_signal};
use crate::app::{DemoDatabase, Service};
use crate::config::Config;
use crate::observability::log;
use crate::sink::{Sink, SinkOptions};

/// The alerts, as an application would insert them.
const ALERTS: &str = include_str!("../../demo/alerts.sql");

/// The sample templates.
const TEMPLATES: [(&str, &str); 8] = [
    (
        "_layout.html.j2",
        include_str!("../../templates/_layout.html.j2"),
    ),
    (
        "_order.html.j2",
        include_str!("../../templates/_order.html.j2"),
    ),
    (
        "order-late.subject.j2",
        include_str!("../../templates/order-late.subject.j2"),
    ),
    (
        "order-late.txt.j2",
        include_str!("../../templates/order-late.txt.j2"),
    ),
    (
        "order-late.html.j2",
        include_str!("../../templates/order-late.html.j2"),
    ),
    (
        "order-late.de.subject.j2",
        include_str!("../../templates/order-late.de.subject.j2"),
    ),
    (
        "order-late.de.txt.j2",
        include_str!("../../templates/order-late.de.txt.j2"),
    ),
    (
        "order-late.de.html.j2",
        include_str!("../../templates/order-late.de.html.j2"),
    ),
];

/// What is shown at the end, and how a user would ask for it.
const QUESTIONS: [&str; 4] = [
    "SELECT AlertId, coalesce(Subject, Reference) AS Alert, Status, AttemptCount, RecipientCount, RelayedCount\n  FROM AlertStatus",
    "SELECT AlertId, Kind, Address, Status, ReplyCode, EnhancedStatusCode, ReplyText FROM Delivery",
    "SELECT AlertId, Address, Reason, Advice FROM FailedDelivery",
    "SELECT t.AlertId, t.AttemptNumber, t.Outcome, t.Relay, r.Command, r.ReplyCode, r.ReplyText\n  FROM Attempt t JOIN AttemptReply r ON r.AttemptId = t.AttemptId WHERE t.AlertId = 4",
];

/// It gives up after this: something is wrong then.
const PATIENCE: Duration = Duration::from_secs(60);

/// A database, a mail server, sample alerts, and their statuses; ends by itself.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  sendport demo --folder /tmp/sendport-demo")]
pub(super) struct Args {
    /// Working folder; it must not exist yet [default: sendport-demo, or sendport-demo-2, ...]
    #[arg(long, value_name = "FOLDER")]
    folder: Option<PathBuf>,
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let folder = make_folder(args.folder)?;
    let sink = Sink::start(SinkOptions {
        folder: folder.join("mails"),
        refuse: vec!["nobody".to_owned()],
        delay: vec![("busy".to_owned(), 1)],
        ..SinkOptions::default()
    })
    .await?;
    let file = write_configuration(&folder, sink.local_addr())?;
    let config = Config::load(Some(&file))?;
    log::init(&config.log, Color::on(&std::io::stderr())).map_err(Failure::config)?;
    say(format_args!(
        "1. A folder for everything:     {}",
        folder.display()
    ));
    say(format_args!(
        "2. A mail server on loopback:   {} (refuses nobody@, is busy once for busy@)",
        sink.local_addr()
    ));

    let database = DemoDatabase::create(&folder.join("sendport.db")).await?;
    database
        .store()
        .name_environment(&config.environment)
        .await?;
    say(format_args!(
        "3. A database, tables made:     {}",
        database.store().describe()
    ));

    let stop = stop_signal();
    let service = tokio::spawn(
        Service::new(config, database.store())
            .await?
            .run(stop.clone()),
    );
    say("4. The service runs. Six alerts are inserted by SQL:\n");
    database.run_script(ALERTS).await?;
    std::fs::write(folder.join("alerts.sql"), ALERTS)?;
    let finished = watch(&database, &stop).await?;
    stop.cancel();
    let _ = service.await;
    let received = sink.received();
    sink.stop().await;
    for question in QUESTIONS {
        say(format_args!("\nsqlite> {question};"));
        say(answer(&database, question).await?);
    }
    say_farewell(&folder, received);
    if finished {
        Ok(())
    } else {
        Err(Failure::Other("some alerts are not final yet".to_owned()))
    }
}

fn make_folder(named: Option<PathBuf>) -> Result<PathBuf, Failure> {
    let mut candidates: Box<dyn Iterator<Item = PathBuf>> = match named {
        Some(folder) => Box::new(std::iter::once(folder)),
        None => Box::new((1..1000).map(|n| {
            PathBuf::from(if n == 1 {
                "sendport-demo".to_owned()
            } else {
                format!("sendport-demo-{n}")
            })
        })),
    };
    let free = candidates.find(|folder| !folder.exists());
    let folder = free.ok_or_else(|| {
        Failure::Other("the folder exists already; name another one with --folder".to_owned())
    })?;
    std::fs::create_dir_all(folder.join("mails"))?;
    std::fs::create_dir_all(folder.join("templates"))?;
    Ok(std::path::absolute(folder)?)
}

fn write_configuration(folder: &Path, relay: std::net::SocketAddr) -> Result<PathBuf, Failure> {
    for (name, text) in TEMPLATES {
        std::fs::write(folder.join("templates").join(name), text)?;
    }
    let text = format!(
        r#"# The configuration of the demonstration. `sendport run` in this folder goes on with it,
# after `sendport sink --listen {relay} --folder mails` in another terminal.
environment = "demo"

[database]
connection = "sqlite:sendport.db"

[http]
listen = ""

[log]
level = "error"

[templates]
folder = "templates"

[relay.sink]
kind = "smtp"
host = "{}"
port = {}
tls = "none"

[send_port.default]
from = "Contoso alerts <alerts@contoso.example>"
relays = ["sink"]

[send_port.default.retry]
first_delay = "2s"
"#,
        relay.ip(),
        relay.port()
    );
    let file = folder.join("sendport.toml");
    std::fs::write(&file, text)?;
    Ok(file)
}

/// Shows how the statuses change until nothing waits any more.
async fn watch(database: &DemoDatabase, stop: &CancellationToken) -> Result<bool, Failure> {
    const STATUSES: &str = "SELECT AlertId, Status FROM AlertState ORDER BY AlertId";
    let terminal = std::io::stdout().is_terminal();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    let mut look = tokio::time::interval(Duration::from_millis(50));
    let mut shown = String::new();
    loop {
        look.tick().await;
        let (_, rows) = database.query(STATUSES).await?;
        let line = rows
            .iter()
            .map(|row| format!("{} {:9}", row[0], row[1]))
            .collect::<Vec<_>>()
            .join(" ");
        if line != shown {
            show_progress(&line, terminal, shown.is_empty());
            shown = line;
        }
        let waiting = rows
            .iter()
            .any(|row| matches!(row[1].as_str(), "queued" | "sending" | "delayed"));
        if !waiting {
            return Ok(true);
        }
        if stop.is_cancelled() || tokio::time::Instant::now() > deadline {
            return Ok(false);
        }
    }
}

/// On a terminal the line changes in place.
fn show_progress(line: &str, terminal: bool, first: bool) {
    let back = if terminal && !first {
        "\u{1b}[1A\u{1b}[2K"
    } else {
        ""
    };
    say(format_args!("{back}   {line}"));
}

async fn answer(database: &DemoDatabase, question: &str) -> Result<Table, Failure> {
    let (head, rows) = database.query(question).await?;
    let mut table = Table::new(head);
    for row in rows {
        table.row(row);
    }
    Ok(table)
}

fn say_farewell(folder: &Path, received: u64) {
    let at = folder.display();
    let program = std::env::args().next();
    let program = program.as_deref().unwrap_or("sendport");
    say(format_args!(
        "{received} emails are stored in {at}/mails. Look around:"
    ));
    say(format_args!(
        "  sqlite3 {at}/sendport.db 'SELECT * FROM Delivery'"
    ));
    say(format_args!(
        "  {program} --config {at}/sendport.toml status"
    ));
}
