use std::path::PathBuf;
use std::time::Duration;

use sendport::ldap::{Directory, DirectoryEntry};
use sendport_core::secret::Secret;
use tempfile::TempDir;

use super::support::certificates::TestAuthority;
use super::support::slapd::{BASE, Entry, PASSWORD, READER, Slapd};

/// More than the directory hands out at a time.
const PEOPLE: usize = 1_200;

struct Asked {
    slapd: Slapd,
    authority_file: PathBuf,
    _folder: TempDir,
}

impl Asked {
    async fn start(people: &[Entry<'_>]) -> Self {
        let authority = TestAuthority::new();
        let folder = tempfile::tempdir().expect("a folder");
        let authority_file = folder.path().join("ca.pem");
        std::fs::write(&authority_file, authority.pem()).expect("a file");
        Self {
            slapd: Slapd::start(&authority, people).await,
            authority_file,
            _folder: folder,
        }
    }

    fn directory(&self) -> Directory {
        Directory {
            url: self.slapd.tls_url(),
            starttls: false,
            ca_file: Some(self.authority_file.clone()),
            authentication: Some((READER.to_owned(), Secret::new(PASSWORD.to_owned()))),
            base: BASE.to_owned(),
            filter: "(mail=*)".to_owned(),
            timeout: Duration::from_secs(10),
        }
    }
}

fn person(number: usize, certificate: &[u8]) -> Entry<'static> {
    vec![
        ("mail", format!("P{number}@contoso.com").into_bytes()),
        (
            "proxyAddresses",
            format!("smtp:second{number}@contoso.com").into_bytes(),
        ),
        ("userCertificate;binary", certificate.to_vec()),
    ]
}

#[tokio::test]
async fn finds_all_certificates_page_by_page() {
    if !Slapd::available() {
        return;
    }
    let of_anna = TestAuthority::new().issue(&["anna@contoso.com"]);
    let der = of_anna.certificate.to_der().expect("DER");
    let mut people: Vec<_> = (0..PEOPLE).map(|number| person(number, &der)).collect();
    people.push(vec![("mail", b"nobody@contoso.com".to_vec())]);
    people.push(vec![("userCertificate;binary", der.clone())]);
    people.push(vec![
        ("mail", b"signed@contoso.com".to_vec()),
        ("userSMIMECertificate", b"\x30\x80signed data".to_vec()),
    ]);
    let asked = Asked::start(&people).await;
    for starttls in [false, true] {
        let mut directory = asked.directory();
        if starttls {
            directory.url = asked.slapd.plain_url();
            directory.starttls = true;
        }
        let found = directory.people().await.expect("everybody");
        assert_eq!(found.len(), PEOPLE + 1);
        let first = DirectoryEntry {
            name: format!("cn=Person 0,{BASE}"),
            addresses: vec!["p0@contoso.com".into(), "second0@contoso.com".into()],
            certificates: vec![der.clone()],
            signed: Vec::new(),
        };
        assert_eq!(found[0], first);
        assert_eq!(found[PEOPLE].addresses, ["signed@contoso.com"]);
        assert_eq!(found[PEOPLE].signed, [b"\x30\x80signed data"]);
    }
}

#[tokio::test]
async fn explains_a_refusing_directory() {
    if !Slapd::available() {
        return;
    }
    let asked = Asked::start(&[]).await;
    let wrong_password = Some((READER.to_owned(), Secret::new("wrong".to_owned())));
    let plain = asked.slapd.plain_url();
    type Change<'a> = &'a dyn Fn(&mut Directory);
    let changes: [(Change<'_>, &str); 7] = [
        (
            &|it| it.authentication.clone_from(&wrong_password),
            "refuses to authenticate 'cn=root,dc=contoso,dc=com': name or password is wrong (result code 49)",
        ),
        (
            &|it| it.authentication = None,
            "the base does not exist, or may not be seen by this user (result code 32)",
        ),
        (
            &|it| it.base = "dc=fabrikam,dc=com".to_owned(),
            "refuses to search 'dc=fabrikam,dc=com' for (mail=*): the base does not exist",
        ),
        (
            &|it| it.base = "contoso".to_owned(),
            "a name is not a distinguished name such as DC=contoso,DC=com (result code 34",
        ),
        (
            &|it| it.filter = "mail=*)".to_owned(),
            "the filter is not one of RFC 4515, such as (mail=*)",
        ),
        (&|it| it.ca_file = None, "certificate verify failed"),
        (
            &|it| it.url.clone_from(&plain),
            "is not encrypted, and the password would be readable on the way",
        ),
    ];
    for (change, text) in changes {
        let mut directory = asked.directory();
        change(&mut directory);
        let error = directory.people().await.expect_err(text).to_string();
        assert!(error.contains(text), "expected {text:?} in {error:?}");
    }
}
