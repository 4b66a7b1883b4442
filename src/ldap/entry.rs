//! One person of a directory.

use std::collections::HashMap;

use ldap3::SearchEntry;

/// The requested attributes. `proxyAddresses` is Exchange's: `SMTP:` the first address, `smtp:` others.
pub(super) const ATTRIBUTES: [&str; 4] = [
    "mail",
    "proxyAddresses",
    "userCertificate",
    "userSMIMECertificate",
];

/// A person with a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryEntry {
    /// Distinguished name.
    pub name: String,
    /// Email addresses in lower case, the one of `mail` first.
    pub addresses: Vec<String>,
    /// `userCertificate` (RFC 4523): certificates in DER.
    pub certificates: Vec<Vec<u8>>,
    /// `userSMIMECertificate` (RFC 2798 section 2.8): SignedData in DER, with certificates and
    /// perhaps smimeCapabilities.
    pub signed: Vec<Vec<u8>>,
}

impl DirectoryEntry {
    /// `None` where there is neither an address nor a certificate.
    pub(super) fn of(entry: SearchEntry) -> Option<Self> {
        let name = entry.dn;
        let mut bytes = entry.bin_attrs;
        let texts = entry.attrs;
        // ldap3 returns values that are valid UTF-8 as text.
        let mut binary = |attribute: &str| -> Vec<Vec<u8>> {
            let read_as_text = values(&texts, attribute).map(|text| text.as_bytes().to_vec());
            let found = take(&mut bytes, attribute).into_iter();
            found.chain(read_as_text).collect()
        };
        let person = Self {
            name,
            certificates: binary("userCertificate"),
            signed: binary("userSMIMECertificate"),
            addresses: addresses(&texts),
        };
        let certified = !person.certificates.is_empty() || !person.signed.is_empty();
        (certified && !person.addresses.is_empty()).then_some(person)
    }
}

fn addresses(texts: &HashMap<String, Vec<String>>) -> Vec<String> {
    let proxies = values(texts, "proxyAddresses").filter_map(|text| {
        let (kind, address) = text.split_once(':')?;
        kind.eq_ignore_ascii_case("smtp").then_some(address)
    });
    let all = values(texts, "mail").map(String::as_str).chain(proxies);
    let mut found = Vec::new();
    for address in all.map(|address| address.trim().to_lowercase()) {
        if !address.is_empty() && !found.contains(&address) {
            found.push(address);
        }
    }
    found
}

/// An attribute is named with options or without: `userCertificate;binary` (RFC 4523 section 2.1).
fn is(name: &str, attribute: &str) -> bool {
    let bare = name.split(';').next().unwrap_or(name);
    bare.eq_ignore_ascii_case(attribute)
}

fn values<'t>(
    texts: &'t HashMap<String, Vec<String>>,
    attribute: &str,
) -> impl Iterator<Item = &'t String> {
    texts
        .iter()
        .filter(move |(name, _)| is(name, attribute))
        .flat_map(|(_, values)| values)
}

fn take(bytes: &mut HashMap<String, Vec<Vec<u8>>>, attribute: &str) -> Vec<Vec<u8>> {
    let names: Vec<_> = bytes.keys().filter(|name| is(name, attribute)).collect();
    let names: Vec<_> = names.into_iter().cloned().collect();
    let found = names.into_iter().filter_map(|name| bytes.remove(&name));
    found.flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(texts: &[(&str, &str)], bytes: &[(&str, &[u8])]) -> SearchEntry {
        let mut entry = SearchEntry {
            dn: "CN=Anna,DC=contoso,DC=com".into(),
            attrs: HashMap::new(),
            bin_attrs: HashMap::new(),
        };
        for (name, value) in texts {
            let values = entry.attrs.entry((*name).into()).or_default();
            values.push((*value).into());
        }
        for (name, value) in bytes {
            let values = entry.bin_attrs.entry((*name).into()).or_default();
            values.push(value.to_vec());
        }
        entry
    }

    #[test]
    fn a_person_has_every_address_once_and_every_certificate() {
        let texts = [
            ("mail", "Anna@Contoso.com"),
            ("proxyAddresses", "SMTP:anna@contoso.com"),
            ("proxyAddresses", "smtp:a.b@contoso.com"),
            ("proxyAddresses", "X400:c=US;a= ;p=Contoso"),
        ];
        let bytes: [(&str, &[u8]); 2] = [
            ("userCertificate;binary", b"\xff1"),
            ("userSMIMECertificate", b"\xff2"),
        ];
        let person = DirectoryEntry::of(entry(&texts, &bytes)).unwrap();
        assert_eq!(person.addresses, ["anna@contoso.com", "a.b@contoso.com"]);
        assert_eq!(person.certificates, [b"\xff1"]);
        assert_eq!(person.signed, [b"\xff2"]);
    }

    #[test]
    fn skips_entries_without_address_or_certificate() {
        assert_eq!(DirectoryEntry::of(entry(&[("mail", "a@b.c")], &[])), None);
        assert_eq!(
            DirectoryEntry::of(entry(&[], &[("userCertificate;binary", b"\xff")])),
            None
        );
    }
}
