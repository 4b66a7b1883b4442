//! Which recipients can share a message, and what sets it apart from the others of the same alert.

use std::sync::Arc;

use openssl::sha::sha256;
use sendport_core::domain::{Alert, ForwardPath, RecipientKind, Timestamp};
use sendport_smime::{ContentCipher, KeyKind, MessageContext, Protection, RecipientCertificate};

/// Recipients that can share one message. Every recipient of an encrypted message can read whom it is
/// encrypted to, so each Bcc recipient gets one of their own; and not every mail reader opens an
/// envelope for different kinds of keys. An unencrypted message names no recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EncryptionGroup {
    Shared(KeyKind, ContentCipher),
    Individual(u32),
    Plaintext,
}

/// What sets a message apart from others of the same alert, as far as it is known beforehand.
#[derive(Debug, Clone, Default)]
pub(crate) struct Variant {
    /// For recipients whose addresses are not ASCII.
    pub(crate) international: bool,
    /// It is to be encrypted, and these recipients get it without.
    pub(crate) unencrypted: bool,
    /// In the Message-ID.
    pub(crate) word: Option<String>,
    /// The readers of an envelope.
    pub(crate) readers: Vec<Arc<RecipientCertificate>>,
}

impl Variant {
    /// The protection of this message of an alert that is to have `wanted`.
    pub(crate) fn protection(&self, wanted: Protection) -> Protection {
        match self.unencrypted {
            true => wanted.without_envelope(),
            false => wanted,
        }
    }

    /// What its protection has to know of the alert.
    pub(crate) fn message_context<'a>(
        &self,
        from: &'a str,
        alert: &Alert,
        now: Timestamp,
    ) -> MessageContext<'a> {
        MessageContext {
            from,
            created_at: alert.created_at,
            now,
            recipients: self.readers.clone(),
        }
    }
}

impl EncryptionGroup {
    pub(super) fn new(
        kind: RecipientKind,
        ordinal: u32,
        key: KeyKind,
        cipher: ContentCipher,
    ) -> Self {
        match kind {
            RecipientKind::Bcc => Self::Individual(ordinal),
            RecipientKind::To | RecipientKind::Cc => Self::Shared(key, cipher),
        }
    }

    /// The word in the Message-ID, which depends on no recipient outside of this group: it is the
    /// same in every attempt, and says nothing of others. The message that most recipients get,
    /// for RSA keys by the send port's `usual` cipher, has none.
    pub(super) fn word(
        self,
        alert: &Alert,
        first: &ForwardPath,
        usual: ContentCipher,
    ) -> Option<String> {
        match self {
            Self::Shared(key, cipher) => {
                let key = (key == KeyKind::Ec).then_some("ec");
                let cipher = (cipher != usual).then_some(cipher.as_str());
                let words: Vec<_> = key.into_iter().chain(cipher).collect();
                (!words.is_empty()).then(|| words.join("-"))
            }
            Self::Individual(_) => Some(opaque(alert, &first.address)),
            Self::Plaintext => Some("plain".to_owned()),
        }
    }
}

/// Tells the message of one recipient from all others. Made from what this recipient knows
/// anyway, and not from an ordinal: that would say how many others there are.
fn opaque(alert: &Alert, address: &str) -> String {
    let text = format!("{} {}", alert.public_id, address.to_lowercase());
    let digest = sha256(text.as_bytes());
    digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: ContentCipher = ContentCipher::Aes256Cbc;

    fn word(kind: RecipientKind, ordinal: u32, key: KeyKind, cipher: ContentCipher) -> String {
        let first = ForwardPath {
            ordinal,
            address: "Ops@contoso.com".parse().expect("an address"),
        };
        let group = EncryptionGroup::new(kind, ordinal, key, cipher);
        let word = group.word(&crate::fixture::alert(), &first, USUAL);
        word.unwrap_or_default()
    }

    #[test]
    fn the_usual_message_has_no_word_and_each_other_one_its_own() {
        let to = |key, cipher| word(RecipientKind::To, 0, key, cipher);
        assert_eq!(to(KeyKind::Rsa, USUAL), "");
        assert_eq!(to(KeyKind::Ec, USUAL), "ec");
        assert_eq!(to(KeyKind::Rsa, ContentCipher::Aes256Gcm), "aes-256-gcm");
        assert_eq!(to(KeyKind::Ec, ContentCipher::Aes128Cbc), "ec-aes-128-cbc");
    }

    #[test]
    fn the_label_of_an_individual_does_not_show_its_position() {
        let bcc = |ordinal| word(RecipientKind::Bcc, ordinal, KeyKind::Rsa, USUAL);
        assert_eq!(bcc(3), bcc(70));
        assert_eq!(bcc(3).len(), 16);
    }
}
