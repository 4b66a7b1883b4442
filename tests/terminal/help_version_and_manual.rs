use std::path::Path;
use std::process::Command;

use crate::build;
use crate::program::run;

#[test]
fn completions_and_manual_pages_name_every_verb() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        run(folder.path(), &["completions", shell]).prints(0, &["preview", "migrate", "resolve"]);
    }
    run(folder.path(), &["manual", "man"]).prints(0, &[]);
    for page in [
        "sendport.1",
        "sendport-preview.1",
        "sendport-template-import.1",
    ] {
        let page = std::fs::read_to_string(folder.path().join("man").join(page)).expect(page);
        assert!(page.contains(".TH sendport"), "{page}");
    }
    assert!(
        !folder.path().join("man/sendport-manual.1").exists(),
        "it is hidden"
    );
}

#[test]
fn its_version_says_what_it_is_made_of() {
    let folder = tempfile::tempdir().expect("a folder");
    let wanted = [
        "sendport 0.",
        "commit   ",
        "features ",
        "OpenSSL 3",
        "SQLite 3.",
    ];
    run(folder.path(), &["--version"]).prints(0, &wanted);
}

fn git(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.args(["-c", "user.name=a", "-c", "user.email=a@example.test"]);
    let ran = command.arg("-C").arg(folder).args(arguments).output();
    let ran = ran.expect("run git");
    assert!(ran.status.success(), "{ran:?}");
    String::from_utf8(ran.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

fn commit(folder: &Path) -> String {
    git(
        folder,
        &["commit", "--quiet", "--allow-empty", "--message", "x"],
    );
    git(folder, &["rev-parse", "--short", "HEAD"])
}

/// And it is built again where that is another one, not otherwise.
#[test]
fn a_release_knows_its_commit() {
    let folder = tempfile::tempdir().expect("a folder");
    let folder = folder.path();
    let always = [
        "rerun-if-changed=build.rs",
        "rerun-if-env-changed=SENDPORT_COMMIT",
    ];
    assert_eq!(build::instructions(folder, true), always, "no repository");
    git(folder, &["init", "--quiet", "--initial-branch", "main"]);
    assert_eq!(build::instructions(folder, true), always, "no commit");
    let first = commit(folder);
    let printed = |commit: &str, files: &[&str]| {
        let files = files.iter().map(|it| format!("rerun-if-changed=.git/{it}"));
        let commit = format!("rustc-env=SENDPORT_COMMIT={commit}");
        let all = always.map(str::to_owned).into_iter().chain([commit]);
        all.chain(files).collect::<Vec<_>>()
    };
    let loose = ["HEAD", "logs/HEAD", "refs/heads/main"];
    assert_eq!(build::instructions(folder, true), printed(&first, &loose));
    git(folder, &["pack-refs", "--all"]);
    assert_eq!(
        build::instructions(folder, true),
        printed(&first, &loose[..2])
    );
    let second = commit(folder);
    assert_eq!(build::instructions(folder, true), printed(&second, &loose));
    git(folder, &["checkout", "--quiet", "--detach"]);
    assert_eq!(
        build::instructions(folder, true),
        printed(&second, &loose[..2])
    );
    assert_eq!(
        build::instructions(folder, false),
        always,
        "not asked to look"
    );
    let inside = folder.join("vendor/sendport");
    std::fs::create_dir_all(&inside).expect("create");
    assert_eq!(
        build::instructions(&inside, true),
        always,
        "another's repository"
    );
}
