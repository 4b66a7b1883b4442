//! Why a directory was not read.

use std::path::PathBuf;

use ldap3::LdapError as Cause;

/// The search returned nothing, not even a part.
#[derive(Debug, thiserror::Error)]
pub enum LdapError {
    /// The password would be sent unencrypted.
    #[error(
        "{0} is not encrypted, and the password would be readable on the way; use ldaps: or StartTLS"
    )]
    Plaintext(String),
    /// No connection, or no TLS.
    #[error("the directory {url} cannot be reached: {}", reason(.why))]
    Unreachable {
        /// Of the directory.
        url: String,
        /// The last error.
        #[source]
        why: Box<Cause>,
    },
    /// The file of authorities.
    #[error("the authorities in '{}' cannot be used: {why}", .file.display())]
    Authorities {
        /// The file.
        file: PathBuf,
        /// Why.
        #[source]
        why: Box<dyn std::error::Error + Send + Sync>,
    },
    /// TLS is not available.
    #[error("TLS cannot be used: {0}")]
    Tls(#[source] native_tls::Error),
    /// The server refuses the bind.
    #[error("the directory refuses to authenticate '{name}': {}", reason(.why))]
    Authentication {
        /// The name.
        name: String,
        /// Its answer.
        #[source]
        why: Box<Cause>,
    },
    /// The server refuses the search.
    #[error("the directory refuses to search '{base}' for {filter}: {}", reason(.why))]
    Search {
        /// The base.
        base: String,
        /// The filter.
        filter: String,
        /// Its answer.
        #[source]
        why: Box<Cause>,
    },
    /// The server does not speak LDAP.
    #[error("what {0} answers is not LDAP")]
    NoLdap(String),
}

/// The server's result with its meaning (RFC 4511 appendix A.2), or the error of the connection.
fn reason(cause: &Cause) -> String {
    let Cause::LdapResult { result } = cause else {
        return match cause {
            Cause::Timeout { .. } => "it did not answer in time".to_owned(),
            Cause::FilterParsing => {
                "the filter is not one of RFC 4515, such as (mail=*)".to_owned()
            }
            Cause::EndOfStream | Cause::ResultRecv { .. } => "it closed the connection".to_owned(),
            other => other.to_string(),
        };
    };
    let meaning = match result.rc {
        1 => "it requires authentication first",
        3 | 4 => "there is more than it may hand out to this user",
        8 | 13 => "it wants TLS, or a stronger mechanism",
        32 => "the base does not exist, or may not be seen by this user",
        34 => "a name is not a distinguished name such as DC=contoso,DC=com",
        49 => "name or password is wrong",
        50 => "this user may not do that",
        51 | 52 => "it is busy or not available; try again",
        _ => "see RFC 4511 appendix A",
    };
    let said = match result.text.trim_matches(['\0', ' ']) {
        "" => String::new(),
        text => format!(", {text}"),
    };
    format!("{meaning} (result code {}{said})", result.rc)
}
