//! The command line of Sendmail (sendmail(8)), for programs that send email through it: a message from the standard input
//! becomes a file in the folder of an intake with `kind = "sendmail"`.

mod input;
mod options;

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use sendport_intake::settings::IntakeConfig;
use sendport_intake::submission::{Deposit, header_recipients};

use super::config_file::load;
use super::{Failure, app};
use input::Input;
use options::{Options, Sender};

/// Where the Debian package makes the folder.
const FOLDER: &str = "/var/spool/sendport/sendmail";

/// Another folder, for callers whose command line cannot be changed.
const FOLDER_VARIABLE: &str = "SENDPORT_SENDMAIL_FOLDER";

/// Submit a message from the standard input, with the options of Sendmail.
#[derive(Debug, clap::Args)]
#[command(after_help = HELP)]
pub(super) struct Args {
    /// Options of Sendmail, and recipients
    #[arg(
        value_name = "OPTIONS AND ADDRESSES",
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    words: Vec<OsString>,
}

const HELP: &str = "\
Options of Sendmail:
  -t              take the recipients from To, Cc and Bcc
  -i, -oi         a line with a dot alone does not end the message
  -f ADDRESS      the sender; default: this user
  -F NAME         the name of the sender, if the message has no From
  -N, -R, -V      delivery status notifications (RFC 3461)
  --folder FOLDER write into this folder; it comes before all others
  Most others are accepted without effect.

Exit codes (sysexits.h):
  0 on disk   64 usage   65 the header has a wrong address   67 a wrong address   71 system
  74 input   75 try again later   77 no permission   78 no such folder

The file is taken by the intake of the configuration that has kind = \"sendmail\".";

/// An exit code of sysexits.h.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ExitCode {
    Usage = 64,
    DataError = 65,
    NoUser = 67,
    OsError = 71,
    IoError = 74,
    TemporaryFailure = 75,
    NoPermission = 77,
    Configuration = 78,
}

impl ExitCode {
    fn because(self, what: impl std::fmt::Display) -> Failure {
        Failure::Sendmail(self as u8, format!("sendmail: {what}"))
    }
}

/// The words of a command line that is one of Sendmail: the program is called by that name, or by `sendport sendmail`
/// and its options.
pub(super) fn words(mut arguments: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let program = PathBuf::from(arguments.next()?);
    if matches!(
        program.file_name()?.to_str()?,
        "sendmail" | "mailq" | "newaliases"
    ) {
        let implied = match program.file_name()?.to_str()? {
            "mailq" => Some("-bp".into()),
            "newaliases" => Some("-bi".into()),
            _ => None,
        };
        return Some(implied.into_iter().chain(arguments).collect());
    }
    let words: Vec<OsString> = arguments.collect();
    let (verb, words) = words.split_first()?;
    // Its help is that of every verb.
    let is_help = words.iter().any(|word| word == "--help");
    (verb == "sendmail" && !is_help).then(|| words.to_vec())
}

/// The verb, with `--config` in front of it: the folder is that of the configuration.
pub(super) fn run(args: &Args, config: Option<PathBuf>) -> Result<(), Failure> {
    let folder = config.map(folder_of).transpose()?;
    submit(&args.words, folder)
}

fn folder_of(config: PathBuf) -> Result<PathBuf, Failure> {
    let shown = config.display().to_string();
    let config = load(Some(config)).map_err(|error| ExitCode::Configuration.because(error))?;
    let mut folders = config
        .intake
        .into_values()
        .filter_map(|intake| match intake {
            IntakeConfig::Sendmail(sendmail) => Some(sendmail.folder),
            IntakeConfig::Smtp(_) | IntakeConfig::Pickup(_) => None,
        });
    let none = || {
        let what = format!("{shown} has no [intake.<name>] with kind = \"sendmail\"");
        ExitCode::Configuration.because(what)
    };
    folders.next().ok_or_else(none)
}

/// Writes the message of the standard input into the folder.
pub(super) fn submit(words: &[OsString], folder: Option<PathBuf>) -> Result<(), Failure> {
    let options = options::parse(words).map_err(|what| ExitCode::Usage.because(what))?;
    let named = options.folder.clone().or(folder);
    let named = named.or_else(|| std::env::var_os(FOLDER_VARIABLE).map(PathBuf::from));
    let named = named.filter(|folder| !folder.as_os_str().is_empty());
    let folder = named.unwrap_or_else(|| FOLDER.into());
    let mut envelope = options.envelope.clone();
    envelope.sender = sender(&options)?;
    envelope.sender_name = envelope.sender_name.or_else(app::full_name);
    for text in &options.recipients {
        envelope.recipients.extend(addresses(text)?);
    }
    if let Some(problem) = envelope.problem_of_sender() {
        let what = format!(
            "the sender '{}' cannot be used: {problem}",
            envelope.sender.escape_debug()
        );
        return Err(ExitCode::NoUser.because(what));
    }
    let mut input = Input::new(io::stdin().lock(), !options.ignores_dots);
    let header = input.header().map_err(|error| not_read(&error))?;
    if options.from_header {
        let found = header_recipients(&header);
        envelope
            .recipients
            .extend(found.map_err(|error| ExitCode::DataError.because(error))?);
    }
    if envelope.recipients.is_empty() {
        return Err(match options.from_header {
            true => ExitCode::DataError.because("To, Cc and Bcc name no recipient"),
            false => ExitCode::Usage.because(
                "there is no recipient; name addresses, or -t to take them from the header",
            ),
        });
    }
    for recipient in &envelope.recipients {
        if let Some(problem) = envelope.problem_of_recipient(recipient) {
            let what = format!(
                "the recipient '{}' cannot be used: {problem}",
                recipient.escape_debug()
            );
            return Err(ExitCode::NoUser.because(what));
        }
    }
    let not_written = |error: io::Error| not_written(&folder, &error);
    let mut deposit = Deposit::begin(&folder, &envelope).map_err(not_written)?;
    deposit.write_all(&header).map_err(not_written)?;
    while let Some(piece) = input.piece().map_err(|error| not_read(&error))? {
        deposit.write_all(piece).map_err(not_written)?;
    }
    deposit.complete().map_err(not_written)
}

/// Empty for the null one.
fn sender(options: &Options) -> Result<String, Failure> {
    let text = match &options.sender {
        Sender::Caller => return Ok(app::user_name()),
        Sender::Null => return Ok(String::new()),
        Sender::Named(text) => text,
    };
    match <[String; 1]>::try_from(addresses(text)?) {
        Ok([address]) => Ok(address),
        Err(_) => {
            let what = format!("-f: expected one address, found '{text}'");
            Err(ExitCode::Usage.because(what))
        }
    }
}

/// The addresses in a word: one, or a list as in a header field.
fn addresses(text: &str) -> Result<Vec<String>, Failure> {
    let wrong = |problem: &dyn std::fmt::Display| {
        let what = format!("'{}' is no address: {problem}", text.escape_debug());
        ExitCode::NoUser.because(what)
    };
    if text.contains(char::is_control) {
        return Err(wrong(&"it has a control character"));
    }
    let found = header_recipients(format!("To: {text}\r\n").as_bytes());
    let found = found.map_err(|error| wrong(&error.problem))?;
    match found.is_empty() {
        true => Err(wrong(&"it is empty")),
        false => Ok(found),
    }
}

fn not_read(error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::InvalidData => ExitCode::DataError,
        _ => ExitCode::IoError,
    };
    code.because(format!(
        "the message cannot be read from the standard input: {error}"
    ))
}

fn not_written(folder: &Path, error: &io::Error) -> Failure {
    let (code, remedy) = match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => (
            ExitCode::Configuration,
            "; it is the folder of an intake with kind = \"sendmail\": create it, or name another one with --folder",
        ),
        io::ErrorKind::PermissionDenied => {
            (ExitCode::NoPermission, "; who may write there may send")
        }
        io::ErrorKind::StorageFull
        | io::ErrorKind::QuotaExceeded
        | io::ErrorKind::FileTooLarge
        | io::ErrorKind::ReadOnlyFilesystem => (ExitCode::TemporaryFailure, "; try again later"),
        _ => (ExitCode::OsError, ""),
    };
    code.because(format!(
        "the message cannot be written to {}: {error}{remedy}",
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(arguments: &[&str]) -> Option<Vec<String>> {
        let words = words(arguments.iter().map(OsString::from))?;
        Some(
            words
                .into_iter()
                .map(|it| it.into_string().expect("text"))
                .collect(),
        )
    }

    #[test]
    fn the_program_is_sendmail_by_its_name_or_its_verb() {
        let some = |words: &[&str]| Some(words.iter().map(|it| (*it).to_owned()).collect());
        assert_eq!(found(&["/usr/sbin/sendmail", "-t"]), some(&["-t"]));
        assert_eq!(found(&["sendmail", "sendmail"]), some(&["sendmail"]));
        assert_eq!(found(&["mailq"]), some(&["-bp"]));
        assert_eq!(
            found(&["sendport", "sendmail", "-oi", "-V", "1"]),
            some(&["-oi", "-V", "1"])
        );
        for other in [
            &["sendport", "send"][..],
            &["sendport"],
            &["sendport", "sendmail", "--help"],
            &[],
        ] {
            assert_eq!(found(other), None, "{other:?}");
        }
    }

    #[test]
    fn what_the_system_refuses_has_a_code() {
        for (kind, code) in [
            (io::ErrorKind::NotFound, 78),
            (io::ErrorKind::PermissionDenied, 77),
            (io::ErrorKind::StorageFull, 75),
            (io::ErrorKind::QuotaExceeded, 75),
            (io::ErrorKind::Other, 71),
        ] {
            let failure = not_written(Path::new("/srv/x"), &kind.into());
            assert_eq!(failure.exit_code(), code, "{failure}");
            assert!(failure.to_string().contains("/srv/x"), "{failure}");
        }
    }
}
