use std::path::Path;

use crate::not_run::not_run;
use crate::said::{run, run_with};

/// Every verb that needs a configuration.
const VERBS: [&[&str]; 17] = [
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
    &["preview", "1"],
    &["health"],
    &["release", "--all"],
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
fn and_nothing_is_made_out_of_defaults() {
    if another_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for verb in VERBS {
        let said = run(folder.path(), verb);
        let here = format!("{}/sendport.toml", folder.path().display());
        said.tells(
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

/// One variable about something else makes no database either; one that names it does.
#[test]
fn the_environment_alone_has_to_name_the_database() {
    if another_is_there() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let other = [("SENDPORT__LOG__LEVEL", "debug")];
    run_with(folder.path(), &["migrate"], &other).tells(3, &["no configuration file found"]);
    let named = [("SENDPORT__DATABASE__CONNECTION", "sqlite:own.db")];
    run_with(folder.path(), &["migrate"], &named).tells(0, &["own.db"]);
    assert!(folder.path().join("own.db").exists());
}
