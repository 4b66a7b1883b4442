use serde_json::Value;

use crate::said::{Said, run};
use crate::site::Site;

const PORT: &str = "[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

/// What a run ended with, and the one document on its standard output.
#[track_caller]
fn document(site: &Site, arguments: &[&str], code: i32) -> Value {
    let said: Said = run(&site.path(""), &[arguments, &["--json"]].concat());
    assert_eq!(said.code, Some(code), "{arguments:?}: {said:?}");
    assert_eq!(said.err.is_empty(), code == 0, "{said:?}");
    serde_json::from_str(&said.out)
        .unwrap_or_else(|error| panic!("{arguments:?}: {error}: {said:?}"))
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
}

#[test]
fn what_was_done_is_a_document() {
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
    .tells(0, &[]);
    let adopted = document(&site, &["adopt", "--hold", "--environment", "other"], 0);
    let wanted = serde_json::json!({"Database": "SQLite file sendport.db", "PreviousEnvironment": "test",
        "Environment": "other", "Status": "held", "Alerts": 1});
    assert_eq!(adopted, wanted);
    let released = serde_json::json!({"Released": 1, "Refused": []});
    assert_eq!(document(&site, &["release", "1"], 0), released);
    assert_eq!(document(&site, &["release", "1"], 1)["Released"], 0);
    std::fs::remove_file(site.path("sendport.db")).expect("remove");
    let made = document(&site, &["migrate", "--create-database"], 0);
    assert_eq!(made["Created"], true);
    assert_eq!(
        made["Applied"][0],
        serde_json::json!({"Version": 1, "Name": "initial"})
    );
}
