use std::net::TcpListener;

use crate::health::wait_for;
use crate::send_port_over;
use crate::site::{Site, text};

const DISCARD: &str = "[relay.main]\nkind = \"discard\"\n";

fn asked(site: &Site, arguments: &[&str]) -> (Option<i32>, String) {
    let output = site.sendport(arguments);
    (output.status.code(), text(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn health_says_what_the_pages_say() {
    let site = Site::new(&send_port_over(DISCARD));
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = free.local_addr().expect("its address");
    drop(free);
    site.listen(&address.to_string());
    let (code, shown) = asked(&site, &["health"]);
    assert_eq!(code, Some(1));
    assert!(
        shown.contains(&address.to_string()) && shown.contains("is the service running?"),
        "{shown}"
    );

    let service = site.run();
    site.health_address().await;
    wait_for(address, "/readyz", 200, "ready").await;
    assert_eq!(asked(&site, &["health"]), (Some(0), "ready\n".to_owned()));
    let database = site.database();
    database.execute_batch("BEGIN EXCLUSIVE").expect("lock");
    wait_for(address, "/readyz", 503, "lease").await;
    let (code, shown) = asked(&site, &["health"]);
    assert_eq!(code, Some(1));
    assert!(
        shown.contains("not ready") && shown.contains("lease"),
        "{shown}"
    );
    let alive = asked(&site, &["health", "--alive"]);
    assert_eq!(alive, (Some(0), "alive\n".to_owned()));
    database.execute_batch("ROLLBACK").expect("let go");
    assert_eq!(service.stop(), Some(0));
}

#[test]
fn health_that_is_not_shown_cannot_be_asked() {
    let site = Site::new(&send_port_over(DISCARD));
    let (code, shown) = asked(&site, &["health"]);
    assert_eq!(code, Some(3));
    assert!(shown.contains("http.listen is \"\""), "{shown}");
}
