//! Object identifiers in DER, by the names that the standards give them.

/// `id-data` (RFC 5652 section 4).
pub(super) const DATA: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 7, 1];
/// `id-signedData` (RFC 5652 section 5.1).
pub(super) const SIGNED_DATA: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 7, 2];
/// `id-envelopedData` (RFC 5652 section 6.1).
pub(super) const ENVELOPED_DATA: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 7, 3];
/// `id-ct-authEnvelopedData` (RFC 5083 section 2.1).
pub(super) const AUTH_ENVELOPED_DATA: &[u8] = &[6, 11, 42, 134, 72, 134, 247, 13, 1, 9, 16, 1, 23];

/// `id-contentType` (RFC 5652 section 11.1).
pub(super) const CONTENT_TYPE: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 9, 3];
/// `id-messageDigest` (RFC 5652 section 11.2).
pub(super) const MESSAGE_DIGEST: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 9, 4];
/// `id-signingTime` (RFC 5652 section 11.3).
pub(super) const SIGNING_TIME: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 9, 5];
/// `smimeCapabilities` (RFC 8551 section 2.5.2).
pub(super) const SMIME_CAPABILITIES: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 9, 15];
/// `id-aa-signingCertificateV2` (RFC 5035 section 3).
pub(super) const SIGNING_CERTIFICATE_V2: &[u8] =
    &[6, 11, 42, 134, 72, 134, 247, 13, 1, 9, 16, 2, 47];

/// `id-RSAES-OAEP` (RFC 8017 appendix A.2.1).
pub(super) const RSAES_OAEP: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 7];
/// `id-mgf1` (RFC 8017 appendix A.2.1).
pub(super) const MGF1: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 8];
/// `id-RSASSA-PSS` (RFC 8017 appendix A.2.3).
pub(super) const RSASSA_PSS: &[u8] = &[6, 9, 42, 134, 72, 134, 247, 13, 1, 1, 10];

/// `id-ecPublicKey` (RFC 5480 section 2.1.1).
pub(super) const EC_PUBLIC_KEY: &[u8] = &[6, 7, 42, 134, 72, 206, 61, 2, 1];
/// `ecdsa-with-SHA256` (RFC 5758 section 3.2).
pub(super) const ECDSA_WITH_SHA256: &[u8] = &[6, 8, 42, 134, 72, 206, 61, 4, 3, 2];
/// `ecdsa-with-SHA384` (RFC 5758 section 3.2).
pub(super) const ECDSA_WITH_SHA384: &[u8] = &[6, 8, 42, 134, 72, 206, 61, 4, 3, 3];
/// `ecdsa-with-SHA512` (RFC 5758 section 3.2).
pub(super) const ECDSA_WITH_SHA512: &[u8] = &[6, 8, 42, 134, 72, 206, 61, 4, 3, 4];
/// `dhSinglePass-stdDH-sha256kdf-scheme` (RFC 5753 section 7.1.4).
pub(super) const ECDH_SHA256KDF: &[u8] = &[6, 6, 43, 129, 4, 1, 11, 1];

/// `id-sha256` (RFC 5754 section 2.2).
pub(super) const SHA256: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 1];
/// `id-sha384` (RFC 5754 section 2.3).
pub(super) const SHA384: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 2];
/// `id-sha512` (RFC 5754 section 2.4).
pub(super) const SHA512: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 2, 3];

/// `id-aes128-CBC` (RFC 3565 section 4.1).
pub(super) const AES128_CBC: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 2];
/// `id-aes192-CBC` (RFC 3565 section 4.1).
pub(super) const AES192_CBC: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 22];
/// `id-aes256-CBC` (RFC 3565 section 4.1).
pub(super) const AES256_CBC: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 42];
/// `id-aes128-GCM` (RFC 5084 section 3.2).
pub(super) const AES128_GCM: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 6];
/// `id-aes256-GCM` (RFC 5084 section 3.2).
pub(super) const AES256_GCM: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 46];
/// `des-ede3-cbc` (RFC 3370 section 5.1).
pub(super) const DES_EDE3_CBC: &[u8] = &[6, 8, 42, 134, 72, 134, 247, 13, 3, 7];

/// `id-aes128-wrap` (RFC 3565 section 4.1).
pub(super) const AES128_WRAP: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 5];
/// `id-aes192-wrap` (RFC 3565 section 4.1).
pub(super) const AES192_WRAP: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 25];
/// `id-aes256-wrap` (RFC 3565 section 4.1).
pub(super) const AES256_WRAP: &[u8] = &[6, 9, 96, 134, 72, 1, 101, 3, 4, 1, 45];
/// `id-alg-CMS3DESwrap` (RFC 3370 section 4.3.1).
pub(super) const CMS_3DES_WRAP: &[u8] = &[6, 11, 42, 134, 72, 134, 247, 13, 1, 9, 16, 3, 6];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::der::Values;

    /// As the standards write them.
    #[test]
    fn identifiers_are_those_of_the_standards() {
        for (identifier, dotted) in [
            (DATA, "1.2.840.113549.1.7.1"),
            (SIGNED_DATA, "1.2.840.113549.1.7.2"),
            (ENVELOPED_DATA, "1.2.840.113549.1.7.3"),
            (AUTH_ENVELOPED_DATA, "1.2.840.113549.1.9.16.1.23"),
            (CONTENT_TYPE, "1.2.840.113549.1.9.3"),
            (MESSAGE_DIGEST, "1.2.840.113549.1.9.4"),
            (SIGNING_TIME, "1.2.840.113549.1.9.5"),
            (SMIME_CAPABILITIES, "1.2.840.113549.1.9.15"),
            (SIGNING_CERTIFICATE_V2, "1.2.840.113549.1.9.16.2.47"),
            (RSAES_OAEP, "1.2.840.113549.1.1.7"),
            (MGF1, "1.2.840.113549.1.1.8"),
            (RSASSA_PSS, "1.2.840.113549.1.1.10"),
            (EC_PUBLIC_KEY, "1.2.840.10045.2.1"),
            (ECDSA_WITH_SHA256, "1.2.840.10045.4.3.2"),
            (ECDSA_WITH_SHA384, "1.2.840.10045.4.3.3"),
            (ECDSA_WITH_SHA512, "1.2.840.10045.4.3.4"),
            (ECDH_SHA256KDF, "1.3.132.1.11.1"),
            (SHA256, "2.16.840.1.101.3.4.2.1"),
            (SHA384, "2.16.840.1.101.3.4.2.2"),
            (SHA512, "2.16.840.1.101.3.4.2.3"),
            (AES128_CBC, "2.16.840.1.101.3.4.1.2"),
            (AES192_CBC, "2.16.840.1.101.3.4.1.22"),
            (AES256_CBC, "2.16.840.1.101.3.4.1.42"),
            (AES128_GCM, "2.16.840.1.101.3.4.1.6"),
            (AES256_GCM, "2.16.840.1.101.3.4.1.46"),
            (DES_EDE3_CBC, "1.2.840.113549.3.7"),
            (AES128_WRAP, "2.16.840.1.101.3.4.1.5"),
            (AES192_WRAP, "2.16.840.1.101.3.4.1.25"),
            (AES256_WRAP, "2.16.840.1.101.3.4.1.45"),
            (CMS_3DES_WRAP, "1.2.840.113549.1.9.16.3.6"),
        ] {
            let mut read = Values(identifier);
            assert_eq!(read.next().unwrap().dotted().as_deref(), Some(dotted));
            assert!(read.next().is_none());
        }
    }
}
