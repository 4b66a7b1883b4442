//! Disks that have no space left: for the log, and for messages.

use std::os::unix::fs::symlink;

use super::*;
use crate::full_state_folder_is_reported::SmallDisk;
use crate::support::peer::free_ports;

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nx\r\n";

/// The reply to the dot.
fn submit(client: &mut RawClient) -> String {
    assert_eq!(&client.ask("MAIL FROM:<app@example.test>")[..3], "250");
    assert_eq!(&client.ask("RCPT TO:<ops@example.test>")[..3], "250");
    assert_eq!(&client.ask("DATA")[..3], "354");
    client.send(MESSAGE);
    client.ask(".")
}

async fn connected(address: SocketAddr) -> RawClient {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while TcpStream::connect(address).is_err() {
        assert!(tokio::time::Instant::now() < deadline, "no intake");
        look.tick().await;
    }
    RawClient::connect(address)
}

/// Each line of the log fails, as on a full disk, and nothing else does.
#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_written_costs_no_message() {
    let [address] = free_ports();
    let listen = INTAKE.replace("127.0.0.1:0", &address.to_string());
    let site = Site::new(&format!(
        "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"a@example.test\"\nrelays = [\"main\"]\n{listen}"
    ));
    symlink("/dev/full", site.path("service.log")).expect("a link");
    let service = site.run();
    for number in 1..=3 {
        let mut client = connected(address).await;
        assert_eq!(&client.ask("EHLO client.test")[..3], "250");
        assert_eq!(submit(&mut client), format!("250 2.0.0 queued as {number}"));
        assert_eq!(&client.ask("QUIT")[..3], "221");
    }
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let relayed = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    assert_eq!(site.value(relayed), "3");
    assert_eq!(service.stop(), Some(0));
}

/// What is accepted needs space to leave: the intake stops first.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_without_space_is_refused_at_mail() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.remount("size=96m");
    let state = format!("state_folder = '{}'", disk.path().display());
    let site = Site::with_service(
        &state,
        &format!(
            "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"a@example.test\"\nrelays = [\"main\"]\n{INTAKE}"
        ),
    );
    let service = site.run();
    let address = site.intake_address().await;
    let mut client = RawClient::connect(address);
    assert_eq!(&client.ask("EHLO client.test")[..3], "250");
    let large = client.ask("MAIL FROM:<app@example.test> SIZE=40000000");
    assert!(large.starts_with("452 4.3.1 "), "{large}");
    assert_eq!(submit(&mut client), "250 2.0.0 queued as 1");
    disk.remount("size=48m");
    let refused = client.ask("MAIL FROM:<app@example.test>");
    assert!(refused.starts_with("452 4.3.1 "), "{refused}");
    disk.remount("size=96m");
    assert_eq!(submit(&mut client), "250 2.0.0 queued as 2");
    assert_eq!(service.stop(), Some(0), "{}", site.log());
}
