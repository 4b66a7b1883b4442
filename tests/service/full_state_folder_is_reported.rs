//! A state folder that cannot be written: nothing is sent, and every check reports it.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::health::{wait_for, wait_for_sample};
use crate::not_run::not_run;
use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(60);

/// A file system of 4 MiB.
pub(crate) struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, with a line of output, where this machine does not allow mounts.
    pub(crate) fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=4m", "tmpfs"]);
        if mount(command.arg(folder.path())) {
            return Some(Self(folder));
        }
        not_run("a full state folder: mounting a file system is not allowed here");
        None
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn remount(&self, how: &str) {
        let mut command = Command::new("mount");
        command
            .args(["-o", &format!("remount,{how}")])
            .arg(self.0.path());
        assert!(command.status().expect("run mount").success());
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    pub(crate) fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("create");
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    /// Enough for a few lines, and not for a journal.
    fn make_little_room(&self) {
        let ballast = File::options().write(true).open(self.ballast());
        let ballast = ballast.expect("open");
        let length = ballast.metadata().expect("its length").len();
        ballast.set_len(length - 64 * 1024).expect("cut off");
    }

    pub(crate) fn make_room(&self) {
        std::fs::remove_file(self.ballast()).expect("remove");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

fn site_with(state_folder: &Path, relay: &str) -> Site {
    let service = format!("state_folder = {state_folder:?}\n");
    let site = Site::with_service(&service, &send_port_over(relay));
    site.listen("127.0.0.1:0");
    site
}

async fn wait_for_relayed(site: &Site, count: u32) {
    let sql = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
    site.wait_until(sql, &count.to_string(), SOON).await;
}

async fn wait_for_event(site: &Site, event: &str, count: u32) {
    let sql =
        format!("SELECT count(*) FROM EventLog WHERE EventType || ' ' || Severity = '{event}'");
    site.wait_until(&sql, &count.to_string(), SOON).await;
}

fn status_shows(site: &Site, words: &str) {
    let status = text(&site.sendport(&["status"]));
    assert!(
        status.contains("sends nothing: the state folder") && status.contains(words),
        "{status}"
    );
}

/// The instance looks at its folder every two seconds while that is full, and renews its lease twice
/// a second.
async fn several_looks(site: &Site) {
    let now = site.value("SELECT max(RenewedAt) FROM Instance");
    let later = format!(
        "SELECT max(RenewedAt) > strftime('%Y-%m-%dT%H:%M:%fZ', '{now}', '+6 seconds') FROM Instance"
    );
    site.wait_until(&later, "1", SOON).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_folder_is_reported_while_running_and_at_the_start() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = site_with(disk.0.path(), &plain_relay(sink.local_addr()));
    insert_many(&site, 3);
    let service = site.run();
    wait_for_relayed(&site, 3).await;

    let address = site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    disk.fill();
    // Nothing is sent meanwhile: it is looked at all the same.
    wait_for(address, "/readyz", 503, "the state folder").await;
    insert_many(&site, 10);
    let inserted = 13;
    wait_for(address, "/readyz", 503, "No space left").await;
    wait_for_sample(address, "sendport_spool_writable", 0.0).await;
    let output = "SELECT count(*) FROM Queue WHERE WaitingFor LIKE 'instance %: the state folder % No space left %'";
    site.wait_until(output, "1", SOON).await;
    wait_for_event(&site, "state-folder-unwritable error", 1).await;
    status_shows(
        &site,
        "No space left on device (os error 28); free space there, since 20",
    );
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains("FAIL  service.state_folder"), "{checked}");

    disk.make_little_room();
    several_looks(&site).await;
    let (status, why) = crate::health::get(address, "/readyz");
    assert_eq!(status, 503, "{why}");
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains("note  service.state_folder"), "{checked}");
    assert_eq!(sink.received(), 3);

    disk.make_room();
    wait_for_relayed(&site, u32::try_from(inserted).expect("few")).await;
    wait_for(address, "/readyz", 200, "ready").await;
    wait_for_event(&site, "state-folder-writable information", 1).await;
    wait_for_event(&site, "state-folder-unwritable error", 1).await;
    assert_eq!(site.log().matches("spool write failed").count(), 1);
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), inserted);

    disk.fill();
    insert_many(&site, 50);
    let service = site.run();
    let reported = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL AND WaitingFor LIKE 'the state folder %'";
    site.wait_until(reported, "1", SOON).await;
    wait_for(site.health_address().await, "/readyz", 503, "No space left").await;
    assert_eq!(sink.received(), inserted);
    disk.make_room();
    wait_for_relayed(&site, u32::try_from(inserted + 50).expect("few")).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}

/// It exists and is read-only: the service waits for that as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_folder_is_reported_at_the_start() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    disk.remount("ro");
    let site = site_with(disk.0.path(), "[relay.main]\nkind = \"discard\"\n");
    insert_many(&site, 1);
    let service = site.run();
    let address = site.health_address().await;
    wait_for(address, "/readyz", 503, "Read-only file system").await;
    wait_for_event(&site, "state-folder-unwritable error", 1).await;
    let queue = "SELECT count(*) FROM Queue
                 WHERE WaitingFor LIKE 'instance %: the state folder % Read-only file system % mount it for writing%'";
    site.wait_until(queue, "1", SOON).await;
    status_shows(&site, "Read-only file system");
    // Longer than a lease: it is renewed.
    several_looks(&site).await;
    several_looks(&site).await;
    status_shows(&site, "Read-only file system");
    let checked = text(&site.sendport(&["check"]));
    assert!(
        checked.contains("FAIL  service.state_folder: the state folder"),
        "{checked}"
    );
    disk.remount("rw");
    wait_for_relayed(&site, 1).await;
    wait_for(address, "/readyz", 200, "ready").await;
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains("ok    service.state_folder"), "{checked}");
    let alive = site.value("SELECT count(*) FROM Instance WHERE StoppedAt IS NULL");
    assert_eq!(alive, "1", "the instance that waited works");
    wait_for_event(&site, "state-folder-writable information", 1).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());

    // An instance that stops while it waits is gone.
    disk.remount("ro");
    let service = site.run();
    let waits = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL AND WaitingFor IS NOT NULL";
    site.wait_until(waits, "1", SOON).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(site.value(waits), "0");
}
