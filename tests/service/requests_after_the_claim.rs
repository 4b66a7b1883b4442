use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};

use crate::site::{Site, text};
use crate::{insert_many, plain_relay, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);
const ALERTS: u32 = 60;

/// A relay with one connection that keeps the first message waiting for its reply, while the instance has claimed all
/// other alerts.
struct BusyRelay {
    site: Site,
    recipients: mpsc::UnboundedReceiver<String>,
    answer: oneshot::Sender<()>,
}

impl BusyRelay {
    /// `before`: what operators want before anything is claimed.
    async fn with_all_claimed(before: &[&str]) -> (Self, crate::site::Service) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let address = listener.local_addr().expect("an address");
        let (said, recipients) = mpsc::unbounded_channel();
        let (answer, mut answered) = oneshot::channel();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let _ends_with_the_client = serve(stream, &said, &mut answered).await;
            }
        });
        let relay = plain_relay(address) + "max_connections = 1\n";
        let site = Site::new(&send_port_over(&relay));
        if !before.is_empty() {
            assert!(site.sendport(before).status.success());
        }
        insert_many(&site, ALERTS);
        let service = site.run();
        let claimed = "SELECT count(*) FROM AlertState WHERE Status = 'sending'";
        site.wait_until(claimed, &ALERTS.to_string(), WITHIN).await;
        let mut busy = Self {
            site,
            recipients,
            answer,
        };
        busy.recipients.recv().await.expect("the first recipient");
        (busy, service)
    }

    /// The relay answers. Returns the site and the recipients of all other messages, once `query` answers `expected`.
    async fn go_on(self, query: &str, expected: &str) -> (Site, Vec<String>) {
        let Self {
            site,
            mut recipients,
            answer,
        } = self;
        answer.send(()).expect("the relay waits");
        site.wait_until(query, expected, WITHIN).await;
        let mut others = Vec::new();
        while let Ok(one) = recipients.try_recv() {
            others.push(one);
        }
        (site, others)
    }

    fn says(&self, arguments: &[&str]) {
        let output = self.site.sendport(arguments);
        assert!(output.status.success(), "{}", text(&output));
    }
}

/// The first content is answered once `answered` is sent or dropped, all others at once.
async fn serve(
    stream: TcpStream,
    recipients: &mpsc::UnboundedSender<String>,
    answered: &mut oneshot::Receiver<()>,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    stream.write_all(b"220 busy.example.test ESMTP\r\n").await?;
    let (mut content, mut line) = (false, String::new());
    while stream.read_line(&mut line).await? > 0 {
        let said = line.trim_end();
        let reply = match said {
            "." => {
                content = false;
                if !answered.is_terminated() {
                    let _answered_or_over = (&mut *answered).await;
                }
                "250 taken"
            }
            _ if content => "",
            "DATA" => {
                content = true;
                "354 go on"
            }
            _ => "250 ok",
        };
        if let Some(path) = said.strip_prefix("RCPT TO:").filter(|_| !content) {
            let _ = recipients.send(path.to_owned());
        }
        if !reply.is_empty() {
            stream.write_all(format!("{reply}\r\n").as_bytes()).await?;
        }
        line.clear();
    }
    Ok(())
}

const FINAL: &str = "SELECT count(*) FROM AlertState WHERE Status = 'relayed'";
const NOT_IN_WORK: &str = "SELECT count(*) FROM AlertState WHERE Status <> 'sending'";

/// From the commit on nothing begins that goes to a recipient; the message that the relay is taking is the only one.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_honoured_by_alerts_that_wait_for_a_connection() {
    let (busy, service) = BusyRelay::with_all_claimed(&[]).await;
    busy.says(&["redirect", "--to", "qa@example.test", "--all"]);
    let (site, others) = busy.go_on(FINAL, "60").await;
    assert_eq!(others, vec!["<qa@example.test>"; 59]);
    let once = "SELECT count(*) FROM Attempt WHERE AttemptNumber = 1";
    assert_eq!(
        site.value(once),
        "60",
        "none is counted for what was given back"
    );
    assert_eq!(service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_redirect_is_honoured_likewise() {
    let redirect = ["redirect", "--to", "qa@example.test", "--all"];
    let (busy, service) = BusyRelay::with_all_claimed(&redirect).await;
    busy.says(&["release", "--redirect", "1"]);
    let (_site, others) = busy.go_on(FINAL, "60").await;
    assert_eq!(others.len(), 59);
    assert!(
        others.iter().all(|it| it.starts_with("<user")),
        "{others:?}"
    );
    assert_eq!(service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_keeps_alerts_that_wait_for_a_connection() {
    let (busy, service) = BusyRelay::with_all_claimed(&[]).await;
    busy.says(&["hold", "--send-port", "default"]);
    let (site, others) = busy.go_on(NOT_IN_WORK, "60").await;
    assert_eq!(others, Vec::<String>::new());
    let queued = "SELECT count(*) FROM AlertState WHERE Status = 'queued' AND AttemptCount = 0";
    assert_eq!(site.value(queued), "59");
    assert_eq!(service.stop(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_ends_alerts_that_wait_for_a_connection() {
    let (busy, service) = BusyRelay::with_all_claimed(&[]).await;
    busy.says(&["cancel", "--all"]);
    let done = "SELECT State || ' ' || AppliedCount FROM OperatorRequest";
    let (site, others) = busy.go_on(done, "done 59").await;
    assert_eq!(others, Vec::<String>::new());
    let ended = "SELECT count(*) FROM AlertState WHERE Status = 'cancelled'";
    assert_eq!(site.value(ended), "59");
    assert_eq!(service.stop(), Some(0));
}

/// The database does not say what operators want: nothing begins, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_given_back_while_requests_cannot_be_read() {
    let (busy, service) = BusyRelay::with_all_claimed(&[]).await;
    let database = busy.site.database();
    let table = |from: &str, to: &str| {
        let renamed = database.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}"));
        renamed.expect("rename");
    };
    table("OperatorRequest", "Unreadable");
    let (site, others) = busy.go_on(NOT_IN_WORK, "60").await;
    assert_eq!(others, Vec::<String>::new());
    let reason = "SELECT DISTINCT StatusReason FROM AlertState WHERE Status = 'queued'";
    let reason = site.value(reason);
    assert!(
        reason.starts_with("waits for the requests of operators: "),
        "{reason}"
    );
    table("Unreadable", "OperatorRequest");
    site.wait_until(FINAL, "60", WITHIN).await;
    let once = "SELECT count(*) FROM Attempt WHERE AttemptNumber = 1";
    assert_eq!(site.value(once), "60");
    assert_eq!(service.stop(), Some(0));
    let warned = site.log();
    let warned = warned
        .matches("requests of operators not read, alerts given back")
        .count();
    assert_eq!(warned, 1);
}
