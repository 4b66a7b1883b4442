//! Programs of others that read what was signed or encrypted.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use parking_lot::Mutex;

use crate::gmime::Notmuch;
use crate::neomutt::NeoMutt;
use crate::not_run::not_run;
use crate::passed_on::PassedOn;
use crate::secured::Way;
use crate::support::peer;
use crate::support::people::{Gpgsm, People, der_of, parts_of_signed};

/// The name of the reader's RSA key.
pub(crate) const READER: &str = "to-rsa";

/// A program that checks signatures and opens envelopes.
pub(crate) trait Reader: Send {
    fn name(&self) -> &'static str;

    /// It knows this way to sign.
    fn knows_signature(&self, way: &Way) -> bool;

    /// It knows this way to encrypt.
    fn knows_envelope(&self, way: &Way) -> bool;

    /// What is signed, or its own bytes where the program only says that it is right; `None`
    /// where the signature is not.
    fn verify(&self, message: &[u8]) -> Option<Vec<u8>>;

    /// The content of an envelope, by the key of `who`; `None` where it cannot be opened.
    fn open(&self, message: &[u8], who: &str) -> Option<Vec<u8>>;
}

/// All that are here. The others are named on a line each.
pub(crate) fn readers<'a>(people: &'a People, scratch: &Path) -> Vec<Box<dyn Reader + 'a>> {
    let smime = Openssl {
        people,
        verb: "smime",
        scratch: folder(scratch, "smime"),
    };
    let mut readers: Vec<Box<dyn Reader + 'a>> =
        vec![Box::new(openssl(people, scratch)), Box::new(smime)];
    if let Some(gpgsm) = people.gpgsm(&[READER]) {
        readers.push(Box::new(gpgsm));
    }
    match Nss::new(people, folder(scratch, "nss")) {
        Some(nss) => readers.push(Box::new(nss)),
        None => not_run("cmsutil: libnss3-tools is not installed"),
    }
    let notmuch = people.gpgsm(&[READER]);
    match notmuch.and_then(|gpgsm| Notmuch::new(gpgsm, folder(scratch, "notmuch"))) {
        Some(notmuch) => readers.push(Box::new(notmuch)),
        None => not_run("notmuch is not installed"),
    }
    let neomutt = people.gpgsm(&[READER]);
    match neomutt.and_then(|gpgsm| NeoMutt::new(gpgsm, folder(scratch, "neomutt"))) {
        Some(neomutt) => readers.push(Box::new(neomutt)),
        None => not_run("neomutt is not installed"),
    }
    let behind = Openssl {
        people,
        verb: "cms",
        scratch: folder(scratch, "passed-on"),
    };
    match PassedOn::new(behind) {
        Some(passed_on) => readers.push(Box::new(passed_on)),
        None => not_run("list software of Python: python3 is not installed"),
    }
    match python(people, "M2Crypto", scratch) {
        Some(reader) => readers.push(Box::new(reader)),
        None => not_run("M2Crypto: python3-m2crypto is not installed"),
    }
    readers.extend(python(people, "cryptography", scratch).map(|it| Box::new(it) as Box<_>));
    readers
}

/// The one that knows everything.
pub(crate) fn openssl<'a>(people: &'a People, scratch: &Path) -> impl Reader + 'a {
    Openssl {
        people,
        verb: "cms",
        scratch: folder(scratch, "cms"),
    }
}

fn folder(scratch: &Path, name: &str) -> PathBuf {
    let folder = scratch.join(name);
    std::fs::create_dir(&folder).expect("a folder");
    folder
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let file = folder.join(name);
    std::fs::write(&file, bytes).expect("write");
    file
}

/// `openssl cms`, which knows everything, and `openssl smime`, which knows PKCS #7 only.
struct Openssl<'a> {
    people: &'a People,
    verb: &'static str,
    scratch: PathBuf,
}

impl Openssl<'_> {
    fn ask(&self, arguments: &[&str], message: &[u8]) -> Option<Vec<u8>> {
        let file = write(&self.scratch, "in.eml", message);
        let output = Command::new("openssl")
            .arg(self.verb)
            .args(arguments)
            .arg("-in")
            .arg(file)
            .current_dir(self.people.path(""))
            .output()
            .expect("openssl to run");
        output.status.success().then_some(output.stdout)
    }
}

impl Reader for Openssl<'_> {
    fn name(&self) -> &'static str {
        match self.verb {
            "cms" => "openssl cms",
            _ => "openssl smime",
        }
    }

    fn knows_signature(&self, way: &Way) -> bool {
        self.verb == "cms" || !way.is_pss()
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        self.verb == "cms" || way.is_open_to_all()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        let arguments = ["-verify", "-CAfile", "ca.pem", "-purpose", "smimesign"];
        self.ask(&arguments, message)
    }

    fn open(&self, message: &[u8], who: &str) -> Option<Vec<u8>> {
        let (key, own) = (format!("{who}.key"), format!("{who}.own.pem"));
        self.ask(&["-decrypt", "-inkey", &key, "-recip", &own], message)
    }
}

/// The signature in DER, and the content of a detached one.
fn signature(message: &[u8]) -> (Vec<u8>, Option<Vec<u8>>) {
    let text = std::str::from_utf8(message).expect("7-bit");
    if text.contains("smime-type=signed-data") {
        return (der_of(text), None);
    }
    let (content, der) = parts_of_signed(message);
    (der, Some(content))
}

impl Reader for Gpgsm {
    fn name(&self) -> &'static str {
        "gpgsm"
    }

    /// It finds fault with digests that are shorter than the key.
    fn knows_signature(&self, way: &Way) -> bool {
        !way.has_short_digest()
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        way.is_open_to_all()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (der, content) = signature(message);
        let right = match content {
            Some(content) => Gpgsm::verify(self, &content, &der),
            None => self.verify_opaque(&der),
        };
        right.then(|| message.to_vec())
    }

    fn open(&self, message: &[u8], _: &str) -> Option<Vec<u8>> {
        let der = der_of(std::str::from_utf8(message).expect("7-bit"));
        Some(self.decrypt(&der)).filter(|inside| !inside.is_empty())
    }
}

/// What Thunderbird and Evolution read with.
struct Nss {
    folder: PathBuf,
}

impl Nss {
    /// A database that trusts the authority and has the key of the reader.
    fn new(people: &People, folder: PathBuf) -> Option<Self> {
        Command::new("cmsutil").arg("-H").output().ok()?;
        let database = format!("sql:{}", folder.display());
        let run = |program: &str, arguments: &[&str]| {
            let output = Command::new(program)
                .args(arguments)
                .args(["-d", &database])
                .current_dir(people.path(""))
                .output()
                .expect(program);
            let shown = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {shown}");
        };
        run("certutil", &["-N", "--empty-password"]);
        let authority = ["-A", "-n", "ca", "-t", "CT,C,C", "-i", "ca.pem"];
        run("certutil", &authority);
        let bundle = format!("{READER}.p12");
        let password = crate::support::people::PASSWORD;
        run("pk12util", &["-i", &bundle, "-W", password]);
        Some(Self { folder })
    }

    /// What it says of the layers, and what is inside of them. Its exit code says little.
    fn decode(&self, der: &[u8], content: Option<&[u8]>) -> (String, Vec<u8>) {
        let (file, out) = (write(&self.folder, "in.der", der), self.folder.join("out"));
        let _ = std::fs::remove_file(&out);
        let mut command = Command::new("cmsutil");
        command.args(["-D", "-h", "1", "-d"]);
        command.arg(format!("sql:{}", self.folder.display()));
        command.arg("-i").arg(file).arg("-o").arg(&out);
        if let Some(content) = content {
            command
                .arg("-c")
                .arg(write(&self.folder, "content", content));
        }
        let output = command.output().expect("cmsutil to run");
        let inside = std::fs::read(&out).unwrap_or_default();
        let shown = [output.stdout, output.stderr, inside.clone()].concat();
        (String::from_utf8_lossy(&shown).into_owned(), inside)
    }
}

impl Reader for Nss {
    fn name(&self) -> &'static str {
        "cmsutil"
    }

    fn knows_signature(&self, _: &Way) -> bool {
        true
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        way.is_open_to_all()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        let (der, content) = signature(message);
        let (shown, _) = self.decode(&der, content.as_deref());
        shown
            .contains("signer0.status=GoodSignature;")
            .then(|| message.to_vec())
    }

    fn open(&self, message: &[u8], _: &str) -> Option<Vec<u8>> {
        let der = der_of(std::str::from_utf8(message).expect("7-bit"));
        let (_, inside) = self.decode(&der, None);
        Some(inside).filter(|inside| !inside.is_empty())
    }
}

/// A library of Python's behind one of the scripts beside this file: it is asked by lines.
struct Python {
    library: &'static str,
    scratch: PathBuf,
    child: Mutex<(Child, ChildStdin, BufReader<ChildStdout>)>,
}

/// `None` where there is no such library.
fn python(people: &People, library: &'static str, scratch: &Path) -> Option<Python> {
    let (python, arguments) = match library {
        "M2Crypto" => (PathBuf::from("/usr/bin/python3"), vec!["ca.pem".to_owned()]),
        _ => (
            peer::unpacked("python", "bin/python3").join("bin/python3"),
            vec![format!("{READER}.own.pem"), format!("{READER}.key")],
        ),
    };
    let import = format!("import {library}");
    let mut check = Command::new(&python);
    check.args(["-c", &import]).stderr(Stdio::null());
    check
        .status()
        .ok()
        .filter(std::process::ExitStatus::success)?;
    let script = format!(
        "{}/tests/gallery/{}_reader.py",
        env!("CARGO_MANIFEST_DIR"),
        library.to_lowercase()
    );
    let mut child = Command::new(python)
        .arg(script)
        .args(arguments)
        .current_dir(people.path(""))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python to run");
    let asked = child.stdin.take().expect("is piped");
    let answers = BufReader::new(child.stdout.take().expect("is piped"));
    Some(Python {
        library,
        scratch: folder(scratch, library),
        child: Mutex::new((child, asked, answers)),
    })
}

impl Python {
    fn ask(&self, message: &[u8]) -> Option<Vec<u8>> {
        let file = write(&self.scratch, "in.eml", message);
        let mut child = self.child.lock();
        let (_, asked, answers) = &mut *child;
        writeln!(asked, "{}", file.display()).expect("it listens");
        let mut answer = String::new();
        answers.read_line(&mut answer).expect("it answers");
        let answer = answer.trim_end();
        assert!(!answer.is_empty(), "{} ended", self.library);
        let bytes = || openssl::base64::decode_block(answer).expect("base64");
        (!answer.starts_with('!')).then(bytes)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let child = &mut self.child.get_mut().0;
        let _ = child.kill();
        let _ = child.wait();
    }
}

impl Reader for Python {
    fn name(&self) -> &'static str {
        self.library
    }

    fn knows_signature(&self, way: &Way) -> bool {
        self.library == "M2Crypto" && !way.is_pss()
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        self.library == "cryptography" && way.is_open_to_all() && way.is_aes_of_128_or_256()
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.ask(message)
    }

    fn open(&self, message: &[u8], _: &str) -> Option<Vec<u8>> {
        self.ask(message)
    }
}
