//! The envelope at the top of a message file, as the pickup folders of IIS and Exchange have it: `X-Sender` and
//! `X-Receiver`, in front of all other fields, with the parameters of MAIL and RCPT behind the address.

use crate::command::{Mail, Rcpt, SyntaxError, mail_of_file, rcpt_of_file};
use crate::content::header::{count, field_name};
use crate::reply::Reply;

use super::header_addresses::field_length;

/// The reverse-path.
pub(crate) const SENDER: &str = "X-Sender";
/// A recipient.
pub(crate) const RECEIVER: &str = "X-Receiver";
/// The name of the sender, for a `From` that is added. Only `sendport sendmail` writes it, always and last: what is behind it
/// is the message, whatever it begins with.
pub(crate) const SENDER_NAME: &str = "X-Sender-Name";

/// What these fields say.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct EnvelopeFields {
    pub(crate) sender: Option<Mail>,
    pub(crate) sender_name: Option<String>,
    pub(crate) recipients: Vec<Rcpt>,
}

impl EnvelopeFields {
    /// Reads them from a header section whose lines end with CRLF; also returns the section behind them. A name without
    /// a domain is of `domain`.
    pub(crate) fn split<'a>(section: &'a [u8], domain: &str) -> Result<(Self, &'a [u8]), Reply> {
        let mut found = Self::default();
        let mut rest = section;
        while let Some(name) = field_name(rest.split(|&byte| byte == b'\n').next().unwrap_or(rest))
        {
            let is = |wanted: &str| name.eq_ignore_ascii_case(wanted.as_bytes());
            let (field, behind) = rest.split_at(field_length(rest));
            let value = || text(&field[name.len()..]);
            match () {
                () if is(SENDER) => {
                    if found.sender.is_some() {
                        return Err(refusal(SENDER, "it occurs twice"));
                    }
                    let mail = mail_of_file(&value(), domain);
                    found.sender = Some(mail.map_err(|error| malformed(SENDER, &error))?);
                }
                () if is(RECEIVER) => {
                    let rcpt = rcpt_of_file(&value(), domain);
                    let rcpt = rcpt.map_err(|error| malformed(RECEIVER, &error))?;
                    found.recipients.push(rcpt);
                }
                () if is(SENDER_NAME) => {
                    found.sender_name = Some(value()).filter(|name| !name.is_empty());
                    return Ok((found, behind));
                }
                () => break,
            }
            rest = behind;
        }
        // It would show the recipients that it names, and none of them would get the message.
        if count(rest, RECEIVER.as_bytes()) > 0 {
            let what = "it has to be at the top of the file, in front of all other fields";
            return Err(refusal(RECEIVER, what));
        }
        Ok((found, rest))
    }
}

/// What is behind the name of a field, in one line.
fn text(field: &[u8]) -> String {
    let text = String::from_utf8_lossy(field).replace("\r\n", "");
    text.trim_start().trim_start_matches(':').trim().to_owned()
}

fn malformed(field: &'static str, error: &SyntaxError) -> Reply {
    match error {
        // That sentence shows the command of SMTP.
        SyntaxError::Arguments(_) => refusal(field, "expected an address, and parameters"),
        other => {
            let reply = other.reply();
            Reply::new(
                reply.code,
                reply.enhanced(),
                format!("{field}: {}", reply.text()),
            )
        }
    }
}

fn refusal(field: &'static str, what: &str) -> Reply {
    Reply::new(550, "5.6.0", format!("{field}: {what}"))
}

#[cfg(test)]
mod tests {
    use sendport_core::domain::{DsnReturn, Notify};

    use super::*;

    fn split(section: &str) -> Result<(EnvelopeFields, String), String> {
        let section = section.replace('\n', "\r\n");
        let split = EnvelopeFields::split(section.as_bytes(), "h.test");
        let split = split.map_err(|reply| reply.line())?;
        Ok((split.0, String::from_utf8_lossy(split.1).into_owned()))
    }

    #[test]
    fn what_sendmail_was_given_is_no_envelope() {
        let message = "X-Receiver: evil@x.test NOTIFY=NEVER\nX-Sender: e@x.test\nX-Sender-Name: Evil\nSubject: x\n";
        let file =
            format!("X-Sender: <a@x.test>\nX-Receiver: <b@x.test>\nX-Sender-Name: \n{message}");
        let (fields, rest) = split(&file).unwrap();
        assert_eq!(fields.recipients.len(), 1);
        assert_eq!(fields.sender_name, None);
        assert_eq!(rest, message.replace('\n', "\r\n"));
    }

    #[test]
    fn the_fields_at_the_top_are_the_envelope() {
        let (fields, rest) = split(
            "x-sender: <a@x.test> BODY=8BITMIME RET=HDRS ENVID=1 AUTH=<>\nX-Receiver : b@x.test NOTIFY=NEVER\nX-Receiver:\n \
             <root>\nX-Sender-Name: A B\nSubject: x\nX-Sender: in@header.test\n",
        )
        .unwrap();
        let mail = fields.sender.unwrap();
        assert_eq!(mail.path.as_deref(), Some("a@x.test"));
        assert_eq!(mail.returns, Some(DsnReturn::Headers));
        assert_eq!(mail.envelope_id.as_deref(), Some("1"));
        let recipients: Vec<_> = fields
            .recipients
            .iter()
            .map(|it| it.path.as_str())
            .collect();
        assert_eq!(recipients, ["b@x.test", "root@h.test"]);
        assert_eq!(fields.recipients[0].notify, Some(Notify::Never));
        assert_eq!(fields.sender_name.as_deref(), Some("A B"));
        assert_eq!(rest, "Subject: x\r\nX-Sender: in@header.test\r\n");
    }

    #[test]
    fn the_null_sender_and_names_beyond_ascii_are_read() {
        let (fields, _) = split("X-Sender: <>\nX-Receiver: \u{fc}@x.test\n").unwrap();
        assert_eq!(fields.sender.unwrap().path, None);
        assert_eq!(fields.recipients[0].path.as_str(), "\u{fc}@x.test");
        let (fields, _) = split("X-Sender: \u{fc}@x.test\n").unwrap();
        assert!(fields.sender.unwrap().smtp_utf8);
    }

    #[test]
    fn a_malformed_envelope_says_what_is_wrong() {
        for (section, what) in [
            ("X-Receiver: a%b@x.test\n", "X-Receiver: relaying denied"),
            ("X-Receiver:\n", "X-Receiver: expected an address"),
            ("X-Receiver: <>\n", "X-Receiver: relaying denied"),
            ("X-Receiver: a@x.test FOO=1\n", "X-Receiver: parameter FOO"),
            (
                "X-Sender: a@x.test\nX-Sender: b@x.test\n",
                "X-Sender: it occurs twice",
            ),
            (
                "Subject: x\nX-Receiver: a@x.test\n",
                "at the top of the file",
            ),
        ] {
            let refusal = split(section).unwrap_err();
            assert!(refusal.contains(what), "{section}: {refusal}");
        }
    }
}
