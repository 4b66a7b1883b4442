//! `sendport sink`

use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::sync::broadcast::error::RecvError;
use tokio_util::sync::CancellationToken;

use super::{Failure, progress, say, stop_signal};
use crate::sink::{Sink, SinkOptions};

/// Stores every message that it receives as an .eml file. For tests: it accepts
/// everything and delivers nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport sink
  sendport sink --listen 127.0.0.1:2525 --folder messages --refuse nobody --delay busy=2")]
pub(super) struct Args {
    /// Address and port to listen on
    #[arg(long, default_value = "127.0.0.1:2525", value_name = "ADDRESS")]
    listen: SocketAddr,
    /// Folder for the .eml files
    #[arg(long, default_value = "sink", value_name = "FOLDER")]
    folder: PathBuf,
    /// Answer 550 5.1.1 for this recipient: a whole address or the part before the @
    #[arg(long, value_name = "RECIPIENT")]
    refuse: Vec<String>,
    /// Answer 451 4.2.1 for this recipient the first TIMES times
    #[arg(long, value_name = "RECIPIENT=TIMES", value_parser = parse_delay)]
    delay: Vec<(String, u32)>,
}

fn parse_delay(text: &str) -> Result<(String, u32), String> {
    let (recipient, times) = text.rsplit_once('=').unwrap_or((text, "1"));
    let times = times
        .parse()
        .map_err(|_| format!("'{times}' is not a number; write for example busy=2"))?;
    Ok((recipient.to_owned(), times))
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    let options = SinkOptions {
        listen: args.listen,
        folder: args.folder.clone(),
        refuse: args.refuse,
        delay: args.delay,
    };
    let stop = stop_signal();
    let sink = Sink::start(options).await?;
    say(format_args!(
        "listening on {}, storing into {}; Ctrl-C ends it",
        sink.local_addr(),
        args.folder.display()
    ));
    show_each(&sink, &stop).await;
    progress::begin("waits for open sessions");
    let received = sink.received();
    sink.stop().await;
    say(format_args!("{received} messages received"));
    Ok(())
}

/// Prints a line for each message until it is stopped.
async fn show_each(sink: &Sink, stop: &CancellationToken) {
    let mut messages = sink.subscribe();
    loop {
        let received = tokio::select! {
            () = stop.cancelled() => return,
            received = messages.recv() => received,
        };
        match received {
            Ok(it) => say(format_args!(
                "{}  from <{}> to {}, {} bytes",
                it.file.display(),
                it.sender,
                it.recipients.join(", "),
                it.bytes
            )),
            Err(RecvError::Lagged(missed)) => say(format_args!("{missed} more")),
            Err(RecvError::Closed) => return stop.cancelled().await,
        }
    }
}
