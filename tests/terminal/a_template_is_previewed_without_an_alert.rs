use std::path::Path;

use crate::program::run;

fn write(folder: &Path, files: &[(&str, &str)]) {
    std::fs::create_dir_all(folder.join("templates")).expect("a folder");
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("write");
    }
}

const FILES: [(&str, &str); 6] = [
    ("templates/late.subject.j2", "Order {{ order }} is late"),
    ("templates/late.txt.j2", "By {{ hours }} hours."),
    (
        "templates/late.html.j2",
        "<p>By <b>{{ hours }}</b> hours, {{ who }}.</p>",
    ),
    (
        "templates/late.sample.json",
        r#"{"order": 1, "hours": 2, "who": "A & B"}"#,
    ),
    ("late.json", r#"{"order": 4711, "hours": 3, "who": "C"}"#),
    ("bad.json", r#"{"order": 4711}"#),
];

/// As text, as HTML for a browser, with the sample or a payload of one's own; no database is asked.
#[test]
fn with_its_sample_or_a_payload() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &FILES);
    let preview = |more: &[&str]| {
        let arguments = ["preview", "--template", "late", "--folder", "templates"];
        run(folder.path(), &[&arguments, more].concat())
    };
    preview(&[]).is_as_expected("preview_template");
    preview(&["--payload", "late.json"]).prints(0, &["Order 4711 is late", "By 3 hours."]);
    assert_eq!(
        preview(&["--html"]).out,
        "<p>By <b>2</b> hours, A &amp; B.</p>"
    );
    preview(&["--json"]).prints(0, &["\"Subject\": \"Order 1 is late\""]);
    preview(&["--payload", "bad.json"])
        .prints(6, &["would fail", "late.txt.j2", "undefined value"]);
    preview(&["--payload", "none.json"]).prints(1, &["the file none.json cannot be read"]);
}

/// The database's, else those of the configured folder.
#[test]
fn of_the_configuration() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &FILES);
    run(folder.path(), &["init"]).prints(0, &[]);
    let file = folder.path().join("sendport.toml");
    let config = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, config + "[templates]\nfolder = \"templates\"\n").expect("write");
    run(folder.path(), &["migrate"]).prints(0, &[]);
    let preview = ["preview", "--template", "late"];
    run(folder.path(), &preview).prints(0, &["Order 1 is late"]);
    std::fs::write(folder.path().join("templates/late.subject.j2"), "Stored").expect("write");
    run(folder.path(), &["template", "import", "templates"]).prints(0, &[]);
    std::fs::write(
        folder.path().join("templates/late.subject.j2"),
        "In the folder",
    )
    .expect("write");
    run(folder.path(), &preview).prints(0, &["Subject       Stored"]);
}
