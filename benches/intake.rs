//! How fast an intake takes messages into SQLite, against how fast a Postfix takes the same messages into its queue
//! on the same disk, in the same run.
//!
//! Postfix's own load generator `smtp-source` submits to both, over as many connections. They take turns. Neither
//! delivers: Postfix puts each message on hold, and the send port of the intake is on hold. A reply of 250 means
//! for both that the message is on the disk. The time goes from the start of `smtp-source` to its end; then all
//! rows are counted.
//!
//!     tests/peers/install.sh target/peers && cargo bench --bench intake [-- <messages> <rounds> <connections> <bytes>]

#[path = "../tests/support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../tests/support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod maildir;
    pub(crate) mod peer;
    pub(crate) mod postfix;
}
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../tests/support/site.rs"]
mod site;

use std::net::SocketAddr;
use std::time::Instant;

use site::{Site, text};
use support::postfix::{Postfix, PostfixOptions};

const INTAKE: &str = "[relay.main]\nkind = \"discard\"\n\
    [send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n\
    [intake.local]\nkind = \"smtp\"\nlisten = [\"127.0.0.1:0\"]\nsend_port = \"default\"\nallow_senders = [\"*\"]\n\
    max_messages_per_connection = 1000000\n";

/// What is submitted in a turn.
struct Load {
    messages: usize,
    connections: usize,
    bytes: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    if !Postfix::available() {
        return;
    }
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<usize>().ok());
    let messages = numbers.next().unwrap_or(5000);
    let rounds = numbers.next().unwrap_or(5);
    let connections = numbers.next().unwrap_or(20);
    let bytes = numbers.next().unwrap_or(4000);
    let load = Load {
        messages,
        connections,
        bytes,
    };
    let hold = ("smtpd_recipient_restrictions", "static:HOLD, permit");
    let options = PostfixOptions {
        main_cf: vec![(hold.0.to_owned(), hold.1.to_owned())],
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(options).await;
    let site = Site::new(INTAKE);
    let held = site.sendport(&["hold", "--send-port", "default"]);
    assert!(held.status.success(), "{}", text(&held));
    let service = site.run();
    let intake = site.intake_address().await;
    print(&format!(
        "{messages} messages of {bytes} bytes a turn over {connections} connections\n\n\
         | round | Postfix, messages/s | sendport, messages/s | ratio |\n|---|---|---|---|"
    ));
    let (mut of_postfix, mut of_sendport) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let one = submit(&postfix, postfix.plain(), &load);
        let other = submit(&postfix, intake, &load);
        // The first round warms everything up.
        if round > 0 {
            print(&line(&round.to_string(), one, other));
            of_postfix.push(one);
            of_sendport.push(other);
        }
    }
    print(&line("median", median(of_postfix), median(of_sendport)));
    let rows = site.value("SELECT CAST(count(*) AS TEXT) FROM ReceivedMessage");
    assert_eq!(
        rows,
        ((rounds + 1) * messages).to_string(),
        "each 250 is a row"
    );
    assert_eq!(service.stop(), Some(0));
}

/// Messages a second.
fn submit(postfix: &Postfix, address: SocketAddr, load: &Load) -> f64 {
    let numbers = [load.connections, load.messages, load.bytes].map(|it| it.to_string());
    let [connections, messages, bytes] = &numbers;
    let arguments = [
        "-d",
        "-s",
        connections,
        "-m",
        messages,
        "-l",
        bytes,
        "-f",
        "app@example.test",
        "-t",
        "user@example.test",
    ];
    let start = Instant::now();
    postfix.smtp_source(address, &arguments);
    f64::from(u32::try_from(load.messages).expect("a small number")) / start.elapsed().as_secs_f64()
}

fn line(round: &str, one: f64, other: f64) -> String {
    format!("| {round} | {one:.0} | {other:.0} | {:.3} |", other / one)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[expect(clippy::print_stdout, reason = "the result of the benchmark")]
fn print(text: &str) {
    println!("{text}");
}
