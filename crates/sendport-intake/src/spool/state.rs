//! What a spool knows of itself.

use std::collections::{BTreeMap, BTreeSet};

use super::folder::{Entry, Key};

/// Messages, and how many bytes they have.
#[derive(Debug, Default)]
pub(super) struct Entries {
    by_key: BTreeMap<Key, Entry>,
    bytes: u64,
}

impl Entries {
    pub(super) fn insert(&mut self, entry: Entry) {
        self.bytes += entry.bytes;
        if let Some(before) = self.by_key.insert(entry.key, entry) {
            self.bytes -= before.bytes;
        }
    }

    pub(super) fn remove(&mut self, key: Key) -> Option<Entry> {
        let removed = self.by_key.remove(&key)?;
        self.bytes -= removed.bytes;
        Some(removed)
    }

    /// In their order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Entry> {
        self.by_key.values()
    }

    pub(super) fn contains(&self, key: Key) -> bool {
        self.by_key.contains_key(&key)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }
}

/// What waits, and whether new messages do.
#[derive(Debug, Default)]
pub(super) struct State {
    /// They wait for the database.
    pub(super) waiting: Entries,
    /// They cannot be read or moved now, and hold up nobody.
    pub(super) set_aside: Entries,
    /// Files that are being written, and their bytes.
    pub(super) writing: BTreeMap<Key, u64>,
    /// New messages are kept: the database was away, and others may still wait.
    pub(super) is_spooling: bool,
    /// The folder cannot be read.
    pub(super) is_unreadable: bool,
    next: u64,
}

impl State {
    /// Number of messages.
    pub(super) fn messages(&self) -> usize {
        self.waiting.by_key.len() + self.set_aside.by_key.len()
    }

    /// Of the messages, and of those that are being written.
    pub(super) fn bytes(&self) -> u64 {
        self.waiting.bytes + self.set_aside.bytes + self.writing.values().sum::<u64>()
    }

    /// Nothing waits, and nothing is about to.
    pub(super) fn is_drained(&self) -> bool {
        self.waiting.is_empty() && self.writing.is_empty()
    }

    /// The order of the next message.
    pub(super) fn next_order(&mut self) -> u64 {
        let order = self.next;
        self.next = order.saturating_add(1);
        order
    }

    pub(super) fn keys(&self) -> BTreeSet<Key> {
        let (waiting, aside) = (self.waiting.by_key.keys(), self.set_aside.by_key.keys());
        waiting.chain(aside).copied().collect()
    }

    /// Takes over what a folder contains; `known` are the keys of before it was listed. Returns how many of them are gone.
    pub(super) fn take_over(&mut self, known: &BTreeSet<Key>, found: Vec<Entry>) -> usize {
        let keys: BTreeSet<_> = found.iter().map(|entry| entry.key).collect();
        let gone = known.difference(&keys).filter(|key| {
            let waited = self.waiting.remove(**key);
            waited.or_else(|| self.set_aside.remove(**key)).is_some()
        });
        let gone = gone.count();
        for entry in found {
            let key = entry.key;
            self.next = self.next.max(key.order.saturating_add(1));
            if !self.writing.contains_key(&key) && !self.set_aside.contains(key) {
                self.waiting.insert(entry);
            }
        }
        gone
    }
}
