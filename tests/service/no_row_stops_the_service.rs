use std::fmt::Write as _;
use std::time::Duration;

use rusqlite::{Connection, params};

use crate::site::{Site, text};
use crate::{any_port, insert_many, plain_relay, send_port_over, sink_at, write_templates};

/// Bytes that the service, and each process that it starts, may take.
const MEMORY: u64 = 512 << 20;

/// What templates try, and a part of the reason that their alert then has.
fn hostile_templates() -> Vec<(&'static str, String, &'static str)> {
    // Memory or time: which of them ends first depends on the machine.
    const MUCH: &str = "takes more than";
    let line = "y".repeat(4000);
    let grow = |start: &str, step: &str| {
        format!(
            "{{% set v = namespace(x={start}) %}}{{% for i in range(60) %}}{{% set v.x = {step} %}}{{% endfor %}}"
        )
    };
    let nest = |open: &str, close: &str| {
        format!(
            "{{{{ {}1{} }}}}",
            open.repeat(100_000),
            close.repeat(100_000)
        )
    };
    let shared = grow("[1]", "[v.x, v.x]");
    vec![
        ("doubled", grow("'x'", "v.x ~ v.x"), MUCH),
        ("added", grow("'x'", "v.x + v.x"), MUCH),
        ("repeated", "{% set x = 'x' * 99999999 %}{{ (x ~ x ~ x ~ x) | length }}".to_owned(), MUCH),
        ("constant", "{{ ('x' * 99999999 ~ 'x' * 99999999 ~ 'x' * 99999999) | length }}".to_owned(), MUCH),
        ("captured", format!("{{% set x %}}{{% for i in range(99999) %}}{line}{{% endfor %}}{{% endset %}}"), MUCH),
        ("filtered", format!("{{% filter upper %}}{{% for i in range(99999) %}}{line}{{% endfor %}}{{% endfilter %}}"), MUCH),
        ("joined", grow("'xxxx'", "v.x | join(v.x)"), MUCH),
        ("replaced", grow("'xx'", "v.x | replace('x', v.x)"), MUCH),
        ("indented", grow("'x\n'", "(v.x ~ v.x) | indent(99999999)"), MUCH),
        ("formatted", "{{ '%999999999s' | format('x') }}".to_owned(), MUCH),
        ("listed", "{{ ([1] * 99999999) | list | sort | length }}".to_owned(), MUCH),
        ("batched", "{% for b in range(99999) | batch(9999999, 'x') %}{% set y = b | batch(99999999, b) | list %}{% endfor %}".to_owned(), MUCH),
        ("ranges",
         "{% set v = namespace(x=[]) %}{% for i in range(9999) %}{% set v.x = v.x + [range(99999) | list] %}{% endfor %}".to_owned(),
         MUCH),
        ("nested", "{% set v = namespace(x=1) %}{% for i in range(9999) %}{% for j in range(30) %}{% set v.x = [v.x] %}{% endfor %}{% endfor %}".to_owned(), MUCH),
        ("compared", format!("{shared}{}{{{{ v.x == w.x }}}}", shared.replace("v.x", "w.x").replace("set v ", "set w ")), MUCH),
        ("as-json", format!("{shared}{{{{ v.x | tojson | length }}}}"), MUCH),
        ("as-text", format!("{shared}{{% set y = v.x ~ '' %}}"), MUCH),
        ("macro", "{% macro m(x) %}{{ m(x ~ x) }}{% endmacro %}{{ m('x' * 999999) }}".to_owned(), "template"),
        ("included", "{% set x = 'x' %}{% include '_self.txt.j2' %}".to_owned(), "recursion limit"),
        ("loops", "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}".to_owned(), "fuel"),
        ("output", format!("{{% for a in range(9999) %}}{line}{{% endfor %}}"), "4 MiB"),
        ("signs", nest("-", ""), MUCH),
        ("brackets", nest("[", "]"), "recursion limits"),
        ("attributes", nest("", ".b"), MUCH),
        ("chain", nest("", " + 1"), MUCH),
    ]
}

/// An alert for each of them in the database, which nothing has checked.
fn insert_hostile_templates(database: &Connection) {
    database
        .execute_batch(
            "INSERT INTO TemplateChange (Version, CreatedAt) VALUES (1, '2026-03-01T09:05:07.000Z');
             INSERT INTO Template (Name, Language, Version, Text) VALUES
                 ('_self', '', 1, '{% set x = x ~ x %}{% include ''_self.txt.j2'' %}'),
                 ('good', '', 1, 'Order {{ order }} is late.');",
        )
        .expect("insert");
    for (name, source, _) in hostile_templates() {
        let row = "INSERT INTO Template (Name, Language, Version, Text) VALUES (?1, '', 1, ?2)";
        let alert = "INSERT INTO Alert (ToRecipients, Subject, Template, Payload, Reference)
                     VALUES ('user1@example.test', 's', ?1, '{}', ?1)";
        database
            .execute(row, params![name, source])
            .expect("insert");
        database.execute(alert, [name]).expect("insert");
    }
}

/// Columns that are long, deep or many, and a part of the reason that their alert then has.
fn hostile_columns() -> Vec<(&'static str, &'static str, String, &'static str)> {
    const MANY: usize = 1 << 20;
    let mut addresses = String::new();
    for n in 0..MANY / 4 {
        let _ = write!(addresses, "user{n}@example.test;");
    }
    vec![
        ("deep-payload", "Payload", "[".repeat(MANY), "not JSON"),
        (
            "deep-member",
            "Payload",
            format!("{{\"a\":{}", "[".repeat(MANY)),
            "not JSON",
        ),
        (
            "wide-payload",
            "Payload",
            format!("{{\"a\":[{}0]}}", "0,".repeat(4 * MANY)),
            "of memory",
        ),
        (
            "deep-headers",
            "Headers",
            format!("{{\"X-A\":{}", "[".repeat(MANY)),
            "not JSON",
        ),
        (
            "long-header",
            "Headers",
            format!("{{\"X-A\":\"{}\"}}", "v".repeat(MANY)),
            "16 KiB",
        ),
        (
            "many-addresses",
            "ToRecipients",
            addresses,
            "more than 10000",
        ),
        (
            "long-address",
            "ToRecipients",
            "(".repeat(MANY),
            "not a mail address",
        ),
    ]
}

fn insert_hostile_columns(database: &Connection) {
    for (reference, column, value, _) in hostile_columns() {
        let template = if column == "Payload" { "good" } else { "" };
        let (to, column) = match column {
            "ToRecipients" => ("?3", "Body"),
            column => ("'user1@example.test'", column),
        };
        let sql = format!(
            "INSERT INTO Alert (ToRecipients, Subject, Template, Reference, {column})
             VALUES ({to}, 's', nullif(?1, ''), ?2, ?3)"
        );
        let inserted = database.execute(&sql, params![template, reference, value]);
        assert_eq!(inserted.expect("insert"), 1);
    }
}

/// HTML that takes hundreds of times its length while it is laid out: sent all the same.
fn insert_wide_html(database: &Connection) {
    let sql = "INSERT INTO Alert (ToRecipients, Subject, BodyFormat, Body, Reference)
               VALUES ('user1@example.test', 's', 'html', ?1, 'order-html')";
    for html in ["<td>x", "<tr><td>x", "<div>", "<a href=x>y</a>", "<ol><li>"] {
        let html = format!("<table><tr>{}", html.repeat(512 * 1024 / html.len()));
        assert_eq!(database.execute(sql, [html]).expect("insert"), 1);
    }
}

/// Every kind of row that takes more than there is fails with a reason, under a limit on memory,
/// and a hundred good alerts beside them are relayed by the same process.
#[tokio::test]
async fn no_row_stops_the_service() {
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let site = Site::new(&send_port_over(&plain_relay(sink.local_addr())));
    let database = site.database();
    insert_many(&site, 50);
    insert_hostile_templates(&database);
    insert_hostile_columns(&database);
    insert_wide_html(&database);
    insert_many(&site, 45);
    database
        .execute_batch(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5)
             INSERT INTO Alert (ToRecipients, Subject, Template, Payload, Reference)
             SELECT 'user1@example.test', 's', 'good', '{\"order\": 4711}', 'order-' || i FROM n;",
        )
        .expect("insert");
    let service = site.run_within(MEMORY);
    site.wait_until_all_final(Duration::from_secs(300)).await;
    let log = site.log();
    assert_eq!(service.stop(), Some(0), "{log}");
    assert_eq!(log.matches("instance registered").count(), 1, "{log}");

    let good =
        "SELECT count(*) FROM AlertStatus WHERE Reference LIKE 'order-%' AND Status = 'relayed'";
    assert_eq!(site.value(good), "105");
    let templates = hostile_templates()
        .into_iter()
        .map(|(name, _, why)| (name, why));
    let columns = hostile_columns()
        .into_iter()
        .map(|(name, _, _, why)| (name, why));
    for (reference, why) in templates.chain(columns) {
        let reason = site.value(&format!(
            "SELECT coalesce(max(Reason), '') FROM FailedDelivery WHERE Reference = '{reference}'"
        ));
        assert!(reason.contains(why), "{reference}: {reason}");
    }
    assert_eq!(sink.received(), 105);
}

/// What would fail every alert is not imported, and the import says why in a sentence.
#[test]
fn an_import_refuses_a_template_that_takes_too_much() {
    let site = Site::new("");
    let hostile = hostile_templates();
    let source = |wanted: &str| {
        let found = hostile.iter().find(|(name, ..)| *name == wanted);
        found.expect("is there").1.as_str()
    };
    let files = [
        ("doubled.txt.j2", source("doubled")),
        ("signs.txt.j2", source("signs")),
        ("good.txt.j2", "x"),
    ];
    let folder = write_templates(&site, &files);
    for verb in ["import", "check"] {
        let refused = site.sendport(&["template", verb, &folder]);
        let output = text(&refused);
        assert_eq!(refused.status.code(), Some(1), "{output}");
        assert!(
            output.contains("doubled: template 'doubled' takes more than 256 MiB of memory"),
            "{output}"
        );
        assert!(
            output.contains("signs: template file 'signs.txt.j2': the template takes more than"),
            "{output}"
        );
    }
    assert_eq!(site.value("SELECT count(*) FROM Template"), "0");
}

/// Of many files, the message names the one that takes too much to be compiled.
#[test]
fn a_file_that_takes_too_much_is_named() {
    let port = send_port_over(&plain_relay(([127, 0, 0, 1], 2525).into()));
    let site = Site::new(&format!("[templates]\nfolder = \"templates\"\n{port}"));
    let signs = format!("{{{{ {}1 }}}}", "-".repeat(500_000));
    write_templates(&site, &[("good.txt.j2", "x"), ("signs.txt.j2", &signs)]);
    let refused = site.sendport(&["run"]);
    let output = text(&refused);
    assert_eq!(refused.status.code(), Some(3), "{output}");
    let named = "templates.folder: template file 'signs.txt.j2': the template takes more than";
    assert!(output.contains(named), "{output}");
}
