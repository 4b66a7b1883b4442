//! The macros of BizTalk's SMTP adapter, such as `%MessageID%`, as documented in BizTalk's
//! "Restrictions on Using Macros in SMTP Headers".
//!
//! Times are those of the insert, so that every attempt has the same text.

use chrono::{DateTime, FixedOffset, Timelike};

use super::Alert;
use super::alert::word_enum;

word_enum! {
    /// The names between two `%`.
    pub enum Macro {
        /// The alert's `PublicId`.
        MessageId = "MessageID",
        /// UTC, `YYYYMMDDhhmmsss`: seconds and tenths.
        DateTimeBts2000 = "datetime_bts2000",
        /// UTC, `YYYY-MM-DDThhmmss`.
        DateTime = "datetime",
        /// Local time with its offset: `2026-03-01T103508+100`.
        DateTimeTz = "datetime.tz",
        /// UTC, `hhmmss`.
        Time = "time",
        /// Local time with its offset.
        TimeTz = "time.tz",
        /// `SourceParty` of the payload.
        SourceParty = "SourceParty",
        /// `SourcePartyQualifier` of the payload.
        SourcePartyQualifier = "SourcePartyQualifier",
        /// `DestinationParty` of the payload; the only one in recipients.
        DestinationParty = "DestinationParty",
        /// `DestinationPartyQualifier` of the payload.
        DestinationPartyQualifier = "DestinationPartyQualifier",
    }
}

impl Macro {
    /// The macro of a name. Ignores case.
    pub fn named(name: &str) -> Option<Self> {
        let same = |it: &Self| it.as_str().eq_ignore_ascii_case(name);
        Self::ALL.iter().copied().find(same)
    }

    /// Its value for `alert`, with local time `offset` from UTC; `None` where the alert has none.
    pub fn value(self, alert: &Alert, offset: FixedOffset) -> Option<String> {
        let utc = alert.created_at;
        let local = utc.with_timezone(&offset);
        Some(match self {
            Self::MessageId => alert.public_id.to_string(),
            Self::DateTimeBts2000 => {
                let tenths = utc.nanosecond() / 100_000_000;
                format!("{}{tenths}", crate::clock::format(utc, "%Y%m%d%H%M%S"))
            }
            Self::DateTime => crate::clock::format(utc, "%Y-%m-%dT%H%M%S"),
            Self::DateTimeTz => format!("{}{}", local.format("%Y-%m-%dT%H%M%S"), tzd(&local)),
            Self::Time => crate::clock::format(utc, "%H%M%S"),
            Self::TimeTz => format!("{}{}", local.format("%H%M%S"), tzd(&local)),
            Self::SourceParty
            | Self::SourcePartyQualifier
            | Self::DestinationParty
            | Self::DestinationPartyQualifier => return member(alert, self.as_str()),
        })
    }
}

/// `+800`, without a leading zero.
fn tzd(local: &DateTime<FixedOffset>) -> String {
    let minutes = local.offset().local_minus_utc() / 60;
    let sign = if minutes < 0 { '-' } else { '+' };
    let minutes = minutes.abs();
    format!("{sign}{}{:02}", minutes / 60, minutes % 60)
}

fn member(alert: &Alert, name: &str) -> Option<String> {
    let payload: serde_json::Value = serde_json::from_str(alert.payload.as_deref()?).ok()?;
    let value = payload.get(name)?.as_str()?.trim();
    (!value.is_empty()).then(|| value.to_owned())
}

/// Replaces macros where BizTalk does: all of them in the subject, only `%DestinationParty%` in
/// recipients. A macro without a value is left in place; an address that contains a macro is refused.
pub fn resolve_macros(alert: &mut Alert, offset: FixedOffset) {
    let resolved = |column: &Option<String>, allowed: fn(Macro) -> bool| {
        let text = column.as_deref().filter(|text| text.contains('%'))?;
        Some(replaced(text, |found| {
            let found = Some(found).filter(|it| allowed(*it));
            found?.value(alert, offset)
        }))
    };
    let of_party = |it| it == Macro::DestinationParty;
    let subject = resolved(&alert.subject, |_| true);
    let to = resolved(&alert.to_recipients, of_party);
    let cc = resolved(&alert.cc_recipients, of_party);
    let bcc = resolved(&alert.bcc_recipients, of_party);
    for (column, resolved) in [
        (&mut alert.subject, subject),
        (&mut alert.to_recipients, to),
        (&mut alert.cc_recipients, cc),
        (&mut alert.bcc_recipients, bcc),
    ] {
        if resolved.is_some() {
            *column = resolved;
        }
    }
}

/// True if `text` contains a macro.
pub(super) fn holds_macro(text: &str) -> bool {
    let mut held = false;
    if text.contains('%') {
        let _ = replaced(text, |_| {
            held = true;
            None
        });
    }
    held
}

fn replaced(text: &str, mut value: impl FnMut(Macro) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find('%') {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        let end = from[1..].find('%').map(|end| end + 1);
        let found = end.and_then(|end| Macro::named(&from[1..end]).zip(Some(end)));
        let Some((found, end)) = found else {
            out.push('%');
            rest = &from[1..];
            continue;
        };
        match value(found) {
            Some(value) => out.push_str(&value),
            None => out.push_str(&from[..=end]),
        }
        rest = &from[end + 1..];
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::expand_recipients;
    use crate::fixture;

    fn offset(minutes: i32) -> FixedOffset {
        FixedOffset::east_opt(minutes * 60).expect("an offset")
    }

    fn subject(text: &str, minutes: i32) -> String {
        let mut alert = Alert {
            subject: Some(text.to_owned()),
            payload: Some(r#"{"SourceParty": " ERP ", "DestinationParty": ""}"#.to_owned()),
            created_at: "2026-03-01T09:05:07.489Z".parse().expect("a time"),
            ..fixture::alert()
        };
        resolve_macros(&mut alert, offset(minutes));
        alert.subject.expect("a subject")
    }

    #[test]
    fn every_macro_has_the_form_that_biztalk_gives_it() {
        for (text, output) in [
            ("%MessageID%", "01234567-89ab-4def-8123-456789abcdef"),
            ("%datetime_bts2000%", "202603010905074"),
            ("%datetime%", "2026-03-01T090507"),
            ("%datetime.tz%", "2026-03-01T170507+800"),
            ("%time%/%time.tz%", "090507/170507+800"),
            ("from %SourceParty%!", "from ERP!"),
        ] {
            assert_eq!(subject(text, 480), output);
        }
        assert_eq!(subject("%time.tz%", -210), "053507-330");
        assert_eq!(subject("%TIME.TZ%", 0), "090507+000");
    }

    #[test]
    fn a_placeholder_without_a_value_stays_in_the_subject() {
        for text in [
            "%DestinationParty%",
            "%SourcePartyQualifier%",
            "%nothing%",
            "100 % sure, 50%",
            "%%",
            "%",
        ] {
            assert_eq!(subject(text, 0), text);
        }
        assert_eq!(subject("5% %time% 5%", 0), "5% 090507 5%");
        assert_eq!(subject("%x%time%", 0), "%x090507");
    }

    #[test]
    fn a_recipient_may_hold_the_destination_party_and_nothing_else() {
        let mut alert = Alert {
            to_recipients: Some("%DestinationParty%; %MessageID%@x.example".to_owned()),
            cc_recipients: Some("Ops <%SourceParty%@x.example>".to_owned()),
            payload: Some(r#"{"DestinationParty": "a@x.example", "SourceParty": "s"}"#.to_owned()),
            ..fixture::alert()
        };
        resolve_macros(&mut alert, offset(0));
        let readable: Vec<_> = expand_recipients(&alert)
            .into_iter()
            .filter_map(|it| it.address.mailbox().map(|it| it.address.to_string()))
            .collect();
        assert_eq!(readable, ["a@x.example"]);
    }

    #[test]
    fn an_unresolved_macro_is_no_address() {
        for list in [
            "%DestinationParty%@x.example",
            "a%messageid%b@x.example",
            "a@%DestinationParty%",
            "Ops <%time%@x.example>",
        ] {
            let alert = Alert {
                to_recipients: Some(list.to_owned()),
                ..fixture::alert()
            };
            let refusal = expand_recipients(&alert)[0].address.refusal().expect(list);
            assert!(refusal.text.contains("macro"), "{list}: {refusal}");
        }
        let alert = Alert {
            to_recipients: Some("a%b%c@x.example; \"%time%\" <a@x.example>".to_owned()),
            ..fixture::alert()
        };
        assert!(
            expand_recipients(&alert)
                .iter()
                .all(|it| it.address.mailbox().is_some())
        );
    }

    proptest! {
        #[test]
        fn text_without_a_macro_never_changes(text in "[%a-z ;@.]{0,40}") {
            prop_assume!(!holds_macro(&text));
            prop_assert_eq!(replaced(&text, |_| Some("x".to_owned())), text);
        }
    }
}
