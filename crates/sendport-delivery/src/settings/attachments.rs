//! Section `[send_port.<name>.attachments]`: which attachments an alert may have.

use sendport_core::byte_size::ByteSize;
use sendport_core::problem::Problem;
use serde::{Deserialize, Serialize};

/// Limits of the content as stored in the database; base64 makes it a third longer.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct AttachmentsConfig {
    /// Longest attachment.
    pub max_size: ByteSize,
    /// All attachments of one alert together.
    pub max_total_size: ByteSize,
    /// Extensions of file names that are refused, without regard to case.
    pub forbidden_extensions: Vec<String>,
}

impl Default for AttachmentsConfig {
    fn default() -> Self {
        Self {
            max_size: ByteSize(10_000_000),
            max_total_size: ByteSize(25_000_000),
            forbidden_extensions: ["exe", "dll", "vbs", "js"].map(str::to_owned).to_vec(),
        }
    }
}

impl AttachmentsConfig {
    /// Its problems; `key` is that of the section. A rule that matches no file would allow what it
    /// was meant to forbid.
    pub fn problems(&self, key: &str) -> Vec<Problem> {
        let mut found = Vec::new();
        for written in &self.forbidden_extensions {
            let bare = written.trim().trim_start_matches('.');
            let is_extension = |c: char| !c.is_whitespace() && !"*?.,;/\\:".contains(c);
            if bare.is_empty() || !bare.chars().all(is_extension) {
                found.push(Problem::new(
                    format!("{key}.forbidden_extensions"),
                    format!(
                        "'{written}' is no extension; write the text after a name's last dot, such as \"exe\""
                    ),
                ));
            }
        }
        if self.max_size > self.max_total_size {
            let (one, all) = (self.max_size, self.max_total_size);
            found.push(Problem::new(
                format!("{key}.max_size"),
                format!("{one} is more than max_total_size, which is {all}; raise that, too"),
            ));
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(section: &str) -> Vec<String> {
        let section: AttachmentsConfig = toml::from_str(section).expect("understood");
        let found = section.problems("send_port.default.attachments");
        found.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_extension_that_no_file_has_is_refused() {
        for written in ["*.exe", "tar.gz", "", ".", "exe,com", "exe com", "a\\\\b"] {
            let found = problems(&format!("forbidden_extensions = [\"{written}\"]"));
            let shown = written.replace("\\\\", "\\");
            assert_eq!(
                found,
                [format!(
                    "send_port.default.attachments.forbidden_extensions: '{shown}' is no extension; write the text after a name's last dot, such as \"exe\""
                )]
            );
        }
        let none: [String; 0] = [];
        assert_eq!(problems("forbidden_extensions = [\".EXE\", \"7z\"]"), none);
        assert_eq!(problems("forbidden_extensions = []"), none);
    }

    #[test]
    fn one_file_cannot_be_longer_than_all_of_them() {
        let found = problems("max_size = \"30MB\"");
        assert_eq!(
            found,
            [
                "send_port.default.attachments.max_size: 30MB is more than max_total_size, which is 25MB; raise that, too"
            ]
        );
    }
}
