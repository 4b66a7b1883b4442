//! The Cryptographic Message Syntax (RFC 5652), as far as we write it: SignedData, EnvelopedData
//! and AuthEnvelopedData (RFC 5083).
//!
//! OpenSSL signs, encrypts and digests; what stands around it is put together here, in DER and at
//! once. All that is the same for each message (names, certificates, attributes, contexts of keys)
//! is made once: for who signs in [`CmsSigner`], for who reads in [`CmsRecipient`].

mod algorithms;
mod context_pool;
mod der;
mod enveloped_data;
mod issuer_and_serial;
mod key_agreement;
mod oid;
mod recipient;
mod signed_data;

pub(super) use enveloped_data::{Envelope, enveloped};
pub(super) use recipient::CmsRecipient;
pub(super) use signed_data::{CmsSigner, Content};

#[cfg(test)]
mod tests;
