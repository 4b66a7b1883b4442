//! The octets of a message that a client submitted, in memory or in a temporary file.

use std::fs::File;
use std::io;

/// The octets of a received message: CRLF line endings only, not dot-stuffed.
#[derive(Debug)]
pub enum ReceivedContent {
    /// In memory.
    Memory(Vec<u8>),
    /// In a file without a name, because there are many.
    File {
        /// Open for reading.
        file: File,
        /// Its length in bytes.
        length: u64,
    },
}

/// Nothing.
impl Default for ReceivedContent {
    fn default() -> Self {
        Self::Memory(Vec::new())
    }
}

impl ReceivedContent {
    /// The number of octets.
    pub fn size(&self) -> u64 {
        match self {
            Self::Memory(bytes) => bytes.len() as u64,
            Self::File { length, .. } => *length,
        }
    }

    /// Passes all octets to `take`, at most `piece` of them at a time, in order; none where there are none.
    ///
    /// # Errors
    /// That of `take`, or of reading the file, which ends before its length in [`io::ErrorKind::UnexpectedEof`].
    pub fn pieces<E: From<io::Error>>(
        &self,
        piece: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        match self {
            Self::Memory(bytes) => bytes.chunks(piece).try_for_each(take),
            Self::File { file, length } => {
                let mut buffer = vec![0; piece];
                let mut at = 0;
                while at < *length {
                    let left = usize::try_from(*length - at);
                    let next = left.map_or(piece, |left| left.min(piece));
                    read_exact_at(file, &mut buffer[..next], at)?;
                    take(&buffer[..next])?;
                    at += next as u64;
                }
                Ok(())
            }
        }
    }
}

/// Without the position of the file, so that several threads may read it.
#[cfg(unix)]
fn read_exact_at(file: &File, buffer: &mut [u8], at: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, buffer, at)
}

#[cfg(windows)]
fn read_exact_at(file: &File, mut buffer: &mut [u8], mut at: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt as _;
    while !buffer.is_empty() {
        match file.seek_read(buffer, at)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            length => {
                buffer = &mut buffer[length..];
                at += length as u64;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_file_and_memory_give_the_same_pieces() {
        let bytes: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let length = bytes.len() as u64;
        for content in [
            ReceivedContent::Memory(bytes.clone()),
            ReceivedContent::File { file, length },
        ] {
            for _again in 0..2 {
                let mut pieces: Vec<Vec<u8>> = Vec::new();
                let take = |piece: &[u8]| {
                    pieces.push(piece.to_vec());
                    Ok::<_, io::Error>(())
                };
                content.pieces(300, take).unwrap();
                assert_eq!(
                    pieces.iter().map(Vec::len).collect::<Vec<_>>(),
                    [300, 300, 300, 100]
                );
                assert_eq!(pieces.concat(), bytes);
            }
            assert_eq!(content.size(), 1000);
        }
    }

    #[test]
    fn a_file_that_was_cut_is_an_error() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"short").unwrap();
        let content = ReceivedContent::File { file, length: 6 };
        let read = content.pieces(4, |_| Ok::<_, io::Error>(()));
        assert_eq!(read.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
