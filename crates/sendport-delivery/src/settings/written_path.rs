//! Absolute paths as applications write them, whatever system they run on.

/// A path, taken apart by the rules of the system that it was written for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenPath {
    root: Root,
    /// Of Windows the drive, or the server and its share, come first.
    parts: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Root {
    /// `/`
    Unix,
    /// `C:\`
    Drive,
    /// `\\server\share`
    Unc,
}

impl WrittenPath {
    /// `None` where it is not absolute.
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        let (root, separators): (_, &[char]) = match bytes {
            [b'/', ..] => (Root::Unix, &['/']),
            [b'\\', b'\\', ..] => (Root::Unc, &['\\', '/']),
            [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic() => {
                (Root::Drive, &['\\', '/'])
            }
            _ => return None,
        };
        let parts = text.split(separators);
        let parts: Vec<_> = parts
            .filter(|part| !part.is_empty() && *part != ".")
            .map(str::to_owned)
            .collect();
        let is_whole = root != Root::Unc || parts.len() >= 2;
        is_whole.then_some(Self { root, parts })
    }

    /// Whether a part of it is `..`, also where Windows would leave out the blanks and dots behind it.
    pub fn leads_up(&self) -> bool {
        let is_up =
            |part: &String| part.starts_with("..") && part.trim_end_matches(['.', ' ']).is_empty();
        self.parts.iter().any(is_up)
    }

    /// The parts behind `folder`; `None` where it is not beneath it. Windows knows no case.
    pub fn beneath(&self, folder: &Self) -> Option<&[String]> {
        let is_same = |(a, b): (&String, &String)| match self.root {
            Root::Unix => a == b,
            Root::Drive | Root::Unc => a.to_lowercase() == b.to_lowercase(),
        };
        let is_beneath = self.root == folder.root
            && self.parts.len() >= folder.parts.len()
            && self.parts.iter().zip(&folder.parts).all(is_same);
        is_beneath.then(|| &self.parts[folder.parts.len()..])
    }

    /// Whether both are one path.
    pub fn is_same(&self, other: &Self) -> bool {
        self.beneath(other).is_some_and(<[_]>::is_empty)
    }

    /// How many parts it has.
    pub fn depth(&self) -> usize {
        self.parts.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beneath(path: &str, folder: &str) -> Option<Vec<String>> {
        let path = WrittenPath::parse(path).expect(path);
        let folder = WrittenPath::parse(folder).expect(folder);
        path.beneath(&folder).map(<[_]>::to_vec)
    }

    #[test]
    fn paths_of_both_systems_are_understood() {
        for (path, folder, rest) in [
            (
                "/srv/reports/a/late.pdf",
                "/srv/reports",
                &["a", "late.pdf"][..],
            ),
            ("/srv//reports/./late.pdf", "/srv/reports/", &["late.pdf"]),
            ("/srv/reports/a\\b", "/srv/reports", &["a\\b"]),
            (
                r"C:\Reports\Mai\Größe.pdf",
                r"c:\reports\",
                &["Mai", "Größe.pdf"],
            ),
            ("C:/Reports/late.pdf", r"C:\Reports", &["late.pdf"]),
            (
                r"\\FILES\Reports\late.pdf",
                r"\\files\reports",
                &["late.pdf"],
            ),
            ("/srv/reports", "/srv/reports", &[]),
        ] {
            assert_eq!(
                beneath(path, folder).as_deref(),
                Some(&rest.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>()[..]),
                "{path}"
            );
        }
    }

    #[test]
    fn a_path_is_compared_part_by_part() {
        for (path, folder) in [
            ("/srv/reports2/late.pdf", "/srv/reports"),
            ("/srv/Reports/late.pdf", "/srv/reports"),
            ("/srv", "/srv/reports"),
            (r"D:\Reports\late.pdf", r"C:\Reports"),
            (r"\\files\reports2\late.pdf", r"\\files\reports"),
            (r"\\?\C:\Reports\late.pdf", r"C:\Reports"),
            ("/C:/Reports/late.pdf", r"C:\Reports"),
            ("//files/reports/late.pdf", r"\\files\reports"),
        ] {
            assert_eq!(beneath(path, folder), None, "{path}");
        }
    }

    #[test]
    fn what_is_relative_is_no_path() {
        for text in [
            "",
            "late.pdf",
            r"C:late.pdf",
            r"\late.pdf",
            r"\\files",
            "../x",
            "~/x",
            "1:/x",
        ] {
            assert_eq!(WrittenPath::parse(text), None, "{text}");
        }
        for (text, leads_up) in [
            ("/srv/../x", true),
            (r"C:\Reports\..\x", true),
            (r"C:\Reports\.. \x", true),
            ("/srv/..", true),
            ("/srv/...x", false),
            ("/srv/x..", false),
        ] {
            let path = WrittenPath::parse(text).expect(text);
            assert_eq!(path.leads_up(), leads_up, "{text}");
        }
    }
}
