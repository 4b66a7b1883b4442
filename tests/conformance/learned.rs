//! How many connections a relay takes, and how many recipients at a time, is learned by all
//! instances together.

use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{ConnectionEnd, InstanceId, LearnedRecipients, LimitFinding};
use sendport_store::Store;

use crate::fixture::*;

const SAID: &str = "421 4.3.2 it's too many";

fn finding(was: Option<u32>, is: Option<u32>) -> LimitFinding {
    let said = SAID.to_owned();
    LimitFinding { was, is, said }
}

async fn note(store: &Arc<dyn Store>, instance: InstanceId, finding: &LimitFinding) -> bool {
    let noted = store.note_limit(instance, "mail", finding).await;
    noted.expect("note a limit")
}

async fn known(store: &Arc<dyn Store>) -> Vec<(String, u32)> {
    let limits = store.learned_limits().await.expect("learned limits");
    let limits = limits.into_iter();
    limits.map(|l| (l.relay, l.connections)).collect()
}

pub(crate) async fn what_one_found_out_all_know(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let (a, b) = (instance(&here, "a").await, instance(&there, "b").await);
    assert_eq!(known(&here).await, []);
    assert!(note(&here, a, &finding(None, Some(2))).await);
    assert!(note(&there, b, &finding(Some(2), Some(3))).await);
    f.advance(minutes(7)).await;
    let limits = here.learned_limits().await.expect("learned limits");
    assert_eq!(limits.len(), 1);
    assert_eq!((limits[0].connections, &*limits[0].said), (3, SAID));
    let off = limits[0].unchanged_for.abs_diff(minutes(7));
    assert!(off < Duration::from_secs(20), "{off:?}");
    assert!(note(&here, a, &finding(Some(3), None)).await);
    assert_eq!(known(&there).await, []);
}

pub(crate) async fn what_is_known_no_more_changes_nothing(f: &dyn Fixture) {
    let store = f.fresh().await;
    let a = instance(&store, "a").await;
    assert!(!note(&store, a, &finding(Some(3), Some(4))).await);
    assert!(!note(&store, a, &finding(Some(3), None)).await);
    assert_eq!(known(&store).await, []);
    assert!(note(&store, a, &finding(None, Some(0))).await);
    for late in [
        finding(None, Some(9)),
        finding(Some(1), Some(9)),
        finding(Some(1), None),
    ] {
        assert!(!note(&store, a, &late).await, "{late:?}");
    }
    assert_eq!(known(&store).await, [("mail".to_owned(), 0)]);
}

pub(crate) async fn of_many_that_found_the_same_one_counts(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let a = instance(&here, "a").await;
    for was in [None, Some(1), Some(2)] {
        let mut asked = tokio::task::JoinSet::new();
        for n in 0..12 {
            let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
            let found = finding(was, Some(was.unwrap_or(0) + 1));
            asked.spawn(async move { note(&store, a, &found).await });
        }
        let noted = asked.join_all().await;
        assert_eq!(noted.iter().filter(|noted| **noted).count(), 1, "{was:?}");
    }
    assert_eq!(known(&here).await, [("mail".to_owned(), 3)]);
}

pub(crate) async fn how_many_recipients_one_found_all_know(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let (a, b) = (instance(&here, "a").await, instance(&there, "b").await);
    let found = |recipients, minutes_kept| LearnedRecipients {
        recipients,
        pause: minutes(minutes_kept),
        learned_for: Duration::ZERO,
    };
    let read = here.learned_recipients().await;
    assert_eq!(read.expect("learned recipients"), []);
    for (store, by, relay, finding) in [
        (&here, a, "mail", found(100, 60)),
        (&here, a, "backup", found(7, 60)),
        (&there, b, "mail", found(100, 120)),
    ] {
        let noted = store.note_recipients(by, relay, &finding).await;
        noted.expect("note recipients");
    }
    f.advance(minutes(119)).await;
    let known = here.learned_recipients().await;
    let mut known = known.expect("learned recipients");
    known.sort_by(|(one, _), (other, _)| other.cmp(one));
    let [(mail, of_mail), (backup, of_backup)] = &known[..] else {
        panic!("one row a relay: {known:?}");
    };
    assert_eq!((&**mail, of_mail.pause), ("mail", minutes(120)));
    assert_eq!(of_mail.most(), Some(100), "the last one counts");
    let off = of_mail.learned_for.abs_diff(minutes(119));
    assert!(off < Duration::from_secs(20), "{off:?}");
    assert_eq!((&**backup, of_backup.most()), ("backup", Some(14)));
    let by_b = format!("Relay = 'mail' AND InstanceId = '{}'", b.0);
    assert_eq!(
        f.rows("RelayRecipientLimit", &by_b).await,
        1,
        "who found out"
    );
}

pub(crate) async fn two_that_found_the_same_recipients_make_one_row(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let a = instance(&here, "a").await;
    let finding = LearnedRecipients {
        recipients: 100,
        pause: LearnedRecipients::FIRST_PAUSE,
        learned_for: Duration::ZERO,
    };
    let mut noted = tokio::task::JoinSet::new();
    for n in 0..12 {
        let store = Arc::clone(if n % 2 == 0 { &here } else { &there });
        noted.spawn(async move { store.note_recipients(a, "mail", &finding).await });
    }
    let noted: Result<Vec<()>, _> = noted.join_all().await.into_iter().collect();
    noted.expect("each is noted");
    let known = here.learned_recipients().await.expect("learned recipients");
    assert_eq!(known.len(), 1);
}

pub(crate) async fn where_a_connection_ended_the_others_know(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let (a, b) = (instance(&here, "a").await, instance(&there, "b").await);
    let known = async |store: &Arc<dyn Store>, to| {
        let ends = store.connection_ends(to).await;
        ends.expect("connection ends")
    };
    for (store, by, relay, recipients, ago) in [
        (&here, a, "mail", 7, 0),
        (&here, a, "mail", 100, 90),
        (&there, b, "backup", 50, 0),
    ] {
        let end = ConnectionEnd {
            recipients,
            ended_for: Duration::from_millis(ago * 1000 + 500),
        };
        let noted = store.note_connection_end(by, relay, &end).await;
        noted.expect("note where a connection ended");
    }
    f.advance(minutes(60)).await;
    let of_a = known(&there, b).await;
    let [(relay, end)] = &of_a[..] else {
        panic!("only what others saw: {of_a:?}");
    };
    assert_eq!((&**relay, end.recipients), ("mail", 100), "the last counts");
    let expected = minutes(60) + Duration::from_millis(90_500);
    let off = end.ended_for.abs_diff(expected);
    assert!(off < Duration::from_secs(20), "{off:?}");
    let of_b = known(&here, a).await;
    assert_eq!((of_b.len(), of_b[0].1.recipients), (1, 50), "{of_b:?}");
    f.advance(minutes(120)).await;
    assert_eq!(known(&there, b).await, [], "too long ago");
    // Milliseconds of more than 24 days fit no int.
    for _ in 0..2 {
        f.advance(minutes(20 * 24 * 60)).await;
    }
    assert_eq!(known(&there, b).await, []);
}
