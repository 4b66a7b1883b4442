//! The body of a request, whose last block waits for a permission. Until the block is sent, the server does not have the
//! whole request: that block is what the final dot is to SMTP.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::mpsc;

use tokio::sync::mpsc as questions;

/// Bytes that are withheld until the permission; a smaller body is withheld whole.
const LAST_BLOCK: usize = 4096;

/// How much of a request the server may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    /// At most its header section.
    NotBegun = 0,
    /// Some of the body, and not its last block.
    Incomplete = 1,
    /// The last block was not permitted.
    Refused = 2,
    /// Perhaps all of it.
    HandedOver = 3,
}

/// The progress of one request, which another thread carries out.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedProgress(Arc<AtomicU8>);

impl SharedProgress {
    pub(crate) fn get(&self) -> Progress {
        match self.0.load(Ordering::SeqCst) {
            0 => Progress::NotBegun,
            1 => Progress::Incomplete,
            2 => Progress::Refused,
            _ => Progress::HandedOver,
        }
    }

    fn set(&self, progress: Progress) {
        self.0.store(progress as u8, Ordering::SeqCst);
    }
}

/// A question whether the last block may be sent, and where the answer goes.
pub(crate) struct Question(mpsc::SyncSender<bool>);

impl Question {
    pub(crate) fn answer(self, may_send: bool) {
        // Nobody waits any more where the request has failed meanwhile.
        let _ = self.0.send(may_send);
    }
}

/// Reads a body, and asks before its last block. Without an answer, because the asker is gone, nothing more is sent.
pub(crate) struct GatedBody {
    bytes: Arc<[u8]>,
    sent: usize,
    questions: questions::Sender<Question>,
    progress: SharedProgress,
}

impl GatedBody {
    /// `questions` has room for one.
    pub(crate) fn new(
        bytes: Arc<[u8]>,
        questions: questions::Sender<Question>,
        progress: SharedProgress,
    ) -> Self {
        Self {
            bytes,
            sent: 0,
            questions,
            progress,
        }
    }

    fn ask(&self) -> bool {
        let (answer, answered) = mpsc::sync_channel(1);
        let asked = self.questions.try_send(Question(answer));
        asked.is_ok() && answered.recv().unwrap_or(false)
    }
}

impl Read for GatedBody {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let withheld = self.bytes.len().saturating_sub(LAST_BLOCK);
        let end = match self.progress.get() {
            Progress::HandedOver => self.bytes.len(),
            Progress::Refused => return Err(refused()),
            _ if self.sent < withheld => {
                self.progress.set(Progress::Incomplete);
                withheld
            }
            _ if self.ask() => {
                self.progress.set(Progress::HandedOver);
                self.bytes.len()
            }
            _ => {
                self.progress.set(Progress::Refused);
                return Err(refused());
            }
        };
        let block = &self.bytes[self.sent..end];
        let count = block.len().min(buffer.len());
        buffer[..count].copy_from_slice(&block[..count]);
        self.sent += count;
        Ok(count)
    }
}

fn refused() -> io::Error {
    io::Error::new(
        io::ErrorKind::ConnectionAborted,
        "the lease was not certain any more",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(length: usize) -> (GatedBody, questions::Receiver<Question>, SharedProgress) {
        let (ask, asked) = questions::channel(1);
        let progress = SharedProgress::default();
        (
            GatedBody::new(vec![b'x'; length].into(), ask, progress.clone()),
            asked,
            progress,
        )
    }

    #[test]
    fn the_last_block_waits_for_the_permission() {
        let (mut body, mut asked, progress) = body(10_000);
        let mut before = [0; 8000];
        assert_eq!(body.read(&mut before).unwrap(), 10_000 - LAST_BLOCK);
        assert_eq!(progress.get(), Progress::Incomplete);
        let reader = std::thread::spawn(move || {
            let mut rest = Vec::new();
            body.read_to_end(&mut rest).map(|_| rest.len())
        });
        asked.blocking_recv().expect("a question").answer(true);
        assert_eq!(reader.join().unwrap().unwrap(), LAST_BLOCK);
        assert_eq!(progress.get(), Progress::HandedOver);
    }

    #[test]
    fn nothing_of_a_small_body_is_sent_without_permission() {
        for asker_is_gone in [false, true] {
            let (mut body, mut asked, progress) = body(100);
            if asker_is_gone {
                drop(asked);
                assert!(body.read(&mut [0; 10]).is_err());
            } else {
                let reader = std::thread::spawn(move || body.read(&mut [0; 10]).is_err());
                asked.blocking_recv().expect("a question").answer(false);
                assert!(reader.join().unwrap());
            }
            assert_eq!(progress.get(), Progress::Refused);
        }
    }
}
