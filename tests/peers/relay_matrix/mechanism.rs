//! The mechanisms of the table, and right and wrong credentials for each.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use openssl::base64::encode_block;
use openssl::hash::MessageDigest;
use openssl::pkey::PKey;
use openssl::sign::Signer;
use sendport_core::secret::Secret;
use sendport_oauth2::{TokenError, TokenSource};
use sendport_smtp::SmtpRelay;

use super::server::{Server, Servers};
use crate::support::client::relay_with_password;
use crate::support::dovecot::TOKEN_KEY;
use crate::support::peer;
use crate::support::postfix::{PASSWORD, USER};

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mechanism {
    None,
    Plain,
    Login,
    CramMd5,
    ScramSha1,
    ScramSha256,
    Ntlm,
    Xoauth2,
    Oauthbearer,
    External,
    Gssapi,
}

/// Every column, in this order.
const MECHANISMS: [Mechanism; 11] = [
    Mechanism::None,
    Mechanism::Plain,
    Mechanism::Login,
    Mechanism::CramMd5,
    Mechanism::ScramSha1,
    Mechanism::ScramSha256,
    Mechanism::Ntlm,
    Mechanism::Xoauth2,
    Mechanism::Oauthbearer,
    Mechanism::External,
    Mechanism::Gssapi,
];

impl Mechanism {
    /// Those of this build: the last one is a feature.
    pub(super) fn columns() -> impl Iterator<Item = Self> {
        let all = MECHANISMS.into_iter();
        all.filter(|mechanism| *mechanism != Self::Gssapi || cfg!(feature = "gssapi"))
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "none",
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::CramMd5 => "CRAM-MD5",
            Self::ScramSha1 => "SCRAM-SHA-1",
            Self::ScramSha256 => "SCRAM-SHA-256",
            Self::Ntlm => "NTLM",
            Self::Xoauth2 => "XOAUTH2",
            Self::Oauthbearer => "OAUTHBEARER",
            Self::External => "EXTERNAL",
            Self::Gssapi => "GSSAPI",
        })
    }
}

/// Whether the credentials are those of [`USER`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Proof {
    Right,
    Wrong,
}

/// All credentials, right and wrong.
pub(super) struct Credentials {
    folder: PathBuf,
    outdated_keytab: PathBuf,
    keytab: PathBuf,
}

impl Credentials {
    /// Makes the credential files, below the servers' folder.
    pub(super) fn new(servers: &Servers) -> Self {
        let credentials = Self {
            folder: servers.folder().to_owned(),
            outdated_keytab: servers.kdc.outdated_keytab(),
            keytab: servers.kdc.user_keytab(),
        };
        for (proof, name) in [(Proof::Right, USER), (Proof::Wrong, "mallory")] {
            let issued = servers
                .authority
                .issue(&[name, &format!("{name}@example.test")]);
            let pem = [issued.certificate_pem(), issued.key_pem()].concat();
            peer::write(&credentials.certificate(proof), pem);
        }
        credentials
    }

    /// A relay that authenticates this way.
    pub(super) fn relay(
        &self,
        server: &Server,
        tls: &str,
        mechanism: Mechanism,
        proof: Proof,
    ) -> SmtpRelay {
        let [before, auth] = [
            self.wire(server, tls, mechanism, proof),
            self.authenticate(server, mechanism, proof),
        ];
        let settings = format!("{before}\n[auth]\n{auth}");
        let password = needs_password(mechanism).then(|| password(proof));
        let relay = relay_with_password(server.address(tls), &settings, password);
        if needs_token(mechanism) {
            return relay.with_token_source(Arc::new(Token(token(proof))));
        }
        relay
    }

    /// Settings of the connection.
    fn wire(&self, server: &Server, tls: &str, mechanism: Mechanism, proof: Proof) -> String {
        let mut lines = vec![
            format!("tls = {tls:?}"),
            format!("ca_file = {:?}", server.ca_file),
            "ca_file_only = true".to_owned(),
            "verify_name = \"localhost\"".to_owned(),
        ];
        if mechanism == Mechanism::External {
            let file = self.certificate(proof);
            lines.push(format!("client_certificate_file = {file:?}"));
        }
        lines.join("\n")
    }

    /// Settings of the section `auth`.
    fn authenticate(&self, server: &Server, mechanism: Mechanism, proof: Proof) -> String {
        let name = mechanism.to_string().to_lowercase();
        let mut lines = vec![format!("mechanism = {name:?}")];
        if needs_password(mechanism) || needs_token(mechanism) {
            lines.push(format!("username = {USER:?}"));
            lines.push("allow_cleartext_auth = true".to_owned());
        }
        if mechanism == Mechanism::Ntlm && server.ntlmv1 {
            lines.push("allow_ntlmv1 = true".to_owned());
        }
        if mechanism == Mechanism::Gssapi {
            lines.push(format!("keytab_file = {:?}", self.keytab(proof)));
        }
        lines.join("\n")
    }

    fn keytab(&self, proof: Proof) -> &Path {
        match proof {
            Proof::Right => &self.keytab,
            Proof::Wrong => &self.outdated_keytab,
        }
    }

    fn certificate(&self, proof: Proof) -> PathBuf {
        self.folder.join(format!("{proof:?}.pem"))
    }
}

fn needs_password(mechanism: Mechanism) -> bool {
    matches!(
        mechanism,
        Mechanism::Plain
            | Mechanism::Login
            | Mechanism::CramMd5
            | Mechanism::ScramSha1
            | Mechanism::ScramSha256
            | Mechanism::Ntlm
    )
}

fn needs_token(mechanism: Mechanism) -> bool {
    matches!(mechanism, Mechanism::Xoauth2 | Mechanism::Oauthbearer)
}

fn password(proof: Proof) -> &'static str {
    match proof {
        Proof::Right => PASSWORD,
        Proof::Wrong => "Secret-2",
    }
}

/// The one access token that there is.
struct Token(Secret);

#[async_trait]
impl TokenSource for Token {
    async fn token(&self) -> Result<Secret, TokenError> {
        Ok(self.0.clone())
    }

    async fn refused(&self, _token: &Secret) {}
}

/// A JWT (RFC 7519) in which [`USER`] is the subject, signed with the server's key or another one.
fn token(proof: Proof) -> Secret {
    let key: &[u8] = match proof {
        Proof::Right => TOKEN_KEY,
        Proof::Wrong => b"a key that no server knows......",
    };
    let header = base64url(br#"{"alg":"HS256","typ":"JWT"}"#);
    let claims = base64url(format!(r#"{{"sub":{USER:?},"exp":4102444800}}"#).as_bytes());
    let signed = format!("{header}.{claims}");
    let key = PKey::hmac(key).expect("a key");
    let mut signer = Signer::new(MessageDigest::sha256(), &key).expect("HMAC-SHA256");
    let signature = signer.sign_oneshot_to_vec(signed.as_bytes());
    let signature = base64url(&signature.expect("a signature"));
    Secret::new(format!("{signed}.{signature}"))
}

fn base64url(bytes: &[u8]) -> String {
    let text = encode_block(bytes);
    text.trim_end_matches('=')
        .replace('+', "-")
        .replace('/', "_")
}
