//! Import: certificates of files and directories, and the rows of the database that they become.

use std::collections::HashSet;

use openssl::cms::CmsContentInfo;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{Id, PKeyRef, Public};
use openssl::x509::{X509, X509NameRef};
use sendport_core::domain::{BoundBy, CertificateChoice, CertificateText, Timestamp};

use super::certificate::{
    CertificateReadError, RecipientCertificate, Validity, addresses, certificates_from, fingerprint,
};
use super::cipher::ContentCipher;
use super::error::RecipientCertificateError;
use super::extensions::{Extensions, signed_data};

/// A certificate of a file or a directory.
pub struct ParsedCertificate {
    certificate: X509,
    der: Vec<u8>,
    capabilities: Option<Vec<ContentCipher>>,
}

/// What a row says of a certificate beside its own fields.
#[derive(Debug, Clone)]
pub struct Binding<'a> {
    /// In lower case.
    pub address: &'a str,
    /// Whether the certificate or an operator names the address.
    pub bound_by: BoundBy,
    /// The operator's choices.
    pub choice: &'a CertificateChoice,
    /// Where the certificate comes from, for people.
    pub source: &'a str,
}

impl std::fmt::Debug for ParsedCertificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "certificate of {}", self.subject())
    }
}

impl ParsedCertificate {
    /// Parses a file or an attribute of a directory: certificates in PEM, one in DER, or PKCS #7
    /// in either; without duplicates. The signed attribute smimeCapabilities of SignedData, as
    /// mail programs publish it, applies to each of its certificates; its signature is not
    /// verified.
    ///
    /// # Errors
    /// [`CertificateReadError::NoImport`].
    pub fn parse_all(bytes: &[u8]) -> Result<Vec<Self>, CertificateReadError> {
        let (certificates, capabilities) = match pkcs7(bytes) {
            Some(signed) => {
                let (certificates, capabilities) = signed_data(&signed);
                let parsed = certificates.into_iter().map(X509::from_der);
                let parsed: Result<Vec<_>, _> = parsed.collect();
                (parsed.unwrap_or_default(), capabilities)
            }
            None => (certificates_from(bytes).unwrap_or_default(), None),
        };
        if certificates.is_empty() {
            return Err(CertificateReadError::NoImport);
        }
        let mut seen = HashSet::new();
        let certificates = certificates
            .into_iter()
            .filter_map(|it| Self::new(it, capabilities.clone()));
        Ok(certificates
            .filter(|it| seen.insert(it.der.clone()))
            .collect())
    }

    fn new(certificate: X509, announced: Option<Vec<ContentCipher>>) -> Option<Self> {
        let der = certificate.to_der().ok()?;
        let capabilities = announced.or_else(|| Extensions::of(&der).capabilities());
        Some(Self {
            certificate,
            der,
            capabilities,
        })
    }

    /// The email addresses in it, in lower case.
    pub fn addresses(&self) -> Vec<String> {
        addresses(&self.certificate)
    }

    /// It may issue certificates, so it is not a recipient's.
    pub fn is_authority(&self) -> bool {
        Extensions::of(&self.der).is_authority()
    }

    /// Checks key, usage and validity at a moment; `origin` names it in the error.
    ///
    /// # Errors
    /// [`RecipientCertificateError`].
    pub fn check_usable(
        &self,
        now: Timestamp,
        origin: &str,
    ) -> Result<(), RecipientCertificateError> {
        let certificate = RecipientCertificate::new(self.certificate.clone(), origin);
        let certificate = certificate.ok_or_else(|| {
            let why = CertificateReadError::Field("times");
            RecipientCertificateError::Malformed(format!("the certificate in {origin}: {why}"))
        })?;
        certificate.check_usable(now).map(|_| ())
    }

    /// Its subject, for people.
    pub fn subject(&self) -> String {
        name(self.certificate.subject_name())
    }

    /// The row that it becomes.
    ///
    /// # Errors
    /// [`CertificateReadError::Field`].
    pub fn to_row(&self, to: &Binding<'_>) -> Result<CertificateText, CertificateReadError> {
        let unreadable = CertificateReadError::Field;
        let it = &self.certificate;
        let validity = Validity::of(it).ok_or(unreadable("times"))?;
        let serial = it.serial_number().to_bn().and_then(|n| n.to_hex_str());
        let serial = serial.map_err(|_| unreadable("serial number"))?;
        let pem = it.to_pem().ok().and_then(|pem| String::from_utf8(pem).ok());
        let digest = |kind| fingerprint(it, kind).ok_or(unreadable("fingerprint"));
        let key = it.public_key().map_err(|_| unreadable("key"))?;
        let usage = sendport_x509::usage(it);
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
            can_encrypt: usage.key_encipherment || usage.key_agreement,
            key_algorithm: key_algorithm(&key),
            capabilities: self.capabilities.as_deref().map(words),
            choice: to.choice.clone(),
            pem: pem.ok_or(unreadable("PEM form"))?,
            source: to.source.to_owned(),
        })
    }
}

/// PKCS #7 in DER, from DER or PEM.
fn pkcs7(bytes: &[u8]) -> Option<Vec<u8>> {
    let pem = || CmsContentInfo::from_pem(bytes);
    let read = CmsContentInfo::from_der(bytes).or_else(|_| pem());
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
