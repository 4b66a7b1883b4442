//! A session is the same however its octets arrive, and content is never a command.

use proptest::prelude::*;

use super::*;

const ENVELOPE: &str = "EHLO x\r\nMAIL FROM:<a@contoso.com>\r\nRCPT TO:<a@x.test>\r\n";
const EVIL: &str = "MAIL FROM:<evil@contoso.com>\r\nRCPT TO:<evil@x.test>\r\nDATA\r\nevil\r\n.\r\n";

/// The replies to octets that arrive in pieces, and each message: its reverse-path, and its body.
async fn session(pieces: &[&[u8]]) -> (Vec<String>, Vec<(String, Vec<u8>)>) {
    let server = Server::new("");
    let mut client = server.connect();
    for piece in pieces {
        client.send(piece).await;
        // The server reads it before the next one.
        tokio::task::yield_now().await;
    }
    let replies = client.rest().await;
    let messages = server.messages().into_iter().map(|message| {
        let octets = octets(&message.content);
        let body = octets.windows(4).position(|window| window == b"\r\n\r\n");
        let body = octets[body.unwrap() + 4..].to_vec();
        (message.envelope.reverse_path.as_str().to_owned(), body)
    });
    (replies, messages.collect())
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    runtime.unwrap().block_on(work)
}

/// Parts of what goes wrong, among parts of what goes right.
fn content() -> impl Strategy<Value = String> {
    let parts = [
        "\r\n",
        "\r\n.",
        ".",
        "\r",
        "\n",
        "\r\n.\r\n",
        "\n.\n",
        "\r.\r",
        "a",
        "QUIT\r\n",
        "\0",
        EVIL,
    ];
    let parts = prop::collection::vec(prop::sample::select(parts.to_vec()), 0..12);
    parts.prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_session_is_the_same_however_it_is_cut(content in content(), cuts in prop::collection::vec(0..600usize, 0..12)) {
        let wire = format!(
            "{ENVELOPE}DATA\r\n\r\n{content}\r\n.\r\nNOOP\r\n{ENVELOPE}BDAT 2\r\n\r\nBDAT {} LAST\r\n{content}NOOP\r\n",
            content.len()
        );
        let wire = wire.as_bytes();
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % wire.len()).chain([0, wire.len()]).collect();
        cuts.sort_unstable();
        let pieces: Vec<_> = cuts.windows(2).map(|cut| &wire[cut[0]..cut[1]]).collect();
        prop_assert_eq!(run(session(&pieces)), run(session(&[wire])));
    }

    /// The octets of a chunk are its content, whatever they are; content after DATA is one message up to the first
    /// CRLF.CRLF, or none.
    #[test]
    fn content_is_never_a_command(content in content()) {
        let chunk = format!("{ENVELOPE}BDAT {} LAST\r\n\r\n{content}", content.len() + 2);
        let (_, messages) = run(session(&[chunk.as_bytes()]));
        for (sender, body) in &messages {
            prop_assert_eq!((&**sender, body), ("a@contoso.com", &content.clone().into_bytes()));
        }
        // Without CRLF.CRLF in it, nothing in it is read as a command.
        if !format!("\r\n{content}\r\n.\r\n").replace("\r\n.\r\n", "\u{1}").trim_end_matches('\u{1}').contains('\u{1}') {
            let data = format!("{ENVELOPE}DATA\r\n\r\n{content}\r\n.\r\n");
            let (_, messages) = run(session(&[data.as_bytes()]));
            prop_assert!(messages.len() <= 1);
            prop_assert!(messages.iter().all(|(sender, _)| sender == "a@contoso.com"));
        }
    }
}
