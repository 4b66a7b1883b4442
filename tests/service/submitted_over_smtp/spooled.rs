//! With a spool, 250 means on the disk while the database is away.

use super::*;
use crate::full_state_folder_is_reported::SmallDisk;
use crate::site::text;

const INTAKE: &str = "[intake.local]\nkind = \"smtp\"\nlisten = [\"127.0.0.1:0\"]\nsend_port = \"default\"\nallow_senders = \
                      [\"*\"]\nspool = true\nmax_spool_size = \"64KiB\"\nmax_message_size = \"64KiB\"\n[intake.local.timeout]\ncommit = \
                      \"2s\"\n";

fn numbered(number: u32) -> Vec<u8> {
    format!("Subject: message {number}\r\n\r\nbody").into_bytes()
}

fn submit(client: &mut RawClient, number: u32) -> String {
    client.submit("app@example.test", &["ops@example.test"], &numbered(number))
}

async fn client(site: &Site) -> RawClient {
    let mut client = RawClient::connect(site.intake_address().await);
    client.ask("EHLO client.test");
    client
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_outlive_kills_until_the_database_is_back() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&(send_port_over(&plain_relay(sink.local_addr())) + INTAKE));
    let service = site.run();
    assert_eq!(submit(&mut client(&site).await, 0), "250 2.0.0 queued as 1");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let (file, away) = (site.path("sendport.db"), site.path("away.db"));
    std::fs::rename(&file, &away).expect("moved away");
    let mut one = client(&site).await;
    for number in 1..=3 {
        let reply = submit(&mut one, number);
        assert!(reply.starts_with("250 2.0.0 spooled as "), "{reply}");
    }
    service.kill();
    // A start without a database: the intake listens all the same.
    let before = site.log().matches("SMTP intake started").count();
    let service = site.run();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while site.log().matches("SMTP intake started").count() == before {
        look.tick().await;
    }
    let mut one = client(&site).await;
    assert!(submit(&mut one, 4).starts_with("250 2.0.0 spooled as "));
    // Full, before the content.
    let refused = one.ask("MAIL FROM:<app@example.test> SIZE=65000");
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    let checked = text(&site.sendport(&["check", "--offline"]));
    assert!(
        checked.contains("intake.local.spool") && checked.contains("4 messages"),
        "{checked}"
    );
    std::fs::rename(&away, &file).expect("put back");
    let finals = "SELECT count(*) FROM AlertState WHERE FinalAt IS NOT NULL";
    site.wait_until(finals, "5", Duration::from_secs(60)).await;
    let subjects =
        "SELECT group_concat(Subject, ' ') FROM (SELECT Subject FROM Alert ORDER BY AlertId)";
    assert_eq!(
        site.value(subjects),
        "message 0 message 1 message 2 message 3 message 4"
    );
    assert_eq!(submit(&mut one, 5), "250 2.0.0 queued as 6");
    site.wait_until(finals, "6", Duration::from_secs(60)).await;
    assert_eq!(received(mails.path()).len(), 6);
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}

/// An operator switches the spool off while messages wait in it.
#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_was_switched_off_is_emptied() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let without = send_port_over(&plain_relay(sink.local_addr()));
    let site = Site::new(&(without.clone() + INTAKE));
    let (file, away) = (site.path("sendport.db"), site.path("away.db"));
    std::fs::rename(&file, &away).expect("moved away");
    let service = site.run();
    assert!(submit(&mut client(&site).await, 1).starts_with("250 2.0.0 spooled as "));
    service.kill();
    std::fs::rename(&away, &file).expect("put back");
    let config = std::fs::read_to_string(site.config()).expect("read");
    let (config, _) = config.split_once("[intake.local]").expect("an intake");
    std::fs::write(site.config(), config).expect("write");
    let checked = text(&site.sendport(&["check", "--offline"]));
    assert!(checked.contains("1 messages"), "{checked}");
    let service = site.run();
    let finals = "SELECT count(*) FROM AlertState WHERE FinalAt IS NOT NULL";
    site.wait_until(finals, "1", Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_a_transient_refusal() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.remount("size=96m");
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let folder = format!("state_folder = {:?}\n", disk.path());
    let settings = send_port_over(&plain_relay(sink.local_addr())) + INTAKE;
    let site = Site::with_service(&folder, &settings);
    let service = site.run();
    let mut client = client(&site).await;
    let (file, away) = (site.path("sendport.db"), site.path("away.db"));
    std::fs::rename(&file, &away).expect("moved away");
    assert!(submit(&mut client, 1).starts_with("250 2.0.0 spooled as "));
    disk.remount("size=48m");
    let refused = client.ask("MAIL FROM:<app@example.test>");
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    disk.remount("size=96m");
    assert!(submit(&mut client, 3).starts_with("250 2.0.0 spooled as "));
    std::fs::rename(&away, &file).expect("put back");
    let finals = "SELECT count(*) FROM AlertState WHERE FinalAt IS NOT NULL";
    site.wait_until(finals, "2", Duration::from_secs(60)).await;
    let subjects =
        "SELECT group_concat(Subject, ' ') FROM (SELECT Subject FROM Alert ORDER BY AlertId)";
    assert_eq!(site.value(subjects), "message 1 message 3");
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}
