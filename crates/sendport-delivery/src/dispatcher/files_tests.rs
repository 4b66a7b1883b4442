use std::fs;

use super::*;

fn named(folder: &std::path::Path, name: &str) -> NamedFile {
    NamedFile {
        shown: format!("C:\\Reports\\{name}"),
        folder: folder.to_owned(),
        names: vec![name.to_owned()],
    }
}

fn port() -> SendPort {
    SendPort::with_settings("p", &["d"], "[retry]\nfirst_delay = '7s'")
}

#[test]
fn a_file_that_changes_while_it_is_read_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("late.txt");
    fs::write(&path, "late").expect("write");
    let (file, facts) = look_at(named(folder.path(), "late.txt")).expect("is there");
    let content = unchanged_content(&file, facts).expect("unchanged");
    assert_eq!(content, b"late");
    for changed in ["", "later", "laté"] {
        fs::write(&path, changed).expect("write");
        let error = read((file.clone(), facts)).expect_err(changed);
        match error.compose_error(&port()) {
            ComposeError::Deferred(delay, why) => {
                assert_eq!(delay, Duration::from_secs(7));
                let why = why.expect("why");
                assert_eq!(
                    why,
                    r"waits for its files: 'C:\Reports\late.txt': it changed while it was read"
                );
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn what_an_application_has_to_correct_fails_its_alert() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("folder")).expect("create");
    for (name, key) in [("missing", "file-missing"), ("folder", "file-not-allowed")] {
        let error = look_at(named(folder.path(), name)).expect_err(name);
        match error.compose_error(&port()) {
            ComposeError::Never(refusal) => {
                assert_eq!(refusal.explanation, key);
                let start = format!("FileAttachments: 'C:\\Reports\\{name}': ");
                assert!(refusal.reason.starts_with(&start), "{}", refusal.reason);
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let denied = FileError {
        shown: String::new(),
        error: OpenError::from(io::Error::from(io::ErrorKind::PermissionDenied)).into(),
    };
    let ComposeError::Never(refusal) = denied.compose_error(&port()) else {
        panic!("it is waited for")
    };
    assert_eq!(refusal.explanation, "file-unreadable");
    let away = look_at(named(&folder.path().join("away"), "x")).expect_err("no folder");
    let away = away.compose_error(&port());
    assert!(matches!(away, ComposeError::Deferred(..)), "{away:?}");
}

#[tokio::test(start_paused = true)]
async fn a_folder_that_hangs_keeps_a_few_alerts_and_the_others_wait() {
    let port = port();
    let readers = port.file_readers();
    let count = u32::try_from(readers.available_permits()).expect("a few");
    let _hang = readers.acquire_many(count).await.expect("permits");
    let files = vec![named(std::path::Path::new("/"), "x")];
    let found = in_folders(&port, PATIENCE, files, look_at).await;
    let Err(ComposeError::Deferred(_, Some(why))) = found else {
        panic!("no file was read")
    };
    assert_eq!(
        why,
        "waits for its files: the files of other alerts are still being read"
    );
}
