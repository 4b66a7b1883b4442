//! What others do to the folder of a spool.

use super::*;

/// Spools these messages; their files, in order.
async fn spool(site: &Site, texts: &[&str]) -> Vec<PathBuf> {
    site.is(Mood::Away);
    let queue = site.open();
    for text in texts {
        queue.commit(message(text)).await.unwrap();
    }
    files(site)
}

fn files(site: &Site) -> Vec<PathBuf> {
    let entries = fs::read_dir(site.path()).unwrap();
    let mut files: Vec<_> = entries.map(|it| it.unwrap().path()).collect();
    files.sort();
    files
}

fn replace(file: &Path, from: &str, to: &str) {
    // As bytes: the digest is no text.
    let mut bytes = fs::read(file).unwrap();
    let at = bytes
        .windows(from.len())
        .position(|it| it == from.as_bytes());
    let at = at.unwrap();
    bytes.splice(at..at + from.len(), to.bytes());
    fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn damaged_files_are_kept_apart_with_a_text() {
    let (log, _guard) = Log::start();
    let site = Site::new();
    let files = spool(&site, &["cut", "changed\r\n", "envelope", "empty", "fine"]).await;
    let content = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &content[..content.len() / 2]).unwrap();
    replace(&files[1], "changed", "chanted");
    replace(&files[2], "@x.test", "@y.test");
    fs::write(&files[3], "").unwrap();
    site.is(Mood::Fine);
    let queue = site.open();
    assert_eq!(site.waiting(), 5, "each of them got a 250");
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["fine"]);
    let refused = site.refused();
    assert_eq!((refused.len(), site.observer.0.lock().1), (8, 4));
    assert_eq!(log.count("a message of the spool is damaged"), 4);
    assert_eq!(spool_contents(&site.path(), None).unwrap().refused, 4);
    for (name, text) in refused.iter().filter(|(name, _)| name.ends_with(".txt")) {
        assert!(
            text.contains("its file in the spool was damaged")
                && !text.contains("database refused"),
            "{name}: {text}"
        );
    }
    let changed = refused.iter().find(|(_, text)| text == "chanted\r\n");
    let text = format!("{}.txt", changed.expect("its content alone").0);
    let (_, text) = refused.iter().find(|(name, _)| *name == text).unwrap();
    assert!(
        text.contains("SHA-256") && text.contains("Sender: <a@x.test>\n"),
        "{text}"
    );
}

#[tokio::test]
async fn a_file_whose_writing_was_killed_is_removed() {
    let site = Site::new();
    let written = spool(&site, &["killed", "fine"]).await;
    let incomplete = written[0].with_extension("msg.incomplete");
    fs::rename(&written[0], &incomplete).unwrap();
    site.is(Mood::Fine);
    let queue = site.open();
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["fine"]);
    assert!(files(&site).is_empty());
}

#[tokio::test]
async fn one_that_cannot_be_read_holds_up_nobody() {
    use rustix::fs::{CWD, FileType, Mode as Permissions, mknodat};

    let (log, _guard) = Log::start();
    let site = Site::new();
    let files = spool(&site, &["first", "last"]).await;
    let named = |order: u64| {
        let name = format!("{order:020}_{}.msg", TransactionId::random());
        site.path().join(name)
    };
    fs::create_dir(named(0)).unwrap();
    mknodat(CWD, named(0), FileType::Fifo, Permissions::RUSR, 0).unwrap();
    std::os::unix::fs::symlink("nowhere", named(0)).unwrap();
    fs::write(site.path().join("notes.txt"), "").unwrap();
    fs::write(site.path().join("5_x.msg"), "").unwrap();
    // The last number that a name can have.
    let last = named(u64::MAX);
    fs::copy(&files[1], &last).unwrap();
    // It is a folder when it is read.
    site.is(Mood::Fine);
    let queue = site.open();
    fs::remove_file(&files[0]).unwrap();
    fs::create_dir(&files[0]).unwrap();
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["last"]);
    let line = "a message of the spool cannot be brought to the database, it is tried again";
    assert_eq!(log.count(line), 1);
    assert_eq!(site.observer.0.lock().0, 1);
    site.is(Mood::Away);
    assert!(queue.commit(message("more")).await.is_ok());
    assert!(queue.commit(message("and more")).await.is_ok());
    site.is(Mood::Fine);
    bring_all(&queue).await;
    assert_eq!(site.messages().len(), 3);
}

#[tokio::test]
async fn a_folder_that_is_away_for_a_moment_loses_nothing() {
    let (log, _guard) = Log::start();
    let site = Site::new();
    spool(&site, &["1", "2"]).await;
    let queue = site.open();
    let (folder, away) = (site.path(), site.folder.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    let running = Running::start(&queue);
    site.is(Mood::Fine);
    wait_until("it is noticed", || {
        log.count("the spool cannot be read, tried again") == 1
    })
    .await;
    assert_eq!(log.count("the spool is empty"), 0);
    assert_eq!(site.observer.0.lock().0, 2, "the last known number");
    let committed = queue.commit(message("3")).await;
    assert!(matches!(committed, Ok(Queued::Alert(_))), "{committed:?}");
    site.is(Mood::Away);
    let refused = queue.commit(message("4")).await;
    assert!(
        matches!(refused, Err(QueueError::Unavailable(_))),
        "{refused:?}"
    );
    site.is(Mood::Fine);
    fs::rename(&away, &folder).unwrap();
    wait_until("it is emptied", || log.count("the spool is empty") == 1).await;
    assert_eq!(log.count("the spool can be read again"), 1);
    assert_eq!(site.messages(), ["3", "1", "2"]);
    running.stop().await;
}

#[tokio::test]
async fn messages_that_others_delete_are_missed() {
    let (log, _guard) = Log::start();
    let site = Site::new();
    let files = spool(&site, &["1", "2"]).await;
    let queue = site.open();
    fs::remove_file(&files[0]).unwrap();
    site.is(Mood::Fine);
    bring_all(&queue).await;
    assert_eq!(site.messages(), ["2"]);
    assert_eq!(log.count("messages of the spool are gone"), 1);
}

/// A volume that was mounted late, or a file that was put back.
#[tokio::test(start_paused = true)]
async fn files_that_appear_are_brought() {
    let site = Site::new();
    let files = spool(&site, &["1"]).await;
    let kept = site.folder.path().join("kept");
    fs::rename(&files[0], &kept).unwrap();
    site.is(Mood::Fine);
    let queue = site.open();
    let running = Running::start(&queue);
    fs::rename(&kept, &files[0]).unwrap();
    wait_until("it is brought", || site.messages() == ["1"]).await;
    running.stop().await;
}

#[tokio::test(start_paused = true)]
async fn messages_of_another_database_are_not_brought_to_this_one() {
    let (log, _guard) = Log::start();
    let site = Site::new();
    spool(&site, &["1", "2"]).await;
    let other = SpoolDependencies {
        database: "another one".to_owned(),
        ..site.dependencies()
    };
    let opened = SpooledQueue::open("local", &site.path(), site.limits, other.clone());
    let Err(error) = opened else {
        panic!("it is for another database")
    };
    let expected =
        format!("holds 2 messages for {DATABASE}, but this service works on another one");
    assert!(error.to_string().contains(&expected), "{error}");
    assert!(spool_contents(&site.path(), Some("another one")).is_err());
    assert!(spool_contents(&site.path(), Some(DATABASE)).is_ok());
    // They appear while the service runs.
    let (folder, away) = (site.path(), site.folder.path().join("away"));
    fs::rename(&folder, &away).unwrap();
    let queue = SpooledQueue::open("local", &folder, site.limits, other).unwrap();
    for file in fs::read_dir(&away).unwrap() {
        let file = file.unwrap();
        fs::rename(file.path(), folder.join(file.file_name())).unwrap();
    }
    site.is(Mood::Fine);
    let running = Running::start(&queue);
    wait_until("both are tried", || {
        log.count("cannot be brought to the database") == 2
    })
    .await;
    running.stop().await;
    assert_eq!(site.messages(), [""; 0]);
    assert_eq!(site.waiting(), 2);
}
