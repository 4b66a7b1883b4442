//! Makes a test of each scenario. The list is made at run time, so that scenarios that have no
//! server are shown as ignored, and databases that scenarios share are dropped after the last one.

use libtest_mimic::Trial;

/// A test that runs a scenario to its end, on a runtime of its own.
pub(crate) fn trial<F>(name: &str, scenario: impl FnOnce() -> F + Send + 'static) -> Trial
where
    F: Future<Output = ()>,
{
    Trial::test(name, move || {
        runtime().block_on(scenario());
        Ok(())
    })
}

/// Two threads: a scenario has tasks that wait for each other.
pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
}
