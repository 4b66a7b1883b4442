//! What is wrong with a filter of an operator, or looks as if.

use sendport_core::domain::{AlertStatus, OperatorVerb, RequeueRecipients, shown_names};
use sendport_store::operator_requests::{NewRequest, RequestFilter};

use super::{Failure, terminal};
use crate::app;
use crate::config::Config;

/// Longest comment, in UTF-16 code units as SQL Server counts.
const MOST_COMMENT: usize = 400;

/// How alike two names are, from 0 to 1, so that one may be meant by the other.
const ALIKE: f64 = 0.75;

/// More names than these are not listed.
const MOST_KNOWN: usize = 20;

/// Where all of them are.
const LISTS: &str =
    "the table ReplyExplanation (causes) and the configuration (relays, send ports)";

/// A text that can be no value of an option.
#[derive(Debug, thiserror::Error)]
pub(super) enum ValueError {
    #[error("it is empty: give a value, or leave the option out")]
    Empty,
    #[error("it has {0} characters, more than {MOST_COMMENT}")]
    TooLong(usize),
}

/// A text that is not empty.
pub(super) fn filled(text: &str) -> Result<String, ValueError> {
    match text.trim().is_empty() {
        true => Err(ValueError::Empty),
        false => Ok(text.to_owned()),
    }
}

/// A comment that `OperatorRequest` has room for.
pub(super) fn comment(text: &str) -> Result<String, ValueError> {
    match text.encode_utf16().count() {
        length if length > MOST_COMMENT => Err(ValueError::TooLong(length)),
        _ => Ok(text.to_owned()),
    }
}

/// Refuses times that contradict each other.
pub(super) fn check_times(filter: &RequestFilter) -> Result<(), Failure> {
    let until = filter.created_until.unwrap_or_else(app::now);
    match filter.created_from {
        Some(since) if since > until => Err(Failure::Usage(
            "--since is later than --until, or than now: no alert can match".to_owned(),
        )),
        _ => Ok(()),
    }
}

/// A requeue of everything to everybody is a mistake.
pub(super) fn check_breadth(request: &NewRequest) -> Result<(), Failure> {
    let all = RequestFilter {
        matches_all: true,
        ..RequestFilter::default()
    };
    let is_all = request.filter == all;
    match request.recipients {
        Some(RequeueRecipients::All) if is_all => Err(Failure::Usage(
            "--all with --recipients all would send every alert again to everybody: give a filter too, such as --since"
                .to_owned(),
        )),
        _ => Ok(()),
    }
}

/// A cancel is about alerts that are not final, a requeue about those that are.
pub(super) fn check_status(request: &NewRequest) -> Result<(), Failure> {
    let Some(status) = request.filter.status else {
        return Ok(());
    };
    let is_wrong = match request.verb {
        OperatorVerb::Cancel if status.is_final() => "is final and cannot be cancelled",
        OperatorVerb::Requeue if !status.is_final() || status == AlertStatus::Suppressed => {
            "has nothing to send again"
        }
        _ => return Ok(()),
    };
    Err(Failure::Usage(format!(
        "--status: an alert that is {status} {is_wrong}"
    )))
}

/// Says which names of a filter that matches nothing nobody knows.
pub(super) fn note_unknown_names(filter: &RequestFilter, config: &Config) -> Result<(), Failure> {
    let replies = app::reply_table(config)?;
    let causes: Vec<_> = replies.explanations().map(|it| it.key.clone()).collect();
    let relays: Vec<_> = config.relay.keys().cloned().collect();
    let ports: Vec<_> = config.send_port.keys().cloned().collect();
    for (kind, name, known) in [
        ("cause", &filter.explanation_key, &causes),
        ("relay", &filter.relay, &relays),
        ("send port", &filter.send_port, &ports),
    ] {
        if let Some(text) = name.as_ref().and_then(|name| unknown(kind, name, known)) {
            terminal::note(text);
        }
    }
    if let Some(name) = &filter.alert_name {
        terminal::note(format_args!(
            "no alert with AlertName '{name}' matches, neither one that waits nor one that is being sent"
        ));
    }
    Ok(())
}

/// Those that are most like it.
fn nearest_names(name: &str, known: &[String]) -> Vec<String> {
    let mut nearest = known.to_vec();
    let likeness = |it: &String| strsim::jaro_winkler(name, it);
    nearest.sort_by(|a, b| likeness(b).total_cmp(&likeness(a)));
    nearest.truncate(5);
    nearest
}

fn unknown(kind: &str, name: &str, known: &[String]) -> Option<String> {
    if known.iter().any(|it| it == name) {
        return None;
    }
    let alike = known.iter().map(|it| (strsim::jaro_winkler(name, it), it));
    let nearest = alike
        .filter(|(likeness, _)| *likeness > ALIKE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Some(match nearest {
        Some((_, nearest)) => {
            format!("no {kind} '{name}' is known; did you mean '{nearest}'?")
        }
        None if known.len() > MOST_KNOWN => format!(
            "no {kind} '{name}' is known; the nearest are: {}; {LISTS} list all {}",
            shown_names(&nearest_names(name, known)),
            known.len()
        ),
        None => format!(
            "no {kind} '{name}' is known; known are: {}",
            shown_names(known)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_has_the_nearest_or_the_known_ones() {
        let known = || vec!["mailbox-full".to_owned(), "greylisted".to_owned()];
        assert_eq!(unknown("cause", "greylisted", &known()), None);
        assert_eq!(
            unknown("cause", "mailbox-ful", &known()).expect("a text"),
            "no cause 'mailbox-ful' is known; did you mean 'mailbox-full'?"
        );
        assert_eq!(
            unknown("cause", "xyz", &known()).expect("a text"),
            "no cause 'xyz' is known; known are: mailbox-full, greylisted"
        );
    }

    #[test]
    fn of_many_names_the_nearest_are_listed() {
        let known: Vec<_> = (0..200).map(|n| format!("cause-{n:03}")).collect();
        let text = unknown("cause", "xyzzy", &known).expect("a text");
        assert!(text.len() < 300, "{text}");
        assert!(
            text.contains("ReplyExplanation") && text.contains("all 200"),
            "{text}"
        );
    }

    #[test]
    fn a_comment_has_400_characters_at_most() {
        assert!(comment(&"x".repeat(400)).is_ok());
        let error = comment(&"x".repeat(401)).expect_err("too long");
        assert_eq!(error.to_string(), "it has 401 characters, more than 400");
        assert!(filled(" ").is_err());
    }
}
