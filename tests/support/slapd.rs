//! A real OpenLDAP on loopback, in a folder of its own, gone when it is dropped. It returns
//! nothing without authentication, and at most 500 entries at a time, as Active Directory does.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::certificates::TestAuthority;
use super::peer::{self, Packages, Server};

/// Where everything is.
pub(crate) const BASE: &str = "dc=contoso,dc=com";
/// The user that may read, and the password.
pub(crate) const READER: &str = "cn=root,dc=contoso,dc=com";
pub(crate) const PASSWORD: &str = "the directory's word";

/// A running slapd.
pub(crate) struct Slapd {
    server: Server,
    plain: SocketAddr,
    tls: SocketAddr,
}

/// An entry: the attributes of a person, with their values.
pub(crate) type Entry<'a> = Vec<(&'a str, Vec<u8>)>;

impl Slapd {
    pub(crate) fn available() -> bool {
        peer::available("OpenLDAP")
    }

    /// Starts one that holds `people`, and waits until it listens.
    ///
    /// # Panics
    /// When the packages are not unpacked, and when slapd does not come up.
    pub(crate) async fn start(authority: &TestAuthority, people: &[Entry<'_>]) -> Self {
        peer::started(async || {
            let mut slapd = Self::spawn(authority, people);
            let tls = slapd.tls;
            let up = slapd.server.comes_up(async || peer::listens(tls).await);
            up.await.map(|()| slapd)
        })
        .await
    }

    /// Without TLS, StartTLS offered.
    pub(crate) fn plain_url(&self) -> String {
        format!("ldap://localhost:{}", self.plain.port())
    }

    /// TLS from the first byte.
    pub(crate) fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls.port())
    }

    fn spawn(authority: &TestAuthority, people: &[Entry<'_>]) -> Self {
        let folder = peer::folder("slapd");
        let run = folder.path();
        let packages = Packages::link("slapd", "usr/sbin/slapd", run.join("packages"));
        let [plain, tls] = peer::free_ports();
        let configuration = include_str!("slapd/slapd.conf")
            .replace("@ROOT@", &packages.root().to_string_lossy())
            .replace("@RUN@", &run.to_string_lossy())
            .replace("@BASE@", BASE)
            .replace("@PASSWORD@", &format!("\"{PASSWORD}\""));
        peer::write(&run.join("slapd.conf"), configuration);
        peer::write(&run.join("people.ldif"), ldif(people));
        fs::create_dir(run.join("data")).expect("a folder");
        authority.write_server(&run.join("tls"), &["localhost"]);
        fill(&packages, run);
        let mut command = packages.command("usr/sbin/slapd", &[]);
        command.arg("-f").arg(run.join("slapd.conf")).args([
            "-d",
            "0",
            "-h",
            &format!("ldap://{plain} ldaps://{tls}"),
        ]);
        Self {
            server: Server::spawn("OpenLDAP", folder, command),
            plain,
            tls,
        }
    }
}

/// `slapadd`, which is `slapd` by another name.
fn fill(packages: &Packages, run: &Path) {
    let mut command: Command = packages.command("usr/sbin/slapd", &[]);
    let output = command
        .args(["-T", "add", "-q", "-f"])
        .arg(run.join("slapd.conf"))
        .arg("-l")
        .arg(run.join("people.ldif"))
        .output()
        .expect("slapadd to run");
    let shown = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "slapadd: {shown}");
}

fn ldif(people: &[Entry<'_>]) -> String {
    let mut text = format!("dn: {BASE}\nobjectClass: domain\ndc: contoso\n\n");
    for (number, person) in people.iter().enumerate() {
        text.push_str(&format!(
            "dn: cn=Person {number},{BASE}\nobjectClass: inetOrgPerson\n\
             objectClass: exchangeRecipient\ncn: Person {number}\nsn: {number}\n"
        ));
        for (attribute, value) in person {
            let value = openssl::base64::encode_block(value);
            text.push_str(&format!("{attribute}:: {value}\n"));
        }
        text.push('\n');
    }
    text
}
