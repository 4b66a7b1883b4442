use sendport_core::domain::NotifyOn;

use super::*;

fn parse(line: &str) -> Result<Command, SyntaxError> {
    super::parse(line, None)
}

fn mail_of(line: &str) -> Mail {
    match parse(line) {
        Ok(Command::Mail(mail)) => *mail,
        other => panic!("{line}: {other:?}"),
    }
}

fn rcpt_of(line: &str) -> Rcpt {
    match parse(line) {
        Ok(Command::Rcpt(rcpt)) => *rcpt,
        other => panic!("{line}: {other:?}"),
    }
}

/// The reply to a line that is refused.
fn refusal(line: &str) -> String {
    match parse(line) {
        Err(error) => {
            let mut reply = Vec::new();
            error.reply().write(&mut reply);
            String::from_utf8(reply).unwrap()
        }
        Ok(command) => panic!("{line}: {command:?}"),
    }
}

#[test]
fn paths_are_read_as_people_and_programs_write_them() {
    for line in [
        "MAIL FROM:<user@x.test>",
        "MAIL FROM: <user@x.test>",
        "MAIL FROM: user@x.test",
        "MAIL FROM:user@x.test",
        "mail from:\tuser@x.test  ",
        "Mail From:<user@x.test> SIZE=12",
        "mail FROM: user@x.test size=12",
    ] {
        assert_eq!(mail_of(line).path.as_deref(), Some("user@x.test"), "{line}");
    }
    for line in ["MAIL FROM:<>", "MAIL FROM: <> BODY=8BITMIME"] {
        assert_eq!(mail_of(line).path, None, "{line}");
    }
    for (line, address) in [
        ("RCPT TO:<\"a b>\"@x.test>", "\"a b>\"@x.test"),
        ("RCPT TO: \"a b\"@x.test NOTIFY=NEVER", "\"a b\"@x.test"),
        ("RCPT TO:<o'hara+tag=1@X.Test>", "o'hara+tag=1@X.Test"),
        ("RCPT TO:<a..b@x_y.test>", "a..b@x_y.test"),
        ("RCPT TO:<a@[192.0.2.1]>", "a@[192.0.2.1]"),
    ] {
        assert_eq!(&*rcpt_of(line).path, address, "{line}");
    }
}

#[test]
fn what_is_no_path_is_refused() {
    for (line, reply) in [
        ("MAIL", "501 5.5.4 "),
        ("MAIL FROM:", "501 5.5.4 "),
        ("MAIL TO:<a@x.test>", "501 5.5.4 "),
        ("MAIL FROM:<a@x.test", "501 5.5.4 "),
        ("MAIL FROM:<a@x.test>garbage", "501 5.5.4 "),
        ("MAIL FROM:<\"a@x.test>", "501 5.5.4 "),
        ("MAIL FROM:a@x.test>", "501 5.1.3 "),
        ("MAIL FROM:<a>", "501 5.1.3 "),
        ("MAIL FROM:<@>", "550 5.7.1 "),
        ("MAIL FROM:<a@>", "501 5.1.3 "),
        ("MAIL FROM:<a b@x.test>", "501 5.1.3 "),
        ("MAIL FROM:<Name <a@x.test>>", "501 5.5.4 "),
        ("MAIL FROM:<a@x.test,b@x.test>", "501 5.1.3 "),
        ("MAIL FROM:<a(comment)@x.test>", "501 5.1.3 "),
        ("MAIL FROM:<a@x.test(comment)>", "501 5.1.3 "),
        ("MAIL FROM:<a@x.test.>", "501 5.1.3 "),
        ("MAIL FROM:<\u{fc}@x.test>", "553 5.6.7 "),
        ("MAIL FROM:<a@\u{fc}.test>", "553 5.6.7 "),
        ("RCPT TO:<>", "550 5.7.1 "),
        ("RCPT TO:<webmaster>", "501 5.1.3 "),
        ("RCPT TO:<@a.test,@b.test:c@x.test>", "550 5.7.1 "),
        ("RCPT TO:<a%y.test@x.test>", "550 5.7.1 "),
        ("RCPT TO:<a\u{ff05}y.test@x.test>", "550 5.7.1 "),
        ("RCPT TO:<a\u{ff20}y.test@x.test>", "550 5.7.1 "),
        ("RCPT TO:<y.test!a@x.test>", "550 5.7.1 "),
        ("RCPT TO:<a@y.test@x.test>", "550 5.7.1 "),
        ("RCPT TO:<\"a@y.test\"@x.test>", "550 5.7.1 "),
        ("RCPT TO:<\"a\\@y.test\"@x.test>", "550 5.7.1 "),
        ("RCPT TO:<a@[10.0.0.1].test>", "501 5.1.3 "),
    ] {
        let found = refusal(line);
        assert!(found.starts_with(reply), "{line}: {found}");
    }
}

#[test]
fn parameters_are_read_once_and_decoded() {
    let mail = mail_of(
        "MAIL FROM:<a@x.test> ret=full Envid=+41b size=18446744073709551616 BODY=8bitmime SMTPUTF8 AUTH=<>",
    );
    assert_eq!(
        (mail.returns, mail.size),
        (Some(DsnReturn::Full), Some(u64::MAX))
    );
    assert_eq!((mail.body, mail.smtp_utf8), (BodyType::EightBitMime, true));
    assert_eq!(mail.envelope_id.as_deref(), Some("Ab"));
    let rcpt =
        rcpt_of("RCPT TO:<a@x.test> NOTIFY=failure,DELAY ORCPT=utf-8;\\x{FC}+5Cx{20AC}@x.test");
    assert_eq!(
        rcpt.notify,
        Some(Notify::On([NotifyOn::Failure, NotifyOn::Delay].into()))
    );
    assert_eq!(
        rcpt.original.as_deref(),
        Some("utf-8;\u{fc}\u{20ac}@x.test")
    );
}

#[test]
fn unknown_repeated_and_malformed_parameters_are_refused() {
    let mail = "MAIL FROM:<a@x.test>";
    let rcpt = "RCPT TO:<a@x.test>";
    for (line, reply) in [
        (format!("{mail} SIZE=1 size=1"), "501 5.5.4 "),
        (format!("{mail} SMTPUTF8 SMTPUTF8"), "501 5.5.4 "),
        (format!("{mail} X=1"), "555 5.5.4 "),
        (format!("{mail} NOTIFY=NEVER"), "555 5.5.4 "),
        (format!("{mail} =1"), "501 5.5.4 "),
        (format!("{mail} SIZE"), "501 5.5.4 "),
        (format!("{mail} SIZE="), "501 5.5.4 "),
        (format!("{mail} SIZE=-1"), "501 5.5.4 "),
        (format!("{mail} SIZE=1x"), "501 5.5.4 "),
        (format!("{mail} SIZE=000000000000000000001"), "501 5.5.4 "),
        (format!("{mail} BODY=BINARYMIME"), "504 5.5.4 "),
        (format!("{mail} BODY=9BIT"), "501 5.5.4 "),
        (format!("{mail} SMTPUTF8=1"), "501 5.5.4 "),
        (format!("{mail} RET=ALL"), "501 5.5.4 "),
        (format!("{mail} ENVID={}", "x".repeat(101)), "501 5.5.4 "),
        (format!("{mail} ENVID=a+0D+0Ab"), "501 5.5.4 "),
        (format!("{mail} ENVID=a+4"), "501 5.5.4 "),
        (format!("{mail} ENVID=a=b"), "501 5.5.4 "),
        (format!("{rcpt} NOTIFY="), "501 5.5.4 "),
        (format!("{rcpt} NOTIFY=NEVER,SUCCESS"), "501 5.5.4 "),
        (format!("{rcpt} NOTIFY=SUCCESS,SUCCESS"), "501 5.5.4 "),
        (format!("{rcpt} ORCPT=a@x.test"), "501 5.5.4 "),
        (format!("{rcpt} ORCPT=rfc822;"), "501 5.5.4 "),
        (format!("{rcpt} ORCPT=rfc822;a+0D+0ARCPT"), "501 5.5.4 "),
        (format!("{rcpt} ORCPT=rfc822;\u{fc}@x.test"), "501 5.5.4 "),
        (
            format!("{rcpt} ORCPT=utf-8;\\x{{110000}}@x.test"),
            "501 5.5.4 ",
        ),
        (format!("{rcpt} ORCPT=utf-8;\\x{{0D}}@x.test"), "501 5.5.4 "),
        (format!("{rcpt} SIZE=1"), "555 5.5.4 "),
    ] {
        let found = refusal(&line);
        assert!(found.starts_with(reply), "{line}: {found}");
    }
}

#[test]
fn a_chunk_is_a_size_and_last() {
    for (line, size, is_last) in [
        ("BDAT 0", 0, false),
        ("bdat 12 last", 12, true),
        ("BDAT 18446744073709551615", u64::MAX, false),
    ] {
        assert_eq!(parse(line), Ok(Command::Bdat(Chunk { size, is_last })));
    }
    for line in [
        "BDAT",
        "BDAT x",
        "BDAT -1",
        "BDAT +1",
        "BDAT 1 FIRST",
        "BDAT 1 LAST x",
        "BDAT 18446744073709551616",
        "BDAT 0x1",
    ] {
        assert_eq!(parse(line), Err(SyntaxError::Chunk), "{line}");
    }
}

#[test]
fn verbs_are_known_in_any_case_and_strict_about_arguments() {
    for (line, command) in [
        ("data", Command::Data),
        ("RsEt ", Command::Rset),
        ("NOOP x y", Command::Noop),
        ("VRFY <a@x.test>", Command::Vrfy),
        ("help", Command::Help),
        ("quit", Command::Quit),
        ("starttls", Command::Starttls),
        ("EHLO", Command::Ehlo(String::new())),
        ("helo  a b ", Command::Helo("a b".to_owned())),
    ] {
        assert_eq!(parse(line), Ok(command), "{line}");
    }
    for (line, reply) in [
        ("DATA x", "501 5.5.4 "),
        ("QUIT now", "501 5.5.4 "),
        ("EXPN x", "502 5.5.1 "),
        ("", "500 5.5.2 "),
        (" DATA", "500 5.5.2 "),
        ("DATAX", "500 5.5.2 "),
        ("GET / HTTP/1.1", "421 4.7.0 "),
        ("Host: x", "421 4.7.0 "),
    ] {
        let found = refusal(line);
        assert!(found.starts_with(reply), "{line}: {found}");
    }
}

#[test]
fn a_response_of_auth_is_not_in_its_debug_text() {
    let Ok(Command::Auth(auth)) = parse("auth plain AGVycABzZWNyZXQ=") else {
        panic!("it is AUTH");
    };
    assert_eq!(auth.mechanism, "PLAIN");
    assert_eq!(
        auth.initial_response.as_deref().map(String::as_str),
        Some("AGVycABzZWNyZXQ=")
    );
    assert!(!format!("{auth:?}").contains("AGVy"));
    assert!(parse("AUTH").is_err() && parse("AUTH PLAIN x y").is_err());
}

#[test]
fn the_postmaster_of_this_server_needs_no_domain() {
    let own: Address = "dba@contoso.com".parse().unwrap();
    for line in [
        "RCPT TO:<postmaster>",
        "rcpt to:<PostMaster>",
        "RCPT TO: Postmaster NOTIFY=NEVER",
    ] {
        let Ok(Command::Rcpt(rcpt)) = super::parse(line, Some(&own)) else {
            panic!("{line}");
        };
        assert_eq!(rcpt.path, own, "{line}");
    }
    let without = refusal("RCPT TO:<Postmaster>");
    assert!(
        without.starts_with("550 5.1.1 ") && without.contains("set postmaster"),
        "{without}"
    );
    assert!(refusal("RCPT TO:<root>").starts_with("501 5.1.3 "));
    let elsewhere = super::parse("RCPT TO:<postmaster@fabrikam.com>", Some(&own));
    assert!(matches!(elsewhere, Ok(Command::Rcpt(rcpt)) if rcpt.path != own));
}
