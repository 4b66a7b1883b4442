//! Which recipients share an envelope, and the message made secure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use sendport_core::domain::{Alert, ForwardPath, Message, RecipientKind, Timestamp};
use sendport_smime::SecuredMessage;
use sendport_smime::{
    self, ContentCipher, Encryptor, KeyKind, MessageContext, Protection, ProtectionPlan,
    RecipientCertificate, RecipientCertificateError, SmimeError,
};
use tracing::Span;

use super::CertificateCache;
use super::encryption_group::{EncryptionGroup, Variant};
use super::missing_certificates::{self, MissingCertificate};
use crate::ComposeError;
use crate::recipients::recipient_set::RecipientSet;
use crate::send_port::{Refusal, SendPort};

/// The certificates of the recipients that are due; none where nothing is encrypted.
#[derive(Debug, Default)]
pub(crate) struct Certificates {
    needed: bool,
    /// The send port's own cipher.
    usual: ContentCipher,
    of: BTreeMap<u32, RecipientProtection>,
}

/// How a recipient gets the alert.
#[derive(Debug)]
enum RecipientProtection {
    Encrypted(Arc<RecipientCertificate>, EncryptionGroup),
    Plaintext,
}

/// Why a message was not made secure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ProtectionError {
    /// The alert fails.
    #[error("would fail, {}", .0.reason)]
    Never(Refusal),
    /// It goes on once an operator has done something.
    #[error("would wait: {why}")]
    NotNow {
        /// In a sentence.
        why: String,
        /// When to look again, where something is under way.
        retry_in: Option<Duration>,
    },
}

impl ProtectionError {
    /// Nothing that an operator does lets this very alert go on.
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Never(_))
    }
}

impl From<SmimeError> for ProtectionError {
    fn from(error: SmimeError) -> Self {
        match error.is_transient() {
            true => Self::NotNow {
                why: error.to_string(),
                retry_in: error.retry_in(),
            },
            false => Self::Never(Refusal::new(error.explanation(), error.to_string())),
        }
    }
}

impl Certificates {
    /// Looks up the certificates of all waiting recipients, where the protection `wanted` encrypts.
    /// `when_missing` of the send port decides about recipients without a certificate. A send port
    /// that cannot encrypt at all is detected when the message is made secure.
    pub(crate) async fn of_those_waiting(
        alert: &Alert,
        (port, wanted): (&SendPort, Protection),
        cache: &Arc<CertificateCache>,
        recipients: &mut RecipientSet,
        now: Timestamp,
    ) -> Result<Self, ComposeError> {
        let encryptor = port.protector.encryptor.clone();
        let Some(encryptor) = encryptor.filter(|_| wanted.encrypts()) else {
            return Ok(Self::default());
        };
        let waiting: Vec<_> = recipients.waiting().collect();
        let addresses = waiting.iter().map(|(_, path)| path.address.to_string());
        let addresses: Vec<_> = addresses.collect();
        let (when_missing, usual) = (encryptor.when_missing, encryptor.cipher);
        let found = cache.find(encryptor.clone(), addresses, now).await?;
        let found = found.into_iter().map(|it| usable(&encryptor, it)).collect();
        let mut certificates = Self {
            needed: true,
            usual,
            of: BTreeMap::new(),
        };
        let missing = certificates.keep(waiting, found);
        if missing_certificates::settle(&missing, when_missing, alert, recipients) {
            let unencrypted = missing
                .iter()
                .map(|it| (it.ordinal, RecipientProtection::Plaintext));
            certificates.of.extend(unencrypted);
        }
        Ok(certificates)
    }

    /// Keeps what was found; answers who has nothing.
    fn keep(
        &mut self,
        waiting: Vec<(RecipientKind, ForwardPath)>,
        found: Vec<Result<Usable, RecipientCertificateError>>,
    ) -> Vec<MissingCertificate> {
        let mut missing = Vec::new();
        for ((kind, path), found) in waiting.into_iter().zip(found) {
            match found {
                Ok((certificate, key, cipher)) => {
                    let group = EncryptionGroup::new(kind, path.ordinal, key, cipher);
                    let found = RecipientProtection::Encrypted(certificate, group);
                    self.of.insert(path.ordinal, found);
                }
                Err(why) => missing.push(MissingCertificate {
                    ordinal: path.ordinal,
                    address: path.address,
                    why,
                }),
            }
        }
        missing
    }

    /// True where every waiting recipient was refused.
    pub(crate) fn all_refused(&self, paths: &[ForwardPath]) -> bool {
        self.needed && paths.is_empty()
    }

    /// Of those that are due, the first, and all that can share a message with it.
    pub(crate) fn together(&self, mut paths: Vec<ForwardPath>) -> Vec<ForwardPath> {
        let first = paths.first().and_then(|path| self.group(path));
        paths.retain(|path| self.group(path) == first);
        paths
    }

    fn group(&self, path: &ForwardPath) -> Option<EncryptionGroup> {
        self.of.get(&path.ordinal).map(|found| match found {
            RecipientProtection::Encrypted(_, group) => *group,
            RecipientProtection::Plaintext => EncryptionGroup::Plaintext,
        })
    }

    /// The certificate that a message is encrypted to, as text.
    pub(crate) fn shown(&self, path: &ForwardPath) -> Option<String> {
        match self.of.get(&path.ordinal)? {
            RecipientProtection::Encrypted(it, _) => {
                Some(format!("{} {}", it.thumbprint(), it.location()))
            }
            RecipientProtection::Plaintext => None,
        }
    }

    /// What the message for `paths`, which are one group, is like.
    pub(crate) fn variant(&self, alert: &Alert, paths: &[ForwardPath]) -> Variant {
        let first = paths.first();
        let group = first.and_then(|path| Some((path, self.group(path)?)));
        let found = paths.iter().filter_map(|path| self.of.get(&path.ordinal));
        let certificate = |found: &RecipientProtection| match found {
            RecipientProtection::Encrypted(certificate, _) => Some(certificate.clone()),
            RecipientProtection::Plaintext => None,
        };
        Variant {
            international: paths.iter().any(|path| path.address.is_international()),
            unencrypted: group.is_some_and(|(_, it)| it == EncryptionGroup::Plaintext),
            word: group.and_then(|(path, it)| it.word(alert, path, self.usual)),
            readers: found.filter_map(certificate).collect(),
        }
    }
}

/// A certificate to encrypt to, the kind of its key, and the cipher for its owner.
type Usable = (Arc<RecipientCertificate>, KeyKind, ContentCipher);

fn usable(
    encryptor: &Encryptor,
    found: sendport_smime::CertificateLookup,
) -> Result<Usable, RecipientCertificateError> {
    let (certificate, key) = found?;
    let cipher = encryptor.cipher_for(&certificate)?;
    Ok((certificate, key, cipher))
}

/// All that `wanted` takes.
pub(crate) fn protection_plan(
    port: &SendPort,
    wanted: Protection,
    message_context: &MessageContext<'_>,
) -> Result<ProtectionPlan, ProtectionError> {
    Ok(port.protector.plan(wanted, message_context)?)
}

/// Makes a message secure.
pub(crate) async fn secured(
    message: Message,
    plan: ProtectionPlan,
) -> Result<SecuredMessage, ProtectionError> {
    if let ProtectionPlan::Unprotected = plan {
        return Ok(sendport_smime::secure(message, &plan)?);
    }
    Ok(in_background(move || sendport_smime::secure(message, &plan)).await??)
}

/// On a thread for work that takes a processor or a disk its time.
pub(crate) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SmimeError> {
    let span = Span::current();
    let done = tokio::task::spawn_blocking(move || span.in_scope(work)).await;
    done.map_err(|_| SmimeError::Malformed("the service is stopping, or OpenSSL failed"))
}
