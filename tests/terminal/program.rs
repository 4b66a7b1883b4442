//! A run of the program, and its expected output.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;

use regex::Regex;

/// Set to write the expected files again.
const RENEW: &str = "SENDPORT_RENEW_EXPECTED";

/// What a run printed and ended with.
#[derive(Debug)]
pub(crate) struct ProgramOutput {
    folder: PathBuf,
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

/// The program in a folder, without anything of this machine's environment.
pub(crate) fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sendport"));
    command.current_dir(folder).args(arguments).env_clear();
    command
}

pub(crate) fn run(folder: &Path, arguments: &[&str]) -> ProgramOutput {
    run_with(folder, arguments, &[])
}

pub(crate) fn run_with(
    folder: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> ProgramOutput {
    let mut command = program(folder, arguments);
    let output = command.envs(variables.iter().copied()).output();
    let output = output.expect("run sendport");
    ProgramOutput {
        folder: folder.to_owned(),
        code: output.status.code(),
        out: String::from_utf8(output.stdout).expect("text"),
        err: String::from_utf8(output.stderr).expect("text"),
    }
}

impl ProgramOutput {
    /// It ended with this code and printed all of this.
    #[track_caller]
    pub(crate) fn prints(&self, code: i32, all: &[&str]) {
        let printed = format!("{}{}", self.out, self.err);
        assert_eq!(self.code, Some(code), "{printed}");
        for wanted in all {
            assert!(printed.contains(wanted), "'{wanted}' is not in:\n{printed}");
        }
    }

    /// Its output is as the file of this name says.
    #[track_caller]
    pub(crate) fn is_as_expected(&self, name: &str) {
        let code = self.code.unwrap_or(-1);
        let shown = format!("{}--\n{}exit code {code}\n", self.out, self.err);
        let shown = masked(&shown.replace(&*self.folder.to_string_lossy(), "FOLDER"));
        let file = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("tests/terminal/expected")
            .join(format!("{name}.txt"));
        if std::env::var_os(RENEW).is_some() {
            std::fs::write(&file, &shown).expect("to write what is expected");
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            shown == expected,
            "{} differs ({RENEW}=1 writes it again); found:\n{shown}\nexpected:\n{expected}",
            file.display()
        );
    }
}

/// What differs from run to run, as long as it was: a table keeps its columns.
fn masked(text: &str) -> String {
    static MASKS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let mask = |(pattern, shown)| (Regex::new(pattern).expect("a pattern"), shown);
        [
            (r"127\.0\.0\.1:[0-9]+", "127.0.0.1:PORT"),
            (
                r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}Z",
                "0000-00-00 00:00:00Z",
            ),
            (
                r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
                "00000000-0000-0000-0000-000000000000",
            ),
        ]
        .map(mask)
        .into()
    });
    let mask = |text: String, (pattern, shown): &(Regex, &str)| {
        pattern.replace_all(&text, *shown).into_owned()
    };
    MASKS.iter().fold(text.to_owned(), mask)
}
