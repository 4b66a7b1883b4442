use std::process::Command;

/// The README's first command: ends by itself, shows the statuses, leaves its folder.
#[test]
fn the_demonstration_shows_every_kind_of_ending_and_leaves_its_folder() {
    let parent = tempfile::tempdir().expect("a folder");
    let folder = parent.path().join("demo");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendport"));
    let output = command
        .arg("demo")
        .arg("--folder")
        .arg(&folder)
        .output()
        .expect("run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        text.contains("1 relayed   2 relayed   3 partial   4 relayed   5 failed    6 failed"),
        "{text}"
    );
    assert!(
        text.contains("550") && text.contains("no such user here"),
        "{text}"
    );
    let mails = std::fs::read_dir(folder.join("mails"))
        .expect("read")
        .count();
    assert_eq!(mails, 4);
    let database = rusqlite::Connection::open(folder.join("sendport.db")).expect("open");
    let delayed = "SELECT group_concat(Outcome) FROM Attempt WHERE AlertId = 4";
    let outcomes: String = database
        .query_row(delayed, [], |row| row.get(0))
        .expect("query");
    assert_eq!(outcomes, "delayed,relayed");
}
