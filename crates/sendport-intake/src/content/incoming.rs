//! Content while it arrives.

use std::io;
use std::path::Path;
use std::sync::Arc;

use sendport_core::domain::ReceivedContent;

use super::header::{HeaderScan, HeaderSection, ScanResult};
use super::line_ends::LineEnds;
use super::memory::{MemoryBudget, Reservation};
use super::preface::Preface;
use super::storage::Storage;
use crate::reply::Reply;

/// Longest header section. Postfix reads 100 KiB, Exchange 64 KiB.
pub(crate) const LONGEST_HEADER: usize = 256 * 1024;

/// Why content is refused. The rest of it is read, but not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Defect {
    /// LF without CR.
    BareLineFeed,
    /// CR without LF.
    BareCarriageReturn,
    /// A NUL octet.
    Nul,
    /// Longer than the limit.
    TooLarge,
    /// Its header section is longer than [`LONGEST_HEADER`].
    HeaderTooLarge,
    /// So many `Received` fields that it goes in circles.
    Loop,
    /// There is no space for the temporary file.
    NoSpace,
    /// The temporary file cannot be written.
    NotStored,
}

impl Defect {
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::BareLineFeed => {
                Reply::new(550, "5.5.2", "bare LF in the content; end lines with CRLF")
            }
            Self::BareCarriageReturn => {
                Reply::new(550, "5.5.2", "bare CR in the content; end lines with CRLF")
            }
            Self::Nul => Reply::new(550, "5.6.0", "NUL in the content; encode binary data"),
            Self::TooLarge => Reply::new(552, "5.3.4", "the message is too large"),
            Self::HeaderTooLarge => Reply::new(552, "5.3.4", "the header section is too large"),
            Self::Loop => Reply::new(
                554,
                "5.4.6",
                "too many Received fields: the message goes in a loop",
            ),
            Self::NoSpace => Reply::new(452, "4.3.1", "there is not enough space, try again later"),
            Self::NotStored => Reply::new(
                451,
                "4.3.0",
                "the message cannot be stored now, try again later",
            ),
        }
    }

    /// What follows such content may be meant to be read as commands.
    pub(crate) fn ends_session(self) -> bool {
        matches!(self, Self::BareLineFeed | Self::BareCarriageReturn)
    }
}

impl From<&io::Error> for Defect {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::NoSpace,
            _ => Self::NotStored,
        }
    }
}

/// What all messages of an intake share.
#[derive(Debug, Clone)]
pub(crate) struct ContentLimits {
    /// Octets of a message.
    pub(crate) size: u64,
    /// `Received` fields of a message.
    pub(crate) hops: usize,
    /// Memory of all messages.
    pub(crate) memory: MemoryBudget,
    /// Where temporary files are.
    pub(crate) folder: Arc<Path>,
}

/// Accepted content.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) content: ReceivedContent,
    pub(crate) header: HeaderSection,
    /// Octets above 127 occur.
    pub(crate) is_eight_bit: bool,
    /// To be kept as long as `content`.
    pub(crate) reservation: Option<Reservation>,
}

/// Content that is not complete yet.
#[derive(Debug)]
pub(crate) struct IncomingContent {
    limits: ContentLimits,
    preface: Preface,
    line_ends: LineEnds,
    scan: HeaderScan,
    header: Option<HeaderSection>,
    storage: Storage,
    received: u64,
    is_eight_bit: bool,
    defect: Option<Defect>,
}

impl IncomingContent {
    pub(crate) fn new(limits: ContentLimits, preface: Preface) -> Self {
        Self {
            storage: Storage::new(Arc::clone(&limits.folder), limits.memory.reservation()),
            limits,
            preface,
            line_ends: LineEnds::default(),
            scan: HeaderScan::default(),
            header: None,
            received: 0,
            is_eight_bit: false,
            defect: None,
        }
    }

    /// Octets so far, whether they are stored or not.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// The first reason to refuse it.
    pub(crate) fn defect(&self) -> Option<Defect> {
        self.defect
    }

    /// Refuses it.
    pub(crate) fn refuse(&mut self, defect: Defect) {
        self.defect.get_or_insert(defect);
        self.storage.clear();
    }

    /// Adds the next octets.
    pub(crate) fn take(&mut self, octets: &[u8]) {
        self.received += octets.len() as u64;
        if self.defect.is_some() {
            return;
        }
        if let Err(defect) = self.checked(octets) {
            self.refuse(defect);
        }
    }

    fn checked(&mut self, octets: &[u8]) -> Result<(), Defect> {
        self.line_ends.check(octets)?;
        if self.received > self.limits.size {
            return Err(Defect::TooLarge);
        }
        self.is_eight_bit |= !octets.is_ascii();
        self.storage.memory.extend_from_slice(octets);
        if self.header.is_none() {
            match self.scan.resume(&self.storage.memory) {
                ScanResult::Incomplete if self.storage.memory.len() > LONGEST_HEADER => {
                    return Err(Defect::HeaderTooLarge);
                }
                ScanResult::Incomplete => {}
                ScanResult::End { at, has_separator } => self.end_header(at, has_separator)?,
            }
        }
        Ok(())
    }

    /// The header section is in front of `at`: reads it and adds what it lacks.
    fn end_header(&mut self, at: usize, has_separator: bool) -> Result<(), Defect> {
        let memory = &mut self.storage.memory;
        let mut header = HeaderSection::read(&memory[..at]);
        if header.hops > self.limits.hops {
            return Err(Defect::Loop);
        }
        if !has_separator {
            memory.splice(at..at, *b"\r\n");
        }
        memory.splice(..0, self.preface.complete(&mut header).into_bytes());
        self.header = Some(header);
        Ok(())
    }

    /// Writes to a file what is too much for memory.
    pub(crate) async fn spill(&mut self) {
        // The preface goes first, and is known with the header section.
        if self.header.is_none() || self.defect.is_some() {
            return;
        }
        if let Err(error) = self.storage.spill().await {
            self.refuse_unstored(&error);
        }
    }

    fn refuse_unstored(&mut self, error: &io::Error) {
        tracing::warn!(%error, "temporary file write failed");
        self.refuse(error.into());
    }

    /// The end.
    pub(crate) async fn finish(mut self) -> Result<Accepted, Defect> {
        if let Some(defect) = self.defect {
            return Err(defect);
        }
        self.line_ends.finish()?;
        if self.header.is_none() {
            let (at, has_separator) = self.scan.finish(&self.storage.memory);
            self.end_header(at, has_separator)?;
        }
        let header = self.header.take().unwrap_or_default();
        let stored = self.storage.finish().await;
        let (content, reservation) = stored.map_err(|error| {
            tracing::warn!(%error, "temporary file write failed");
            Defect::from(&error)
        })?;
        Ok(Accepted {
            content,
            header,
            is_eight_bit: self.is_eight_bit,
            reservation: Some(reservation),
        })
    }
}
