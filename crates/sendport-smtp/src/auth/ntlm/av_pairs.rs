//! AV_PAIR (MS-NLMP section 2.2.2.1): the server's target information, and what we add to it.

use super::super::error::AuthError;
use super::logon::utf_16;
use super::messages::u16_at;

const EOL: u16 = 0;
const FLAGS: u16 = 6;
const TIMESTAMP: u16 = 7;
const TARGET_NAME: u16 = 9;
const CHANNEL_BINDINGS: u16 = 10;

/// MsvAvFlags: a MIC is in the AUTHENTICATE_MESSAGE.
const MIC_PRESENT: u32 = 2;

/// Attributes in the server's order; without the one that ends the list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct AvPairs(Vec<(u16, Vec<u8>)>);

impl AvPairs {
    /// Up to the end of the list, or of the bytes.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, AuthError> {
        let mut pairs = Vec::new();
        while let (Some(id), Some(length)) = (u16_at(bytes, 0), u16_at(bytes, 2)) {
            if id == EOL {
                break;
            }
            let end = 4 + usize::from(length);
            let value = bytes.get(4..end).ok_or(AuthError::UnexpectedChallenge(
                "the target information in the server's CHALLENGE_MESSAGE of NTLM is cut off"
                    .into(),
            ))?;
            pairs.push((id, value.to_vec()));
            bytes = &bytes[end..];
        }
        Ok(Self(pairs))
    }

    /// The server's time: 100 ns since 1601, as bytes.
    pub(super) fn timestamp(&self) -> Option<[u8; 8]> {
        self.get(TIMESTAMP)?.try_into().ok()
    }

    /// Says that a MIC is in the message, beside whatever flags the server set.
    pub(super) fn announce_mic(&mut self) {
        let flags = self.get(FLAGS).and_then(|value| value.try_into().ok());
        let flags = flags.map_or(0, u32::from_le_bytes) | MIC_PRESENT;
        self.set(FLAGS, flags.to_le_bytes().to_vec());
    }

    /// The service that we mean to talk to (MsvAvTargetName).
    pub(super) fn set_target_name(&mut self, name: &str) {
        self.set(TARGET_NAME, utf_16(name));
    }

    /// The TLS channel that we talk over, hashed.
    pub(super) fn set_channel_bindings(&mut self, hash: [u8; 16]) {
        self.set(CHANNEL_BINDINGS, hash.to_vec());
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for (id, value) in &self.0 {
            bytes.extend_from_slice(&id.to_le_bytes());
            let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(value);
        }
        bytes.extend_from_slice(&[0; 4]);
        bytes
    }

    fn get(&self, id: u16) -> Option<&[u8]> {
        let found = self.0.iter().find(|(known, _)| *known == id);
        found.map(|(_, value)| value.as_slice())
    }

    fn set(&mut self, id: u16, value: Vec<u8>) {
        match self.0.iter_mut().find(|(known, _)| *known == id) {
            Some(pair) => pair.1 = value,
            None => self.0.push((id, value)),
        }
    }
}
