//! Message files that programs write into a folder, as the pickup folder of IIS takes them.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sendport::sink::Sink;

use crate::not_run::not_run;
use crate::site::{Service, Site, text};
use crate::support::received::received;
use crate::{any_port, plain_relay, send_port_over, sink_at};

const INTAKE: &str = "[intake.files]\nkind = \"pickup\"\nsettle_time = \"300ms\"\nsend_port = \"default\"\nallow_senders = \
                      [\"example.test\"]\nlocal_domain = \"example.test\"\n";

/// A site whose service takes files from the folder `pickup`.
struct Pickup {
    site: Site,
    sink: Sink,
    mails: tempfile::TempDir,
}

impl Pickup {
    async fn new() -> Self {
        let mails = tempfile::tempdir().expect("a folder");
        let sink = sink_at(any_port(), mails.path(), &[]).await;
        let more = "folder = \"pickup\"\n[intake.files.aliases]\nroot = [\"ops@example.test\"]\n";
        let settings = send_port_over(&plain_relay(sink.local_addr())) + INTAKE + more;
        let site = Site::new(&settings);
        fs::create_dir(site.path("pickup")).expect("create");
        Self { site, sink, mails }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.site.path("pickup").join(name), content).expect("write");
    }

    async fn wait_for(&self, alerts: usize) {
        let count = "SELECT count(*) FROM AlertState WHERE FinalAt IS NOT NULL";
        self.site
            .wait_until(count, &alerts.to_string(), Duration::from_secs(60))
            .await;
    }

    async fn stop(self, service: Service) {
        assert_eq!(service.stop(), Some(0), "{}", self.site.log());
        self.sink.stop().await;
    }
}

/// Those that are no lock.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|it| it.expect("an entry").path())
        .filter(|it| !it.ends_with(".lock"))
        .collect();
    files.sort();
    files
}

/// As `SmtpClient` of .NET writes it with `SpecifiedPickupDirectory`.
const DOTNET: &str = "X-Sender: app@example.test\r\nX-Receiver: ann@example.test\r\nX-Receiver: bob@example.test\r\nMIME-Version: \
     1.0\r\nFrom: app@example.test\r\nTo: ann@example.test\r\nDate: 30 Nov 2026 21:00:00 +0000\r\nSubject: from .NET\r\nContent-Type: \
     text/plain; charset=us-ascii\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nIt works=\r\n\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn each_file_is_an_alert_and_a_refused_one_says_why() {
    let pickup = Pickup::new().await;
    let site = &pickup.site;
    let checked = text(&site.sendport(&["check"]));
    assert!(checked.contains("takes files from"), "{checked}");
    let service = site.run();
    pickup.write("dotnet.eml", DOTNET);
    pickup.write(
        "header.eml",
        "From: root\nTo: root\nBcc: hidden@example.test\nSubject: from a script\n\nIt works, too\n",
    );
    pickup.write(
        "refused.eml",
        "From: app@elsewhere.test\nTo: ann@example.test\n\nNo\n",
    );
    pickup.wait_for(2).await;
    let relayed = received(pickup.mails.path());
    let relayed: Vec<_> = relayed
        .iter()
        .map(|it| String::from_utf8_lossy(it))
        .collect();
    assert_eq!(relayed.len(), 2);
    let of = |subject: &str| {
        relayed
            .iter()
            .find(|it| it.contains(subject))
            .expect("a message")
    };
    let dotnet = of("from .NET");
    assert!(
        !dotnet.contains("X-Sender") && !dotnet.contains("X-Receiver"),
        "{dotnet}"
    );
    assert!(
        dotnet.contains("(sendport pickup, user ") && dotnet.contains("\r\nIt works=\r\n"),
        "{dotnet}"
    );
    let script = of("from a script");
    assert!(
        script.contains("From: root@example.test\r\n") && !script.contains("hidden"),
        "{script}"
    );
    for (sql, value) in [
        (
            "SELECT group_concat(Address, ' ') FROM (SELECT Address FROM Recipient ORDER BY Address)",
            "ann@example.test bob@example.test hidden@example.test ops@example.test",
        ),
        (
            "SELECT group_concat(DISTINCT Origin) FROM AlertState",
            "pickup",
        ),
        (
            "SELECT group_concat(DISTINCT Intake) FROM ReceivedMessage",
            "files",
        ),
        (
            "SELECT count(*) FROM Alert WHERE Subject = 'from .NET' AND FromAddress = 'app@example.test'",
            "1",
        ),
    ] {
        assert_eq!(site.value(sql), value, "{sql}");
    }
    let badmail = files(&site.path("badmail"));
    let explained = fs::read_to_string(&badmail[1]).expect("the text");
    assert!(
        explained.contains("550 5.7.1 <app@elsewhere.test> is no reverse-path"),
        "{explained}"
    );
    assert!(files(&site.path("pickup")).is_empty() && files(&site.path("pickup-taken")).is_empty());
    assert!(site.log().contains("message refused"), "{}", site.log());
    pickup.stop(service).await;
}

/// Whenever the service is killed, each file is one row.
#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_each_file_is_one_alert() {
    const FILES: usize = 400;
    let pickup = Pickup::new().await;
    for number in 0..FILES {
        let content = DOTNET.replace("from .NET", &format!("number {number}"));
        pickup.write(&format!("{number}.eml"), &content);
    }
    let folders = ["pickup", "pickup-taken"].map(|name| pickup.site.path(name));
    let (mut kills_with_taken_files, mut kills) = (0, 0);
    // From the first look at the folder on: 300 ms later the files are taken.
    for wait in (0..).map(|kill: u64| Duration::from_millis(310 + 35 * (kill % 12))) {
        let service = pickup.site.run();
        let mut look = tokio::time::interval(Duration::from_millis(5));
        while pickup.site.log().matches("pickup started").count() == kills {
            look.tick().await;
        }
        tokio::time::sleep(wait).await;
        service.kill();
        kills += 1;
        let left = folders.each_ref().map(|folder| files(folder).len());
        kills_with_taken_files += usize::from(left[1] > 0);
        if left == [0, 0] {
            break;
        }
        assert!(kills < 60, "{left:?}");
    }
    assert!(
        kills_with_taken_files > 0,
        "no kill met a file that was taken"
    );
    // All alerts may be final already: the service has to have begun before it is stopped.
    let before = pickup.site.log().matches("instance registered").count();
    let service = pickup.site.run();
    let mut look = tokio::time::interval(Duration::from_millis(20));
    while pickup.site.log().matches("instance registered").count() == before {
        look.tick().await;
    }
    pickup.wait_for(FILES).await;
    assert_eq!(
        pickup
            .site
            .value("SELECT count(DISTINCT Subject) FROM Alert"),
        FILES.to_string()
    );
    pickup.stop(service).await;
}

/// What is wrong with a folder is found before the start.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_cannot_be_used_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let pickup = Pickup::new().await;
    let site = &pickup.site;
    fs::set_permissions(site.path("pickup"), fs::Permissions::from_mode(0o777)).expect("chmod");
    let checked = text(&site.sendport(&["check"]));
    assert!(
        checked.contains("every user of this host can write files there"),
        "{checked}"
    );
    let as_root = "the folders of intakes were checked as root";
    assert!(!checked.contains(as_root), "{checked}");
    // Only root can make it another user's.
    let (root, nobody) = (Some(0), Some(65_534));
    let state = site.path("sendport-state");
    fs::create_dir_all(&state).expect("create");
    match std::os::unix::fs::chown(&state, nobody, None) {
        Ok(()) => {
            let checked = text(&site.sendport(&["check"]));
            assert!(checked.contains(as_root), "{checked}");
            std::os::unix::fs::chown(&state, root, None).expect("chown");
        }
        Err(error) => not_run(&format!("folders that root checks: {error}")),
    }
    fs::remove_dir(site.path("pickup")).expect("remove");
    let checked = text(&site.sendport(&["check"]));
    assert!(
        checked.contains("intake.files.folder") && checked.contains("install -d"),
        "{checked}"
    );
    let run = site.sendport(&["run"]);
    assert_eq!(run.status.code(), Some(3), "{}", text(&run));
    assert!(
        text(&run).contains("intake.files.folder: "),
        "{}",
        text(&run)
    );
    pickup.sink.stop().await;
}

/// A second service with a database of its own would send some files twice.
#[tokio::test(flavor = "multi_thread")]
async fn two_databases_do_not_take_the_files_of_one_folder() {
    const FILES: usize = 50;
    let pickup = Pickup::new().await;
    let service = pickup.site.run();
    pickup
        .site
        .wait_for_log("pickup started", Duration::from_secs(30))
        .await;
    pickup.write("first.eml", DOTNET);
    pickup.wait_for(1).await;
    let folder = format!("folder = '{}'\n", pickup.site.path("pickup").display());
    let relay = plain_relay(pickup.sink.local_addr());
    let other = Site::new(&(send_port_over(&relay) + INTAKE + &folder));
    let checked = other.sendport(&["check"]);
    let output = text(&checked);
    assert!(!checked.status.success(), "{output}");
    assert!(
        output.contains("takes the files of")
            && output.contains("give each database a folder of its own"),
        "{output}"
    );
    let own = text(&pickup.site.sendport(&["check"]));
    assert!(own.contains(" does so now"), "{own}");
    let second = other.run();
    let elsewhere = "another process takes the files of the pickup folder";
    other.wait_for_log(elsewhere, Duration::from_secs(30)).await;
    for number in 0..FILES {
        pickup.write(&format!("{number}.eml"), DOTNET);
    }
    pickup.wait_for(FILES + 1).await;
    assert_eq!(other.value("SELECT count(*) FROM Alert"), "0");
    assert_eq!(second.stop(), Some(0), "{}", other.log());
    assert_eq!(received(pickup.mails.path()).len(), FILES + 1);
    pickup.stop(service).await;
}
