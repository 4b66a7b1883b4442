//! The file relay: one file an attempt, whole or not at all.

use std::path::Path;
use std::sync::Arc;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{Fault, Reply, SubmissionEnd};
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::discard::DiscardRelay;
use sendport_smtp::relay::file::FileRelay;
use sendport_smtp::settings::relay::FileRelay as Config;

use crate::support::client::{Shut, envelope, not_begun, reply_to, small_message, submit};

fn relay(folder: &Path, envelope_headers: bool) -> FileRelay {
    let config = Config {
        folder: folder.to_owned(),
        envelope_headers,
    };
    FileRelay::new("file", &config, Arc::new(SystemClock))
}

/// The key of what the table of replies says of it.
fn explained(reply: &Reply) -> String {
    let table = ReplyTable::built_in();
    table.explain(reply).expect("an entry").key.clone()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

#[tokio::test]
async fn a_retry_overwrites_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(folder.path(), true);
    for _ in 0..2 {
        let report = submit(&relay, &["a@example.test"]).await;
        assert!(report.is_accepted());
        assert_eq!(reply_to(&report, 0), "250 2.1.5 recipient ok");
    }
    let names = names(folder.path());
    assert_eq!(names.len(), 2);
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("1@example_test-") && name.ends_with(".eml"))
    );
    let text = std::fs::read_to_string(folder.path().join(&names[0])).expect("readable");
    assert!(
        text.starts_with("X-Sender: alerts@example.test\r\nX-Receiver: a@example.test\r\nFrom:")
    );
    assert!(relay.verify().await.is_ok());
}

#[tokio::test]
async fn leaves_no_file_without_a_lease() {
    let folder = tempfile::tempdir().expect("a folder");
    let relay = relay(folder.path(), false);
    let report = relay
        .submit(&envelope(&["a@example.test"]), &small_message(), &Shut)
        .await;
    assert_eq!(report.end, SubmissionEnd::Fenced);
    assert!(names(folder.path()).is_empty());
}

#[tokio::test]
async fn a_missing_folder_is_a_configuration_fault() {
    let relay = relay(Path::new("/no/such/folder"), true);
    let report = submit(&relay, &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(fault, Some(Fault::Configuration));
    assert!(
        reply.text.contains("'/no/such/folder' does not exist"),
        "{reply}"
    );
    assert_eq!(explained(reply), "folder-not-usable");
    assert!(relay.verify().await.is_err());
}

#[tokio::test]
async fn a_failing_folder_is_explained() {
    let folder = tempfile::tempdir().expect("a folder");
    let endless = folder.path().join("endless");
    std::os::unix::fs::symlink(&endless, &endless).expect("a link to itself");
    let report = submit(&relay(&endless, true), &["a@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(fault, Some(Fault::Relay));
    assert_eq!(explained(reply), "folder-failed");
}

#[tokio::test]
async fn the_discard_relay_accepts_everything() {
    let relay = DiscardRelay::new("discard", Arc::new(SystemClock));
    let report = submit(&relay, &["a@example.test"]).await;
    assert!(report.is_accepted());
    assert_eq!(report.end, SubmissionEnd::Answered);
}
