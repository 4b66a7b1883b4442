//! Which authentication a connection string asks for.

use super::authentication::{Authentication, Kerberos};
use super::connection_string::ConnectionString;
use super::connection_string_error::{ConnectionStringError, WindowsLoginError};
use super::kerberos;

/// What `Authentication` and its elder brothers say.
#[derive(Debug, PartialEq, Eq)]
enum RequestedAuth<'a> {
    /// Nothing, or a SQL login.
    Password,
    /// The pair that asks for an account of Windows.
    Windows(&'a str, &'a str),
    /// The value of `Authentication` that asks for Entra ID.
    Entra(&'a str),
}

/// `given` and what the pairs of the string say, together.
///
/// # Errors
/// [`ConnectionStringError`] says what to write instead.
pub(super) fn resolve(
    pairs: &ConnectionString,
    given: Authentication,
) -> Result<Authentication, ConnectionStringError> {
    match (given, asked(pairs)?) {
        (Authentication::AsWritten, RequestedAuth::Password) => login(pairs)
            .map(|_| Authentication::AsWritten)
            .ok_or(ConnectionStringError::NoLogin),
        (Authentication::AsWritten, RequestedAuth::Windows(key, value)) => {
            windows(pairs, Kerberos::default()).map_err(|source| {
                ConnectionStringError::WindowsPair {
                    key: key.to_owned(),
                    value: value.to_owned(),
                    source,
                }
            })
        }
        (Authentication::AsWritten, RequestedAuth::Entra(word)) => {
            Err(ConnectionStringError::Entra(word.to_owned()))
        }
        (
            Authentication::Windows(kerberos),
            RequestedAuth::Password | RequestedAuth::Windows(..),
        ) => windows(pairs, kerberos).map_err(ConnectionStringError::WindowsSection),
        (Authentication::Windows(_), RequestedAuth::Entra(word)) => {
            Err(ConnectionStringError::EntraBesideWindows(word.to_owned()))
        }
        (Authentication::EntraToken(_), RequestedAuth::Windows(key, value)) => {
            Err(ConnectionStringError::WindowsBesideToken {
                key: key.to_owned(),
                value: value.to_owned(),
            })
        }
        (
            given @ Authentication::EntraToken(_),
            RequestedAuth::Password | RequestedAuth::Entra(_),
        ) => check_token_alone(pairs).map(|()| given),
    }
}

fn asked(pairs: &ConnectionString) -> Result<RequestedAuth<'_>, ConnectionStringError> {
    let no = ["false", "no"];
    let windows = pairs
        .pair("integrated security")
        .filter(|(_, value)| !no.contains(&&*value.to_lowercase()));
    if let Some((key, value)) = windows {
        return Ok(RequestedAuth::Windows(key, value));
    }
    let Some(word) = pairs.get("authentication") else {
        return Ok(RequestedAuth::Password);
    };
    match &*plain(word) {
        "" | "notspecified" | "sqlpassword" => Ok(RequestedAuth::Password),
        entra if entra.starts_with("activedirectory") => Ok(RequestedAuth::Entra(word)),
        _ => Err(ConnectionStringError::UnknownAuthentication(
            word.to_owned(),
        )),
    }
}

/// `ActiveDirectoryMsi` and `Active Directory MSI` are the same word.
fn plain(word: &str) -> String {
    let letters = word.chars().filter(|c| !c.is_whitespace());
    letters.flat_map(char::to_lowercase).collect()
}

/// What to write instead of a value of `Authentication` that requests Entra ID.
pub(super) fn entra_advice(word: &str) -> &'static str {
    match &*plain(word) {
        "activedirectoryserviceprincipal" => {
            "write source = \"client_credentials\" there, with tenant, client_id (what 'User Id' \
             says) and client_secret_file (which holds what 'Password' says)"
        }
        "activedirectorymanagedidentity"
        | "activedirectorymsi"
        | "activedirectorydefault"
        | "activedirectoryworkloadidentity" => {
            "write source = \"command\" there, with the command that prints a token of this \
             machine's identity, such as [\"az\", \"account\", \"get-access-token\", \"--resource\", \
             \"https://database.windows.net/\"]"
        }
        _ => {
            "a service has no user who could authenticate with it: write source = \
             \"client_credentials\", \"command\" or \"file\" there"
        }
    }
}

fn windows(
    pairs: &ConnectionString,
    kerberos: Kerberos,
) -> Result<Authentication, WindowsLoginError> {
    if login(pairs).is_some() {
        return Err(WindowsLoginError::SqlLogin);
    }
    match kerberos::ABSENT {
        Some(why) => Err(WindowsLoginError::Absent(why)),
        None => Ok(Authentication::Windows(kerberos)),
    }
}

/// Anyone who has a token can use it: it is alone, and never unencrypted.
fn check_token_alone(pairs: &ConnectionString) -> Result<(), ConnectionStringError> {
    if login(pairs).is_some() || pairs.get("password").is_some() {
        return Err(ConnectionStringError::LoginBesideToken);
    }
    let encrypted = ["true", "yes", "mandatory", "strict"];
    match pairs.get("encrypt") {
        Some(value) if !encrypted.contains(&&*value.to_lowercase()) => {
            Err(ConnectionStringError::UnencryptedToken(value.to_owned()))
        }
        _ => Ok(()),
    }
}

fn login(pairs: &ConnectionString) -> Option<&str> {
    pairs.get("user id")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use async_trait::async_trait;
    use secrecy::SecretString;

    use super::super::authentication::{AccessTokens, CredentialError};
    use super::*;

    struct One;

    #[async_trait]
    impl AccessTokens for One {
        async fn token(&self) -> Result<SecretString, CredentialError> {
            Ok("t".into())
        }

        async fn refused(&self, _token: &SecretString) {}
    }

    fn read(given: Authentication, text: &str) -> Result<Authentication, ConnectionStringError> {
        resolve(&ConnectionString::read(text).expect("pairs"), given)
    }

    fn refused(given: Authentication, text: &str) -> String {
        read(given, text).expect_err(text).to_string()
    }

    fn token() -> Authentication {
        Authentication::EntraToken(Arc::new(One))
    }

    #[test]
    fn a_sql_login_may_be_asked_for_by_name() {
        for word in ["", "SqlPassword", "Sql Password", "Not Specified"] {
            let text = format!("User Id=a;Authentication={word};Trusted_Connection=no");
            assert!(matches!(
                read(Authentication::AsWritten, &text),
                Ok(Authentication::AsWritten)
            ));
        }
        assert!(refused(Authentication::AsWritten, "").contains("[database.auth]"));
        assert!(
            refused(Authentication::AsWritten, "User Id=a;Authentication=Magic").contains("Magic")
        );
    }

    #[test]
    fn each_word_of_entra_is_answered_with_what_to_write() {
        for (word, expected) in [
            ("Active Directory Service Principal", "client_secret_file"),
            ("ActiveDirectoryServicePrincipal", "client_credentials"),
            ("Active Directory Managed Identity", "get-access-token"),
            ("ActiveDirectoryMsi", "get-access-token"),
            ("Active Directory Interactive", "no user who could"),
        ] {
            let output = refused(Authentication::AsWritten, &format!("Authentication={word}"));
            assert!(
                output.contains(word) && output.contains("[database.auth.oauth2]"),
                "{output}"
            );
            assert!(output.contains(expected), "{output}");
        }
    }

    #[test]
    fn a_token_excludes_a_login_and_requires_encryption() {
        let accepted = read(
            token(),
            "Encrypt=Strict;Authentication=Active Directory Default",
        );
        assert!(matches!(accepted, Ok(Authentication::EntraToken(_))));
        assert!(refused(token(), "User Id=a").contains("remove"));
        assert!(refused(token(), "Pwd=a").contains("remove"));
        assert!(refused(token(), "Encrypt=false").contains("Encrypt=true"));
        assert!(refused(token(), "Integrated Security=SSPI").contains("keep one"));
    }

    #[test]
    fn a_windows_login_is_what_this_build_can_do() {
        let windows = || Authentication::Windows(Kerberos::default());
        for (given, text) in [
            (Authentication::AsWritten, "Integrated Security=true"),
            (Authentication::AsWritten, "Trusted_Connection=yes"),
            (windows(), ""),
        ] {
            match (read(given, text), kerberos::ABSENT) {
                (Ok(Authentication::Windows(_)), None) => {}
                (Err(error), Some(why)) => assert!(error.to_string().contains(why), "{error}"),
                (other, _) => panic!("{text}: {other:?}"),
            }
        }
        let beside = refused(
            Authentication::AsWritten,
            "Integrated Security=true;User Id=a",
        );
        assert!(beside.contains("remove one of the two"), "{beside}");
        let entra = refused(windows(), "Authentication=ActiveDirectoryMsi");
        assert!(entra.contains("keep one"), "{entra}");
    }
}
