//! The SASL mechanisms of AUTH (RFC 4954): PLAIN (RFC 4616), LOGIN, and EXTERNAL (RFC 4422 appendix A).

use base64_simd::STANDARD;
use secrecy::zeroize::{Zeroize as _, Zeroizing};

/// A mechanism that a client may choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mechanism {
    Plain,
    Login,
    External,
}

impl Mechanism {
    /// By its registered name in upper case.
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        match name {
            "PLAIN" => Some(Self::Plain),
            "LOGIN" => Some(Self::Login),
            "EXTERNAL" => Some(Self::External),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::External => "EXTERNAL",
        }
    }
}

/// A response that does not follow its mechanism: 501 5.5.2.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct MalformedResponse;

/// Name and password.
pub(crate) struct Credentials {
    pub(crate) user: String,
    pub(crate) password: Zeroizing<String>,
}

/// A response in base64; `=` is the empty initial one (RFC 4954 section 4).
pub(crate) fn decode(response: &str) -> Result<Zeroizing<String>, MalformedResponse> {
    if response == "=" {
        return Ok(Zeroizing::default());
    }
    let decoded = STANDARD
        .decode_to_vec(response)
        .map_err(|_| MalformedResponse)?;
    match String::from_utf8(decoded) {
        Ok(text) => Ok(Zeroizing::new(text)),
        Err(error) => {
            error.into_bytes().zeroize();
            Err(MalformedResponse)
        }
    }
}

/// `authzid NUL authcid NUL password`. Nobody acts for another user: authzid is empty, or the user.
pub(crate) fn plain(response: &str) -> Result<Credentials, MalformedResponse> {
    let mut parts = response.split('\0');
    let (Some(acts_for), Some(user), Some(password), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(MalformedResponse);
    };
    if user.is_empty() || !(acts_for.is_empty() || acts_for == user) {
        return Err(MalformedResponse);
    }
    Ok(Credentials {
        user: user.to_owned(),
        password: Zeroizing::new(password.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_response_has_three_parts_and_acts_for_nobody_else() {
        for response in ["\0erp\0secret", "erp\0erp\0secret"] {
            let credentials = plain(response).ok().unwrap();
            assert_eq!(
                (&*credentials.user, &**credentials.password),
                ("erp", "secret")
            );
        }
        for response in [
            "",
            "erp\0secret",
            "other\0erp\0secret",
            "\0\0secret",
            "\0erp\0secret\0x",
        ] {
            assert!(plain(response).is_err(), "{response:?}");
        }
    }

    #[test]
    fn a_response_is_strict_base64_of_utf8() {
        assert_eq!(&**decode("AGVycABzZWNyZXQ=").unwrap(), "\0erp\0secret");
        assert_eq!(&**decode("=").unwrap(), "");
        for response in [
            "AGVycABzZWNyZXQ",
            "AGVyc ABzZWNyZXQ=",
            "*",
            "/w==",
            "AGVycABzZWNyZXR=",
        ] {
            assert!(decode(response).is_err(), "{response}");
        }
    }
}
