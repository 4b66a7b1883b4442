//! The Cryptographic Message Syntax (RFC 5652), as far as we write it: SignedData, EnvelopedData
//! and AuthEnvelopedData (RFC 5083).
//!
//! OpenSSL signs, encrypts and digests; what stands around it is put together here, in DER and at
//! once. All that is the same for each message (names, certificates, attributes, contexts of keys)
//! is made once: for who signs in [`Author`], for who reads in [`Reader`].

mod agreement;
mod algorithms;
mod der;
mod enveloped;
mod identifiers;
mod name;
mod pool;
mod reader;
mod signed;

pub(super) use enveloped::{Envelope, enveloped};
pub(super) use reader::Reader;
pub(super) use signed::{Author, Content};

#[cfg(test)]
mod tests;
