//! A hundred recipients, 37 of them refused, each in its own way: each keeps its own reply,
//! cause and advice, and the 63 others get the message in the same single transaction.

use std::time::Duration;

use crate::site::Site;
use crate::support::certificates::TestAuthority;
use crate::support::exim::{Authenticator, Exim};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::scripted_peer::{Content, Expect, Peer, Step, hello, send, then};
use crate::{plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// Code and enhanced status code; the latter is left out by many servers.
const WAYS: [(u16, &str); 37] = [
    (450, "4.2.0"),
    (450, "4.2.1"),
    (450, "4.7.1"),
    (450, ""),
    (451, "4.3.0"),
    (451, "4.4.4"),
    (451, "4.7.1"),
    (451, ""),
    (452, "4.2.2"),
    (452, "4.3.1"),
    (454, "4.7.0"),
    (501, "5.1.3"),
    (501, "5.5.4"),
    (504, "5.5.2"),
    (550, "5.3.2"),
    (530, "5.7.0"),
    (550, "5.1.1"),
    (550, "5.1.2"),
    (550, "5.1.0"),
    (550, "5.2.1"),
    (550, "5.4.1"),
    (550, "5.7.1"),
    (550, "5.7.133"),
    (550, "5.7.606"),
    (550, ""),
    (551, "5.1.6"),
    (551, ""),
    (552, "5.2.2"),
    (552, "5.2.3"),
    (552, ""),
    (553, "5.1.3"),
    (553, "5.7.0"),
    (553, ""),
    (554, "5.4.14"),
    (554, "5.7.1"),
    (554, ""),
    (556, "5.4.0"),
];

/// The hundred in the order of the list, the refused ones spread through it.
fn recipients() -> Vec<(String, Option<(u16, &'static str)>)> {
    let recipient = |n: usize| match WAYS.get(n) {
        Some(&(code, "")) => (format!("say{code}-{n}@example.test"), Some((code, ""))),
        Some(&(code, enhanced)) => (
            format!("say{code}-{enhanced}-{n}@example.test"),
            Some((code, enhanced)),
        ),
        None => (format!("user{n}@example.test"), None),
    };
    (0..100).map(|n| recipient(n * 63 % 100)).collect()
}

/// One attempt each, so that temporary refusals end, too.
fn site(relay: &str) -> Site {
    let once = "[send_port.default.retry]\nattempts = 1";
    let site = Site::new(&send_port_over(relay).replace("[send_port.default.retry]", once));
    let list: Vec<_> = recipients()
        .into_iter()
        .map(|(address, _)| address)
        .collect();
    site.database()
        .execute(
            "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES (?1, 's', 'b')",
            [list.join(";")],
        )
        .expect("insert");
    site
}

async fn sixty_three_are_relayed_and_each_refusal_is_explained(site: &Site) {
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value("SELECT Status FROM AlertStatus"), "partial");
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "1");
    let of = |column: &str, address: &str| {
        site.value(&format!(
            "SELECT {column} FROM Delivery WHERE Address = '{address}'"
        ))
    };
    for (address, refused) in recipients() {
        let Some((code, enhanced)) = refused else {
            assert_eq!(of("Status", &address), "relayed", "{address}");
            continue;
        };
        assert_eq!(of("Status", &address), "failed", "{address}");
        assert_eq!(of("ReplyCode", &address), code.to_string(), "{address}");
        if !enhanced.is_empty() {
            assert_eq!(of("EnhancedStatusCode", &address), enhanced, "{address}");
        }
        assert!(of("ReplyText", &address).contains("refused as the address asks"));
        assert_ne!(of("Cause", &address), "", "{address}");
        assert_ne!(of("Advice", &address), "", "{address}");
    }
}

async fn at_postfix(settings: &str) {
    if !Postfix::available() {
        return;
    }
    let limits = [
        ("smtpd_hard_error_limit", "1000"),
        ("smtpd_soft_error_limit", "1000"),
    ];
    let postfix = Postfix::start(PostfixOptions {
        main_cf: limits
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
        ..PostfixOptions::default()
    })
    .await;
    let site = site(&(plain_relay(postfix.plain()) + settings));
    sixty_three_are_relayed_and_each_refusal_is_explained(&site).await;
    postfix.wait_for_messages(63, WITHIN).await;
    postfix.wait_until_idle(WITHIN).await;
    let arrived = postfix.count_by_message_id_and_recipient();
    assert_eq!(arrived.len(), 63);
    assert!(
        arrived
            .iter()
            .all(|((_, to), count)| to.starts_with("user") && *count == 1)
    );
}

#[tokio::test]
async fn at_postfix_pipelined() {
    at_postfix("").await;
}

#[tokio::test]
async fn at_postfix_a_command_at_a_time() {
    at_postfix("ignore_extensions = [\"PIPELINING\"]\n").await;
}

async fn at_exim(settings: &str) {
    if !Exim::available() {
        return;
    }
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    let site = site(&(plain_relay(exim.plain()) + settings));
    sixty_three_are_relayed_and_each_refusal_is_explained(&site).await;
    let arrived = exim.wait_for_messages(63, WITHIN).await;
    let mut reached: Vec<_> = arrived.iter().map(|message| &message.recipient).collect();
    reached.sort();
    reached.dedup();
    assert_eq!((arrived.len(), reached.len()), (63, 63), "none twice");
}

#[tokio::test]
async fn at_exim_pipelined() {
    at_exim("").await;
}

#[tokio::test]
async fn at_exim_a_command_at_a_time() {
    at_exim("ignore_extensions = [\"PIPELINING\"]\n").await;
}

/// What servers wrap around it: several lines, text that is not UTF-8, a code in the first
/// line alone.
fn answer(number: usize, refused: Option<(u16, &str)>) -> Step {
    let Some((code, enhanced)) = refused else {
        return send("250 2.1.5 ok");
    };
    let text = "refused as the address asks";
    let mut bytes = match number % 3 {
        0 => format!("{code} {enhanced} {text}\r\n"),
        1 => format!("{code}-{enhanced} Sorry:\r\n{code}-{enhanced} {text}\r\n{code} see \r\n"),
        _ => format!("{code} {enhanced} {text} m~ller\r\n"),
    }
    .into_bytes();
    for byte in bytes.iter_mut().filter(|byte| **byte == b'~') {
        *byte = 0xfc;
    }
    Step::Send(bytes)
}

async fn at_a_scripted_server(extensions: &[&str]) {
    let answers = (0..)
        .zip(recipients())
        .map(|(number, (_, refused))| answer(number, refused));
    let asked = [Expect("MAIL")]
        .into_iter()
        .chain((0..100).map(|_| Expect("RCPT")));
    let text = [send("250 ok")].into_iter().chain(answers);
    let dialogue: Vec<Step> = if extensions.is_empty() {
        asked.zip(text).flat_map(|(a, s)| [a, s]).collect()
    } else {
        asked.chain(text).collect()
    };
    let end = [
        Expect("DATA"),
        send("354 go"),
        Content,
        send("250 2.0.0 accepted"),
        Expect("QUIT"),
        send("221 bye"),
    ];
    let peer = Peer::start(vec![then(then(hello(extensions), dialogue), end)]).await;
    let relay = plain_relay(peer.address).replace("sendport.test", "client.example.test");
    sixty_three_are_relayed_and_each_refusal_is_explained(&site(&relay)).await;
    peer.finish().await;
}

#[tokio::test]
async fn at_a_scripted_server_pipelined() {
    at_a_scripted_server(&["PIPELINING"]).await;
}

#[tokio::test]
async fn at_a_scripted_server_a_command_at_a_time() {
    at_a_scripted_server(&[]).await;
}

/// Postfix closes the connection behind a 521 (RFC 7504). Recipients behind it in the list
/// has had no chance yet, and gets one at once.
#[tokio::test]
async fn a_refusal_that_closes_the_connection_affects_no_other() {
    if !Postfix::available() {
        return;
    }
    let postfix = Postfix::start(PostfixOptions::default()).await;
    let relay = plain_relay(postfix.plain());
    let site = Site::new(
        &send_port_over(&relay)
            .replace("\"1s\"", "\"1h\"")
            .replace("\"2s\"", "\"1h\""),
    );
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body) VALUES ('user1@example.test; say521-5.3.2-x@example.test; user2@example.test', 's', 'b')";
    site.database().execute(sql, []).expect("insert");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let statuses = "SELECT group_concat(Status || ' ' || AttemptCount, ', ') FROM Recipient";
    assert_eq!(site.value(statuses), "relayed 1, failed 1, relayed 1");
    let outcomes = "SELECT group_concat(Outcome, ', ') FROM Attempt";
    assert_eq!(site.value(outcomes), "delayed, relayed");
    let arrived = postfix.wait_for_messages(2, WITHIN).await;
    assert_eq!(arrived.len(), 2);
    assert!(!site.log().contains("PIPELINING"), "{}", site.log());
}
