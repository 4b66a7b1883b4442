//! A certification authority and server certificates, made when a test needs them.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::ssl::{SslAcceptor, SslMethod};
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509NameBuilder};

/// A key with its certificate.
pub(crate) struct Identity {
    pub(crate) certificate: X509,
    pub(crate) key: PKey<Private>,
}

impl Identity {
    pub(crate) fn certificate_pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    pub(crate) fn key_pem(&self) -> Vec<u8> {
        self.key.private_key_to_pem_pkcs8().expect("PEM")
    }

    pub(crate) fn acceptor(&self) -> SslAcceptor {
        let mut builder =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("builder");
        builder.set_private_key(&self.key).expect("key");
        builder
            .set_certificate(&self.certificate)
            .expect("certificate");
        builder.build()
    }
}

/// A self-signed authority.
pub(crate) fn authority(name: &str) -> Identity {
    let key = new_key();
    let mut builder = begin(name, &key);
    builder.set_issuer_name(&self_name(name)).expect("issuer");
    let constraints = BasicConstraints::new().critical().ca().build();
    builder
        .append_extension(constraints.expect("extension"))
        .expect("extension");
    let usage = KeyUsage::new()
        .critical()
        .key_cert_sign()
        .crl_sign()
        .build();
    builder
        .append_extension(usage.expect("extension"))
        .expect("extension");
    builder
        .sign(&key, MessageDigest::sha256())
        .expect("signature");
    Identity {
        certificate: builder.build(),
        key,
    }
}

/// A server's certificate for DNS names and IP addresses.
pub(crate) fn server(authority: &Identity, names: &[&str]) -> Identity {
    let key = new_key();
    let mut builder = begin(names[0], &key);
    let issuer = authority.certificate.subject_name();
    builder.set_issuer_name(issuer).expect("issuer");
    let mut alternative = SubjectAlternativeName::new();
    for name in names {
        if name.parse::<std::net::IpAddr>().is_ok() {
            alternative.ip(name);
        } else {
            alternative.dns(name);
        }
    }
    let context = builder.x509v3_context(Some(&authority.certificate), None);
    let alternative = alternative.build(&context).expect("extension");
    builder.append_extension(alternative).expect("extension");
    builder
        .sign(&authority.key, MessageDigest::sha256())
        .expect("signature");
    Identity {
        certificate: builder.build(),
        key,
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("curve");
    PKey::from_ec_key(EcKey::generate(&group).expect("key")).expect("key")
}

fn begin(name: &str, key: &PKey<Private>) -> X509Builder {
    let mut builder = X509::builder().expect("builder");
    builder.set_version(2).expect("version");
    let mut serial = BigNum::new().expect("number");
    serial
        .rand(64, MsbOption::MAYBE_ZERO, false)
        .expect("random");
    let serial = serial.to_asn1_integer().expect("serial");
    builder.set_serial_number(&serial).expect("serial");
    builder.set_subject_name(&self_name(name)).expect("subject");
    let (from, until) = (Asn1Time::days_from_now(0), Asn1Time::days_from_now(2));
    builder.set_not_before(&from.expect("time")).expect("time");
    builder.set_not_after(&until.expect("time")).expect("time");
    builder.set_pubkey(key).expect("key");
    builder
}

fn self_name(name: &str) -> openssl::x509::X509Name {
    let mut builder = X509NameBuilder::new().expect("name");
    builder
        .append_entry_by_nid(Nid::COMMONNAME, name)
        .expect("name");
    builder.build()
}
