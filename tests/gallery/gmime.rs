//! notmuch, which reads with GMime, as Balsa and Geary do. It asks gpgsm about signatures.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::readers::Reader;
use crate::secured::Way;
use crate::support::people::Gpgsm;

pub(crate) struct Notmuch {
    gpgsm: Gpgsm,
    folder: PathBuf,
}

impl Notmuch {
    /// `None` where it is not here.
    pub(crate) fn new(gpgsm: Gpgsm, folder: PathBuf) -> Option<Self> {
        Command::new("notmuch").arg("--version").output().ok()?;
        let settings = format!(
            "[database]\npath={}\n[user]\nname=Reader\nprimary_email=reader@example.test\n",
            folder.join("mail").display()
        );
        fs::write(folder.join("config"), settings).expect("write");
        Some(Self { gpgsm, folder })
    }

    fn ask(&self, arguments: &[&str]) -> String {
        let output = Command::new("notmuch")
            .env("NOTMUCH_CONFIG", self.folder.join("config"))
            .env("GNUPGHOME", self.gpgsm.home())
            .args(arguments)
            .output()
            .expect("notmuch to run");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "notmuch {arguments:?}: {text}");
        String::from_utf8(output.stdout).expect("UTF-8")
    }
}

/// A maildir with this message alone: forged ones have the same Message-ID.
pub(crate) fn deliver(maildir: &Path, message: &[u8]) {
    let _ = fs::remove_dir_all(maildir);
    for folder in ["cur", "new", "tmp"] {
        fs::create_dir_all(maildir.join(folder)).expect("a folder");
    }
    // notmuch takes nothing for a mail that is an entity alone, as an envelope holds it.
    let header: &[u8] = match message.starts_with(b"Content-") {
        true => b"From: alerts@example.test\r\n",
        false => b"",
    };
    fs::write(maildir.join("cur/1"), [header, message].concat()).expect("write");
}

impl Reader for Notmuch {
    fn name(&self) -> &'static str {
        "notmuch"
    }

    fn knows_signature(&self, way: &Way) -> bool {
        way.is_clear() && !way.has_short_digest()
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        way.is_open_to_all()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        deliver(&self.folder.join("mail"), message);
        self.ask(&["new", "--quiet"]);
        let shown = self.ask(&["show", "--verify", "--format=json", "*"]);
        let says = |status: &str| shown.contains(&format!("\"status\": \"{status}\""));
        assert!(shown.contains("\"signed\""), "{shown}");
        (says("good") && !says("bad") && !says("error")).then(|| message.to_vec())
    }

    fn open(&self, message: &[u8], who: &str) -> Option<Vec<u8>> {
        Reader::open(&self.gpgsm, message, who)
    }
}
