//! The name of a certificate in SignerInfo and RecipientInfo.

use super::super::der::{INTEGER, SEQUENCE, Values, context};
use super::der::Der;

/// IssuerAndSerialNumber (RFC 5652 section 10.2.4), octet for octet as in the certificate.
pub(super) struct IssuerAndSerial<'a> {
    issuer: &'a [u8],
    serial: &'a [u8],
}

impl<'a> IssuerAndSerial<'a> {
    /// Reads a certificate in DER (RFC 5280 section 4.1); `None` where it is malformed.
    pub(super) fn of(certificate: &'a [u8]) -> Option<Self> {
        let to_be_signed = Values(certificate).next()?.find(SEQUENCE)?;
        let serial = to_be_signed.find(INTEGER)?.whole;
        // The signature algorithm precedes the issuer.
        let mut sequences = to_be_signed.values().filter(|it| it.tag == SEQUENCE);
        let issuer = sequences.nth(1)?.whole;
        Some(Self { issuer, serial })
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        Der::Sequence(&[Der::Made(self.issuer), Der::Made(self.serial)]).to_vec()
    }

    /// IssuerSerial (RFC 5035 section 5), whose issuer is a GeneralName.
    pub(super) fn issuer_serial(&self) -> Vec<u8> {
        let directory_name = Der::Constructed(context(4), &[Der::Made(self.issuer)]).to_vec();
        let names = [Der::Made(&directory_name)];
        Der::Sequence(&[Der::Sequence(&names), Der::Made(self.serial)]).to_vec()
    }
}
