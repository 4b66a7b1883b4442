//! Which files are taken, when, and that each is committed once.

use std::io::Write as _;

use super::*;

#[tokio::test]
async fn files_wait_while_the_database_is_away_and_each_is_committed_once() {
    let site = Site::new("");
    site.write("a.eml", FILE);
    site.database.is_away.store(true, Ordering::Relaxed);
    site.start().look().await;
    assert_eq!(site.names("pickup"), ["a.eml"], "nothing is taken");
    site.database.is_away.store(false, Ordering::Relaxed);
    site.database.loses_answers.store(true, Ordering::Relaxed);
    site.start().look().await;
    assert_eq!(site.names("pickup").len(), 0);
    assert_eq!(
        site.names("pickup-taken").len(),
        1,
        "it may be committed or not"
    );
    site.database.loses_answers.store(false, Ordering::Relaxed);
    assert_eq!(site.messages().await.len(), 1);
    assert_eq!(site.names("pickup-taken").len(), 0);
    assert!(site.names("badmail").is_empty());
}

#[tokio::test]
async fn a_start_goes_on_with_what_was_taken() {
    let site = Site::new("");
    let id = TransactionId::random();
    site.start();
    let name = format!("{id}_of_the_killed.eml");
    fs::write(site.path("pickup-taken").join(name), FILE).unwrap();
    fs::write(site.path("pickup-taken").join("README"), FILE).unwrap();
    let messages = site.messages().await;
    assert_eq!(messages.len(), 1);
    assert_eq!(messages[0].0.transaction, id);
    assert_eq!(site.names("pickup-taken"), ["README"]);
}

#[tokio::test]
async fn only_complete_message_files_are_taken() {
    let site = Site::new("");
    for name in ["a.tmp", ".a.eml", "a.eml.part", "eml"] {
        site.write(name, FILE);
    }
    site.write("empty.eml", "");
    fs::create_dir(site.path("pickup/folder.eml")).unwrap();
    site.write("B.EML", FILE);
    assert_eq!(site.messages().await.len(), 1);
    let left = [
        ".a.eml",
        "a.eml.part",
        "a.tmp",
        "eml",
        "empty.eml",
        "folder.eml",
    ];
    assert_eq!(site.names("pickup"), left);
}

#[cfg(unix)]
#[tokio::test]
async fn no_link_and_no_pipe_is_read() {
    use rustix::fs::{CWD, FileType, Mode, mknodat};
    let site = Site::new("");
    let secret = site.path("secret");
    fs::write(&secret, FILE).unwrap();
    std::os::unix::fs::symlink(&secret, site.path("pickup/link.eml")).unwrap();
    mknodat(
        CWD,
        site.path("pickup/pipe.eml"),
        FileType::Fifo,
        Mode::RUSR,
        0,
    )
    .unwrap();
    assert!(site.messages().await.is_empty());
    assert_eq!(site.names("pickup"), ["link.eml", "pipe.eml"]);
    // One that replaces a file behind our back.
    let id = TransactionId::random();
    let name = format!("{id}_link.eml");
    std::os::unix::fs::symlink(&secret, site.path("pickup-taken").join(name)).unwrap();
    assert!(site.messages().await.is_empty());
    assert_eq!(site.names("badmail").len(), 2);
    fs::hard_link(&secret, site.path("pickup/hard.eml")).unwrap();
    assert!(site.messages().await.is_empty());
    let texts = site
        .names("badmail")
        .into_iter()
        .filter(|name| name.ends_with("hard.eml.txt"));
    let texts: Vec<_> = texts
        .map(|it| fs::read_to_string(site.path("badmail").join(it)).unwrap())
        .collect();
    assert!(texts[0].contains("hard links"), "{texts:?}");
}

#[test]
fn a_file_is_complete_when_it_is_unchanged() {
    let site = Site::new("");
    let pickup = site.start();
    let folders = Folders::open(&pickup.settings, Duration::from_secs(2)).unwrap();
    let begin = Instant::now();
    let complete = |seconds: u64| {
        folders
            .take(begin + Duration::from_secs(seconds))
            .unwrap()
            .files
            .len()
    };
    let path = site.path("pickup/a.eml");
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(b"Subject").unwrap();
    assert_eq!((complete(0), complete(1)), (0, 0));
    file.write_all(b": x").unwrap();
    assert_eq!((complete(2), complete(3)), (0, 0), "it has changed");
    assert_eq!(complete(4), 1);
}

#[tokio::test]
async fn a_file_that_is_written_while_it_is_read_waits() {
    let site = Site::new("");
    let pickup = site.start();
    site.write("a.eml", FILE);
    let taken = pickup.folders.take(Instant::now()).unwrap().files.remove(0);
    let taken_path = site
        .path("pickup-taken")
        .join(&site.names("pickup-taken")[0]);
    let Ok(head) = pickup.head(&taken) else {
        panic!("it can be read");
    };
    let mut program = fs::File::options().append(true).open(&taken_path).unwrap();
    program.write_all(b"more\n").unwrap();
    let read = message::read_on(&pickup, &taken, head).await;
    assert!(matches!(read, Err(NotRead::Later(why)) if why.contains("still writes")));
    assert_eq!(site.messages().await.len(), 1, "all of it, later");
}

#[test]
fn a_folder_that_cannot_be_used_is_named() {
    let site = Site::new("");
    let pickup = site.start();
    let mut settings = pickup.settings.clone();
    assert!(
        folder_findings(&settings, false, "sqlite:a.db")
            .problems
            .is_empty()
    );
    settings.folder = site.path("missing");
    let found = folder_findings(&settings, true, "sqlite:a.db").problems;
    assert!(
        found[0].what.contains("install -d") && found[0].what.contains("3733"),
        "{found:?}"
    );
    let Err(error) = Folders::open(&settings, Duration::ZERO) else {
        panic!("it is missing")
    };
    assert!(error.to_string().starts_with("folder: "), "{error}");
}

#[cfg(unix)]
#[test]
fn a_folder_that_everybody_can_write_to_is_a_warning() {
    use std::os::unix::fs::PermissionsExt as _;
    let site = Site::new("");
    let settings = site.start().settings.clone();
    let warnings = |mode: u32, is_sendmail| {
        fs::set_permissions(&settings.folder, fs::Permissions::from_mode(mode)).unwrap();
        let warnings = folder_findings(&settings, is_sendmail, "sqlite:a.db").warnings;
        warnings
            .into_iter()
            .map(|it| it.what)
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(warnings(0o2770, false), "");
    assert!(warnings(0o1777, false).contains("every user of this host can write"));
    assert_eq!(warnings(0o3733, true), "");
    assert!(warnings(0o2733, true).contains("sticky bit"));
    assert!(warnings(0o1733, true).contains("set-group-ID"));
}

/// The log of an intake that may take no files.
fn obstacle(pickup: &Pickup) -> Option<String> {
    match &*pickup.obstacle.lock() {
        Some(Obstacle::Elsewhere(why) | Obstacle::Waiting(why)) => Some(why.clone()),
        None => None,
    }
}

#[tokio::test]
async fn of_two_services_with_one_folder_only_one_takes_files() {
    let site = Site::new("");
    let first = site.start();
    first.look().await;
    std::os::unix::fs::symlink(site.path("pickup"), site.path("link")).unwrap();
    let second = site.start_at("link", "sqlite:b.db");
    site.write("a.eml", FILE);
    second.look().await;
    assert_eq!(site.names("pickup"), ["a.eml"]);
    let process = format!("process {} on db1", std::process::id());
    let expected = format!("{process} takes the files of this folder for sqlite:a.db");
    assert_eq!(obstacle(&second), Some(expected));
    let check = |database| folder_findings(&second.settings, false, database);
    let problem = &check("sqlite:b.db").problems[0].what;
    let expected = format!("{process} takes the files of ");
    assert!(
        problem.starts_with(&expected) && problem.contains("for sqlite:a.db;"),
        "{problem}"
    );
    let own = check("sqlite:a.db");
    assert_eq!((own.problems, own.taken_by), (Vec::new(), Some(process)));
    first.look().await;
    assert_eq!(site.names("pickup").len(), 0);
    drop(first);
    site.write("b.eml", FILE);
    second.look().await;
    assert_eq!(site.names("pickup").len(), 0, "the second one takes over");
    assert_eq!(obstacle(&second), None);
    assert_eq!(site.database.messages.lock().len(), 2);
    assert_eq!(check("sqlite:b.db").problems, []);
}

#[tokio::test]
async fn files_that_another_database_may_have_are_not_sent_again() {
    let site = Site::new("");
    site.database.loses_answers.store(true, Ordering::Relaxed);
    site.write("a.eml", FILE);
    site.start().look().await;
    assert_eq!(site.names("pickup-taken").len(), 1);
    let other = site.start_at("pickup", "sqlite:b.db");
    other.look().await;
    let why = obstacle(&other).unwrap();
    let expected =
        "pickup-taken has files that were taken for sqlite:a.db, which may have committed them: ";
    assert!(why.contains(expected), "{why}");
    fs::remove_file(site.path("pickup-taken/.lock")).unwrap();
    site.database.loses_answers.store(false, Ordering::Relaxed);
    other.look().await;
    assert_eq!(site.names("pickup-taken").len(), 0);
    assert_eq!(obstacle(&other), None);
}
