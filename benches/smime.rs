//! What protection costs: messages a second, signed, encrypted to one and to ten, and both, of
//! 4 KiB and of 1 MiB, on one thread; then signed and encrypted on as many threads as there are
//! processors, as the service does it, beside the threads that talk to relays and databases.
//!
//! No signature can be faster than its key. The key's own speed is printed beside it, from the same run
//! and for the same key: OpenSSL signing a digest again and again with a context that is
//! kept (the limit), with one that is made for each, and what `openssl speed` says of a key of that
//! size. The limit is measured in turns with what it is compared to, because processors change
//! their pace.
//!
//!     cargo bench --bench smime [-- <seconds for each figure> [<kind of work>]]

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::hash::MessageDigest;
use openssl::md::Md;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::pkey_ctx::PkeyCtx;
use openssl::rsa::Rsa;
use openssl::sign::Signer as RawSigner;
use openssl::x509::extension::{ExtendedKeyUsage, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder};
use sendport_core::domain::Message;
use sendport_smime::{
    ContentCipher, Digest, Encryptor, HeaderProtection, Identity, MessageContext, Protection,
    ProtectionPlan, Protector, RecipientCertificate, RsaEncryption, RsaSignature, SignatureForm,
    Signer, SigningRules, WhenMissing, secure,
};

const ADDRESS: &str = "alerts@contoso.com";
/// So often the limit is measured beside a figure.
const TURNS: u32 = 20;

const SIZES: [(&str, usize); 2] = [("4 KiB", 4 * 1024), ("1 MiB", 1024 * 1024)];

/// A person with a key.
struct Who {
    certificate: X509,
    key: PKey<Private>,
}

/// Something that is done to a message.
struct Work {
    name: &'static str,
    protection: Protection,
    recipients: usize,
}

const WORKS: [Work; 4] = [
    Work {
        name: "sign",
        protection: Protection::Sign,
        recipients: 0,
    },
    Work {
        name: "encrypt to 1",
        protection: Protection::Encrypt,
        recipients: 1,
    },
    Work {
        name: "encrypt to 10",
        protection: Protection::Encrypt,
        recipients: 10,
    },
    Work {
        name: "sign+encrypt to 1",
        protection: Protection::SignEncrypt,
        recipients: 1,
    },
];

fn main() {
    let seconds = std::env::args().find_map(|argument| argument.parse::<f64>().ok());
    let during = Duration::from_secs_f64(seconds.unwrap_or(2.0));
    let rsa = PKey::from_rsa(Rsa::generate(2048).expect("an RSA key")).expect("the key");
    let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).expect("P-256");
    let ec = PKey::from_ec_key(EcKey::generate(&group).expect("a key")).expect("the key");
    for (name, key, speed) in [("RSA-2048", rsa, "rsa2048"), ("EC P-256", ec, "ecdsap256")] {
        measure(name, &Who::new(key), speed, during);
    }
}

fn measure(name: &str, who: &Who, speed: &str, during: Duration) {
    let mut kept = kept_context(&who.key);
    let mut each = || sign_fresh(&who.key);
    let [limit, fresh] = in_turns(during, [&mut || sign_kept(&mut kept), &mut each]);
    say(&format!(
        "\n{name}: a digest is signed {limit:.0} times a second, {fresh:.0} times with a context made \
         for each; openssl speed {speed} says {}\n",
        openssl_speed(speed, during)
    ));
    say("| | size | messages/s, one thread | of the signing limit |\n|---|---|---|---|");
    let protector = who.protector();
    let is_word = |it: &String| it.starts_with(|c: char| c.is_ascii_alphabetic());
    let wanted = std::env::args().skip(1).find(is_word).unwrap_or_default();
    for work in WORKS.iter().filter(|work| work.name.contains(&wanted)) {
        for (size, bytes) in SIZES {
            let (message, plan) = (message(bytes), who.plan(&protector, work));
            let mut secured = || done(&message, &plan);
            let [limit, rate] = in_turns(during, [&mut || sign_kept(&mut kept), &mut secured]);
            let share = match work.protection.signs() {
                true => format!("{:.3}", rate / limit),
                false => String::new(),
            };
            say(&format!("| {} | {size} | {rate:.0} | {share} |", work.name));
        }
    }
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    let rate = |threads| on_threads(threads, during, who, &protector);
    let (one, many) = (rate(1), rate(all));
    say(&format!(
        "\nsign+encrypt to 1, 4 KiB, beside the runtime: {one:.0}/s on 1 thread, {many:.0}/s on {all} ({:.2} times)",
        many / one
    ));
}

/// How often a second each of two works can be done, by the time that a processor works on it:
/// what else the machine does then does not count.
fn in_turns(during: Duration, mut works: [&mut dyn FnMut(); 2]) -> [f64; 2] {
    let (mut times, mut taken) = ([0_u32; 2], [Duration::ZERO; 2]);
    works.iter_mut().for_each(|work| work());
    while taken[1] < during {
        for (n, work) in works.iter_mut().enumerate() {
            let begun = worked();
            while worked() - begun < during / TURNS {
                work();
                times[n] += 1;
            }
            taken[n] += worked() - begun;
        }
    }
    [0, 1].map(|n| f64::from(times[n]) / taken[n].as_secs_f64())
}

/// How long this thread has been on a processor.
fn worked() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::try_from(time).expect("a time since the thread began")
}

fn done(message: &Message, plan: &ProtectionPlan) {
    secure(message.clone(), plan).expect("a secured message");
}

fn kept_context(key: &PKey<Private>) -> PkeyCtx<Private> {
    let mut context = PkeyCtx::new(key).expect("a context");
    context.sign_init().expect("a context that signs");
    context.set_signature_md(Md::sha256()).expect("its digest");
    context
}

/// As `openssl speed` does it: a digest that is there, by a context that is there.
fn sign_kept(context: &mut PkeyCtx<Private>) {
    let mut signature = [0; 512];
    let signed = context.sign(&[7; 32], Some(&mut signature));
    signed.expect("a signature");
}

fn sign_fresh(key: &PKey<Private>) {
    let mut signer = RawSigner::new(MessageDigest::sha256(), key).expect("a signer");
    signer
        .sign_oneshot_to_vec(b"the digest of a message")
        .expect("a signature");
}

/// As the dispatcher does it: a thread of the pool for blocking work secures one message.
fn on_threads(threads: usize, during: Duration, who: &Who, protector: &Arc<Protector>) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .max_blocking_threads(threads)
        .build();
    let runtime = runtime.expect("a runtime");
    let message = message(SIZES[0].1);
    let begun = Instant::now();
    let times = runtime.block_on(async {
        let mut lanes = tokio::task::JoinSet::new();
        // As connections are more than processors: no task waits for a thread.
        for _ in 0..threads * 4 {
            let (message, plan) = (message.clone(), who.plan(protector, &WORKS[3]));
            let plan = Arc::new(plan);
            lanes.spawn(async move {
                let mut times = 0_u32;
                while begun.elapsed() < during {
                    let (message, plan) = (message.clone(), plan.clone());
                    let work = tokio::task::spawn_blocking(move || done(&message, &plan));
                    work.await.expect("a secured message");
                    times += 1;
                }
                times
            });
        }
        lanes.join_all().await.into_iter().sum::<u32>()
    });
    f64::from(times) / begun.elapsed().as_secs_f64()
}

/// Signatures a second by OpenSSL's own measure.
fn openssl_speed(algorithm: &str, during: Duration) -> String {
    let seconds = during.as_secs().max(1).to_string();
    let output = Command::new("openssl")
        .args(["speed", "-mr", "-seconds", &seconds, algorithm])
        .output();
    let Ok(output) = output else {
        return "nothing: there is no openssl here".to_owned();
    };
    // +F2:<number>:<bits>:<signatures a second>:<verifications a second>, F4 for ECDSA.
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find(|line| line.starts_with("+F"));
    let rate = line.and_then(|line| line.split(':').nth(3)?.parse::<f64>().ok());
    rate.map_or_else(
        || "nothing that can be read".to_owned(),
        |rate| format!("{rate:.0}"),
    )
}

fn message(bytes: usize) -> Message {
    let line = "A line of text, and another one, until there are enough of them: 72 octets\r\n";
    let header = format!(
        "From: {ADDRESS}\r\nTo: ops@contoso.com\r\nSubject: Order 4711 is late\r\n\
         Date: Sat, 21 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@contoso.com>\r\n\
         MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    );
    Message {
        message_id: "<1@contoso.com>".to_owned(),
        bytes: (header + &line.repeat(bytes / line.len())).into_bytes(),
    }
}

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a moment")
}

impl Who {
    fn new(key: PKey<Private>) -> Self {
        let mut builder = X509Builder::new().expect("a certificate");
        let time = |seconds| Asn1Time::from_unix(seconds).expect("a moment");
        builder.set_version(2).expect("version 3");
        builder.set_pubkey(&key).expect("its key");
        builder
            .set_not_before(&time(1_500_000_000))
            .expect("its begin");
        builder
            .set_not_after(&time(4_000_000_000))
            .expect("its end");
        let name = SubjectAlternativeName::new()
            .email(ADDRESS)
            .build(&builder.x509v3_context(None, None));
        let mut usage = KeyUsage::new();
        usage.digital_signature().key_encipherment().key_agreement();
        for extension in [
            name,
            usage.build(),
            ExtendedKeyUsage::new().email_protection().build(),
        ] {
            let extension = extension.expect("an extension");
            builder.append_extension(extension).expect("to append it");
        }
        builder
            .sign(&key, MessageDigest::sha256())
            .expect("a signed certificate");
        Self {
            certificate: builder.build(),
            key,
        }
    }

    fn pem(&self) -> Vec<u8> {
        self.certificate.to_pem().expect("PEM")
    }

    fn protector(&self) -> Arc<Protector> {
        let key = self.key.private_key_to_pem_pkcs8().expect("PEM");
        let identity = Identity::from_pem(&self.pem(), &key, "").expect("an identity");
        let rules = SigningRules {
            form: SignatureForm::Clear,
            digest: Some(Digest::Sha256),
            rsa: RsaSignature::Pkcs1,
            chain: true,
            match_from: true,
        };
        let encryptor = Encryptor {
            cipher: ContentCipher::Aes256Cbc,
            rsa: RsaEncryption::Pkcs1,
            when_missing: WhenMissing::Fail,
            follow_capabilities: true,
            legacy: false,
            folder: None,
            trust: None,
            own: Vec::new(),
        };
        Arc::new(Protector {
            signer: Some(Arc::new(Signer::new(identity, rules).expect("a signer"))),
            encryptor: Some(Arc::new(encryptor)),
            headers: HeaderProtection::default(),
        })
    }

    fn plan(&self, protector: &Protector, work: &Work) -> ProtectionPlan {
        let read =
            || RecipientCertificate::from_file(&self.pem(), "the bench").expect("a certificate");
        let recipients = (0..work.recipients).flat_map(|_| read().into_iter().map(Arc::new));
        let message_context = MessageContext {
            from: ADDRESS,
            created_at: now(),
            now: now(),
            recipients: recipients.collect(),
        };
        let plan = protector.plan(work.protection, &message_context);
        plan.expect("what the work takes")
    }
}

#[expect(clippy::print_stdout, reason = "figures are what a bench is for")]
fn say(text: &str) {
    println!("{text}");
}
