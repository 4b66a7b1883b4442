//! An intake that listens, and its clients.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use openssl::ssl::{SslConnector, SslConnectorBuilder, SslMethod, SslVerifyMode};
use parking_lot::Mutex;
use sendport_core::clock::SystemClock;
use sendport_core::domain::{AlertId, ReceivedMessage};
use sendport_intake::observer::{IntakeActivity, IntakeObserver};
use sendport_intake::settings::IntakeConfig;
use sendport_intake::{
    IntakeDependencies, MessageQueue, QueueError, Queued, SmtpIntake, StartError,
};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufStream};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_openssl::SslStream;
use tokio_util::sync::CancellationToken;

#[derive(Default)]
pub(crate) struct Recorder {
    pub(crate) messages: Mutex<Vec<ReceivedMessage>>,
    pub(crate) activities: Mutex<Vec<IntakeActivity>>,
}

#[async_trait]
impl MessageQueue for Recorder {
    async fn commit(&self, message: Arc<ReceivedMessage>) -> Result<Queued, QueueError> {
        let message = Arc::into_inner(message).expect("the only one");
        self.messages.lock().push(message);
        Ok(Queued::Alert(AlertId(1)))
    }

    async fn check(&self, _bytes: Option<u64>) -> Result<(), QueueError> {
        Ok(())
    }
}

impl IntakeObserver for Recorder {
    fn record(&self, activity: IntakeActivity) {
        self.activities.lock().push(activity);
    }
}

/// A listening intake. Dropping it stops it at once.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) recorder: Arc<Recorder>,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

async fn bind(settings: &str, recorder: &Arc<Recorder>) -> Result<SmtpIntake, StartError> {
    let IntakeConfig::Smtp(settings) = toml::from_str(settings).expect("settings") else {
        panic!("{settings}");
    };
    assert_eq!(settings.problems(), []);
    let dependencies = IntakeDependencies {
        queue: recorder.clone(),
        observer: recorder.clone(),
        clock: Arc::new(SystemClock),
        folder: std::env::temp_dir(),
        default_hostname: "mail.test".to_owned(),
        host_name: "mail".to_owned(),
        database: "sqlite:a.db".to_owned(),
    };
    SmtpIntake::bind("test", &settings, dependencies).await
}

impl Server {
    /// Why an intake with these settings does not start.
    pub(crate) async fn error(settings: &str) -> String {
        match bind(settings, &Arc::default()).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    pub(crate) async fn start(settings: &str) -> Self {
        let text = format!(
            "kind = 'smtp'\nlisten = ['127.0.0.1:0']\nsend_port = 'default'\nallow_senders = ['*']\n{settings}"
        );
        let recorder = Arc::new(Recorder::default());
        let intake = bind(&text, &recorder)
            .await
            .unwrap_or_else(|error| panic!("{error}"));
        let stop = CancellationToken::new();
        Self {
            address: intake.local_addresses().expect("addresses")[0],
            recorder,
            running: tokio::spawn(intake.run(stop.clone())),
            stop,
        }
    }

    pub(crate) async fn connect(&self) -> Client<TcpStream> {
        Client(BufStream::new(
            TcpStream::connect(self.address).await.expect("connected"),
        ))
    }

    /// Until all sessions have ended.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        (&mut self.running).await.expect("it ends");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.running.abort();
    }
}

pub(crate) struct Client<S>(pub(crate) BufStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    pub(crate) async fn send(&mut self, octets: &[u8]) {
        self.0.write_all(octets).await.expect("sent");
        self.0.flush().await.expect("sent");
    }

    /// The next reply, all of its lines; empty where the server closed.
    pub(crate) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let read = self.0.read_line(&mut reply).await.unwrap_or(0);
            if read == 0 || reply.as_bytes().get(start + 3) != Some(&b'-') {
                return reply.trim_end().to_owned();
            }
        }
    }

    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes()).await;
        self.reply().await
    }

    /// From MAIL to the reply to the content.
    pub(crate) async fn submit(&mut self) -> String {
        for command in ["MAIL FROM:<a@contoso.com>", "RCPT TO:<b@x.test>", "DATA"] {
            let reply = self.ask(command).await;
            if !reply.starts_with(['2', '3']) {
                return reply;
            }
        }
        self.ask("Subject: x\r\n\r\n.").await
    }

    /// As TLS client, without a look at the server's certificate.
    pub(crate) async fn encrypt(
        self,
        set_up: impl FnOnce(&mut SslConnectorBuilder),
    ) -> Result<Client<SslStream<S>>, openssl::ssl::Error> {
        let mut builder = SslConnector::builder(SslMethod::tls_client()).expect("a connector");
        builder.set_verify(SslVerifyMode::NONE);
        set_up(&mut builder);
        let configuration = builder.build().configure().expect("a configuration");
        let ssl = configuration.into_ssl("mail.test").expect("a session");
        let mut stream = SslStream::new(ssl, self.0.into_inner()).expect("a stream");
        Pin::new(&mut stream).connect().await?;
        Ok(Client(BufStream::new(stream)))
    }
}

impl Client<TcpStream> {
    /// After greeting, EHLO and STARTTLS.
    pub(crate) async fn starttls(mut self) -> Self {
        self.reply().await;
        let extensions = self.ask("EHLO x").await;
        assert!(extensions.contains("250-STARTTLS"), "{extensions}");
        assert!(self.ask("STARTTLS").await.starts_with("220 "));
        self
    }
}
