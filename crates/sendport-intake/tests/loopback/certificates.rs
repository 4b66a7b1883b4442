//! Certificates for one test.

use std::path::PathBuf;

use openssl::asn1::Asn1Time;
use openssl::bn::BigNum;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::SslConnectorBuilder;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage};
use openssl::x509::{X509, X509NameBuilder};
use tempfile::TempDir;

/// A certificate and its key.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    key: PKey<Private>,
}

impl Identity {
    /// An authority.
    pub(crate) fn authority(name: &str) -> Self {
        Self::new(name, None, true).expect("a certificate")
    }

    /// Its own issuer.
    pub(crate) fn self_signed(name: &str) -> Self {
        Self::new(name, None, false).expect("a certificate")
    }

    pub(crate) fn issue(&self, name: &str) -> Self {
        Self::new(name, Some(self), false).expect("a certificate")
    }

    fn new(name: &str, issuer: Option<&Self>, is_authority: bool) -> Result<Self, ErrorStack> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
        let key = PKey::from_ec_key(EcKey::generate(&group)?)?;
        let mut subject = X509NameBuilder::new()?;
        subject.append_entry_by_nid(Nid::COMMONNAME, name)?;
        let subject = subject.build();
        let mut builder = X509::builder()?;
        builder.set_version(2)?;
        let serial = BigNum::from_u32(rand_serial())?.to_asn1_integer()?;
        builder.set_serial_number(&serial)?;
        builder.set_subject_name(&subject)?;
        let issuer_name = issuer.map_or(&*subject, |it| it.certificate.subject_name());
        builder.set_issuer_name(issuer_name)?;
        builder.set_pubkey(&key)?;
        let (today, tomorrow) = (Asn1Time::days_from_now(0)?, Asn1Time::days_from_now(1)?);
        builder.set_not_before(&today)?;
        builder.set_not_after(&tomorrow)?;
        if is_authority {
            let extension = BasicConstraints::new().critical().ca().build()?;
            builder.append_extension(extension)?;
        } else {
            let usage = ExtendedKeyUsage::new()
                .client_auth()
                .server_auth()
                .build()?;
            builder.append_extension(usage)?;
        }
        let signer = issuer.map_or(&key, |it| &it.key);
        builder.sign(signer, MessageDigest::sha256())?;
        Ok(Self {
            certificate: builder.build(),
            key,
        })
    }

    /// The certificate and the key, in one file.
    pub(crate) fn write(&self, folder: &TempDir, name: &str) -> PathBuf {
        let path = folder.path().join(name);
        let pem = [
            self.certificate.to_pem().expect("PEM"),
            self.key.private_key_to_pem_pkcs8().expect("PEM"),
        ];
        std::fs::write(&path, pem.concat()).expect("written");
        path
    }

    pub(crate) fn sha256(&self) -> String {
        let digest = self
            .certificate
            .digest(MessageDigest::sha256())
            .expect("usable");
        digest
            .iter()
            .map(|byte| format!("{byte:02X}"))
            .collect::<Vec<_>>()
            .join(":")
    }

    pub(crate) fn show(&self, builder: &mut SslConnectorBuilder) {
        builder.set_certificate(&self.certificate).expect("usable");
        builder.set_private_key(&self.key).expect("usable");
    }
}

fn rand_serial() -> u32 {
    let mut octets = [0; 4];
    openssl::rand::rand_bytes(&mut octets).expect("usable");
    u32::from_be_bytes(octets) >> 1
}
