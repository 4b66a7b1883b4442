//! What `sendport check` says about the sources of feedback.

use super::Failure;
use super::findings::Findings;
use crate::config::{Config, section};
use crate::feedback::folder_problems;

/// Each source whose section has no problem, by its key.
pub(super) fn check_feedback(
    config: &Config,
    is_fine: impl Fn(&str) -> bool,
    findings: &mut Findings,
) {
    for (name, source) in &config.feedback.source {
        let section = section("feedback.source", name);
        if !is_fine(&format!("{section}.")) {
            continue;
        }
        let problems = folder_problems(source);
        if problems.is_empty() {
            let (folder, badmail) = (source.folder.display(), source.badmail());
            let then = match source.read_folder() {
                Some(read) => format!("moves them to {}", read.display()),
                None => "deletes them".to_owned(),
            };
            let badmail = badmail.display();
            let what =
                format_args!("reads reports from {folder}, {then}, unreadable ones to {badmail}");
            findings.ok(&section, what);
        }
        for problem in problems {
            findings.fail(
                &format!("{section}.{}", problem.key),
                Failure::Config(problem.what),
            );
        }
    }
}
