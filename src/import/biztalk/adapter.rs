//! The servers of SMTP transports: each becomes one relay, which send ports share.

use std::collections::BTreeMap;

use sendport_smtp::settings::tls::TlsMode;

use super::super::carry::{ImportedConfig, ImportedRelay, RelayLogin};
use super::super::names::{Names, file_name};
use super::binding::Transport;
use super::custom_props::CustomProps;
use super::handlers::Handlers;

/// The relays so far.
pub(super) struct Relays<'a> {
    handlers: &'a Handlers,
    relays: Vec<ImportedRelay>,
    /// Their names, by host without case, port and login.
    by_server: BTreeMap<(String, u16, RelayLogin), String>,
    names: Names,
    files: Names,
}

impl<'a> Relays<'a> {
    pub(super) fn new(handlers: &'a Handlers) -> Self {
        Self {
            handlers,
            relays: Vec::new(),
            by_server: BTreeMap::new(),
            names: Names::default(),
            files: Names::default(),
        }
    }

    pub(super) fn add_to(self, made: &mut ImportedConfig) {
        made.relays.extend(self.relays);
    }

    /// A property of the transport, or of its handler where the transport has none.
    pub(super) fn property<'t>(&'t self, transport: &'t Transport, name: &str) -> Option<&'t str> {
        let own = transport
            .props
            .as_ref()
            .ok()
            .and_then(|props| props.get(name));
        own.or_else(|| self.handler(transport)?.get(name))
    }

    fn handler(&self, transport: &Transport) -> Option<&CustomProps> {
        self.handlers.of_host(transport.host.as_deref())
    }

    /// The name of the relay for a transport.
    pub(super) fn of(
        &mut self,
        what: &str,
        transport: &Transport,
        made: &mut ImportedConfig,
    ) -> String {
        let written = self
            .property(transport, "SMTPHost")
            .unwrap_or_default()
            .to_owned();
        if written.is_empty() {
            let host = transport.host.as_deref().unwrap_or("its host");
            made.note(
                format!("{what}, SMTPHost"),
                format!(
                    "the server is that of the send handler of {host}, which a binding file does not \
                     contain; import with --handlers, or correct it"
                ),
            );
        }
        let server = format!("{what}, SMTPHost");
        let (host, port) = made.server_or_placeholder(&server, &written, 25);
        let login = self.login(what, transport, made);
        let key = (host.to_ascii_lowercase(), port, login);
        if let Some(same) = self.by_server.get(&key) {
            return same.clone();
        }
        let name = self.names.unique(&host, "relay");
        let login = key.2.clone();
        self.by_server.insert(key, name.clone());
        let password = format!("{}.password", file_name(&name));
        let password_file = match login {
            RelayLogin::None => None,
            _ => Some(self.files.unique(&password, "relay.password")),
        };
        self.relays.push(ImportedRelay {
            name: name.clone(),
            host,
            port,
            // The adapter has no TLS.
            tls: TlsMode::Opportunistic,
            login,
            password_file,
        });
        name
    }

    fn login(&self, what: &str, transport: &Transport, made: &mut ImportedConfig) -> RelayLogin {
        let written = self.property(transport, "SMTPAuthenticate");
        let username = self.property(transport, "Username").unwrap_or_default();
        match written {
            Some("0") => RelayLogin::None,
            Some("1") => {
                if username.is_empty() {
                    made.note(
                        format!("{what}, Username"),
                        "there is none, but SMTPAuthenticate is 1; write it into username",
                    );
                }
                made.note(
                    format!("{what}, Password"),
                    "passwords are not imported; write it into the file that password_file names, or \
                     import with --ask-passwords",
                );
                made.note(
                    format!("{what}, SMTPAuthenticate"),
                    "BizTalk sends the password unencrypted; sendport does not. Write tls = \"starttls\", \
                     or, if the server has no TLS and you accept it, allow_cleartext_auth = true",
                );
                RelayLogin::Basic {
                    username: match username {
                        "" => "username".to_owned(),
                        username => username.to_owned(),
                    },
                }
            }
            _ => {
                made.note(
                    format!("{what}, SMTPAuthenticate"),
                    "BizTalk authenticates as the account of its host instance (NTLM, also where nothing is \
                     configured); write an account that the server accepts into username, and its password \
                     into the file, or remove the section auth if the server needs none",
                );
                RelayLogin::WindowsAccount
            }
        }
    }
}
