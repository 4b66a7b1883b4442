use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use crate::site::{Site, text};
use crate::{import, send_port_over, write_templates};

fn site() -> Site {
    Site::new(&send_port_over("[relay.main]\nkind = \"discard\"\n"))
}

fn files(folder: &Path) -> BTreeMap<String, String> {
    let file = |entry: std::io::Result<std::fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        (name, std::fs::read_to_string(path).expect("read"))
    };
    std::fs::read_dir(folder)
        .expect("a folder")
        .map(file)
        .collect()
}

const LATE: &[(&str, &str)] = &[
    ("_sign.txt.j2", "-- \r\nops"),
    ("late.subject.j2", "Order {{ order }} is late\n"),
    ("late.txt.j2", "It is.\n{% include '_sign.txt.j2' %}\n"),
    ("late.de-AT.txt.j2", "Das ist er."),
    ("late.sample.json", "{\"order\": 4711}\n"),
];

/// What is the same is no new version; what differs is one, and only that; and everything comes
/// back as the files that it was.
#[test]
fn a_line_for_each_and_a_version_for_what_differs() {
    let site = site();
    assert_eq!(
        import(&site, LATE),
        "new        _sign, version 1\nnew        late, version 1\nnew        late.de-AT, version 1\n"
    );
    assert_eq!(
        import(&site, &[]),
        "unchanged  _sign, version 1\nunchanged  late, version 1\nunchanged  late.de-AT, version 1\n"
    );
    assert_eq!(
        import(
            &site,
            &[("late.de-AT.txt.j2", "Ist er."), ("late.fr.txt.j2", "Oui.")]
        ),
        "unchanged  _sign, version 1\nunchanged  late, version 1\nchanged    late.de-AT, version 2\nnew        late.fr, version 2\n"
    );
    let list = text(&site.sendport(&["template", "list"]));
    assert!(list.contains("late   default, de-AT, fr  2 "), "{list}");
    let list = site.sendport(&["template", "list", "--json"]);
    let list: serde_json::Value = serde_json::from_slice(&list.stdout).expect("JSON");
    assert_eq!(
        list[1]["Languages"],
        serde_json::json!(["default", "de-AT", "fr"])
    );

    let out = site.path("out");
    let exported = site.sendport(&["template", "export", &out.display().to_string()]);
    assert!(exported.status.success(), "{}", text(&exported));
    assert_eq!(files(&out), files(&site.path("templates")));
    std::fs::write(out.join("late.fr.txt.j2"), "Non.").expect("write");
    let refused = site.sendport(&["template", "export", &out.display().to_string()]);
    assert!(text(&refused).contains("late.fr.txt.j2 differs from the database"));
    assert_eq!(refused.status.code(), Some(3));

    std::fs::remove_file(site.path("templates").join("late.fr.txt.j2")).expect("remove");
    assert!(import(&site, &[]).contains("removed    late.fr, version 3\n"));
    let folder = write_templates(&site, &[("other.txt.j2", "x")]);
    for file in [
        "late.subject.j2",
        "late.txt.j2",
        "late.de-AT.txt.j2",
        "late.sample.json",
    ] {
        std::fs::remove_file(Path::new(&folder).join(file)).expect("remove");
    }
    assert_eq!(
        import(&site, &[]),
        "unchanged  _sign, version 1\nnew        other, version 4\n"
    );
    let pruned = text(&site.sendport(&["template", "import", "--prune", &folder]));
    assert!(
        pruned.contains("removed    late, version 5\nremoved    late.de-AT, version 5\n"),
        "{pruned}"
    );
    let names = "SELECT group_concat(Name) FROM (SELECT Name FROM CurrentTemplate ORDER BY Name)";
    assert_eq!(site.value(names), "_sign,other");
}

/// A check renders every language with its sample, needs no database for a folder, and names
/// file, line and variable of everything that is wrong.
#[test]
fn a_check_names_what_is_wrong_and_nothing_wrong_is_imported() {
    let site = site();
    let folder = write_templates(&site, LATE);
    let checked = site.sendport(&["template", "check", &folder]);
    assert_eq!(
        text(&checked),
        "ok    late: Order 4711 is late\nok    late.de-AT: Order 4711 is late\nnothing failed\n"
    );
    assert!(checked.status.success());
    write_templates(
        &site,
        &[
            ("late.de-AT.txt.j2", "\nSeit {{ days }} Tagen"),
            (
                "loop.txt.j2",
                "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
            ),
            ("bare.txt.j2", "{{ who }}"),
            ("broken.html.j2", "\n\n{% if %}"),
        ],
    );
    let checked = site.sendport(&["template", "check", &folder]);
    let output = text(&checked);
    assert_eq!(checked.status.code(), Some(1), "{output}");
    for line in [
        "ok    late: Order 4711 is late\n",
        "FAIL  late.de-AT: template file 'late.de-AT.txt.j2', line 2: undefined value",
        "`days`",
        "FAIL  loop: template file 'loop.txt.j2', line 1: ",
        "the template loops too long",
        "note  bare: template file 'bare.txt.j2', line 1: ",
        "there is no sample: add 'bare.sample.json'",
        "FAIL  broken: template file 'broken.html.j2', line 3: ",
        "3 of 5 templates failed",
    ] {
        assert!(output.contains(line), "'{line}' is missing in\n{output}");
    }
    let imported = site.sendport(&["template", "import", &folder]);
    let output = text(&imported);
    assert_eq!(imported.status.code(), Some(1), "{output}");
    assert!(output.contains("nothing was imported"), "{output}");
    assert_eq!(site.value("SELECT count(*) FROM TemplateChange"), "0");
}

/// The samples that come with sendport work.
#[test]
fn the_sample_templates_pass_their_own_check() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    let checked = site().sendport(&["template", "check", &folder.display().to_string()]);
    assert!(checked.status.success(), "{}", text(&checked));
}

/// From the insert to the mail by the command line alone.
#[tokio::test]
async fn send_takes_a_template_and_a_payload() {
    let site = site();
    import(&site, LATE);
    let service = site.run();
    // A wait for an alert that no instance can send is reported at once.
    site.wait_until(
        "SELECT count(*) FROM SendPort",
        "1",
        Duration::from_secs(60),
    )
    .await;
    let sent = site.sendport(&[
        "send",
        "--to",
        "ops@example.test",
        "--template",
        "late",
        "--payload",
        r#"{"order": 1}"#,
        "--language",
        "de-AT",
        "--wait",
    ]);
    assert!(sent.status.success(), "{}", text(&sent));
    let failed = site.sendport(&[
        "send",
        "--to",
        "ops@example.test",
        "--template",
        "late",
        "--wait",
    ]);
    let output = text(&failed);
    assert!(
        output.contains("template file 'late.subject.j2', version 1, line 1"),
        "{output}"
    );
    assert_eq!(failed.status.code(), Some(6), "{output}");
    assert_eq!(service.stop(), Some(0));
}
