//! A token endpoint that checks what it is asked, as Entra ID does, and the book of the tokens
//! that it issued.

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use chrono::TimeDelta;
use openssl::base64::decode_block;
use openssl::hash::MessageDigest;
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::ssl::{Ssl, SslAcceptor};
use openssl::x509::X509;
use parking_lot::Mutex;
use sendport_core::clock::Clock;
use sendport_core::domain::Timestamp;
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_openssl::SslStream;

/// The one client that the endpoint knows.
pub(crate) const CLIENT_ID: &str = "11111111-2222-3333-4444-555555555555";
/// Its secret: of characters that a form has to encode, too.
pub(crate) const CLIENT_SECRET: &str = "3a8Q~s&cret+of=the/client.%";
/// What Entra ID wants for Exchange Online.
pub(crate) const SCOPE: &str = "https://outlook.office365.com/.default";
/// And for Azure SQL Database.
pub(crate) const DATABASE_SCOPE: &str = "https://database.windows.net/.default";
/// And for Microsoft Graph.
pub(crate) const GRAPH_SCOPE: &str = "https://graph.microsoft.com/.default";
/// The token that a user's consent left.
pub(crate) const REFRESH_TOKEN: &str = "0.AXoA-first-refresh-token";

/// How long an issued token is valid, in seconds.
pub(crate) const LIFE: i64 = 3600;

/// Tokens and when they end; shared with the SMTP server that they are for.
#[derive(Clone)]
pub(crate) struct TokenBook {
    clock: Arc<dyn Clock>,
    valid_until: Arc<Mutex<BTreeMap<String, Timestamp>>>,
}

impl TokenBook {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            valid_until: Arc::default(),
        }
    }

    pub(crate) fn issue(&self) -> String {
        let token = format!("EwB4A8l6BAAU-{}", uuid::Uuid::new_v4().simple());
        let end = self.clock.now() + TimeDelta::seconds(LIFE);
        self.valid_until.lock().insert(token.clone(), end);
        token
    }

    /// A JWT, whose signature nobody checks.
    pub(crate) fn issue_for(&self, audience: &str, roles: &[String]) -> String {
        let claims = json!({"aud": audience, "roles": roles, "jti": uuid::Uuid::new_v4()});
        let claims = openssl::base64::encode_block(claims.to_string().as_bytes());
        let claims = claims.replace('+', "-").replace('/', "_");
        let token = format!("e30.{}.c2ln", claims.trim_end_matches('='));
        let end = self.clock.now() + TimeDelta::seconds(LIFE);
        self.valid_until.lock().insert(token.clone(), end);
        token
    }

    pub(crate) fn is_valid(&self, token: &str) -> bool {
        let end = self.valid_until.lock().get(token).copied();
        end.is_some_and(|end| self.clock.now() < end)
    }

    /// All that were issued until now are worth nothing any more.
    pub(crate) fn revoke_all(&self) {
        for end in self.valid_until.lock().values_mut() {
            *end = self.clock.now();
        }
    }

    pub(crate) fn all(&self) -> Vec<String> {
        self.valid_until.lock().keys().cloned().collect()
    }
}

/// What the endpoint answers instead of looking at the request.
pub(crate) enum NextReply {
    /// Status with reason, further header lines, body.
    Answer(&'static str, &'static str, &'static str),
    /// The same, without the type of a token's answer.
    Untyped(&'static str, &'static str, &'static str),
    /// Nothing, for as long as the client waits.
    Silence,
    /// What is right, but not before this.
    After(Arc<Notify>),
}

#[derive(Default)]
struct State {
    requests: Vec<BTreeMap<String, String>>,
    instead: VecDeque<NextReply>,
    used_assertions: Vec<String>,
    refresh_token: Option<String>,
    roles: Vec<String>,
}

/// The endpoint. It ends with the test's runtime.
pub(crate) struct TokenEndpoint {
    pub(crate) url: String,
    shared: Arc<Shared>,
}

struct Shared {
    url: String,
    certificate: Option<X509>,
    book: TokenBook,
    state: Mutex<State>,
}

/// Error code and description (RFC 6749 section 5.2).
type Refusal = (&'static str, &'static str);

impl TokenEndpoint {
    pub(crate) async fn start(book: TokenBook) -> Self {
        Self::start_with(book, None, None).await
    }

    /// With the certificate of a client instead of its secret, and behind TLS.
    pub(crate) async fn start_with(
        book: TokenBook,
        certificate: Option<X509>,
        acceptor: Option<SslAcceptor>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let url = address_of(address, acceptor.is_some());
        let shared = Arc::new(Shared {
            url: url.clone(),
            certificate,
            book,
            state: Mutex::default(),
        });
        tokio::spawn(serve(listener, acceptor, Arc::clone(&shared)));
        Self { url, shared }
    }

    /// The next request is answered with this, whatever it is.
    pub(crate) fn next(&self, instead: NextReply) {
        self.shared.state.lock().instead.push_back(instead);
    }

    /// The permissions of the application in the next tokens for Graph.
    #[allow(dead_code, reason = "only one binary has a Graph")]
    pub(crate) fn set_roles(&self, roles: &[&str]) {
        self.shared.state.lock().roles = roles.iter().map(|&role| role.to_owned()).collect();
    }

    /// The forms that came in.
    pub(crate) fn requests(&self) -> Vec<BTreeMap<String, String>> {
        self.shared.state.lock().requests.clone()
    }

    /// Waits until so many requests came in.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        let mut look = tokio::time::interval(std::time::Duration::from_millis(5));
        for _ in 0..2000 {
            look.tick().await;
            if self.requests().len() >= count {
                return;
            }
        }
        panic!("expected {count} requests, found {}", self.requests().len());
    }
}

fn address_of(address: SocketAddr, tls: bool) -> String {
    let scheme = if tls { "https" } else { "http" };
    format!("{scheme}://{address}/contoso/oauth2/v2.0/token")
}

async fn serve(listener: TcpListener, acceptor: Option<SslAcceptor>, shared: Arc<Shared>) {
    loop {
        let (tcp, _) = listener.accept().await.expect("a connection");
        let (acceptor, shared) = (acceptor.clone(), Arc::clone(&shared));
        tokio::spawn(async move {
            let Some(acceptor) = acceptor else {
                return shared.converse(tcp).await;
            };
            let ssl = Ssl::new(acceptor.context()).expect("ssl");
            let mut stream = SslStream::new(ssl, tcp).expect("stream");
            // A client that refuses the certificate says so itself.
            if Pin::new(&mut stream).accept().await.is_ok() {
                shared.converse(stream).await;
            }
        });
    }
}

impl Shared {
    async fn converse(&self, mut wire: impl AsyncRead + AsyncWrite + Unpin) {
        let Some((head, body)) = request(&mut wire).await else {
            return;
        };
        let form = decoded_form(&body);
        let instead = {
            let mut state = self.state.lock();
            state.requests.push(form.clone());
            state.instead.pop_front()
        };
        let response = match instead {
            Some(NextReply::Silence) => return std::future::pending().await,
            Some(NextReply::Answer(status, headers, body)) => response(status, headers, body),
            Some(NextReply::Untyped(status, headers, body)) => untyped(status, headers, body),
            Some(NextReply::After(signal)) => {
                signal.notified().await;
                self.answer(&head, &form)
            }
            None => self.answer(&head, &form),
        };
        let _gone = wire.write_all(response.as_bytes()).await;
        let _gone = wire.shutdown().await;
    }

    fn answer(&self, head: &str, form: &BTreeMap<String, String>) -> String {
        match self.judge(head, form) {
            Ok(answer) => response("200 OK", "", &answer.to_string()),
            Err((error, description)) => {
                let status = match error {
                    "invalid_client" => "401 Unauthorized",
                    _ => "400 Bad Request",
                };
                let body = json!({"error": error, "error_description": description});
                response(status, "", &body.to_string())
            }
        }
    }

    fn judge(&self, head: &str, form: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        let path = "POST /contoso/oauth2/v2.0/token HTTP/1.1\r\n";
        let head_is_right = head.starts_with(path)
            && head
                .to_ascii_lowercase()
                .contains("content-type: application/x-www-form-urlencoded");
        if !head_is_right {
            return Err(("invalid_request", "AADSTS900144: not a token request"));
        }
        let is = |name: &str, value: &str| form.get(name).map(String::as_str) == Some(value);
        if !is("client_id", CLIENT_ID) {
            return Err((
                "unauthorized_client",
                "AADSTS700016: the application was not found",
            ));
        }
        match &self.certificate {
            None if is("client_secret", CLIENT_SECRET) => {}
            None => {
                let output = "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: 1";
                return Err(("invalid_client", output));
            }
            Some(certificate) => self.judge_assertion(form, certificate)?,
        }
        match form.get("grant_type").map(String::as_str) {
            Some("client_credentials") if is("scope", SCOPE) || is("scope", DATABASE_SCOPE) => {
                Ok(self.granted())
            }
            Some("client_credentials") if is("scope", GRAPH_SCOPE) => {
                let roles = self.state.lock().roles.clone();
                let token = self.book.issue_for("https://graph.microsoft.com", &roles);
                Ok(json!({"token_type": "Bearer", "expires_in": LIFE, "access_token": token}))
            }
            Some("client_credentials") => {
                Err(("invalid_scope", "AADSTS70011: the scope is not valid"))
            }
            Some("refresh_token") => self.refresh(form),
            _ => Err(("unsupported_grant_type", "AADSTS70003: unknown grant")),
        }
    }

    fn granted(&self) -> Value {
        json!({"token_type": "Bearer", "expires_in": LIFE, "access_token": self.book.issue()})
    }

    /// Each refresh token works once: a new one comes with the answer.
    fn refresh(&self, form: &BTreeMap<String, String>) -> Result<Value, Refusal> {
        let mut state = self.state.lock();
        let right = state.refresh_token.as_deref().unwrap_or(REFRESH_TOKEN);
        if form.get("refresh_token").map(String::as_str) != Some(right) {
            return Err((
                "invalid_grant",
                "AADSTS70000: the refresh token was used before",
            ));
        }
        let next = format!("0.AXoA-{}", uuid::Uuid::new_v4().simple());
        state.refresh_token = Some(next.clone());
        let mut answer = self.granted();
        answer["refresh_token"] = next.into();
        Ok(answer)
    }

    /// RFC 7523 section 3, with the header of Entra ID.
    fn judge_assertion(
        &self,
        form: &BTreeMap<String, String>,
        certificate: &X509,
    ) -> Result<(), Refusal> {
        let wrong = |why| Err(("invalid_client", why));
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        if form.get("client_assertion_type").map(String::as_str) != Some(kind) {
            return wrong("AADSTS7000218: client_assertion or client_secret expected");
        }
        let assertion = form.get("client_assertion").map_or("", String::as_str);
        let parts: Vec<&str> = assertion.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return wrong("AADSTS50027: the assertion is no JWT");
        };
        let (head, output) = (json_of(header), json_of(claims));
        let sha256 = certificate
            .digest(MessageDigest::sha256())
            .expect("a digest");
        if head["x5t#S256"].as_str().map(decoded) != Some(sha256.to_vec()) {
            return wrong("AADSTS700027: the certificate with this thumbprint is not registered");
        }
        let signed = format!("{header}.{claims}");
        if !verifies(
            certificate,
            head["alg"].as_str(),
            signed.as_bytes(),
            &decoded(signature),
        ) {
            return wrong("AADSTS700027: the signature does not verify");
        }
        if output["aud"] != self.url.as_str()
            || output["iss"] != CLIENT_ID
            || output["sub"] != CLIENT_ID
        {
            return wrong("AADSTS700023: audience, issuer or subject is wrong");
        }
        let now = self.book.clock.now().timestamp();
        let time = |name: &str| output[name].as_i64().unwrap_or_default();
        if !(now < time("exp") && time("exp") <= now + 600 && time("nbf") <= now) {
            return wrong("AADSTS700024: the assertion is not within its valid time range");
        }
        let id = output["jti"].as_str().unwrap_or_default().to_owned();
        let mut state = self.state.lock();
        if id.is_empty() || state.used_assertions.contains(&id) {
            return wrong("AADSTS700025: the assertion was used before");
        }
        state.used_assertions.push(id);
        Ok(())
    }
}

fn verifies(certificate: &X509, algorithm: Option<&str>, signed: &[u8], signature: &[u8]) -> bool {
    let key = certificate.public_key().expect("a public key");
    let mut verifier = Verifier::new(MessageDigest::sha256(), &key).expect("a verifier");
    match algorithm {
        Some("RS256") => {}
        Some("PS256") => {
            verifier.set_rsa_padding(Padding::PKCS1_PSS).expect("PSS");
            verifier
                .set_rsa_mgf1_md(MessageDigest::sha256())
                .expect("MGF1");
            let salt = RsaPssSaltlen::DIGEST_LENGTH;
            verifier
                .set_rsa_pss_saltlen(salt)
                .expect("the salt's length");
        }
        _ => return false,
    }
    verifier.verify_oneshot(signature, signed).unwrap_or(false)
}

fn decoded(base64url: &str) -> Vec<u8> {
    let padding = "=".repeat((4 - base64url.len() % 4) % 4);
    let base64 = base64url.replace('-', "+").replace('_', "/") + &padding;
    decode_block(&base64).unwrap_or_default()
}

fn json_of(base64url: &str) -> Value {
    serde_json::from_slice(&decoded(base64url)).unwrap_or_default()
}

fn response(status: &str, headers: &str, body: &str) -> String {
    untyped(
        status,
        &format!("Content-Type: application/json\r\n{headers}"),
        body,
    )
}

fn untyped(status: &str, headers: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Head and body of one request.
async fn request(wire: &mut (impl AsyncRead + Unpin)) -> Option<(String, String)> {
    let mut received = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&received).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let lower = head.to_ascii_lowercase();
            let length = lower.split("content-length: ").nth(1)?;
            let length: usize = length.lines().next()?.parse().ok()?;
            if body.len() >= length {
                return Some((head.to_owned() + "\r\n", body.to_owned()));
            }
        }
        let mut more = [0; 4096];
        match wire.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(n) => received.extend_from_slice(&more[..n]),
        }
    }
}

fn decoded_form(body: &str) -> BTreeMap<String, String> {
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').expect("name=value");
        (percent_decoded(name), percent_decoded(value))
    };
    body.split('&').map(pair).collect()
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let byte = match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().expect("a digit"), rest.next().expect("a digit")];
                let digits = std::str::from_utf8(&digits).expect("ASCII");
                u8::from_str_radix(digits, 16).expect("hexadecimal")
            }
            byte => byte,
        };
        bytes.push(byte);
    }
    String::from_utf8(bytes).expect("UTF-8")
}
