//! The message of an alert that a redirect of an operator sends to one address: that address in the header, and the
//! recipients without the redirect at the start of the texts.

use std::borrow::Cow;

use sendport_core::domain::{Alert, Recipient, RecipientKind, RecipientStatus, expand_recipients};

use super::legacy_display::begin_of_body;

/// Most recipients that are shown.
const MOST_SHOWN: usize = 200;

/// The recipients that the header names: those of the alert, or the address of the redirect.
pub(super) fn addressees(alert: &Alert) -> Vec<Recipient> {
    let recipients = expand_recipients(alert);
    match &alert.redirect {
        Some(redirect) if !recipients.is_empty() => vec![Recipient {
            ordinal: 0,
            kind: RecipientKind::To,
            address: redirect.to.clone(),
            status: RecipientStatus::Queued,
            attempt_count: 0,
            was_relayed: false,
        }],
        _ => recipients,
    }
}

/// The text with the notice in front; as it is without a redirect.
pub(super) fn in_text<'a>(alert: &Alert, text: Cow<'a, str>) -> Cow<'a, str> {
    let notice = notice(alert);
    if notice.is_empty() {
        return text;
    }
    let text = text.trim_start_matches('\u{feff}');
    Cow::Owned(format!(
        "{}\n{}\n\n{text}",
        notice.join("\n"),
        "-".repeat(72)
    ))
}

/// The HTML with the notice at the start of its body; as it is without a redirect.
pub(super) fn in_html<'a>(alert: &Alert, html: &'a str) -> Cow<'a, str> {
    let notice = notice(alert);
    if notice.is_empty() {
        return Cow::Borrowed(html);
    }
    let html = html.trim_start_matches('\u{feff}');
    let escaped = notice.iter().map(|line| {
        let line = line.replace('&', "&amp;").replace('<', "&lt;");
        line.replace('>', "&gt;")
    });
    let lines: Vec<_> = escaped.collect();
    let (before, behind) = html.split_at(begin_of_body(html));
    Cow::Owned(format!(
        "{before}<div style=\"border:2px solid #b00020;padding:8px;margin:0 0 16px;\n\
         background:#fff;color:#000\">\n{}\n</div>\n{behind}",
        lines.join("<br>\n")
    ))
}

/// Those that wait for the message, one line each; nothing without a redirect.
fn notice(alert: &Alert) -> Vec<String> {
    let Some(redirect) = &alert.redirect else {
        return Vec::new();
    };
    let recipients = match alert.recipients.is_empty() {
        true => expand_recipients(alert),
        false => alert.recipients.clone(),
    };
    let waits = |it: &&Recipient| it.status.is_waiting();
    // None waits in the preview of what was sent.
    let any = recipients.iter().any(|it| waits(&it));
    let recipients = recipients.iter().filter(|it| !any || waits(it));
    let lines: Vec<_> = recipients.filter_map(line).collect();
    let (shown, left) = lines.split_at(lines.len().min(MOST_SHOWN));
    let head = [
        format!("This message was {redirect} of an operator."),
        "Without the redirect it goes to:".to_owned(),
    ];
    let more = (!left.is_empty()).then(|| format!("and {} more", left.len()));
    head.into_iter()
        .chain(shown.iter().cloned())
        .chain(more)
        .collect()
}

/// `Cc: Ops <ops@contoso.com>`; nothing where there is no address.
fn line(recipient: &Recipient) -> Option<String> {
    let mailbox = recipient.address.mailbox()?;
    let kind = match recipient.kind {
        RecipientKind::To => "To",
        RecipientKind::Cc => "Cc",
        RecipientKind::Bcc => "Bcc",
    };
    let name = mailbox.display_name.as_deref().unwrap_or_default().trim();
    let address = match name {
        "" => mailbox.address.to_string(),
        _ => format!("{name} <{}>", mailbox.address),
    };
    Some(format!("{kind}: {address}").replace(char::is_control, " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::sample_alert;
    use sendport_core::domain::Redirect;

    fn redirected(to: &str, cc: Option<&str>) -> Alert {
        Alert {
            to_recipients: Some(to.to_owned()),
            cc_recipients: cc.map(str::to_owned),
            bcc_recipients: Some("audit@contoso.com".to_owned()),
            redirect: Some(Redirect::from_row(17, Some("QA <qa@contoso.com>"))),
            ..sample_alert("", "", None)
        }
    }

    #[test]
    fn the_text_shows_the_recipients_with_their_kinds() {
        let alert = redirected("Ops <ops@contoso.com>; nobody", Some("a@contoso.com"));
        let text = in_text(&alert, Cow::Borrowed("hello"));
        let expected = format!(
            "This message was redirected to qa@contoso.com by request 17 of an operator.\n\
             Without the redirect it goes to:\nTo: Ops <ops@contoso.com>\nCc: a@contoso.com\n\
             Bcc: audit@contoso.com\n{}\n\nhello",
            "-".repeat(72)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn the_html_shows_them_escaped_at_the_start_of_its_body() {
        let alert = redirected("\"<b>O & P</b>\" <ops@contoso.com>", None);
        let html = in_html(&alert, "<html><body class=x><p>hello</p></body></html>");
        let (before, behind) = html.split_once("<div").expect("a notice");
        assert_eq!(before, "<html><body class=x>");
        assert!(
            behind.contains("To: &lt;b&gt;O &amp; P&lt;/b&gt; &lt;ops@contoso.com&gt;<br>"),
            "{behind}"
        );
        assert!(
            behind.ends_with("</div>\n<p>hello</p></body></html>"),
            "{behind}"
        );
    }

    #[test]
    fn those_that_have_it_already_are_not_shown() {
        let mut alert = redirected("first@contoso.com; second@contoso.com", None);
        alert.recipients = expand_recipients(&alert);
        alert.recipients[0].status = RecipientStatus::Relayed;
        let text = in_text(&alert, Cow::Borrowed(""));
        assert!(
            !text.contains("first@") && text.contains("To: second@"),
            "{text}"
        );
    }

    #[test]
    fn a_long_list_is_cut_and_says_so() {
        let many: String = (0..10_000).map(|n| format!("u{n}@contoso.com;")).collect();
        let text = in_text(&redirected(&many, None), Cow::Borrowed("")).into_owned();
        assert!(
            text.contains("To: u199@") && !text.contains("u200@"),
            "{text}"
        );
        assert!(text.contains("and 9801 more\n"), "{text}");
    }

    #[test]
    fn nothing_changes_without_a_redirect() {
        let alert = sample_alert("", "", None);
        assert_eq!(in_text(&alert, Cow::Borrowed("hello")), "hello");
        assert_eq!(in_html(&alert, "<p>hello</p>"), "<p>hello</p>");
        assert_eq!(addressees(&alert), expand_recipients(&alert));
    }
}
