//! The body of a token request (RFC 6749 appendix B).

use std::fmt::Write as _;

use secrecy::zeroize::Zeroizing;
use sendport_core::secret::Secret;

/// Names and values as `application/x-www-form-urlencoded`, and the values that no error message may
/// quote.
#[derive(Default)]
pub(super) struct Form {
    body: Zeroizing<String>,
    secrets: Vec<Secret>,
}

impl Form {
    pub(super) fn add(&mut self, name: &str, value: &str) {
        // Room for the worst case: a buffer that grows leaves a copy of the secret behind.
        let mut body = Zeroizing::new(String::with_capacity(
            self.body.len() + name.len() + 3 * value.len() + 2,
        ));
        body.push_str(&self.body);
        if !body.is_empty() {
            body.push('&');
        }
        body.push_str(name);
        body.push('=');
        encode(value, &mut body);
        self.body = body;
    }

    pub(super) fn add_secret(&mut self, name: &str, value: &Secret) {
        self.add(name, value.expose());
        self.secrets.push(value.clone());
    }

    pub(super) fn body(&self) -> &[u8] {
        self.body.as_bytes()
    }

    pub(super) fn secrets(&self) -> &[Secret] {
        &self.secrets
    }
}

/// Everything but the unreserved characters of RFC 3986 section 2.3 as `%XX`.
fn encode(value: &str, into: &mut String) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            into.push(char::from(byte));
        } else {
            let _infallible = write!(into, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_encoded() {
        let mut form = Form::default();
        form.add("scope", "https://outlook.office365.com/.default");
        form.add_secret("client_secret", &Secret::new("a&b=c +\u{e9}".into()));
        assert_eq!(
            form.body(),
            b"scope=https%3A%2F%2Foutlook.office365.com%2F.default&client_secret=a%26b%3Dc%20%2B%C3%A9"
        );
    }
}
