//! Whole alerts through real relays of the kind `file`: what lies in whose folder.

use std::fs;
use std::path::Path;

use sendport_core::clock::SystemClock;
use sendport_core::domain::{
    AlertId, AlertOrigin, AlertStatus, AuditStage, LeaseToken, OperatorVerb, RecipientStatus,
    Redirect, RequestId, SubmissionIntent, expand_recipients,
};
use sendport_message::template::TemplateSource;
use sendport_smime::{
    CertificateFolder, ContentCipher, Encryptor, Protection, RsaEncryption, WhenMissing,
};
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::file::FileRelay;
use sendport_smtp::settings::relay::FileRelay as FileConfig;
use sendport_store::operator_requests::{NewRequest, RequestFilter};
use sendport_store::sqlite::SqliteStore;
use sendport_store::{Event, NewAlert, OperatorQueries as _, StoreAdmin as _};
use tokio::sync::mpsc;

#[path = "redirect_tests.rs"]
mod redirects;

#[path = "received_tests.rs"]
mod received_messages;

use super::*;
use crate::audit::{AuditTrail, FolderTrail};

struct Uncontested;

impl SubmitGuard for Uncontested {
    fn before_final_dot(&self, _note: &SubmissionIntent) -> bool {
        true
    }

    fn preparing(&self, _alert: AlertId, _token: LeaseToken) {}

    fn prepared(&self, _alert: AlertId) {}

    fn is_suspect(&self, _alert: AlertId) -> bool {
        false
    }
}

struct MemoryBudget {
    folder: tempfile::TempDir,
    store: Arc<SqliteStore>,
    dispatcher: Dispatcher,
    _events: mpsc::UnboundedReceiver<Event>,
}

impl MemoryBudget {
    /// A send port `default` over the relays `first` and `second`, with further settings.
    fn new(settings: &str) -> Self {
        Self::with(port(settings))
    }

    /// The same with a send port that is made already.
    fn with(port: SendPort) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for name in ["first", "second", "audit"] {
            fs::create_dir(folder.path().join(name)).expect("create");
        }
        let (events, received) = mpsc::unbounded_channel();
        let trail = FolderTrail::open(&folder.path().join("audit")).expect("it is there");
        let trails: Vec<Arc<dyn AuditTrail>> = vec![Arc::new(trail)];
        let stages = AuditStage::ALL.to_vec();
        let auditor = Auditor::new("default", stages, trails, events.clone());
        let clock = Arc::new(SystemClock);
        let file = folder.path().join("sendport.db");
        let store = Arc::new(SqliteStore::open(&file, clock.clone()).expect("open"));
        let replies = Arc::new(ReplyTable::built_in());
        let relays = ["first", "second"]
            .map(|name| relay(folder.path(), name))
            .to_vec();
        let dispatcher = Dispatcher::new(DispatcherDependencies {
            send_ports: BTreeMap::from([("default".to_owned(), port)]),
            registry: Arc::new(RelayRegistry::new(
                relays,
                replies.clone(),
                clock.clone(),
                events,
            )),
            auditors: BTreeMap::from([("default".to_owned(), auditor)]),
            contents: store.clone(),
            received: store.clone(),
            files: store.clone(),
            requests: store.clone(),
            templates: Arc::new(TemplateCache::of_folder(TemplateSource::empty())),
            certificates: Arc::new(CertificateCache::of_folders()),
            replies,
            clock,
            submit_guard: Arc::new(Uncontested),
            chance: Box::new(|| 0.0),
            stop: CancellationToken::new(),
        });
        Self {
            folder,
            store,
            dispatcher,
            _events: received,
        }
    }

    async fn dispatch(&self, alert: Alert) -> OutcomeKind {
        self.create_database().await;
        self.dispatch_without_database(alert).await
    }

    async fn create_database(&self) {
        self.store.create_database().await.expect("create");
        self.store.migrate().await.expect("migrate");
    }

    /// All alerts go to `to`.
    async fn redirect(&self, to: &str) -> RequestId {
        let request = NewRequest {
            verb: OperatorVerb::Redirect,
            filter: RequestFilter {
                matches_all: true,
                ..RequestFilter::default()
            },
            recipients: None,
            new_message_id: false,
            redirect_to: Some(to.to_owned()),
            bodies_only: false,
            comment: None,
            requested_by: "anna".to_owned(),
            host_name: None,
        };
        self.store.add_request(&request).await.expect("added")
    }

    /// To, Cc and Bcc have one recipient each, and there is a redirect to `to`.
    async fn redirected(&self, to: &str) -> Alert {
        self.create_database().await;
        let request = self.redirect(to).await;
        let row = self.store.insert(&NewAlert::default()).await;
        Alert {
            id: row.expect("inserted"),
            to_recipients: Some("Ops <ops@contoso.com>".to_owned()),
            cc_recipients: Some("lead@contoso.com".to_owned()),
            bcc_recipients: Some("audit@contoso.com".to_owned()),
            redirect: Some(Redirect::from_row(request.0, Some(to))),
            ..alert()
        }
    }

    async fn dispatch_without_database(&self, alert: Alert) -> OutcomeKind {
        let lease = Lease {
            token: LeaseToken::random(),
            value: alert,
        };
        let expected = self.dispatcher.parts.registry.expect(&[]);
        self.dispatcher.dispatch(lease, expected).await.kind
    }

    /// The messages in a folder and the folders in it.
    fn messages(&self, name: &str) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        let mut folders = vec![self.folder.path().join(name)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
                let path = entry.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|ending| ending == "eml") {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    found.push((name, fs::read(path).expect("readable")));
                }
            }
        }
        found.sort();
        found
    }
}

fn port(settings: &str) -> SendPort {
    SendPort::with_settings("default", &["first", "second"], settings)
}

fn relay(folder: &Path, name: &str) -> Arc<dyn Relay> {
    let config = FileConfig {
        folder: folder.join(name),
        envelope_headers: false,
    };
    let relay = FileRelay::new(name, &config, Arc::new(SystemClock));
    Arc::new(relay)
}

fn alert() -> Alert {
    Alert {
        created_at: sendport_core::clock::Clock::now(&SystemClock),
        ..crate::fixture::alert()
    }
}

fn decision(kind: OutcomeKind) -> Decision {
    match kind {
        OutcomeKind::Decided(decision) => *decision,
        OutcomeKind::Released { reason, .. } => panic!("released: {reason:?}"),
    }
}

#[tokio::test]
async fn both_copies_lie_in_the_audit_under_the_key_of_the_attempt() {
    let memory = MemoryBudget::new("");
    let decision = decision(memory.dispatch(alert()).await);
    assert_eq!(decision.status, AlertStatus::Relayed);
    let submitted = memory.messages("first");
    let kept = memory.messages("audit");
    assert_eq!((submitted.len(), kept.len()), (1, 2));
    let key = decision
        .attempt
        .expect("an attempt")
        .key
        .0
        .as_simple()
        .to_string();
    for ((name, bytes), stage) in kept.iter().zip(["after", "before"]) {
        assert!(name.ends_with(&format!("{key}-{stage}.eml")), "{name}");
        assert_eq!(*bytes, submitted[0].1);
    }
}

#[tokio::test]
async fn an_alert_of_an_unknown_send_port_waits_and_says_so() {
    let memory = MemoryBudget::new("");
    let alert = Alert {
        send_port: "billing".to_owned(),
        ..alert()
    };
    match memory.dispatch(alert).await {
        OutcomeKind::Released { retry_in, reason } => {
            assert!(retry_in >= Duration::from_secs(60), "{retry_in:?}");
            let reason = reason.expect("why");
            assert!(reason.contains("a send port named 'billing'"), "{reason}");
        }
        OutcomeKind::Decided(decision) => panic!("{decision:?}"),
    }
}

#[tokio::test]
async fn a_message_that_cannot_be_audited_is_not_submitted() {
    let memory = MemoryBudget::new("[retry]\nfirst_delay = '7s'");
    fs::remove_dir(memory.folder.path().join("audit")).expect("remove");
    match memory.dispatch(alert()).await {
        OutcomeKind::Released { retry_in, reason } => {
            assert_eq!(retry_in, Duration::from_secs(7));
            let reason = reason.expect("why");
            assert!(reason.starts_with("waits for its audit copy to be kept: the audit folder"));
        }
        OutcomeKind::Decided(decision) => panic!("{decision:?}"),
    }
    assert!(memory.messages("first").is_empty());
    fs::create_dir(memory.folder.path().join("audit")).expect("create");
    let decision = decision(memory.dispatch(alert()).await);
    assert_eq!(
        decision.status,
        AlertStatus::Relayed,
        "the relay was not blamed"
    );
}

#[tokio::test]
async fn a_copy_names_the_relay_that_took_the_message() {
    let memory = MemoryBudget::new("");
    fs::remove_dir(memory.folder.path().join("first")).expect("remove");
    let decision = decision(memory.dispatch(alert()).await);
    let attempt = decision.attempt.expect("an attempt");
    assert_eq!(attempt.relay, "second");
    let key = attempt.key.0.as_simple().to_string();
    let kept = memory.messages("audit");
    assert_eq!(
        kept.iter().filter(|(name, _)| name.contains(&key)).count(),
        2
    );
}

/// Rules about the inserting login do not apply to the service, nor do windows; and the relay that the
/// failures name is tried last.
#[tokio::test]
async fn a_digest_goes_through_the_other_relay_whatever_applications_may_do() {
    let closed = "allow_principals = ['orders']\nallow_recipient_domains = ['contoso.com']
        [delivery_window]
        open = [{ from = '00:00', to = '00:01' }]";
    let mut application = alert();
    application.to_recipients = Some("ops@elsewhere.com".to_owned());
    application.payload = Some("{\"failed_relays\":[\"first\"]}".to_owned());
    let digest = Alert {
        origin: AlertOrigin::Digest,
        ..application
    };
    let memory = MemoryBudget::new(closed);
    let decision = decision(memory.dispatch(digest).await);
    assert_eq!(decision.recipients[0].status, RecipientStatus::Relayed);
    assert_eq!(
        (
            memory.messages("first").len(),
            memory.messages("second").len()
        ),
        (0, 1)
    );
    let (_, bytes) = &memory.messages("second")[0];
    assert!(String::from_utf8_lossy(bytes).contains("\r\nAuto-Submitted: auto-generated\r\n"));
}

/// A send port that encrypts to the certificates of a folder.
fn encrypting(folder: &Path, when_missing: WhenMissing) -> SendPort {
    let encryptor = Encryptor {
        cipher: ContentCipher::default(),
        rsa: RsaEncryption::default(),
        when_missing,
        follow_capabilities: true,
        legacy: false,
        folder: Some(CertificateFolder::new(folder)),
        trust: None,
        own: Vec::new(),
    };
    let mut port = port("[retry]\nfirst_delay = '7s'");
    port.protection = Protection::Encrypt;
    port.protector.encryptor = Some(Arc::new(encryptor));
    port
}

#[tokio::test]
async fn while_the_folder_of_certificates_is_away_alerts_wait_unspent() {
    let memory = MemoryBudget::with(encrypting(Path::new("/no/such/folder"), WhenMissing::Fail));
    match memory.dispatch(alert()).await {
        OutcomeKind::Released { retry_in, reason } => {
            assert_eq!(retry_in, Duration::from_secs(7));
            let reason = reason.expect("why");
            assert!(reason.contains("waits for its protection") && reason.contains("/no/such/"));
        }
        OutcomeKind::Decided(decision) => panic!("{decision:?}"),
    }
    assert!(memory.messages("first").is_empty());
}

#[tokio::test]
async fn a_recipient_without_certificate_gets_nothing_and_the_alert_the_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    for when_missing in [WhenMissing::Fail, WhenMissing::Split] {
        let memory = MemoryBudget::with(encrypting(folder.path(), when_missing));
        let decision = decision(memory.dispatch(alert()).await);
        assert_eq!(decision.status, AlertStatus::Failed);
        let reason = decision.reason.expect("why");
        assert_eq!(reason, "there is no certificate for ops@contoso.com");
        let explained = decision.recipients[0].explanation.as_deref();
        assert_eq!(explained, Some("recipient-certificate-missing"));
        assert!(decision.attempt.is_none() && memory.messages("first").is_empty());
    }
}
