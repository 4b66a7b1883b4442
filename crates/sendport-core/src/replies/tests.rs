//! The table finds the right entry, and refuses a malformed table.

use super::pattern::COMMANDS;
use super::*;
use crate::domain::{Command, EnhancedStatusCode};

fn key(command: Command, code: u16, enhanced: &str, text: &str) -> String {
    let enhanced = enhanced.parse().ok();
    let table = ReplyTable::built_in();
    let reply = Reply::new(command, code, enhanced, text);
    table
        .explain(&reply)
        .map(|e| e.key.clone())
        .unwrap_or_default()
}

#[test]
fn explains_common_refusals() {
    use Command::{Auth, Data, EndOfData, Mail, Rcpt};
    assert_eq!(key(Rcpt, 550, "5.1.1", "User unknown"), "unknown-recipient");
    assert_eq!(
        key(Rcpt, 554, "5.7.1", "<a@b>: Relay access denied"),
        "relaying-denied"
    );
    assert_eq!(key(Rcpt, 550, "", "relay not permitted"), "relaying-denied");
    assert_eq!(
        key(Auth, 535, "5.7.8", "Error: authentication failed"),
        "password-refused"
    );
    assert_eq!(
        key(Auth, 535, "5.7.139", "basic authentication is disabled"),
        "basic-auth-disabled"
    );
    assert_eq!(
        key(Mail, 530, "5.7.1", "Client was not authenticated"),
        "authentication-required"
    );
    assert_eq!(
        key(Rcpt, 421, "4.7.0", "Error: too many errors"),
        "too-many-errors"
    );
    assert_eq!(key(Rcpt, 450, "4.2.0", "Greylisted"), "greylisted");
    assert_eq!(key(EndOfData, 0, "", "time-out"), "in-doubt");
    assert_eq!(key(Data, 0, "", "connection reset"), "connection-lost");
    assert_eq!(key(Rcpt, 571, "", "whatever"), "recipient-refused");
}

#[test]
fn a_local_reply_is_explained_by_its_kind_and_not_by_its_text() {
    let table = ReplyTable::built_in();
    let key = |command, local| {
        let reply = Reply::absent(command, "any text").because(local);
        table.explain(&reply).map(|entry| entry.key.clone())
    };
    for (command, local, expected) in [
        (
            Command::Connect,
            LocalCause::ConnectionRefused,
            "connection-refused",
        ),
        (
            Command::Connect,
            LocalCause::Timeout,
            "connection-timed-out",
        ),
        (Command::Greeting, LocalCause::Timeout, "no-greeting"),
        (Command::Auth, LocalCause::Timeout, "connection-lost"),
        (Command::Greeting, LocalCause::HttpServer, "web-server"),
        (Command::Auth, LocalCause::HttpServer, "no-smtp-reply"),
        (
            Command::Auth,
            LocalCause::CleartextAuthForbidden,
            "password-withheld",
        ),
        (
            Command::StartTls,
            LocalCause::CertificateExpired,
            "certificate-expired",
        ),
        (Command::EndOfData, LocalCause::Desync, "in-doubt"),
    ] {
        assert_eq!(key(command, local).as_deref(), Some(expected));
    }
}

#[test]
fn a_reply_is_looked_up_once_for_each_table() {
    let own = "[[reply]]\nkey = 'k'\ntext = 'no'\nfault = 'message'\ncause = 'c'\nadvice = 'a'\n";
    let (own, built_in) = (
        ReplyTable::with_own(own).expect("a table"),
        ReplyTable::built_in(),
    );
    let reply = Reply::new(Command::EndOfData, 550, None, "no");
    for _ in 0..2 {
        assert_eq!(own.fault(&reply), Fault::Message);
        assert_eq!(built_in.fault(&reply), Fault::Relay);
    }
    let mut noted = reply;
    noted.append(" spam");
    assert_eq!(built_in.fault(&noted), Fault::Message);
    assert_eq!(noted, Reply::new(Command::EndOfData, 550, None, "no spam"));
}

fn limit((command, code, text): (Command, u16, &str)) -> Option<Limit> {
    let (enhanced, text) = match text.split_once(' ') {
        Some((first, rest)) if first.parse::<EnhancedStatusCode>().is_ok() => (first, rest),
        _ => ("", text),
    };
    let reply = Reply::new(command, code, enhanced.parse().ok(), text);
    ReplyTable::built_in().limit(&reply)
}

#[test]
fn recognises_the_limit_of_connections() {
    use Command::{EndOfData, Greeting};
    let output = [
        (
            EndOfData,
            432,
            "4.3.2 Concurrent connections limit exceeded",
        ),
        (
            EndOfData,
            432,
            "4.3.2 STOREDRV.ClientSubmit; sender thread limit exceeded",
        ),
        (
            Greeting,
            421,
            "4.3.2 The maximum number of concurrent connections per source has exceeded a limit",
        ),
        (
            Greeting,
            421,
            "4.7.0 mx.test Error: too many connections from 192.0.2.1",
        ),
        (
            Greeting,
            421,
            "Too many concurrent SMTP connections; please try again later.",
        ),
    ];
    for reply in output {
        assert_eq!(limit(reply), Some(Limit::Connections), "{reply:?}");
    }
}

#[test]
fn recognises_the_limits_of_rate_and_recipients() {
    use Command::{EndOfData, Mail, Rcpt};
    let output = [
        (Mail, 450, "4.7.1 Error: too much mail from 192.0.2.1"),
        (Rcpt, 450, "4.7.1 Error: too many recipients from 192.0.2.1"),
        (
            Mail,
            451,
            "4.7.500 Server busy. Please try again later from [192.0.2.1]",
        ),
        (
            EndOfData,
            421,
            "4.7.28 Our system has detected an unusual rate of mail",
        ),
        (
            Mail,
            421,
            "4.4.2 Message submission rate for this client has exceeded the configured limit",
        ),
    ];
    for reply in output {
        assert_eq!(limit(reply), Some(Limit::Rate), "{reply:?}");
    }
    let too_many = (Rcpt, 452, "4.5.3 Error: too many recipients");
    assert_eq!(limit(too_many), Some(Limit::Recipients));
}

#[test]
fn other_refusals_name_no_limit() {
    use Command::{Connect, Greeting, Mail, Rcpt};
    let output = [
        (Rcpt, 421, "4.7.0 Error: too many errors"),
        (Greeting, 421, "4.3.2 Service not available"),
        (
            Rcpt,
            450,
            "4.2.1 The user you are trying to contact is receiving mail at a rate",
        ),
        (Mail, 451, "4.3.0 mail server temporarily rejected message"),
        (Connect, 0, "connection refused"),
    ];
    for reply in output {
        assert_eq!(limit(reply), None, "{reply:?}");
    }
}

#[test]
fn explains_every_refusal() {
    let table = ReplyTable::built_in();
    for command in COMMANDS {
        for code in [0].into_iter().chain(400..600) {
            let reply = Reply::new(command, code, None, "");
            assert!(table.explain(&reply).is_some(), "{command} {code}");
        }
    }
}

#[test]
fn explains_every_own_reason() {
    let table = ReplyTable::built_in();
    let ours = [
        "header-injection",
        "header-not-allowed",
        "bad-headers",
        "bad-reply-to",
        "bad-attachment",
        "attachment-too-large",
        "attachment-forbidden",
        "attachment-missing",
        "file-missing",
        "file-not-allowed",
        "file-unreadable",
        "bad-from",
        "bad-message-id-domain",
        "no-recipients",
        "template-unknown",
        "bad-payload",
        "template-error",
        "nothing-to-send",
        "principal-not-allowed",
        "protection-not-available",
        "protection-failed",
        "signing-address-differs",
        "recipient-certificate-missing",
        "recipient-certificate-expired",
        "recipient-certificate-unusable",
        "expired",
        "no-such-send-port",
        "attempts-exhausted",
    ];
    for key in ours {
        assert!(table.by_key(key).is_some(), "{key}");
    }
}

#[test]
fn refuses_a_pattern_that_fits_everything() {
    let text = "[[reply]]\nkey = 'k'\nfault = 'relay'\ncause = 'c'\nadvice = 'a'\n";
    let error = ReplyTable::parse(text).unwrap_err().to_string();
    assert!(
        error.contains("'k'") && error.contains("every reply"),
        "{error}"
    );
}

#[test]
fn every_expression_of_the_built_in_table_compiles() {
    ReplyTable::built_in().checked().expect("expressions");
}

/// The database holds one fault for each key (`ReplyExplanation`).
#[test]
fn entries_of_one_key_name_one_fault() {
    let table = ReplyTable::built_in();
    for entry in table.entries() {
        let first = table.by_key(&entry.key).expect("its own key");
        assert_eq!(entry.fault, first.fault, "{}", entry.key);
    }
}

#[test]
fn an_entry_inherits_missing_fields_from_its_key() {
    let own = "[[reply]]\nkey = 'unknown-recipient'\ntext = 'kennen wir nicht'\n\
               [[reply]]\nkey = 'k'\ncode = '550'\ntext = 'A'\nfault = 'message'\ncause = 'c'\nadvice = 'a'\n\
               [[reply]]\nkey = 'k'\ntext = 'B'\nadvice = 'b'\n";
    let table = ReplyTable::with_own(own).expect("a table");
    let found = |text: &str| {
        let reply = Reply::new(Command::EndOfData, 550, None, text);
        let entry = table.explain(&reply).expect("an entry");
        (entry.key.clone(), entry.fault, entry.advice.clone())
    };
    let (key, fault, advice) = found("den kennen wir nicht");
    assert_eq!((&*key, fault), ("unknown-recipient", Fault::Recipient));
    assert!(advice.starts_with("Correct the address"), "{advice}");
    assert_eq!(found("it is B"), ("k".into(), Fault::Message, "b".into()));
}

#[test]
fn an_own_entry_comes_before_the_built_in_ones() {
    let own = "[[reply]]\nkey = 'ours'\ntext = 'User unknown'\nfault = 'configuration'\n\
               cause = 'c'\nadvice = 'a'\n";
    let table = ReplyTable::with_own(own).expect("a table");
    let reply = Reply::new(Command::Rcpt, 550, "5.1.1".parse().ok(), "User unknown");
    assert_eq!(table.fault(&reply), Fault::Configuration);
}

#[test]
fn the_error_names_what_an_own_entry_lacks() {
    let problem = |entry: &str| {
        let text = format!("[[reply]]\nkey = 'k'\n{entry}");
        ReplyTable::with_own(&text)
            .expect_err("a problem")
            .to_string()
    };
    let lacks = problem("code = '550'\nfault = 'relay'\nadvice = 'a'\n");
    assert!(
        lacks.contains("'k'") && lacks.contains("a cause"),
        "{lacks}"
    );
    let malformed = "text = '(open'\nfault = 'relay'\ncause = 'c'\nadvice = 'a'\n";
    let malformed = problem(malformed);
    assert!(
        malformed.contains("'k'") && malformed.contains("unclosed"),
        "{malformed}"
    );
}

#[test]
fn a_success_compiles_no_expression() {
    let table = ReplyTable::built_in();
    let taken = Reply::new(
        Command::EndOfData,
        250,
        None,
        "2.0.0 queued; no such user would get it",
    );
    assert!(table.explain(&taken).is_none());
    let compiled = |entry: &&Entry| {
        let text = entry.pattern.text.as_ref();
        text.is_some_and(|text| text.compiled.get().is_some())
    };
    assert_eq!(table.entries().filter(compiled).count(), 0);
}

#[test]
fn a_text_is_compared_as_ascii_and_up_to_2048_bytes() {
    let own =
        "[[reply]]\nkey = 'k'\ntext = '\\bpost'\nfault = 'relay'\ncause = 'c'\nadvice = 'a'\n";
    let table = ReplyTable::with_own(own).expect("an entry");
    let says = |text: &str| {
        let reply = Reply::new(Command::Rcpt, 550, None, text.to_owned());
        table.explain(&reply).is_some_and(|entry| entry.key == "k")
    };
    assert!(says("keine Post") && says("äpost") && !says("apost"));
    let ends_at = |bytes: usize| "\u{e4}".repeat((bytes - 6) / 2) + ", POST";
    assert!(says(&ends_at(2048)));
    assert!(!says(&ends_at(2050)));
}

#[test]
fn every_entry_of_the_table_of_bounces_has_a_class_and_compiles() {
    let table = ReplyTable::of_bounces()
        .checked()
        .expect("valid expressions");
    for entry in table.entries() {
        assert!(entry.class.is_some(), "{}", entry.key);
    }
}

/// The database explains both by the same column.
#[test]
fn the_tables_of_replies_and_of_bounces_share_no_key() {
    let replies = ReplyTable::built_in();
    for entry in ReplyTable::of_bounces().explanations() {
        assert!(replies.by_key(&entry.key).is_none(), "{}", entry.key);
    }
}

#[test]
fn the_text_of_a_bounce_decides_before_its_code() {
    let table = ReplyTable::of_bounces();
    let class = |status: &str, text: &str| {
        let status = status.parse().ok();
        let reply = Reply::new(Command::Rcpt, 550, status, text);
        table.explain(&reply).and_then(|entry| entry.class)
    };
    assert_eq!(class("5.7.1", "mailbox full"), Some(BounceClass::Quota));
    assert_eq!(class("5.7.1", "something"), Some(BounceClass::Policy));
    assert_eq!(class("5.1.1", "something"), Some(BounceClass::Hard));
    assert_eq!(class("", "something"), Some(BounceClass::Policy));
}
