//! Octets that no content may have.

use memchr::memchr3_iter;

use super::incoming::Defect;

/// Checks line ends in any pieces: every CR has its LF and every LF its CR, and there is no NUL. What one server reads
/// as the end of a line and another does not is how a second message is smuggled behind a first one.
#[derive(Debug, Default)]
pub(super) struct LineEnds {
    after_cr: bool,
}

impl LineEnds {
    pub(super) fn check(&mut self, piece: &[u8]) -> Result<(), Defect> {
        // Where the octet after the last CR is.
        let mut after_cr = self.after_cr.then_some(0);
        for at in memchr3_iter(b'\r', b'\n', 0, piece) {
            match (piece[at], after_cr.take()) {
                (b'\n', Some(expected)) if expected == at => {}
                (_, Some(_)) => return Err(Defect::BareCarriageReturn),
                (b'\n', None) => return Err(Defect::BareLineFeed),
                (b'\r', None) => after_cr = Some(at + 1),
                _ => return Err(Defect::Nul),
            }
        }
        self.after_cr = match after_cr {
            Some(expected) if expected < piece.len() => return Err(Defect::BareCarriageReturn),
            pending => pending.is_some(),
        };
        Ok(())
    }

    pub(super) fn finish(&self) -> Result<(), Defect> {
        match self.after_cr {
            true => Err(Defect::BareCarriageReturn),
            false => Ok(()),
        }
    }
}
