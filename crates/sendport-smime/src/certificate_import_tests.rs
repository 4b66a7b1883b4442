use openssl::asn1::Asn1ObjectRef;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{X509, X509Builder, X509Extension, X509NameBuilder};
use sendport_core::domain::{CertificateEntry, CertificateId, RevokedCertificate};

use super::*;
use crate::cms::{CmsSigner, Content};
use crate::{
    Candidate, Digest, KeyKind, RecipientCertificate, RecipientCertificateError, RsaSignature,
    SignatureForm, SigningRules,
};

fn key() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn certificate(key: &PKey<Private>, address: &str, extensions: Vec<X509Extension>) -> X509 {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(key).unwrap();
    let time = |seconds| openssl::asn1::Asn1Time::from_unix(seconds).unwrap();
    builder.set_not_before(&time(1_700_000_000)).unwrap();
    builder.set_not_after(&time(1_900_000_000)).unwrap();
    let serial = openssl::bn::BigNum::from_u32(0x0A_1B2C).unwrap();
    let serial = serial.to_asn1_integer().unwrap();
    builder.set_serial_number(&serial).unwrap();
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, "Zoë").unwrap();
    if !address.is_empty() {
        name.append_entry_by_nid(Nid::PKCS9_EMAILADDRESS, address)
            .unwrap();
    }
    let name = name.build();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    for extension in extensions {
        builder.append_extension(extension).unwrap();
    }
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn of(address: &str) -> X509 {
    certificate(&key(), address, Vec::new())
}

fn usage() -> X509Extension {
    let mut usage = KeyUsage::new();
    usage
        .key_encipherment()
        .data_encipherment()
        .build()
        .unwrap()
}

fn text(it: &ParsedCertificate, address: &str, bound_by: BoundBy) -> CertificateText {
    let binding = Binding {
        address,
        bound_by,
        choice: &CertificateChoice::default(),
        source: "a test",
    };
    it.to_row(&binding).unwrap()
}

fn subjects(bytes: &[u8]) -> usize {
    ParsedCertificate::parse_all(bytes).unwrap().len()
}

#[test]
fn certificates_are_found_in_each_form_once() {
    let (one, two) = (of("a@x.com"), of("b@x.com"));
    let pem = |it: &X509| it.to_pem().unwrap();
    assert_eq!(subjects(&one.to_der().unwrap()), 1);
    assert_eq!(subjects(&[pem(&one), pem(&two), pem(&one)].concat()), 2);
    let mut bag = Stack::new().unwrap();
    bag.push(one).unwrap();
    bag.push(two).unwrap();
    let key = key();
    let signer = certificate(&key, "c@x.com", Vec::new());
    let flags = openssl::cms::CMSOptions::NOSMIMECAP;
    let cms = CmsContentInfo::sign(Some(&signer), Some(&key), Some(&bag), Some(b"x"), flags);
    let cms = cms.unwrap();
    assert_eq!(subjects(&cms.to_der().unwrap()), 3);
    let pkcs7 = String::from_utf8(cms.to_pem().unwrap()).unwrap();
    assert_eq!(subjects(pkcs7.replace("CMS", "PKCS7").as_bytes()), 3);
    for wrong in [
        &b""[..],
        b"hello",
        b"-----BEGIN CERTIFICATE-----\nMIIB",
        &[0x30, 0x82],
    ] {
        let why = ParsedCertificate::parse_all(wrong).unwrap_err();
        assert_eq!(why, CertificateReadError::NoImport);
    }
}

#[test]
fn a_row_says_what_the_certificate_says() {
    let email = ExtendedKeyUsage::new()
        .email_protection()
        .other("1.2.3.4")
        .build()
        .unwrap();
    let found = certificate(&key(), "Zoe@X.com", vec![usage(), email]);
    let sha1 = fingerprint(&found, MessageDigest::sha1()).unwrap();
    let read = ParsedCertificate::parse_all(&found.to_der().unwrap()).unwrap();
    assert_eq!(read[0].addresses(), ["zoe@x.com"]);
    assert!(!read[0].is_authority());
    let row = text(&read[0], "zoe@x.com", BoundBy::Certificate);
    assert_eq!((row.thumbprint.len(), row.sha256.len()), (40, 64));
    assert_eq!(row.thumbprint, sha1);
    assert_eq!(row.subject, "CN=Zoë, emailAddress=Zoe@X.com");
    assert_eq!(row.issuer, row.subject);
    assert_eq!(row.serial_number, "0A1B2C");
    assert_eq!(row.valid_to.timestamp(), 1_900_000_000);
    assert_eq!(
        row.key_usage,
        "keyEncipherment, dataEncipherment, emailProtection, 1.2.3.4"
    );
    assert!(row.can_encrypt);
    assert_eq!(row.key_algorithm, "RSA 2048");
    assert_eq!(row.capabilities, None);
    assert_eq!(row.pem.as_bytes(), found.to_pem().unwrap());
    let bare = ParsedCertificate::parse_all(&of("a@x.com").to_der().unwrap()).unwrap();
    let row = text(&bare[0], "a@x.com", BoundBy::Certificate);
    assert_eq!((&*row.key_usage, row.can_encrypt), ("any", true));
    let usage = KeyUsage::new().digital_signature().build().unwrap();
    let signs = certificate(&key(), "a@x.com", vec![usage])
        .to_der()
        .unwrap();
    let signs = ParsedCertificate::parse_all(&signs).unwrap();
    assert!(!text(&signs[0], "a@x.com", BoundBy::Certificate).can_encrypt);
    let authority = BasicConstraints::new().critical().ca().build().unwrap();
    let authority = certificate(&key(), "ca@x.com", vec![authority]);
    assert!(ParsedCertificate::parse_all(&authority.to_der().unwrap()).unwrap()[0].is_authority());
}

/// smimeCapabilities with AES-128-CBC, AES-256-CBC, RC2 and 3DES in this order, as Outlook writes them.
const ANNOUNCED: &[u8] = &[
    0x30, 0x34, 0x30, 0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x02, 0x30,
    0x0B, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2A, 0x30, 0x0C, 0x06, 0x08,
    0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D, 0x03, 0x02, 0x05, 0x00, 0x30, 0x0A, 0x06, 0x08, 0x2A, 0x86,
    0x48, 0x86, 0xF7, 0x0D, 0x03, 0x07,
];

#[test]
fn capabilities_are_recorded_the_strongest_first() {
    let announced = openssl::asn1::Asn1OctetString::new_from_bytes(ANNOUNCED).unwrap();
    let name = openssl::asn1::Asn1Object::from_str("1.2.840.113549.1.9.15").unwrap();
    let name: &Asn1ObjectRef = &name;
    let extension = X509Extension::new_from_der(name, false, &announced).unwrap();
    let in_it = certificate(&key(), "a@x.com", vec![extension]);
    let found = ParsedCertificate::parse_all(&in_it.to_der().unwrap()).unwrap();
    let row = text(&found[0], "a@x.com", BoundBy::Certificate);
    let expected = Some("aes-256-cbc aes-128-cbc 3des-cbc");
    assert_eq!(row.capabilities.as_deref(), expected);

    let key = key();
    let bare = certificate(&key, "a@x.com", Vec::new());
    let ours = "aes-256-cbc aes-192-cbc aes-128-cbc";
    assert_eq!(capabilities_of(&bare, &key).as_deref(), Some(ours));
    let usage = KeyUsage::new().digital_signature().build().unwrap();
    let signs_alone = certificate(&key, "a@x.com", vec![usage]);
    assert_eq!(capabilities_of(&signs_alone, &key), None);
}

/// The capabilities in what its owner signs.
fn capabilities_of(bare: &X509, key: &PKey<Private>) -> Option<String> {
    let cms_signer = CmsSigner::new(bare, key, KeyKind::Rsa, &[]).unwrap();
    let rules = SigningRules {
        form: SignatureForm::Clear,
        digest: None,
        rsa: RsaSignature::Pkcs1,
        chain: true,
        match_from: true,
    };
    let content = Content::of(b"", Digest::Sha256).unwrap();
    let time = chrono::DateTime::from_timestamp(NOW, 0).unwrap();
    let published = cms_signer.sign(&content, &rules, time).unwrap();
    let found = ParsedCertificate::parse_all(&published).unwrap();
    assert_eq!(found.len(), 1);
    let row = text(&found[0], "a@x.com", BoundBy::Certificate);
    row.capabilities
}

fn entry(text: &CertificateText) -> CertificateEntry {
    CertificateEntry {
        id: CertificateId(1),
        address: text.address.clone(),
        bound_by: text.bound_by,
        thumbprint: text.thumbprint.clone(),
        sha256: text.sha256.clone(),
        valid_from: text.valid_from,
        capabilities: Some("aes-256-gcm chacha20 aes-128-cbc".to_owned()),
        choice: CertificateChoice {
            cipher: Some("aes-256-gcm".to_owned()),
            rsa_padding: Some("oaep".to_owned()),
        },
        revoked: None,
    }
}

fn judged(entry: &CertificateEntry, pem: &str, now: i64) -> Result<(), RecipientCertificateError> {
    let read = RecipientCertificate::from_pem(pem);
    let candidate = Candidate::from_row(entry, read.as_ref().map_err(Clone::clone));
    let now = chrono::DateTime::from_timestamp(now, 0).unwrap();
    candidate.check(None, now).map(|_| ())
}

/// A row for a@x.com, and its entry.
fn row() -> (CertificateText, CertificateEntry) {
    let found = ParsedCertificate::parse_all(&of("a@x.com").to_pem().unwrap()).unwrap();
    let row = text(&found[0], "a@x.com", BoundBy::Certificate);
    let entry = entry(&row);
    (row, entry)
}

const NOW: i64 = 1_800_000_000;

/// Key into the table of replies, and what is said in the sentence beside the thumbprint.
fn refused(entry: &CertificateEntry, pem: &str, now: i64, key: &str, output: &str) {
    let why = judged(entry, pem, now).unwrap_err();
    assert_eq!(why.explanation(), format!("recipient-certificate-{key}"));
    let why = why.to_string();
    assert!(
        why.contains(output) && why.contains(&entry.thumbprint),
        "{why}"
    );
}

#[test]
fn a_row_that_ended_did_not_begin_or_was_revoked_says_so() {
    let (row, entry) = row();
    judged(&entry, &row.pem, NOW).unwrap();
    refused(&entry, &row.pem, 1_950_000_000, "expired", "expired at");
    refused(
        &entry,
        &row.pem,
        1_600_000_000,
        "not-yet-valid",
        "is not valid before",
    );
    let revoked = CertificateEntry {
        revoked: Some(RevokedCertificate {
            at: chrono::DateTime::from_timestamp(1_750_000_000, 0).unwrap(),
            reason: Some("key was lost".to_owned()),
        }),
        ..entry
    };
    let output = "was revoked at 2025-06-15T15:06:40Z: key was lost";
    refused(&revoked, &row.pem, NOW, "revoked", output);
}

#[test]
fn a_row_that_holds_something_else_is_malformed() {
    let (row, entry) = row();
    let other = String::from_utf8(of("a@x.com").to_pem().unwrap()).unwrap();
    let both = format!("{other}{}", row.pem);
    refused(&entry, &other, NOW, "malformed", "Sha256Fingerprint says");
    let renamed = CertificateEntry {
        thumbprint: "0".repeat(40),
        ..entry.clone()
    };
    refused(&renamed, &row.pem, NOW, "malformed", "Thumbprint says 00");
    refused(&entry, &both, NOW, "malformed", "expected one certificate");
    refused(&entry, "x", NOW, "malformed", "found none");
    let odd = CertificateEntry {
        choice: CertificateChoice {
            cipher: Some("rot13".to_owned()),
            ..CertificateChoice::default()
        },
        ..entry
    };
    refused(&odd, &row.pem, NOW, "malformed", "rot13");
}

#[test]
fn only_an_operator_binds_to_another_address() {
    let (row, entry) = row();
    let of_gateway = CertificateEntry {
        address: "b@x.com".to_owned(),
        bound_by: BoundBy::Operator,
        ..entry
    };
    judged(&of_gateway, &row.pem, NOW).unwrap();
    let of_nobody = CertificateEntry {
        bound_by: BoundBy::Certificate,
        ..of_gateway
    };
    refused(&of_nobody, &row.pem, NOW, "wrong-address", "is for a@x.com");
}

#[test]
fn the_choice_and_the_source_are_stored() {
    let found = ParsedCertificate::parse_all(&of("a@x.com").to_pem().unwrap()).unwrap();
    let row = text(&found[0], "a@x.com", BoundBy::Certificate);
    let read = RecipientCertificate::from_pem(&row.pem).unwrap();
    let candidate = Candidate::from_row(&entry(&row), Ok(&read));
    let it = candidate.certificate.unwrap();
    assert_eq!(it.cipher, Some(ContentCipher::Aes256Gcm));
    assert_eq!(it.rsa, Some(crate::RsaEncryption::Oaep));
    let announced = [ContentCipher::Aes256Gcm, ContentCipher::Aes128Cbc];
    assert_eq!(it.capabilities.as_deref(), Some(&announced[..]));
}

#[test]
fn an_address_is_found_however_its_domain_is_written() {
    let found =
        ParsedCertificate::parse_all(&of("Ops@xn--bcher-kva.example").to_pem().unwrap()).unwrap();
    assert_eq!(found[0].addresses(), ["ops@xn--bcher-kva.example"]);
    for written in ["OPS@Bücher.example", "ops@XN--bcher-kva.Example"] {
        assert_eq!(crate::address_key(written), "ops@xn--bcher-kva.example");
    }
    assert_eq!(crate::address_key("Zoë@x.com"), "zoë@x.com");
}
