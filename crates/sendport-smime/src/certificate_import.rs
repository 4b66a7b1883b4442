//! Certificates in files and directories, and what a row of the database says of one.

use std::collections::HashSet;

use openssl::cms::CmsContentInfo;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKeyRef, Public};
use openssl::x509::{X509, X509NameRef};

use super::certificate::{RecipientCertificate, Validity, addresses, certificates_of, fingerprint};
use super::encryptor::ContentCipher;
use super::extensions::{Extensions, signed_data};
use sendport_core::domain::{BoundBy, CertificateChoice, CertificateText, Timestamp};

/// A certificate that was found somewhere.
pub struct ParsedCertificate {
    certificate: X509,
    der: Vec<u8>,
    capabilities: Option<Vec<ContentCipher>>,
}

/// Which row a certificate becomes.
#[derive(Debug, Clone)]
pub struct Binding<'a> {
    /// In lower case.
    pub address: &'a str,
    /// Who says so.
    pub bound_by: BoundBy,
    /// What an operator chose.
    pub choice: &'a CertificateChoice,
    /// Where it was found, in words.
    pub source: &'a str,
}

impl std::fmt::Debug for ParsedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "certificate of {}", self.subject())
    }
}

impl ParsedCertificate {
    /// Those of a file or an attribute of a directory: certificates in PEM, one in DER, or PKCS #7
    /// in either; each once. Of SignedData with the signed attribute smimeCapabilities, as mail
    /// programs publish it, they are those of each of its certificates; whether the signature is
    /// right is not looked at.
    ///
    /// # Errors
    /// What was expected, in a sentence.
    pub fn read(octets: &[u8]) -> Result<Vec<Self>, String> {
        let (found, capabilities) = match pkcs7(octets) {
            Some(signed) => {
                let (certificates, capabilities) = signed_data(&signed);
                let read = certificates.into_iter().map(X509::from_der);
                let read: Result<Vec<_>, _> = read.collect();
                (read.unwrap_or_default(), capabilities)
            }
            None => (certificates_of(octets).unwrap_or_default(), None),
        };
        if found.is_empty() {
            return Err(
                "expected certificates in PEM, one in DER, or PKCS #7 with certificates, found none"
                    .to_owned(),
            );
        }
        let mut seen = HashSet::new();
        let found = found
            .into_iter()
            .filter_map(|it| Self::new(it, capabilities.clone()));
        Ok(found.filter(|it| seen.insert(it.der.clone())).collect())
    }

    fn new(certificate: X509, told: Option<Vec<ContentCipher>>) -> Option<Self> {
        let der = certificate.to_der().ok()?;
        let capabilities = told.or_else(|| Extensions::of(&der).capabilities());
        Some(Self {
            certificate,
            der,
            capabilities,
        })
    }

    /// The mail addresses in it, in lower case.
    pub fn addresses(&self) -> Vec<String> {
        addresses(&self.certificate)
    }

    /// It may issue certificates: nobody decrypts by it.
    pub fn is_authority(&self) -> bool {
        Extensions::of(&self.der).is_authority()
    }

    /// Whether it could be encrypted to at a moment; `origin`: where it was found, in words.
    ///
    /// # Errors
    /// Why not, in words.
    pub fn usable(&self, now: Timestamp, origin: &str) -> Result<(), String> {
        let read = RecipientCertificate::new(self.certificate.clone(), origin);
        let read = read.ok_or("its times cannot be read")?;
        read.usable(now).map(|_| ()).map_err(|why| why.to_string())
    }

    /// Whose it is, for people.
    pub fn subject(&self) -> String {
        name(self.certificate.subject_name())
    }

    /// The row that it becomes.
    ///
    /// # Errors
    /// What of it cannot be read, in words.
    pub fn text(&self, to: &Binding<'_>) -> Result<CertificateText, String> {
        let unreadable = |what: &str| format!("its {what} cannot be read");
        let it = &self.certificate;
        let validity = Validity::of(it).ok_or_else(|| unreadable("times"))?;
        let serial = it.serial_number().to_bn().and_then(|n| n.to_hex_str());
        let serial = serial.map_err(|_| unreadable("serial number"))?;
        let pem = it.to_pem().ok().and_then(|pem| String::from_utf8(pem).ok());
        let digest = |kind| fingerprint(it, kind).ok_or_else(|| unreadable("fingerprint"));
        let key = it.public_key().map_err(|_| unreadable("key"))?;
        Ok(CertificateText {
            address: to.address.to_owned(),
            bound_by: to.bound_by,
            thumbprint: digest(MessageDigest::sha1())?,
            sha256: digest(MessageDigest::sha256())?,
            subject: self.subject(),
            issuer: name(it.issuer_name()),
            serial_number: serial.to_string(),
            valid_from: validity.begin,
            valid_to: validity.end,
            key_usage: Extensions::of(&self.der).usage().join(", "),
            key_algorithm: key_algorithm(&key),
            capabilities: self.capabilities.as_deref().map(words),
            choice: to.choice.clone(),
            pem: pem.ok_or_else(|| unreadable("PEM form"))?,
            source: to.source.to_owned(),
        })
    }
}

/// PKCS #7 in DER, whichever form it came in.
fn pkcs7(octets: &[u8]) -> Option<Vec<u8>> {
    let pem = || CmsContentInfo::from_pem(octets);
    let read = CmsContentInfo::from_der(octets).or_else(|_| pem());
    read.and_then(|it| it.to_der()).ok()
}

/// The words of the column `Capabilities`.
fn words(ciphers: &[ContentCipher]) -> String {
    let words: Vec<_> = ciphers.iter().map(|cipher| cipher.as_str()).collect();
    words.join(" ")
}

/// `CN=Alice, O=Contoso`, in the certificate's order.
fn name(name: &X509NameRef) -> String {
    let part = |entry: &openssl::x509::X509NameEntryRef| {
        let key = entry.object().nid().short_name().unwrap_or("?").to_owned();
        let value = entry.data().to_string().unwrap_or_default();
        format!("{key}={value}")
    };
    let parts: Vec<_> = name.entries().map(part).collect();
    parts.join(", ")
}

fn key_algorithm(key: &PKeyRef<Public>) -> String {
    let curve = || key.ec_key().ok()?.group().curve_name();
    match key.id() {
        Id::RSA => format!("RSA {}", key.bits()),
        Id::RSA_PSS => format!("RSA-PSS {}", key.bits()),
        Id::EC => match curve() {
            Some(Nid::X9_62_PRIME256V1) => "EC P-256".to_owned(),
            Some(Nid::SECP384R1) => "EC P-384".to_owned(),
            Some(Nid::SECP521R1) => "EC P-521".to_owned(),
            Some(other) => format!("EC {}", other.short_name().unwrap_or("of another curve")),
            None => "EC with parameters of its own".to_owned(),
        },
        other => Nid::from_raw(other.as_raw())
            .long_name()
            .unwrap_or("unknown")
            .to_owned(),
    }
}

#[cfg(test)]
#[path = "certificate_import_tests.rs"]
mod tests;
