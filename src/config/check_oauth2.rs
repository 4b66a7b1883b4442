//! Whether a section `[relay.<name>.auth.oauth2]` can work.

use std::time::Duration;

use sendport_oauth2::settings::{OAuth2Config, TokenCommand, TokenRequest, is_loopback};

/// A key below the section, and what is wrong with it and what to write instead.
pub(super) type Finding = (&'static str, String);

/// Everything that keeps the section from working.
pub(super) fn problems(oauth2: &OAuth2Config) -> Vec<Finding> {
    let mut found = Vec::new();
    match oauth2 {
        OAuth2Config::File(file) => {
            if file.token_file.as_os_str().is_empty() {
                found.push(("token_file", "there is none".to_owned()));
            }
        }
        OAuth2Config::Command(command) => check_command(command, &mut found),
        OAuth2Config::ClientCredentials(request) => {
            check_request(request, &mut found);
            check_client_proves_itself(request, &mut found);
        }
        OAuth2Config::RefreshToken(request) => {
            check_request(request, &mut found);
            check_refresh_token(request, &mut found);
        }
    }
    found
}

fn check_command(command: &TokenCommand, found: &mut Vec<Finding>) {
    if command
        .command
        .first()
        .is_none_or(|program| program.trim().is_empty())
    {
        let what = "there is none; write the program and its arguments as a list, such as \
                    [\"/usr/local/bin/mail-token\", \"--quiet\"]";
        found.push(("command", what.to_owned()));
    }
    check_timeout(command.timeout, found);
}

fn check_timeout(timeout: Duration, found: &mut Vec<Finding>) {
    if timeout.is_zero() {
        found.push((
            "timeout",
            "0 would never wait; write for example \"30s\"".to_owned(),
        ));
    }
}

fn check_request(request: &TokenRequest, found: &mut Vec<Finding>) {
    match request.endpoint() {
        Ok(endpoint) => check_endpoint(request, &endpoint, found),
        Err(error) => found.push(("tenant", error.to_string())),
    }
    if request.client_id.trim().is_empty() {
        found.push((
            "client_id",
            "there is none; the application's (client) id".to_owned(),
        ));
    }
    if request.scope.is_some() && request.resource.is_some() {
        let what = "scope is for endpoints of version 2, resource for those of version 1; keep one";
        found.push(("resource", what.to_owned()));
    }
    check_client(request, found);
    check_timeout(request.timeout, found);
}

/// The secret travels there: nothing but TLS will do, except on this machine itself.
fn check_endpoint(request: &TokenRequest, endpoint: &str, found: &mut Vec<Finding>) {
    let key = match request.token_endpoint {
        Some(_) => "token_endpoint",
        None => "authority",
    };
    let plain = endpoint.strip_prefix("http://");
    let here = plain.is_some_and(|rest| is_loopback(host_of(rest)));
    if !here && !endpoint.starts_with("https://") {
        let what = format!("expected an address that begins with https://, found '{endpoint}'");
        found.push((key, what));
    }
    if endpoint.contains(|c: char| c.is_whitespace() || "@?#\\".contains(c)) {
        let what =
            format!("expected https://host/path, without name, query or space, found '{endpoint}'");
        found.push((key, what));
    }
    if request.token_endpoint.is_some() && request.tenant.is_some() {
        let what = "token_endpoint is given, which is the whole address; keep one of the two";
        found.push(("tenant", what.to_owned()));
    }
    if request
        .tenant
        .as_deref()
        .is_some_and(|tenant| tenant.contains('/'))
    {
        found.push((
            "tenant",
            "expected the tenant's id or one of its domains".to_owned(),
        ));
    }
}

/// `[::1]:8080/token` to `[::1]`, `localhost/token` to `localhost`.
pub(super) fn host_of(rest: &str) -> &str {
    let authority = rest.split('/').next().unwrap_or_default();
    match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => authority,
    }
}

fn check_client(request: &TokenRequest, found: &mut Vec<Finding>) {
    let secrets = client_secrets(request);
    if secrets > 1 {
        let what = format!(
            "{secrets} of client_secret, client_secret_file and client_secret_env are given; give one"
        );
        found.push(("client_secret_file", what));
    }
    if secrets > 0 && request.certificate_file.is_some() {
        let what = "there is a client_secret beside it; keep one of the two";
        found.push(("certificate_file", what.to_owned()));
    }
    if request.key_file.is_some() && request.certificate_file.is_none() {
        let what = "there is no certificate_file; the endpoint finds the key by its certificate";
        found.push(("key_file", what.to_owned()));
    }
}

fn check_client_proves_itself(request: &TokenRequest, found: &mut Vec<Finding>) {
    if client_secrets(request) == 0 && request.certificate_file.is_none() {
        let what = "the application has to prove itself; write client_secret_file, \
                    client_secret_env or client_secret, or certificate_file and key_file";
        found.push(("client_secret_file", what.to_owned()));
    }
    if refresh_tokens(request) > 0 {
        let what = "it is not used with source = \"client_credentials\"; remove it, or write \
                    source = \"refresh_token\"";
        found.push(("refresh_token_file", what.to_owned()));
    }
}

fn check_refresh_token(request: &TokenRequest, found: &mut Vec<Finding>) {
    let given = refresh_tokens(request);
    if given != 1 {
        let what = format!(
            "{given} of refresh_token, refresh_token_file and refresh_token_env are given; give one"
        );
        found.push(("refresh_token_file", what));
    }
}

fn client_secrets(request: &TokenRequest) -> usize {
    let places = [
        request.client_secret.is_some(),
        request.client_secret_file.is_some(),
        request.client_secret_env.is_some(),
    ];
    places.into_iter().filter(|&given| given).count()
}

fn refresh_tokens(request: &TokenRequest) -> usize {
    let places = [
        request.refresh_token.is_some(),
        request.refresh_token_file.is_some(),
        request.refresh_token_env.is_some(),
    ];
    places.into_iter().filter(|&given| given).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(section: &str) -> String {
        let oauth2: OAuth2Config = toml::from_str(section).expect("a section");
        let found = problems(&oauth2);
        let lines = found.iter().map(|(key, what)| format!("{key}: {what}\n"));
        lines.collect()
    }

    fn client_credentials(rest: &str) -> String {
        found(&format!(
            "source = 'client_credentials'\nclient_id = 'c'\n{rest}"
        ))
    }

    #[test]
    fn valid_settings_are_accepted() {
        for rest in [
            "tenant = 'contoso.com'\nclient_secret_env = 'X'",
            "tenant = 'contoso.com'\ncertificate_file = 'c.pem'\nauthority = 'https://login.microsoftonline.us/'",
            "token_endpoint = 'http://[::1]:8080/token'\nclient_secret = 's'",
            "token_endpoint = 'http://localhost/token'\nclient_secret = 's'",
        ] {
            assert_eq!(client_credentials(rest), "", "{rest}");
        }
        assert_eq!(found("source = 'file'\ntoken_file = 't'"), "");
        assert_eq!(
            found("source = 'command'\ncommand = ['gcloud', 'auth']"),
            ""
        );
    }

    #[test]
    fn invalid_settings_are_named() {
        for (rest, expected) in [
            ("client_secret = 's'", "tenant: neither tenant nor"),
            (
                "tenant = 't'",
                "client_secret_file: the application has to prove itself",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\nclient_secret_env = 'X'",
                "2 of client_secret",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\ncertificate_file = 'c'",
                "certificate_file: there is",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\nkey_file = 'k'",
                "key_file: there is no certificate",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\nscope = 'a'\nresource = 'b'",
                "resource: scope is for",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\nrefresh_token = 'r'",
                "refresh_token_file: it is not",
            ),
            (
                "tenant = 't'\nclient_secret = 's'\ntimeout = '0s'",
                "timeout: 0 would",
            ),
            (
                "token_endpoint = 'http://idp.contoso.com/token'\nclient_secret = 's'",
                "token_endpoint: expected an address that begins with https://",
            ),
            (
                "token_endpoint = 'https://u:p@idp/token'\nclient_secret = 's'",
                "without name, query",
            ),
            (
                "tenant = 't'\nauthority = 'login.example'\nclient_secret = 's'",
                "authority: expected",
            ),
        ] {
            let found = client_credentials(rest);
            assert!(found.contains(expected), "{rest}: {found}");
        }
        assert!(found("source = 'command'\ncommand = []").contains("command: there is none"));
        let none = "source = 'refresh_token'\nclient_id = 'c'\ntoken_endpoint = 'https://x/t'";
        assert!(found(none).contains("0 of refresh_token"));
    }
}
