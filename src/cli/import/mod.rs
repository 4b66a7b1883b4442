//! `sendport import`

mod comparison;
mod output;

use std::io::Read;
use std::path::{Path, PathBuf};

use sendport_core::delivery_window::{UnknownZone, Zone};
use sendport_core::secret::Secret;

use super::{Failure, put};
use crate::app;
use crate::import::dbmail::{self, Snapshot};
use crate::import::{ImportedConfig, biztalk};

/// Messages to compare, if nothing else is said.
const USUAL_HISTORY: u32 = 200;

/// Largest file that is read, in bytes.
const LARGEST: u64 = 256 * 1024 * 1024;

/// Reads the settings of another product, and prints a configuration with its send ports and relays. What
/// could not be carried over is listed in comments at its beginning. Passwords are never read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  sendport import dbmail --print-script > dbmail.sql
  sqlcmd -S sql01 -i dbmail.sql -o dbmail.txt -f 65001
  sendport import dbmail dbmail.txt --output sendport.toml --ask-passwords
  sendport import dbmail dbmail.txt --compare
  sendport import biztalk bindings.xml --handlers handlers.xml --output sendport.toml")]
pub(super) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Profiles, accounts, principals and parameters of Database Mail in SQL Server
    Dbmail(DbMailArgs),
    /// SMTP send ports of a BizTalk binding file
    Biztalk(BizTalkArgs),
}

/// Profiles become send ports, accounts become relays.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("source").required(true).args(["file", "from_server", "print_script"]))]
struct DbMailArgs {
    /// What the server printed when the script ran there; - is standard input
    file: Option<PathBuf>,
    /// Read the settings from a server: a connection string, or a file that contains one
    #[arg(long, value_name = "CONNECTION")]
    from_server: Option<String>,
    /// Print the script for sqlcmd or Management Studio, which reads the settings and no password
    #[arg(long, conflicts_with_all = ["output", "ask_passwords"])]
    print_script: bool,
    /// Compare messages that Database Mail sent with what the imported send ports would send; sends and
    /// writes nothing
    #[arg(long, conflicts_with_all = ["print_script", "output", "ask_passwords"])]
    compare: bool,
    /// How many of the newest messages the script or --from-server reads, for --compare
    #[arg(long, value_name = "COUNT", conflicts_with = "file")]
    history: Option<u32>,
    /// The database with Database Mail's tables
    #[arg(
        long,
        value_name = "NAME",
        default_value = "msdb",
        conflicts_with = "file"
    )]
    database: String,
    #[command(flatten)]
    output: output::Args,
}

/// Send ports with the SMTP adapter become send ports, their servers become relays.
#[derive(Debug, clap::Args)]
struct BizTalkArgs {
    /// The binding file; - is standard input
    file: PathBuf,
    /// Properties of the adapter's send handlers, see docs/moving-from-biztalk.md
    #[arg(long, value_name = "FILE")]
    handlers: Option<PathBuf>,
    /// Time zone of the service windows, an IANA name such as Europe/Berlin
    #[arg(long, value_name = "ZONE", value_parser = time_zone)]
    time_zone: Option<String>,
    #[command(flatten)]
    output: output::Args,
}

impl DbMailArgs {
    /// How many messages to read.
    fn messages(&self) -> u32 {
        let usual = if self.compare { USUAL_HISTORY } else { 0 };
        self.history.unwrap_or(usual)
    }
}

fn time_zone(name: &str) -> Result<String, UnknownZone> {
    name.parse::<Zone>()?;
    Ok(name.to_owned())
}

pub(super) async fn run(args: Args) -> Result<(), Failure> {
    match args.verb {
        Verb::Dbmail(args) if args.print_script => {
            put(app::database_mail_script(&args.database, args.messages()).as_bytes())
        }
        Verb::Dbmail(args) => {
            let snapshot = read_dbmail(&args).await?;
            let made = dbmail::import(&snapshot);
            match args.compare {
                true => comparison::compare(&snapshot, &made).await,
                false => args.output.write(&made).await,
            }
        }
        Verb::Biztalk(args) => args.output.write(&import_biztalk(&args)?).await,
    }
}

async fn read_dbmail(args: &DbMailArgs) -> Result<Snapshot, Failure> {
    let (bytes, source) = match (&args.from_server, &args.file) {
        (Some(server), _) => {
            let connection = connection_string(server)?;
            let read =
                app::database_mail(connection.expose(), &args.database, args.messages()).await?;
            (read.into_bytes(), args.database.clone())
        }
        (None, Some(file)) => (read(file)?, file.display().to_string()),
        (None, None) => return Err(Failure::Other("there is no source".to_owned())),
    };
    Snapshot::read(&bytes).map_err(|error| in_file(&source, &error))
}

fn import_biztalk(args: &BizTalkArgs) -> Result<ImportedConfig, Failure> {
    let shown = |file: &Path| file.display().to_string();
    let handlers = args.handlers.as_ref().map(|file| {
        let read = biztalk::Handlers::read(&read(file)?);
        read.map_err(|error| in_file(&shown(file), &error))
    });
    let handlers = handlers.transpose()?.unwrap_or_default();
    let binding = biztalk::Binding::read(&read(&args.file)?);
    let binding = binding.map_err(|error| in_file(&shown(&args.file), &error))?;
    Ok(biztalk::import(
        &binding,
        &handlers,
        args.time_zone.as_deref(),
    ))
}

fn in_file(file: &str, error: &dyn std::error::Error) -> Failure {
    Failure::Other(format!("{file}: {error}"))
}

/// A connection string has `=`, the name of its file has not.
fn connection_string(written: &str) -> Result<Secret, Failure> {
    if written.contains('=') {
        return Ok(Secret::new(written.to_owned()));
    }
    Secret::from_file(Path::new(written)).map_err(|error| {
        Failure::Other(format!(
            "--from-server: '{written}' is no connection string, and as a file it cannot be read: {error}"
        ))
    })
}

fn read(file: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Failure::Other(format!(
            "the file {} cannot be read: {error}",
            file.display()
        ))
    };
    let source: Box<dyn Read> = match file.as_os_str() == "-" {
        true => Box::new(std::io::stdin()),
        false => Box::new(std::fs::File::open(file).map_err(failed)?),
    };
    let mut bytes = Vec::new();
    source
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(Failure::Other(format!(
            "the file {} is larger than {LARGEST} bytes",
            file.display()
        ))),
        false => Ok(bytes),
    }
}
