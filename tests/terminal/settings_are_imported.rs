//! Settings of Database Mail and BizTalk become a configuration that the program accepts.

use std::path::Path;

use crate::program::{ProgramOutput, run};

const DBMAIL: &[u8] = include_bytes!("import/dbmail.txt");
const BINDINGS: &str = include_str!("import/bindings.xml");
const HANDLERS: &str = include_str!("import/handlers.xml");

/// A folder with the samples.
fn samples() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let write = |file: &str, text: &[u8]| {
        std::fs::write(folder.path().join(file), text).expect("write");
    };
    write("dbmail.txt", DBMAIL);
    write("bindings.xml", BINDINGS.as_bytes());
    write("handlers.xml", HANDLERS.as_bytes());
    folder
}

const BIZTALK: [&str; 7] = [
    "import",
    "biztalk",
    "bindings.xml",
    "--handlers",
    "handlers.xml",
    "--time-zone",
    "Europe/Berlin",
];

/// The program accepts it once the named passwords are in their files.
#[track_caller]
fn is_accepted(folder: &Path, passwords: &[&str]) {
    let check = ["--config", "made.toml", "check", "--offline"];
    let without: ProgramOutput = run(folder, &check);
    for file in passwords {
        assert!(without.err.contains("failed"), "{without:?}");
        std::fs::write(folder.join(file), "a password").expect("write");
    }
    run(folder, &check).prints(0, &["ok    configuration: made.toml", "nothing failed"]);
}

#[test]
fn database_mail_becomes_a_configuration_that_is_accepted() {
    let folder = samples();
    run(folder.path(), &["import", "dbmail", "dbmail.txt"]).is_as_expected("import_dbmail");
    let written = run(
        folder.path(),
        &["import", "dbmail", "dbmail.txt", "-o", "made.toml"],
    );
    written.prints(
        0,
        &[
            "wrote made.toml: 3 send ports, 3 relays",
            "- account 'Old': no profile uses it",
            "missing: Primary.password, with the password of relay 'Primary'",
        ],
    );
    is_accepted(folder.path(), &["Primary.password", "Exchange.password"]);
}

#[test]
fn a_binding_file_becomes_a_configuration_that_is_accepted() {
    let folder = samples();
    let printed = run(folder.path(), &BIZTALK);
    printed.is_as_expected("import_biztalk");
    let arguments = [&BIZTALK[..], &["--output", "made.toml"]].concat();
    let written = run(folder.path(), &arguments);
    written.prints(0, &["wrote made.toml: 2 send ports, 2 relays"]);
    for output in [&printed, &written] {
        let all = format!("{}{}", output.out, output.err);
        assert!(!all.contains("Never-Copied"), "{all}");
    }
    is_accepted(folder.path(), &["backup.contoso.com.password"]);
}

#[test]
fn messages_are_compared_with_what_database_mail_sent() {
    let folder = samples();
    let compared = run(
        folder.path(),
        &["import", "dbmail", "dbmail.txt", "--compare"],
    );
    compared.is_as_expected("import_dbmail_compare");
    let text = String::from_utf8_lossy(DBMAIL).replace('\r', "");
    let lines: String = text
        .lines()
        .map(|line| line.trim_end_matches(' '))
        .collect();
    let (document, _) = lines.split_once("\"items\":[").expect("items");
    std::fs::write(
        folder.path().join("none.txt"),
        format!("{document}\"items\":[]}}"),
    )
    .expect("write");
    run(
        folder.path(),
        &["import", "dbmail", "none.txt", "--compare"],
    )
    .prints(
        1,
        &["there is no message to compare; read some with --history"],
    );
    assert_eq!(std::fs::read_dir(folder.path()).expect("read").count(), 4);
}

/// Nobody sees what is typed, and no other user may read it.
#[cfg(target_os = "linux")]
#[test]
fn passwords_are_asked_for_without_echo() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = samples();
    let words = "import dbmail dbmail.txt -o made.toml --ask-passwords";
    run(folder.path(), &words.split(' ').collect::<Vec<_>>()).prints(1, &["needs a terminal"]);
    assert!(!folder.path().join("made.toml").exists());
    let mut terminal = crate::terminal::Terminal::start(folder.path(), words);
    terminal.answer(
        "Password of relay 'Primary' (smtp.contoso.com): ",
        "Typed-1 ",
    );
    terminal.answer("Password of relay 'Exchange' (mail.contoso.com): ", "");
    let (code, shown) = terminal.ended();
    assert_eq!(code, Some(0), "{shown}");
    assert!(!shown.contains("Typed-1"), "{shown}");
    assert!(
        shown.contains("no password; Exchange.password is not written"),
        "{shown}"
    );
    let file = folder.path().join("Primary.password");
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "Typed-1 ");
    let mode = std::fs::metadata(&file)
        .expect("its mode")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!folder.path().join("Exchange.password").exists());
}

#[test]
fn an_existing_file_is_not_replaced() {
    let folder = samples();
    std::fs::write(folder.path().join("made.toml"), "mine").expect("write");
    run(
        folder.path(),
        &["import", "dbmail", "dbmail.txt", "-o", "made.toml"],
    )
    .prints(1, &["made.toml exists already and was not changed"]);
    let kept = std::fs::read_to_string(folder.path().join("made.toml"));
    assert_eq!(kept.expect("read"), "mine");
}

#[test]
fn what_cannot_be_imported_is_explained() {
    let folder = samples();
    let write = |file: &str, text: &[u8]| {
        std::fs::write(folder.path().join(file), text).expect("write");
    };
    write("empty", b"");
    write(
        "text",
        b"Msg 229, Level 14: The SELECT permission was denied",
    );
    write("half", &DBMAIL[..3000]);
    write(
        "latin",
        b"{\"format\":\"sendport-dbmail-1\",\"server\":\"Gr\xF6\xDFe\"}",
    );
    write(
        "entities",
        b"<!DOCTYPE x [<!ENTITY a \"aa\">]><BindingInfo>&a;</BindingInfo>",
    );
    write("html", b"<html><body>404</body></html>");
    write(
        "no-smtp",
        b"<BindingInfo><SendPortCollection /></BindingInfo>",
    );
    for (arguments, explained) in [
        (["dbmail", "empty"], "empty: it is empty"),
        (
            ["dbmail", "text"],
            "text: it contains no output of the script",
        ),
        (
            ["dbmail", "half"],
            "half: the output of the script is incomplete",
        ),
        (["dbmail", "latin"], "latin: it is neither UTF-8 nor UTF-16"),
        (["dbmail", "none"], "the file none cannot be read"),
        (["biztalk", "empty"], "empty: it is empty"),
        (["biztalk", "text"], "text: it is no XML that can be read"),
        (
            ["biztalk", "entities"],
            "entities: it is no XML that can be read: XML with DTD",
        ),
        (
            ["biztalk", "html"],
            "expected the element <BindingInfo>, found <html>",
        ),
        (
            ["biztalk", "no-smtp"],
            "it has no send port with the SMTP adapter",
        ),
    ] {
        let printed = run(folder.path(), &[&["import"], &arguments[..]].concat());
        printed.prints(1, &[explained]);
        assert_eq!(printed.out, "", "{arguments:?}");
    }
    run(folder.path(), &["import", "dbmail"]).prints(2, &["--from-server", "--print-script"]);
    let zone = ["import", "biztalk", "bindings.xml", "--time-zone", "Berlin"];
    run(folder.path(), &zone).prints(2, &["'Berlin'"]);
}

#[test]
fn the_script_for_a_server_is_printed() {
    let folder = samples();
    let script = run(folder.path(), &["import", "dbmail", "--print-script"]);
    script.prints(0, &["USE [msdb];", "dbo.sysmail_profile"]);
    assert!(!script.out.contains('\r'));
}
