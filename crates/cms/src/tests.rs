use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::ec::{EcGroup, EcKey};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::stack::Stack;
use openssl::x509::extension::KeyUsage;
use openssl::x509::store::X509StoreBuilder;
use openssl::x509::{X509Builder, X509NameBuilder};

use super::*;

const CONTENT: &[u8] = b"Content-Type: text/plain\r\n\r\nLine\r\n";

fn certificate(key: &PKey<Private>, usage: Option<&KeyUsage>) -> X509 {
    let mut name = X509NameBuilder::new().unwrap();
    name.append_entry_by_text("CN", "somebody").unwrap();
    let name = name.build();
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, MsbOption::MAYBE_ZERO, false).unwrap();
    let serial = Asn1Integer::from_bn(&serial).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&name).unwrap();
    builder.set_issuer_name(&name).unwrap();
    builder.set_pubkey(key).unwrap();
    let (from, to) = (
        Asn1Time::from_unix(0).unwrap(),
        Asn1Time::days_from_now(9).unwrap(),
    );
    builder.set_not_before(&from).unwrap();
    builder.set_not_after(&to).unwrap();
    if let Some(usage) = usage {
        builder.append_extension(usage.build().unwrap()).unwrap();
    }
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

fn rsa() -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap()
}

fn ec(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

fn signed(
    key: &PKey<Private>,
    digest: MessageDigest,
    pss: bool,
    detached: bool,
) -> (X509, Vec<u8>) {
    let certificate = certificate(key, None);
    let time = Asn1Time::from_unix(1_700_000_000).unwrap();
    let how = Signing {
        certificate: &certificate,
        key,
        chain: Some(&[]),
        digest,
        pss,
        time: &time,
        detached,
    };
    let der = sign(CONTENT, &how).unwrap();
    (certificate, der)
}

/// The content that a reader takes out, if the signature is right.
fn verified(certificate: X509, der: &[u8], content: Option<&[u8]>) -> Result<Vec<u8>, ErrorStack> {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(certificate).unwrap();
    let mut cms = CmsContentInfo::from_der(der).unwrap();
    let none = Stack::new().unwrap();
    let mut out = Vec::new();
    let flags = CMSOptions::BINARY;
    cms.verify(
        Some(&none),
        Some(&store.build()),
        content,
        Some(&mut out),
        flags,
    )?;
    Ok(out)
}

#[test]
fn signatures_of_every_kind_of_key_are_right_and_a_changed_octet_is_seen() {
    let keys = [rsa(), ec(Nid::X9_62_PRIME256V1), ec(Nid::SECP384R1)];
    for (key, pss) in [
        (&keys[0], false),
        (&keys[0], true),
        (&keys[1], false),
        (&keys[2], false),
    ] {
        for digest in [
            MessageDigest::sha256(),
            MessageDigest::sha384(),
            MessageDigest::sha512(),
        ] {
            let (certificate, der) = signed(key, digest, pss, true);
            let mut changed = CONTENT.to_vec();
            assert!(verified(certificate.clone(), &der, Some(&changed)).is_ok());
            changed[30] ^= 1;
            assert!(verified(certificate, &der, Some(&changed)).is_err());
            let (certificate, der) = signed(key, digest, pss, false);
            assert_eq!(verified(certificate, &der, None).unwrap(), CONTENT);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_octets() {
    let key = rsa();
    let certificate = certificate(&key, None);
    let time = Asn1Time::from_unix(1_700_000_000).unwrap();
    let how = Signing {
        certificate: &certificate,
        key: &key,
        chain: None,
        digest: MessageDigest::sha256(),
        pss: false,
        time: &time,
        detached: true,
    };
    assert_eq!(sign(CONTENT, &how).unwrap(), sign(CONTENT, &how).unwrap());
}

#[test]
fn envelopes_are_opened_by_each_of_their_recipients_alone() {
    let keys = [rsa(), ec(Nid::X9_62_PRIME256V1), ec(Nid::SECP384R1)];
    let certificates: Vec<_> = keys.iter().map(|key| certificate(key, None)).collect();
    let stranger = rsa();
    for cipher in [
        Cipher::aes_128_cbc(),
        Cipher::aes_192_cbc(),
        Cipher::aes_256_cbc(),
        Cipher::aes_256_gcm(),
        Cipher::des_ede3_cbc(),
    ] {
        for oaep in [false, true] {
            let recipient = |certificate| Recipient { certificate, oaep };
            let recipients: Vec<_> = certificates.iter().map(|c| recipient(&**c)).collect();
            let der = encrypt(CONTENT, cipher, &recipients).unwrap();
            let cms = CmsContentInfo::from_der(&der).unwrap();
            for (key, certificate) in keys.iter().zip(&certificates) {
                assert_eq!(cms.decrypt(key, certificate).unwrap(), CONTENT);
            }
            let opened = cms.decrypt_without_cert_check(&stranger);
            assert!(opened.is_err() || opened.unwrap() != CONTENT);
        }
    }
}

#[test]
fn usage_is_what_the_extension_says_and_all_of_it_without_one() {
    let key = rsa();
    let all = usage(&certificate(&key, None));
    assert!(all.signs && all.key_encipherment && all.key_agreement && all.email);
    let signs = usage(&certificate(
        &key,
        Some(KeyUsage::new().digital_signature()),
    ));
    assert!(signs.signs && !signs.key_encipherment && !signs.key_agreement && signs.email);
}
