use std::collections::HashMap;

use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::cms::CmsContentInfo;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::symm::Cipher;
use openssl::x509::extension::{ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder};

use super::candidate::select;
use super::*;

const MESSAGE: &[u8] = b"From: a@contoso.com\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: text/plain\r\n\r\nbody\r\n";

pub(super) struct Made {
    pub(super) certificate: X509,
    pub(super) key: PKey<Private>,
}

/// Valid for seconds since 1970.
pub(super) fn made(key: PKey<Private>, address: &str, usage: &KeyUsage, times: (i64, i64)) -> Made {
    let mut builder = X509Builder::new().unwrap();
    builder.set_version(2).unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, MsbOption::MAYBE_ZERO, false).unwrap();
    let serial = Asn1Integer::from_bn(&serial).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_pubkey(&key).unwrap();
    let time = |seconds| Asn1Time::from_unix(seconds).unwrap();
    builder.set_not_before(&time(times.0)).unwrap();
    builder.set_not_after(&time(times.1)).unwrap();
    let context = builder.x509v3_context(None, None);
    let name = SubjectAlternativeName::new().email(address).build(&context);
    let extensions = [
        name.unwrap(),
        usage.build().unwrap(),
        ExtendedKeyUsage::new().email_protection().build().unwrap(),
    ];
    for extension in extensions {
        builder.append_extension(extension).unwrap();
    }
    builder.sign(&key, MessageDigest::sha256()).unwrap();
    Made {
        certificate: builder.build(),
        key,
    }
}

pub(super) fn rsa(bits: u32) -> PKey<Private> {
    PKey::from_rsa(Rsa::generate(bits).unwrap()).unwrap()
}

fn ec() -> PKey<Private> {
    on_curve(Nid::X9_62_PRIME256V1)
}

pub(super) fn on_curve(curve: Nid) -> PKey<Private> {
    let group = EcGroup::from_curve_name(curve).unwrap();
    PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap()
}

pub(super) fn all() -> KeyUsage {
    let mut usage = KeyUsage::new();
    usage.digital_signature().key_encipherment().key_agreement();
    usage
}

pub(super) const ALWAYS: (i64, i64) = (1_500_000_000, 4_000_000_000);

pub(super) fn at(seconds: i64) -> Timestamp {
    chrono::DateTime::from_timestamp(seconds, 0).unwrap()
}

fn now() -> Timestamp {
    at(1_800_000_000)
}

fn message() -> Message {
    Message {
        message_id: "<1@x>".into(),
        bytes: MESSAGE.to_vec(),
    }
}

fn rules() -> SigningRules {
    SigningRules {
        form: SignatureForm::Clear,
        digest: None,
        rsa: RsaSignature::Pkcs1,
        chain: true,
        match_from: true,
    }
}

fn identity(made: &Made) -> Identity {
    let key = made.key.private_key_to_pem_pkcs8().unwrap();
    Identity::from_pem(&made.certificate.to_pem().unwrap(), &key, "").unwrap()
}

fn encryptor(folder: &std::path::Path) -> Encryptor {
    Encryptor {
        cipher: ContentCipher::Aes256Cbc,
        rsa: RsaEncryption::Pkcs1,
        when_missing: WhenMissing::Fail,
        follow_capabilities: true,
        legacy: false,
        folder: Some(CertificateFolder::new(folder)),
        trust: None,
        own: Vec::new(),
    }
}

fn message_context(from: &str, recipients: Vec<Arc<RecipientCertificate>>) -> MessageContext<'_> {
    MessageContext {
        from,
        created_at: at(1_700_000_000),
        now: now(),
        recipients,
    }
}

fn write(folder: &std::path::Path, name: &str, certificates: &[&X509]) {
    let pem = certificates.iter().map(|it| it.to_pem().unwrap());
    std::fs::write(folder.join(name), pem.collect::<Vec<_>>().concat()).unwrap();
}

#[test]
fn a_message_that_cannot_be_protected_is_refused() {
    let nothing = Protector::default();
    for wanted in [
        Protection::Sign,
        Protection::Encrypt,
        Protection::SignEncrypt,
    ] {
        let error = nothing.plan(wanted, &message_context("a@contoso.com", Vec::new()));
        let error = error.unwrap_err();
        assert_eq!(error.explanation(), "protection-not-available");
        assert!(!error.is_transient());
    }
    let none = nothing.plan(
        Protection::None,
        &message_context("a@contoso.com", Vec::new()),
    );
    let secured = secure(message(), &none.unwrap()).unwrap();
    assert_eq!((secured.protection(), secured.bytes()), ("none", MESSAGE));
}

#[test]
fn attempts_are_signed_alike_and_as_of_the_alert() {
    let made = made(rsa(2048), "A@contoso.com", &all(), ALWAYS);
    let signer = Signer::new(identity(&made), rules()).unwrap();
    let protector = Protector {
        signer: Some(Arc::new(signer)),
        ..Protector::default()
    };
    let sign = || {
        let to = message_context("a@Contoso.com", Vec::new());
        let plan = protector.plan(Protection::Sign, &to).unwrap();
        secure(message(), &plan).unwrap()
    };
    let first = sign();
    assert_eq!(first, sign());
    assert_eq!(first.protection(), "sign");
    let text = String::from_utf8(first.bytes().to_vec()).unwrap();
    assert!(text.starts_with(
        "From: a@contoso.com\r\nSubject: s\r\nMIME-Version: 1.0\r\nContent-Type: multipart/signed;"
    ));
    assert!(text.contains("\r\n micalg=sha-256;\r\n"));
    let inside = "\r\nFrom: a@contoso.com\r\nSubject: s\r\n\
         Content-Type: text/plain; hp=\"clear\";\r\n protected-headers=\"v1\"\r\n\r\nbody\r\n--=_s";
    assert!(text.contains(inside), "{text}");
    assert!(text.lines().all(|line| line.len() <= 78));
}

#[test]
fn the_digest_fits_the_key_by_default() {
    let micalg = |curve, digest| {
        let made = made(on_curve(curve), "a@contoso.com", &all(), ALWAYS);
        let rules = SigningRules { digest, ..rules() };
        let protector = Protector {
            signer: Some(Arc::new(Signer::new(identity(&made), rules).unwrap())),
            ..Protector::default()
        };
        let message_context = message_context("a@contoso.com", Vec::new());
        let plan = protector.plan(Protection::Sign, &message_context).unwrap();
        let signed = secure(message(), &plan).unwrap();
        let text = String::from_utf8(signed.bytes().to_vec()).unwrap();
        let (_, micalg) = text.split_once("micalg=").unwrap();
        micalg.split(';').next().unwrap().to_owned()
    };
    assert_eq!(micalg(Nid::X9_62_PRIME256V1, None), "sha-256");
    assert_eq!(micalg(Nid::SECP384R1, None), "sha-384");
    assert_eq!(micalg(Nid::SECP521R1, None), "sha-512");
    assert_eq!(micalg(Nid::SECP384R1, Some(Digest::Sha256)), "sha-256");
}

#[test]
fn the_signer_is_valid_and_matches_from() {
    let made = made(
        ec(),
        "a@contoso.com",
        &all(),
        (1_500_000_000, 1_790_000_000),
    );
    let signer = Signer::new(identity(&made), rules()).unwrap();
    let strange = signer
        .identity_for("b@contoso.com", at(1_600_000_000))
        .unwrap_err();
    assert_eq!(strange.explanation(), "signing-address-differs");
    let over = signer.identity_for("a@contoso.com", now()).unwrap_err();
    assert!(over.is_transient(), "a new certificate mends it");
    assert!(
        over.to_string().contains("expired at 2026-09-21T14:13:20Z"),
        "{over}"
    );
    let anybody = SigningRules {
        match_from: false,
        ..rules()
    };
    let signer = Signer::new(identity(&made), anybody).unwrap();
    signer
        .identity_for("b@contoso.com", at(1_600_000_000))
        .unwrap();
}

#[test]
fn an_identity_that_cannot_sign_says_why() {
    let right = made(rsa(2048), "a@x", &all(), ALWAYS);
    let other = rsa(2048).private_key_to_pem_pkcs8().unwrap();
    let pem = right.certificate.to_pem().unwrap();
    let key = right.key.private_key_to_pem_pkcs8().unwrap();
    let locked = right
        .key
        .private_key_to_pem_pkcs8_passphrase(Cipher::aes_256_cbc(), b"secret")
        .unwrap();
    let encrypts = made(rsa(2048), "a@x", KeyUsage::new().key_encipherment(), ALWAYS);
    let encrypts_key = encrypts.key.private_key_to_pem_pkcs8().unwrap();
    let encrypts = encrypts.certificate.to_pem().unwrap();
    for (certificate, key, password, why) in [
        (&pem, &other, "", "not that of the certificate"),
        (&pem, &locked, "wrong", "password_file"),
        (&key, &key, "", "found none"),
        (&encrypts, &encrypts_key, "", "digitalSignature"),
    ] {
        let error = Identity::from_pem(certificate, key, password).unwrap_err();
        assert!(error.to_string().contains(why), "{error}");
    }
    Identity::from_pem(&pem, &locked, "secret").unwrap();
    let pss = SigningRules {
        rsa: RsaSignature::Pss,
        ..rules()
    };
    let on_curve = identity(&made(ec(), "a@x", &all(), ALWAYS));
    let error = Signer::new(on_curve, pss).unwrap_err();
    assert!(matches!(error, IdentityError::PssNeedsRsa(KeyKind::Ec)));
}

#[test]
fn a_sealed_message_is_opened_by_its_recipients_and_ourselves_alone() {
    let folder = tempfile::tempdir().unwrap();
    let [to, us, other] = ["to@x", "us@x", "other@x"].map(|of| made(rsa(2048), of, &all(), ALWAYS));
    write(
        folder.path(),
        "all.pem",
        &[&to.certificate, &other.certificate],
    );
    let mut encryptor = encryptor(folder.path());
    encryptor.own =
        RecipientCertificate::from_file(&us.certificate.to_pem().unwrap(), "us").unwrap();
    assert!(encryptor.unusable_own(now()).is_empty());
    let ended = encryptor.unusable_own(at(4_000_000_001));
    assert!(
        ended[0].contains("us expired at 2096-10-02T07:06:40Z"),
        "{ended:?}"
    );
    let signs = made(ec(), "a@contoso.com", &all(), ALWAYS);
    let found = encryptor
        .certificates(&["To@x".to_owned()], &HashMap::new(), now())
        .unwrap();
    let recipients = vec![found[0].clone().unwrap().0];
    let protector = Protector {
        signer: Some(Arc::new(Signer::new(identity(&signs), rules()).unwrap())),
        encryptor: Some(Arc::new(encryptor)),
        ..Protector::default()
    };
    let message_context = message_context("a@contoso.com", recipients);
    let plan = protector
        .plan(Protection::SignEncrypt, &message_context)
        .unwrap();
    let sealed = secure(message(), &plan).unwrap();
    assert_eq!(plan.headers().as_str(), "cipher-baseline");
    assert_eq!(sealed.protection(), "sign+encrypt");
    let text = String::from_utf8(sealed.bytes().to_vec()).unwrap();
    assert!(text.contains("Content-Type: application/pkcs7-mime; smime-type=enveloped-data;\r\n"));
    assert!(text.starts_with("From: a@contoso.com\r\nSubject: [...]\r\nMIME-Version: 1.0\r\nC"));
    let cms = CmsContentInfo::smime_read_cms(text.as_bytes()).unwrap();
    for reader in [&to, &us] {
        let opened = cms.decrypt(&reader.key, &reader.certificate).unwrap();
        assert!(opened.starts_with(b"Content-Type: multipart/signed;"));
        assert!(opened.windows(12).any(|it| it == b"\r\n\r\nbody\r\n--"));
        let opened = String::from_utf8(opened).unwrap();
        let inside = "\r\nSubject: s\r\nHP-Outer: From: a@contoso.com\r\n\
             HP-Outer: Subject: [...]\r\nContent-Type: text/plain; hp=\"cipher\";\r\n protected-headers=\"v1\"\r\n";
        assert!(opened.contains(inside), "{opened}");
    }
    assert!(cms.decrypt(&other.key, &other.certificate).is_err());
}

/// A certificate to encrypt to and its key.
fn reader(address: &str) -> (Made, RecipientCertificate) {
    let made = made(rsa(2048), address, &all(), ALWAYS);
    let pem = made.certificate.to_pem().unwrap();
    let read = RecipientCertificate::from_file(&pem, address).unwrap();
    (made, read.into_iter().next().unwrap())
}

#[test]
fn the_cipher_is_what_was_chosen_or_is_known_to_be_stronger_or_the_send_ports() {
    use ContentCipher::{Aes128Cbc, Aes192Cbc, Aes256Cbc, Aes256Gcm, TripleDes};
    let folder = tempfile::tempdir().unwrap();
    let (_, mut certificate) = reader("a@x");
    let mut chosen = |port: ContentCipher, own: Option<_>, known: &[_], follow: bool| {
        let mut encryptor = encryptor(folder.path());
        (encryptor.cipher, encryptor.follow_capabilities) = (port, follow);
        certificate.cipher = own;
        certificate.capabilities = (!known.is_empty()).then(|| known.to_vec());
        let strict = encryptor.cipher_for(&certificate);
        encryptor.legacy = true;
        (strict, encryptor.cipher_for(&certificate).unwrap())
    };
    for (port, own, known, follow, expected) in [
        (Aes256Cbc, None, &[][..], true, Aes256Cbc),
        (Aes256Cbc, None, &[Aes128Cbc, Aes256Gcm], true, Aes256Gcm),
        (Aes256Cbc, None, &[Aes128Cbc, Aes256Gcm], false, Aes256Cbc),
        (Aes128Cbc, None, &[Aes192Cbc, TripleDes], true, Aes192Cbc),
        (Aes256Cbc, None, &[Aes128Cbc, TripleDes], true, Aes256Cbc),
        (Aes256Gcm, Some(Aes128Cbc), &[Aes256Gcm], true, Aes128Cbc),
    ] {
        let (strict, legacy) = chosen(port, own, known, follow);
        assert_eq!((strict.unwrap(), legacy), (expected, expected));
    }
    let (strict, legacy) = chosen(Aes256Cbc, Some(TripleDes), &[], true);
    let why = strict.unwrap_err();
    assert_eq!(why.explanation(), "recipient-certificate-unusable");
    assert!(why.to_string().contains("a@x") && why.to_string().contains("legacy = true"));
    assert_eq!(legacy, TripleDes);
}

#[test]
fn each_recipient_of_an_envelope_has_a_padding_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let (first, plain) = reader("a@x");
    let (second, mut oaep) = reader("b@x");
    oaep.rsa = Some(RsaEncryption::Oaep);
    let protector = Protector {
        signer: None,
        encryptor: Some(Arc::new(encryptor(folder.path()))),
        headers: HeaderProtection::default(),
    };
    let message_context = message_context("a@contoso.com", vec![Arc::new(plain), Arc::new(oaep)]);
    let plan = protector
        .plan(Protection::Encrypt, &message_context)
        .unwrap();
    let sealed = secure(message(), &plan).unwrap();
    let algorithm = sealed.protected().encryption_algorithm.as_deref();
    assert_eq!(algorithm, Some("aes-256-cbc rsa-oaep rsa-pkcs1"));
    let readers = sealed.protected().encrypted_to.as_deref().unwrap();
    assert_eq!(readers.split(' ').count(), 2);
    let cms = CmsContentInfo::smime_read_cms(sealed.bytes()).unwrap();
    for reader in [&first, &second] {
        cms.decrypt(&reader.key, &reader.certificate).unwrap();
        let digest = reader.certificate.digest(MessageDigest::sha1()).unwrap();
        let name: String = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        assert!(readers.contains(&name), "{readers}");
    }
}

#[test]
fn of_several_certificates_the_newest_that_can_be_used_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let old = made(rsa(2048), "a@x", &all(), (1_500_000_000, 1_790_000_000));
    let newer = made(ec(), "a@x", &all(), (1_600_000_000, 1_900_000_000));
    let newest = made(rsa(2048), "a@x", &all(), (1_850_000_000, 1_900_000_000));
    let signs = made(
        rsa(2048),
        "signs@x",
        KeyUsage::new().digital_signature(),
        ALWAYS,
    );
    let weak = made(rsa(1024), "weak@x", &all(), ALWAYS);
    let nameless = made(rsa(2048), "alias@x", &all(), ALWAYS);
    write(
        path,
        "a.pem",
        &[&old.certificate, &newer.certificate, &newest.certificate],
    );
    write(path, "old@x.example.crt", &[&old.certificate]);
    write(path, "signs.pem", &[&signs.certificate]);
    write(path, "weak.pem", &[&weak.certificate]);
    write(path, "notes.txt", &[&weak.certificate]);
    std::fs::write(
        path.join("Group@Contoso.com.der"),
        nameless.certificate.to_der().unwrap(),
    )
    .unwrap();
    std::fs::write(path.join("torn.pem"), "-----BEGIN CERTIFICATE-----\nMIIB").unwrap();
    let directory = CertificateFolder::new(path).directory().unwrap();
    let find = |address: &str| {
        select(
            address,
            directory.candidates(address).collect(),
            None,
            now(),
        )
    };
    let (certificate, kind) = find("A@X").unwrap();
    assert_eq!(kind, KeyKind::Ec);
    assert_eq!(
        certificate.certificate.to_der().unwrap(),
        newer.certificate.to_der().unwrap()
    );
    assert!(find("group@contoso.com").is_ok() && find("alias@x").is_ok());
    for (address, key) in [
        ("nobody@x", "recipient-certificate-missing"),
        ("old@x.example", "recipient-certificate-expired"),
        ("signs@x", "recipient-certificate-unusable"),
        ("weak@x", "recipient-certificate-unusable"),
    ] {
        assert_eq!(find(address).unwrap_err().explanation(), key, "{address}");
    }
    assert_eq!(directory.unreadable.len(), 1);
    assert!(directory.unreadable[0].contains("torn.pem"));
}

#[test]
fn an_unreadable_file_is_reported_for_its_address() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    std::fs::write(path.join("Ops@x.example.pem"), "<html>").unwrap();
    let encryptor = encryptor(path);
    let found = |address: &str| {
        let found = encryptor.certificates(&[address.to_owned()], &HashMap::new(), now());
        let why = found.unwrap()[0].clone().unwrap_err();
        (why.explanation(), why.to_string())
    };
    let (key, why) = found("ops@X.example");
    assert_eq!(key, "recipient-certificate-malformed");
    assert!(why.contains("Ops@x.example.pem: expected"), "{why}");
    let (key, why) = found("nobody@x.example");
    assert_eq!(key, "recipient-certificate-missing");
    let doubt =
        "there is no certificate for nobody@x.example; it may be in a file that cannot be read";
    assert!(
        why.starts_with(doubt) && why.contains("Ops@x.example.pem"),
        "{why}"
    );
}

#[test]
fn a_folder_that_is_not_there_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let encryptor = encryptor(&folder.path().join("absent"));
    let error = encryptor
        .certificates(&["a@x".to_owned()], &HashMap::new(), now())
        .unwrap_err();
    assert!(
        error.is_transient() && error.to_string().contains("absent"),
        "{error}"
    );
}
