//! Object identifiers, by the names that the standards give them.

use std::ops::Deref;

use super::der::OBJECT_IDENTIFIER;

/// Longest encoded identifier.
const CAPACITY: usize = 16;

/// An OBJECT IDENTIFIER in DER (X.690 section 8.19), encoded at compile time from its dotted form.
/// Dereferences to tag, length and content.
#[derive(Debug)]
pub(super) struct Oid {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Oid {
    /// # Panics
    /// `dotted` is not an object identifier, or too long: at compile time, in a `static`.
    const fn new(dotted: &str) -> Self {
        let text = dotted.as_bytes();
        let mut encoded = Self {
            bytes: [0; CAPACITY],
            length: 2,
        };
        let (first, mut at) = number(text, 0);
        let (second, after) = number(text, at);
        at = after;
        encoded.push(first * 40 + second);
        while at < text.len() {
            let (arc, after) = number(text, at);
            encoded.push(arc);
            at = after;
        }
        encoded.bytes[0] = OBJECT_IDENTIFIER;
        encoded.bytes[1] = encoded.bytes_of_content();
        encoded
    }

    #[expect(
        clippy::cast_possible_truncation,
        reason = "`try_from` is not const; the length is at most 16"
    )]
    const fn bytes_of_content(&self) -> u8 {
        (self.length - 2) as u8
    }

    /// Appends a number in base 128, most significant digit first.
    const fn push(&mut self, arc: u32) {
        let mut digits = 1;
        while arc >> (7 * digits) != 0 {
            digits += 1;
        }
        while digits > 0 {
            digits -= 1;
            let more = if digits > 0 { 0x80 } else { 0 };
            self.bytes[self.length] = ((arc >> (7 * digits)) & 0x7F) as u8 | more;
            self.length += 1;
        }
    }
}

/// The number at `at`, and where the next one begins.
const fn number(text: &[u8], mut at: usize) -> (u32, usize) {
    assert!(at < text.len(), "expected a number");
    let mut value = 0;
    while at < text.len() && text[at] != b'.' {
        assert!(text[at].is_ascii_digit(), "expected digits and dots");
        value = value * 10 + (text[at] - b'0') as u32;
        at += 1;
    }
    (value, at + 1)
}

impl Deref for Oid {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// `id-data` (RFC 5652 section 4).
pub(super) static DATA: Oid = Oid::new("1.2.840.113549.1.7.1");
/// `id-signedData` (RFC 5652 section 5.1).
pub(super) static SIGNED_DATA: Oid = Oid::new("1.2.840.113549.1.7.2");
/// `id-envelopedData` (RFC 5652 section 6.1).
pub(super) static ENVELOPED_DATA: Oid = Oid::new("1.2.840.113549.1.7.3");
/// `id-ct-authEnvelopedData` (RFC 5083 section 2.1).
pub(super) static AUTH_ENVELOPED_DATA: Oid = Oid::new("1.2.840.113549.1.9.16.1.23");

/// `id-contentType` (RFC 5652 section 11.1).
pub(super) static CONTENT_TYPE: Oid = Oid::new("1.2.840.113549.1.9.3");
/// `id-messageDigest` (RFC 5652 section 11.2).
pub(super) static MESSAGE_DIGEST: Oid = Oid::new("1.2.840.113549.1.9.4");
/// `id-signingTime` (RFC 5652 section 11.3).
pub(super) static SIGNING_TIME: Oid = Oid::new("1.2.840.113549.1.9.5");
/// `smimeCapabilities` (RFC 8551 section 2.5.2).
pub(super) static SMIME_CAPABILITIES: Oid = Oid::new("1.2.840.113549.1.9.15");
/// `id-aa-signingCertificateV2` (RFC 5035 section 3).
pub(super) static SIGNING_CERTIFICATE_V2: Oid = Oid::new("1.2.840.113549.1.9.16.2.47");

/// `id-RSAES-OAEP` (RFC 8017 appendix A.2.1).
pub(super) static RSAES_OAEP: Oid = Oid::new("1.2.840.113549.1.1.7");
/// `id-mgf1` (RFC 8017 appendix A.2.1).
pub(super) static MGF1: Oid = Oid::new("1.2.840.113549.1.1.8");
/// `id-RSASSA-PSS` (RFC 8017 appendix A.2.3).
pub(super) static RSASSA_PSS: Oid = Oid::new("1.2.840.113549.1.1.10");

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
pub(super) static EC_PUBLIC_KEY: Oid = Oid::new("1.2.840.10045.2.1");
/// `ecdsa-with-SHA256` (RFC 5758 section 3.2).
pub(super) static ECDSA_WITH_SHA256: Oid = Oid::new("1.2.840.10045.4.3.2");
/// `ecdsa-with-SHA384` (RFC 5758 section 3.2).
pub(super) static ECDSA_WITH_SHA384: Oid = Oid::new("1.2.840.10045.4.3.3");
/// `ecdsa-with-SHA512` (RFC 5758 section 3.2).
pub(super) static ECDSA_WITH_SHA512: Oid = Oid::new("1.2.840.10045.4.3.4");
/// `dhSinglePass-stdDH-sha256kdf-scheme` (RFC 5753 section 7.1.4).
pub(super) static ECDH_SHA256KDF: Oid = Oid::new("1.3.132.1.11.1");

/// `id-sha256` (RFC 5754 section 2.2).
pub(super) static SHA256: Oid = Oid::new("2.16.840.1.101.3.4.2.1");
/// `id-sha384` (RFC 5754 section 2.3).
pub(super) static SHA384: Oid = Oid::new("2.16.840.1.101.3.4.2.2");
/// `id-sha512` (RFC 5754 section 2.4).
pub(super) static SHA512: Oid = Oid::new("2.16.840.1.101.3.4.2.3");

/// `id-aes128-CBC` (RFC 3565 section 4.1).
pub(super) static AES128_CBC: Oid = Oid::new("2.16.840.1.101.3.4.1.2");
/// `id-aes192-CBC` (RFC 3565 section 4.1).
pub(super) static AES192_CBC: Oid = Oid::new("2.16.840.1.101.3.4.1.22");
/// `id-aes256-CBC` (RFC 3565 section 4.1).
pub(super) static AES256_CBC: Oid = Oid::new("2.16.840.1.101.3.4.1.42");
/// `id-aes128-GCM` (RFC 5084 section 3.2).
pub(super) static AES128_GCM: Oid = Oid::new("2.16.840.1.101.3.4.1.6");
/// `id-aes256-GCM` (RFC 5084 section 3.2).
pub(super) static AES256_GCM: Oid = Oid::new("2.16.840.1.101.3.4.1.46");
/// `des-ede3-cbc` (RFC 3370 section 5.1).
pub(super) static DES_EDE3_CBC: Oid = Oid::new("1.2.840.113549.3.7");

/// `id-aes128-wrap` (RFC 3565 section 4.1).
pub(super) static AES128_WRAP: Oid = Oid::new("2.16.840.1.101.3.4.1.5");
/// `id-aes192-wrap` (RFC 3565 section 4.1).
pub(super) static AES192_WRAP: Oid = Oid::new("2.16.840.1.101.3.4.1.25");
/// `id-aes256-wrap` (RFC 3565 section 4.1).
pub(super) static AES256_WRAP: Oid = Oid::new("2.16.840.1.101.3.4.1.45");
/// `id-alg-CMS3DESwrap` (RFC 3370 section 4.3.1).
pub(super) static CMS_3DES_WRAP: Oid = Oid::new("1.2.840.113549.1.9.16.3.6");

/// `rsaEncryption` (RFC 8017 appendix A.1).
pub(super) static RSA_ENCRYPTION: Oid = Oid::new("1.2.840.113549.1.1.1");

/// `id-ce-keyUsage` (RFC 5280 section 4.2.1.3).
pub(super) static KEY_USAGE: Oid = Oid::new("2.5.29.15");
/// `id-ce-basicConstraints` (RFC 5280 section 4.2.1.9).
pub(super) static BASIC_CONSTRAINTS: Oid = Oid::new("2.5.29.19");
/// `id-ce-extKeyUsage` (RFC 5280 section 4.2.1.12).
pub(super) static EXTENDED_KEY_USAGE: Oid = Oid::new("2.5.29.37");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::Values;

    #[test]
    fn encodes_numbers_of_one_and_of_several_bytes() {
        assert_eq!(*KEY_USAGE, [6, 3, 0x55, 0x1D, 15]);
        let rsa = [6, 9, 0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 1, 1, 1];
        assert_eq!(*RSA_ENCRYPTION, rsa);
        for dotted in [
            "0.0",
            "1.39.127.128",
            "2.16.840.1.101.3.4.1.46",
            "2.999.16383.16384",
        ] {
            let encoded = Oid::new(dotted);
            let mut read = Values(&encoded);
            assert_eq!(read.next().unwrap().dotted().as_deref(), Some(dotted));
            assert!(read.next().is_none());
        }
    }

    #[test]
    #[should_panic(expected = "digits and dots")]
    fn refuses_what_is_not_an_object_identifier() {
        Oid::new("1.2.x");
    }
}
