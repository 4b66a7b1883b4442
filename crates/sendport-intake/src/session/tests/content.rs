//! DATA and BDAT.

use super::*;

const ENVELOPE: &str = "EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<a@x.test>\r\n";
const HEADER: &str = "Date: x\r\nMessage-ID: <1@x.test>\r\n\r\n";

/// The replies behind those to the envelope.
async fn replies_to(server: &Server, input: &[u8]) -> Vec<String> {
    let input = [ENVELOPE.as_bytes(), input].concat();
    let replies = server.replies(&input).await;
    let ehlo = replies
        .iter()
        .position(|line| line.starts_with("250 "))
        .unwrap();
    replies[ehlo + 3..].to_vec()
}

#[tokio::test]
async fn dots_are_unstuffed_and_the_rest_is_unchanged() {
    let server = Server::new("");
    let content = format!("{HEADER}..one\r\n.\r\n...\r\n\r\n").replace("\r\n.", "\r\n..");
    let replies = replies_to(
        &server,
        format!("DATA\r\n{content}.\r\nNOOP\r\n").as_bytes(),
    )
    .await;
    assert_eq!(replies[1..], ["250 2.0.0 queued as 4711", "250 2.0.0 ok"]);
    let (_, text) = server.message();
    assert!(
        text.ends_with(&format!("{HEADER}..one\r\n.\r\n...\r\n\r\n")),
        "{text}"
    );
}

#[tokio::test]
async fn chunks_are_joined_as_they_are() {
    let server = Server::new("");
    let content = format!("{HEADER}.\r\n..\r\nQUIT\r\n\u{fc}");
    for size in [1, 7, 40, 1000] {
        let mut wire = Vec::new();
        for chunk in content.as_bytes().chunks(size) {
            wire.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
        }
        wire.extend_from_slice(b"BDAT 0 LAST\r\nNOOP\r\n");
        let replies = replies_to(&server, &wire).await;
        assert!(replies[0].starts_with("250 2.0.0 "), "{replies:?}");
        assert_eq!(
            replies[replies.len() - 2..],
            ["250 2.0.0 queued as 4711", "250 2.0.0 ok"]
        );
        let (message, text) = server.message();
        assert!(text.ends_with(&content), "{text}");
        assert_eq!(
            message.envelope.body.as_str(),
            "8bitmime",
            "it has such octets"
        );
    }
}

#[tokio::test]
async fn only_bdat_continues_what_bdat_began() {
    let server = Server::new("");
    let replies = replies_to(
        &server,
        b"BDAT 2\r\n\r\nDATA\r\nRCPT TO:<b@x.test>\r\nMAIL FROM:<a@contoso.com>\r\nBDAT 0 LAST\r\n",
    )
    .await;
    let codes: Vec<_> = replies.iter().map(|reply| &reply[..3]).collect();
    assert_eq!(codes, ["250", "503", "503", "503", "250"]);
}

#[tokio::test]
async fn the_octets_of_a_refused_chunk_are_no_commands() {
    let server = Server::new("");
    let evil = "MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<evil@x.test>\r\nDATA\r\nevil\r\n.\r\n";
    let chunk = format!("BDAT {} LAST\r\n{evil}NOOP\r\n", evil.len());
    // Without MAIL, without an accepted RCPT, and after a chunk that was refused.
    for before in [
        "EHLO x\r\n".to_owned(),
        "EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<>\r\n".to_owned(),
        format!("{ENVELOPE}BDAT 4\r\na\nb\nRSET\r\n"),
    ] {
        let replies = server.replies(format!("{before}{chunk}").as_bytes()).await;
        assert!(server.messages().is_empty(), "{replies:?}");
    }
    let replies = server
        .replies(format!("EHLO x\r\n{chunk}").as_bytes())
        .await;
    let [.., refused, noop] = &replies[..] else {
        panic!("{replies:?}")
    };
    assert!(refused.starts_with("503 5.5.1 "), "{refused}");
    assert_eq!(noop, "250 2.0.0 ok");
}

#[tokio::test]
async fn a_chunk_that_is_too_large_or_no_number_ends_the_session() {
    let server = Server::new("max_message_size = '64KiB'");
    for (chunk, reply) in [
        ("BDAT 65537 LAST", "552 5.3.4 "),
        ("BDAT 18446744073709551615", "552 5.3.4 "),
        ("BDAT 99999999999999999999999 LAST", "501 5.5.4 "),
        ("BDAT 1e3", "501 5.5.4 "),
    ] {
        let replies = replies_to(&server, format!("{chunk}\r\nNOOP\r\n").as_bytes()).await;
        assert!(replies[0].starts_with(reply), "{chunk}: {replies:?}");
        assert_eq!(replies.len(), 1, "{chunk}: nothing behind it is read");
    }
    // What fits, but not behind what came before, is consumed.
    let chunk = |size: usize| format!("BDAT {size}\r\n{}", "x".repeat(size));
    let wire = format!("{}{}NOOP\r\n", chunk(40_000), chunk(40_000));
    let replies = replies_to(&server, wire.as_bytes()).await;
    assert!(replies[1].starts_with("552 5.3.4 "), "{replies:?}");
    assert_eq!(replies[2], "250 2.0.0 ok");
    assert!(server.messages().is_empty());
}

#[tokio::test]
async fn content_that_is_too_large_is_read_to_its_end() {
    let server = Server::new("max_message_size = '64KiB'");
    let exact = format!(
        "DATA\r\n{HEADER}{}\r\n",
        "x".repeat(65_536 - HEADER.len() - 2)
    );
    let replies = replies_to(&server, format!("{exact}.\r\n").as_bytes()).await;
    assert_eq!(replies[1], "250 2.0.0 queued as 4711");
    let replies = replies_to(&server, format!("{exact}x\r\n.\r\nNOOP\r\n").as_bytes()).await;
    assert!(replies[1].starts_with("552 5.3.4 "), "{replies:?}");
    assert_eq!(replies[2], "250 2.0.0 ok");
    // But not for ever.
    let endless = format!("DATA\r\n{}\r\n.\r\nNOOP\r\n", "x".repeat(200_000));
    let replies = replies_to(&server, endless.as_bytes()).await;
    assert!(
        replies[1].starts_with("552 5.3.4 ") && replies.len() == 2,
        "{replies:?}"
    );
    assert_eq!(server.messages().len(), 1);
}

#[tokio::test]
async fn a_loop_is_refused() {
    let server = Server::new("hop_limit = 2");
    let content = "Received: x\r\n".repeat(3);
    let replies = replies_to(
        &server,
        format!("DATA\r\n{content}\r\n.\r\nNOOP\r\n").as_bytes(),
    )
    .await;
    assert!(replies[1].starts_with("554 5.4.6 "), "{replies:?}");
    assert_eq!(replies[2], "250 2.0.0 ok");
}

#[tokio::test]
async fn a_long_line_is_accepted_as_it_is() {
    let server = Server::new("");
    let line = "x".repeat(300_000);
    let replies = replies_to(
        &server,
        format!("DATA\r\n{HEADER}{line}\r\n.\r\n").as_bytes(),
    )
    .await;
    assert_eq!(replies[1], "250 2.0.0 queued as 4711");
    assert!(server.message().1.ends_with(&format!("{HEADER}{line}\r\n")));
}
