use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::time::Duration;

use crate::health::get;
use crate::site::{Site, text};
use crate::{insert_many, send_port_over};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";
const WITHIN: Duration = Duration::from_secs(60);

#[test]
fn a_port_that_is_configured_has_to_be_free() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let site = Site::watched(&send_port_over(DISCARD));
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("127.0.0.1:0", &address)).expect("write");
    let ended = site.sendport(&["run"]);
    let output = text(&ended);
    assert_eq!(ended.status.code(), Some(1), "{output}");
    for word in [
        "http.listen",
        &address,
        "Address already in use",
        "ss -ltnp",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
    assert_eq!(site.value("SELECT count(*) FROM Instance"), "0");
}

/// An HTTP server that is no sendport.
fn stranger() -> (String, std::thread::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let served = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a connection");
        let mut request = [0; 1024];
        let _ = stream.read(&mut request).expect("a request");
        let answer = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nIt works!";
        stream.write_all(answer.as_bytes()).expect("answer");
    });
    (address, served)
}

/// What `run` refuses, `check` does; and what it goes on without is noted.
#[test]
fn check_says_of_a_taken_port_what_run_says() {
    let site = Site::new(&send_port_over(DISCARD));
    let (address, served) = stranger();
    site.listen(&address);
    let checked = site.sendport(&["check", "--offline"]);
    let output = text(&checked);
    assert_eq!(checked.status.code(), Some(1), "{output}");
    for word in [
        "FAIL  http.listen: ",
        &address,
        "Address already in use",
        "ss -ltnp",
    ] {
        assert!(output.contains(word), "{word}: {output}");
    }
    served.join().expect("it was asked");
}

/// It may be the very service that is checked.
#[tokio::test(flavor = "multi_thread")]
async fn check_notes_that_a_sendport_has_the_port() {
    let site = Site::watched(&send_port_over(DISCARD));
    let service = site.run();
    let address = site.health_address().await.to_string();
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("127.0.0.1:0", &address)).expect("write");
    let checked = site.sendport(&["check"]);
    let output = text(&checked);
    assert!(checked.status.success(), "{output}");
    let wanted = format!("note  http.listen: a sendport answers at {address} already");
    assert!(output.contains(&wanted), "{output}");
    assert_eq!(service.stop(), Some(0));
}

/// Email matters more: at the default port, the service goes on without the listener.
#[tokio::test(flavor = "multi_thread")]
async fn the_usual_port_may_be_taken() {
    // Where that fails, another program has it, which serves as well.
    let taken = TcpListener::bind("127.0.0.1:9587");
    let site = Site::new(&send_port_over(DISCARD));
    let config = std::fs::read_to_string(site.config()).expect("read");
    std::fs::write(site.config(), config.replace("listen = \"\"\n", "")).expect("write");
    insert_many(&site, 3);
    let service = site.run();
    site.wait_until_all_final(WITHIN).await;
    let log = site.log();
    assert!(log.contains("metrics listener failed, retrying"), "{log}");
    if let Ok(taken) = taken {
        drop(taken);
        let address = site.health_address().await;
        assert_eq!(get(address, "/healthz"), (200, "alive\n".to_owned()));
    }
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn an_address_that_others_reach_is_warned_about() {
    let site = Site::new(&send_port_over(DISCARD));
    site.listen("0.0.0.0:9587");
    let checked = site.sendport(&["check", "--offline"]);
    let output = text(&checked);
    assert!(checked.status.success(), "{output}");
    assert!(
        output.contains("note  http.listen: 0.0.0.0:9587 is not a loopback address"),
        "{output}"
    );
    let site = Site::new(&send_port_over(DISCARD));
    site.listen("localhost");
    let checked = site.sendport(&["check", "--offline"]);
    assert_eq!(checked.status.code(), Some(3));
    assert!(text(&checked).contains("FAIL  http.listen: expected an IP address and a port"));
}
