//! Certificates of a real database.

use openssl::asn1::Asn1Time;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use openssl::x509::X509Builder;
use openssl::x509::extension::SubjectAlternativeName;
use sendport_core::clock::{Clock, SystemClock};
use sendport_core::domain::{BoundBy, CertificateChoice};
use sendport_smime::{
    Binding, ContentCipher, ParsedCertificate, RecipientCertificateError, RsaEncryption,
    WhenMissing,
};
use sendport_store::StoreAdmin;
use sendport_store::certificates::WhichCertificates;
use sendport_store::sqlite::SqliteStore;

use super::*;

struct Fixture {
    _folder: tempfile::TempDir,
    file: std::path::PathBuf,
    store: Arc<SqliteStore>,
    cache: Arc<CertificateCache>,
}

impl Fixture {
    async fn new() -> Self {
        let fixture = Self::unmigrated();
        fixture.store.migrate().await.expect("migrate");
        fixture
    }

    fn unmigrated() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("sendport.db");
        std::fs::File::create(&file).expect("a file");
        let store = SqliteStore::open(&file, Arc::new(SystemClock)).expect("open");
        let store = Arc::new(store);
        Self {
            cache: Arc::new(CertificateCache::new(store.clone())),
            _folder: folder,
            file,
            store,
        }
    }

    /// One certificate for all of `addresses`.
    async fn add(&self, addresses: &[String]) {
        let found = ParsedCertificate::parse_all(&pem(addresses)).expect("readable");
        for address in addresses {
            let binding = Binding {
                address,
                bound_by: BoundBy::Certificate,
                choice: &CertificateChoice::default(),
                source: "a test",
            };
            let text = found[0].to_row(&binding).expect("whole");
            self.store.add_certificate(&text).await.expect("add");
        }
    }

    async fn find(&self, addresses: &[String]) -> Result<Vec<CertificateLookup>, ComposeError> {
        let now = SystemClock.now();
        self.cache.find(encryptor(), addresses.to_vec(), now).await
    }
}

fn encryptor() -> Arc<Encryptor> {
    Arc::new(Encryptor {
        cipher: ContentCipher::default(),
        rsa: RsaEncryption::default(),
        when_missing: WhenMissing::default(),
        follow_capabilities: true,
        legacy: false,
        folder: None,
        trust: None,
        own: Vec::new(),
    })
}

fn pem(addresses: &[String]) -> Vec<u8> {
    let key = PKey::from_rsa(Rsa::generate(2048).expect("a key")).expect("a key");
    let mut builder = X509Builder::new().expect("a certificate");
    let mut names = SubjectAlternativeName::new();
    for address in addresses {
        names.email(address);
    }
    let names = names.build(&builder.x509v3_context(None, None));
    let days = |n| Asn1Time::days_from_now(n).expect("a time");
    builder
        .set_version(2)
        .and_then(|()| builder.set_pubkey(&key))
        .and_then(|()| builder.set_not_before(&days(0)))
        .and_then(|()| builder.set_not_after(&days(9)))
        .and_then(|()| builder.append_extension(names?))
        .and_then(|()| builder.sign(&key, MessageDigest::sha256()))
        .expect("a certificate");
    builder.build().to_pem().expect("PEM")
}

fn addresses(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("r{n}@x.com")).collect()
}

#[tokio::test]
async fn a_hundred_recipients_are_found_and_what_is_revoked_is_out_at_once() {
    let fixture = Fixture::new().await;
    let all = addresses(100);
    fixture.add(&all[..99]).await;
    let found = fixture.find(&all).await.expect("asked");
    assert!(found[..99].iter().all(Result::is_ok));
    let missing = found[99].as_ref().expect_err("not added");
    assert_eq!(missing.explanation(), "recipient-certificate-missing");
    let rows = fixture
        .store
        .certificates(WhichCertificates::Of("r7@x.com"));
    let id = rows.await.expect("list")[0].id;
    let revoked = fixture.store.revoke_certificate(id, Some("lost")).await;
    assert!(revoked.expect("revoke"));
    let found = fixture.find(&all).await.expect("asked");
    assert!(
        matches!(&found[7], Err(RecipientCertificateError::Revoked(why)) if why.ends_with(": lost"))
    );
    assert_eq!(found.iter().filter(|it| it.is_ok()).count(), 98);
    let rows = fixture.store.certificates(WhichCertificates::All).await;
    for row in rows.expect("list") {
        fixture
            .store
            .remove_certificate(row.id)
            .await
            .expect("remove");
    }
    let found = fixture.find(&all).await.expect("asked");
    assert!(
        found
            .iter()
            .all(|it| matches!(it, Err(RecipientCertificateError::Missing(_))))
    );
}

#[tokio::test]
async fn parses_a_certificate_once_and_evicts_the_least_recently_used() {
    let fixture = Fixture::new().await;
    let all = addresses(2);
    fixture.add(&all[..1]).await;
    let certificate = |found: Vec<CertificateLookup>| found[0].clone().expect("there").0;
    let first = certificate(fixture.find(&all).await.expect("asked"));
    let cached = || fixture.cache.parsed.lock();
    let before = cached().len();
    fixture.find(&all).await.expect("asked");
    assert_eq!((before, cached().len()), (1, 1));
    for n in 0..CAPACITY.get() {
        cached().put(n.to_string(), first.clone());
    }
    assert_eq!(cached().len(), CAPACITY.get());
    assert!(fixture.find(&all).await.expect("asked")[0].is_ok());
}

#[tokio::test]
async fn a_row_whose_certificate_was_exchanged_is_refused_at_once() {
    let fixture = Fixture::new().await;
    let all = addresses(1);
    fixture.add(&all).await;
    assert!(fixture.find(&all).await.expect("asked")[0].is_ok());
    let other = String::from_utf8(pem(&all)).expect("PEM");
    let database = rusqlite::Connection::open(&fixture.file).expect("open");
    let changed = database.execute("UPDATE Certificate SET Pem = ?1", [other]);
    assert_eq!(changed.expect("update"), 1);
    for _ in 0..2 {
        let found = fixture.find(&all).await.expect("asked");
        let why = found[0].as_ref().expect_err("exchanged");
        assert_eq!(why.explanation(), "recipient-certificate-malformed");
        assert!(why.to_string().contains("Sha256Fingerprint says"), "{why}");
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_asked_is_waited_for() {
    let fixture = Fixture::unmigrated();
    match fixture.find(&addresses(1)).await {
        Err(ComposeError::Unprotected { why, .. }) => {
            assert!(
                why.starts_with("its recipients' certificates cannot be read"),
                "{why}"
            );
        }
        other => panic!("{other:?}"),
    }
}
