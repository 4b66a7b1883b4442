//! Writes a message file into the folder of an intake.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use sendport_core::domain::{DsnReturn, Notify, TransactionId};

use super::FILE_SUFFIX;
use super::envelope_fields::{RECEIVER, SENDER, SENDER_NAME};
use crate::command::{encode_xtext, mail_of_file, rcpt_of_file};

/// How the name of a file ends that is not complete.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// The envelope of a message that a program hands over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The reverse-path: an address, or a name without a domain; empty for the null one.
    pub sender: String,
    /// The name of the sender, for a `From` that is added.
    pub sender_name: Option<String>,
    /// Addresses, or names without a domain.
    pub recipients: Vec<String>,
    /// `RET` (RFC 3461 section 4.3).
    pub returns: Option<DsnReturn>,
    /// `ENVID` (RFC 3461 section 4.4), not encoded.
    pub envelope_id: Option<String>,
    /// `NOTIFY` of each recipient (RFC 3461 section 4.1).
    pub notify: Option<Notify>,
}

impl Envelope {
    /// What is wrong with the reverse-path, or with a parameter beside it.
    pub fn problem_of_sender(&self) -> Option<String> {
        let mail = mail_of_file(&self.mail(), "no-domain.invalid");
        problem(
            &self.sender,
            mail.err().map(|error| error.reply().text().to_owned()),
        )
    }

    /// What is wrong with a recipient.
    pub fn problem_of_recipient(&self, recipient: &str) -> Option<String> {
        let rcpt = rcpt_of_file(&self.rcpt(recipient), "no-domain.invalid");
        problem(
            recipient,
            rcpt.err().map(|error| error.reply().text().to_owned()),
        )
    }

    fn mail(&self) -> String {
        let mut mail = format!("<{}>", self.sender);
        match self.returns {
            Some(DsnReturn::Headers) => mail += " RET=HDRS",
            Some(DsnReturn::Full) => mail += " RET=FULL",
            None => {}
        }
        if let Some(id) = &self.envelope_id {
            mail += &format!(" ENVID={}", encode_xtext(id));
        }
        mail
    }

    fn rcpt(&self, recipient: &str) -> String {
        let notify = match &self.notify {
            None => return format!("<{recipient}>"),
            Some(Notify::Never) => "NEVER".to_owned(),
            Some(Notify::On(cases)) => {
                let words: Vec<_> = cases.iter().map(|case| case.as_str()).collect();
                words.join(",").to_ascii_uppercase()
            }
        };
        format!("<{recipient}> NOTIFY={notify}")
    }

    fn fields(&self) -> String {
        let mut fields = format!("{SENDER}: {}\r\n", self.mail());
        for recipient in &self.recipients {
            fields += &format!("{RECEIVER}: {}\r\n", self.rcpt(recipient));
        }
        let visible = |c: char| if c.is_control() { ' ' } else { c };
        let name = self.sender_name.as_deref().unwrap_or_default();
        let name: String = name.chars().map(visible).collect();
        // The end of the envelope, also where it is empty.
        fields + &format!("{SENDER_NAME}: {name}\r\n")
    }
}

/// A line break would begin another field.
fn problem(path: &str, error: Option<String>) -> Option<String> {
    match path.contains(char::is_control) {
        true => Some("it has a control character".to_owned()),
        false => error,
    }
}

/// A message file that is being written. The intake takes it when it is complete; it is removed if it is dropped before.
#[derive(Debug)]
pub struct Deposit {
    file: BufWriter<File>,
    folder: PathBuf,
    name: String,
    is_complete: bool,
}

impl Deposit {
    /// Begins a file with an envelope that has no problem. Its group may read it, which is that of the folder if the
    /// folder has the set-group-ID bit.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(folder: &Path, envelope: &Envelope) -> io::Result<Self> {
        let name = TransactionId::random().0.to_string();
        let path = temporary(folder, &name);
        let file = OpenOptions::new().write(true).create_new(true).open(path)?;
        let mut deposit = Self {
            file: BufWriter::new(file),
            folder: folder.to_owned(),
            name,
            is_complete: false,
        };
        // Whatever the umask of the caller is.
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let permissions = std::fs::Permissions::from_mode(0o640);
            deposit.file.get_ref().set_permissions(permissions)?;
        }
        deposit.file.write_all(envelope.fields().as_bytes())?;
        Ok(deposit)
    }

    /// Completes the file. When this returns, no crash loses it.
    ///
    /// # Errors
    /// What the system says. Then there is no file.
    pub fn complete(mut self) -> io::Result<()> {
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        let complete = self.folder.join(format!("{}{FILE_SUFFIX}", self.name));
        std::fs::rename(temporary(&self.folder, &self.name), complete)?;
        self.is_complete = true;
        // Most callers may not read the folder. File systems with a journal write a new name with the file.
        match File::open(&self.folder) {
            Ok(folder) => folder.sync_all(),
            Err(_) => self.file.get_ref().sync_all(),
        }
    }
}

fn temporary(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!(".{name}{TEMPORARY_SUFFIX}"))
}

impl Write for Deposit {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Deposit {
    fn drop(&mut self) {
        if !self.is_complete {
            // The intake removes what is left over.
            let _removed = std::fs::remove_file(temporary(&self.folder, &self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn envelope() -> Envelope {
        Envelope {
            sender: "root".to_owned(),
            sender_name: Some("Cron\nDaemon".to_owned()),
            recipients: vec!["ops@x.test".to_owned(), "root".to_owned()],
            returns: Some(DsnReturn::Headers),
            envelope_id: Some("a=b".to_owned()),
            notify: Some(Notify::always()),
        }
    }

    #[test]
    fn a_file_has_its_final_name_when_it_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let names = || -> Vec<String> {
            let entries = std::fs::read_dir(folder.path()).unwrap();
            entries
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect()
        };
        let mut deposit = Deposit::begin(folder.path(), &envelope()).unwrap();
        deposit.write_all(b"Subject: x\n\nbody\n").unwrap();
        assert!(names()[0].starts_with('.') && names()[0].ends_with(".tmp"));
        deposit.complete().unwrap();
        let [name] = &names()[..] else {
            panic!("{:?}", names())
        };
        let content = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            content,
            "X-Sender: <root> RET=HDRS ENVID=a+3Db\r\nX-Receiver: <ops@x.test> NOTIFY=SUCCESS,FAILURE,DELAY\r\n\
             X-Receiver: <root> NOTIFY=SUCCESS,FAILURE,DELAY\r\nX-Sender-Name: Cron Daemon\r\nSubject: x\n\nbody\n"
        );
        std::fs::remove_file(folder.path().join(name)).unwrap();
        drop(Deposit::begin(folder.path(), &envelope()).unwrap());
        assert_eq!(names(), [""; 0], "one that is not completed leaves nothing");
    }

    #[test]
    fn an_envelope_cannot_have_a_further_line() {
        let mut envelope = envelope();
        assert_eq!(envelope.problem_of_sender(), None);
        assert_eq!(envelope.problem_of_recipient("a@x.test"), None);
        for wrong in [
            "a@x.test>\r\nX-Receiver: <b@x.test",
            "a@x.test\n",
            "a b@x.test",
            "a%b@x.test",
            "",
            "@x.test",
        ] {
            assert!(envelope.problem_of_recipient(wrong).is_some(), "{wrong}");
        }
        envelope.sender = "a\n@x.test".to_owned();
        assert!(envelope.problem_of_sender().is_some());
        envelope.sender = String::new();
        assert_eq!(envelope.problem_of_sender(), None);
    }
}
