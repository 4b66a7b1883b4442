//! The Cryptographic Message Syntax (RFC 5652), as far as sendport writes it: SignedData,
//! EnvelopedData and AuthEnvelopedData (RFC 5083).
//!
//! OpenSSL signs, encrypts and digests; this module writes the DER around it. Everything that is the
//! same for each message (names, certificates, attributes, contexts of keys) is made once, in
//! [`CmsSigner`] and [`CmsRecipient`].
//!
//! Why not a library: the safe binding of OpenSSL's CMS has `sign` and `encrypt` with flags only.
//! They take no RSASSA-PSS, RSAES-OAEP or SHA-256 key derivation for ECDH and no signing time, so
//! that two attempts of one alert would send different bytes; beside the signature itself they took
//! more than twice as long. The functions that could do it are `unsafe`. The crate `cms` 0.2 has
//! AES-CBC with RSA PKCS #1 v1.5 only: no GCM, no OAEP, no key agreement.

mod algorithms;
mod context_pool;
mod der;
mod enveloped_data;
mod issuer_and_serial;
mod key_agreement;
mod recipient;
mod signed_data;

pub(super) use enveloped_data::{Envelope, enveloped};
pub(super) use recipient::CmsRecipient;
pub(super) use signed_data::{CmsSigner, Content};

#[cfg(test)]
mod tests;
