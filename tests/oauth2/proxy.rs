//! The token endpoint is asked through the proxy that the environment names, and one on this
//! machine is not.

use std::sync::Arc;

use sendport_core::clock::SystemClock;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::check_explains_errors::site;
use crate::support::bearer_smtp::BearerSmtp;
use crate::support::token_endpoint::{CLIENT_SECRET, TokenBook, TokenEndpoint};

/// Runs `check` with a proxy that refuses the first request; returns that request and the output
/// of `check`.
async fn through_a_proxy(endpoint: &str, smtp: &BearerSmtp) -> (Option<String>, String) {
    let proxy = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = proxy.local_addr().expect("an address");
    let (smtp_site, endpoint) = (site(smtp, endpoint, CLIENT_SECRET), endpoint.to_owned());
    let check = Command::new(env!("CARGO_BIN_EXE_sendport"))
        .arg("--config")
        .arg(smtp_site.config())
        .arg("check")
        .env("HTTPS_PROXY", format!("http://{address}"))
        .env_remove("ALL_PROXY")
        .env_remove("NO_PROXY")
        .env_remove("no_proxy")
        .output();
    let asked = async {
        let (tcp, _) = proxy.accept().await.expect("a connection");
        let mut proxy = BufReader::new(tcp);
        let mut asked = String::new();
        proxy.read_line(&mut asked).await.expect("a request");
        let refusal = b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n";
        proxy.write_all(refusal).await.expect("an answer");
        asked
    };
    tokio::pin!(check);
    tokio::select! {
        output = &mut check => (None, shown(output)),
        asked = asked => {
            let shown = shown(check.await);
            assert!(shown.contains(&endpoint), "{shown}");
            (Some(asked), shown)
        }
    }
}

fn shown(output: std::io::Result<std::process::Output>) -> String {
    crate::site::text(&output.expect("the program ran"))
}

#[tokio::test]
async fn uses_the_proxy_except_for_loopback() {
    let book = TokenBook::new(Arc::new(SystemClock));
    let here = TokenEndpoint::start(book.clone()).await;
    let smtp = BearerSmtp::start(book).await;

    let (asked, shown) = through_a_proxy("https://login.example.test/token", &smtp).await;
    let asked = asked.unwrap_or_else(|| panic!("the proxy was not asked: {shown}"));
    assert!(
        asked.starts_with("CONNECT login.example.test:443 "),
        "{asked}"
    );
    assert!(
        shown.contains("cannot be asked") && shown.contains("proxy"),
        "{shown}"
    );

    let (asked, shown) = through_a_proxy(&here.url, &smtp).await;
    assert_eq!(asked, None);
    assert!(shown.contains("authenticated with XOAUTH2"), "{shown}");
}
