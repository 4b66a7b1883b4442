//! NTLMv1 (MS-NLMP section 3.3.1): for old servers, where the operator allows it. The LM hash is
//! never computed.

use des::Des;
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use md4::Md4;
use md5::{Digest, Md5};
use secrecy::zeroize::Zeroizing;

use super::logon::utf_16;

/// The responses to a challenge.
pub(super) struct Responses {
    pub(super) lm: Zeroizing<Vec<u8>>,
    pub(super) nt: Zeroizing<Vec<u8>>,
}

/// NTOWFv1: the key derived from the password.
pub(super) fn nt_owf(password: &str) -> Zeroizing<[u8; 16]> {
    let password = Zeroizing::new(utf_16(password));
    Zeroizing::new(Md4::digest(&*password).into())
}

/// Without extended session security. The LM response is the NT response once more
/// (NoLMResponseNTLMv1).
pub(super) fn responses(key: &[u8; 16], server_challenge: [u8; 8]) -> Responses {
    let nt = desl(key, server_challenge);
    Responses { lm: nt.clone(), nt }
}

/// With extended session security: the client challenge is in the LM response.
pub(super) fn responses_with_ess(
    key: &[u8; 16],
    server_challenge: [u8; 8],
    client_challenge: [u8; 8],
) -> Responses {
    let hash: [u8; 16] = Md5::new()
        .chain_update(server_challenge)
        .chain_update(client_challenge)
        .finalize()
        .into();
    let mut both = [0; 8];
    both.copy_from_slice(&hash[..8]);
    let mut lm = Zeroizing::new(client_challenge.to_vec());
    lm.resize(24, 0);
    Responses {
        lm,
        nt: desl(key, both),
    }
}

/// DESL (MS-NLMP section 6): three times DES, with keys of 7, 7 and 2 bytes.
fn desl(key: &[u8; 16], block: [u8; 8]) -> Zeroizing<Vec<u8>> {
    let mut padded = Zeroizing::new([0; 21]);
    padded[..16].copy_from_slice(key);
    let mut response = Zeroizing::new(Vec::with_capacity(24));
    for part in padded.chunks_exact(7) {
        let mut bytes = Array::from(block);
        Des::new((&*spread(part)).into()).encrypt_block(&mut bytes);
        response.extend_from_slice(&bytes);
    }
    response
}

/// 56 bits over eight bytes, each with its lowest bit left for parity.
fn spread(part: &[u8]) -> Zeroizing<[u8; 8]> {
    let mut bits = part
        .iter()
        .fold(0_u64, |bits, &byte| bits << 8 | u64::from(byte));
    let mut key = Zeroizing::new([0; 8]);
    for byte in key.iter_mut().rev() {
        let [.., low] = bits.to_be_bytes();
        *byte = low << 1;
        bits >>= 7;
    }
    key
}
