use std::collections::BTreeSet;

use crate::send_port_over;
use crate::site::{Site, text};
use crate::tsql::{run, server};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

fn files(site: &Site) -> BTreeSet<String> {
    let entries = std::fs::read_dir(site.path("")).expect("the folder");
    let name = |entry: std::io::Result<std::fs::DirEntry>| {
        entry
            .expect("a file")
            .file_name()
            .to_string_lossy()
            .into_owned()
    };
    entries.map(name).collect()
}

#[test]
fn a_sqlite_file_is_fit_and_nothing_stays() {
    let site = Site::new(&send_port_over(DISCARD));
    let before = files(&site);
    let verified = site.sendport(&["verify", "--alerts", "60"]);
    let output = text(&verified);
    assert!(verified.status.success(), "{output}");
    for wanted in [
        "journal mode wal",
        "take-over: an ended lease was taken over",
        "expiry: an alert expired",
        "records: 60 of 60 alerts were recorded",
        "claims: 60 alerts, claimed by two instances with two claims at a time: none twice",
        "purge: ",
        "\nfit",
    ] {
        assert!(output.contains(wanted), "'{wanted}' is not in:\n{output}");
    }
    assert_eq!(files(&site), before);
    assert_eq!(site.value("SELECT count(*) FROM Alert"), "0");

    let named = site.sendport(&["verify", "--database", "other"]);
    assert_eq!(named.status.code(), Some(3), "{}", text(&named));
    assert!(text(&named).contains("--database names a database of SQL Server"));
}

/// On the T-SQL engine, in a database that `verify` creates, and in one that exists.
#[tokio::test]
async fn a_database_server_is_proved_and_nothing_stays() {
    let Some(server) = server() else { return };
    let named = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let empty = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={named}");
    let site = Site::on(&own, &send_port_over(DISCARD));
    run(&server, &format!("CREATE DATABASE {empty}"))
        .await
        .expect("create the database");
    let scratch = "SELECT COUNT(*) FROM sys.databases WHERE LEFT(name, 16) = N'sendport_verify_'";
    let before = run(&server, scratch).await.expect("count");
    let refused = site.sendport(&["verify", "--database", &named]);
    assert_eq!(refused.status.code(), Some(4), "{}", text(&refused));
    let output = text(&refused);
    assert!(
        output.contains("--database needs one without tables"),
        "{output}"
    );

    for arguments in [
        &["verify", "--alerts", "60"][..],
        &["verify", "--alerts", "60", "--database", &empty],
    ] {
        let verified = site.sendport(arguments);
        let output = text(&verified);
        assert!(verified.status.success(), "{output}");
        for wanted in [
            "compatibility level",
            "take-over: an ended lease was taken over",
            "expiry: an alert expired",
            "records: 60 of 60 alerts were recorded",
            "claimed by two instances with two claims at a time: none twice",
            "locks of applications: ",
            "purge: ",
            "ghosts: ",
            "persistent version store: ",
            "log: ",
            "availability groups: ",
        ] {
            assert!(output.contains(wanted), "'{wanted}' is not in:\n{output}");
        }
        assert!(!output.contains("FAIL"), "{output}");
    }
    let left = run(&server, scratch).await.expect("count");
    assert_eq!(left, before);
    let own = format!("{server};Database={empty}");
    let left = "SELECT (SELECT COUNT(*) FROM sys.tables) + (SELECT COUNT(*) FROM sys.schemas WHERE name = N'sendport')";
    let left = run(&own, left).await.expect("count");
    assert_eq!(left.as_deref(), Some("0"));
    for database in [named, empty] {
        run(&server, &format!("DROP DATABASE {database}"))
            .await
            .expect("drop the database");
    }
}
