//! Secrets in a file or an environment variable instead of the configuration.

use std::io;
use std::path::{Path, PathBuf};

use super::regular_file;
use super::secret::Secret;

/// What editors and shells of Windows begin a file with.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

/// Why a secret cannot be read. Its text names the file or the variable, never the secret.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Two sources are configured.
    #[error("both a file and an environment variable are given; keep one")]
    TwoSources,
    /// The file cannot be read, or is not UTF-8.
    #[error("the file {} cannot be read: {source}", .file.display())]
    File {
        /// Its path.
        file: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// The environment variable is not set, or is not UTF-8.
    #[error("the environment variable {0} is not set")]
    Variable(String),
}

impl Secret {
    /// The secret in `file`: UTF-8, without a byte order mark at its start and without its last line
    /// end (LF or CRLF). Spaces count.
    ///
    /// # Errors
    /// What the system says, or that it is not UTF-8.
    pub fn from_file(file: &Path) -> io::Result<Self> {
        regular_file::read(file)
            .and_then(text_of_secret_file)
            .map(Self::new)
    }

    /// The secret in `file`, as [`Secret::from_file`] reads it, or in the environment variable
    /// `variable`; `None` where neither is given.
    ///
    /// # Errors
    /// [`SecretError`].
    pub fn from_file_or_env(
        file: Option<&Path>,
        variable: Option<&str>,
    ) -> Result<Option<Self>, SecretError> {
        match (file, variable) {
            (Some(_), Some(_)) => Err(SecretError::TwoSources),
            (Some(file), None) => {
                let error = |source| SecretError::File {
                    file: file.to_owned(),
                    source,
                };
                Self::from_file(file).map(Some).map_err(error)
            }
            (None, Some(variable)) => std::env::var(variable)
                .map(|text| Some(Self::new(text)))
                .map_err(|_| SecretError::Variable(variable.to_owned())),
            (None, None) => Ok(None),
        }
    }
}

/// The text of a file with a secret: the one rule for all of them.
///
/// # Errors
/// That it is not UTF-8.
pub fn text_of_secret_file(mut bytes: Vec<u8>) -> io::Result<String> {
    let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    if UTF16_MARKS.iter().any(|mark| bytes.starts_with(mark)) {
        return Err(wrong("expected UTF-8, found UTF-16; save it as UTF-8"));
    }
    if bytes.starts_with(UTF8_MARK) {
        bytes.drain(..UTF8_MARK.len());
    }
    let mut text =
        String::from_utf8(bytes).map_err(|_| wrong("expected UTF-8, found something else"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_and_the_last_line_end_are_no_part_of_a_secret() {
        for bytes in [
            &b" se\ncret "[..],
            b" se\ncret \n",
            b" se\ncret \r\n",
            b"\xEF\xBB\xBF se\ncret \r\n",
        ] {
            let text = text_of_secret_file(bytes.to_vec()).expect("a text");
            assert_eq!(text, " se\ncret ");
        }
        let two = text_of_secret_file(b"secret\n\r\n".to_vec()).expect("a text");
        assert_eq!(two, "secret\n", "an empty line is part of the secret");
        for (bytes, expected) in [(&b"\xFF\xFEs\0"[..], "found UTF-16"), (b"\xFF", "UTF-8")] {
            let error = text_of_secret_file(bytes.to_vec()).expect_err("no UTF-8");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
