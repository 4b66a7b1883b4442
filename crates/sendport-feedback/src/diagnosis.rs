//! From what a server said to codes, outcome and class.

use sendport_core::domain::{BounceClass, Command, EnhancedStatusCode, Reply, ReportedOutcome};
use sendport_core::replies::{Entry, ReplyTable};

use crate::report::Reported;

/// What a server said, and the codes in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Diagnosis {
    pub(crate) status: Option<EnhancedStatusCode>,
    pub(crate) smtp_code: Option<u16>,
    /// One line.
    pub(crate) text: String,
}

impl Diagnosis {
    /// Reads a text that a server, or a report, says.
    pub(crate) fn of(text: &str) -> Self {
        let text = one_line(text);
        Self {
            status: status_in(&text),
            smtp_code: smtp_code_in(&text),
            text,
        }
    }
}

/// The key of the last entry of the table.
const UNEXPLAINED: &str = "bounce-undelivered";

/// Classifies by the table of bounces.
pub(crate) struct Judge<'t> {
    pub(crate) table: &'t ReplyTable,
}

impl Judge<'_> {
    /// The entry that explains it.
    pub(crate) fn explain(&self, diagnosis: &Diagnosis) -> Option<&Entry> {
        let code = diagnosis.smtp_code.filter(|it| *it >= 400).unwrap_or(0);
        let text = diagnosis.text.clone();
        self.table
            .explain(&Reply::new(Command::Rcpt, code, diagnosis.status, text))
    }

    /// Whether the table knows neither its words nor its codes.
    pub(crate) fn is_unexplained(&self, diagnosis: &Diagnosis) -> bool {
        self.explain(diagnosis)
            .is_none_or(|it| it.key == UNEXPLAINED)
    }

    /// The row for one recipient; addresses, server and times are for the caller to add.
    pub(crate) fn reported(&self, outcome: ReportedOutcome, diagnosis: Diagnosis) -> Reported {
        let outcome = match outcome {
            ReportedOutcome::Bounced if gave_up(&diagnosis) => ReportedOutcome::Expired,
            other => other,
        };
        let is_trouble = matches!(
            outcome,
            ReportedOutcome::Bounced | ReportedOutcome::Delayed | ReportedOutcome::Expired
        );
        let entry = self.explain(&diagnosis).filter(|_| is_trouble);
        // Subjects of automatic answers are compared elsewhere.
        let entry = entry.filter(|it| it.class != Some(BounceClass::AutoReply));
        Reported {
            original_recipient: None,
            final_recipient: None,
            outcome,
            class: entry.and_then(|it| it.class),
            explanation_key: entry.map(|it| it.key.clone()),
            status: diagnosis.status,
            smtp_code: diagnosis.smtp_code,
            text: diagnosis.text,
            remote_mta: None,
            at: None,
            retry_until: None,
        }
    }
}

/// How servers say that they tried until the time was over.
const GAVE_UP: &[&str] = &[
    "retry timeout exceeded",
    "retry time not reached for any host after",
    "message expired",
    "delivery expired",
    "delivery time expired",
    "time expired",
    "has expired",
    "queue too long",
    "too long in queue",
    "too long in the queue",
    "too old",
    "after a long failure period",
    "failing for a long time",
    "could not be delivered for more than",
    "within the allowed queue period",
    "multiple retries",
    "message timed out",
    "retry limit",
    "not been collected after",
    "unable to deliver this message after",
    "for too long",
    "i'm not going to try again",
];

/// A final failure of something that could have passed (RFC 3463 section 3.5: x.4.7).
fn gave_up(diagnosis: &Diagnosis) -> bool {
    let by_status = |it: EnhancedStatusCode| it.class == 4 || (it.subject, it.detail) == (4, 7);
    let text = diagnosis.text.to_ascii_lowercase();
    diagnosis.status.is_some_and(by_status) || GAVE_UP.iter().any(|it| text.contains(it))
}

/// One line without control characters, bounded.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::new();
    let mut length = 0;
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()) {
        if word.is_empty() {
            continue;
        }
        if length > 0 {
            line.push(' ');
            length += 1;
        }
        for c in word.chars() {
            if length >= Reported::LONGEST_TEXT {
                return line;
            }
            line.push(c);
            length += 1;
        }
    }
    line
}

/// Words of a text without what surrounds them.
fn tokens(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '.' || c == '_';
    let mut rest = text;
    let mut at = 0;
    std::iter::from_fn(move || {
        let start = rest.find(is_part)?;
        let word = &rest[start..];
        let end = word.find(|c| !is_part(c)).unwrap_or(word.len());
        let found = (at + start, &word[..end]);
        at += start + end;
        rest = &rest[start + end..];
        Some(found)
    })
}

/// The first enhanced status code in a text that reports trouble, else the first one.
pub(crate) fn status_in(text: &str) -> Option<EnhancedStatusCode> {
    let codes = || tokens(text).filter_map(|(_, word)| word.trim_end_matches('.').parse().ok());
    let mut trouble = codes().filter(|it: &EnhancedStatusCode| it.class != 2);
    // 5.0.0 says nothing: a later one says more.
    let says = |it: &EnhancedStatusCode| (it.subject, it.detail) != (0, 0);
    let first = trouble.next();
    first
        .filter(says)
        .or_else(|| trouble.find(says))
        .or(first)
        .or_else(|| codes().next())
}

/// Codes that refuse (RFC 5321, RFC 4954 and servers' own), not any number.
const REFUSALS: &[u16] = &[
    420, 421, 422, 426, 431, 432, 441, 442, 446, 447, 449, 450, 451, 452, 453, 454, 455, 458, 459,
    471, 472, 500, 501, 502, 503, 504, 510, 511, 512, 513, 515, 517, 521, 522, 523, 525, 530, 531,
    533, 534, 535, 538, 540, 541, 542, 543, 544, 546, 547, 550, 551, 552, 553, 554, 555, 556, 557,
    558, 560, 571, 577,
];

/// The reply code in a text: one with an enhanced code behind it, else the first.
pub(crate) fn smtp_code_in(text: &str) -> Option<u16> {
    let code = |word: &str| -> Option<u16> {
        let code = (word.len() == 3).then(|| word.parse().ok())?;
        code.filter(|it| REFUSALS.contains(it))
    };
    let is_apart = |at: usize, word: &str| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        before.is_none_or(|c| !matches!(c, '-' | '/' | '@' | '+' | '=' | '%'))
            && after.is_none_or(|c| !matches!(c, '/' | '@' | '+' | '=' | '%'))
    };
    let mut first = None;
    let mut words = tokens(text).peekable();
    while let Some((at, word)) = words.next() {
        let Some(code) = code(word).filter(|_| is_apart(at, word)) else {
            continue;
        };
        let next = words.peek().map(|(_, next)| next.trim_end_matches('.'));
        if next.is_some_and(|it| it.parse::<EnhancedStatusCode>().is_ok()) {
            return Some(code);
        }
        first = first.or(Some(code));
    }
    first
}
