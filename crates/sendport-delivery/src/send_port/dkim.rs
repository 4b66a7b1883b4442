//! The DKIM signatures of a message that is ready.

use sendport_dkim::SignError;
use sendport_smime::SecuredMessage;

use super::SendPort;

impl SendPort {
    /// The message with the signatures of the domain of its From in front. A message with a From that the send port may
    /// not use, which a client can submit, gets none: the domain is not responsible for it.
    ///
    /// # Errors
    /// OpenSSL made no signature.
    pub(crate) fn signed_by_dkim(
        &self,
        message: SecuredMessage,
    ) -> Result<SecuredMessage, SignError> {
        if self.dkim.is_empty() {
            return Ok(message);
        }
        let Ok(from) = self.author_of(message.bytes()) else {
            return Ok(message);
        };
        let fields = self.dkim.sign(message.bytes(), from.domain())?;
        Ok(message.with_fields_in_front(&fields))
    }
}
