//! The arguments of `sendport probe`, and what follows from them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use sendport_core::byte_size::ByteSize;
use sendport_core::domain::{Address, Notify};
use sendport_smtp::settings::auth::AuthMechanism;
use sendport_smtp::settings::tls::TlsMode;

use super::target::word;
use crate::probe::Phase;

/// The default recipient of the check for an open relay (RFC 2606 section 3).
const STRANGER: &str = "open-relay-check@example.com";

/// Talks to a mail server as the service does, shows every step as it happens with its time, and
/// explains what the server offers and refuses. Nothing is sent unless --send says so.
#[derive(Debug, clap::Args)]
#[command(
    override_usage = "sendport probe [OPTIONS] <HOST[:PORT] | --relay <NAME> | --mx <DOMAIN>>",
    after_help = "Examples:
  sendport probe --relay main                          as the service does, up to AUTH
  sendport probe --relay main --to ops@contoso.com     would this recipient be accepted?
  sendport probe --relay main --to ops@contoso.com --send
  sendport probe mail.contoso.com:587 --auth auto --user alerts --password-env PW
  sendport probe --mx contoso.com --from a@fabrikam.com --to ops@contoso.com

Exit codes: 0 success; 10 resolve, 11 connect, 12 tls, 13 greeting, 14 ehlo, 15 starttls,
16 auth, 17 mail, 18 rcpt, 19 data, 20 content, 21 quit: the first step that failed; 30 open relay"
)]
pub(in crate::cli) struct Args {
    /// Server, such as mail.contoso.com, mail.contoso.com:587 or [2001:db8::1]:25
    #[arg(required_unless_present_any = ["relay", "mx"], conflicts_with_all = ["relay", "mx"])]
    pub(super) host: Option<String>,
    /// Relay of the configuration, with all settings of its section
    #[arg(long, value_name = "NAME", conflicts_with = "mx")]
    pub(super) relay: Option<String>,
    /// Mail servers of this domain, from DNS: MX, A, AAAA, and SRV of submission
    #[arg(long, value_name = "DOMAIN")]
    pub(super) mx: Option<String>,
    /// Name server to ask instead of the system's, such as 127.0.0.1:53
    #[arg(long, value_name = "ADDRESS", requires = "mx")]
    pub(super) name_server: Option<SocketAddr>,
    /// Port of the servers that --mx finds
    #[arg(long, requires = "mx")]
    pub(super) port: Option<u16>,
    /// Sender [default: From of a send port of the relay, or sendport-probe@ this host]
    #[arg(long, value_name = "ADDRESS", value_parser = str::parse::<Address>)]
    pub(super) from: Option<Address>,
    /// Recipient; can be repeated
    #[arg(long, value_name = "ADDRESS", value_parser = str::parse::<Address>)]
    pub(super) to: Vec<Address>,
    /// Send a message to the recipients; without it, the probe stops after RCPT and sends nothing
    #[arg(long, requires = "to", conflicts_with = "stop_after")]
    pub(super) send: bool,
    /// Last step: connect, greeting, ehlo, starttls, auth, mail, rcpt or data [default: rcpt with
    /// --to, mail with --from, else auth]
    #[arg(long, value_name = "STEP")]
    pub(super) stop_after: Option<Phase>,
    /// Size of the message to announce and send, such as 10MB
    #[arg(long, value_parser = size)]
    pub(super) size: Option<usize>,
    /// Request notifications: never, or any of success,failure,delay
    #[arg(long, value_name = "WHEN", value_parser = notify, requires = "to")]
    pub(super) notify: Option<Notify>,
    /// How to encrypt: none, opportunistic, starttls or implicit [default: the relay's, or the
    /// port's]
    #[arg(long, value_name = "HOW", value_parser = word::<TlsMode>)]
    pub(super) tls: Option<TlsMode>,
    /// Authentication mechanism: none, auto, plain, login, ntlm, ... [default: the relay's, or none]
    #[arg(long, value_name = "MECHANISM", value_parser = word::<AuthMechanism>)]
    pub(super) auth: Option<AuthMechanism>,
    /// User to authenticate as. Unless HOST, port and user match a relay of the configuration, each
    /// probe tries the password, and too many wrong ones may lock the account
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,
    /// File that contains the password
    #[arg(long, value_name = "FILE", conflicts_with = "password_env")]
    pub(super) password_file: Option<PathBuf>,
    /// Environment variable that contains the password
    #[arg(long, value_name = "VARIABLE")]
    pub(super) password_env: Option<String>,
    /// Allow the password on an unencrypted connection
    #[arg(long)]
    pub(super) allow_cleartext_auth: bool,
    /// Name to send in EHLO
    #[arg(long, value_name = "NAME")]
    pub(super) ehlo: Option<String>,
    /// PEM file of the CA certificates to trust
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Name to expect in the certificate, if it is not the host's
    #[arg(long, value_name = "NAME")]
    pub(super) verify_name: Option<String>,
    /// Accept any certificate
    #[arg(long)]
    pub(super) no_verify: bool,
    /// Send one command at a time, even if the server offers PIPELINING
    #[arg(long)]
    pub(super) no_pipelining: bool,
    /// Longest wait for each step, such as 10s [default: the relay's timeouts, or 30s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(super) timeout: Option<Duration>,
    /// Report replies that take longer than this
    #[arg(long, value_name = "TIME", value_parser = duration, default_value = "4s")]
    pub(super) slow: Duration,
    /// Test, without authentication, whether the server accepts mail for a foreign domain
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, require_equals = true,
          default_missing_value = STRANGER, value_parser = str::parse::<Address>)]
    pub(super) open_relay_check: Option<Address>,
    /// Write the dialogue to this file, secrets redacted
    #[arg(long, value_name = "FILE")]
    pub(super) log: Option<PathBuf>,
    /// Print one JSON document at the end instead of lines
    #[arg(long)]
    pub(super) json: bool,
}

impl Args {
    /// The last step.
    pub(super) fn until(&self) -> Phase {
        match (self.stop_after, self.send) {
            (Some(phase), _) => phase,
            (None, true) => Phase::Content,
            (None, false) if !self.to.is_empty() => Phase::Rcpt,
            (None, false) if self.from.is_some() => Phase::Mail,
            (None, false) => Phase::Auth,
        }
    }
}

/// `10MB`, or bytes.
fn size(text: &str) -> Result<usize, String> {
    let bytes = match text.parse() {
        Ok(bytes) => bytes,
        Err(_) => {
            ByteSize::try_from(text.to_owned())
                .map_err(|error| error.to_string())?
                .0
        }
    };
    let most = ByteSize(1 << 30);
    match usize::try_from(bytes) {
        Ok(size) if bytes <= most.0 => Ok(size),
        _ => Err(format!(
            "expected at most {most}, found {}",
            ByteSize(bytes)
        )),
    }
}

fn notify(text: &str) -> Result<Notify, String> {
    let written = match text {
        "never" => serde_json::Value::from(text),
        words => words.split(',').map(str::trim).collect(),
    };
    serde_json::from_value(written).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime_serde::re::humantime::parse_duration(text)
        .map_err(|error| format!("expected a time such as 10s or 2m, found '{text}': {error}"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, String> {
        let words = std::iter::once("probe").chain(line.split(' '));
        let line = Line::try_parse_from(words);
        line.map(|line| line.args)
            .map_err(|error| error.to_string())
    }

    #[test]
    fn nothing_is_sent_unless_asked_for() {
        for (line, until) in [
            ("h", Phase::Auth),
            ("h --from a@b.test", Phase::Mail),
            ("h --to a@b.test", Phase::Rcpt),
            ("h --to a@b.test --stop-after data", Phase::Data),
            ("h --to a@b.test --send", Phase::Content),
        ] {
            assert_eq!(parse(line).expect(line).until(), until, "{line}");
        }
    }

    #[test]
    fn invalid_options_are_refused() {
        for (line, text) in [
            ("h --send", "--to"),
            ("h --relay main", "cannot be used with"),
            ("h --to ab", "'ab'"),
            ("h --tls maybe", "opportunistic"),
            ("h --auth secret", "cram-md5"),
            ("h --stop-after quit", "expected one of connect"),
            ("h --size 3GB", "at most 1GiB"),
            ("h --notify bounce", "none of: success"),
            ("h --notify success", "--to"),
            ("h --timeout soon", "expected a time"),
        ] {
            let error = parse(line).expect_err(line);
            assert!(error.contains(text), "{line}: {error}");
        }
    }

    #[test]
    fn the_open_relay_check_uses_a_nonexistent_address() {
        let asked = parse("h --open-relay-check").expect("a flag");
        assert_eq!(asked.open_relay_check.as_deref(), Some(STRANGER));
        let asked = parse("h --open-relay-check=me@elsewhere.test").expect("an address");
        assert_eq!(asked.open_relay_check.as_deref(), Some("me@elsewhere.test"));
    }
}
