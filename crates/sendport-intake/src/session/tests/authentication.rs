//! AUTH without TLS, on this host.

use base64_simd::STANDARD;

use super::*;
use crate::users::PasswordHash;

/// An intake where nobody relays without authentication.
fn server(keys: &str) -> Server {
    let hash = PasswordHash::cheap("secret");
    Server::new(&format!(
        "allow_clients = []\nallow_cleartext_auth = true\n{keys}\n\
         [user.Erp]\npassword_hash = '{hash}'\nsend_port = 'erp'\n"
    ))
}

fn base64(text: &str) -> String {
    STANDARD.encode_to_string(text)
}

fn plain(user: &str, password: &str) -> String {
    format!("AUTH PLAIN {}", base64(&format!("\0{user}\0{password}")))
}

const ENVELOPE: [&str; 4] = [
    "MAIL FROM:<a@contoso.com>",
    "RCPT TO:<a@x.test>",
    "DATA",
    ".",
];

#[tokio::test]
async fn an_authenticated_user_relays_over_its_send_port() {
    let initial = plain("ERP", "secret");
    let response = base64("\0erp\0secret");
    let (user, password) = (base64("erp"), base64("secret"));
    let login = format!("AUTH LOGIN {user}");
    for exchange in [
        vec![&*initial],
        vec!["auth plain", &response],
        vec!["AUTH LOGIN", &user, &password],
        vec![&login, &password],
    ] {
        let server = server("");
        let lines = [&["EHLO x"][..], &exchange, &ENVELOPE].concat();
        let replies = server.lines(&lines).await;
        assert!(
            replies.contains(&"250-AUTH PLAIN LOGIN".to_owned()),
            "{replies:?}"
        );
        assert!(
            replies.contains(&"235 2.7.0 authenticated".to_owned()),
            "{replies:?}"
        );
        let (message, text) = server.message();
        assert_eq!(message.client.user.as_deref(), Some("Erp"));
        assert_eq!(message.send_port, "erp");
        assert!(text.contains(" with ESMTPA\r\n"), "{text}");
    }
}

#[tokio::test]
async fn without_authentication_nothing_is_relayed() {
    for exchange in [
        vec![],
        vec![plain("erp", "wrong")],
        vec![plain("other", "secret")],
        vec![plain("erp", "")],
        vec!["AUTH PLAIN".to_owned(), "*".to_owned()],
        vec!["AUTH LOGIN".to_owned(), base64("erp"), base64("wrong")],
        vec!["AUTH LOGIN".to_owned(), "*".to_owned()],
        vec!["AUTH PLAIN ====".to_owned()],
        vec![format!("AUTH PLAIN {}", base64("other\0erp\0secret"))],
        vec!["AUTH EXTERNAL =".to_owned()],
        vec!["AUTH CRAM-MD5".to_owned()],
    ] {
        let server = server("");
        let exchange = exchange.iter().map(|line| &**line);
        let lines: Vec<_> = ["EHLO x"]
            .into_iter()
            .chain(exchange.clone())
            .chain(ENVELOPE)
            .collect();
        let replies = server.lines(&lines).await;
        let refused = replies
            .iter()
            .any(|reply| reply.starts_with("550 5.7.1 relaying denied"));
        let codes = ["501 5.5.2", "501 5.7.0", "504 5.5.4", "535 5.7.8"];
        let auth_refused = replies
            .iter()
            .any(|reply| codes.contains(&&reply[..9.min(reply.len())]));
        assert!(refused && server.messages().is_empty(), "{replies:?}");
        assert_eq!(auth_refused, exchange.count() > 0, "{replies:?}");
    }
}

#[tokio::test]
async fn auth_has_its_place_in_a_session() {
    let auth = plain("erp", "secret");
    for (lines, last) in [
        (vec![&*auth], "503 5.5.1 send EHLO first"),
        (
            vec!["EHLO x", &auth, &auth],
            "503 5.5.1 already authenticated",
        ),
        (
            vec!["EHLO x", ENVELOPE[0], &auth],
            "503 5.5.1 AUTH is not possible in a transaction",
        ),
    ] {
        let replies = server("").lines(&lines).await;
        assert_eq!(replies.last().unwrap(), last);
    }
}

#[tokio::test]
async fn a_password_is_not_accepted_from_elsewhere_without_tls() {
    let server = server("").client("192.0.2.1");
    let auth = plain("erp", "secret");
    let replies = server.lines(&["EHLO x", &auth]).await;
    assert!(
        !replies.iter().any(|reply| reply.contains("AUTH PLAIN")),
        "{replies:?}"
    );
    assert!(
        replies.last().unwrap().starts_with("538 5.7.11 "),
        "{replies:?}"
    );
}

#[tokio::test]
async fn guessing_has_an_end() {
    let server = server("max_errors = 100");
    let wrong = plain("erp", "wrong");
    let right = plain("erp", "secret");
    let mut lines = vec!["EHLO x"];
    lines.extend([&*wrong; 10]);
    lines.push(&right);
    let replies = server.lines(&lines).await;
    let refused = replies
        .iter()
        .filter(|reply| reply.starts_with("535 5.7.8"))
        .count();
    assert_eq!((refused, &replies.last().unwrap()[..9]), (10, "454 4.7.0"));
    let elsewhere = Server {
        client: [127, 0, 0, 2].into(),
        ..server
    };
    let replies = elsewhere.lines(&["EHLO x", &right]).await;
    assert_eq!(replies.last().unwrap(), "235 2.7.0 authenticated");
    // Another program of the same host, whose password was right before.
    let at_home = Server {
        client: [127, 0, 0, 1].into(),
        ..elsewhere
    };
    let replies = at_home.lines(&["EHLO x", &wrong, &right]).await;
    assert!(
        replies[replies.len() - 2].starts_with("454 4.7.0"),
        "{replies:?}"
    );
    assert_eq!(replies.last().unwrap(), "235 2.7.0 authenticated");
}

/// RFC 4954 section 4: 12,288 octets; other lines are not that long.
#[tokio::test]
async fn a_line_of_auth_may_be_long_and_no_other() {
    let server = server("");
    let long = plain("erp", &"x".repeat(8000));
    let noop = format!("NOOP {}", "x".repeat(8000));
    let replies = server.lines(&["EHLO x", &long, &noop]).await;
    assert!(
        replies[replies.len() - 2].starts_with("535 5.7.8"),
        "{replies:?}"
    );
    assert_eq!(replies.last().unwrap(), "500 5.5.2 the line is too long");
}
