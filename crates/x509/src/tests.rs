use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::KeyUsage;
use openssl::x509::{X509, X509Builder, X509NameBuilder};

use super::*;

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

#[test]
fn usage_is_what_the_extension_says_and_all_of_it_without_one() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let all = usage(&certificate(&key, None));
    assert!(all.signs && all.key_encipherment && all.key_agreement && all.email);
    let signs = usage(&certificate(
        &key,
        Some(KeyUsage::new().digital_signature()),
    ));
    assert!(signs.signs && !signs.key_encipherment && !signs.key_agreement && signs.email);
}
