//! The gallery: messages as data, inserted by SQL, sent by the real program, and read back by
//! two parsers that are not ours. README.md beside this file says how to look at them.

mod arrived;
mod gmime;
mod inserted;
mod memory;
mod neomutt;
#[path = "../support/not_run.rs"]
mod not_run;
mod passed_on;
mod python;
mod read;
mod readers;
mod refused;
mod secured;
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../support/site.rs"]
mod site;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod exim;
    pub(crate) mod maildir;
    pub(crate) mod peer;
    pub(crate) mod people;
    pub(crate) mod postfix;
}

use std::path::{Path, PathBuf};
use std::time::Duration;

use inserted::Inserted;
use memory::Peak;
use site::Site;
use support::postfix::{Postfix, PostfixOptions};

const WITHIN: Duration = Duration::from_secs(240);

/// A send port over one relay that takes what the gallery holds.
fn send_port_over(relay: &str) -> String {
    format!(
        "{relay}
[send_port.default]
from = \"Contoso alerts <alerts@example.test>\"
relays = [\"main\"]
[send_port.default.attachments]
max_size = \"25MiB\"
max_total_size = \"50MiB\"
"
    )
}

/// Over the Postfix, without encryption.
fn send_port_over_postfix(postfix: &Postfix) -> String {
    send_port_over(&relay_postfix(postfix))
}

fn relay_postfix(postfix: &Postfix) -> String {
    let port = postfix.plain().port();
    format!("[relay.main]\nkind = \"smtp\"\nhost = \"127.0.0.1\"\nport = {port}\ntls = \"none\"\n")
}

async fn large_postfix() -> Postfix {
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Postfix::start(PostfixOptions {
        main_cf: vec![
            setting("message_size_limit", "60000000"),
            setting("virtual_mailbox_limit", "0"),
        ],
        ..PostfixOptions::default()
    })
    .await
}

/// Runs the service until everything is final, and says what it took.
async fn send_all(site: &Site) -> Peak {
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    let peak = Peak::of_service(site);
    assert_eq!(service.stop(), Some(0));
    let failed = "SELECT group_concat(Subject || ': ' || coalesce(StatusReason, ReplyText), char(10)) FROM (SELECT a.Subject, s.StatusReason, d.ReplyText FROM AlertState s JOIN Alert a ON a.AlertId = s.AlertId LEFT JOIN Delivery d ON d.AlertId = s.AlertId WHERE s.Status <> 'relayed')";
    assert_eq!(site.value(failed), "");
    peak
}

/// Reads every message by both parsers, and keeps it for people to look at.
fn read_all(gallery: &[Inserted], ids: &[String], arrived: &[Vec<u8>], how: &str) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .join("gallery")
        .join(how);
    std::fs::create_dir_all(&folder).expect("create");
    assert_eq!(arrived.len(), gallery.len());
    let mut files = Vec::new();
    for (message, id) in gallery.iter().zip(ids) {
        let bytes = arrived::with_id(arrived, id);
        arrived::assert_well_formed(&message.key, bytes);
        let read = read::by_mail_parser(bytes);
        read.assert_equals(message, "mail-parser");
        read.assert_named(message, "mail-parser");
        let file: PathBuf = folder.join(format!("{}.eml", message.key));
        std::fs::write(&file, bytes).expect("write");
        files.push(file);
    }
    for (message, read) in gallery.iter().zip(python::read(&files)) {
        read.assert_equals(message, "Python");
        read.assert_named(message, "Python");
    }
}

#[test]
fn there_are_forty() {
    assert!(inserted::gallery().len() >= 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_read_back_from_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let shown = folder.path().display();
    let site = Site::new(&send_port_over(&format!(
        "[relay.main]\nkind = \"file\"\nfolder = \"{shown}\"\nenvelope_headers = false\n"
    )));
    let gallery = inserted::gallery();
    let ids = inserted::insert(&site, &gallery);
    send_all(&site).await;
    read_all(&gallery, &ids, &arrived::in_folder(folder.path()), "file");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_read_back_behind_postfix() {
    if !Postfix::available() {
        return;
    }
    let postfix = large_postfix().await;
    let site = Site::new(&send_port_over_postfix(&postfix));
    let gallery = inserted::gallery();
    let ids = inserted::insert(&site, &gallery);
    let peak = send_all(&site).await;
    peak.assert_within_bound("the whole gallery");
    let delivered = postfix.wait_for_messages(gallery.len(), WITHIN).await;
    let arrived: Vec<_> = delivered
        .iter()
        .map(support::maildir::DeliveredMessage::as_submitted)
        .collect();
    read_all(&gallery, &ids, &arrived, "postfix");
}
