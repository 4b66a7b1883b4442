//! The content after DATA: removes dot-stuffing and finds the end (RFC 5321 section 4.5.2).

use memchr::memchr;

/// What the octets before were.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// CRLF, or nothing.
    #[default]
    LineStart,
    /// A dot at the start of a line, which is not part of the content.
    Dot,
    /// The same and CR, which may be part of the content.
    DotCr,
    /// Within a line.
    Line,
    /// CR within a line.
    Cr,
}

/// Reads content in any pieces. Only CRLF.CRLF ends it, whatever else it contains.
#[derive(Debug, Default)]
pub(crate) struct DotReader(State);

/// What a piece brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DotProgress {
    /// Octets of the piece that belong to the content or its end.
    pub(crate) consumed: usize,
    /// The content is complete.
    pub(crate) is_complete: bool,
}

impl DotReader {
    /// Passes what belongs to the content to `take`, in as few parts as possible.
    pub(crate) fn feed(&mut self, piece: &[u8], mut take: impl FnMut(&[u8])) -> DotProgress {
        // Where the octets begin that are not passed on yet, and the next one to look at.
        let (mut start, mut at) = (0, 0);
        while let Some(&byte) = piece.get(at) {
            self.0 = match (self.0, byte) {
                (State::LineStart, b'.') => {
                    take(&piece[start..at]);
                    at += 1;
                    start = at;
                    State::Dot
                }
                (State::Dot, b'\r') => {
                    at += 1;
                    start = at;
                    State::DotCr
                }
                (State::DotCr, b'\n') => {
                    return DotProgress {
                        consumed: at + 1,
                        is_complete: true,
                    };
                }
                (State::DotCr, _) => {
                    take(b"\r");
                    // This octet may be another CR.
                    State::Cr
                }
                (State::Cr, b'\n') => {
                    at += 1;
                    State::LineStart
                }
                (State::LineStart | State::Dot | State::Line | State::Cr, _) => {
                    let cr = memchr(b'\r', &piece[at..]);
                    at = cr.map_or(piece.len(), |cr| at + cr + 1);
                    if cr.is_some() { State::Cr } else { State::Line }
                }
            };
        }
        take(&piece[start..at]);
        DotProgress {
            consumed: at,
            is_complete: false,
        }
    }
}
