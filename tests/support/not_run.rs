//! What a machine cannot test.

use std::io::Write as _;

/// Says it in a line that the test runner does not capture. `./test.sh` collects these lines.
pub(crate) fn not_run(what: &str) {
    let _ = std::io::stderr().write_all(format!("not run: {what}\n").as_bytes());
}
