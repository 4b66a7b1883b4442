//! The command line, one file for each verb.

mod adopt;
mod cancel;
mod cert;
mod cert_directory;
mod cert_import;
mod check;
mod check_feedback;
mod check_intake;
mod config;
mod config_file;
mod demo;
mod dkim;
mod filter_check;
mod findings;
mod hash_password;
mod health;
mod hold;
mod import;
mod init;
mod manual;
mod migrate;
mod one_alert;
mod one_alert_check;
mod operator_verb;
mod preview;
mod preview_json;
mod preview_template;
mod probe;
mod progress;
mod purge;
mod redirect;
mod redirects;
mod release;
mod request_output;
mod requests;
mod requeue;
mod resolve;
mod run;
mod secret_prompt;
mod send;
mod sendmail;
mod sink;
mod status;
mod table;
mod template;
mod terminal;
mod test_mail;
mod verify;
mod why;

use std::fmt::Display;
use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use sendport_core::regular_file;
use sendport_store::{Store, StoreError};
use tokio::runtime::{Builder, Runtime};
use tokio_util::sync::CancellationToken;

use crate::app::{self, AppError};
use crate::config::{Config, ConfigError};
use config_file::load;
use terminal::{Color, put, say};

/// The send port that a SQL Server database is missing: alerts inserted by SQL become emails,
/// and the status of every recipient is written back.
#[derive(Debug, Parser)]
#[command(version, long_version = app::VERSIONS.as_str(), about, max_term_width = 100, after_help = EXAMPLES)]
pub struct Cli {
    /// Configuration file [default: sendport.toml, then /etc/sendport/sendport.toml]
    #[arg(long, short, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Color the output
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    color: Color,
    #[command(subcommand)]
    verb: Verb,
}

const EXAMPLES: &str = "Examples:
  sendport demo                          see it work; needs nothing else
  sendport init                          write a configuration to start from
  sendport migrate --environment test    create or update the tables
  sendport check                         check configuration, database, schema and relays
  sendport probe --relay main            talk to a relay as the service does, step by step
  sendport run                           run the service
  sendport send --to ops@contoso.com --subject Hello --body 'It works' --wait
  sendport status

Exit codes:
  0 done   1 failed, no such alert   2 wrong usage   3 configuration   4 database
  5 stopped before all results were recorded   6 the alert was not relayed, or would fail
  7 root would create files in the folder of another user
  10 or higher: the step at which `sendport probe` failed, or a code of `sendport sendmail`";

#[derive(Debug, Subcommand)]
enum Verb {
    /// Write a commented configuration to start from
    Init(init::Args),
    /// Show the effective configuration
    Config(config::Args),
    /// Make send ports and relays of the settings of Database Mail or BizTalk Server
    Import(import::Args),
    /// Run the service: claim alerts, submit them, record the results
    Run(run::Args),
    /// Create or update the tables in the database
    Migrate(migrate::Args),
    /// Take over a restored copy of a database: expire or hold the alerts that wait in it
    Adopt(adopt::Args),
    /// Talk to a mail server step by step and explain its replies; sends nothing without --send
    Probe(Box<probe::Args>),
    /// Check configuration, database, schema and relays, line by line
    Check(check::Args),
    /// Prove on this database server that it can carry the queue
    Verify(verify::Args),
    /// Try everything on this machine: a database, a mail server, sample alerts, their statuses
    Demo(demo::Args),
    /// Run a small SMTP server on loopback that stores the messages it receives as .eml files
    Sink(sink::Args),
    /// Insert one alert
    Send(Box<send::Args>),
    /// Submit a message from the standard input, with the options of Sendmail
    Sendmail(sendmail::Args),
    /// Insert a test alert for a send port, and wait for its outcome
    TestMail(test_mail::Args),
    /// Show queue and instances, or one alert
    Status(status::Args),
    /// Explain an alert: what happened, what happens next, and what a person can do
    Why(why::Args),
    /// Show what would be sent for an alert: envelope, relays, protection, and the exact message
    Preview(preview::Args),
    /// Manage templates in the database: import, export, list, check
    Template(template::Args),
    /// Manage recipients' certificates in the database: import, list, check, revoke, remove
    Cert(cert::Args),
    /// Ask the running service whether it is ready, or alive
    Health(health::Args),
    /// Do not send alerts any more, by a filter
    Cancel(Box<cancel::Args>),
    /// Hold an alert, a send port or an AlertName until a release
    Hold(hold::Args),
    /// Send what matches to one address instead of its recipients, until a release
    Redirect(redirect::Args),
    /// End a hold or a redirect, and put held alerts back into the queue
    Release(release::Args),
    /// Delete old alerts: bodies and attachments first, then all of them
    Purge(purge::Args),
    /// Send alerts again that failed, by a filter
    Requeue(Box<requeue::Args>),
    /// List what operators requested, and the result
    Requests(requests::Args),
    /// Resolve an alert that may have been sent, or list those in doubt
    Resolve(resolve::Args),
    /// Hash a password for a user of an intake
    HashPassword(hash_password::Args),
    /// Print the DNS record of each DKIM key
    Dkim(dkim::Args),
    /// Print shell completions
    Completions(manual::Completions),
    /// Write the manual pages
    #[command(hide = true)]
    Manual(manual::Manual),
    /// Render templates for the service that starts this; not for people
    #[command(name = app::RENDER_WORKER, hide = true)]
    RenderWorker,
}

impl Verb {
    /// Writes nothing but the result of the verb.
    fn ends_by_itself(&self) -> bool {
        !matches!(self, Self::Run(_) | Self::Sink(_) | Self::Demo(_))
    }
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The command line has this error, which shows only after it was parsed.
    #[error("{0}")]
    Usage(String),
    #[error("{0}")]
    Config(String),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{0}")]
    Database(String),
    #[error("{0}")]
    Other(String),
    #[error(transparent)]
    ForcedStop(#[from] app::UnrecordedOutcomes),
    #[error("{0}")]
    ImmediateStop(String),
    #[error("{0}")]
    NotRelayed(String),
    #[error("{0}")]
    AnotherUser(String),
    /// With the exit code of the step.
    #[error("{1}")]
    Probe(u8, String),
    /// With the exit code of sysexits.h.
    #[error("{1}")]
    Sendmail(u8, String),
}

impl Failure {
    /// The configuration has this error.
    fn config(error: impl Display) -> Self {
        Self::Config(error.to_string())
    }

    /// An error without an exit code of its own.
    fn other(error: impl Display) -> Self {
        Self::Other(error.to_string())
    }

    fn exit_code(&self) -> u8 {
        match self {
            Self::Other(_) => 1,
            Self::Usage(_) => 2,
            Self::Config(_) => 3,
            Self::Store(_) | Self::Database(_) => 4,
            Self::ForcedStop(_) | Self::ImmediateStop(_) => 5,
            Self::NotRelayed(_) => 6,
            Self::AnotherUser(_) => 7,
            Self::Probe(code, _) | Self::Sendmail(code, _) => *code,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::config(error)
    }
}

impl From<AppError> for Failure {
    fn from(error: AppError) -> Self {
        match error {
            AppError::Config(error) => Self::config(error),
            AppError::Store(error) => Self::Store(error),
            AppError::WrongDatabase(text) => Self::Database(text),
            AppError::WouldFail(text) => Self::NotRelayed(text),
            AppError::Http(_) | AppError::NoAlert(_) | AppError::AmbiguousReference { .. } => {
                Self::other(error)
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::other(error)
    }
}

/// Blocks of this size, in bytes, are parts of large messages.
const LARGE_BLOCK: u32 = 128 * 1024;

/// Parses the command line and runs the verb.
pub fn main() -> ExitCode {
    if let Some(words) = sendmail::words(std::env::args_os()) {
        return ended(sendmail::submit(&words, None));
    }
    let arguments = match Cli::command().try_get_matches() {
        Ok(arguments) => arguments,
        Err(answer) => return answer_of_itself(&answer),
    };
    let cli = Cli::from_arg_matches(&arguments).unwrap_or_else(|error| error.exit());
    cli.color.choose();
    if matches!(cli.verb, Verb::RenderWorker) {
        return ExitCode::from(app::render_worker());
    }
    if let Verb::Sendmail(args) = &cli.verb {
        return ended(sendmail::run(args, cli.config));
    }
    sendport_heap::give_back_from(LARGE_BLOCK);
    let runtime = match runtime() {
        Ok(runtime) => runtime,
        Err(error) => return complain(&Failure::Other(format!("cannot start: {error}"))),
    };
    if let Some(verb) = arguments.subcommand_name()
        && cli.verb.ends_by_itself()
        && !progress::is_for_programs(&arguments)
    {
        progress::begin(verb);
    }
    #[cfg(unix)]
    runtime.block_on(outlive_file_size_limit());
    // On a worker, beside what it wakes and waits for.
    let result = runtime.block_on(runtime.spawn(cli.run()));
    progress::end();
    // A blocked look-up or a stuck disk must not keep the process alive.
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended(result.unwrap_or_else(|broken| {
        let what = format!("internal error, please report it: {broken}");
        Err(Failure::Other(what))
    }))
}

fn ended(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => {
            terminal::output_failure().map_or(ExitCode::SUCCESS, |failure| complain(&failure))
        }
        Err(failure) => complain(&failure),
    }
}

/// Threads for half of the processors: what runs on them mostly waits, and each that has nothing to
/// do is woken again and again to see so. The other half is for databases, files, cryptography and
/// whatever else the machine does.
fn runtime() -> std::io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, NonZero::get);
    Builder::new_multi_thread()
        .worker_threads(processors.div_ceil(2))
        .enable_all()
        .build()
}

/// A write past the limit of a file's size (`ulimit -f`) fails as on a full disk; without a handler of SIGXFSZ
/// it ends the process. The handler stays when this has returned.
#[cfg(unix)]
async fn outlive_file_size_limit() {
    use tokio::signal::unix::{SignalKind, signal};
    // On each system that this is built for, but MIPS and PA-RISC.
    const SIGXFSZ: i32 = 25;
    let _ = signal(SignalKind::from_raw(SIGXFSZ));
}

/// `--help`, `--version`, or what is wrong with the command line.
fn answer_of_itself(answer: &clap::Error) -> ExitCode {
    terminal::note_output(answer.print());
    let code = u8::try_from(answer.exit_code()).map_or(ExitCode::FAILURE, ExitCode::from);
    terminal::output_failure().map_or(code, |failure| complain(&failure))
}

fn complain(failure: &Failure) -> ExitCode {
    // Standard error may be a closed pipe.
    let _ = writeln!(std::io::stderr(), "sendport: {failure}");
    ExitCode::from(failure.exit_code())
}

impl Cli {
    async fn run(self) -> Result<(), Failure> {
        match self.verb {
            Verb::Demo(args) => demo::run(args).await,
            Verb::Sink(args) => sink::run(args).await,
            Verb::Completions(args) => manual::complete(&args),
            Verb::Manual(args) => manual::write(&args),
            Verb::Init(args) => init::run(&args),
            Verb::Config(args) => config::run(&args, self.config),
            Verb::Import(args) => import::run(args).await,
            Verb::HashPassword(args) => hash_password::run(args).await,
            Verb::Dkim(args) => dkim::run(&args, &load(self.config)?),
            Verb::Run(args) => run::run(args, load(self.config)?).await,
            Verb::Migrate(args) => migrate::run(args, load(self.config)?).await,
            Verb::Adopt(args) => adopt::run(args, load(self.config)?).await,
            Verb::Check(args) => check::run(args, self.config).await,
            Verb::Probe(args) => probe::run(*args, self.config).await,
            Verb::Send(args) => send::run(*args, load(self.config)?).await,
            Verb::TestMail(args) => test_mail::run(args, load(self.config)?).await,
            Verb::Status(args) => status::run(args, load(self.config)?).await,
            Verb::Verify(args) => verify::run(args, load(self.config)?).await,
            Verb::Why(args) => why::run(args, load(self.config)?).await,
            Verb::Health(args) => health::run(args, load(self.config)?).await,
            Verb::Preview(args) => preview::run(args, self.config).await,
            Verb::Template(args) => template::run(args, self.config).await,
            Verb::Cert(args) => cert::run(args, self.config).await,
            Verb::Cancel(args) => cancel::run(*args, load(self.config)?).await,
            Verb::Hold(args) => hold::run(args, load(self.config)?).await,
            Verb::Redirect(args) => redirect::run(args, load(self.config)?).await,
            Verb::Release(args) => release::run(args, load(self.config)?).await,
            Verb::Purge(args) => purge::run(args, load(self.config)?).await,
            Verb::Requeue(args) => requeue::run(*args, load(self.config)?).await,
            Verb::Requests(args) => requests::run(args, load(self.config)?).await,
            Verb::Resolve(args) => resolve::run(args, load(self.config)?).await,
            // They have no runtime.
            Verb::RenderWorker | Verb::Sendmail(_) => Ok(()),
        }
    }
}

/// Opens the database and refuses one that this program does not know.
async fn open(config: &Config) -> Result<Arc<dyn Store>, Failure> {
    let store = app::open_store(config)?;
    let problem = app::schema_problem(&*store).await;
    match problem.map_err(|error| Failure::Database(as_its_owner(config, error.to_string())))? {
        None => Ok(store),
        Some(problem) => Err(Failure::Database(as_its_owner(config, problem))),
    }
}

/// Advice that root can follow: `sendport ...` as the user whose file the database will be.
fn as_its_owner(config: &Config, advice: String) -> String {
    match app::owner_of_database(config) {
        Some(owner) => advice.replace("`sendport ", &format!("`{}", owner.command(""))),
        None => advice,
    }
}

/// Refuses what would make a file that the owner of its folder could not open.
fn refuse_another_user(owner: Option<app::FileOwner>, arguments: &str) -> Result<(), Failure> {
    let Some(owner) = owner else { return Ok(()) };
    let (file, folder) = (owner.file.display(), owner.folder.display());
    Err(Failure::AnotherUser(format!(
        "{file} would belong to root, and '{0}', who owns {folder}, could not open it. Nothing was done; run\n  {1}",
        owner.user,
        owner.command(arguments)
    )))
}

/// Cancelled by Ctrl-C, and on Unix by SIGTERM.
fn stop_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let cancelled = stop.clone();
    tokio::spawn(async move {
        wait_for_signal().await;
        cancelled.cancel();
    });
    stop
}

#[cfg(unix)]
async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return wait_for_ctrl_c().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        () = wait_for_ctrl_c() => {}
    }
}

#[cfg(not(unix))]
async fn wait_for_signal() {
    wait_for_ctrl_c().await;
}

async fn wait_for_ctrl_c() {
    if tokio::signal::ctrl_c().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// For programs.
fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    say(text.map_err(Failure::other)?);
    Ok(())
}

/// A text as it is; its byte order mark stays.
fn utf8(bytes: Vec<u8>) -> std::io::Result<String> {
    let found = match bytes.starts_with(b"\xFF\xFE") || bytes.starts_with(b"\xFE\xFF") {
        true => "UTF-16",
        false => "something else",
    };
    String::from_utf8(bytes).map_err(|_| {
        let what = format!("expected UTF-8, found {found}; save it as UTF-8");
        std::io::Error::new(std::io::ErrorKind::InvalidData, what)
    })
}

/// The text of a regular file; `-` is standard input.
fn read_text(file: &Path) -> Result<String, Failure> {
    let read = match file.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
        }
        false => regular_file::read(file),
    };
    read.and_then(utf8).map_err(|error| {
        Failure::Other(format!(
            "the file {} cannot be read: {error}",
            file.display()
        ))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_is_no_utf8_is_refused_by_what_it_is() {
        for (bytes, found) in [
            (&b"\xFF\xFEa\0"[..], "found UTF-16; save it as UTF-8"),
            (b"\xFE\xFF\0a", "found UTF-16; save it as UTF-8"),
            (b"Gr\xf6\xdfe", "found something else"),
        ] {
            let error = utf8(bytes.to_vec()).expect_err(found).to_string();
            assert!(error.contains(found), "{error}");
        }
        assert_eq!(utf8("Größe".into()).ok().as_deref(), Some("Größe"));
    }
}
