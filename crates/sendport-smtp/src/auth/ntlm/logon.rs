//! The user name of NTLM, split into user and domain.

/// User and domain (MS-NLMP section 3.3.2: `User` and `UserDom`).
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Logon {
    pub(super) user: String,
    pub(super) domain: String,
}

impl Logon {
    /// `DOMAIN\user` in two; `user@domain` (a user principal name) and bare names whole, with
    /// the domain left to the server. Domains go out in capitals: some servers compute with
    /// capitals whatever was sent, none with small letters.
    pub(super) fn parse(username: &str) -> Self {
        match username.split_once('\\') {
            Some((domain, user)) => Self {
                user: user.to_owned(),
                domain: upper_case(domain),
            },
            None => Self {
                user: username.to_owned(),
                domain: String::new(),
            },
        }
    }
}

/// One character for one, as Windows does it: `ß` has no capital.
pub(super) fn upper_case(text: &str) -> String {
    let one = |c: char| {
        let mut upper = c.to_uppercase();
        match (upper.next(), upper.next()) {
            (Some(single), None) => single,
            _ => c,
        }
    };
    text.chars().map(one).collect()
}

/// UTF-16, the low byte first.
pub(super) fn utf_16(text: &str) -> Vec<u8> {
    // Never more than two bytes for each of UTF-8's, so that no copy is left behind.
    let mut bytes = Vec::with_capacity(text.len() * 2);
    bytes.extend(text.encode_utf16().flat_map(u16::to_le_bytes));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_a_name() {
        let parsed = |name| {
            let Logon { user, domain } = Logon::parse(name);
            (user, domain)
        };
        let pair = |user: &str, domain: &str| (user.to_owned(), domain.to_owned());
        assert_eq!(parsed("Contoso\\Alice"), pair("Alice", "CONTOSO"));
        assert_eq!(parsed("alice@contoso.com"), pair("alice@contoso.com", ""));
        assert_eq!(parsed("jürgen"), pair("jürgen", ""));
        assert_eq!(upper_case("jürgen groß"), "JÜRGEN GROß");
    }
}
