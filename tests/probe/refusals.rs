//! Every answer that Exchange's page on testing SMTP by telnet lists, and the usual others: the
//! step, the cause and what to do.

use crate::support::probe::{ProbeOutput, probe_at};
use crate::support::scripted_peer::{
    ClientGoes, Content, Expect, Peer, Something, Step, hello, hello_again, send, then,
};

const OFFERED: &[&str] = &["SIZE 37748736", "DSN", "STARTTLS", "AUTH LOGIN", "8BITMIME"];

const AUTHENTICATION: &[&str] = &[
    "--auth",
    "login",
    "--user",
    "alice",
    "--password-env",
    "PROBE_PASSWORD",
];

/// Runs a probe for bob on a server that keeps to a script.
async fn refused(name: &str, code: i32, script: Vec<Step>, more: &[&str]) {
    let peer = Peer::start(vec![script]).await;
    let tls: &[&str] = match more.contains(&"--tls") {
        true => &[],
        false => &["--tls", "none"],
    };
    let usual = [tls, &["--from", "alerts@example.test"]].concat();
    let arguments = [&usual[..], &["--to", "bob@example.test"], more].concat();
    let probed = probe_at(peer.address, &arguments).await;
    probed.is_as_expected(name, code);
    peer.finish().await;
}

fn goodbye() -> [Step; 4] {
    [
        Expect("RSET"),
        send("250 2.0.0 Resetting"),
        Expect("QUIT"),
        send("221 2.0.0 Service closing transmission channel"),
    ]
}

/// With the extensions that the server offers, up to an accepted sender.
fn mail(offers: &[&str]) -> Vec<Step> {
    let mail = [Expect("MAIL FROM:"), send("250 2.1.0 Sender OK")];
    then(hello(offers), mail)
}

/// Up to an accepted recipient.
fn rcpt(offers: &[&str]) -> Vec<Step> {
    let rcpt = [Expect("RCPT TO:"), send("250 2.1.5 Recipient OK")];
    then(mail(offers), rcpt)
}

/// Runs a probe for bob without authentication, and shows its output.
async fn probed(script: Vec<Step>, more: &[&str]) -> ProbeOutput {
    let peer = Peer::start(vec![script]).await;
    let usual = ["--tls", "none", "--to", "bob@example.test"];
    let probed = probe_at(peer.address, &[&usual[..], more].concat()).await;
    peer.finish().await;
    probed
}

#[tokio::test]
async fn greeting_554() {
    let script = vec![
        send("554 5.7.1 No mail service here for 192.0.2.1"),
        ClientGoes,
    ];
    refused("telnet_greeting_554", 13, script, &[]).await;
}

#[tokio::test]
async fn ehlo_501_5_5_4() {
    let hello = [
        Expect("EHLO"),
        send("501 5.5.4 Invalid domain name"),
        Expect("HELO"),
        send("501 5.5.4 Invalid domain name"),
        ClientGoes,
    ];
    let script = then(vec![send("220 mail.example.test ready")], hello);
    refused("telnet_ehlo_501", 14, script, &[]).await;
}

#[tokio::test]
async fn ehlo_500_5_3_3_and_helo() {
    let hello = [
        Expect("EHLO"),
        send("500 5.3.3 Unrecognized command"),
        Expect("HELO"),
        send("250 mail.example.test"),
    ];
    let script = then(vec![send("220 mail.example.test ready")], hello);
    let mail = [Expect("MAIL FROM:"), send("500 5.3.3 Unrecognized command")];
    refused(
        "telnet_mail_500",
        17,
        then(then(script, mail), goodbye()),
        &[],
    )
    .await;
}

#[tokio::test]
async fn sender_and_recipient_refusals() {
    let at_mail = |reply| then(hello(OFFERED), [Expect("MAIL FROM:"), send(reply)]);
    let at_rcpt = |reply| then(mail(OFFERED), [Expect("RCPT TO:"), send(reply)]);
    let notify: &[&str] = &["--notify", "success,failure"];
    for (name, code, script, more) in [
        (
            "telnet_mail_550",
            17,
            at_mail("550 5.1.7 Invalid address"),
            &[][..],
        ),
        (
            "telnet_mail_530",
            17,
            at_mail("530 5.7.1 Client was not authenticated"),
            &[],
        ),
        (
            "telnet_rcpt_550",
            18,
            at_rcpt("550 5.1.1 User unknown"),
            &[],
        ),
        (
            "telnet_rcpt_relay",
            18,
            at_rcpt("550 5.7.1 Unable to relay"),
            notify,
        ),
    ] {
        refused(name, code, then(script, goodbye()), more).await;
    }
}

#[tokio::test]
async fn one_of_two_recipients_refused() {
    let rcpt = [
        Expect("RCPT TO:<bob@example.test>"),
        send("550 5.1.10 RESOLVER.ADR.RecipientNotFound; Recipient not found"),
        Expect("RCPT TO:<eve@example.test>"),
        send("250 2.1.5 Recipient OK"),
    ];
    let script = then(then(mail(OFFERED), rcpt), goodbye());
    refused("one_of_two", 18, script, &["--to", "eve@example.test"]).await;
}

#[tokio::test]
async fn data_452_4_3_1() {
    let data = [
        Expect("DATA"),
        send("452 4.3.1 Insufficient system resources"),
    ];
    let script = then(then(rcpt(OFFERED), data), goodbye());
    refused("telnet_data_452", 19, script, &["--send"]).await;
}

#[tokio::test]
async fn content_550_5_7_1() {
    let data = [
        Expect("DATA"),
        send("354 Start mail input; end with <CRLF>.<CRLF>"),
        Content,
        send("550 5.7.1 Message rejected as spam by Content Filtering."),
    ];
    let script = then(rcpt(OFFERED), data);
    // The reply to RSET might be the one to the content.
    let [reset, was_reset, quit, bye] = goodbye();
    let script = then(script, [reset, was_reset]);
    let script = then(then(script, hello_again(OFFERED)), [quit, bye]);
    refused("telnet_content_550", 20, script, &["--send"]).await;
}

#[tokio::test]
async fn a_message_is_sent() {
    let rcpt = [
        Expect("RCPT TO:<bob@example.test> NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;bob@example.test"),
        send("250 2.1.5 Recipient OK"),
    ];
    let data = [
        Expect("DATA"),
        send("354 Start mail input; end with <CRLF>.<CRLF>"),
        Content,
        send("250 2.6.0 <1@x> [InternalId=1, Hostname=mail] Queued mail for delivery"),
        Expect("QUIT"),
        send("221 2.0.0 Service closing transmission channel"),
    ];
    let script = then(then(mail(OFFERED), rcpt), data);
    refused(
        "telnet_all_is_well",
        0,
        script,
        &["--send", "--notify", "success,failure"],
    )
    .await;
}

/// A 354 is no receipt, whatever it answers (RFC 5321 section 4.2.1).
#[tokio::test]
async fn a_354_to_the_content_is_not_sent() {
    let data = [
        Expect("DATA"),
        send("354 go ahead"),
        Content,
        send("354 go ahead"),
    ];
    let script = then(then(rcpt(OFFERED), data), [Something]);
    let probed = probed(script, &["--send"]).await;
    probed.prints(20, &["failed at content"]);
    assert!(!probed.output.contains("sent to"), "{probed:?}");
}

/// Written together with MAIL: what a server says to them explains nothing.
#[tokio::test]
async fn does_not_explain_recipients_after_a_refused_sender() {
    let mail = [
        Expect("MAIL FROM:"),
        Expect("RCPT TO:"),
        send("550 5.7.1 Client does not have permissions to send as this sender"),
        send("503 5.5.2 Need mail command"),
    ];
    let script = then(then(hello(&["PIPELINING"]), mail), goodbye());
    let probed = probed(script, &[]).await;
    probed.prints(17, &["follows from the refusal of MAIL"]);
    assert!(!probed.output.contains("wrong-order"), "{probed:?}");
}

#[tokio::test]
async fn warns_where_dsn_is_not_offered() {
    let script = then(rcpt(&["SIZE"]), goodbye());
    let probed = probed(script, &["--notify", "success"]).await;
    probed.prints(0, &["does not offer DSN", "NOTIFY was omitted"]);
}

#[tokio::test]
async fn shows_latin_1_text() {
    let mut bytes = b"550 5.1.1 Empf".to_vec();
    bytes.extend_from_slice(b"\xe4nger unbekannt\r\n");
    let rcpt = [Expect("RCPT TO:"), Step::Send(bytes)];
    let script = then(then(mail(OFFERED), rcpt), goodbye());
    let probed = probed(script, &[]).await;
    probed.prints(18, &["550 5.1.1 Empf\u{e4}nger unbekannt"]);
}

#[tokio::test]
async fn starttls_454() {
    let tls = [
        Expect("STARTTLS"),
        send("454 4.7.0 TLS not available due to temporary reason"),
        ClientGoes,
    ];
    let script = then(hello(OFFERED), tls);
    refused("starttls_454", 15, script, &["--tls", "starttls"]).await;
}

#[tokio::test]
async fn starttls_not_offered() {
    let script = then(hello(&["8BITMIME"]), [ClientGoes]);
    refused("starttls_not_offered", 15, script, &["--tls", "starttls"]).await;
}

#[tokio::test]
async fn auth_535_5_7_3() {
    let auth = [
        Expect("AUTH LOGIN"),
        send("334 VXNlcm5hbWU6"),
        Something,
        send("334 UGFzc3dvcmQ6"),
        Something,
        send("535 5.7.3 Authentication unsuccessful"),
        ClientGoes,
    ];
    let more = [AUTHENTICATION, &["--allow-cleartext-auth"]].concat();
    refused("telnet_auth_535", 16, then(hello(OFFERED), auth), &more).await;
}

#[tokio::test]
async fn withholds_the_password_on_an_unencrypted_connection() {
    let script = then(hello(OFFERED), [ClientGoes]);
    refused("password_withheld", 16, script, AUTHENTICATION).await;
}
