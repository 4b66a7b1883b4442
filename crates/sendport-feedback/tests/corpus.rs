//! Shapes of real reports, one mailbox file for each family of servers, and what each says: `corpus/manifest.toml`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use sendport_core::replies::ReplyTable;
use sendport_feedback::{Report, read};

/// Every message of the corpus that returns ours names this alert.
const ALERT: &str = "0190a5f0-1c2d-7e3f-8a4b-5c6d7e8f9a0b";

/// The kind, then a line for each recipient, or a key.
type Manifest = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus")
}

fn manifest() -> Manifest {
    let text = std::fs::read_to_string(folder().join("manifest.toml")).expect("a manifest");
    toml::from_str(&text).expect("TOML")
}

/// The messages of a family by name: a mailbox file, whose lines `From <name>` begin a message.
fn family(name: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = std::fs::read(folder().join(format!("{name}.mbox"))).expect("a family");
    let mut messages: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut current = String::new();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_prefix(b"From ") {
            Some(name) => {
                current = String::from_utf8_lossy(name.trim_ascii()).into_owned();
                messages.insert(current.clone(), Vec::new());
            }
            None => {
                let line = line
                    .strip_prefix(b">")
                    .filter(|it| it.starts_with(b"From "))
                    .unwrap_or(line);
                messages
                    .get_mut(&current)
                    .expect("a name first")
                    .extend_from_slice(line);
            }
        }
    }
    messages
}

fn shown(report: &Report) -> Vec<String> {
    let or_dash = |it: Option<String>| it.unwrap_or_else(|| "-".to_owned());
    let mut lines = vec![report.kind.as_str().to_owned()];
    lines.extend(report.explanation_key.clone());
    for it in &report.recipients {
        lines.push(format!(
            "{} {} {} {} {}",
            it.address().unwrap_or("-"),
            it.outcome,
            or_dash(it.class.map(|it| it.to_string())),
            or_dash(it.status.map(|it| it.to_string())),
            or_dash(it.smtp_code.map(|it| it.to_string())),
        ));
    }
    lines
}

#[test]
fn at_least_99_of_100_shapes_are_read_as_they_are_meant() {
    let table = ReplyTable::of_bounces();
    let (mut total, mut right, mut misses) = (0, 0, String::new());
    for (name, expected) in manifest() {
        let messages = family(&name);
        let names: Vec<_> = messages.keys().collect();
        assert_eq!(names, expected.keys().collect::<Vec<_>>(), "{name}");
        for (shape, message) in &messages {
            let report = read(message, &table);
            let found = shown(&report);
            let names_alert = String::from_utf8_lossy(message).contains(ALERT);
            let alert = report.named_alert().map(|it| it.to_string());
            let is_alert_right = alert.as_deref() == names_alert.then_some(ALERT);
            total += 1;
            if found == expected[shape] && is_alert_right {
                right += 1;
                continue;
            }
            let said: Vec<_> = report
                .recipients
                .iter()
                .map(|it| (&it.explanation_key, &it.text))
                .collect();
            writeln!(
                misses,
                "{name}/{shape}: alert {alert:?}\n  expected {:?}\n  found    {found:?}\n  {said:?}",
                expected[shape]
            )
            .expect("a string");
        }
    }
    println!("{right} of {total} shapes are read right\n{misses}");
    assert!(total >= 200, "{total}");
    assert!(right * 100 >= total * 99, "{right} of {total}:\n{misses}");
}

/// An entry that no shape shows may be wrong without anybody noticing.
#[test]
fn every_key_of_the_table_has_a_shape() {
    let table = ReplyTable::of_bounces();
    let mut missing: Vec<_> = table.explanations().map(|it| it.key.clone()).collect();
    for name in manifest().keys() {
        for message in family(name).values() {
            let report = read(message, &table);
            let of_recipients = report
                .recipients
                .iter()
                .filter_map(|it| it.explanation_key.as_ref());
            let found: Vec<_> = of_recipients.chain(&report.explanation_key).collect();
            missing.retain(|key| !found.contains(&key));
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

/// What a report says is bounded and on one line, whatever it is.
#[test]
fn texts_are_one_line_and_bounded() {
    let table = ReplyTable::of_bounces();
    for name in manifest().keys() {
        for (shape, message) in family(name) {
            for it in read(&message, &table).recipients {
                assert!(
                    !it.text.contains(char::is_control),
                    "{name}/{shape}: {:?}",
                    it.text
                );
                assert!(it.text.chars().count() <= 1000, "{name}/{shape}");
            }
        }
    }
}

/// A report is the same whichever line ends the mail system that stores it uses.
#[test]
fn line_ends_make_no_difference() {
    let table = ReplyTable::of_bounces();
    for name in manifest().keys() {
        for (shape, message) in family(name) {
            let crlf: Vec<u8> = message
                .iter()
                .flat_map(|byte| match byte {
                    b'\n' => b"\r\n".to_vec(),
                    other => vec![*other],
                })
                .collect();
            assert_eq!(
                read(&message, &table),
                read(&crlf, &table),
                "{name}/{shape}"
            );
        }
    }
}

/// A report may be cut anywhere: by a limit, by a full disk, by an attacker.
#[test]
fn a_report_that_is_cut_anywhere_is_read_without_a_panic() {
    let table = ReplyTable::of_bounces();
    for name in ["microsoft365", "postfix", "google", "other"] {
        let messages = family(name);
        for (shape, message) in messages.iter().take(3) {
            for end in (0..message.len()).step_by(7) {
                let found = read(&message[..end], &table).recipients.len();
                assert!(found <= Report::MOST_RECIPIENTS, "{shape} at {end}");
            }
        }
    }
}
