use crate::said::run;

#[test]
fn completions_and_manual_pages_name_every_verb() {
    let folder = tempfile::tempdir().expect("a folder");
    for shell in ["bash", "zsh", "fish"] {
        run(folder.path(), &["completions", shell]).tells(0, &["preview", "migrate", "resolve"]);
    }
    run(folder.path(), &["manual", "man"]).tells(0, &[]);
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
    run(folder.path(), &["--version"]).tells(0, &wanted);
}
