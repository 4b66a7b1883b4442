use std::path::Path;
use std::time::Duration;

use sendport_core::domain::RecipientKind;

use crate::site::Site;
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::support::received;
use crate::support::submitted::{Submitted, submit};
use crate::{any_port, sink_at};

const MIXED: &str = "Received: from app\r\nFrom: app@example.test\r\nMessage-ID: <mixed@app>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"cut here\"\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\n--cut here\r\nContent-Type: text/plain; charset=utf-8\r\n\
    Content-Transfer-Encoding: 8bit\r\n\r\nGrüße an alle, order 4711 is late.\r\n.\r\n\r\n\
    --cut here\r\nContent-Type: text/plain\r\n\r\nASCII   \r\n--cut here--\r\n";

/// What the client signed with octets above 127.
const SIGNED: &str = "Received: from app\r\nFrom: app@example.test\r\nMessage-ID: <signed@app>\r\n\
    MIME-Version: 1.0\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s\r\n\r\nGrüße\r\n--s\r\n\
    Content-Type: application/pkcs7-signature\r\n\r\nx\r\n--s--\r\n";

async fn commit(site: &Site, send_port: &str, message_id: &str, bytes: &str) {
    let submitted = Submitted {
        send_port,
        recipients: &[("user1@example.test", RecipientKind::To)],
        message_id,
        bytes: bytes.as_bytes(),
    };
    submit(&site.path("sendport.db"), submitted).await;
}

fn audited(folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let kept = received::messages(folder).into_iter();
    let kept = kept.filter(|path| path.to_string_lossy().contains(name));
    received::sorted(kept.map(|path| std::fs::read(path).expect("readable")))
}

fn port(name: &str, relays: &str) -> String {
    format!(
        "[send_port.{name}]\nfrom = \"alerts@example.test\"\nrelays = [{relays}]\nreports_to = \"operators\"\n"
    )
}

/// A relay without 8BITMIME gets parts in 7 bits, the next one the octets of the client; what a client signed goes
/// to no relay that would need it changed.
#[tokio::test(flavor = "multi_thread")]
async fn parts_are_encoded_for_a_relay_without_8bitmime_and_signed_ones_are_not() {
    if !Postfix::available() {
        return;
    }
    let without = ("smtpd_discard_ehlo_keywords", "8bitmime, smtputf8");
    let options = PostfixOptions {
        main_cf: vec![(without.0.to_owned(), without.1.to_owned())],
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let [mails, audit] = ["mails", "audit"].map(|name| folder.path().join(name));
    std::fs::create_dir(&audit).expect("create");
    let sink = sink_at(any_port(), &mails, &[]).await;
    let relay = |name: &str, at: std::net::SocketAddr| {
        format!(
            "[relay.{name}]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\n",
            at.ip(),
            at.port()
        )
    };
    let site = Site::new(
        &[
            relay("old", postfix.plain()),
            relay("new", sink.local_addr()),
            port("old", "\"old\""),
            format!(
                "[send_port.old.audit]\nkeep = \"after\"\nfolder = \"{}\"\n",
                audit.display()
            ),
            port("both", "\"old\", \"new\""),
        ]
        .concat(),
    );
    commit(&site, "old", "<mixed@app>", MIXED).await;
    commit(&site, "old", "<signed@app>", SIGNED).await;
    commit(&site, "both", "<signed@app>", SIGNED).await;
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let expected = MIXED
        .replacen("Encoding: 8bit", "Encoding: 7bit", 1)
        .replace("Encoding: 8bit", "Encoding: quoted-printable")
        .replace("Grüße", "Gr=C3=BC=C3=9Fe");
    let arrived = postfix.wait_for_messages(1, Duration::from_secs(60)).await;
    assert_eq!(
        String::from_utf8_lossy(&arrived[0].as_submitted()),
        expected
    );
    assert_eq!(arrived.len(), 1);
    assert_eq!(received::received(&mails), [SIGNED.as_bytes()]);

    let attempts = "SELECT group_concat(SendPort || ' ' || Relay || ' ' || Outcome || ' ' || SizeBytes, ', ') \
                    FROM (SELECT * FROM Attempt JOIN Alert USING (AlertId) ORDER BY AlertId)";
    let [mixed, signed] = [expected.len(), SIGNED.len()];
    assert_eq!(
        site.value(attempts),
        format!("old old relayed {mixed}, old old failed {signed}, both new relayed {signed}")
    );
    let key = "SELECT lower(replace(AttemptKey, '-', '')) FROM Attempt ORDER BY AlertId LIMIT 1";
    let copies = audited(&audit, &site.value(key));
    assert_eq!(copies, [expected.as_bytes()], "the copy is what was sent");
    let why = site.value("SELECT ReplyCode || ' ' || EnhancedStatusCode || ' ' || ReplyText FROM Delivery WHERE Status = 'failed'");
    assert!(
        why.contains("554 5.6.3")
            && why.ends_with("signed or encrypted, and encoding it would break it"),
        "{why}"
    );
    sink.stop().await;
}
