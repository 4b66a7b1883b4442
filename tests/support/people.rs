//! People with S/MIME certificates, made by the program `openssl`, and the readers that decrypt
//! their email: openssl, gpgsm and Python's cryptography.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use super::peer;
use crate::not_run::not_run;

/// The password of every PKCS #12 file and of every `<name>.encrypted.key`.
pub(crate) const PASSWORD: &str = "Geheim-1";

/// A folder with the authority `ca.pem` and, for each person, `<name>.pem` (with the authority
/// behind it), `<name>.key`, `<name>.encrypted.key` and `<name>.p12`.
pub(crate) struct People {
    folder: PathBuf,
}

/// A person's certificate.
pub(crate) struct Person<'a> {
    /// Of the files.
    pub(crate) name: &'a str,
    /// The address in it.
    pub(crate) address: &'a str,
    /// `rsa:2048`, or the name of a curve.
    pub(crate) key: &'a str,
    /// keyUsage.
    pub(crate) usage: &'a str,
    /// First and last moment, `YYYYMMDDHHMMSSZ`; else from now on for a day.
    pub(crate) validity: Option<(&'a str, &'a str)>,
    /// The CRL distribution point in it.
    pub(crate) list_at: Option<&'a str>,
}

impl<'a> Person<'a> {
    /// With an RSA key that does everything.
    pub(crate) fn new(name: &'a str, address: &'a str) -> Self {
        Self {
            name,
            address,
            key: "rsa:2048",
            usage: "digitalSignature,keyEncipherment",
            validity: None,
            list_at: None,
        }
    }

    /// With a key on a curve.
    pub(crate) fn on_curve(name: &'a str, address: &'a str, curve: &'a str) -> Self {
        Self {
            key: curve,
            usage: "digitalSignature,keyAgreement",
            ..Self::new(name, address)
        }
    }
}

impl People {
    /// Makes the authority.
    pub(crate) fn new(folder: &Path) -> Self {
        Self::under("Test CA for mail", folder)
    }

    /// Makes an authority of this name.
    pub(crate) fn under(authority: &str, folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let people = Self {
            folder: folder.to_owned(),
        };
        people.openssl(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-days",
            "3650",
            "-subj",
            &format!("/CN={authority}"),
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ]);
        fs::write(people.path("index.txt"), "").expect("write");
        people
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Makes a person's certificate and key.
    pub(crate) fn add(&self, person: &Person<'_>) {
        let name = person.name;
        let file = |ending: &str| format!("{name}.{ending}");
        let curve = format!("ec_paramgen_curve:{}", person.key);
        let (key, own, request) = (file("key"), file("own.pem"), file("csr"));
        let kind = match person.key.starts_with("rsa:") {
            true => vec![person.key],
            false => vec!["ec", "-pkeyopt", &curve],
        };
        let subject = format!("/CN={name}");
        let mut arguments = vec![
            "req", "-nodes", "-keyout", &key, "-out", &request, "-subj", &subject, "-newkey",
        ];
        arguments.extend(kind);
        self.openssl(&arguments);
        self.issue(person, &request, &own);
        let chain = [&own, "ca.pem"].map(|part| fs::read(self.path(part)).expect("read"));
        fs::write(self.path(&file("pem")), chain.concat()).expect("write");
        let password = format!("pass:{PASSWORD}");
        let encrypted = file("encrypted.key");
        self.openssl(&[
            "pkcs8",
            "-topk8",
            "-v2",
            "aes-256-cbc",
            "-in",
            &key,
            "-out",
            &encrypted,
            "-passout",
            &password,
        ]);
        let bundle = file("p12");
        self.openssl(&[
            "pkcs12",
            "-export",
            "-in",
            &own,
            "-inkey",
            &key,
            "-certfile",
            "ca.pem",
            "-out",
            &bundle,
            "-passout",
            &password,
        ]);
    }

    fn issue(&self, person: &Person<'_>, request: &str, own: &str) {
        let settings = format!(
            "[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nrand_serial=yes\nnew_certs_dir=.\n\
             certificate=ca.pem\nprivate_key=ca.key\ndefault_md=sha256\npolicy=p\nunique_subject=no\n\
             x509_extensions=e\n[p]\ncommonName=supplied\n[e]\nbasicConstraints=CA:false\n\
             keyUsage=critical,{}\nextendedKeyUsage=emailProtection\nsubjectAltName=email:{}\n{}",
            person.usage,
            person.address,
            person.list_at.map_or_else(String::new, |url| format!(
                "crlDistributionPoints=URI:{url}\n"
            ))
        );
        fs::write(self.path("ca.cnf"), settings).expect("write");
        let mut arguments = vec![
            "ca", "-batch", "-notext", "-config", "ca.cnf", "-in", request, "-out", own,
        ];
        match person.validity {
            Some((begin, end)) => arguments.extend(["-startdate", begin, "-enddate", end]),
            None => arguments.extend(["-days", "1"]),
        }
        self.openssl(&arguments);
    }

    /// Revokes a person's certificate: the key was compromised.
    pub(crate) fn revoke(&self, name: &str) {
        let own = format!("{name}.own.pem");
        let reason = ["-crl_reason", "keyCompromise"];
        let arguments = ["ca", "-config", "ca.cnf", "-revoke", &own];
        self.openssl(&[&arguments[..], &reason].concat());
    }

    /// The list of whom the authority took back, good for a day, in PEM.
    pub(crate) fn list_of_revoked(&self) -> Vec<u8> {
        let arguments = ["ca", "-config", "ca.cnf", "-gencrl", "-crldays", "1"];
        self.openssl(&arguments)
    }

    /// Puts a person's certificate into a folder of certificates.
    pub(crate) fn publish(&self, name: &str, folder: &Path) {
        fs::create_dir_all(folder).expect("a folder");
        let file = format!("{name}.own.pem");
        fs::copy(self.path(&file), folder.join(format!("{name}.pem"))).expect("copy");
    }

    /// Runs `openssl` in the folder, to its success.
    pub(crate) fn openssl(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.try_openssl(arguments);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "openssl {arguments:?}: {shown}");
        output.stdout
    }

    fn try_openssl(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new("openssl");
        let command = command.args(arguments).current_dir(&self.folder);
        command.output().expect("openssl to run")
    }

    /// What a signed message says, if openssl finds nothing wrong with the signature.
    pub(crate) fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        fs::write(self.path("signed.eml"), message).expect("write");
        let output = self.try_openssl(&[
            "cms",
            "-verify",
            "-in",
            "signed.eml",
            "-CAfile",
            "ca.pem",
            "-purpose",
            "smimesign",
        ]);
        output.status.success().then_some(output.stdout)
    }

    /// The content of an encrypted message, by openssl with one person's key alone.
    pub(crate) fn decrypt(&self, message: &[u8], name: &str) -> Option<Vec<u8>> {
        fs::write(self.path("sealed.eml"), message).expect("write");
        let (key, own) = (format!("{name}.key"), format!("{name}.own.pem"));
        let output = self.try_openssl(&[
            "cms",
            "-decrypt",
            "-in",
            "sealed.eml",
            "-inkey",
            &key,
            "-recip",
            &own,
        ]);
        output.status.success().then_some(output.stdout)
    }

    /// The structure of what a message carries, as openssl prints it.
    pub(crate) fn print(&self, message: &[u8]) -> String {
        fs::write(self.path("printed.eml"), message).expect("write");
        let printed = self.openssl(&["cms", "-cmsout", "-print", "-in", "printed.eml"]);
        String::from_utf8_lossy(&printed).into_owned()
    }

    /// The serial number of a person's certificate as [`People::print`] shows it.
    pub(crate) fn serial(&self, name: &str) -> String {
        let own = format!("{name}.own.pem");
        let shown = self.openssl(&["x509", "-noout", "-serial", "-in", &own]);
        let shown = String::from_utf8_lossy(&shown).trim().to_lowercase();
        shown
            .trim_start_matches("serial=")
            .trim_start_matches('0')
            .to_owned()
    }

    /// SHA-1 of a person's certificate, upper-case hexadecimal.
    pub(crate) fn thumbprint(&self, name: &str) -> String {
        let own = format!("{name}.own.pem");
        let shown = self.openssl(&["x509", "-noout", "-fingerprint", "-in", &own]);
        let shown = String::from_utf8_lossy(&shown).trim().to_owned();
        let (_, thumbprint) = shown.split_once('=').expect("a fingerprint");
        thumbprint.replace(':', "")
    }

    /// The same by Python's cryptography.
    pub(crate) fn decrypt_by_python(&self, message: &[u8], name: &str) -> Vec<u8> {
        const PROGRAM: &str = "
import sys
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7
certificate = x509.load_pem_x509_certificate(open(sys.argv[2], 'rb').read())
key = serialization.load_pem_private_key(open(sys.argv[3], 'rb').read(), None)
sys.stdout.buffer.write(pkcs7.pkcs7_decrypt_smime(open(sys.argv[1], 'rb').read(), certificate, key, []))
";
        fs::write(self.path("python.eml"), message).expect("write");
        let python = peer::unpacked("python", "bin/python3").join("bin/python3");
        let output = Command::new(python)
            .args([
                "-c",
                PROGRAM,
                "python.eml",
                &format!("{name}.own.pem"),
                &format!("{name}.key"),
            ])
            .current_dir(&self.folder)
            .output()
            .expect("python to run");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "python: {shown}");
        output.stdout
    }

    /// What a reader that knows RFC 9788 shows, as `protected_header.py` writes it; `done` is
    /// `clear` or `cipher`.
    pub(crate) fn read_protected(&self, message: &[u8], payload: &[u8], done: &str) -> Value {
        fs::write(self.path("outer.eml"), message).expect("write");
        fs::write(self.path("payload.eml"), payload).expect("write");
        let reader = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/support/protected_header.py"
        );
        let output = Command::new("python3")
            .args([reader, "outer.eml", "payload.eml", done])
            .current_dir(&self.folder)
            .output()
            .expect("python3 to run");
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "python3: {shown}");
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    /// PKCS #12 as gpgsm 2.2 reads it: it knows no PBES2 with SHA-256.
    fn old_bundle(&self, name: &str) -> String {
        let file = format!("{name}.old.p12");
        let (key, own) = (format!("{name}.key"), format!("{name}.own.pem"));
        let (password, old) = (format!("pass:{PASSWORD}"), "PBE-SHA1-3DES");
        self.openssl(&[
            "pkcs12", "-export", "-in", &own, "-inkey", &key, "-out", &file, "-passout", &password,
            "-keypbe", old, "-certpbe", old, "-macalg", "sha1",
        ]);
        file
    }

    /// A gpgsm that trusts the authority and has the keys of `names`; `None`, and says so on
    /// one line, where there is none.
    pub(crate) fn gpgsm(&self, names: &[&str]) -> Option<Gpgsm> {
        if Command::new("gpgsm").arg("--version").output().is_err() {
            not_run("gpgsm is not installed");
            return None;
        }
        // Short: the agent's socket lies in it.
        let home = tempfile::Builder::new()
            .prefix("g")
            .tempdir_in("/tmp")
            .expect("a folder");
        let fingerprint =
            self.openssl(&["x509", "-noout", "-fingerprint", "-sha1", "-in", "ca.pem"]);
        let fingerprint = String::from_utf8_lossy(&fingerprint);
        let fingerprint = fingerprint.split_once('=').expect("a fingerprint").1.trim();
        let write =
            |name: &str, text: &str| fs::write(home.path().join(name), text).expect("write");
        write("trustlist.txt", &format!("{fingerprint} S relax\n"));
        write("gpg-agent.conf", "allow-loopback-pinentry\n");
        write("gpgsm.conf", "disable-crl-checks\n");
        let gpgsm = Gpgsm { home };
        gpgsm.ask(&["--import", &self.path("ca.pem").to_string_lossy()]);
        for name in names {
            // It cannot read a few in a hundred of these files; the next one has another salt.
            let imported = (0..5).any(|_| {
                let file = self.path(&self.old_bundle(name));
                let import = ["--passphrase-fd", "0", "--import", &file.to_string_lossy()];
                gpgsm.try_ask(&import).status.success()
            });
            assert!(imported, "gpgsm does not take the key of {name}");
        }
        Some(gpgsm)
    }
}

/// GnuPG's S/MIME.
pub(crate) struct Gpgsm {
    home: tempfile::TempDir,
}

impl Gpgsm {
    /// Its folder, for programs that ask it.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Whether a detached signature in DER is right.
    pub(crate) fn verify(&self, content: &[u8], signature: &[u8]) -> bool {
        let [content_file, signature_file] =
            ["content", "signature"].map(|name| self.home.path().join(name));
        fs::write(&content_file, content).expect("write");
        fs::write(&signature_file, signature).expect("write");
        let files =
            [&signature_file, &content_file].map(|file| file.to_string_lossy().into_owned());
        let output = self.try_ask(&["--verify", &files[0], &files[1]]);
        output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("Good signature")
    }

    /// Whether a signature in DER with its content is right.
    pub(crate) fn verify_opaque(&self, signature: &[u8]) -> bool {
        let file = self.home.path().join("opaque");
        fs::write(&file, signature).expect("write");
        let output = self.try_ask(&["--verify", &file.to_string_lossy()]);
        output.status.success()
            && String::from_utf8_lossy(&output.stderr).contains("Good signature")
    }

    /// What is inside of an envelope in DER. Its exit code says nothing: it counts each
    /// recipient whom it does not know as an error, where that one comes first.
    pub(crate) fn decrypt(&self, der: &[u8]) -> Vec<u8> {
        let file = self.home.path().join("sealed");
        fs::write(&file, der).expect("write");
        let file = file.to_string_lossy();
        self.try_ask(&["--passphrase-fd", "0", "--decrypt", &file])
            .stdout
    }

    fn ask(&self, arguments: &[&str]) -> Vec<u8> {
        let output = self.try_ask(arguments);
        let shown = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "gpgsm {arguments:?}: {shown}");
        output.stdout
    }

    fn try_ask(&self, arguments: &[&str]) -> Output {
        use std::io::Write as _;
        let mut child = Command::new("gpgsm")
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--batch", "--pinentry-mode", "loopback"])
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("gpgsm to run");
        let mut stdin = child.stdin.take().expect("is piped");
        // It may not ask.
        let _ = stdin.write_all(format!("{PASSWORD}\n").as_bytes());
        drop(stdin);
        child.wait_with_output().expect("gpgsm to end")
    }
}

impl Drop for Gpgsm {
    fn drop(&mut self) {
        let mut command = Command::new("gpgconf");
        let _ = command
            .arg("--homedir")
            .arg(self.home.path())
            .args(["--kill", "all"])
            .output();
    }
}

/// The parts of a `multipart/signed`: the bytes that are signed, and the signature in DER.
pub(crate) fn parts_of_signed(message: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let text = String::from_utf8(message.to_vec()).expect("7-bit");
    let (_, rest) = text.split_once("boundary=\"=_s").expect("a boundary");
    let boundary = format!("=_s{}", rest.split('"').next().expect("its end"));
    let delimiter = format!("\r\n--{boundary}");
    let parts: Vec<_> = text.split(&delimiter).collect();
    assert_eq!(parts.len(), 4, "a head, two parts and the end");
    let content = parts[1].strip_prefix("\r\n").expect("a line end");
    (content.as_bytes().to_vec(), der_of(parts[2]))
}

/// The DER that an entity carries in base64.
pub(crate) fn der_of(entity: &str) -> Vec<u8> {
    let body = entity
        .rsplit_once("\r\n\r\n")
        .filter(|(_, body)| !body.trim().is_empty());
    let body = body.map_or_else(
        || entity.trim_end().rsplit_once("\r\n\r\n").expect("a body").1,
        |it| it.1,
    );
    openssl::base64::decode_block(&body.replace("\r\n", "")).expect("base64")
}
