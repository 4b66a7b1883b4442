//! The parameters of `sysmail_configure_sp`.

use super::super::carry::{AttachmentLimits, FixedRetry, ImportedConfig};
use super::snapshot::Snapshot;

/// Longest delay between two attempts.
const LONGEST_DELAY_SECONDS: u64 = 24 * 3600;

/// What the send ports have of them.
pub(super) struct Carried {
    attempts: Option<u32>,
    delay_seconds: Option<u64>,
    pub(super) attachments: Option<AttachmentLimits>,
}

impl Carried {
    /// Database Mail tries each account so often.
    pub(super) fn retry(&self, accounts: usize) -> Option<FixedRetry> {
        let accounts = u32::try_from(accounts).unwrap_or(u32::MAX);
        Some(FixedRetry {
            attempts: self.attempts?.max(1).saturating_mul(accounts),
            delay_seconds: self.delay_seconds?,
        })
    }
}

/// Reads the parameters; those without a counterpart become findings.
pub(super) fn carry(snapshot: &Snapshot, made: &mut ImportedConfig) -> Carried {
    let mut carried = Carried {
        attempts: None,
        delay_seconds: None,
        attachments: None,
    };
    let mut limits = AttachmentLimits {
        max_size: None,
        forbidden_extensions: None,
    };
    for parameter in &snapshot.parameters {
        let (name, value) = (parameter.paramname.trim(), parameter.paramvalue.trim());
        match name.to_ascii_lowercase().as_str() {
            "accountretryattempts" => carried.attempts = number(name, value, made),
            "accountretrydelay" => carried.delay_seconds = delay(name, value, made),
            "maxfilesize" => limits.max_size = number(name, value, made),
            "prohibitedextensions" => {
                limits.forbidden_extensions = Some(extensions(name, value, made));
            }
            "logginglevel" => made.log_level = log_level(name, value, made),
            "defaultattachmentencoding" if value.eq_ignore_ascii_case("UUENCODE") => made.note(
                name,
                "attachments are always MIME; uuencode is not written, so tell the receivers",
            ),
            "readfromconfigurationfile" if value == "1" => made.note(
                name,
                "this server takes its settings from a file of the external program; import from the \
                 server that sends",
            ),
            _ => {}
        }
    }
    if carried.attempts.is_some() && carried.delay_seconds.is_some() {
        made.note(
            "AccountRetryAttempts, AccountRetryDelay",
            "Database Mail gives up after these few attempts, also for a server that is busy; remove the \
             sections retry to have 50 attempts within 2 days, sendport's default",
        );
    }
    let has_limits = limits.max_size.is_some() || limits.forbidden_extensions.is_some();
    carried.attachments = has_limits.then_some(limits);
    carried
}

fn number<T: std::str::FromStr>(name: &str, value: &str, made: &mut ImportedConfig) -> Option<T> {
    let read = value.parse().ok();
    if read.is_none() {
        made.note(
            name,
            format!("'{value}' is not a number that can be used; the default of sendport applies"),
        );
    }
    read
}

/// Seconds. Everything up to a day is a delay that somebody may want.
fn delay(name: &str, value: &str, made: &mut ImportedConfig) -> Option<u64> {
    let seconds: u64 = number(name, value, made)?;
    if seconds > LONGEST_DELAY_SECONDS {
        made.note(
            name,
            format!("{seconds} seconds are more than a day between two attempts; the sections retry have a day"),
        );
    }
    Some(seconds.min(LONGEST_DELAY_SECONDS))
}

fn extensions(name: &str, value: &str, made: &mut ImportedConfig) -> Vec<String> {
    let mut kept = Vec::new();
    for written in value.split([',', ';']) {
        let bare = written
            .trim()
            .trim_start_matches("*.")
            .trim_start_matches('.');
        let is_extension =
            |c: char| !c.is_whitespace() && !c.is_control() && !"*?.,;/\\:".contains(c);
        if bare.is_empty() {
            continue;
        }
        match bare.chars().all(is_extension) {
            true => kept.push(bare.to_owned()),
            false => made.note(
                name,
                format!("'{}' is no extension; it is left out", written.trim()),
            ),
        }
    }
    kept
}

/// 1 logs errors, 2 also warnings and information, which is the default here, too; 3 everything.
fn log_level(name: &str, value: &str, made: &mut ImportedConfig) -> Option<&'static str> {
    match value {
        "1" => Some("error"),
        "2" => None,
        "3" => Some("debug"),
        _ => {
            made.note(
                name,
                format!(
                    "'{value}' is none of 1, 2 and 3; the default of sendport applies, which is 2"
                ),
            );
            None
        }
    }
}
