//! The parser of Python's standard library, where there is a Python.

use std::path::PathBuf;
use std::process::Command;

use crate::not_run::not_run;
use crate::read::Read;

/// What it reads in each file; nothing, and a line that says so, without a Python.
pub(crate) fn read(files: &[PathBuf]) -> Vec<Read> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gallery/read.py");
    let Ok(output) = Command::new("python3").arg(script).args(files).output() else {
        not_run("the parser of Python's email: python3 is not installed");
        return Vec::new();
    };
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let answers = String::from_utf8(output.stdout).expect("UTF-8");
    let read: Vec<Read> = answers
        .lines()
        .map(|line| serde_json::from_str(line).expect("what read.py writes"))
        .collect();
    assert_eq!(read.len(), files.len());
    read
}
