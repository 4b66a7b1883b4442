//! Secrets that stand in a file or an environment variable instead of the configuration.

use std::io;
use std::path::Path;

use super::secret::Secret;

/// What editors and shells of Windows begin a file with.
const UTF8_MARK: &[u8] = b"\xEF\xBB\xBF";
const UTF16_MARKS: [&[u8]; 2] = [b"\xFF\xFE", b"\xFE\xFF"];

impl Secret {
    /// The secret in `file`: UTF-8, without a byte order mark at its begin and line ends at its
    /// end; blanks count.
    ///
    /// # Errors
    /// What the system says, or that it is not UTF-8.
    pub fn from_file(file: &Path) -> io::Result<Self> {
        std::fs::read(file)
            .and_then(text_of_secret_file)
            .map(Self::new)
    }

    /// The secret in `file`, as [`Secret::from_file`] reads it, or in the environment variable
    /// `variable`; `None` where neither is given.
    ///
    /// # Errors
    /// A sentence that names the file or the variable.
    pub fn from_file_or_env(
        file: Option<&Path>,
        variable: Option<&str>,
    ) -> Result<Option<Self>, String> {
        match (file, variable) {
            (Some(_), Some(_)) => {
                Err("both a file and an environment variable are given; keep one".to_owned())
            }
            (Some(file), None) => Self::from_file(file)
                .map(Some)
                .map_err(|error| format!("the file {} cannot be read: {error}", file.display())),
            (None, Some(variable)) => std::env::var(variable)
                .map(|text| Some(Self::new(text)))
                .map_err(|_| format!("the environment variable {variable} is not set")),
            (None, None) => Ok(None),
        }
    }
}

/// The one rule for what a file holds that has a secret in it.
///
/// # Errors
/// That it is not UTF-8.
pub fn text_of_secret_file(mut octets: Vec<u8>) -> io::Result<String> {
    let wrong = |what: &'static str| io::Error::new(io::ErrorKind::InvalidData, what);
    if UTF16_MARKS.iter().any(|mark| octets.starts_with(mark)) {
        return Err(wrong("expected UTF-8, found UTF-16; save it as UTF-8"));
    }
    if octets.starts_with(UTF8_MARK) {
        octets.drain(..UTF8_MARK.len());
    }
    let mut text =
        String::from_utf8(octets).map_err(|_| wrong("expected UTF-8, found something else"))?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_at_the_begin_and_line_ends_at_the_end_are_no_part_of_a_secret() {
        for octets in [
            &b" se\ncret "[..],
            b" se\ncret \n",
            b" se\ncret \r\n",
            b" se\ncret \n\r\n\n",
            b"\xEF\xBB\xBF se\ncret \r\n",
        ] {
            let text = text_of_secret_file(octets.to_vec()).expect("a text");
            assert_eq!(text, " se\ncret ");
        }
        for (octets, expected) in [(&b"\xFF\xFEs\0"[..], "found UTF-16"), (b"\xFF", "UTF-8")] {
            let error = text_of_secret_file(octets.to_vec()).expect_err("no UTF-8");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
