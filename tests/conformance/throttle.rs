//! Of all instances one probes a relay that refuses everything for a limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use sendport_core::domain::{AlertId, FIRST_PROBE_INTERVAL, LONGEST_PROBE_INTERVAL, ProbeTurn};
use sendport_store::Store;

use crate::fixture::*;

const SAID: &str = "432 4.3.2 it's too many";

/// Each time for another alert.
async fn ask(store: &Arc<dyn Store>, relay: &str) -> ProbeTurn {
    static NEXT: AtomicI64 = AtomicI64::new(1000);
    ask_for(store, relay, NEXT.fetch_add(1, Ordering::Relaxed)).await
}

async fn ask_for(store: &Arc<dyn Store>, relay: &str, alert: i64) -> ProbeTurn {
    let turn = store.begin_probe(relay, AlertId(alert), SAID).await;
    turn.expect("ask for a probe")
}

/// The relays that are throttled, and how many seconds the next probe is away.
async fn throttled(store: &Arc<dyn Store>) -> Vec<(String, u64)> {
    let relays = store.throttled_relays().await.expect("throttled relays");
    let mut relays: Vec<_> = relays
        .into_iter()
        .map(|it| {
            assert_eq!(it.reply, SAID);
            (it.relay, it.retry_in.as_secs())
        })
        .collect();
    relays.sort();
    relays
}

/// Twelve ask at the same time, by two handles: the intervals of those that probe.
async fn ask_by_twelve(here: &Arc<dyn Store>, there: &Arc<dyn Store>) -> Vec<Duration> {
    let mut asked = tokio::task::JoinSet::new();
    for n in 0..12 {
        let store = Arc::clone(if n % 2 == 0 { here } else { there });
        asked.spawn(async move { ask(&store, "mail").await });
    }
    let granted = |turn| match turn {
        ProbeTurn::Granted(next) => Some(next),
        ProbeTurn::Wait(_) => None,
    };
    asked
        .join_all()
        .await
        .into_iter()
        .filter_map(granted)
        .collect()
}

pub(crate) async fn of_many_that_ask_one_probes(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    let mut short = Vec::new();
    for _ in 0..8 {
        let granted = ask_by_twelve(&here, &there).await;
        assert!(!granted.is_empty());
        if granted.contains(&LONGEST_PROBE_INTERVAL) {
            assert_eq!(granted, [LONGEST_PROBE_INTERVAL]);
        } else {
            short.extend(granted);
        }
        assert!(matches!(ask(&there, "other").await, ProbeTurn::Granted(_)));
        f.advance(LONGEST_PROBE_INTERVAL * 2).await;
    }
    // On a slow machine a short interval may pass while they ask, and the next one is longer.
    short.sort();
    let count = short.len();
    short.dedup();
    assert_eq!(
        short.len(),
        count,
        "each interval was granted once: {short:?}"
    );
}

pub(crate) async fn the_interval_between_probes_doubles_up_to_a_bound(f: &dyn Fixture) {
    let store = f.fresh().await;
    let mut expected = FIRST_PROBE_INTERVAL;
    for _ in 0..9 {
        assert_eq!(ask(&store, "mail").await, ProbeTurn::Granted(expected));
        let ProbeTurn::Wait(wait) = ask(&store, "mail").await else {
            panic!("the next probe is not due");
        };
        let slack = Duration::from_secs(2);
        assert!(
            wait <= expected + slack && wait + slack * 10 >= expected,
            "{wait:?}"
        );
        f.advance(expected + slack).await;
        expected = (expected * 2).min(LONGEST_PROBE_INTERVAL);
    }
    assert_eq!(expected, LONGEST_PROBE_INTERVAL);
}

pub(crate) async fn what_one_found_throttled_all_know_until_it_takes_a_message(f: &dyn Fixture) {
    let here = f.fresh().await;
    let there = f.another().await;
    assert_eq!(throttled(&there).await, []);
    for _ in 0..6 {
        ask(&here, "mail").await;
        f.advance(LONGEST_PROBE_INTERVAL * 2).await;
    }
    assert_eq!(throttled(&there).await, [("mail".to_owned(), 0)]);
    ask(&here, "mail").await;
    ask(&here, "other").await;
    let known = throttled(&there).await;
    assert_eq!(known.len(), 2);
    let away = known[0].1;
    assert!((200..=240).contains(&away), "{away} seconds");
    there.end_throttle("mail").await.expect("end it");
    there.end_throttle("mail").await.expect("end it again");
    assert_eq!(throttled(&here).await.len(), 1);
    let first = ProbeTurn::Granted(FIRST_PROBE_INTERVAL);
    assert_eq!(ask(&here, "mail").await, first, "it begins anew");
}

pub(crate) async fn the_interval_grows_with_other_alerts_alone(f: &dyn Fixture) {
    let store = f.fresh().await;
    let seconds = Duration::from_secs;
    for (alert, expected) in [
        (47, 4),
        (47, 4),
        (4, 8),
        (4, 8),
        (47, 8),
        (7, 16),
        (47, 16),
        (-1, 32),
        (-1, 32),
        (1, 64),
        (2, 128),
        (3, 240),
        (47, 240),
        (5, 240),
    ] {
        let turn = ask_for(&store, "mail", alert).await;
        assert_eq!(turn, ProbeTurn::Granted(seconds(expected)), "{alert}");
        f.advance(seconds(expected + 2)).await;
    }
    let kept = "ProbeAlertIds = ',47,4,7,-1,1,2,3,'";
    assert_eq!(f.rows("RelayThrottle", kept).await, 1, "it is bounded");
}
