//! What is chosen of what is offered.

use super::*;

const PASSWORD_OVER_TLS: Choice = Choice {
    has_password: true,
    has_tokens: false,
    has_certificate: false,
    names_domain: false,
    encrypted: true,
    allow_cleartext: false,
};

fn offered(names: &str) -> Vec<String> {
    names.split_ascii_whitespace().map(str::to_owned).collect()
}

fn auto(choice: Choice, names: &str) -> Result<&'static str, String> {
    let chosen = choice.choose(AuthMechanism::Auto, &offered(names));
    chosen.map(Sasl::name).map_err(|error| error.to_string())
}

#[test]
fn the_strongest_of_what_is_offered() {
    for (names, expected) in [
        (
            "LOGIN PLAIN NTLM CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256",
            "SCRAM-SHA-256",
        ),
        ("LOGIN PLAIN NTLM CRAM-MD5 SCRAM-SHA-1", "SCRAM-SHA-1"),
        ("LOGIN PLAIN NTLM CRAM-MD5 XOAUTH2", "CRAM-MD5"),
        ("LOGIN NTLM PLAIN", "PLAIN"),
        ("GSSAPI NTLM LOGIN", "LOGIN"),
        ("GSSAPI NTLM", "NTLM"),
    ] {
        assert_eq!(auto(PASSWORD_OVER_TLS, names), Ok(expected), "{names}");
    }
}

#[test]
fn ntlm_first_for_a_name_in_a_windows_domain() {
    let choice = Choice {
        names_domain: true,
        ..PASSWORD_OVER_TLS
    };
    assert_eq!(auto(choice, "LOGIN NTLM CRAM-MD5"), Ok("NTLM"));
    assert_eq!(auto(choice, "NTLM SCRAM-SHA-1"), Ok("SCRAM-SHA-1"));
}

#[test]
fn a_token_where_one_is_configured_and_a_password_where_none_is_taken() {
    let choice = Choice {
        has_tokens: true,
        ..PASSWORD_OVER_TLS
    };
    assert_eq!(auto(choice, "PLAIN XOAUTH2 OAUTHBEARER"), Ok("OAUTHBEARER"));
    assert_eq!(auto(choice, "LOGIN XOAUTH2 SCRAM-SHA-256"), Ok("XOAUTH2"));
    assert_eq!(auto(choice, "LOGIN"), Ok("LOGIN"));
    let token_alone = Choice {
        has_password: false,
        ..choice
    };
    let error = auto(token_alone, "LOGIN PLAIN").expect_err("nothing fits");
    assert!(
        error.contains("OAUTHBEARER or XOAUTH2, it offers LOGIN PLAIN"),
        "{error}"
    );
}

#[test]
fn no_mechanism_that_sends_the_secret_unencrypted() {
    let clear = Choice {
        encrypted: false,
        has_tokens: true,
        ..PASSWORD_OVER_TLS
    };
    assert_eq!(auto(clear, "PLAIN XOAUTH2 CRAM-MD5"), Ok("CRAM-MD5"));
    assert_eq!(auto(clear, "PLAIN LOGIN NTLM"), Ok("NTLM"));
    for names in ["PLAIN LOGIN", "XOAUTH2"] {
        let error = auto(clear, names).expect_err(names);
        assert!(error.contains("allow_cleartext_auth"), "{error}");
    }
    let accepted = Choice {
        allow_cleartext: true,
        has_tokens: false,
        ..clear
    };
    assert_eq!(auto(accepted, "PLAIN NTLM"), Ok("PLAIN"));
    assert_eq!(auto(accepted, "PLAIN CRAM-MD5"), Ok("CRAM-MD5"));
}

#[test]
fn a_fixed_one_or_none() {
    let fixed = |mechanism, names: &str| PASSWORD_OVER_TLS.choose(mechanism, &offered(names));
    assert_eq!(
        fixed(AuthMechanism::Login, "PLAIN LOGIN").ok(),
        Some(Sasl::Login)
    );
    for (mechanism, names, why) in [
        (
            AuthMechanism::Ntlm,
            "PLAIN LOGIN",
            "AUTH NTLM, it offers PLAIN LOGIN",
        ),
        (AuthMechanism::Plain, "", "no authentication"),
        (AuthMechanism::Xoauth2, "XOAUTH2", "auth.oauth2"),
        (
            AuthMechanism::External,
            "EXTERNAL",
            "client_certificate_file",
        ),
        (
            AuthMechanism::Gssapi,
            "PLAIN",
            AuthMechanism::NO_GSSAPI.unwrap_or("AUTH GSSAPI"),
        ),
    ] {
        let error = fixed(mechanism, names).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
    }
}
