//! A terminal for the program.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The program on a terminal of its own; what that shows can be read while it runs.
pub(crate) struct Terminal {
    pub(crate) child: Child,
    shown: String,
}

impl Terminal {
    /// With words that need no quotation marks.
    pub(crate) fn start(folder: &Path, words: &str) -> Self {
        let line = format!("{} {words}", env!("CARGO_BIN_EXE_sendport"));
        let mut command = Command::new("script");
        command.args(["-q", "-e", "-f", "-c", &line, "/dev/null"]);
        command
            .current_dir(folder)
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Self {
            child: command.spawn().expect("run script"),
            shown: String::new(),
        }
    }

    /// Reads on until this is shown, or to the end.
    pub(crate) fn read_until(&mut self, wanted: &str) {
        let out = self.child.stdout.as_mut().expect("a pipe");
        let mut bytes = [0; 1024];
        while !self.shown.contains(wanted) {
            match out.read(&mut bytes).expect("read") {
                0 => return,
                many => self.shown += &String::from_utf8_lossy(&bytes[..many]),
            }
        }
    }

    pub(crate) fn ended(mut self) -> (Option<i32>, String) {
        self.read_until("\0never");
        (self.child.wait().expect("wait").code(), self.shown)
    }

    /// Types a line, once this is shown.
    pub(crate) fn answer(&mut self, question: &str, line: &str) {
        self.read_until(question);
        let keys = self.child.stdin.as_mut().expect("a pipe");
        keys.write_all(format!("{line}\n").as_bytes())
            .expect("type");
    }
}
