use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::health::{ask, get};
use crate::site::Site;
use crate::{insert_many, send_port_over};

const WITHIN: Duration = Duration::from_secs(60);

/// Hundreds of clients that begin a request and never end it, and one that never stops writing:
/// email is sent, and proper requests are answered.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dawdle_or_flood_are_dropped() {
    let site = Site::watched(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    let service = site.run();
    let address = site.health_address().await;
    let dawdle = |_| {
        let mut stream = TcpStream::connect(address).expect("connect");
        stream
            .write_all(b"GET /metrics HTTP/1.1\r\nX-Slow: ")
            .expect("begin");
        stream
    };
    let mut dawdlers: Vec<_> = (0..300).map(dawdle).collect();
    insert_many(&site, 500);
    assert_eq!(get(address, "/healthz").0, 200);
    site.wait_until_all_final(WITHIN).await;
    assert_eq!(get(address, "/readyz").0, 200);

    for dawdler in &mut dawdlers {
        dawdler.set_read_timeout(Some(WITHIN)).expect("a time-out");
        let mut text = Vec::new();
        // Closed or reset; a refusal may come before.
        let _ = dawdler.read_to_end(&mut text);
        let refused = text.is_empty() || text.starts_with(b"HTTP/1.1 408");
        assert!(refused, "{}", String::from_utf8_lossy(&text));
    }
    let field = format!("X-Long: {}\r\n", "x".repeat(1000));
    let mut flood = TcpStream::connect(address).expect("connect");
    flood.write_all(b"GET / HTTP/1.1\r\n").expect("begin");
    let written = (0..10_000).take_while(|_| flood.write_all(field.as_bytes()).is_ok());
    assert!(written.count() < 10_000, "it reads no header of 10 MB");

    let request = "POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde";
    assert!(ask(address, request).starts_with("HTTP/1.1 405"));
    let index = get(address, "/");
    assert!(index.0 == 200 && index.1.contains("/readyz"), "{index:?}");
    assert_eq!(service.stop(), Some(0));
}
