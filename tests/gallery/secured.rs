//! Every combination of algorithms over the messages of the gallery, read by programs of others.

use std::path::Path;

use crate::inserted::{self, Inserted};
use crate::readers::{READER, Reader, openssl, readers};
use crate::site::Site;
use crate::support::certificates::TestAuthority;
use crate::support::exim::{Authenticator, Exim};
use crate::support::maildir::DeliveredMessage;
use crate::support::people::{People, Person, der_of, parts_of_signed};
use crate::support::postfix::{Postfix, PostfixOptions};
use crate::{WITHIN, arrived, read, relay_postfix, send_all};

/// Larger messages have tests of their own.
const LARGEST: usize = 1 << 20;

/// How the messages of one send port are protected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    signing: Option<Signing>,
    sealing: Option<Sealing>,
}

#[derive(Debug, Clone, Copy)]
struct Signing {
    form: &'static str,
    /// The signer; `pss` signs with the key of `rsa`.
    key: &'static str,
    digest: &'static str,
}

#[derive(Debug, Clone, Copy)]
struct Sealing {
    cipher: &'static str,
    padding: &'static str,
    /// Its recipients.
    to: &'static str,
}

const FORMS: [&str; 2] = ["clear", "opaque"];
const KEYS: [&str; 4] = ["rsa", "pss", "p256", "p384"];
const DIGESTS: [&str; 3] = ["sha256", "sha384", "sha512"];
const CIPHERS: [&str; 6] = [
    "aes-256-cbc",
    "aes-192-cbc",
    "aes-128-cbc",
    "aes-256-gcm",
    "aes-128-gcm",
    "3des-cbc",
];
const FOR_KEYS: [(&str, &str); 4] = [
    (READER, "pkcs1"),
    (READER, "oaep"),
    ("to-p256", "pkcs1"),
    ("to-p384", "pkcs1"),
];

impl Way {
    fn signed(form: &'static str, key: &'static str, digest: &'static str) -> Self {
        let signing = Signing { form, key, digest };
        Self {
            signing: Some(signing),
            sealing: None,
        }
    }

    fn sealed(cipher: &'static str, (to, padding): (&'static str, &'static str)) -> Self {
        Self {
            signing: None,
            sealing: Some(Sealing {
                cipher,
                padding,
                to,
            }),
        }
    }

    /// Each form, key and digest; each cipher and kind of key; each form and key inside of the
    /// envelope that all readers open.
    fn all() -> Vec<Self> {
        let keys = || {
            FORMS
                .into_iter()
                .flat_map(|form| KEYS.map(|key| (form, key)))
        };
        let signed = keys().flat_map(|(form, key)| DIGESTS.map(|it| Self::signed(form, key, it)));
        let sealed = CIPHERS
            .into_iter()
            .flat_map(|cipher| FOR_KEYS.map(|to| Self::sealed(cipher, to)));
        let both = keys().zip(DIGESTS.into_iter().cycle());
        let both = both.map(|((form, key), digest)| Self {
            signing: Self::signed(form, key, digest).signing,
            ..Self::sealed("aes-256-cbc", FOR_KEYS[0])
        });
        signed.chain(sealed).chain(both).collect()
    }

    pub(crate) fn has_short_digest(&self) -> bool {
        self.signing
            .is_some_and(|it| it.key == "p384" && it.digest == "sha256")
    }

    /// Or encrypted only.
    pub(crate) fn is_clear(&self) -> bool {
        self.signing.is_none_or(|it| it.form == "clear")
    }

    pub(crate) fn is_pss(&self) -> bool {
        self.signing.is_some_and(|it| it.key == "pss")
    }

    /// EnvelopedData for RSA with PKCS #1 v1.5.
    pub(crate) fn is_open_to_all(&self) -> bool {
        self.sealing.is_some_and(|it| {
            it.cipher.ends_with("-cbc") && it.padding == "pkcs1" && it.to == READER
        })
    }

    pub(crate) fn is_aes_of_128_or_256(&self) -> bool {
        let is = |it: Sealing| it.cipher.contains("-128-") || it.cipher.contains("-256-");
        self.sealing.is_some_and(is)
    }

    /// A send port of this way.
    fn send_port(&self, name: &str, people: &People) -> String {
        let file = |name: &str| people.path(name).display().to_string();
        let (mut protection, mut sections) = (Vec::new(), String::new());
        if let Some(Signing { form, key, digest }) = self.signing {
            let (key, padding) = match key {
                "pss" => ("rsa", "pss"),
                key => (key, "pkcs1"),
            };
            let (certificate, key) = (file(&format!("{key}.pem")), file(&format!("{key}.key")));
            protection.push("sign");
            sections += &format!(
                "[send_port.{name}.signing]\ncertificate_file = '{certificate}'\nkey_file = '{key}'\n\
                 form = '{form}'\ndigest = '{digest}'\nrsa_padding = '{padding}'\n"
            );
        }
        if let Some(sealing) = self.sealing {
            protection.push("encrypt");
            sections += &format!(
                "[send_port.{name}.encryption]\ncertificates_folder = '{}'\nlegacy = true\n\
                 cipher = '{}'\nrsa_padding = '{}'\n",
                file("certificates"),
                sealing.cipher,
                sealing.padding
            );
        }
        format!(
            "[send_port.{name}]\nfrom = 'Größe <alerts@example.test>'\nrelays = ['main']\n\
             protection = '{}'\n{sections}\
             [send_port.{name}.header_protection]\nlegacy_display = false\n",
            protection.join("+")
        )
    }
}

fn people(folder: &Path) -> People {
    let people = People::new(folder);
    for (name, curve) in [("p256", "P-256"), ("p384", "P-384")] {
        people.add(&Person::on_curve(name, "alerts@example.test", curve));
        let to = format!("to-{name}");
        people.add(&Person::on_curve(&to, &format!("{to}@example.test"), curve));
        people.publish(&to, &people.path("certificates"));
    }
    people.add(&Person::new("rsa", "alerts@example.test"));
    people.add(&Person::new(READER, &format!("{READER}@example.test")));
    people.publish(READER, &people.path("certificates"));
    people
}

/// A message as it arrived.
struct Sample<'a> {
    way: Way,
    message: &'a Inserted,
    bytes: Vec<u8>,
}

/// What was inserted for it, and its public id.
type Inserts<'a> = Vec<(Way, &'a Inserted, String)>;

/// Sends two messages of the gallery a way, so that all of them are signed and all are encrypted.
async fn sent<'a>(people: &People, relay: &str, gallery: &'a [Inserted]) -> Inserts<'a> {
    let ways = Way::all();
    let ports = ways.iter().enumerate();
    let ports = ports.map(|(n, way)| way.send_port(&format!("way{n}"), people));
    let site = Site::new(&(relay.to_owned() + &ports.collect::<String>()));
    let chosen = ways.iter().enumerate().flat_map(|(n, way)| [(n, way); 2]);
    let inserts: Inserts<'_> = chosen
        .zip(gallery.iter().cycle())
        .map(|((n, way), message)| {
            let to = way.sealing.map_or(READER, |it| it.to);
            let to = format!("{to}@example.test");
            let port = format!("way{n}");
            let id = inserted::insert_one(&mut site.database(), message, &port, &to);
            (*way, message, id)
        })
        .collect();
    send_all(&site).await;
    // Each way of protection makes a message with an id of its own.
    let made = |(way, message, id): (Way, &'a Inserted, String)| {
        let sql = format!(
            "SELECT t.MessageId FROM Attempt t JOIN Alert a ON a.AlertId = t.AlertId
             WHERE a.PublicId = '{id}'"
        );
        let made = site.value(&sql);
        let made = made.trim_start_matches('<').split('@').next();
        (way, message, made.expect("its left side").to_owned())
    };
    inserts.into_iter().map(made).collect()
}

fn samples<'a>(inserts: Inserts<'a>, arrived: &[Vec<u8>]) -> Vec<Sample<'a>> {
    assert_eq!(arrived.len(), inserts.len());
    let sample = |(way, message, id): (Way, &'a Inserted, String)| Sample {
        way,
        message,
        bytes: arrived::with_id(arrived, &id).to_vec(),
    };
    inserts.into_iter().map(sample).collect()
}

fn gallery() -> Vec<Inserted> {
    let size =
        |it: &Inserted| -> usize { it.attachments.iter().map(|it| it.content().len()).sum() };
    let mut gallery = inserted::gallery();
    gallery.retain(|it| size(it) <= LARGEST);
    gallery
}

/// Each program finds right what it knows, and reads what was inserted; and none of them
/// believes a signature over something else, or one that is another.
#[tokio::test(flavor = "multi_thread")]
async fn each_combination_is_read_by_programs_of_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(&folder.path().join("people"));
    let mails = folder.path().join("mails");
    std::fs::create_dir(&mails).expect("a folder");
    let relay = format!(
        "[relay.main]\nkind = 'file'\nfolder = '{}'\nenvelope_headers = false\n",
        mails.display()
    );
    let gallery = gallery();
    let inserts = sent(&people, &relay, &gallery).await;
    let samples = samples(inserts, &arrived::in_folder(&mails));
    let forged: Vec<_> = samples.iter().step_by(2).flat_map(forged).collect();
    let readers = readers(&people, folder.path());
    let (samples, forged) = (&samples, &forged);
    std::thread::scope(|scope| {
        for reader in readers {
            scope.spawn(move || {
                let read = samples.iter().filter(|it| read_by(&*reader, it));
                assert_ne!(read.count(), 0, "{} knows none", reader.name());
                forged.iter().for_each(|it| not_accepted_by(&*reader, it));
            });
        }
    });
}

/// A Postfix that takes them without 8BITMIME, and knows of none at the Exim which it passes them
/// on to, changes nothing that is protected.
#[tokio::test(flavor = "multi_thread")]
async fn they_survive_postfix_and_exim_without_8bitmime() {
    if !Postfix::available() || !Exim::available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let people = people(&folder.path().join("people"));
    let exim = Exim::start(&TestAuthority::new(), Authenticator::Spa).await;
    let next = format!("smtp:[127.0.0.1]:{}", exim.plain().port());
    let setting = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let postfix = Postfix::start(PostfixOptions {
        main_cf: vec![
            setting(
                "smtpd_discard_ehlo_keywords",
                "8bitmime, smtputf8, chunking",
            ),
            setting("smtp_discard_ehlo_keywords", "8bitmime, smtputf8, chunking"),
            setting("virtual_transport", &next),
        ],
        ..PostfixOptions::default()
    })
    .await;
    let gallery = gallery();
    let relay = relay_postfix(&postfix);
    let inserts = sent(&people, &relay, &gallery).await;
    let delivered = exim.wait_for_messages(inserts.len(), WITHIN).await;
    let arrived: Vec<_> = delivered
        .iter()
        .map(DeliveredMessage::as_submitted)
        .collect();
    let openssl = openssl(&people, folder.path());
    for sample in samples(inserts, &arrived) {
        let bytes = String::from_utf8_lossy(&sample.bytes);
        assert!(
            bytes.contains("by postfix.test (Postfix) with ESMTP id"),
            "{bytes}"
        );
        assert!(read_by(&openssl, &sample), "openssl knows all");
    }
}

/// False where it does not know this way.
fn read_by(reader: &dyn Reader, sample: &Sample<'_>) -> bool {
    let (way, of) = (
        &sample.way,
        format!("{:?} by {}", sample.way, reader.name()),
    );
    let mut bytes = sample.bytes.clone();
    if let Some(sealing) = way.sealing {
        if !reader.knows_envelope(way) {
            return false;
        }
        bytes = reader.open(&bytes, sealing.to).expect(&of);
    }
    if way.signing.is_some() {
        if !reader.knows_signature(way) {
            return false;
        }
        bytes = reader.verify(&bytes).expect(&of);
    }
    // It is the message itself, because its header is inside. A reader that only verifies the
    // signature returns the message with it.
    let text = String::from_utf8_lossy(&bytes);
    if !text.contains("application/pkcs7-") {
        assert!(text.contains(" hp=\"c"), "{of}: {text}");
        read::by_mail_parser(&bytes).assert_equals(sample.message, &of);
    }
    true
}

/// A signed message with another byte in what is signed, and one with another in the signature.
fn forged<'a>(sample: &'a Sample<'a>) -> Vec<Sample<'a>> {
    let Way {
        signing: Some(Signing { form, .. }),
        sealing: None,
    } = sample.way
    else {
        return Vec::new();
    };
    let text = std::str::from_utf8(&sample.bytes).expect("7-bit");
    let der = match form {
        "clear" => parts_of_signed(&sample.bytes).1,
        _ => der_of(text),
    };
    let with = |changed: &[u8]| {
        text.replacen(&base64(&der), &base64(changed), 1)
            .into_bytes()
    };
    let mut signature = der.clone();
    *signature.last_mut().expect("octets") ^= 1;
    let content = match form {
        "clear" => {
            let (outer, inner) = text.split_once("\r\n\r\n").expect("a header");
            let inner = inner.replacen("\r\nMessage-ID: <", "\r\nMessage-ID: <x", 1);
            format!("{outer}\r\n\r\n{inner}").into_bytes()
        }
        _ => {
            let mut der = der.clone();
            let begin = der.windows(10).position(|it| it == b"\nSubject: ");
            der[begin.expect("it is inside") + 10] ^= 1;
            with(&der)
        }
    };
    let forged = [with(&signature), content].map(|bytes| {
        assert_ne!(bytes, sample.bytes, "nothing was changed");
        Sample { bytes, ..*sample }
    });
    forged.into()
}

fn not_accepted_by(reader: &dyn Reader, forged: &Sample<'_>) {
    if reader.knows_signature(&forged.way) {
        let accepted = reader.verify(&forged.bytes);
        let of = format!("{:?} by {}", forged.way, reader.name());
        assert!(accepted.is_none(), "{of} although it was changed");
    }
}

/// As in a message.
fn base64(der: &[u8]) -> String {
    let lines = der.chunks(57).map(openssl::base64::encode_block);
    lines.collect::<Vec<_>>().join("\r\n")
}
