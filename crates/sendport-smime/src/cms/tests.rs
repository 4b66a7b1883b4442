//! Read again by OpenSSL, which has a CMS of its own.

use openssl::cms::{CMSOptions, CmsContentInfo};
use openssl::error::ErrorStack;
use openssl::nid::Nid;
use openssl::stack::Stack;
use openssl::x509::X509;
use openssl::x509::store::X509StoreBuilder;

use super::super::oid;
use super::*;
use crate::certificate::KeyKind;
use crate::der::Values;
use crate::tests::{ALWAYS, Made, all, at, made, on_curve, rsa};
use crate::{ContentCipher, Digest, RsaEncryption, RsaSignature, SignatureForm, SigningRules};

const CONTENT: &[u8] = b"Content-Type: text/plain\r\n\r\nLine\r\n";

const CIPHERS: [ContentCipher; 6] = [
    ContentCipher::Aes256Cbc,
    ContentCipher::Aes192Cbc,
    ContentCipher::Aes128Cbc,
    ContentCipher::Aes256Gcm,
    ContentCipher::Aes128Gcm,
    ContentCipher::TripleDes,
];

/// Where a length takes one octet more, or a block is full.
const SIZES: [usize; 16] = [
    0, 1, 7, 8, 15, 16, 17, 112, 127, 128, 239, 255, 256, 65_519, 65_535, 65_536,
];

fn certificate_with(key: openssl::pkey::PKey<openssl::pkey::Private>) -> Made {
    made(key, "a@contoso.com", &all(), ALWAYS)
}

fn on(curve: Nid) -> Made {
    certificate_with(on_curve(curve))
}

fn cms_signer(made: &Made, chain: &[X509]) -> CmsSigner {
    let kind = KeyKind::of(&made.key).unwrap();
    CmsSigner::new(&made.certificate, &made.key, kind, chain).unwrap()
}

fn reader(made: &Made) -> CmsRecipient {
    let key = made.certificate.public_key().unwrap();
    let kind = KeyKind::of(&key).unwrap();
    CmsRecipient::new(&made.certificate, key, kind).unwrap()
}

fn rules(form: SignatureForm, rsa: RsaSignature) -> SigningRules {
    SigningRules {
        form,
        digest: None,
        rsa,
        chain: true,
        match_from: true,
    }
}

fn signed(cms_signer: &CmsSigner, bytes: &[u8], digest: Digest, rules: &SigningRules) -> Vec<u8> {
    let content = Content::of(bytes, digest).unwrap();
    cms_signer.sign(&content, rules, at(1_700_000_000)).unwrap()
}

/// The content that a reader takes out, if the signature is right and by `who`.
fn verified(who: &Made, der: &[u8], content: Option<&[u8]>) -> Result<Vec<u8>, ErrorStack> {
    let mut store = X509StoreBuilder::new().unwrap();
    store.add_cert(who.certificate.clone()).unwrap();
    let mut cms = CmsContentInfo::from_der(der)?;
    let (none, store, mut out) = (Stack::new().unwrap(), store.build(), Vec::new());
    let flags = CMSOptions::BINARY;
    cms.verify(Some(&none), Some(&store), content, Some(&mut out), flags)?;
    Ok(out)
}

/// One value, which OpenSSL writes as we do.
fn assert_der(der: &[u8]) {
    assert_eq!(Values(der).next().unwrap().whole.len(), der.len());
    let again = CmsContentInfo::from_der(der).unwrap().to_der().unwrap();
    assert_eq!(again, der);
}

fn opened(by: &Made, envelope: &Envelope) -> Result<Vec<u8>, ErrorStack> {
    let cms = CmsContentInfo::from_der(&envelope.der)?;
    cms.decrypt(&by.key, &by.certificate)
}

fn holds(der: &[u8], bytes: &[u8]) -> bool {
    der.windows(bytes.len()).any(|it| it == bytes)
}

#[test]
fn signatures_of_every_kind_of_key_are_right_and_a_changed_byte_is_seen() {
    let rsa = certificate_with(rsa(2048));
    let curves = [Nid::X9_62_PRIME256V1, Nid::SECP384R1, Nid::SECP521R1].map(on);
    let mut ways = vec![(&rsa, RsaSignature::Pkcs1), (&rsa, RsaSignature::Pss)];
    ways.extend(curves.iter().map(|it| (it, RsaSignature::Pkcs1)));
    for (who, padding) in ways {
        let cms_signer = cms_signer(who, &[]);
        for digest in [Digest::Sha256, Digest::Sha384, Digest::Sha512] {
            let clear = rules(SignatureForm::Clear, padding);
            let der = signed(&cms_signer, CONTENT, digest, &clear);
            assert_der(&der);
            assert!(!holds(&der, CONTENT));
            assert!(verified(who, &der, Some(CONTENT)).is_ok());
            let mut changed = CONTENT.to_vec();
            changed[30] ^= 1;
            assert!(verified(who, &der, Some(&changed)).is_err());
            let mut changed = der.clone();
            *changed.last_mut().unwrap() ^= 1;
            assert!(verified(who, &changed, Some(CONTENT)).is_err());

            let opaque = rules(SignatureForm::Opaque, padding);
            let der = signed(&cms_signer, CONTENT, digest, &opaque);
            assert_der(&der);
            assert_eq!(verified(who, &der, None).unwrap(), CONTENT);
        }
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let cms_signer = cms_signer(&certificate_with(rsa(2048)), &[]);
    let rules = rules(SignatureForm::Clear, RsaSignature::Pkcs1);
    let sign = || signed(&cms_signer, CONTENT, Digest::Sha256, &rules);
    assert_eq!(sign(), sign());
}

#[test]
fn many_threads_sign_and_encrypt_at_once() {
    let (who, rules) = (
        certificate_with(rsa(2048)),
        rules(SignatureForm::Opaque, RsaSignature::Pss),
    );
    let (cms_signer, reader) = (cms_signer(&who, &[]), reader(&who));
    std::thread::scope(|scope| {
        for thread in 0..8_u8 {
            let (who, cms_signer, reader, rules) = (&who, &cms_signer, &reader, &rules);
            scope.spawn(move || {
                for n in 0..20 {
                    let content = [thread, n, 7];
                    let der = signed(cms_signer, &content, Digest::Sha256, rules);
                    assert_eq!(verified(who, &der, None).unwrap(), content);
                    let readers = [(reader, RsaEncryption::Oaep)];
                    let made = enveloped(&content, ContentCipher::Aes128Cbc, &readers).unwrap();
                    assert_eq!(opened(who, &made).unwrap(), content);
                }
            });
        }
    });
}

#[test]
fn the_chain_goes_along_where_it_is_wanted_and_each_certificate_once() {
    let (who, above) = (on(Nid::X9_62_PRIME256V1), certificate_with(rsa(2048)));
    let chain = [above.certificate.clone(), who.certificate.clone()];
    let cms_signer = cms_signer(&who, &chain);
    let [own, above] = [&who, &above].map(|it| it.certificate.to_der().unwrap());
    for (chain, certificates) in [(true, 2), (false, 1)] {
        let rules = SigningRules {
            chain,
            ..rules(SignatureForm::Clear, RsaSignature::Pkcs1)
        };
        let der = signed(&cms_signer, CONTENT, Digest::Sha256, &rules);
        assert_der(&der);
        assert!(holds(&der, &own));
        assert_eq!(holds(&der, &above), chain);
        let (found, _) = crate::extensions::signed_data(&der);
        assert_eq!(found.len(), certificates);
        assert!(verified(&who, &der, Some(CONTENT)).is_ok());
    }
}

/// RFC 5652 section 11.3.
#[test]
fn the_signing_time_has_four_digits_of_the_year_from_2050_on() {
    let who = on(Nid::X9_62_PRIME256V1);
    let cms_signer = cms_signer(&who, &[]);
    for (seconds, written) in [
        (1_700_000_000, &b"\x17\x0d231114221320Z"[..]),
        (2_524_607_999, b"\x17\x0d491231235959Z"),
        (2_524_608_000, b"\x18\x0f20500101000000Z"),
    ] {
        let content = Content::of(CONTENT, Digest::Sha256).unwrap();
        let rules = rules(SignatureForm::Clear, RsaSignature::Pkcs1);
        let der = cms_signer.sign(&content, &rules, at(seconds)).unwrap();
        assert!(holds(&der, written));
        assert_der(&der);
        assert!(verified(&who, &der, Some(CONTENT)).is_ok());
    }
}

#[test]
fn content_of_any_size_is_signed_and_sealed_whole() {
    let who = on(Nid::X9_62_PRIME256V1);
    let (cms_signer, reader) = (cms_signer(&who, &[]), reader(&who));
    let rules = rules(SignatureForm::Opaque, RsaSignature::Pkcs1);
    for size in SIZES {
        let content: Vec<u8> = (0..size).map(|n| n.to_le_bytes()[0]).collect();
        let der = signed(&cms_signer, &content, Digest::Sha256, &rules);
        assert_der(&der);
        assert_eq!(verified(&who, &der, None).unwrap(), content);
        for cipher in CIPHERS {
            let readers = [(&reader, RsaEncryption::Pkcs1)];
            let envelope = enveloped(&content, cipher, &readers).unwrap();
            assert_der(&envelope.der);
            assert_eq!(
                opened(&who, &envelope).unwrap(),
                content,
                "{cipher:?} {size}"
            );
        }
    }
}

#[test]
fn envelopes_are_opened_by_each_of_their_readers_alone() {
    let curves = [
        Nid::X9_62_PRIME256V1,
        Nid::SECP384R1,
        Nid::SECP521R1,
        Nid::BRAINPOOL_P256R1,
    ];
    let mut people = vec![certificate_with(rsa(2048)), certificate_with(rsa(3072))];
    people.extend(curves.map(on));
    let strangers = [certificate_with(rsa(2048)), on(Nid::X9_62_PRIME256V1)];
    for cipher in CIPHERS {
        for padding in [RsaEncryption::Pkcs1, RsaEncryption::Oaep] {
            let readers: Vec<_> = people.iter().map(reader).collect();
            let readers: Vec<_> = readers.iter().map(|it| (it, padding)).collect();
            let envelope = enveloped(CONTENT, cipher, &readers).unwrap();
            assert_der(&envelope.der);
            for who in &people {
                assert_eq!(opened(who, &envelope).unwrap(), CONTENT);
            }
            for stranger in &strangers {
                assert!(opened(stranger, &envelope).is_err());
            }
        }
    }
}

#[test]
fn the_key_of_the_content_is_wrapped_by_one_as_strong() {
    let who = on(Nid::X9_62_PRIME256V1);
    let reader = reader(&who);
    for (cipher, wrap) in [
        (ContentCipher::Aes128Cbc, &oid::AES128_WRAP),
        (ContentCipher::Aes128Gcm, &oid::AES128_WRAP),
        (ContentCipher::Aes192Cbc, &oid::AES192_WRAP),
        (ContentCipher::Aes256Cbc, &oid::AES256_WRAP),
        (ContentCipher::Aes256Gcm, &oid::AES256_WRAP),
        (ContentCipher::TripleDes, &oid::CMS_3DES_WRAP),
    ] {
        let envelope = enveloped(CONTENT, cipher, &[(&reader, RsaEncryption::Pkcs1)]);
        assert!(holds(&envelope.unwrap().der, wrap), "{cipher:?}");
    }
}

#[test]
fn an_envelope_names_its_readers_in_its_order() {
    let people: Vec<_> = (0..300).map(|_| on(Nid::X9_62_PRIME256V1)).collect();
    let readers: Vec<_> = people.iter().map(reader).collect();
    let readers: Vec<_> = readers
        .iter()
        .map(|it| (it, RsaEncryption::Pkcs1))
        .collect();
    let envelope = enveloped(CONTENT, ContentCipher::Aes256Cbc, &readers).unwrap();
    assert_der(&envelope.der);
    assert_eq!(envelope.order.len(), people.len());
    let mut places = envelope.order.iter().map(|n| {
        let der = people[*n].certificate.to_der().unwrap();
        let name = issuer_and_serial::IssuerAndSerial::of(&der)
            .unwrap()
            .to_vec();
        let mut places = envelope.der.windows(name.len());
        places.position(|it| it == name).expect("it is named")
    });
    assert!(places.by_ref().is_sorted());
    for who in people.iter().step_by(50) {
        assert_eq!(opened(who, &envelope).unwrap(), CONTENT);
    }
}

#[test]
fn nothing_is_encrypted_alike_twice_and_a_change_to_gcm_is_seen() {
    let who = certificate_with(rsa(2048));
    let reader = reader(&who);
    let readers = [(&reader, RsaEncryption::Pkcs1)];
    let encrypt = |cipher| enveloped(CONTENT, cipher, &readers).unwrap();
    for cipher in CIPHERS {
        let tail = |it: Envelope| it.der[it.der.len() - 32..].to_vec();
        assert_ne!(tail(encrypt(cipher)), tail(encrypt(cipher)), "{cipher:?}");
    }
    for from_end in [1, 20] {
        let mut envelope = encrypt(ContentCipher::Aes256Gcm);
        let at = envelope.der.len() - from_end;
        envelope.der[at] ^= 1;
        assert!(opened(&who, &envelope).is_err());
    }
}

/// RFC 5652 section 10.2.4: as in the certificate, for any serial number.
#[test]
fn a_certificate_without_a_name_or_with_a_long_serial_number_is_named() {
    let who = certificate_with(rsa(2048));
    let der = who.certificate.to_der().unwrap();
    let name = issuer_and_serial::IssuerAndSerial::of(&der)
        .unwrap()
        .to_vec();
    let serial = who.certificate.serial_number().to_bn().unwrap().to_vec();
    assert!(holds(&name, &serial));
    for torn in [&[][..], &der[..20], &[0x30, 0], &[0x30, 2, 0x30, 0]] {
        assert!(issuer_and_serial::IssuerAndSerial::of(torn).is_none());
    }
}
