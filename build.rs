//! Which commit a release is built from, for `sendport --version`. A debug build does not look: each
//! commit would have all of it, and every test, compiled again.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// Says it without looking, such as where the sources come without their repository.
const GIVEN: &str = "SENDPORT_COMMIT";

fn main() {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    let is_release = std::env::var("PROFILE").is_ok_and(|it| it == "release");
    let look = is_release && std::env::var_os(GIVEN).is_none();
    for line in instructions(Path::new(&folder), look) {
        // Cargo reads them.
        let _ = writeln!(std::io::stdout(), "cargo::{line}");
    }
}

/// The instructions to cargo: the commit, and when to run this again.
pub(crate) fn instructions(folder: &Path, look: bool) -> Vec<String> {
    let mut lines = vec![
        "rerun-if-changed=build.rs".to_owned(),
        format!("rerun-if-env-changed={GIVEN}"),
    ];
    // Else git would answer of another repository that this folder happens to be in.
    if !look || !folder.join(".git").exists() {
        return lines;
    }
    let Some(commit) = git(folder, &["rev-parse", "--short", "HEAD"]) else {
        return lines;
    };
    lines.push(format!("rustc-env={GIVEN}={commit}"));
    let branch = git(folder, &["symbolic-ref", "--quiet", "HEAD"]);
    // The log changes where a packed branch becomes a file of its own.
    let watched = ["HEAD", "logs/HEAD"].map(str::to_owned).into_iter();
    for name in watched.chain(branch) {
        let file = git(folder, &["rev-parse", "--git-path", &name]);
        // One that is missing would have it all built each time.
        if let Some(file) = file.filter(|file| folder.join(file).exists()) {
            lines.push(format!("rerun-if-changed={file}"));
        }
    }
    lines
}

/// Its answer, in one line; `None` without git, or where it fails.
fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    let asked = command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .output()
        .ok()?;
    let answer = String::from_utf8(asked.stdout).ok()?;
    let answer = answer.trim();
    (asked.status.success() && !answer.is_empty()).then(|| answer.to_owned())
}
