//! NTLMv2 (MS-NLMP section 3.3.2).

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use secrecy::zeroize::Zeroizing;

use super::logon::{upper_case, utf_16};
use super::v1;

/// Seconds between 1601, where FILETIME begins, and 1970.
const FILE_TIME_EPOCH: i64 = 11_644_473_600;

/// The responses to a challenge.
pub(super) struct Responses {
    pub(super) lm: Zeroizing<Vec<u8>>,
    pub(super) nt: Zeroizing<Vec<u8>>,
    /// SessionBaseKey: the key of the MIC, as no other key is exchanged.
    pub(super) session_base_key: Zeroizing<[u8; 16]>,
}

/// NTOWFv2: the key derived from the password.
pub(super) fn nt_owf(password: &str, user: &str, domain: &str) -> Zeroizing<[u8; 16]> {
    let whose = utf_16(&(upper_case(user) + domain));
    Zeroizing::new(hmac_md5(&v1::nt_owf(password), &[&whose]))
}

/// ComputeResponse. `time` is a FILETIME; `target_info` ends with MsvAvEOL.
pub(super) fn responses(
    key: &[u8; 16],
    server_challenge: [u8; 8],
    client_challenge: [u8; 8],
    time: [u8; 8],
    target_info: &[u8],
) -> Responses {
    let mut temp = vec![1, 1, 0, 0, 0, 0, 0, 0];
    temp.extend_from_slice(&time);
    temp.extend_from_slice(&client_challenge);
    temp.extend_from_slice(&[0; 4]);
    temp.extend_from_slice(target_info);
    temp.extend_from_slice(&[0; 4]);
    let proof = hmac_md5(key, &[&server_challenge, &temp]);
    let lm = hmac_md5(key, &[&server_challenge, &client_challenge]);
    Responses {
        lm: Zeroizing::new([&lm[..], &client_challenge].concat()),
        nt: Zeroizing::new([&proof[..], &temp].concat()),
        session_base_key: Zeroizing::new(hmac_md5(key, &[&proof])),
    }
}

/// The MIC over all three messages, the last with an empty MIC (MS-NLMP section 3.1.5.1.2).
pub(super) fn mic(session_key: &[u8; 16], messages: [&[u8]; 3]) -> [u8; 16] {
    hmac_md5(session_key, &messages)
}

/// A FILETIME: 100 ns since 1601, the low byte first.
pub(super) fn file_time(now: DateTime<Utc>) -> [u8; 8] {
    let seconds = now.timestamp() + FILE_TIME_EPOCH;
    let part = i64::from(now.timestamp_subsec_nanos() / 100);
    (seconds * 10_000_000 + part).to_le_bytes()
}

fn hmac_md5(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    // HMAC fills a key up to a block with zeros itself (RFC 2104 section 2).
    let mut block = Zeroizing::new([0; 64]);
    block[..key.len()].copy_from_slice(key);
    let mut mac = Hmac::<Md5>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
