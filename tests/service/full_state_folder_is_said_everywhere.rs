//! A state folder that cannot be written: nothing is sent, and everybody who asks is told.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::health::{wait_for, wait_for_sample};
use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at};

const SOON: Duration = Duration::from_secs(30);

/// A file system of 64 KiB.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None`, said in a line, where this machine lets nobody mount.
    #[expect(clippy::print_stderr, reason = "what did not run has to be seen")]
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mount = |command: &mut Command| command.status().is_ok_and(|status| status.success());
        let mut command = Command::new("mount");
        command.args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]);
        if mount(command.arg(folder.path())) {
            return Some(Self(folder));
        }
        eprintln!("not tested: nobody may mount a file system here");
        None
    }

    fn remount(&self, how: &str) {
        let mut command = Command::new("mount");
        command
            .args(["-o", &format!("remount,{how}")])
            .arg(self.0.path());
        assert!(command.status().expect("run mount").success());
    }

    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    fn fill(&self) {
        let mut file = File::create(self.ballast()).expect("create");
        while file.write_all(&[0; 1024]).is_ok() {}
    }

    fn make_room(&self) {
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

#[tokio::test(flavor = "multi_thread")]
async fn a_full_one_while_it_works_and_at_the_start() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), folder.path(), &[]).await;
    let site = site_with(disk.0.path(), &plain_relay(sink.local_addr()));
    insert_many(&site, 3);
    let service = site.run();
    wait_for_relayed(&site, 3).await;

    disk.fill();
    // What is left of the last page may take a note or two.
    let mut inserted = 3;
    let address = site.health_address().await;
    while crate::health::get(address, "/readyz").0 == 200 {
        insert_many(&site, 10);
        inserted += 10;
        let settled = "SELECT (SELECT WaitingFor FROM Instance) IS NOT NULL
                       OR NOT EXISTS (SELECT 1 FROM AlertState WHERE FinalAt IS NULL)";
        site.wait_until(settled, "1", SOON).await;
    }
    wait_for(address, "/readyz", 503, "spool: the state folder").await;
    wait_for(address, "/readyz", 503, "No space left").await;
    wait_for_sample(address, "sendport_spool_writable", 0.0).await;
    let said = "SELECT count(*) FROM Queue WHERE WaitingFor LIKE 'instance %: the state folder % No space left %'";
    site.wait_until(said, "1", SOON).await;
    wait_for_event(&site, "state-folder-unwritable error", 1).await;
    let status = text(&site.sendport(&["status"]));
    assert!(
        status.contains("sends nothing: the state folder"),
        "{status}"
    );
    let before = sink.received();
    assert!(before < inserted, "{before} of {inserted}");

    disk.make_room();
    wait_for_relayed(&site, u32::try_from(inserted).expect("few")).await;
    wait_for(address, "/readyz", 200, "ready").await;
    wait_for_event(&site, "state-folder-writable information", 1).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    assert_eq!(sink.received(), inserted);

    disk.fill();
    // More than the pages have room for that files of the last run gave back.
    insert_many(&site, 50);
    let service = site.run();
    let told = "SELECT count(*) FROM Instance WHERE StoppedAt IS NULL AND WaitingFor LIKE 'the state folder %'";
    site.wait_until(told, "1", SOON).await;
    wait_for(site.health_address().await, "/readyz", 503, "No space left").await;
    let before = sink.received();
    assert!(before < inserted + 50, "{before} of {}", inserted + 50);
    disk.make_room();
    wait_for_relayed(&site, u32::try_from(inserted + 50).expect("few")).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());
    sink.stop().await;
}

/// It is there, and nobody may write to it: the service waits for that as well.
#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_one_at_the_start() {
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
    assert_eq!(service.stop(), Some(0), "{}", site.log());
}
