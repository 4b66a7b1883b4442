//! The relay that writes .eml files into a folder, as the pickup directories of IIS and
//! Exchange read them, and BAM's file transport wrote them.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use super::{FinalDotGate, NotReady, Relay, local};
use crate::clock::Clock;
use crate::config::relay;
use crate::domain::{
    Command, Envelope, Fault, Reply, SecuredMessage, SessionFacts, SubmissionEnd, SubmissionReport,
};
use crate::eml;

/// A folder as a relay.
pub struct FileRelay {
    name: String,
    folder: PathBuf,
    envelope_headers: bool,
    clock: Arc<dyn Clock>,
}

impl FileRelay {
    /// A relay of this name.
    pub fn new(name: &str, config: &relay::FileRelay, clock: Arc<dyn Clock>) -> Self {
        Self {
            name: name.to_owned(),
            folder: config.folder.clone(),
            envelope_headers: config.envelope_headers,
            clock,
        }
    }

    fn check_folder(&self) -> Result<(), NotReady> {
        let problem = match std::fs::metadata(&self.folder) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => "it is not a folder".to_owned(),
            Err(error) => error.to_string(),
        };
        let text = format!(
            "the folder {} cannot be used: {problem}",
            self.folder.display()
        );
        Err(NotReady {
            reply: Reply::absent(Command::Connect, text),
            fault: Some(Fault::Configuration),
        })
    }

    async fn write(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
    ) -> std::io::Result<PathBuf> {
        let folder = self.folder.clone();
        let stem = message.message_id().to_owned();
        let octets = message.octets().to_vec();
        let sender = envelope.reverse_path.clone();
        let receivers: Vec<_> = envelope
            .forward_paths
            .iter()
            .map(|path| path.address.clone())
            .collect();
        let with_envelope = self.envelope_headers;
        let job = move || {
            eml::write(
                &folder,
                &stem,
                with_envelope.then_some((&sender, &*receivers)),
                &octets,
            )
        };
        tokio::task::spawn_blocking(job)
            .await
            .map_err(std::io::Error::other)?
    }
}

#[async_trait]
impl Relay for FileRelay {
    fn name(&self) -> &str {
        &self.name
    }

    async fn submit(
        &self,
        envelope: &Envelope,
        message: &SecuredMessage,
        gate: &dyn FinalDotGate,
    ) -> SubmissionReport {
        let now = self.clock.now();
        let report = |end| local::report(now, &*self.clock, Vec::new(), end);
        if let Err(NotReady { reply, fault }) = self.check_folder() {
            return report(SubmissionEnd::NotBegun { reply, fault });
        }
        if !gate.may_send_final_dot() {
            return report(SubmissionEnd::Fenced);
        }
        match self.write(envelope, message).await {
            Ok(file) => {
                let text = format!("written to {}", file.display());
                local::accepted(envelope, now, &*self.clock, &text)
            }
            // Nothing of it is there then: the disk is full, or the folder may not be written to.
            Err(error) => {
                let text = format!("cannot write into {}: {error}", self.folder.display());
                report(SubmissionEnd::NotBegun {
                    reply: Reply::absent(Command::Connect, text),
                    fault: Some(Fault::Relay),
                })
            }
        }
    }

    async fn verify(&self) -> Result<SessionFacts, NotReady> {
        self.check_folder().map(|()| SessionFacts::default())
    }

    async fn close(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::{ForwardPath, ReversePath};

    struct Gate(bool);

    impl FinalDotGate for Gate {
        fn may_send_final_dot(&self) -> bool {
            self.0
        }
    }

    fn relay(folder: &std::path::Path) -> FileRelay {
        let config = relay::FileRelay {
            folder: folder.to_owned(),
            envelope_headers: true,
        };
        FileRelay::new("pickup", &config, Arc::new(SystemClock))
    }

    async fn submit(relay: &FileRelay, gate: bool) -> SubmissionReport {
        let envelope = Envelope {
            reverse_path: ReversePath(None),
            forward_paths: vec![ForwardPath {
                ordinal: 3,
                address: "a@x.com".to_owned(),
            }],
        };
        let message = SecuredMessage::vouch_for(
            "<1@x>".to_owned(),
            b"Subject: s\r\n\r\nb\r\n".to_vec(),
            "none",
        );
        relay.submit(&envelope, &message, &Gate(gate)).await
    }

    #[tokio::test]
    async fn a_message_becomes_one_file_and_everybody_is_accepted() {
        let folder = tempfile::tempdir().unwrap();
        let report = submit(&relay(folder.path()), true).await;
        assert!(report.is_accepted());
        assert!(report.reply_to_recipient(3).unwrap().is_success());
        let file = std::fs::read_dir(folder.path())
            .unwrap()
            .next()
            .unwrap()
            .unwrap();
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(
            text.starts_with("X-Sender: <>\r\nX-Receiver: a@x.com\r\nSubject: s"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn without_its_folder_it_is_a_fault_of_the_configuration() {
        let report = submit(&relay(std::path::Path::new("/nonexistent")), true).await;
        let SubmissionEnd::NotBegun { reply, fault } = report.end else {
            panic!("{report:?}")
        };
        assert_eq!(fault, Some(Fault::Configuration));
        assert!(reply.text.contains("/nonexistent"), "{reply}");
    }

    #[tokio::test]
    async fn without_a_lease_nothing_is_written() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(
            submit(&relay(folder.path()), false).await.end,
            SubmissionEnd::Fenced
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
