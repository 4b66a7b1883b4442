use super::*;

fn already(message: &str) -> Option<AlreadyProtected> {
    already_protected(message.as_bytes()).expect("readable")
}

fn in_mixed(part: &str) -> String {
    format!(
        "Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n\r\ntext\r\n--m\r\n{part}\r\n--m--\r\n"
    )
}

#[test]
fn finds_what_is_protected_already() {
    use AlreadyProtected::{Encrypted, OpenPgp, Report, Signed};
    for (part, found) in [
        (
            "Content-Type: multipart/signed; boundary=s\r\n\r\n--s--",
            Some(Signed),
        ),
        (
            "Content-Type: Multipart/Encrypted\r\n\r\nx",
            Some(Encrypted),
        ),
        (
            "Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n\r\nx",
            Some(Encrypted),
        ),
        (
            "Content-Type: multipart/report; boundary=r\r\n\r\n--r--",
            Some(Report),
        ),
        (
            "\r\nHello\r\n-----BEGIN PGP MESSAGE-----\r\n",
            Some(OpenPgp),
        ),
        (
            "Content-Type: text/html\r\n\r\n<pre>-----BEGIN PGP SIGNED MESSAGE-----",
            Some(OpenPgp),
        ),
        (
            "Content-Transfer-Encoding: quoted-printable\r\n\r\n=2D----BEGIN PGP MESSAGE-----",
            Some(OpenPgp),
        ),
        (
            "Content-Transfer-Encoding: base64\r\n\r\nLS0tLS1CRUdJTiBQR1AgTUVTU0FHRS0tLS0t",
            Some(OpenPgp),
        ),
        ("\r\n> -----BEGIN PGP MESSAGE-----\r\n", None),
        (
            "Content-Type: message/rfc822\r\n\r\nContent-Type: multipart/signed\r\n\r\nx",
            None,
        ),
        (
            "Content-Type: application/pdf\r\n\r\n-----BEGIN PGP MESSAGE-----",
            None,
        ),
    ] {
        assert_eq!(already(part), found, "{part}");
        assert_eq!(already(&in_mixed(part)), found, "{part}");
    }
}

#[test]
fn refuses_to_guess_what_the_parts_are() {
    for message in [
        "Content-Type: text/plain\r\nContent-Type: multipart/signed\r\n\r\nx",
        "Content-Type: multipart/mixed; boundary=m\r\n\r\nx",
        "Content-Type: multipart/mixed\r\n\r\nx",
    ] {
        assert!(already_protected(message.as_bytes()).is_err(), "{message}");
    }
}

#[test]
fn from_is_one_mailbox_that_no_reader_takes_for_another() {
    for from in [
        "a@contoso.com",
        "A B <a@contoso.com>",
        "\"Boss, boss@x\" <a@contoso.com>",
        "Zoë (a, b@x; c:) <a@contoso.com>",
        "=?utf-8?q?Z=C3=A4?= <a@contoso.com>",
        "a@[IPv6:2001:db8::1]",
    ] {
        let message = format!("from:\r\n {from}\r\nSubject: 1\r\n\r\nFrom: x@y\r\n");
        assert_eq!(
            from_field(message.as_bytes()).as_deref().map(str::trim),
            Ok(from)
        );
    }
    for (header, why) in [
        ("Subject: 1", FromProblem::Missing),
        ("From:", FromProblem::Missing),
        ("From: a@x\r\nFROM: b@x", FromProblem::Several),
        ("From: a@x, b@x", FromProblem::NotOne),
        ("From: boss@x <a@x>", FromProblem::NotOne),
        ("From: boss@x, me <a@x>", FromProblem::NotOne),
        ("From: group: a@x;", FromProblem::NotOne),
        ("From: \"a <a@x>", FromProblem::NotOne),
        ("From: nobody", FromProblem::NotOne),
    ] {
        let message = format!("{header}\r\n\r\nx");
        assert_eq!(from_field(message.as_bytes()), Err(why), "{header}");
    }
    let latin_1 = b"From: Z\xe4 <a@x>\r\n\r\n";
    assert_eq!(from_field(latin_1), Err(FromProblem::NotUtf8));
}
