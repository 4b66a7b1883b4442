use std::fs;
use std::path::Path;

use sendport_core::domain::Message;
use sendport_core::domain::ReversePath;
use sendport_smime::{ProtectionPlan, secure};

use super::*;

fn auditor(folder: &Path, stages: &[AuditStage]) -> (Auditor, mpsc::UnboundedReceiver<Event>) {
    let (events, received) = mpsc::unbounded_channel();
    let trail: Arc<dyn AuditTrail> = Arc::new(FolderTrail::open(folder).expect("it is there"));
    let auditor = Auditor::new("billing", stages.to_vec(), vec![trail], events);
    (auditor, received)
}

fn envelope() -> Envelope {
    let path = |(ordinal, address): (u32, &str)| ForwardPath {
        ordinal,
        address: address.parse().expect("an address"),
    };
    Envelope {
        reverse_path: ReversePath(Some("alerts@contoso.com".parse().expect("an address"))),
        forward_paths: [(0, "a@x.com"), (2, "b@y.com")].map(path).to_vec(),
        dsn: None,
    }
}

async fn keep(auditor: &Auditor, attempt: AttemptKey) -> Result<(), AuditError> {
    let bytes = b".dot\r\n\r\n\xc3\xa4".to_vec();
    let message = secure(
        Message {
            message_id: "<1@x>".to_owned(),
            bytes,
        },
        &ProtectionPlan::Unprotected,
    )
    .expect("needs nothing");
    let submission = Submission {
        attempt,
        alert: AlertId(4711),
        relay: "main",
        at: "2026-11-21T09:30:45.123Z".parse().expect("a time"),
        envelope: &envelope(),
        before: Some(b"readable\r\n"),
        message: &message,
    };
    auditor.keep(&submission).await
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).expect("a folder").flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_copy_holds_the_bytes_and_its_sidecar_the_envelope() {
    let folder = tempfile::tempdir().expect("a folder");
    let (auditor, mut events) = auditor(folder.path(), AuditStage::ALL);
    let key = AttemptKey::fresh();
    keep(&auditor, key).await.expect("kept");
    keep(&auditor, key).await.expect("kept again");
    let day = folder.path().join("2026-11-21");
    let stem = format!("20261121T093045.123Z-0000004711-{}", key.0.as_simple());
    let expected = ["after.eml", "after.json", "before.eml", "before.json"];
    assert_eq!(names(&day), expected.map(|end| format!("{stem}-{end}")));
    let read = |end: &str| fs::read(day.join(format!("{stem}-{end}"))).expect("a file");
    assert_eq!(read("after.eml"), b".dot\r\n\r\n\xc3\xa4");
    assert_eq!(read("before.eml"), b"readable\r\n");
    let sidecar: serde_json::Value = serde_json::from_slice(&read("before.json")).expect("JSON");
    assert_eq!(sidecar["attempt_key"], key.0.to_string());
    assert_eq!(sidecar["stage"], "before");
    assert_eq!(sidecar["reverse_path"], "alerts@contoso.com");
    assert_eq!(
        sidecar["forward_paths"],
        serde_json::json!(["a@x.com", "b@y.com"])
    );
    assert!(events.try_recv().is_err(), "nothing to say");
}

#[cfg(unix)]
#[tokio::test]
async fn copies_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().expect("a folder");
    let (auditor, _events) = auditor(folder.path(), &[AuditStage::After]);
    keep(&auditor, AttemptKey::fresh()).await.expect("kept");
    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    let day = folder.path().join("2026-11-21");
    assert_eq!(mode(&day), 0o700);
    for name in names(&day) {
        assert_eq!(mode(&day.join(name)), 0o600);
    }
}

#[tokio::test]
async fn a_missing_folder_and_its_return_are_reported_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("audit");
    fs::create_dir(&place).expect("create");
    let (auditor, mut events) = auditor(&place, &[AuditStage::After]);
    fs::remove_dir(&place).expect("remove");
    for _ in 0..2 {
        let error = keep(&auditor, AttemptKey::fresh()).await.expect_err("gone");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
    let text = events.try_recv().expect("an event");
    assert_eq!(
        (text.event_type, text.severity),
        ("audit-failed", EventSeverity::Error)
    );
    assert_eq!(text.send_port.as_deref(), Some("billing"));
    fs::create_dir(&place).expect("create again");
    keep(&auditor, AttemptKey::fresh()).await.expect("kept");
    assert_eq!(
        events.try_recv().expect("an event").event_type,
        "audit-recovered"
    );
    assert!(events.try_recv().is_err(), "each once");
}

#[test]
fn a_missing_folder_is_refused_at_the_start() {
    let why = FolderTrail::open(Path::new("/no/such/folder")).err();
    let why = why.expect("refused").to_string();
    assert!(why.contains("create it for the account"), "{why}");
}
