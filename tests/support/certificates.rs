//! A certification authority that lives as long as one test.

use std::fs;
use std::net::IpAddr;
use std::path::Path;

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::ssl::{SslAcceptor, SslAcceptorBuilder, SslMethod, SslVerifyMode, SslVersion};
use openssl::symm::Cipher;
use openssl::x509::extension::{
    AuthorityKeyIdentifier, BasicConstraints, ExtendedKeyUsage, KeyUsage, SubjectAlternativeName,
    SubjectKeyIdentifier,
};
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509, X509Builder, X509Name, X509NameRef};

/// What every authority calls itself.
pub(crate) const AUTHORITY_NAME: &str = "Example Test CA";

/// An authority with its key.
pub(crate) struct TestAuthority {
    certificate: X509,
    key: PKey<Private>,
}

/// What a TLS server shows, and its key.
pub(crate) struct ServerCertificate {
    pub(crate) certificate: X509,
    key: PKey<Private>,
}

impl TestAuthority {
    pub(crate) fn new() -> Self {
        let key = new_key();
        let name = common_name(AUTHORITY_NAME);
        let mut builder = valid_for_a_day(&name, &name, &key);
        let extensions = [
            BasicConstraints::new().critical().ca().build(),
            KeyUsage::new()
                .critical()
                .key_cert_sign()
                .crl_sign()
                .build(),
            SubjectKeyIdentifier::new().build(&builder.x509v3_context(None, None)),
        ];
        for extension in extensions {
            let extension = extension.expect("an extension of the authority");
            builder.append_extension(extension).expect("to append it");
        }
        builder
            .sign(&key, MessageDigest::sha256())
            .expect("the authority to sign itself");
        Self {
            certificate: builder.build(),
            key,
        }
    }

    /// The authority's certificate, for a client's `ca_file`.
    pub(crate) fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM of the authority")
    }

    /// Issues a certificate for each of `names` into a folder: `cert.pem`, `key.pem`, and beside
    /// them the authority's as `ca.pem`.
    pub(crate) fn write_server(&self, folder: &Path, names: &[&str]) {
        let server = self.issue(names);
        fs::create_dir_all(folder).expect("a folder");
        let write = |name: &str, pem: &[u8]| {
            fs::write(folder.join(name), pem).expect("a file of a certificate");
        };
        write("cert.pem", &server.certificate_pem());
        write("key.pem", &server.key_pem());
        write("ca.pem", &self.pem());
    }

    /// A certificate for each of `names`, which may be IP or mail addresses: a server's or a
    /// client's. The first is its common name.
    pub(crate) fn issue(&self, names: &[&str]) -> ServerCertificate {
        self.issue_changed(names, |_| ())
    }

    /// The same, valid on one day of 2020.
    pub(crate) fn issue_expired(&self, names: &[&str]) -> ServerCertificate {
        self.issue_changed(names, |builder| {
            let day = |seconds| Asn1Time::from_unix(seconds).expect("a day of 2020");
            builder
                .set_not_before(&day(1_600_000_000))
                .and_then(|()| builder.set_not_after(&day(1_600_086_400)))
                .expect("to set the dates");
        })
    }

    /// The same, valid from 2100 on.
    pub(crate) fn issue_for_later(&self, names: &[&str]) -> ServerCertificate {
        self.issue_changed(names, |builder| {
            let day = |seconds| Asn1Time::from_unix(seconds).expect("a day of 2100");
            builder
                .set_not_before(&day(4_102_444_800))
                .and_then(|()| builder.set_not_after(&day(4_102_531_200)))
                .expect("to set the dates");
        })
    }

    fn issue_changed(
        &self,
        names: &[&str],
        change: impl FnOnce(&mut X509Builder),
    ) -> ServerCertificate {
        let key = new_key();
        let subject = common_name(names.first().expect("at least one name"));
        let mut builder = valid_for_a_day(&subject, self.certificate.subject_name(), &key);
        change(&mut builder);
        let mut alternatives = SubjectAlternativeName::new();
        for name in names {
            match name.parse::<IpAddr>() {
                Ok(_) => alternatives.ip(name),
                Err(_) if name.contains('@') => alternatives.email(name),
                Err(_) => alternatives.dns(name),
            };
        }
        let context = builder.x509v3_context(Some(&self.certificate), None);
        let extensions = [
            BasicConstraints::new().build(),
            KeyUsage::new().critical().digital_signature().build(),
            ExtendedKeyUsage::new().server_auth().client_auth().build(),
            AuthorityKeyIdentifier::new().keyid(true).build(&context),
            alternatives.build(&context),
        ];
        for extension in extensions {
            let extension = extension.expect("an extension of the server");
            builder.append_extension(extension).expect("to append it");
        }
        builder
            .sign(&self.key, MessageDigest::sha256())
            .expect("the authority to sign");
        ServerCertificate {
            certificate: builder.build(),
            key,
        }
    }
}

impl ServerCertificate {
    /// One with an RSA key that vouches for itself, as applications show to a token endpoint.
    pub(crate) fn self_signed_rsa(name: &str) -> Self {
        let key = Rsa::generate(2048).and_then(PKey::from_rsa);
        let key = key.expect("an RSA key");
        let name = common_name(name);
        let mut builder = valid_for_a_day(&name, &name, &key);
        builder
            .sign(&key, MessageDigest::sha256())
            .expect("the certificate to sign itself");
        Self {
            certificate: builder.build(),
            key,
        }
    }

    pub(crate) fn certificate_pem(&self) -> Vec<u8> {
        let pem = self.certificate.to_pem();
        pem.expect("PEM of the certificate")
    }

    pub(crate) fn key_pem(&self) -> Vec<u8> {
        let pem = self.key.private_key_to_pem_pkcs8();
        pem.expect("PEM of the key")
    }

    /// The key under a password.
    pub(crate) fn encrypted_key_pem(&self, password: &str) -> Vec<u8> {
        let cipher = Cipher::aes_256_cbc();
        let pem = self
            .key
            .private_key_to_pem_pkcs8_passphrase(cipher, password.as_bytes());
        pem.expect("PEM of the key")
    }

    /// What makes TLS servers that show it.
    pub(crate) fn acceptor(&self) -> SslAcceptor {
        self.acceptor_builder().build()
    }

    /// What makes TLS servers that show it and speak TLS 1.2 at most.
    pub(crate) fn acceptor_of_tls12(&self) -> SslAcceptor {
        let mut builder = self.acceptor_builder();
        let set = builder.set_max_proto_version(Some(SslVersion::TLS1_2));
        set.expect("to limit the version");
        builder.build()
    }

    /// What makes TLS servers that show it and want a client's certificate of `authority`.
    pub(crate) fn acceptor_for_clients_of(&self, authority: &TestAuthority) -> SslAcceptor {
        let mut builder = self.acceptor_builder();
        let mut store = X509StoreBuilder::new().expect("a store");
        store
            .add_cert(authority.certificate.clone())
            .expect("to trust the authority");
        builder
            .set_verify_cert_store(store.build())
            .expect("to set the store");
        builder.set_verify(SslVerifyMode::PEER | SslVerifyMode::FAIL_IF_NO_PEER_CERT);
        builder.build()
    }

    fn acceptor_builder(&self) -> SslAcceptorBuilder {
        let mut builder =
            SslAcceptor::mozilla_intermediate_v5(SslMethod::tls_server()).expect("a TLS server");
        builder
            .set_private_key(&self.key)
            .and_then(|()| builder.set_certificate(&self.certificate))
            .expect("a certificate with its key");
        builder
    }
}

fn new_key() -> PKey<Private> {
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
    let key = EcKey::generate(&group).expect("a key");
    PKey::from_ec_key(key).expect("the key as a PKey")
}

fn common_name(text: &str) -> X509Name {
    let mut name = X509Name::builder().expect("a name");
    name.append_entry_by_nid(Nid::COMMONNAME, text)
        .expect("a common name");
    name.build()
}

fn valid_for_a_day(
    subject: &X509NameRef,
    issuer: &X509NameRef,
    key: &PKey<Private>,
) -> X509Builder {
    let mut serial = BigNum::new().expect("a number");
    serial
        .rand(127, MsbOption::MAYBE_ZERO, false)
        .expect("a random serial number");
    let serial = serial.to_asn1_integer().expect("the serial number");
    let now = Asn1Time::days_from_now(0).expect("now");
    let tomorrow = Asn1Time::days_from_now(1).expect("tomorrow");
    let mut builder = X509::builder().expect("a certificate");
    builder
        .set_version(2)
        .and_then(|()| builder.set_serial_number(&serial))
        .and_then(|()| builder.set_subject_name(subject))
        .and_then(|()| builder.set_issuer_name(issuer))
        .and_then(|()| builder.set_not_before(&now))
        .and_then(|()| builder.set_not_after(&tomorrow))
        .and_then(|()| builder.set_pubkey(key))
        .expect("the fields of a certificate");
    builder
}
