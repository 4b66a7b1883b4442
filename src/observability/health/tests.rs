use sendport_core::clock::SystemClock;
use sendport_core::replies::ReplyTable;
use sendport_store::spool::OutcomeSpool;
use tokio::sync::mpsc;

use super::*;

struct Setup {
    monitor: HealthMonitor,
    stop: CancellationToken,
    obstacles: Arc<Obstacles>,
    guard: Arc<LeaseGuard>,
    spool: Arc<GuardedSpool>,
    _folder: tempfile::TempDir,
}

fn setup() -> Setup {
    let clock = Arc::new(SystemClock);
    let (events, _receiver) = mpsc::unbounded_channel();
    let replies = Arc::new(ReplyTable::built_in());
    let registry = RelayRegistry::new(Vec::new(), replies, clock.clone(), events.clone());
    let folder = tempfile::tempdir().unwrap();
    let spool = OutcomeSpool::enter(folder.path(), "db").unwrap().remove(0);
    let guard = Arc::new(LeaseGuard::new(Duration::from_secs(60)));
    let stop = CancellationToken::new();
    let obstacles = Arc::new(Obstacles::new(clock.clone()));
    let dependencies = HealthDependencies {
        obstacles: obstacles.clone(),
        metrics: Arc::new(Metrics::new(["default"], [], [], [])),
        liveness: Arc::default(),
        registry: Arc::new(registry),
        rest: Duration::from_secs(1),
        clock,
        stop: stop.clone(),
    };
    Setup {
        monitor: HealthMonitor::new(dependencies),
        stop,
        spool: Arc::new(GuardedSpool::new(
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
fn not_ready(setup: &Setup, why: &str) {
    match setup.monitor.readiness() {
        HealthStatus::Fail(text) => assert!(text.contains(why), "{text}"),
        HealthStatus::Pass(_) => panic!("ready, although {why}"),
    }
    let metrics = setup.monitor.metrics().0;
    assert!(metrics.contains("\nsendport_ready 0\n"));
}

#[test]
fn is_ready_with_a_lease_and_a_database_until_it_stops() {
    let setup = setup();
    not_ready(&setup, "starting");
    setup.obstacles.meet(ObstacleKind::NoDatabase, "refused");
    not_ready(&setup, "it waits for the database: refused");
    setup
        .monitor
        .instance_started(setup.guard.clone(), setup.spool.clone());
    assert!(setup.obstacles.overcome(ObstacleKind::NoDatabase));
    assert!(setup.obstacles.overcome(ObstacleKind::Begin));
    not_ready(&setup, "lease: this instance holds none");
    setup.guard.renewed(sendport_core::clock::steady());
    assert_eq!(
        setup.monitor.readiness(),
        HealthStatus::Pass("ready\n".to_owned())
    );
    assert!(setup.monitor.metrics().0.contains("\nsendport_ready 1\n"));

    setup
        .monitor
        .set_database_problem(Some("schema version 1".to_owned()));
    not_ready(&setup, "database: schema version 1");
    setup.monitor.set_database_problem(None);
    setup.stop.cancel();
    not_ready(&setup, "the service stops");
    assert_eq!(
        setup.monitor.liveness(),
        HealthStatus::Pass("alive\n".to_owned())
    );
}
