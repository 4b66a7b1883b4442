//! Protection at work: who can be encrypted to together, and the message made secure.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::roll::Roll;
use super::{CertificateShelf, Draft, NotComposed};
use crate::domain::{Alert, ForwardPath, Message, RecipientKind, SecuredMessage, Timestamp};
use crate::send_port::{Refusal, SendPort};
use crate::smime::{
    self, KeyKind, Measures, Occasion, RecipientCertificate, SmimeError, WhenMissing,
};

/// The certificates of those who are due; none where nothing is encrypted.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    needed: bool,
    of: BTreeMap<u32, (Arc<RecipientCertificate>, Company)>,
}

/// Who can be in one message: what it is encrypted to can be read by everybody who gets it, so
/// whoever stands in no header gets one of their own; and not every reader opens an envelope
/// for different kinds of keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Company {
    Open(KeyKind),
    Alone(u32),
}

impl Company {
    fn of(kind: RecipientKind, ordinal: u32, key: KeyKind) -> Self {
        match kind {
            RecipientKind::Bcc => Self::Alone(ordinal),
            RecipientKind::To | RecipientKind::Cc => Self::Open(key),
        }
    }
}

/// Why a message was not made secure.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotSecured {
    /// The alert fails.
    #[error("would fail, {}", .0.reason)]
    Never(Refusal),
    /// It goes on once an operator has done something.
    #[error("would wait: {0}")]
    NotNow(String),
}

impl From<SmimeError> for NotSecured {
    fn from(error: SmimeError) -> Self {
        match error.is_transient() {
            true => Self::NotNow(error.to_string()),
            false => Self::Never(Refusal::new(error.explanation(), error.to_string())),
        }
    }
}

impl Certificates {
    /// Looks up the certificates of everybody who waits, where the alert is to be encrypted.
    /// Who has none fails, or the whole alert, as the send port says. A send port that cannot
    /// encrypt at all is found out when the message is made secure.
    pub(super) async fn of_those_waiting(
        alert: &Alert,
        port: &SendPort,
        keyring: &Arc<CertificateShelf>,
        roll: &mut Roll,
        now: Timestamp,
    ) -> Result<Self, NotComposed> {
        let encrypts = port.decide_protection(alert).is_ok_and(|it| it.encrypts());
        let Some(sealer) = port.protector.sealer.clone().filter(|_| encrypts) else {
            return Ok(Self::default());
        };
        let waiting = roll.waiting();
        let addresses: Vec<_> = waiting
            .iter()
            .map(|(.., address)| address.clone())
            .collect();
        let when_missing = sealer.when_missing;
        let found = keyring.find(sealer, addresses, now).await?;
        let mut certificates = Self {
            needed: true,
            of: BTreeMap::new(),
        };
        let mut refused = Vec::new();
        for ((ordinal, kind, _), found) in waiting.into_iter().zip(found) {
            match found {
                Ok((certificate, key)) => {
                    let company = Company::of(kind, ordinal, key);
                    certificates.of.insert(ordinal, (certificate, company));
                }
                Err(why) => {
                    refused.push((ordinal, Refusal::new(why.explanation(), why.to_string())));
                }
            }
        }
        match (when_missing, refused.first()) {
            (WhenMissing::FailAlert, Some((_, refusal))) => roll.refuse(refusal),
            _ => roll.refuse_each(&refused),
        }
        Ok(certificates)
    }

    /// True where everybody who waited was refused.
    pub(super) fn leave_nobody(&self, paths: &[ForwardPath]) -> bool {
        self.needed && paths.is_empty()
    }

    /// Of those that are due, the first and whoever can be in one message with it.
    pub(super) fn together(&self, mut paths: Vec<ForwardPath>) -> Vec<ForwardPath> {
        let company = |path: &ForwardPath| self.of.get(&path.ordinal).map(|(_, with)| *with);
        let first = paths.first().and_then(company);
        paths.retain(|path| company(path) == first);
        paths
    }

    fn of(&self, paths: &[ForwardPath]) -> Vec<Arc<RecipientCertificate>> {
        let certificates = paths.iter().filter_map(|path| self.of.get(&path.ordinal));
        certificates
            .map(|(certificate, _)| certificate.clone())
            .collect()
    }
}

/// All that the protection of a draft takes, for the recipients `paths`.
pub(super) fn measures(
    draft: &Draft,
    alert: &Alert,
    port: &SendPort,
    paths: &[ForwardPath],
    certificates: &Certificates,
    now: Timestamp,
) -> Result<Measures, NotSecured> {
    let occasion = Occasion {
        from: &draft.from,
        created_at: alert.created_at,
        now,
        recipients: certificates.of(paths),
    };
    Ok(port.protector.measures(draft.protection, &occasion)?)
}

/// Makes a message secure.
pub(super) async fn secured(
    message: Message,
    measures: Measures,
) -> Result<SecuredMessage, NotSecured> {
    if let Measures::None = measures {
        return Ok(smime::secure(message, &measures)?);
    }
    Ok(in_background(move || smime::secure(message, &measures)).await??)
}

/// On a thread for work that takes a processor or a disk its time.
pub(super) async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, SmimeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| SmimeError::Malformed("the service is stopping, or OpenSSL failed"))
}
