//! Extensions of certificates (RFC 5280 section 4.2, RFC 4262), and the capabilities that a mail
//! program announces in what it signs (RFC 8551 section 2.5.2).

use super::cipher::ContentCipher;
use super::der::{
    BIT_STRING, BOOLEAN, OBJECT_IDENTIFIER, OCTET_STRING, SEQUENCE, SET, Value, Values, context,
};
use super::oid;

/// The bits of keyUsage, in order.
const USAGES: [&str; 9] = [
    "digitalSignature",
    "nonRepudiation",
    "keyEncipherment",
    "dataEncipherment",
    "keyAgreement",
    "keyCertSign",
    "cRLSign",
    "encipherOnly",
    "decipherOnly",
];

/// Names of extended key usages; others are shown as numbers.
const PURPOSES: [(&str, &str); 6] = [
    ("2.5.29.37.0", "anyExtendedKeyUsage"),
    ("1.3.6.1.5.5.7.3.1", "serverAuth"),
    ("1.3.6.1.5.5.7.3.2", "clientAuth"),
    ("1.3.6.1.5.5.7.3.3", "codeSigning"),
    ("1.3.6.1.5.5.7.3.4", "emailProtection"),
    ("1.3.6.1.4.1.311.20.2.2", "smartcardLogon"),
];

/// Supported ciphers of capabilities, strongest first.
const CIPHERS: [ContentCipher; 6] = [
    ContentCipher::Aes256Gcm,
    ContentCipher::Aes256Cbc,
    ContentCipher::Aes192Cbc,
    ContentCipher::Aes128Gcm,
    ContentCipher::Aes128Cbc,
    ContentCipher::TripleDes,
];

/// The extensions of one certificate in DER.
pub(super) struct Extensions<'a>(Option<Value<'a>>);

impl<'a> Extensions<'a> {
    pub(super) fn of(certificate: &'a [u8]) -> Self {
        let to_be_signed = Values(certificate)
            .next()
            .and_then(|certificate| certificate.find(SEQUENCE));
        let extensions = to_be_signed.and_then(|it| it.find(context(3)));
        Self(extensions.and_then(|it| it.find(SEQUENCE)))
    }

    /// The value of one extension.
    fn find(&self, wanted: &oid::Oid) -> Option<Value<'a>> {
        let mut all = self.0?.values();
        let extension = all.find(|it| is_named(*it, wanted))?;
        Values(extension.find(OCTET_STRING)?.content).next()
    }

    /// It may issue certificates.
    pub(super) fn is_authority(&self) -> bool {
        let constraints = self.find(&oid::BASIC_CONSTRAINTS);
        let says = constraints.and_then(|it| it.find(BOOLEAN));
        says.is_some_and(|it| it.content.iter().any(|byte| *byte != 0))
    }

    /// Names of keyUsage, `any` where it is absent, and of extendedKeyUsage.
    pub(super) fn usage(&self) -> Vec<String> {
        let mut words = match self.find(&oid::KEY_USAGE).filter(|it| it.tag == BIT_STRING) {
            Some(bits) => usages(bits.content),
            None => vec!["any".to_owned()],
        };
        let purposes = self.find(&oid::EXTENDED_KEY_USAGE);
        words.extend(
            purposes
                .into_iter()
                .flat_map(Value::values)
                .filter_map(purpose),
        );
        words
    }

    /// The ciphers that its owner's mail program supports (RFC 4262).
    pub(super) fn capabilities(&self) -> Option<Vec<ContentCipher>> {
        ciphers(self.find(&oid::SMIME_CAPABILITIES)?)
    }
}

fn is_named(sequence: Value<'_>, wanted: &oid::Oid) -> bool {
    let name = sequence.find(OBJECT_IDENTIFIER);
    name.is_some_and(|name| *name.whole == **wanted)
}

/// The first byte of a BIT STRING says how many bits are unused.
fn usages(bits: &[u8]) -> Vec<String> {
    let bytes = bits.get(1..).unwrap_or_default();
    let is_set = |n: usize| {
        bytes
            .get(n / 8)
            .is_some_and(|it| it & (0x80 >> (n % 8)) != 0)
    };
    let named = USAGES.iter().enumerate().filter(|(n, _)| is_set(*n));
    named.map(|(_, name)| (*name).to_owned()).collect()
}

fn purpose(identifier: Value<'_>) -> Option<String> {
    let dotted = identifier.dotted()?;
    let known = PURPOSES.iter().find(|(number, _)| *number == dotted);
    Some(known.map_or(dotted, |(_, name)| (*name).to_owned()))
}

/// The supported ciphers of SMIMECapabilities, strongest first; `None` where there is none.
fn ciphers(capabilities: Value<'_>) -> Option<Vec<ContentCipher>> {
    let announced: Vec<_> = capabilities.values().collect();
    let is_announced =
        |cipher: &ContentCipher| announced.iter().any(|it| is_named(*it, cipher.oid()));
    let known: Vec<_> = CIPHERS.into_iter().filter(is_announced).collect();
    (!known.is_empty()).then_some(known)
}

/// The certificates of SignedData in DER (RFC 5652 section 5.1), and the capabilities that its
/// signer announces; nothing where `der` is not SignedData.
pub(super) fn signed_data(der: &[u8]) -> (Vec<&[u8]>, Option<Vec<ContentCipher>>) {
    let content = Values(der).next().and_then(|info| info.find(context(0)));
    let Some(signed) = content.and_then(|it| it.find(SEQUENCE)) else {
        return (Vec::new(), None);
    };
    let certificates = signed.find(context(0)).into_iter().flat_map(Value::values);
    let certificates = certificates.filter(|it| it.tag == SEQUENCE);
    // The first SET holds the digest algorithms.
    let signers = signed.values().filter(|it| it.tag == SET).nth(1);
    let signers = signers.into_iter().flat_map(Value::values);
    let attributes = signers.filter_map(|signer| signer.find(context(0)));
    let announced = attributes
        .flat_map(Value::values)
        .find(|attribute| is_named(*attribute, &oid::SMIME_CAPABILITIES));
    let announced = announced.and_then(|it| it.find(SET)?.find(SEQUENCE));
    (
        certificates.map(|it| it.whole).collect(),
        announced.and_then(ciphers),
    )
}
