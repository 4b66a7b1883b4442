use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::Path;

use crate::not_run::not_run;
use crate::program::run;

/// `nobody`.
const OTHER_USER: u32 = 65534;

const CONFIG: &str = "[database]\nconnection = \"sqlite:home/sendport.db\"\n[service]\nstate_folder = \"home/state\"\n\
    [http]\nlisten = \"\"\n[relay.main]\nkind = \"discard\"\n[send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n";

fn content(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).expect("list");
    let name = |entry: std::io::Result<std::fs::DirEntry>| entry.expect("an entry").file_name();
    entries
        .map(|entry| name(entry).to_string_lossy().into_owned())
        .collect()
}

/// Root may write everywhere, and what it makes in the service's folders the service cannot open.
#[test]
fn verbs_that_would_make_files_there_say_how_to_run_them() {
    let us = std::fs::metadata("/proc/self").map(|it| it.uid());
    if us.ok() != Some(0) {
        not_run("files of another user's folder are not made: only root could make them");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let home = folder.path().join("home");
    std::fs::create_dir(&home).expect("create");
    chown(&home, Some(OTHER_USER), None).expect("chown");
    std::fs::write(folder.path().join("sendport.toml"), CONFIG).expect("write");

    let line = "runuser -u nobody -- sendport";
    for (verb, command) in [
        (&["migrate"][..], format!("{line} migrate")),
        (&["migrate", "--create-database"], format!("{line} migrate")),
        (&["run"], format!("{line} run")),
        (&["run", "--migrate"], format!("{line} run")),
    ] {
        let output = run(folder.path(), verb);
        output.prints(7, &["would belong to root", "'nobody'", &command]);
        assert!(content(&home).is_empty(), "{verb:?} made something");
    }
    for verb in ["check", "status"] {
        let output = run(folder.path(), &[verb]);
        output.prints(4, &[&format!("`{line} migrate")]);
        let output = format!("{}{}", output.out, output.err);
        assert!(!output.contains("`sendport migrate"), "{output}");
        assert!(content(&home).is_empty(), "{verb} made something");
    }
    let output = run(folder.path(), &["check", "--offline"]);
    assert_eq!(
        output.out.matches("note  user: ").count(),
        1,
        "{}",
        output.out
    );

    let elsewhere = folder.path().join("other.toml");
    std::fs::copy(folder.path().join("sendport.toml"), &elsewhere).expect("copy");
    let elsewhere = elsewhere.to_string_lossy();
    let output = run(folder.path(), &["--config", &elsewhere, "migrate"]);
    output.prints(7, &[&format!("{line} --config {elsewhere} migrate")]);

    chown(&home, Some(0), None).expect("chown");
    run(folder.path(), &["migrate"]).prints(0, &["sendport.db"]);
    run(folder.path(), &["check"])
        .prints(0, &["ok    service.state_folder: the service will make it"]);
    assert_eq!(content(&home), ["sendport.db"]);
}
