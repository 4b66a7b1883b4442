//! Every entry of the table of replies explains a reply of a server, or an error in its place: no
//! earlier entry hides it.

use std::collections::BTreeSet;
use std::path::Path;

use sendport_core::domain::LocalCause;
use sendport_core::replies::{Entry, ReplyTable};
use serde::Deserialize;

use crate::replies::{documented, reply_to};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Examples {
    example: Vec<Example>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Example {
    command: String,
    reply: String,
    local: Option<LocalCause>,
    key: String,
}

fn examples() -> Vec<Example> {
    let text = include_str!("examples.toml");
    toml::from_str::<Examples>(text).expect("examples").example
}

fn place(table: &ReplyTable, entry: &Entry) -> usize {
    let mut entries = table.entries();
    entries
        .position(|it| std::ptr::eq(it, entry))
        .expect("an entry of the table")
}

#[test]
fn an_example_or_the_corpus_reaches_every_entry() {
    let table = ReplyTable::built_in();
    let mut reached = BTreeSet::new();
    let mut wrong = Vec::new();
    for example in examples() {
        let mut reply = reply_to(&example.command, &example.reply);
        reply.local = example.local;
        let found = table.explain(&reply);
        reached.extend(found.map(|entry| place(&table, entry)));
        let key = found.map_or("nothing", |entry| entry.key.as_str());
        if key != example.key {
            let (command, reply) = (&example.command, &example.reply);
            wrong.push(format!(
                "{command} {reply}: expected {}, found {key}",
                example.key
            ));
        }
    }
    for documented in documented() {
        let found = table.explain(&documented.reply);
        reached.extend(found.map(|entry| place(&table, entry)));
    }
    let unreached = table
        .entries()
        .enumerate()
        .filter(|(at, entry)| !entry.is_own_reason() && !reached.contains(at));
    let unreached: Vec<_> = unreached
        .map(|(at, entry)| format!("{at} {}", entry.key))
        .collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(unreached.is_empty(), "no example reaches {unreached:#?}");
}

/// The code gives every reason of sendport itself.
#[test]
fn the_code_gives_every_own_reason() {
    let mut code = String::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("crates")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("src").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if !path.ends_with("replies.rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap_or_default();
                code += text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
            }
        }
    }
    let table = ReplyTable::built_in();
    let own = table.entries().filter(|entry| entry.is_own_reason());
    let unused: Vec<_> = own
        .map(|entry| entry.key.as_str())
        .filter(|key| !code.contains(&format!("\"{key}\"")))
        .collect();
    assert!(unused.is_empty(), "no code gives the reasons {unused:?}");
}

#[test]
fn every_entry_has_a_cause_and_an_advice() {
    for entry in ReplyTable::built_in().entries() {
        for text in [&entry.cause, &entry.advice] {
            assert!(
                text.len() > 10 && text.ends_with('.'),
                "{}: {text}",
                entry.key
            );
        }
    }
}
