//! The outer header fields that a header confidentiality policy leaves (RFC 9788 section 3).

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sendport_core::domain::STAND_IN_ADDRESS;

use super::entity::field_name;
use super::header_protection::Hide;

/// Longest recommended line (RFC 5322 section 2.1.1).
const LINE: usize = 78;

/// The outer form of a field; `None` where it is left out.
pub(super) fn outer_field(hide: Hide, field: &str) -> Option<Cow<'_, str>> {
    if hide == Hide::None {
        return Some(Cow::Borrowed(field));
    }
    let is_one_of = |names: &[&str]| {
        let name = field_name(field);
        names.iter().any(|of| name.eq_ignore_ascii_case(of))
    };
    if is_one_of(&["subject"]) {
        Some(Cow::Borrowed("Subject: [...]\r\n"))
    } else if is_one_of(&["keywords", "comments", "x-alert-name", "thread-topic"]) {
        None
    } else if hide == Hide::Names && is_one_of(&["from", "to", "cc", "reply-to"]) {
        Some(without_names(field))
    } else if hide == Hide::Names && is_one_of(&["date"]) {
        Some(in_utc(field))
    } else {
        Some(Cow::Borrowed(field))
    }
}

fn in_utc(field: &str) -> Cow<'_, str> {
    let (_, value) = field.split_once(':').unwrap_or_default();
    match DateTime::parse_from_rfc2822(value.trim()) {
        Ok(date) => {
            let date = date.with_timezone(&Utc);
            Cow::Owned(sendport_core::clock::format(
                date,
                "Date: %a, %d %b %Y %H:%M:%S +0000\r\n",
            ))
        }
        Err(_) => Cow::Borrowed(field),
    }
}

/// A list of mailboxes (RFC 5322 section 3.4) without display names. A group without members and
/// [`STAND_IN_ADDRESS`] have nothing but a name, so they are left out.
fn without_names(field: &str) -> Cow<'_, str> {
    let Some((name, value)) = field.split_once(':') else {
        return Cow::Borrowed(field);
    };
    let value = value.replace("\r\n", "");
    let entries = entries(&value);
    let addresses: Vec<_> = entries.iter().filter_map(|it| addr_spec(it)).collect();
    if addresses.is_empty() {
        return Cow::Borrowed("To: undisclosed-recipients:;\r\n");
    }
    let mut out = format!("{name}:");
    let mut column = out.len();
    for (n, address) in addresses.iter().enumerate() {
        let comma = if n + 1 < addresses.len() { "," } else { "" };
        if n > 0 && column + 1 + address.len() + comma.len() > LINE {
            out.push_str("\r\n");
            column = 0;
        }
        out.push_str(&format!(" {address}{comma}"));
        column += 1 + address.len() + comma.len();
    }
    Cow::Owned(out + "\r\n")
}

/// The mailboxes of a list, without comments and the names of groups.
fn entries(value: &str) -> Vec<String> {
    let mut entries = Vec::new();
    let mut entry = String::new();
    // In a quoted-string, in angle brackets or an address literal, in so many comments.
    let (mut quoted, mut enclosed, mut comments) = (false, false, 0_usize);
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' if comments > 0 => drop(characters.next()),
            '\\' if quoted => entry.extend([c].into_iter().chain(characters.next())),
            '"' if comments == 0 => {
                quoted = !quoted;
                entry.push(c);
            }
            _ if quoted => entry.push(c),
            '(' => comments += 1,
            ')' if comments > 0 => comments -= 1,
            _ if comments > 0 => {}
            ',' | ';' if !enclosed => entries.push(std::mem::take(&mut entry)),
            ':' if !enclosed => entry.clear(),
            _ => {
                enclosed = matches!(c, '<' | '[') || (enclosed && !matches!(c, '>' | ']'));
                entry.push(c);
            }
        }
    }
    entries.push(entry);
    entries
}

/// The addr-spec of one mailbox.
fn addr_spec(entry: &str) -> Option<&str> {
    let entry = entry.trim();
    let address = match entry.strip_suffix('>') {
        Some(rest) => rest.rsplit_once('<')?.1,
        None => entry,
    };
    let is_address = address.contains('@') && address != STAND_IN_ADDRESS;
    is_address.then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shy(field: &str) -> Option<Cow<'_, str>> {
        outer_field(Hide::Names, field)
    }

    #[test]
    fn removes_names_and_keeps_addresses() {
        for (field, left) in [
            ("From: Alice <a@x>\r\n", "From: a@x\r\n"),
            (
                "To: \"Ops, \\\"night\\\" <b@x>\" <c@x>,\r\n =?utf-8?q?M=C3=BC?=\r\n <d@x>, e@x\r\n",
                "To: c@x, d@x, e@x\r\n",
            ),
            ("Cc: \"a,b\"@x, f@x\r\n", "Cc: \"a,b\"@x, f@x\r\n"),
            (
                "To: =?utf-8?q?J=C3=B6_=3Cj=C3=B6=40x=3E?=\r\n <invalid@internationalized-address.invalid>, g@x\r\n",
                "To: g@x\r\n",
            ),
            (
                "To: =?utf-8?q?j=C3=B6=40x?= :;\r\n",
                "To: undisclosed-recipients:;\r\n",
            ),
            ("Reply-To: H <h@x>\r\n", "Reply-To: h@x\r\n"),
            (
                "Cc: Team (a, b): A <a@x>, b@[IPv6:::1] (B); c@x (C \\) c), Nobody\r\n",
                "Cc: a@x, b@[IPv6:::1], c@x\r\n",
            ),
            ("X-Other: I <i@x>\r\n", "X-Other: I <i@x>\r\n"),
        ] {
            assert_eq!(shy(field).unwrap(), left, "{field}");
        }
        let many: Vec<_> = (0..20).map(|n| format!("N <n{n}@example.com>")).collect();
        let field = format!("To: {}\r\n", many.join(",\r\n "));
        let left = shy(&field).unwrap();
        assert_eq!(left.matches('@').count(), 20);
        assert!(!left.contains('<') && left.lines().all(|line| line.len() <= LINE));
    }

    #[test]
    fn writes_dates_in_utc() {
        let field = "Date: Fri, 21 Jan 2022 20:40:48 -0500\r\n";
        assert_eq!(
            shy(field).unwrap(),
            "Date: Sat, 22 Jan 2022 01:40:48 +0000\r\n"
        );
        assert_eq!(outer_field(Hide::Baseline, field).unwrap(), field);
    }

    #[test]
    fn leaves_out_hidden_fields() {
        for hide in [Hide::Baseline, Hide::Names] {
            let left = outer_field(hide, "subject: Dinner\r\n plans\r\n");
            assert_eq!(left.unwrap(), "Subject: [...]\r\n");
            for field in [
                "Keywords: a\r\n",
                "Comments: b\r\n",
                "X-Alert-Name: c\r\n",
                "Thread-Topic: d\r\n",
            ] {
                assert_eq!(outer_field(hide, field), None);
                assert_eq!(outer_field(Hide::None, field).unwrap(), field);
            }
        }
    }

    proptest::proptest! {
        #[test]
        fn writes_one_field_for_any_value(value in "[ -~]{0,200}") {
            let field = format!("To: {value}\r\n");
            let left = shy(&field).unwrap();
            proptest::prop_assert!(left.starts_with("To: ") && left.ends_with("\r\n"));
            let lines: Vec<_> = left.split_terminator("\r\n").collect();
            proptest::prop_assert!(lines[1..].iter().all(|line| line.starts_with(' ')));
        }
    }
}
