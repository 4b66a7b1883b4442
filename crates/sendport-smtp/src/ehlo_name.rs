//! The name in `EHLO` (RFC 5321 section 4.1.4): a fully qualified domain, or an address
//! literal where the host has no such name.

/// `ehlo_name` is neither a domain nor an address literal.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "ehlo_name: expected a domain such as 'db1.contoso.com' or an address literal such as \
     '[192.0.2.1]', found '{}'",
    .0.escape_debug()
)]
pub struct InvalidEhloName(String);

/// The name, if `EHLO` may have it (RFC 5321 section 4.1.4).
///
/// # Errors
/// [`InvalidEhloName`].
pub fn checked(name: &str) -> Result<String, InvalidEhloName> {
    if is_domain(name) || is_address_literal(name) {
        return Ok(name.to_owned());
    }
    Err(InvalidEhloName(name.to_owned()))
}

/// The host's fully qualified name, if it has one.
pub fn of_this_host() -> Option<String> {
    let name = host_name()?;
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap_or_default();
    qualified(&name, &hosts)
}

#[cfg(target_os = "linux")]
fn host_name() -> Option<String> {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?;
    Some(name.trim().to_owned()).filter(|name| !name.is_empty())
}

/// Windows keeps the two halves of the name in the environment.
#[cfg(not(target_os = "linux"))]
fn host_name() -> Option<String> {
    let host = std::env::var("COMPUTERNAME")
        .or_else(|_| std::env::var("HOSTNAME"))
        .ok()?;
    match std::env::var("USERDNSDOMAIN") {
        Ok(domain) if !host.contains('.') => Some(format!("{host}.{domain}").to_lowercase()),
        _ => Some(host),
    }
}

/// A dotted host name as it is, else the first dotted name beside it in the hosts file, as
/// `hostname --fqdn` does.
fn qualified(name: &str, hosts: &str) -> Option<String> {
    let usable = |name: &str| name.contains('.') && is_domain(name);
    if usable(name) {
        return Some(name.to_owned());
    }
    hosts
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default())
        .map(|line| line.split_ascii_whitespace().skip(1).collect::<Vec<_>>())
        .find(|names| names.iter().any(|other| other.eq_ignore_ascii_case(name)))
        .and_then(|names| {
            names
                .into_iter()
                .find(|name| usable(name))
                .map(str::to_owned)
        })
        .filter(|name| !name.starts_with("localhost"))
}

fn is_domain(name: &str) -> bool {
    let good_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(good_label)
}

fn is_address_literal(name: &str) -> bool {
    let inner = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'));
    inner.is_some_and(|inner| match inner.strip_prefix("IPv6:") {
        Some(v6) => v6.parse::<std::net::Ipv6Addr>().is_ok(),
        None => inner.parse::<std::net::Ipv4Addr>().is_ok(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_a_name_that_would_break_the_line() {
        for good in [
            "db1.contoso.com",
            "db1",
            "[192.0.2.1]",
            "[IPv6:2001:db8::1]",
        ] {
            assert_eq!(checked(good).as_deref(), Ok(good), "{good}");
        }
        for bad in [
            "",
            "a..b",
            "-a.b",
            "a b",
            "x\r\nRSET",
            "[300.1.1.1]",
            "[x]",
            "ä.de",
        ] {
            let error = checked(bad).expect_err(bad).to_string();
            assert!(error.contains("ehlo_name"), "{error}");
        }
    }

    #[test]
    fn the_hosts_file_qualifies_a_short_name() {
        let hosts = "127.0.0.1 localhost\n# 10.0.0.1 no.no db1\n10.0.0.2 db1.contoso.com db1\n";
        assert_eq!(qualified("db1", hosts).as_deref(), Some("db1.contoso.com"));
        assert_eq!(qualified("a.b", hosts).as_deref(), Some("a.b"));
        assert_eq!(qualified("db2", hosts), None);
    }
}
