//! A man in the middle between client and server.

use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;

use openssl::base64::{decode_block, encode_block};
use openssl::ssl::{Ssl, SslAcceptor, SslConnector, SslMethod, SslVerifyMode};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio_openssl::SslStream;

/// Changes a response of SASL on its way to the server.
pub(crate) type Tamper = fn(&mut [u8]);

/// Forwards the unencrypted session, each line of base64 through `tamper`.
pub(crate) async fn rewriting(server: SocketAddr, tamper: Tamper) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let server = TcpStream::connect(server).await.expect("the server");
            tokio::spawn(hand_on(client, server, tamper));
        }
    });
    address
}

/// Ends the client's TLS with a certificate of its own, and begins another one to the server.
pub(crate) async fn with_another_certificate(
    server: SocketAddr,
    acceptor: SslAcceptor,
) -> SocketAddr {
    let (listener, address) = listen().await;
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let ssl = Ssl::new(acceptor.context()).expect("a TLS server");
            let mut client = SslStream::new(ssl, client).expect("a TLS stream");
            Pin::new(&mut client).accept().await.expect("a handshake");
            let server = connect_encrypted(server).await;
            tokio::spawn(hand_on(client, server, |_| {}));
        }
    });
    address
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.expect("a free port");
    let address = listener.local_addr().expect("its address");
    (listener, address)
}

/// An attacker does not check the server's certificate.
async fn connect_encrypted(server: SocketAddr) -> SslStream<TcpStream> {
    let mut connector = SslConnector::builder(SslMethod::tls_client()).expect("a connector");
    connector.set_verify(SslVerifyMode::NONE);
    let connector = connector.build().configure().expect("a TLS client");
    let ssl = connector.into_ssl("localhost").expect("a TLS client");
    let server = TcpStream::connect(server).await.expect("the server");
    let mut server = SslStream::new(ssl, server).expect("a TLS stream");
    let handshake = Pin::new(&mut server).connect().await;
    handshake.expect("a handshake with the server");
    server
}

/// Ends when either side does.
async fn hand_on(
    client: impl AsyncRead + AsyncWrite,
    server: impl AsyncRead + AsyncWrite,
    tamper: Tamper,
) {
    let (from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let replies = tokio::io::copy(&mut from_server, &mut to_client);
    let commands = async {
        let mut from_client = BufReader::new(from_client);
        let mut line = Vec::new();
        while from_client.read_until(b'\n', &mut line).await? > 0 {
            to_server.write_all(&rewritten(&line, tamper)).await?;
            line.clear();
        }
        std::io::Result::Ok(())
    };
    tokio::select! {
        _ = replies => {}
        _ = commands => {}
    }
}

/// Lines that are not base64 stay as they are.
fn rewritten(line: &[u8], tamper: Tamper) -> Vec<u8> {
    let text = String::from_utf8_lossy(line);
    match decode_block(text.trim_end()) {
        Ok(mut response) if !response.is_empty() => {
            tamper(&mut response);
            format!("{}\r\n", encode_block(&response)).into_bytes()
        }
        _ => line.to_vec(),
    }
}
