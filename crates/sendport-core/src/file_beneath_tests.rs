use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::*;

fn names(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

fn read(folder: &Path, path: &str) -> Result<String, OpenError> {
    let mut content = String::new();
    open(folder, &names(path))?.read_to_string(&mut content)?;
    Ok(content)
}

/// A folder `reports` with the file `sub/late.txt`, beside the file `secret`.
fn reports() -> (tempfile::TempDir, std::path::PathBuf) {
    let outside = tempfile::tempdir().expect("a folder");
    let folder = outside.path().join("reports");
    fs::create_dir_all(folder.join("sub")).expect("create");
    fs::write(folder.join("sub/late.txt"), "late").expect("write");
    fs::write(outside.path().join("secret"), "secret").expect("write");
    (outside, folder)
}

#[test]
fn a_file_beneath_the_folder_is_opened() {
    let (outside, folder) = reports();
    assert_eq!(read(&folder, "sub/late.txt").expect("a file"), "late");
    fs::write(folder.join("Größe 報告 😀"), "x").expect("write");
    assert_eq!(read(&folder, "Größe 報告 😀").expect("a file"), "x");
    let link = outside.path().join("link");
    symlink(&folder, &link).expect("a link");
    let through = read(&link, "sub/late.txt").expect("the folder itself may be a link");
    assert_eq!(through, "late");
}

#[test]
fn no_link_is_followed_at_any_part_of_the_path() {
    let (outside, folder) = reports();
    symlink(outside.path(), folder.join("out")).expect("a link");
    symlink("sub", folder.join("in")).expect("a link");
    symlink("late.txt", folder.join("sub/other.txt")).expect("a link");
    symlink("../../secret", folder.join("sub/secret")).expect("a link");
    symlink("nothing", folder.join("dangling")).expect("a link");
    for (path, link) in [
        ("out/secret", "out"),
        ("in/late.txt", "in"),
        ("sub/other.txt", "other.txt"),
        ("sub/secret", "secret"),
        ("dangling", "dangling"),
    ] {
        match read(&folder, path) {
            Err(OpenError::Link(name)) => assert_eq!(name, link, "{path}"),
            other => panic!("{path}: {other:?}"),
        }
    }
}

#[test]
fn no_name_leads_out_of_the_folder() {
    let (outside, folder) = reports();
    let secret = outside.path().join("secret");
    let secret = secret.to_str().expect("a path").to_owned();
    for written in [
        vec!["..".to_owned(), "secret".to_owned()],
        vec!["sub".to_owned(), "../../secret".to_owned()],
        vec![secret],
        vec!["sub\0".to_owned()],
        vec!["sub".to_owned(), String::new()],
        vec![".".to_owned()],
    ] {
        let refused = open(&folder, &written);
        assert!(matches!(refused, Err(OpenError::Missing)), "{written:?}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let (_outside, folder) = reports();
    mknodat(CWD, folder.join("pipe"), FileType::Fifo, Mode::RUSR, 0).expect("a pipe");
    let _listener = UnixListener::bind(folder.join("socket")).expect("a socket");
    for (path, what) in [
        ("pipe", "a pipe"),
        ("socket", "a socket"),
        ("sub", "a folder"),
    ] {
        match read(&folder, path) {
            Err(OpenError::NotRegular(found)) => assert_eq!(found, what),
            other => panic!("{path}: {other:?}"),
        }
    }
    let itself = open(&folder, &[]);
    assert!(matches!(itself, Err(OpenError::NotRegular("a folder"))));
    let device = read(Path::new("/dev"), "null");
    assert!(matches!(device, Err(OpenError::NotRegular("a device"))));
}

#[test]
fn a_file_with_further_names_is_refused() {
    let (outside, folder) = reports();
    fs::hard_link(outside.path().join("secret"), folder.join("mine")).expect("a link");
    assert!(matches!(read(&folder, "mine"), Err(OpenError::HardLink)));
}

#[test]
fn a_missing_file_differs_from_a_missing_folder() {
    let (outside, folder) = reports();
    for path in [
        "other",
        "sub/other",
        "other/late.txt",
        "sub/late.txt/x",
        &"x".repeat(300),
    ] {
        let missing = read(&folder, path);
        assert!(matches!(missing, Err(OpenError::Missing)), "{missing:?}");
    }
    let away = outside.path().join("away");
    assert!(matches!(read(&away, "x"), Err(OpenError::Folder(_))));
    let no_folder = outside.path().join("secret");
    assert!(matches!(read(&no_folder, "x"), Err(OpenError::Folder(_))));
    check_folder(&folder).expect("a folder");
    check_folder(&away).expect_err("missing");
    check_folder(&no_folder).expect_err("a file");
}
