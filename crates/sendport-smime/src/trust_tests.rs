use chrono::TimeDelta;
use openssl::asn1::{Asn1Integer, Asn1Time};
use openssl::bn::{BigNum, MsbOption};
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, ExtendedKeyUsage, KeyUsage};
use openssl::x509::{
    X509, X509Builder, X509CrlBuilder, X509Extension, X509Name, X509RevokedBuilder,
};

use super::*;
use crate::candidate::select;

/// A person with a certificate, perhaps an authority.
struct Party {
    certificate: X509,
    key: PKey<Private>,
}

/// What a certificate is to be.
struct Wanted<'a> {
    name: &'a str,
    authority: bool,
    /// Beside emailProtection for all but authorities.
    other_purpose: bool,
    /// Where its list is.
    point: Option<&'a str>,
    until: i64,
}

impl Default for Wanted<'_> {
    fn default() -> Self {
        Self {
            name: "somebody",
            authority: false,
            other_purpose: false,
            point: None,
            until: 4_000_000_000,
        }
    }
}

const NOW: i64 = 1_800_000_000;

fn now() -> Timestamp {
    chrono::DateTime::from_timestamp(NOW, 0).unwrap()
}

fn time(seconds: i64) -> Asn1Time {
    Asn1Time::from_unix(seconds).unwrap()
}

fn name(text: &str) -> X509Name {
    let mut name = X509Name::builder().unwrap();
    name.append_entry_by_nid(Nid::COMMONNAME, text).unwrap();
    name.build()
}

/// By themselves where there is no issuer.
fn issue(issuer: Option<&Party>, wanted: &Wanted<'_>) -> Party {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let mut builder = X509Builder::new().unwrap();
    let mut serial = BigNum::new().unwrap();
    serial.rand(100, MsbOption::MAYBE_ZERO, false).unwrap();
    let serial = Asn1Integer::from_bn(&serial).unwrap();
    let subject = name(wanted.name);
    let by = issuer.map_or(&*subject, |it| it.certificate.subject_name());
    builder.set_version(2).unwrap();
    builder.set_serial_number(&serial).unwrap();
    builder.set_subject_name(&subject).unwrap();
    builder.set_issuer_name(by).unwrap();
    builder.set_not_before(&time(1_500_000_000)).unwrap();
    builder.set_not_after(&time(wanted.until)).unwrap();
    builder.set_pubkey(&key).unwrap();
    let mut usage = KeyUsage::new();
    match wanted.authority {
        true => usage.key_cert_sign().crl_sign(),
        false => usage.key_encipherment(),
    };
    builder.append_extension(usage.build().unwrap()).unwrap();
    if wanted.authority {
        let constraints = BasicConstraints::new().critical().ca().build();
        builder.append_extension(constraints.unwrap()).unwrap();
    }
    if wanted.other_purpose {
        let purpose = ExtendedKeyUsage::new().server_auth().build();
        builder.append_extension(purpose.unwrap()).unwrap();
    }
    if let Some(url) = wanted.point {
        #[expect(deprecated, reason = "there is no builder for distribution points")]
        let point = X509Extension::new_nid(
            None,
            None,
            Nid::CRL_DISTRIBUTION_POINTS,
            &format!("URI:{url}"),
        );
        builder.append_extension(point.unwrap()).unwrap();
    }
    let by = issuer.map_or(&key, |it| &it.key);
    builder.sign(by, MessageDigest::sha256()).unwrap();
    let certificate = builder.build();
    Party { certificate, key }
}

fn authority(name: &str) -> Party {
    let wanted = Wanted {
        name,
        authority: true,
        ..Wanted::default()
    };
    issue(None, &wanted)
}

impl Party {
    fn issue(&self, name: &str) -> Party {
        let wanted = Wanted {
            name,
            ..Wanted::default()
        };
        issue(Some(self), &wanted)
    }

    fn issue_with_point(&self, url: &str) -> Party {
        let wanted = Wanted {
            point: Some(url),
            ..Wanted::default()
        };
        issue(Some(self), &wanted)
    }

    fn link(&self, name: &str) -> Party {
        let wanted = Wanted {
            name,
            authority: true,
            ..Wanted::default()
        };
        issue(Some(self), &wanted)
    }

    /// A list of this authority, from an hour before now until `end`.
    fn list(&self, revoked: &[&Party], end: i64) -> Vec<u8> {
        self.list_of(revoked, NOW - 3600, end)
    }

    fn list_of(&self, revoked: &[&Party], begin: i64, end: i64) -> Vec<u8> {
        let mut builder = X509CrlBuilder::new().unwrap();
        builder
            .set_issuer_name(self.certificate.subject_name())
            .unwrap();
        builder.set_last_update(&time(begin)).unwrap();
        builder.set_next_update(&time(end)).unwrap();
        for party in revoked {
            let mut entry = X509RevokedBuilder::new().unwrap();
            entry
                .set_serial_number(party.certificate.serial_number())
                .unwrap();
            entry.set_revocation_date(&time(1_700_000_000)).unwrap();
            builder.add_revoked(entry.build()).unwrap();
        }
        let context = X509Builder::new().unwrap();
        let context = context.x509v3_context(Some(&self.certificate), None);
        let identifier = openssl::x509::extension::AuthorityKeyIdentifier::new()
            .issuer(true)
            .build(&context);
        builder.append_extension(identifier.unwrap()).unwrap();
        #[expect(deprecated, reason = "there is no builder for the number of a list")]
        let number = X509Extension::new_nid(None, None, Nid::CRL_NUMBER, "DER:020101").unwrap();
        builder.append_extension(number).unwrap();
        builder.sort().unwrap();
        builder.sign(&self.key, MessageDigest::sha256()).unwrap();
        builder.build().unwrap().to_der().unwrap()
    }

    fn recipient(&self) -> RecipientCertificate {
        let pem = self.certificate.to_pem().unwrap();
        RecipientCertificate::from_file(&pem, "x.pem")
            .unwrap()
            .remove(0)
    }
}

/// A folder with a bundle and lists.
struct Site {
    folder: tempfile::TempDir,
    cache: Arc<CrlCache>,
}

impl Site {
    fn new(bundle: &[&Party]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let pem = bundle.iter().map(|it| it.certificate.to_pem().unwrap());
        std::fs::write(
            folder.path().join("ca.pem"),
            pem.collect::<Vec<_>>().concat(),
        )
        .unwrap();
        std::fs::create_dir(folder.path().join("lists")).unwrap();
        let cache = Arc::new(CrlCache::read_write(&folder.path().join("kept")));
        Self { folder, cache }
    }

    fn with_list(self, file: &str, list: &[u8]) -> Self {
        std::fs::write(self.folder.path().join("lists").join(file), list).unwrap();
        self
    }

    fn trust(&self, revocation: Revocation) -> Trust {
        self.trust_with(revocation, &[])
    }

    fn trust_with(&self, revocation: Revocation, urls: &[&str]) -> Trust {
        let crls = CrlSources {
            files: CrlFiles::new(Vec::new(), Some(self.folder.path().join("lists"))),
            urls: urls.iter().map(|url| (*url).to_owned()).collect(),
            distribution_points: true,
            cache: self.cache.clone(),
        };
        Trust::new(&self.folder.path().join("ca.pem"), revocation, crls).unwrap()
    }
}

/// Its key in the table of replies and what it says, or `ok`.
fn output(trust: &Trust, certificate: &RecipientCertificate) -> (String, String) {
    match trust.check(certificate, now()) {
        Ok(()) => ("ok".to_owned(), String::new()),
        Err(RecipientCertificateError::RevocationPending { why, .. }) => ("waits".to_owned(), why),
        Err(why) => {
            let key = why
                .explanation()
                .trim_start_matches("recipient-certificate-");
            (key.to_owned(), why.to_string())
        }
    }
}

#[test]
fn a_chain_has_to_end_in_an_authority_of_the_bundle() {
    let (root, stranger) = (authority("root"), authority("stranger"));
    let link = root.link("link");
    let (direct, below, strange) = (
        root.issue("direct"),
        link.issue("below"),
        stranger.issue("x"),
    );
    let of_link = |bundle: &[&Party], party: &Party| {
        let trust = Site::new(bundle).trust(Revocation::Off);
        output(&trust, &party.recipient())
    };
    assert_eq!(of_link(&[&root], &direct).0, "ok");
    assert_eq!(
        of_link(&[&root, &link], &below).0,
        "ok",
        "links are in the bundle"
    );
    assert_eq!(
        of_link(&[&link], &below).0,
        "ok",
        "without its root a link is an anchor"
    );
    assert_eq!(
        of_link(&[&strange], &strange).0,
        "ok",
        "trusted without a chain"
    );
    let (key, why) = of_link(&[&root], &below);
    assert_eq!(key, "untrusted");
    assert!(why.contains("x.pem") && why.contains("issuer"), "{why}");
    assert_eq!(of_link(&[&root], &strange).0, "untrusted");
    assert_eq!(of_link(&[&direct], &below).0, "untrusted");

    let trust = Site::new(&[&root]).trust(Revocation::Off);
    let along: Arc<[X509]> = vec![link.certificate].into();
    assert_eq!(
        output(&trust, &below.recipient().with_companions(along)).0,
        "ok",
        "links come along"
    );
}

#[test]
fn links_have_to_be_valid_authorities_for_mail() {
    let root = authority("root");
    let wanted = |other_purpose, until| Wanted {
        name: "link",
        authority: true,
        other_purpose,
        until,
        ..Wanted::default()
    };
    let for_servers = issue(Some(&root), &wanted(true, 4_000_000_000));
    let ended = issue(Some(&root), &wanted(false, NOW - 1));
    let no_authority = root.issue("link");
    for (link, why) in [
        (for_servers, "unsuitable certificate purpose|not for mail"),
        (ended, "expired"),
        (no_authority, "invalid CA certificate"),
    ] {
        let below = link.issue("below");
        let trust = Site::new(&[&root, &link]).trust(Revocation::Off);
        let (key, found) = output(&trust, &below.recipient());
        assert_eq!(key, "untrusted", "{found}");
        let expected = why.split('|').any(|why| found.contains(why));
        assert!(expected && found.contains("link"), "{found}");
    }
}

#[test]
fn a_certificate_in_a_crl_is_revoked() {
    let root = authority("root");
    let link = root.link("link");
    let (good, bad) = (root.issue("good"), root.issue("bad"));
    let below = link.issue("below");
    let end = NOW + 86_400;
    let site = Site::new(&[&root, &link])
        .with_list("root.crl", &root.list(&[&bad, &link], end))
        .with_list("link.der", &link.list(&[], end));
    for revocation in [Revocation::Hard, Revocation::Soft] {
        let trust = site.trust(revocation);
        assert_eq!(output(&trust, &good.recipient()).0, "ok");
        let (key, why) = output(&trust, &bad.recipient());
        assert_eq!(key, "revoked");
        assert!(why.contains("was revoked at 2023-11-14T22:13:20Z"), "{why}");
        let (key, why) = output(&trust, &below.recipient());
        assert_eq!(key, "revoked", "who vouches for it is");
        assert!(
            why.contains("was issued through 'link', which was revoked"),
            "{why}"
        );
    }
    let off = site.trust(Revocation::Off);
    assert_eq!(
        output(&off, &bad.recipient()).0,
        "ok",
        "revocation is not checked"
    );
}

#[test]
fn a_list_has_to_be_signed_by_the_issuer_and_in_time() {
    let (root, forger) = (authority("root"), authority("root"));
    let party = root.issue("party");
    let end = NOW + 86_400;
    let ended = root.list(&[], NOW - 60);
    for (list, expected, words) in [
        (None, "revocation-unknown", "there is no list"),
        (
            Some(forger.list(&[], end)),
            "waits",
            "is not signed by the certificate's issuer",
        ),
        (Some(ended), "waits", "expired at 2027-01-15T07:59:00Z"),
        (
            Some(root.list_of(&[], NOW + 60, end)),
            "waits",
            "expired at",
        ),
    ] {
        let mut site = Site::new(&[&root]);
        if let Some(list) = list {
            site = site.with_list("root.crl", &list);
        }
        let (key, why) = output(&site.trust(Revocation::Hard), &party.recipient());
        assert_eq!(key, expected, "{why}");
        assert!(why.contains(words), "{why}");
        assert_eq!(
            output(&site.trust(Revocation::Soft), &party.recipient()).0,
            "ok"
        );
    }
    let both = Site::new(&[&root])
        .with_list("a.crl", &forger.list(&[&party], end))
        .with_list("b.crl", &root.list(&[], end));
    let trust = both.trust(Revocation::Hard);
    assert_eq!(
        output(&trust, &party.recipient()).0,
        "ok",
        "a forged one covers no right one"
    );
}

#[test]
fn hard_waits_for_the_list_and_soft_goes() {
    const URL: &str = "http://crl.example.test/root.crl";
    let root = authority("root");
    let (party, bad) = (root.issue_with_point(URL), root.issue_with_point(URL));
    let site = Site::new(&[&root]);
    let (hard, soft) = (site.trust(Revocation::Hard), site.trust(Revocation::Soft));
    let (key, why) = output(&hard, &party.recipient());
    assert_eq!(key, "waits");
    assert!(
        why.contains(URL) && why.contains("is being fetched"),
        "{why}"
    );
    assert_eq!(output(&soft, &party.recipient()).0, "ok");
    assert_eq!(site.cache.due(now()), [URL]);
    assert_eq!(site.cache.due(now()), [""; 0], "it is under way");

    let failed = site.cache.record(URL, Err("no answer".into()), now());
    assert_eq!(failed, FetchOutcome::Failed(format!("{URL}: no answer")));
    let later = now() + TimeDelta::seconds(10);
    let Err(RecipientCertificateError::RevocationPending { why, .. }) =
        hard.check(&party.recipient(), later)
    else {
        panic!("it waits on");
    };
    assert!(why.contains("no answer"), "{why}");
    assert_eq!(site.cache.due(later), [URL], "it is tried again");

    let list = root.list(&[&bad], NOW + 86_400);
    assert_eq!(
        site.cache.record(URL, Ok(list), later),
        FetchOutcome::Stored
    );
    assert_eq!(output(&hard, &party.recipient()).0, "ok");
    for trust in [&hard, &soft] {
        assert_eq!(output(trust, &bad.recipient()).0, "revoked");
    }
}

#[test]
fn a_crl_of_another_issuer_is_not_awaited() {
    const URL: &str = "http://crl.example.test/other.crl";
    let (root, other) = (authority("root"), authority("other"));
    let party = root.issue("party");
    let site = Site::new(&[&root, &other]);
    let hard = site.trust_with(Revocation::Hard, &[URL]);
    assert_eq!(
        output(&hard, &party.recipient()).0,
        "waits",
        "it may be root's"
    );
    site.cache.due(now());
    let list = other.list(&[], NOW + 86_400);
    assert_eq!(
        site.cache.record(URL, Ok(list), now()),
        FetchOutcome::Stored
    );
    assert_eq!(output(&hard, &party.recipient()).0, "revocation-unknown");
}

#[test]
fn a_list_is_renewed_in_time_and_survives_a_restart() {
    const URL: &str = "http://crl.example.test/root.crl";
    let (root, forger) = (authority("root"), authority("root"));
    let (party, bad) = (root.issue_with_point(URL), root.issue_with_point(URL));
    let site = Site::new(&[&root]);
    let hard = site.trust(Revocation::Hard);
    assert_eq!(output(&hard, &bad.recipient()).0, "waits");
    site.cache.due(now());
    let list = root.list(&[&bad], NOW + 7200);
    assert_eq!(
        site.cache.record(URL, Ok(list), now()),
        FetchOutcome::Stored
    );
    assert_eq!(site.cache.due(now() + TimeDelta::minutes(59)), [""; 0]);
    let half = now() + TimeDelta::hours(1);
    for worse in [
        Err("no answer".into()),
        Ok(b"<html>please sign in</html>".to_vec()),
        Ok(forger.list(&[], NOW + 86_400)),
        Ok(root.list_of(&[], NOW - 7200, NOW + 86_400)),
        Ok(root.list(&[], NOW + 60)),
    ] {
        let at = half + TimeDelta::hours(1) - TimeDelta::seconds(1);
        site.cache.due(at);
        assert_ne!(site.cache.record(URL, worse, at), FetchOutcome::Stored);
        assert_eq!(
            output(&hard, &bad.recipient()).0,
            "revoked",
            "the list is kept"
        );
    }
    let again = CrlCache::read_only(&site.folder.path().join("kept"));
    let restarted = Site {
        cache: Arc::new(again),
        folder: site.folder,
    };
    let hard = restarted.trust(Revocation::Hard);
    assert_eq!(
        output(&hard, &bad.recipient()).0,
        "revoked",
        "before anything is fetched"
    );
    assert_eq!(output(&hard, &party.recipient()).0, "ok");
}

#[test]
fn another_good_certificate_of_the_address_is_taken() {
    let root = authority("root");
    let (old, revoked) = (root.issue("a@x"), root.issue("a@x"));
    let site = Site::new(&[&root]).with_list("r.crl", &root.list(&[&revoked], NOW + 60));
    let people = site.folder.path().join("people");
    std::fs::create_dir(&people).unwrap();
    let pem = |party: &Party| party.certificate.to_pem().unwrap();
    std::fs::write(people.join("a@x.pem"), [pem(&revoked), pem(&old)].concat()).unwrap();
    let folder = CertificateFolder::new(&people);
    let trust = site.trust(Revocation::Hard);
    let directory = folder.directory().unwrap();
    let (found, _) = select(
        "a@x",
        directory.candidates("a@x").collect(),
        Some(&trust),
        now(),
    )
    .unwrap();
    assert_eq!(found.certificate, old.certificate);
    let untrusted = directory.untrusted(&trust, now());
    assert!(
        matches!(&untrusted[..], [RecipientCertificateError::Revoked(_)]),
        "{untrusted:?}"
    );
}
