use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;

use crate::not_run::not_run;
use crate::program::{run, run_with};

/// Every verb that needs a configuration.
const VERBS: [&[&str]; 23] = [
    &["run"],
    &["run", "--migrate"],
    &["migrate"],
    &["migrate", "--create-database", "--environment", "test"],
    &["migrate", "--print"],
    &["adopt", "--expire"],
    &["check"],
    &["check", "--offline"],
    &["probe", "--relay", "main"],
    &["send", "--to", "ops@example.test", "--subject", "x"],
    &["status"],
    &["why", "1"],
    &["preview", "1"],
    &["health"],
    &["cancel", "--all"],
    &["hold", "1"],
    &["release", "--all"],
    &["redirect", "--to", "qa@example.test", "--all"],
    &["requeue", "--all"],
    &["requests"],
    &["resolve"],
    &["template", "list"],
    &["config", "show"],
];

fn another_is_there() -> bool {
    let there = Path::new("/etc/sendport/sendport.toml").exists();
    if there {
        not_run("no configuration file is found: this machine has /etc/sendport/sendport.toml");
    }
    there
}

#[test]
fn no_verb_works_on_defaults_alone() {
    if another_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for verb in VERBS {
        let printed = run(folder.path(), verb);
        let here = format!("{}/sendport.toml", folder.path().display());
        printed.prints(
            3,
            &[
                "no configuration file found; looked for",
                &here,
                "/etc/sendport/sendport.toml",
                "sendport init",
            ],
        );
        let made = std::fs::read_dir(folder.path()).expect("list").count();
        assert_eq!(made, 0, "{verb:?} made something");
    }
    run(folder.path(), &["status"]).is_as_expected("no_configuration");
}

/// `runuser` leaves the service's user in a folder that it may not enter, such as root's home.
#[test]
fn a_folder_without_permission_holds_no_configuration() {
    if another_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sendport.toml"), "").expect("write");
    // Root may enter every folder, unless it gives that up.
    let modest = "setpriv --bounding-set=-all --inh-caps=-all";
    let closed = "chmod 0 . && [ $(id -u) -ne 0 ] || as=$0; exec $as \"$@\"";
    let program = env!("CARGO_BIN_EXE_sendport");
    let output = Command::new("sh")
        .args(["-c", closed, modest, program, "status"])
        .current_dir(folder.path())
        .env_clear()
        .output()
        .expect("sh to run");
    std::fs::set_permissions(folder.path(), Permissions::from_mode(0o700)).expect("open it");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{printed}");
    assert!(printed.contains("no configuration file found"), "{printed}");
}

/// One variable about something else makes no database either; one that names it does.
#[test]
fn the_environment_alone_has_to_name_the_database() {
    if another_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let other = [("SENDPORT__LOG__LEVEL", "debug")];
    run_with(folder.path(), &["migrate"], &other).prints(3, &["no configuration file found"]);
    let named = [("SENDPORT__DATABASE__CONNECTION", "sqlite:own.db")];
    run_with(folder.path(), &["migrate"], &named).prints(0, &["own.db"]);
    assert!(folder.path().join("own.db").exists());
}
