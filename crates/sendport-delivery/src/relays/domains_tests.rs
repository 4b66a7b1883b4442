use std::time::Duration;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{
    AlertId, Command, CommandReply, ForwardPath, Reply, ReversePath, SessionFacts, SubmissionEnd,
    SubmissionReport, Timestamp,
};
use sendport_core::replies::ReplyTable;
use sendport_smtp::MxRelay;
use tokio::sync::mpsc;

use super::*;
use crate::relays::reports::NextStep;

/// The relay `direct`, which may use two domains at a time that are not known to work.
fn registry() -> RelayRegistry {
    let settings =
        "dns_servers = ['127.0.0.1:9']\nmax_connections = 4\nmax_connections_per_domain = 3";
    let settings = toml::from_str(settings).expect("settings");
    let clock = Arc::new(SystemClock);
    let relay = MxRelay::new("direct", &settings, None, clock.clone()).expect("a relay");
    let (events, _) = mpsc::unbounded_channel();
    let replies = Arc::new(ReplyTable::built_in());
    RelayRegistry::new(vec![Arc::new(relay)], replies, clock, events)
}

fn envelope(domains: &[&str]) -> Envelope {
    let path = |(ordinal, domain): (u32, &&str)| ForwardPath {
        ordinal,
        address: format!("ops@{domain}").parse().expect("an address"),
    };
    Envelope {
        reverse_path: ReversePath(None),
        forward_paths: (0..).zip(domains).map(path).collect(),
        dsn: None,
    }
}

fn report(end: SubmissionEnd) -> SubmissionReport {
    SubmissionReport {
        started_at: Timestamp::UNIX_EPOCH,
        ended_at: Timestamp::UNIX_EPOCH,
        facts: SessionFacts {
            remote_address: Some("192.0.2.1:25".to_owned()),
            ..SessionFacts::default()
        },
        replies: vec![CommandReply {
            ordinal: None,
            reply: Reply::new(Command::EndOfData, 250, None, "ok"),
        }],
        end,
    }
}

fn unreachable() -> SubmissionReport {
    report(SubmissionEnd::NotBegun {
        reply: Reply::absent(Command::Connect, "refused"),
        fault: None,
    })
}

async fn acquire(registry: &RelayRegistry, domains: &[&str]) -> Result<SubmitPermit, Unavailable> {
    let to = envelope(domains);
    registry.acquire_for("direct", false, &to).await
}

/// The domains that are blocked.
fn blocked(found: Result<SubmitPermit, Unavailable>) -> Vec<BlockedDomain> {
    match found.err() {
        Some(Unavailable::Domains(domains)) => domains,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_domain_that_cannot_be_reached_leaves_the_others_alone() {
    let registry = registry();
    let to = ["Dead.example", "well.example", "dead.example"];
    let permit = acquire(&registry, &to).await.expect("closed");
    let domain = permit.only.clone().expect("a domain");
    let ordinals: Vec<_> = domain.paths.iter().map(|path| path.ordinal).collect();
    assert_eq!(
        (domain.domain.as_str(), ordinals),
        ("dead.example", vec![0, 2])
    );
    let after = registry.report(permit, AlertId(1), 0, &unreachable());
    let NextStep::Unreached(wait) = after else {
        panic!("{after:?}");
    };
    assert!(
        wait > Duration::from_secs(29) && wait <= Duration::from_secs(30),
        "{wait:?}"
    );

    let permit = acquire(&registry, &to).await.expect("the other domain");
    assert_eq!(
        permit.only.as_ref().expect("a domain").domain,
        "well.example"
    );
    drop(permit);
    let waits = (0..3).map(async |_| {
        let blocked = blocked(acquire(&registry, &["dead.example"]).await);
        assert_eq!(blocked[0].reply.as_ref().expect("why").text, "refused");
        blocked[0].wait
    });
    let mut last = wait;
    for next in waits {
        let next = next.await;
        assert!(next > last, "one after the other");
        last = next;
    }
    let state = &registry.states()[0];
    assert_eq!(state.condition, RelayCondition::Closed);
    let shown = state.reply.as_deref();
    assert_eq!(shown, Some("the domain dead.example cannot be reached now"));
}

/// Each of twenty domains that hang makes room for the next one, and at last for a good one.
#[tokio::test(start_paused = true)]
async fn domains_that_hang_make_room_for_others() {
    let registry = registry();
    let mut hanging = Vec::new();
    for n in 0..20 {
        let domain = format!("hangs{n}.example");
        let permit = acquire(&registry, &[&domain]).await;
        let mut permit = permit.unwrap_or_else(|why| panic!("{domain}: {why:?}"));
        let hang = permit.carry_out(std::future::pending::<()>());
        let ended = tokio::time::timeout(Duration::from_secs(30), hang).await;
        assert!(ended.is_err(), "the transaction goes on");
        hanging.push(permit);
    }
    let shown = registry.states()[0].reply.clone().expect("they are shown");
    assert!(
        shown.starts_with("20 domains cannot be reached now: hangs0.example, "),
        "{shown}"
    );
    let (first, second) = ("more1.example", "more2.example");
    let mut more = Vec::new();
    for domain in [first, second] {
        let mut permit = acquire(&registry, &[domain]).await.expect("room");
        let hang = permit.carry_out(std::future::pending::<()>());
        let _ended = tokio::time::timeout(Duration::from_secs(30), hang).await;
        more.push(permit);
    }
    blocked(acquire(&registry, &["c.example"]).await);
    drop(more);
    acquire(&registry, &["c.example"]).await.expect("room");
}

#[tokio::test(start_paused = true)]
async fn domains_that_may_hang_come_last_in_an_alert() {
    let registry = registry();
    let permit = acquire(&registry, &["works.example"]).await.expect("room");
    registry.report(permit, AlertId(1), 0, &report(SubmissionEnd::Answered));
    let permit = acquire(&registry, &["new.example", "works.example"]).await;
    let domain = permit.expect("room").only.clone().expect("a domain");
    assert_eq!(domain.domain, "works.example");
}

#[tokio::test(start_paused = true)]
async fn domains_that_never_answered_use_half_of_the_connections() {
    let registry = registry();
    let first = acquire(&registry, &["a.example"]).await.expect("room");
    let again = blocked(acquire(&registry, &["a.example"]).await);
    assert_eq!(again[0].reply, None, "one at a time, and nothing is wrong");
    let _second = acquire(&registry, &["b.example"]).await.expect("room");
    blocked(acquire(&registry, &["c.example"]).await);
    registry.report(first, AlertId(1), 0, &report(SubmissionEnd::Answered));
    let proven = [
        acquire(&registry, &["a.example"]).await,
        acquire(&registry, &["a.example"]).await,
        acquire(&registry, &["a.example"]).await,
    ];
    assert!(proven.iter().all(Result::is_ok), "it answered");
    blocked(acquire(&registry, &["a.example"]).await);
}
