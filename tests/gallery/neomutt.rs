//! NeoMutt, which reads with GPGME. It wants a terminal: `script` is one, and the pager a file.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::gmime::deliver;
use crate::readers::Reader;
use crate::secured::Way;
use crate::support::people::Gpgsm;

const REPLACED: &str = "Subject: another one";

/// It shows the `Subject` that is signed, whatever the one outside says.
pub(crate) struct NeoMutt {
    gpgsm: Gpgsm,
    folder: PathBuf,
}

impl NeoMutt {
    /// `None` where it is not here.
    pub(crate) fn new(gpgsm: Gpgsm, folder: PathBuf) -> Option<Self> {
        Command::new("neomutt").arg("-v").output().ok()?;
        let settings = format!(
            "set crypt_use_gpgme=yes crypt_verify_sig=yes mbox_type=Maildir folder='{0}'\n\
             set prompt_after=no wait_key=no quit=yes move=no record='' tmpdir='{0}'\n\
             set pager=\"cat >'{0}/shown'\"\n\
             push '<display-message><quit>'\n",
            folder.display()
        );
        fs::write(folder.join("settings"), settings).expect("write");
        Some(Self { gpgsm, folder })
    }

    /// What it shows of a message.
    fn show(&self, message: &[u8]) -> String {
        deliver(&self.folder.join("mail"), message);
        let shown = self.folder.join("shown");
        let _ = fs::remove_file(&shown);
        let output = Command::new("script")
            .args(["-qec", "neomutt -n -R -F settings -f mail", "transcript"])
            .current_dir(&self.folder)
            .env("GNUPGHOME", self.gpgsm.home())
            .env("HOME", &self.folder)
            .env("TERM", "xterm")
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .expect("script to run");
        let printed = String::from_utf8_lossy(&output.stdout);
        let shown =
            fs::read(&shown).unwrap_or_else(|e| panic!("it shows nothing ({e}): {printed}"));
        String::from_utf8_lossy(&shown).into_owned()
    }
}

/// The `Subject` outside, which the signature does not cover.
fn with_another_subject(message: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(message).expect("7-bit");
    let (header, body) = text.split_once("\r\n\r\n").expect("a header");
    let kept = header.replace("\r\nSubject: ", "\r\nX-Subject: ");
    format!("{REPLACED}\r\n{kept}\r\n\r\n{body}").into_bytes()
}

impl Reader for NeoMutt {
    fn name(&self) -> &'static str {
        "neomutt"
    }

    fn knows_signature(&self, way: &Way) -> bool {
        way.is_clear() && !way.has_short_digest()
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        way.is_open_to_all()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        let shown = self.show(&with_another_subject(message));
        let (status, content) = shown
            .split_once("[-- The following data is signed --]\n\n")
            .expect("a signed mail");
        if !status.contains("\nGood signature from: ") || status.contains("*BAD*") {
            return None;
        }
        let is_protected = content.starts_with("Subject: ") && !content.starts_with(REPLACED);
        assert!(is_protected, "{shown}");
        Some(message.to_vec())
    }

    fn open(&self, message: &[u8], who: &str) -> Option<Vec<u8>> {
        Reader::open(&self.gpgsm, message, who)
    }
}
