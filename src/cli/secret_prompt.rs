//! Asks for a secret at a terminal, which does not show what is typed.

use sendport_core::secret::Secret;

use super::Failure;

/// Prints the question on standard error, and reads a line from the terminal.
#[cfg(target_os = "linux")]
pub(super) async fn ask(question: String) -> Result<Secret, Failure> {
    use super::{progress, stop_signal};
    progress::end();
    let stop = stop_signal();
    let mut hidden = linux::Hidden::begin()?;
    eprint(&question);
    let read = tokio::task::spawn_blocking(line);
    let answer = tokio::select! {
        answer = read => answer.map_err(Failure::other)?,
        () = stop.cancelled() => Err(std::io::ErrorKind::Interrupted.into()),
    };
    hidden.end();
    eprint("\n");
    answer.map_err(|error| Failure::Other(format!("no password was read: {error}")))
}

/// The first line of standard input.
///
/// # Errors
/// There is none.
pub(super) async fn from_input() -> Result<Secret, Failure> {
    let read = tokio::task::spawn_blocking(line).await;
    let read = read.map_err(Failure::other)?;
    read.map_err(|error| Failure::Other(format!("no password was read: {error}")))
}

/// A line without its end.
fn line() -> std::io::Result<Secret> {
    use std::io::BufRead as _;
    let mut line = String::new();
    if std::io::stdin().lock().read_line(&mut line)? == 0 {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    line.truncate(line.trim_end_matches(['\r', '\n']).len());
    Ok(Secret::new(line))
}

#[cfg(target_os = "linux")]
fn eprint(text: &str) {
    use std::io::Write as _;
    // Standard error may be a closed pipe.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// Without a terminal that can hide it, a secret is written by hand.
#[cfg(not(target_os = "linux"))]
#[expect(clippy::unused_async, reason = "the other one waits")]
pub(super) async fn ask(_question: String) -> Result<Secret, Failure> {
    Err(Failure::Other(
        "a password can be typed at a terminal of Linux only; write it into a file, or into standard input"
            .to_owned(),
    ))
}

#[cfg(target_os = "linux")]
mod linux {
    use std::io::IsTerminal as _;

    use super::Failure;
    use rustix::termios::{LocalModes as Local, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The terminal of standard input does not echo while this lives.
    pub(super) struct Hidden(Option<Termios>);

    impl Hidden {
        pub(super) fn begin() -> Result<Self, Failure> {
            let stdin = std::io::stdin();
            if !stdin.is_terminal() {
                return Err(Failure::Other(
                    "--ask-passwords needs a terminal; leave it out, and write the files by hand"
                        .to_owned(),
                ));
            }
            let before = tcgetattr(&stdin).map_err(Failure::other)?;
            let mut silent = before.clone();
            silent.local_modes.remove(Local::ECHO);
            tcsetattr(&stdin, OptionalActions::Flush, &silent).map_err(Failure::other)?;
            Ok(Self(Some(before)))
        }

        pub(super) fn end(&mut self) {
            if let Some(before) = self.0.take() {
                // It worked a moment ago.
                let _ = tcsetattr(std::io::stdin(), OptionalActions::Now, &before);
            }
        }
    }

    impl Drop for Hidden {
        fn drop(&mut self) {
            self.end();
        }
    }
}
