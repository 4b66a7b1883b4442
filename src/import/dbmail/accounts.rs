//! Accounts: relays, and the From of the send ports that use them.

use std::collections::{BTreeMap, BTreeSet};

use sendport_core::domain::{Address, Mailbox};
use sendport_smtp::settings::tls::TlsMode;

use super::super::carry::{ImportedConfig, ImportedRelay, RelayLogin};
use super::super::names::{Names, file_name};
use super::snapshot::{Account, Snapshot};

/// Adds a relay for each account of a profile; returns their names by account.
pub(super) fn relays(snapshot: &Snapshot, made: &mut ImportedConfig) -> BTreeMap<i64, String> {
    let used: BTreeSet<_> = snapshot
        .profiles
        .iter()
        .flat_map(|profile| snapshot.accounts_of(profile.profile_id))
        .map(|account| account.account_id)
        .collect();
    let (mut names, mut files) = (Names::default(), Names::default());
    let mut of_account = BTreeMap::new();
    let ids: BTreeSet<_> = snapshot.accounts.iter().map(|it| it.account_id).collect();
    for account in ids.iter().filter_map(|id| snapshot.account(*id)) {
        let what = format!("account '{}'", account.name);
        if !used.contains(&account.account_id) {
            made.note(what, "no profile uses it; it is left out");
            continue;
        }
        let name = names.unique(&account.name, "account");
        let mut relay = relay(&what, name, account, made);
        if relay.login != RelayLogin::None {
            let base = file_name(&relay.name);
            relay.password_file = Some(files.unique(&format!("{base}.password"), "relay.password"));
        }
        of_account.insert(account.account_id, relay.name.clone());
        made.relays.push(relay);
    }
    of_account
}

fn relay(what: &str, name: String, account: &Account, made: &mut ImportedConfig) -> ImportedRelay {
    let written = account.servername.as_deref().unwrap_or_default();
    let port = account.port.unwrap_or(25);
    let (host, port) = made.server_or_placeholder(&format!("{what}, servername"), written, port);
    let tls = tls(what, account.enable_ssl, port, &host, made);
    let login = login(what, account, tls, made);
    if let Some(address) = filled(account.replyto_address.as_deref()) {
        made.note(
            format!("{what}, replyto_address"),
            format!(
                "a send port has no Reply-To; applications write '{address}' into the column ReplyTo \
                 (@reply_to) of their alerts"
            ),
        );
    }
    ImportedRelay {
        name,
        host,
        port,
        tls,
        login,
        password_file: None,
    }
}

fn tls(what: &str, enable_ssl: bool, port: u16, host: &str, made: &mut ImportedConfig) -> TlsMode {
    if !enable_ssl {
        return TlsMode::Opportunistic;
    }
    if host.parse::<std::net::IpAddr>().is_ok() {
        made.note(
            format!("{what}, servername"),
            format!(
                "'{host}' is an address; write host or verify_name as in the server's certificate"
            ),
        );
    }
    if port == 465 {
        made.note(
            format!("{what}, port"),
            "465 is imported as TLS from the first byte (tls = \"implicit\"); if the server expects \
             STARTTLS there, write tls = \"starttls\"",
        );
        return TlsMode::Implicit;
    }
    TlsMode::Starttls
}

fn login(what: &str, account: &Account, tls: TlsMode, made: &mut ImportedConfig) -> RelayLogin {
    if account.use_default_credentials {
        made.note(
            format!("{what}, use_default_credentials"),
            "Database Mail authenticates as the service account of SQL Server; write the name of an \
             account that the mail server accepts into username, and its password into the file \
             (mechanism \"ntlm\"), or use \"gssapi\" with a keytab",
        );
        return RelayLogin::WindowsAccount;
    }
    let Some(username) = filled(account.username.as_deref()) else {
        return RelayLogin::None;
    };
    made.note(
        format!("{what}, password"),
        "passwords are not exported; write it into the file that password_file names, or import with \
         --ask-passwords",
    );
    if tls == TlsMode::Opportunistic {
        made.note(
            format!("{what}, enable_ssl"),
            "Database Mail sends the password unencrypted; sendport does not. Write tls = \"starttls\", \
             or, if the server has no TLS and you accept it, allow_cleartext_auth = true",
        );
    }
    RelayLogin::Basic {
        username: username.to_owned(),
    }
}

/// The From of a profile whose first account this is.
pub(super) fn from(account: &Account, made: &mut ImportedConfig) -> Mailbox {
    let what = format!("account '{}', email_address", account.name);
    mailbox(account).unwrap_or_else(|| made.mailbox_or_placeholder(&what, &account.email_address))
}

/// Address and display name; `None` where the address is none.
pub(super) fn mailbox(account: &Account) -> Option<Mailbox> {
    let mut mailbox: Mailbox = account.email_address.parse().ok()?;
    if let Some(name) = display_name(account) {
        mailbox.display_name = Some(name);
    }
    Some(mailbox)
}

fn display_name(account: &Account) -> Option<String> {
    let visible: String = account
        .display_name
        .iter()
        .flat_map(|name| name.chars())
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    filled(Some(&visible)).map(str::to_owned)
}

/// Database Mail sends from the account that it uses; a send port has one From for all its relays.
pub(super) fn note_other_senders(what: &str, accounts: &[&Account], made: &mut ImportedConfig) {
    let sender = |account: &Account| {
        let address: Option<Address> = account.email_address.parse().ok();
        (address.map(|it| it.comparable()), display_name(account))
    };
    let Some((first, others)) = accounts.split_first() else {
        return;
    };
    for other in others.iter().filter(|it| sender(it) != sender(first)) {
        made.note(
            what,
            format!(
                "account '{}' sends from {}, but a send port has one From for all its relays, here that \
                 of account '{}'; make a send port of its own if the relay accepts only its own address",
                other.name, other.email_address, first.name
            ),
        );
    }
}

fn filled(text: Option<&str>) -> Option<&str> {
    text.map(str::trim).filter(|text| !text.is_empty())
}
