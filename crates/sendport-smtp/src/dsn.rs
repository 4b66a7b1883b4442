//! The parameters of `MAIL` and `RCPT` that request delivery status notifications (RFC 3461).

use sendport_core::domain::{DsnRequest, DsnReturn, Notify, NotifyOn};

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
    format!("{returns} ENVID={}", xtext(&request.envelope_id))
}

/// `NOTIFY` and `ORCPT`, each with a space in front.
pub(super) fn of_recipient(request: &DsnRequest, address: &str) -> String {
    let notify = match &request.notify {
        None => return String::new(),
        Some(Notify::Never) => return " NOTIFY=NEVER".to_owned(),
        Some(Notify::On(cases)) => cases.iter().map(|on| keyword(*on)).collect::<Vec<_>>(),
    };
    let original = match address.is_ascii() {
        true => format!("rfc822;{}", xtext(address)),
        false => format!("utf-8;{}", unitext(address)),
    };
    let notify = notify.join(",");
    if original.len() > LONGEST_ORCPT {
        return format!(" NOTIFY={notify}");
    }
    format!(" NOTIFY={notify} ORCPT={original}")
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

    fn request(notify: Option<Notify>, returns: Option<DsnReturn>) -> DsnRequest {
        DsnRequest {
            envelope_id: "0123-id".to_owned(),
            notify,
            returns,
        }
    }

    #[test]
    fn writes_every_requested_parameter() {
        let all = request(Some(Notify::always()), Some(DsnReturn::Headers));
        assert_eq!(of_mail(&all), " RET=HDRS ENVID=0123-id");
        assert_eq!(
            of_recipient(&all, "a+b@x.test"),
            " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;a+2Bb@x.test"
        );
        let only_return = request(None, Some(DsnReturn::Full));
        assert_eq!(of_mail(&only_return), " RET=FULL ENVID=0123-id");
        assert_eq!(of_recipient(&only_return, "a@x.test"), "");
    }

    #[test]
    fn notify_never_excludes_other_parameters() {
        let never = request(Some(Notify::Never), Some(DsnReturn::Full));
        assert_eq!(of_mail(&never), "");
        assert_eq!(of_recipient(&never, "a@x.test"), " NOTIFY=NEVER");
    }

    #[test]
    fn encodes_what_would_end_the_parameter() {
        assert_eq!(xtext("\"a b\"=+\u{e9}"), "\"a+20b\"+3D+2B+C3+A9");
    }

    #[test]
    fn a_recipient_beyond_ascii_has_the_type_utf_8() {
        let all = request(Some(Notify::always()), None);
        assert_eq!(
            of_recipient(&all, "\"ü +\"@x.test"),
            " NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=utf-8;\"ü\\x{20}\\x{2B}\"@x.test"
        );
    }

    #[test]
    fn omits_an_orcpt_that_is_too_long() {
        let all = request(Some(Notify::always()), None);
        let long = format!("{}@x.test", "+".repeat(200));
        assert_eq!(of_recipient(&all, &long), " NOTIFY=SUCCESS,FAILURE,DELAY");
    }
}
