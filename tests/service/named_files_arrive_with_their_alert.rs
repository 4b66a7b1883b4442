use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use mail_parser::{MessageParser, MimeHeaders as _};

use crate::site::{Site, text};
use crate::support::received::received;
use crate::{any_port, plain_relay, send_port_over, sink_at};

/// A send port that reads files beneath these folders.
fn with_folders(relay: &str, folders: &str) -> String {
    let port = send_port_over(relay);
    format!("{port}\n[send_port.default.attachments]\nmax_size = '1MB'\nfolders = [{folders}]\n")
}

/// The folder `folder`, which applications know as `C:\Reports`.
fn reports(folder: &Path) -> String {
    let folder = folder.display();
    format!("{{ folder = '{folder}', written_as = 'C:\\Reports', allow_principals = ['sqlite'] }}")
}

fn insert(site: &Site, list: &str) -> i64 {
    let sql = "INSERT INTO Alert (ToRecipients, Subject, Body, FileAttachments) VALUES ('ops@example.test', 'x', 'y', ?1)";
    let database = site.database();
    database.execute(sql, [list]).expect("insert");
    database.last_insert_rowid()
}

/// Name, type and bytes of each file of a message.
fn files_of(message: &[u8]) -> Vec<(String, String, Vec<u8>)> {
    let message = MessageParser::default().parse(message).expect("a message");
    let file = |part: &mail_parser::MessagePart<'_>| {
        let kind = part.content_type().expect("a type");
        let kind = format!("{}/{}", kind.ctype(), kind.subtype().unwrap_or_default());
        let name = part.attachment_name().expect("a name").to_owned();
        (name, kind, part.contents().to_vec())
    };
    message.attachments().map(file).collect()
}

/// Every attempt sends the bytes that the files had at the first one, also after they were changed and deleted, and
/// after the service was killed.
#[tokio::test(flavor = "multi_thread")]
async fn every_attempt_has_the_bytes_of_the_first() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[("ops@example.test", 2)]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = plain_relay(sink.local_addr());
    let site = Site::new(&with_folders(&relay, &reports(folder.path())));
    fs::create_dir(folder.path().join("Mai")).expect("create");
    let every: Vec<u8> = (0..=255).cycle().take(700_000).collect();
    for (name, content) in [
        ("late.pdf", &every[..]),
        ("Mai/Größe 報告 😀.csv", "order;späť\r\n".as_bytes()),
        ("empty.txt", b""),
        ("not named.txt", b"x"),
    ] {
        fs::write(folder.path().join(name), content).expect("write");
    }
    let id = insert(
        &site,
        r"C:\Reports\late.pdf; c:\reports\Mai\Größe 報告 😀.csv;;C:/Reports/empty.txt",
    );
    let preview = site.sendport(&["preview", &id.to_string(), "--raw"]);
    assert!(preview.status.success(), "{}", text(&preview));
    assert_eq!(site.value("SELECT count(*) FROM Attachment"), "0");

    let service = site.run();
    let tried = "SELECT AttemptCount >= 1 FROM AlertState";
    site.wait_until(tried, "1", Duration::from_secs(60)).await;
    service.kill();
    assert_eq!(
        site.value("SELECT count(*) FROM AlertState WHERE FilesStoredAt IS NOT NULL"),
        "1"
    );
    fs::write(folder.path().join("late.pdf"), "something else").expect("write");
    fs::remove_dir_all(folder.path().join("Mai")).expect("remove");
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));

    let arrived = received(mails.path());
    assert!(arrived == [preview.stdout], "the preview differs");
    let kind = |it: &str| it.to_owned();
    let files = files_of(&arrived[0]);
    assert!(
        files
            == [
                (kind("late.pdf"), kind("application/pdf"), every),
                (
                    kind("Größe 報告 😀.csv"),
                    kind("text/csv"),
                    "order;späť\r\n".into()
                ),
                (kind("empty.txt"), kind("text/plain"), Vec::new()),
            ],
        "{:?}",
        files
            .iter()
            .map(|(name, kind, content)| (name, kind, content.len()))
            .collect::<Vec<_>>()
    );
    sink.stop().await;
}

/// SIGKILL while files are stored: each alert has all of its files or none, and each arrives with all of them.
#[tokio::test(flavor = "multi_thread")]
async fn a_kill_leaves_all_files_of_an_alert_or_none() {
    const ALERTS: usize = 150;
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let relay = plain_relay(sink.local_addr());
    let site = Site::new(&with_folders(&relay, &reports(folder.path())));
    for name in ["a.bin", "b.bin", "c.bin"] {
        fs::write(folder.path().join(name), vec![0; 50_000]).expect("write");
    }
    for _ in 0..ALERTS {
        insert(&site, r"C:\Reports\a.bin;C:\Reports\b.bin;C:\Reports\c.bin");
    }
    let torn = "SELECT count(*) FROM AlertState s WHERE 3 * (s.FilesStoredAt IS NOT NULL)
                <> (SELECT count(*) FROM Attachment t WHERE t.AlertId = s.AlertId)";
    for share in 1..=3 {
        let service = site.run();
        let stored = format!(
            "SELECT count(*) >= {} FROM AlertState WHERE FilesStoredAt IS NOT NULL",
            share * 40
        );
        site.wait_until(&stored, "1", Duration::from_secs(60)).await;
        service.kill();
        assert_eq!(site.value(torn), "0");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(90)).await;
    assert_eq!(service.stop(), Some(0));
    assert_eq!(site.value(torn), "0");
    let relayed = "SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'";
    assert_eq!(site.value(relayed), ALERTS.to_string());
    let arrived = received(mails.path());
    assert!(arrived.len() >= ALERTS, "{} arrived", arrived.len());
    assert!(arrived.iter().all(|message| files_of(message).len() == 3));
    sink.stop().await;
}

/// Lists of files, the key of the refusal, and a part of its text. `{others}` is a folder that another login may use.
const REFUSED: &[(&str, &str, &str)] = &[
    (
        "{others}/late.pdf",
        "file-not-allowed",
        "is in no folder that the send port 'default' names for the login 'sqlite'",
    ),
    (
        "{others}/missing.pdf",
        "file-not-allowed",
        "is in no folder that the send port 'default' names for the login 'sqlite'",
    ),
    (
        r"\\files\others\late.pdf",
        "file-not-allowed",
        "is in no folder that the send port",
    ),
    (
        r"\\files\c$\late.pdf",
        "file-not-allowed",
        "is in no folder that the send port",
    ),
    (
        r"C:\Reports\..\others\late.pdf",
        "file-not-allowed",
        "contains '..'",
    ),
    ("late.pdf", "file-not-allowed", "is no absolute path"),
    (
        r"C:\Reports\others\late.pdf",
        "file-not-allowed",
        "'others' is a link",
    ),
    (
        r"C:\Reports\link.pdf",
        "file-not-allowed",
        "'link.pdf' is a link",
    ),
    (r"C:\Reports\second.pdf", "file-not-allowed", "hard links"),
    (r"C:\Reports\pipe", "file-not-allowed", "it is a pipe"),
    (r"C:\Reports", "file-not-allowed", "it is a folder"),
    (
        r"C:\Reports\Late.PDF",
        "file-missing",
        "there is no such file",
    ),
    (
        r"C:\Reports\large.bin",
        "attachment-too-large",
        "'large.bin' has 1000001 bytes",
    ),
    (
        r"C:\Reports\setup.exe",
        "attachment-forbidden",
        "takes no .exe files",
    ),
    (
        r"C:\Reports\late.pdf;C:\Reports\none.pdf",
        "file-missing",
        r"'C:\Reports\none.pdf': there is no such file",
    ),
];

/// Files of every kind in the folder `reports`, and one in the folder `others`.
fn files_of_every_kind(place: &Path) -> [PathBuf; 2] {
    let folders = ["reports", "others"].map(|name| place.join(name));
    for it in &folders {
        fs::create_dir(it).expect("create");
        fs::write(it.join("late.pdf"), "late").expect("write");
    }
    let [folder, others] = &folders;
    fs::write(folder.join("large.bin"), vec![0; 1_000_001]).expect("write");
    fs::write(folder.join("setup.exe"), "x").expect("write");
    fs::hard_link(others.join("late.pdf"), folder.join("second.pdf")).expect("link");
    symlink(others, folder.join("others")).expect("link");
    symlink("late.pdf", folder.join("link.pdf")).expect("link");
    let pipe = Command::new("mkfifo").arg(folder.join("pipe")).status();
    assert!(pipe.expect("run mkfifo").success());
    folders
}

/// A path that the login may not name fails its alert with the path, the rule and what to do, whether a file is there
/// or not; and nothing is sent.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_login_may_not_have_is_refused() {
    let place = tempfile::tempdir().expect("a folder");
    let [folder, others] = files_of_every_kind(place.path());
    let others = others.display().to_string();
    let folders = format!(
        r"{}, {{ folder = '{others}', written_as = '\\files\others', allow_principals = ['night'] }}",
        reports(&folder)
    );
    let site = Site::new(&with_folders(
        "[relay.main]\nkind = \"discard\"\n",
        &folders,
    ));
    for (list, ..) in REFUSED {
        insert(&site, &list.replace("{others}", &others));
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    for (id, (list, key, why)) in (1..).zip(REFUSED) {
        let of = |column: &str, table: &str| {
            site.value(&format!(
                "SELECT {column} FROM {table} WHERE AlertId = {id}"
            ))
        };
        let reason = of("StatusReason", "AlertStatus");
        assert!(reason.contains(why), "{list}: {reason}");
        assert_eq!(of("ExplanationKey", "Recipient"), *key, "{list}");
        assert_eq!(of("Status", "AlertStatus"), "failed", "{list}");
        for verb in ["why", "preview"] {
            let shown = text(&site.sendport(&[verb, &id.to_string()]));
            assert!(shown.contains(why), "{list}: {shown}");
        }
    }
    assert_eq!(site.value("SELECT count(*) FROM Attachment"), "0");
    assert_eq!(site.value("SELECT count(*) FROM Attempt"), "0");
}

/// While the folder is away the alert waits, says so, and is sent when it is back.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_is_away_is_waited_for() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let place = tempfile::tempdir().expect("a folder");
    let folder = place.path().join("reports");
    let relay = plain_relay(sink.local_addr());
    let site = Site::new(&with_folders(&relay, &reports(&folder)));
    insert(&site, r"C:\Reports\late.pdf");
    let checked = text(&site.sendport(&["check", "--offline"]));
    let away = format!("'{}' cannot be used", folder.display());
    assert!(checked.contains(&away), "{checked}");

    let service = site.run();
    let waits = r"SELECT EXISTS (SELECT 1 FROM AlertState WHERE Status = 'queued' AND AttemptCount = 0
                  AND StatusReason LIKE 'waits for its files: ''C:\Reports\late.pdf'': the folder cannot be opened%')";
    site.wait_until(waits, "1", Duration::from_secs(60)).await;
    let unready = place.path().join("unready");
    fs::create_dir(&unready).expect("create");
    fs::write(unready.join("late.pdf"), "late").expect("write");
    fs::rename(&unready, &folder).expect("rename");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    assert_eq!(service.stop(), Some(0));
    let files = files_of(&received(mails.path())[0]);
    assert_eq!(files[0].2, b"late");
    let checked = text(&site.sendport(&["check", "--offline"]));
    let fine = format!(r"'C:\Reports' is '{}', for sqlite", folder.display());
    assert!(checked.contains(&fine), "{checked}");
    sink.stop().await;
}
