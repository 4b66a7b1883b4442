//! What a sink or a relay of the kind `file` wrote down.

use std::path::{Path, PathBuf};

/// The .eml files in a folder and the folders in it.
pub(crate) fn messages(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let path = entry.path();
        if path.is_dir() {
            found.extend(messages(&path));
        } else if path.extension().is_some_and(|ending| ending == "eml") {
            found.push(path);
        }
    }
    found
}

/// What the sink received, without the envelope that it writes in front.
pub(crate) fn received(folder: &Path) -> Vec<Vec<u8>> {
    let content = |path: PathBuf| {
        let bytes = std::fs::read(path).expect("readable");
        let mut rest = bytes.as_slice();
        while rest.starts_with(b"X-Sender: ") || rest.starts_with(b"X-Receiver: ") {
            let end = rest.windows(2).position(|two| two == b"\r\n");
            rest = &rest[end.expect("a line") + 2..];
        }
        rest.to_vec()
    };
    sorted(messages(folder).into_iter().map(content))
}

/// In an order of their own.
pub(crate) fn sorted(bytes: impl Iterator<Item = Vec<u8>>) -> Vec<Vec<u8>> {
    let mut all: Vec<_> = bytes.collect();
    all.sort();
    all
}
