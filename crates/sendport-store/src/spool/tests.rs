use std::io::Write;

use sendport_core::domain::{AlertId, AttemptKey, LeaseToken, Timestamp};
use uuid::Uuid;

use super::*;

const DATABASE: &str = "SQLite file s.db";

fn enter(folder: &Path) -> OutcomeSpool {
    OutcomeSpool::enter(folder, DATABASE).unwrap().remove(0)
}

fn note(alert: i64) -> SubmissionIntent {
    SubmissionIntent {
        alert: AlertId(alert),
        token: LeaseToken(Uuid::from_u128(7)),
        send_port: "default".to_owned(),
        key: AttemptKey::fresh(),
        number: 1,
        relay: "main".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        message_id: "<1@x>".to_owned(),
        size_bytes: 3,
        protection: "none".to_owned(),
        protected: Box::default(),
        redirect_to: None,
        template_version: Some("7".to_owned()),
        facts: Box::default(),
        replies: Vec::new(),
    }
}

fn outcome(note: &SubmissionIntent) -> Outcome {
    let decision = sendport_core::domain::Decision {
        status: sendport_core::domain::AlertStatus::Relayed,
        retry_in: None,
        reason: None,
        attempt: None,
        recipients: Vec::new(),
        template_version: None,
    };
    Outcome {
        alert: note.alert,
        token: note.token,
        kind: OutcomeKind::Decided(Box::new(decision)),
    }
}

#[test]
fn the_next_instance_finds_the_entries_of_a_dead_one() {
    let folder = tempfile::tempdir().unwrap();
    let instance = InstanceId::random();
    let spool = enter(folder.path());
    spool.begin(instance, DATABASE).unwrap();
    let notes = [note(1), note(2), note(3)];
    for note in &notes {
        spool.note(note).unwrap();
    }
    spool.keep(&outcome(&notes[1])).unwrap();
    spool.keep(&outcome(&notes[2])).unwrap();
    spool.forget(&[outcome(&notes[2])]).unwrap();
    drop(spool);

    let left = enter(folder.path()).left_over().unwrap();
    assert_eq!(left.instance, Some(instance));
    assert_eq!(left.in_doubt, [notes[0].clone()]);
    assert_eq!(left.outcomes, [outcome(&notes[1])]);
}

#[test]
fn a_third_instance_takes_the_slot_of_a_dead_one() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (enter(folder.path()), enter(folder.path()));
    two.begin(InstanceId::random(), DATABASE).unwrap();
    two.note(&note(2)).unwrap();
    drop(two);
    let third = OutcomeSpool::enter(folder.path(), DATABASE).unwrap();
    assert_eq!(third.len(), 1, "the first lives");
    assert_eq!(third[0].left_over().unwrap().in_doubt.len(), 1);
    drop((one, third));
    let both = OutcomeSpool::enter(folder.path(), DATABASE).unwrap();
    assert_eq!(both.len(), 2);
}

#[test]
fn refuses_entries_of_another_database() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    spool.sync().unwrap();
    drop(spool);
    let error = OutcomeSpool::enter(folder.path(), "SQLite file other.db")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SQLite file s.db") && error.contains("state_folder"),
        "{error}"
    );
}

#[test]
fn try_folder_reports_what_enter_would_and_creates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("state");
    let look =
        |database| OutcomeSpool::try_folder(&absent, database).map_err(|error| error.to_string());
    assert_eq!(look(Some(DATABASE)), Ok(FolderSpace::ToBeCreated));
    assert!(!absent.exists());

    let spool = enter(&absent);
    spool
        .begin(InstanceId::random(), "SQLite file other.db")
        .unwrap();
    spool.note(&note(1)).unwrap();
    assert_eq!(
        look(Some(DATABASE)),
        Ok(FolderSpace::Enough),
        "another instance uses it"
    );
    drop(spool);
    let refused = OutcomeSpool::enter(&absent, DATABASE)
        .unwrap_err()
        .to_string();
    assert_eq!(look(Some(DATABASE)), Err(refused));
    assert_eq!(look(Some("SQLite file other.db")), Ok(FolderSpace::Enough));
    assert_eq!(look(None), Ok(FolderSpace::Enough));
}

#[test]
fn an_orderly_stop_leaves_no_entries() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    spool.forget(&[outcome(&note(1))]).unwrap();
    spool.end().unwrap();
    drop(spool);
    assert_eq!(
        enter(folder.path()).left_over().unwrap(),
        Leftovers::default()
    );
}

#[test]
fn a_stop_keeps_unrecorded_outcomes() {
    let folder = tempfile::tempdir().unwrap();
    let instance = InstanceId::random();
    let spool = enter(folder.path());
    spool.begin(instance, DATABASE).unwrap();
    spool.keep(&outcome(&note(1))).unwrap();
    spool.end().unwrap();
    assert!(!spool.is_empty());
    drop(spool);
    let left = enter(folder.path()).left_over().unwrap();
    assert_eq!(left.instance, Some(instance));
    assert_eq!(left.outcomes, [outcome(&note(1))]);
}

/// A folder in the place of the new file keeps it from being compacted.
#[test]
fn compacting_proves_that_the_folder_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    let in_the_way = folder.path().join("spool-1.new");
    std::fs::create_dir(&in_the_way).unwrap();
    let error = spool.compact().unwrap_err().to_string();
    assert!(error.contains("the state folder"), "{error}");
    std::fs::remove_dir(in_the_way).unwrap();
    spool.compact().unwrap();
    spool.note(&note(2)).unwrap();
    drop(spool);
    assert_eq!(enter(folder.path()).left_over().unwrap().in_doubt.len(), 2);
}

/// The next instance on a folder whose last one crashed.
fn after_crash(folder: &Path, spool: OutcomeSpool) -> OutcomeSpool {
    drop(spool);
    let spool = enter(folder);
    spool.charge_crash().unwrap();
    spool
}

#[test]
fn the_third_crash_while_its_message_is_made_fails_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let instance = InstanceId::random();
    let (hostile, beside, token) = (AlertId(1), AlertId(2), LeaseToken(Uuid::from_u128(7)));
    let mut spool = enter(folder.path());
    for crashes in 0..3 {
        spool.begin(instance, DATABASE).unwrap();
        assert_eq!(spool.is_suspect(hostile), crashes > 0);
        assert_eq!(spool.is_suspect(beside), crashes == 1);
        spool.preparing(beside, token).unwrap();
        if crashes > 0 {
            spool.prepared(beside).unwrap();
        }
        spool.preparing(hostile, token).unwrap();
        spool = after_crash(folder.path(), spool);
        let left = spool.left_over().unwrap();
        assert_eq!(
            (left.outcomes.len(), left.instance),
            (crashes / 2, Some(instance))
        );
    }
    let left = spool.left_over().unwrap();
    let OutcomeKind::Decided(decision) = &left.outcomes[0].kind else {
        panic!("decided");
    };
    assert_eq!(
        (left.outcomes[0].alert, left.outcomes[0].token),
        (hostile, token)
    );
    assert_eq!(decision.status, sendport_core::domain::AlertStatus::Failed);
    let reason = decision.reason.as_deref().unwrap();
    assert!(reason.contains("crashed 3 times"), "{reason}");
    assert!(!spool.is_suspect(hostile) && !spool.is_suspect(beside));
}

#[test]
fn charges_a_death_only_while_the_message_is_being_made() {
    let folder = tempfile::tempdir().unwrap();
    let token = LeaseToken(Uuid::from_u128(7));
    let mut spool = enter(folder.path());
    for _ in 0..10 {
        spool.begin(InstanceId::random(), DATABASE).unwrap();
        for alert in 0..1000 {
            spool.preparing(AlertId(alert), token).unwrap();
            spool.prepared(AlertId(alert)).unwrap();
        }
        spool.preparing(AlertId(0), token).unwrap();
        spool = after_crash(folder.path(), spool);
        assert_eq!(spool.left_over().unwrap().outcomes, []);
    }
    assert!(spool.is_suspect(AlertId(0)) && !spool.is_suspect(AlertId(1)));
    let file = std::fs::metadata(folder.path().join("spool-1.preparing")).unwrap();
    assert!(file.len() < 1000, "{}", file.len());
    drop(spool);
    let other = OutcomeSpool::enter(folder.path(), "another database")
        .unwrap()
        .remove(0);
    assert!(!other.is_suspect(AlertId(0)));
}

/// Appends bytes that no spool wrote.
fn tear(folder: &Path, bytes: &[u8]) {
    let path = folder.join("spool-1.jsonl");
    let mut file = std::fs::File::options().append(true).open(path).unwrap();
    file.write_all(bytes).unwrap();
}

#[test]
fn ignores_an_incomplete_line_and_keeps_the_others() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    drop(spool);
    tear(folder.path(), b"\0\0\0\n{\"note\":{\"alert\":2,");

    let spool = enter(folder.path());
    assert_eq!(spool.left_over().unwrap().in_doubt.len(), 1);
    spool.note(&note(3)).unwrap();
    drop(spool);
    let left = enter(folder.path()).left_over().unwrap();
    let alerts: Vec<_> = left.in_doubt.iter().map(|note| note.alert.0).collect();
    assert_eq!(alerts, [1, 3]);
}

#[test]
fn compacts_the_file_when_entries_are_removed() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    let instance = InstanceId::random();
    spool.begin(instance, DATABASE).unwrap();
    let stays = note(1);
    spool.note(&stays).unwrap();
    for alert in 2..10_000 {
        let note = note(alert);
        spool.note(&note).unwrap();
        spool.keep(&outcome(&note)).unwrap();
        spool.forget(&[outcome(&note)]).unwrap();
    }
    drop(spool);
    let file = folder.path().join("spool-1.jsonl");
    assert!(std::fs::metadata(file).unwrap().len() < 2 * 1024 * 1024);
    let left = enter(folder.path()).left_over().unwrap();
    assert_eq!(left.instance, Some(instance));
    assert_eq!(left.in_doubt, [stays]);
    assert_eq!(left.outcomes, []);
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read_the_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let _spool = enter(folder.path());
    let file = folder.path().join("spool-1.jsonl");
    let mode = std::fs::metadata(file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}
