use std::process::Command;
use std::time::Duration;

use serde_json::Value;

use crate::program::{ProgramOutput, run};
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

/// What a run ended with, and the one document on its standard output.
#[track_caller]
fn document(site: &Site, arguments: &[&str], code: i32) -> Value {
    let printed: ProgramOutput = run(&site.path(""), &[arguments, &["--json"]].concat());
    assert_eq!(printed.code, Some(code), "{arguments:?}: {printed:?}");
    assert_eq!(printed.err.is_empty(), code == 0, "{printed:?}");
    serde_json::from_str(&printed.out)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {printed:?}"))
}

/// The findings of a result, each with its text.
fn of_result<'a>(document: &'a Value, result: &str) -> Vec<(&'a str, &'a str)> {
    let all = document["Findings"].as_array().expect("findings");
    let text = |it: &'a Value, key| it[key].as_str().expect("a text");
    let of_result = all.iter().filter(|it| it["Result"] == result);
    of_result
        .map(|it| (text(it, "What"), text(it, "Text")))
        .collect()
}

#[test]
fn a_check_that_finds_nothing_and_one_that_fails() {
    let site = Site::new(PORT);
    let fine = document(&site, &["check"], 0);
    assert_eq!(fine["Failed"], 0);
    assert!(
        of_result(&fine, "ok").contains(&("relay.main", "ready")),
        "{fine}"
    );
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("[\"main\"]", "[\"mian\"]")).expect("write");
    let wrong = document(&site, &["check", "--offline"], 3);
    assert_eq!(wrong["Failed"], 1);
    let failed = of_result(&wrong, "fail");
    assert_eq!(failed[0].0, "send_port.default.relays");
    assert!(failed[0].1.contains("there is no [relay.mian]"), "{wrong}");
    std::fs::remove_file(site.config()).expect("remove");
    let none = document(&site, &["check"], 3);
    assert_eq!(of_result(&none, "fail")[0].0, "configuration");
}

#[test]
fn templates_are_checked_imported_and_exported() {
    let site = Site::new(PORT);
    let folder = site.path("templates");
    std::fs::create_dir(&folder).expect("create");
    let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).expect("write");
    write("late.txt.j2", "{{ 1 }}");
    write("count.txt.j2", "{% for i in range(n) %}x{% endfor %}");
    let checked = document(&site, &["template", "check", "templates"], 0);
    assert_eq!(of_result(&checked, "ok"), [("late", "needs no payload")]);
    let (name, why) = of_result(&checked, "note")[0];
    assert_eq!(name, "count");
    assert!(why.ends_with("add 'count.sample.json'"), "{why}");
    let imported = document(&site, &["template", "import", "templates"], 0);
    let change = &imported["Changes"][1];
    assert_eq!(
        *change,
        serde_json::json!({"Change": "new", "Name": "late", "Language": "", "Version": 1})
    );
    assert_eq!(of_result(&imported, "note").len(), 1);
    let exported = document(&site, &["template", "export", "out"], 0);
    assert_eq!(exported["Written"][0], "out/count.txt.j2");
    write("late.txt.j2", "{{ 1 / 0 }}");
    for verb in ["check", "import"] {
        let failed = document(&site, &["template", verb, "templates"], 1);
        assert_eq!(failed["Failed"], 1);
        assert_eq!(of_result(&failed, "fail")[0].0, "late");
    }
    let none = document(&site, &["cert", "check"], 0);
    assert_eq!(none, serde_json::json!({"Failed": 0, "Findings": []}));
    let of_one = document(&site, &["cert", "check", "nocert@x.com"], 1);
    let (address, why) = of_result(&of_one, "fail")[0];
    assert_eq!(address, "nocert@x.com");
    assert!(
        why.starts_with("there is no certificate for this address"),
        "{why}"
    );
}

#[test]
fn each_change_prints_one_document() {
    let site = Site::new(PORT);
    let current = document(&site, &["migrate"], 0);
    assert_eq!(current["Applied"], serde_json::json!([]));
    assert_eq!(current["Environment"], "test");
    let other = document(&site, &["migrate", "--environment", "production"], 4);
    assert_eq!(other["Environment"], "test");
    run(
        &site.path(""),
        &["send", "--to", "ops@example.test", "--subject", "x"],
    )
    .prints(0, &[]);
    let adopted = document(&site, &["adopt", "--hold", "--environment", "other"], 0);
    let wanted = serde_json::json!({"Database": "SQLite file sendport.db", "PreviousEnvironment": "test",
        "Environment": "other", "Status": "held", "Alerts": 1,
        "WereRunning": []});
    assert_eq!(adopted, wanted);
    let released = serde_json::json!({"RequestId": 1, "Verb": "release", "Applied": 1, "Purged": 0, "Refused": [],
        "Done": true});
    assert_eq!(document(&site, &["release", "1"], 0), released);
    run(&site.path(""), &["release", "1", "--json"]).prints(1, &["alert 1 is not held"]);
    let counted = serde_json::json!({"Verb": "cancel", "Alerts": 1,
        "Matches": [{"SendPort": "default", "Status": "queued", "Alerts": 1}]});
    assert_eq!(
        document(&site, &["cancel", "--all", "--dry-run"], 0),
        counted
    );
    assert_eq!(document(&site, &["hold", "1"], 0)["Applied"], 1);
    assert_eq!(document(&site, &["cancel", "--all"], 0)["Applied"], 1);
    assert_eq!(document(&site, &["requeue", "1"], 0)["Applied"], 1);
    let redirect = ["redirect", "--to", "qa@example.test", "--all"];
    assert_eq!(document(&site, &redirect, 0)["RequestId"], 5);
    let requests = document(&site, &["requests"], 0);
    assert_eq!(requests[0]["RedirectTo"], "qa@example.test");
    let verbs: Vec<_> = requests
        .as_array()
        .expect("a list")
        .iter()
        .map(|it| &it["Verb"])
        .collect();
    assert_eq!(verbs, ["redirect", "requeue", "cancel", "hold", "release"]);
    std::fs::remove_file(site.path("sendport.db")).expect("remove");
    let made = document(&site, &["migrate", "--create-database"], 0);
    assert_eq!(made["Created"], true);
    assert_eq!(
        made["Applied"][0],
        serde_json::json!({"Version": 1, "Name": "initial"})
    );
}

/// A certificate that names an address.
fn certificate(site: &Site) {
    let config = "[req]\ndistinguished_name = name\nx509_extensions = more\n[name]\n[more]\nbasicConstraints = CA:FALSE\n\
        subjectAltName = email:ops@example.test\nkeyUsage = keyAgreement\n";
    std::fs::write(site.path("openssl.cnf"), config).expect("write");
    let mut openssl = Command::new("openssl");
    openssl.args([
        "req",
        "-x509",
        "-config",
        "openssl.cnf",
        "-subj",
        "/CN=Ops",
        "-nodes",
    ]);
    openssl.args(["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    openssl.args(["-keyout", "key.pem", "-out", "ops.pem"]);
    let made = openssl.current_dir(site.path("")).output();
    let made = made.expect("run openssl");
    assert!(made.status.success(), "{made:?}");
}

#[test]
fn certificates_come_and_go() {
    let site = Site::new(PORT);
    certificate(&site);
    std::fs::write(site.path("bad.pem"), "no certificate").expect("write");
    let imported = document(&site, &["cert", "import", "ops.pem", "bad.pem"], 1);
    let all = &imported["Imported"];
    assert_eq!(
        (&all[0]["Result"], &all[0]["Address"]),
        (&"added".into(), &"ops@example.test".into())
    );
    assert_eq!(
        (&all[1]["Result"], &all[1]["Source"]),
        (&"fail".into(), &"bad.pem".into())
    );
    assert!(
        all[1]["Reason"]
            .as_str()
            .is_some_and(|why| why.starts_with("bad.pem: ")),
        "{all}"
    );
    let thumbprint = document(&site, &["cert", "list"], 0)[0]["Thumbprint"].clone();
    let revoked = document(
        &site,
        &["cert", "revoke", thumbprint.as_str().expect("text")],
        0,
    );
    assert_eq!(revoked[0]["Thumbprint"], thumbprint);
    let checked = document(&site, &["cert", "check"], 1);
    assert_eq!(of_result(&checked, "fail")[0].0, "ops@example.test");
    let removed = document(&site, &["cert", "remove", "ops@example.test"], 0);
    assert_eq!(removed[0]["Thumbprint"], thumbprint);
    assert_eq!(document(&site, &["cert", "list"], 0), serde_json::json!([]));
}

#[test]
fn a_purge_shows_what_it_deletes() {
    let site = Site::new(PORT);
    let database = site.database();
    database
        .execute_batch(
            "PRAGMA foreign_keys = ON;
             INSERT INTO Alert (ToRecipients, Body) VALUES ('ops@contoso.com', 'It is late'), ('ops@contoso.com', 'So what');
             UPDATE AlertState SET Status = 'relayed', DueAt = NULL,
                 FinalAt = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-' || (20 * AlertId) || ' days');",
        )
        .expect("alerts");
    let count = |query: &str| -> i64 {
        database
            .query_row(query, [], |row| row.get(0))
            .expect("count")
    };
    let would = document(&site, &["purge", "--dry-run"], 0);
    assert_eq!(would["Groups"][0]["Bodies"], 1, "{would}");
    assert_eq!(would["Groups"][0]["Alerts"], 0);
    assert_eq!(count("SELECT count(*) FROM Alert WHERE Body IS NULL"), 0);
    let bodies = document(&site, &["purge", "--older-than", "10d", "--bodies-only"], 0);
    assert_eq!(
        (
            bodies["Groups"][0]["Bodies"].clone(),
            bodies["Rows"].clone()
        ),
        (2.into(), 2.into())
    );
    let all = document(
        &site,
        &["purge", "--older-than", "30d", "--status", "relayed"],
        0,
    );
    assert_eq!(all["Groups"][0]["Alerts"], 1, "{all}");
    assert_eq!(count("SELECT count(*) FROM Alert"), 1);
    assert_eq!(all["RequestIds"], serde_json::json!([2]));
    let done = "SELECT count(*) FROM EventLog WHERE EventType = 'request-done'";
    assert_eq!(count(done), 2);
    let none = document(&site, &["purge", "--send-port", "billing"], 0);
    assert_eq!(none["Groups"], serde_json::json!([]));
}

#[tokio::test]
async fn health_is_a_document() {
    let site = Site::watched(PORT);
    let service = site.run();
    let address = site.health_address().await.to_string();
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("127.0.0.1:0", &address)).expect("write");
    let there = "SELECT count(*) FROM SendPort";
    site.wait_until(there, "1", Duration::from_secs(60)).await;
    let alive = document(&site, &["health", "--alive"], 0);
    assert_eq!(alive, serde_json::json!({"Ok": true, "Text": "alive"}));
    assert_eq!(service.stop(), Some(0));
    let dead = document(&site, &["health"], 1);
    assert_eq!(dead["Ok"], false);
    assert!(
        dead["Text"]
            .as_str()
            .is_some_and(|text| text.contains("does not answer")),
        "{dead}"
    );
}

/// And the page that lists them lists each.
#[test]
fn every_verb_that_shows_something_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/operations.md");
    let page = std::fs::read_to_string(page).expect("read");
    for verb in [
        "config show",
        "migrate",
        "adopt",
        "probe",
        "check",
        "send",
        "test-mail",
        "status",
        "why",
        "verify",
        "preview",
        "health",
        "purge",
        "cancel",
        "hold",
        "release",
        "requeue",
        "redirect",
        "requests",
        "resolve",
        "template import",
        "template export",
        "template list",
        "template check",
        "cert import",
        "cert list",
        "cert check",
        "cert revoke",
        "cert remove",
    ] {
        let words: Vec<_> = verb.split(' ').chain(["--help"]).collect();
        run(folder.path(), &words).prints(0, &["--json"]);
        assert!(
            page.contains(&format!("`{verb}`")),
            "{verb} is not in docs/operations.md"
        );
    }
}
