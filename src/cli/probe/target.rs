//! Which server is probed, and by which settings.

use std::time::Duration;

use sendport_core::domain::shown_names;
use sendport_smtp::settings::relay::RelayConfig;
use sendport_smtp::settings::relay::SmtpRelay;
use sendport_smtp::settings::tls::TlsMode;
use serde::de::DeserializeOwned;

use super::Args;
use crate::cli::Failure;
use crate::config::Config;

/// A host without a section of the configuration is not waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// One server: how it is called, and its section as the service would read it.
#[derive(Debug)]
pub(super) struct Target {
    pub(super) name: String,
    pub(super) section: SmtpRelay,
}

/// The relay of the configuration, with what the command line says instead.
pub(super) fn of_relay(config: &Config, name: &str, args: &Args) -> Result<Target, Failure> {
    let section = match config.relay.get(name) {
        Some(RelayConfig::Smtp(section)) => (**section).clone(),
        Some(RelayConfig::Mx(_)) => {
            return Err(Failure::Config(format!(
                "relay.{name} submits to the mail hosts of each domain: probe those of one, with --mx contoso.com"
            )));
        }
        Some(_) => {
            let what = format!("relay.{name} speaks no SMTP: there is nothing to probe");
            return Err(Failure::Config(what));
        }
        None => return Err(unknown_relay(config, name)),
    };
    let section = changed(section, args, args.timeout)?;
    Ok(Target {
        name: name.to_owned(),
        section,
    })
}

/// The relay of the configuration that is this server, with the same user.
pub(super) fn relay_of<'c>(config: &'c Config, target: &Target) -> Option<&'c str> {
    let wanted = &target.section;
    let user = wanted.auth.username.as_deref()?;
    let is_it = |relay: &RelayConfig| match relay {
        RelayConfig::Smtp(section) => {
            section.host.eq_ignore_ascii_case(&wanted.host)
                && section.port() == wanted.port()
                && section.auth.username.as_deref() == Some(user)
        }
        _ => false,
    };
    let mut relays = config.relay.iter();
    let (name, _) = relays.find(|(_, relay)| is_it(relay))?;
    Some(name)
}

fn unknown_relay(config: &Config, name: &str) -> Failure {
    let known = &config.relay;
    Failure::Config(format!(
        "the configuration has no relay '{name}'; it has: {}",
        if known.is_empty() {
            "none".to_owned()
        } else {
            shown_names(known.keys())
        }
    ))
}

/// A host of the command line, `name`, `name:port`, `address` or `[address]:port`.
pub(super) fn of_host(written: &str, args: &Args) -> Result<Target, Failure> {
    let (host, port) = split(written)?;
    let mut section = section_of(host)?;
    section.port = port;
    section.tls = match port {
        Some(465) => TlsMode::Implicit,
        Some(587) => TlsMode::Starttls,
        _ => TlsMode::Opportunistic,
    };
    let patience = args.timeout.unwrap_or(PATIENCE);
    Ok(Target {
        name: host.to_owned(),
        section: changed(section, args, Some(patience))?,
    })
}

/// One address of a host that takes a domain's mail.
pub(super) fn of_mail_host(
    address: std::net::IpAddr,
    name: &str,
    args: &Args,
) -> Result<Target, Failure> {
    let mut target = of_host(&address.to_string(), args)?;
    target.section.port = args.port.or(Some(25));
    if target.section.verify_name.is_none() {
        target.section.verify_name = Some(name.to_owned());
    }
    name.clone_into(&mut target.name);
    Ok(target)
}

fn section_of(host: &str) -> Result<SmtpRelay, Failure> {
    let section = serde_json::json!({ "host": host });
    serde_json::from_value(section).map_err(|error| Failure::Config(format!("'{host}': {error}")))
}

fn split(written: &str) -> Result<(&str, Option<u16>), Failure> {
    let parts = match written.rsplit_once(':') {
        // An IPv6 address without brackets has no port.
        Some((host, _)) if host.contains(':') && !host.ends_with(']') => None,
        parts => parts,
    };
    let Some((host, port)) = parts else {
        return Ok((written, None));
    };
    let port = port.parse().ok().filter(|&port: &u16| port != 0);
    match port {
        Some(port) if !host.is_empty() => Ok((host, Some(port))),
        _ => Err(Failure::Config(format!(
            "expected a host such as mail.contoso.com, mail.contoso.com:587 or [2001:db8::1]:25, found '{written}'"
        ))),
    }
}

/// What the command line says goes before what the section says.
fn changed(
    mut section: SmtpRelay,
    args: &Args,
    patience: Option<Duration>,
) -> Result<SmtpRelay, Failure> {
    let auth = &mut section.auth;
    if let Some(mechanism) = args.auth {
        auth.mechanism = mechanism;
    }
    if args.password_file.is_some() || args.password_env.is_some() {
        auth.password = None;
        auth.password_file.clone_from(&args.password_file);
        auth.password_env.clone_from(&args.password_env);
    }
    auth.username = args.user.clone().or(auth.username.take());
    auth.allow_cleartext_auth |= args.allow_cleartext_auth;
    section.tls = args.tls.unwrap_or(section.tls);
    section.ehlo_name = args.ehlo.clone().or(section.ehlo_name);
    section.ca_file = args.ca_file.clone().or(section.ca_file);
    section.verify_name = args.verify_name.clone().or(section.verify_name);
    section.verify_certificate &= !args.no_verify;
    if args.no_pipelining {
        section.ignore_extensions.push("PIPELINING".to_owned());
    }
    // The one session is kept until QUIT.
    section.messages_per_connection = 100;
    section.idle_timeout = Duration::from_secs(3600);
    if let Some(patience) = patience {
        shorten(&mut section, patience);
    }
    Ok(section)
}

fn shorten(section: &mut SmtpRelay, patience: Duration) {
    let waits = &mut section.timeout;
    for wait in [
        &mut waits.connect,
        &mut waits.greeting,
        &mut waits.command,
        &mut waits.tls_handshake,
        &mut waits.mail,
        &mut waits.rcpt,
        &mut waits.data,
        &mut waits.data_block,
        &mut waits.end_of_data,
        &mut waits.quit,
    ] {
        *wait = patience.min(*wait);
    }
}

/// A value as the configuration file takes it.
pub(super) fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::from(text)).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_and_its_port_are_read_as_people_write_them() {
        for (written, host, port) in [
            ("mail.contoso.com", "mail.contoso.com", None),
            ("mail.contoso.com:587", "mail.contoso.com", Some(587)),
            ("192.0.2.1:25", "192.0.2.1", Some(25)),
            ("[2001:db8::1]:465", "[2001:db8::1]", Some(465)),
            ("2001:db8::1", "2001:db8::1", None),
            ("[2001:db8::1]", "[2001:db8::1]", None),
        ] {
            assert_eq!(split(written).expect(written), (host, port));
        }
        for written in ["mail:", "mail:0", ":25", "mail:smtp", "mail:99999"] {
            let error = split(written).expect_err(written).to_string();
            assert!(error.contains("expected a host"), "{error}");
        }
    }
}
