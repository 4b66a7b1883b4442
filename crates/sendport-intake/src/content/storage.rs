//! Where content is stored until it is committed.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;
use std::sync::Arc;

use sendport_core::domain::ReceivedContent;

use super::memory::Reservation;

/// More than this goes to a file.
const MOST_MEMORY: usize = 1 << 20;

/// So much of each message does not count against the budget, and is collected before it is written to a file.
const PIECE: usize = 64 * 1024;

/// Octets in memory, and in a file what is in front of them.
#[derive(Debug)]
pub(super) struct Storage {
    folder: Arc<Path>,
    pub(super) memory: Vec<u8>,
    reservation: Reservation,
    file: Option<File>,
    written: u64,
}

impl Storage {
    pub(super) fn new(folder: Arc<Path>, reservation: Reservation) -> Self {
        Self {
            folder,
            memory: Vec::new(),
            reservation,
            file: None,
            written: 0,
        }
    }

    /// Drops everything.
    pub(super) fn clear(&mut self) {
        self.memory = Vec::new();
        self.file = None;
        self.reservation.release();
    }

    /// Writes to the file if there is too much in memory.
    pub(super) async fn spill(&mut self) -> io::Result<()> {
        let length = self.memory.len();
        let has_room = match self.file {
            Some(_) => length < PIECE,
            None => length <= PIECE || (length <= MOST_MEMORY && self.reservation.grow_to(length)),
        };
        if has_room {
            return Ok(());
        }
        self.write().await
    }

    async fn write(&mut self) -> io::Result<()> {
        let octets = std::mem::take(&mut self.memory);
        let length = octets.len() as u64;
        let (file, folder) = (self.file.take(), Arc::clone(&self.folder));
        let write = move || -> io::Result<File> {
            let mut file = match file {
                Some(file) => file,
                None => tempfile::tempfile_in(folder)?,
            };
            file.write_all(&octets)?;
            Ok(file)
        };
        let written = tokio::task::spawn_blocking(write).await;
        self.file = Some(written.map_err(io::Error::other)??);
        self.written += length;
        self.reservation.release();
        Ok(())
    }

    /// The whole content, and what it occupies of the budget.
    pub(super) async fn finish(mut self) -> io::Result<(ReceivedContent, Reservation)> {
        if self.file.is_some() && !self.memory.is_empty() {
            self.write().await?;
        }
        let content = match self.file {
            None => ReceivedContent::Memory(self.memory),
            Some(file) => ReceivedContent::File {
                file,
                length: self.written,
            },
        };
        Ok((content, self.reservation))
    }
}
