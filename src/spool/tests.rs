use super::*;
use crate::domain::{AttemptKey, Timestamp};

const DATABASE: &str = "SQLite file s.db";

fn enter(folder: &Path) -> Spool {
    Spool::enter(folder, DATABASE).unwrap().remove(0)
}

fn note(alert: i64) -> DotNote {
    DotNote {
        alert: AlertId(alert),
        token: LeaseToken(Uuid::from_u128(7)),
        send_port: "default".to_owned(),
        key: AttemptKey::random(),
        number: 1,
        relay: "main".to_owned(),
        started_at: Timestamp::UNIX_EPOCH,
        message_id: "<1@x>".to_owned(),
        size_octets: 3,
        protection: "none".to_owned(),
        template_version: Some("7".to_owned()),
    }
}

fn outcome(note: &DotNote) -> Outcome {
    let decision = crate::domain::Decision {
        status: crate::domain::AlertStatus::Relayed,
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
fn after_a_death_the_next_instance_finds_what_was_left_over() {
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
fn two_instances_share_a_folder_and_the_third_inherits_from_the_dead() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (enter(folder.path()), enter(folder.path()));
    two.begin(InstanceId::random(), DATABASE).unwrap();
    two.note(&note(2)).unwrap();
    drop(two);
    let third = Spool::enter(folder.path(), DATABASE).unwrap();
    assert_eq!(third.len(), 1, "the first lives");
    assert_eq!(third[0].left_over().unwrap().in_doubt.len(), 1);
    drop((one, third));
    let both = Spool::enter(folder.path(), DATABASE).unwrap();
    assert_eq!(both.len(), 2);
}

#[test]
fn what_is_left_over_is_never_replayed_into_another_database() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    spool.sync().unwrap();
    drop(spool);
    let error = Spool::enter(folder.path(), "SQLite file other.db")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("SQLite file s.db") && error.contains("state_folder"),
        "{error}"
    );
}

#[test]
fn an_orderly_end_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let spool = enter(folder.path());
    spool.begin(InstanceId::random(), DATABASE).unwrap();
    spool.note(&note(1)).unwrap();
    spool.clear().unwrap();
    drop(spool);
    assert_eq!(
        enter(folder.path()).left_over().unwrap(),
        LeftOver::default()
    );
}
