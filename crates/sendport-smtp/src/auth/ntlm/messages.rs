//! The three messages of NTLM as bytes (MS-NLMP section 2.2.1).

use secrecy::zeroize::Zeroizing;

use super::super::error::AuthError;
use super::av_pairs::AvPairs;
use super::logon::utf_16;

/// What every message begins with.
pub(super) const SIGNATURE: &[u8] = b"NTLMSSP\0";

/// Windows 10 and NTLMSSP_REVISION_W2K3 (MS-NLMP section 2.2.2.10); for debugging only, says
/// the specification.
pub(super) const VERSION: [u8; 8] = [10, 0, 0, 0, 0, 0, 0, 15];

/// Bytes in front of the MIC field of AUTHENTICATE_MESSAGE.
const BEFORE_MIC: usize = 72;
const MIC: usize = 16;

/// NegotiateFlags (MS-NLMP section 2.2.2.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flags(pub(super) u32);

impl Flags {
    pub(super) const UNICODE: u32 = 0x0000_0001;
    const OEM: u32 = 0x0000_0002;
    const REQUEST_TARGET: u32 = 0x0000_0004;
    const NTLM: u32 = 0x0000_0200;
    const ALWAYS_SIGN: u32 = 0x0000_8000;
    pub(super) const EXTENDED_SESSION_SECURITY: u32 = 0x0008_0000;
    const TARGET_INFO: u32 = 0x0080_0000;
    const VERSION: u32 = 0x0200_0000;
    const KEYS_OF_128_BITS: u32 = 0x2000_0000;
    const KEYS_OF_56_BITS: u32 = 0x8000_0000;

    /// What we offer. Neither signing nor a session key: nothing is sealed by NTLM in SMTP.
    const OFFERED: u32 = Self::UNICODE
        | Self::OEM
        | Self::REQUEST_TARGET
        | Self::NTLM
        | Self::ALWAYS_SIGN
        | Self::EXTENDED_SESSION_SECURITY
        | Self::TARGET_INFO
        | Self::VERSION
        | Self::KEYS_OF_128_BITS
        | Self::KEYS_OF_56_BITS;

    pub(super) fn has(self, flag: u32) -> bool {
        self.0 & flag != 0
    }

    /// What both sides can, of a server's flags.
    pub(super) fn agreed(self) -> Self {
        let both = self.0 & Self::OFFERED;
        if both & Self::UNICODE != 0 {
            return Self(both & !Self::OEM);
        }
        Self(both | Self::OEM)
    }

    /// A name in the agreed character set.
    pub(super) fn encode(self, name: &str) -> Result<Vec<u8>, AuthError> {
        if self.has(Self::UNICODE) {
            return Ok(utf_16(name));
        }
        if name.is_ascii() {
            return Ok(name.as_bytes().to_vec());
        }
        Err(AuthError::UnusableCredential(format!(
            "auth.username '{name}': expected ASCII alone, because the server does not support \
             Unicode in NTLM; use an account with an ASCII name, or another auth.mechanism"
        )))
    }
}

/// NEGOTIATE_MESSAGE (MS-NLMP section 2.2.1.1), without domain and workstation.
pub(super) fn negotiate() -> Vec<u8> {
    let mut message = begin(1);
    message.extend_from_slice(&Flags::OFFERED.to_le_bytes());
    message.extend_from_slice(&[0; 16]);
    message.extend_from_slice(&VERSION);
    message
}

/// CHALLENGE_MESSAGE (MS-NLMP section 2.2.1.2), as far as an answer needs it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Challenge {
    pub(super) flags: Flags,
    pub(super) server_challenge: [u8; 8],
    /// `None` where the server sends none, as Exim and libntlm do.
    pub(super) target_info: Option<AvPairs>,
}

impl Challenge {
    /// # Errors
    /// [`AuthError::UnexpectedChallenge`], for any other bytes.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, AuthError> {
        if !bytes.starts_with(SIGNATURE) || u32_at(bytes, 8) != Some(2) {
            return Err(AuthError::unexpected(
                "expected a CHALLENGE_MESSAGE of NTLM from the server, found something else",
            ));
        }
        let (Some(flags), Some(server_challenge)) = (u32_at(bytes, 20), array_at(bytes, 24)) else {
            return Err(cut_off());
        };
        let flags = Flags(flags);
        // Without the flag the field may hold anything.
        let target_info = match flags.has(Flags::TARGET_INFO) {
            true => target_info(bytes)?,
            false => None,
        };
        Ok(Self {
            flags,
            server_challenge,
            target_info,
        })
    }
}

fn target_info(bytes: &[u8]) -> Result<Option<AvPairs>, AuthError> {
    let length = u16_at(bytes, 40).map_or(0, usize::from);
    // A challenge of 32 or 40 bytes ends before the field.
    let Some(offset) = u32_at(bytes, 44).filter(|_| length > 0) else {
        return Ok(None);
    };
    let start = usize::try_from(offset).map_err(|_| cut_off())?;
    let rest = bytes.get(start..).ok_or_else(cut_off)?;
    let pairs = rest.get(..length).ok_or_else(cut_off)?;
    AvPairs::parse(pairs).map(Some)
}

fn cut_off() -> AuthError {
    AuthError::unexpected("the server's CHALLENGE_MESSAGE of NTLM is cut off")
}

/// AUTHENTICATE_MESSAGE (MS-NLMP section 2.2.1.3).
pub(super) struct Authenticate<'a> {
    pub(super) flags: Flags,
    pub(super) lm_response: &'a [u8],
    pub(super) nt_response: &'a [u8],
    pub(super) domain: Vec<u8>,
    pub(super) user: Vec<u8>,
    pub(super) workstation: Vec<u8>,
    /// EncryptedRandomSessionKey.
    pub(super) session_key: &'a [u8],
    pub(super) version: [u8; 8],
}

impl Authenticate<'_> {
    pub(super) fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        self.assemble(BEFORE_MIC)
    }

    /// `mic` computes the MIC from the message with an empty one.
    pub(super) fn to_bytes_with_mic(
        &self,
        mic: impl FnOnce(&[u8]) -> [u8; MIC],
    ) -> Zeroizing<Vec<u8>> {
        let mut message = self.assemble(BEFORE_MIC + MIC);
        let computed = mic(&message);
        message[BEFORE_MIC..BEFORE_MIC + MIC].copy_from_slice(&computed);
        message
    }

    /// Fixed part of `header` bytes, then the values that it points to.
    fn assemble(&self, header: usize) -> Zeroizing<Vec<u8>> {
        let values = self.values();
        let payload: usize = values.iter().map(|value| value.len()).sum();
        let mut message = Zeroizing::new(Vec::with_capacity(header + payload));
        message.extend_from_slice(&begin(3));
        // LM, NT, domain, user, workstation, session key: places among `values`.
        for place in [3, 4, 0, 1, 2, 5] {
            let before: usize = values[..place].iter().map(|value| value.len()).sum();
            message.extend_from_slice(&field(values[place].len(), header + before));
        }
        message.extend_from_slice(&self.flags.0.to_le_bytes());
        message.extend_from_slice(&self.version);
        message.resize(header, 0);
        for value in values {
            message.extend_from_slice(value);
        }
        message
    }

    /// In the order of Windows and of the specification's examples.
    fn values(&self) -> [&[u8]; 6] {
        [
            &self.domain,
            &self.user,
            &self.workstation,
            self.lm_response,
            self.nt_response,
            self.session_key,
        ]
    }
}

/// Length twice, and offset. What we write is far below the limits: names come from the
/// configuration, responses are bounded by the longest challenge.
fn field(length: usize, offset: usize) -> [u8; 8] {
    let [a, b] = u16::try_from(length).unwrap_or(u16::MAX).to_le_bytes();
    let [c, d, e, f] = u32::try_from(offset).unwrap_or(u32::MAX).to_le_bytes();
    [a, b, a, b, c, d, e, f]
}

fn begin(kind: u32) -> Vec<u8> {
    let mut message = SIGNATURE.to_vec();
    message.extend_from_slice(&kind.to_le_bytes());
    message
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    array_at(bytes, at).map(u16::from_le_bytes)
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    array_at(bytes, at).map(u32::from_le_bytes)
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}
