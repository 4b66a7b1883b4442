use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::KeyUsage;
use openssl::x509::{X509, X509Builder};

use super::*;

fn certificate(key: &PKey<Private>, usage: Option<&KeyUsage>) -> X509 {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    builder.set_pubkey(key).unwrap();
    if let Some(usage) = usage {
        builder.append_extension(usage.build().unwrap()).unwrap();
    }
    builder.sign(key, MessageDigest::sha256()).unwrap();
    builder.build()
}

#[test]
fn reads_key_usages_and_allows_every_usage_without_the_extension() {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let all = usage(&certificate(&key, None));
    assert!(all.signs && all.key_encipherment && all.key_agreement && all.email);
    let signs = usage(&certificate(
        &key,
        Some(KeyUsage::new().digital_signature()),
    ));
    assert!(signs.signs && !signs.key_encipherment && !signs.key_agreement && signs.email);
}
