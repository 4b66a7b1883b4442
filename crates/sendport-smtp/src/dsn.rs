//! The parameters of `MAIL` and `RCPT` that request delivery status notifications (RFC 3461).

use sendport_core::domain::{DsnRequest, DsnReturn, ForwardPath, Notify, NotifyOn};

/// Longest value of `ORCPT` (RFC 3461 section 4.2); one that would be longer is left out.
const LONGEST_ORCPT: usize = 500;

/// `RET` and `ENVID`, each with a space in front. A message without notifications needs neither,
/// and with the null reverse-path neither is allowed (section 7.1).
pub(super) fn of_mail(request: &DsnRequest) -> String {
    if request.notify == Some(Notify::Never) {
        return String::new();
    }
    let returns = match request.returns {
        None => "",
        Some(DsnReturn::Headers) => " RET=HDRS",
        Some(DsnReturn::Full) => " RET=FULL",
    };
    match request.envelope_id.as_str() {
        "" => returns.to_owned(),
        id => format!("{returns} ENVID={}", xtext(id)),
    }
}

/// `NOTIFY` and `ORCPT`, each with a space in front. Those of the client that submitted the message are passed on.
pub(super) fn of_recipient(request: &DsnRequest, path: &ForwardPath) -> String {
    let own = request.recipients.get(&path.ordinal);
    let notify = own.and_then(|own| own.notify.as_ref());
    let passed_on = own.and_then(|own| own.original.as_deref());
    let notify = match notify.or(request.notify.as_ref()) {
        Some(Notify::Never) => return " NOTIFY=NEVER".to_owned(),
        Some(Notify::On(cases)) => {
            let cases: Vec<_> = cases.iter().map(|on| keyword(*on)).collect();
            format!(" NOTIFY={}", cases.join(","))
        }
        None if passed_on.is_none() => return String::new(),
        None => String::new(),
    };
    let address = &path.address;
    let original = match passed_on.and_then(|original| original.split_once(';')) {
        Some((kind, address)) if address.is_ascii() => format!("{kind};{}", xtext(address)),
        Some((kind, address)) => format!("{kind};{}", unitext(address)),
        None if address.is_ascii() => format!("rfc822;{}", xtext(address)),
        None => format!("utf-8;{}", unitext(address)),
    };
    match original.len() > LONGEST_ORCPT {
        true => notify,
        false => format!("{notify} ORCPT={original}"),
    }
}

fn keyword(on: NotifyOn) -> &'static str {
    match on {
        NotifyOn::Success => "SUCCESS",
        NotifyOn::Failure => "FAILURE",
        NotifyOn::Delay => "DELAY",
    }
}

/// `xtext` (RFC 3461 section 4): printable ASCII without `+`, `=` and space, everything else
/// as `+` and two hexadecimal digits.
fn xtext(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_graphic() && byte != b'+' && byte != b'=' {
            encoded.push(char::from(byte));
        } else {
            encoded += &format!("+{byte:02X}");
        }
    }
    encoded
}

/// `utf-8-addr-unitext` (RFC 6533 section 3), which needs SMTPUTF8: escapes as code points the
/// characters that would end the parameter, or begin an escape.
fn unitext(address: &str) -> String {
    let mut encoded = String::with_capacity(address.len() + 8);
    for c in address.chars() {
        if !c.is_ascii() || (c.is_ascii_graphic() && !matches!(c, '+' | '=' | '\\')) {
            encoded.push(c);
        } else {
            encoded += &format!("\\x{{{:02X}}}", u32::from(c));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::RecipientDsn;

    fn request(notify: Option<Notify>, returns: Option<DsnReturn>) -> DsnRequest {
        DsnRequest {
            envelope_id: "0123-id".to_owned(),
            notify,
            returns,
            ..DsnRequest::default()
        }
    }

    fn to(address: &str) -> ForwardPath {
        ForwardPath {
            ordinal: 1,
            address: address.parse().unwrap(),
        }
    }

    #[test]
    fn writes_every_requested_parameter() {
        let all = request(Some(Notify::always()), Some(DsnReturn::Headers));
        assert_eq!(of_mail(&all), " RET=HDRS ENVID=0123-id");
        assert_eq!(
            of_recipient(&all, &to("a+b@x.test")),
            " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@x.test"
        );
        let only_return = request(None, Some(DsnReturn::Full));
        assert_eq!(of_mail(&only_return), " RET=FULL ENVID=0123-id");
        assert_eq!(of_recipient(&only_return, &to("a@x.test")), "");
    }

    #[test]
    fn notify_never_excludes_other_parameters() {
        let never = request(Some(Notify::Never), Some(DsnReturn::Full));
        assert_eq!(of_mail(&never), "");
        assert_eq!(of_recipient(&never, &to("a@x.test")), " NOTIFY=NEVER");
    }

    #[test]
    fn encodes_what_would_end_the_parameter() {
        assert_eq!(xtext("\"a b\"=+\u{e9}"), "\"a+20b\"+3D+2B+C3+A9");
    }

    #[test]
    fn a_recipient_beyond_ascii_has_the_type_utf_8() {
        let all = request(Some(Notify::always()), None);
        assert_eq!(
            of_recipient(&all, &to("\"ü +\"@x.test")),
            " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;\"ü\\x{20}\\x{2B}\"@x.test"
        );
    }

    #[test]
    fn omits_an_orcpt_that_is_too_long() {
        let all = request(Some(Notify::always()), None);
        let long = format!("{}@x.test", "+".repeat(200));
        assert_eq!(
            of_recipient(&all, &to(&long)),
            " NOTIFY=SUCCESS,FAILURE,DELAY"
        );
    }

    #[test]
    fn passes_on_what_the_client_asked_for() {
        let of = |notify, original: Option<&str>| DsnRequest {
            recipients: [(
                1,
                RecipientDsn {
                    notify,
                    original: original.map(str::to_owned),
                },
            )]
            .into(),
            ..DsnRequest::default()
        };
        let failure = Some(Notify::On([NotifyOn::Failure].into()));
        let asked = of(failure, Some("rfc822;ann+1@x.test"));
        assert_eq!(of_mail(&asked), "");
        assert_eq!(
            of_recipient(&asked, &to("a@x.test")),
            " NOTIFY=FAILURE ORCPT=rfc822;ann+2B1@x.test"
        );
        let original = of(None, Some("x400;/C=de"));
        let found = of_recipient(&original, &to("a@x.test"));
        assert_eq!(found, " ORCPT=x400;/C+3Dde");
        let never = of(Some(Notify::Never), None);
        assert_eq!(of_recipient(&never, &to("a@x.test")), " NOTIFY=NEVER");
        assert_eq!(of_recipient(&of(None, None), &to("a@x.test")), "");
    }
}
