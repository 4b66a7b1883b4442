use tokio::sync::mpsc;

use super::*;
use crate::clock::SystemClock;
use crate::replies::ReplyTable;
use crate::spool::Spool;

struct Scene {
    watch: Watch,
    stop: CancellationToken,
    obstacles: Arc<Obstacles>,
    guard: Arc<LeaseGuard>,
    ledger: Arc<Ledger>,
    _folder: tempfile::TempDir,
}

fn scene() -> Scene {
    let clock = Arc::new(SystemClock);
    let (events, _receiver) = mpsc::unbounded_channel();
    let replies = Arc::new(ReplyTable::built_in());
    let board = RelayRegistry::new(Vec::new(), replies, clock.clone(), events.clone());
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::enter(folder.path(), "db").unwrap().remove(0);
    let guard = Arc::new(LeaseGuard::new(Duration::from_secs(60)));
    let stop = CancellationToken::new();
    let obstacles = Arc::new(Obstacles::new(clock.clone()));
    let parts = Parts {
        obstacles: obstacles.clone(),
        metrics: Arc::new(Metrics::new(["default"], [])),
        pulses: Arc::default(),
        board: Arc::new(board),
        rest: Duration::from_secs(1),
        clock,
        stop: stop.clone(),
    };
    Scene {
        watch: Watch::new(parts),
        stop,
        ledger: Arc::new(Ledger::new(
            guard.clone(),
            Arc::new(spool),
            obstacles.clone(),
            events,
        )),
        guard,
        obstacles,
        _folder: folder,
    }
}

#[track_caller]
fn not_ready(scene: &Scene, why: &str) {
    match scene.watch.ready() {
        Verdict::No(words) => assert!(words.contains(why), "{words}"),
        Verdict::Yes(_) => panic!("ready, although {why}"),
    }
    let metrics = scene.watch.metrics().0;
    assert!(metrics.contains("\nsendport_ready 0\n"));
}

#[test]
fn ready_is_who_has_a_lease_and_a_database_and_does_not_stop() {
    let scene = scene();
    not_ready(&scene, "starting");
    scene.obstacles.meet(What::NoDatabase, "refused");
    not_ready(&scene, "it waits for the database: refused");
    scene.watch.works(scene.guard.clone(), scene.ledger.clone());
    assert!(scene.obstacles.overcome(What::NoDatabase));
    assert!(scene.obstacles.overcome(What::Begin));
    not_ready(&scene, "lease: this instance holds none");
    scene.guard.renewed(crate::clock::steady());
    assert_eq!(scene.watch.ready(), Verdict::Yes("ready\n".to_owned()));
    assert!(scene.watch.metrics().0.contains("\nsendport_ready 1\n"));

    scene.watch.database_is(Some("schema version 1".to_owned()));
    not_ready(&scene, "database: schema version 1");
    scene.watch.database_is(None);
    scene.stop.cancel();
    not_ready(&scene, "the service stops");
    assert_eq!(scene.watch.alive(), Verdict::Yes("alive\n".to_owned()));
}
