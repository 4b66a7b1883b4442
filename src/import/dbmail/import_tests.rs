use serde_json::{Value, json};

use super::*;
use crate::config::Config;

/// A document with these rows; the rest as an installation has it.
fn document(changes: Value) -> Value {
    let mut document = json!({
        "format": "sendport-dbmail-1",
        "server": "SQL01",
        "profiles": [{"profile_id": 1, "name": "Alerts"}],
        "accounts": [account(1, "Main")],
        "profile_accounts": [{"profile_id": 1, "account_id": 1, "sequence_number": 1}],
        "principals": [{"profile_id": 1, "is_public": true}],
        "parameters": [],
        "items": [],
    });
    let Value::Object(changes) = changes else {
        panic!("an object was expected");
    };
    document.as_object_mut().expect("an object").extend(changes);
    document
}

fn account(id: i64, name: &str) -> Value {
    json!({"account_id": id, "name": name, "email_address": "a@contoso.com", "servertype": "SMTP",
        "servername": "mail.contoso.com", "port": 25, "use_default_credentials": 0, "enable_ssl": 0})
}

fn with(mut row: Value, changes: &Value) -> Value {
    let changes = changes.as_object().expect("an object").clone();
    row.as_object_mut().expect("an object").extend(changes);
    row
}

/// What it becomes; the configuration has no problem.
#[track_caller]
fn imported(changes: Value) -> (ImportedConfig, Config) {
    let document = document(changes).to_string();
    let snapshot = Snapshot::read(document.as_bytes()).expect("a document");
    let made = import(&snapshot);
    let text = made.to_toml();
    let config = Config::from_text(&text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    assert_eq!(config.problems(), [], "{text}");
    (made, config)
}

#[track_caller]
fn finds(made: &ImportedConfig, what: &str, part: &str) {
    let found = made
        .findings
        .iter()
        .any(|it| it.what == what && it.text.contains(part));
    assert!(found, "{what}: {part} is not in {:#?}", made.findings);
}

fn toml(made: &ImportedConfig) -> String {
    made.to_toml()
}

#[test]
fn a_document_survives_what_clients_do_to_lines() {
    let whole = document(json!({"server": "größe"})).to_string();
    let wrapped = |width: usize| -> String {
        let chars: Vec<_> = whole.chars().collect();
        let lines = chars.chunks(width).map(|it| it.iter().collect::<String>());
        lines.map(|line| format!("{line}\r\n")).collect()
    };
    let utf16: Vec<u8> = wrapped(240)
        .encode_utf16()
        .flat_map(u16::to_le_bytes)
        .collect();
    let headed = format!(
        "Line\r\n-----\r\n{}\r\n(17 rows affected)\r\n",
        wrapped(120)
    );
    let padded = wrapped(120).replace("\r\n", "      \r\n");
    for bytes in [
        whole.clone().into_bytes(),
        wrapped(7).into_bytes(),
        headed.into_bytes(),
        padded.into_bytes(),
        [b"\xFF\xFE", &utf16[..]].concat(),
        utf16,
    ] {
        let snapshot = Snapshot::read(&bytes).expect("a document");
        assert_eq!(snapshot.server, "größe");
    }
}

#[test]
fn another_format_is_refused_by_its_name() {
    let text = document(json!({"format": "sendport-dbmail-2"})).to_string();
    let error = Snapshot::read(text.as_bytes()).expect_err("another format");
    assert!(error.to_string().contains("'sendport-dbmail-2'"), "{error}");
    let none = document(json!({"profiles": []})).to_string();
    let error = Snapshot::read(none.as_bytes()).expect_err("nothing");
    assert!(matches!(error, DbMailError::NoProfile));
}

#[test]
fn relays_are_in_the_order_of_their_sequence_number() {
    let row = |account: i64, number: Value| json!({"profile_id": 1, "account_id": account, "sequence_number": number});
    let (made, _) = imported(json!({
        "accounts": [account(1, "c"), account(2, "a"), account(3, "b")],
        "profile_accounts": [row(1, json!(9)), row(2, json!(1)), row(3, json!(1))],
    }));
    assert_eq!(made.send_ports[0].relays, ["a", "b", "c"]);
    finds(&made, "profile 'Alerts', sequence_number", "same number");
}

#[test]
fn tls_follows_from_enable_ssl_and_port() {
    let one = |changes: Value| imported(json!({"accounts": [with(account(1, "Main"), &changes)]}));
    for (changes, tls, port) in [
        (json!({"enable_ssl": 1, "port": 587}), "starttls", 587),
        (json!({"enable_ssl": true, "port": 25}), "starttls", 25),
        (json!({"enable_ssl": 1, "port": 465}), "implicit", 465),
        (json!({"enable_ssl": 0, "port": 25}), "opportunistic", 25),
        (json!({"port": 99_999}), "opportunistic", 25),
        (
            json!({"servername": "mail.contoso.com:2525"}),
            "opportunistic",
            2525,
        ),
    ] {
        let (made, _) = one(changes.clone());
        let text = toml(&made);
        let expected = format!("host = \"mail.contoso.com\"\nport = {port}\ntls = \"{tls}\"\n");
        assert!(text.contains(&expected), "{changes}: {text}");
    }
    let (made, _) = one(json!({"port": -1}));
    finds(&made, "account 'Main', servername", "-1 is no TCP port");
    let (made, _) = one(json!({"servername": null}));
    finds(&made, "account 'Main', servername", "replace relay.invalid");
}

#[test]
fn a_password_has_a_file_and_is_never_sent_unencrypted() {
    let basic = with(
        account(1, "../Main"),
        &json!({"username": "u", "password": "Never-Copied-1"}),
    );
    let (made, config) = imported(json!({"accounts": [basic]}));
    let text = toml(&made);
    assert!(!text.contains("Never-Copied"), "{text}");
    assert!(
        text.contains("password_file = \"-Main.password\""),
        "{text}"
    );
    finds(
        &made,
        "account '../Main', enable_ssl",
        "allow_cleartext_auth",
    );
    assert_eq!(config.warnings(), []);
    let windows = with(
        account(1, "Main"),
        &json!({"use_default_credentials": 1, "username": "u"}),
    );
    let (made, _) = imported(json!({"accounts": [windows]}));
    assert!(toml(&made).contains("mechanism = \"ntlm\""));
    assert_eq!(made.missing_passwords().count(), 1);
}

#[test]
fn names_become_valid_and_different() {
    let long = "x".repeat(128);
    let profile = |id: i64, name: &str| json!({"profile_id": id, "name": name});
    let row = |id: i64| json!({"profile_id": id, "account_id": 1, "sequence_number": 1});
    let (made, _) = imported(json!({
        "profiles": [profile(1, "Mail"), profile(2, "MAIL"), profile(3, &long), profile(4, "a\nb\"]")],
        "profile_accounts": [row(1), row(2), row(3), row(4)],
        "principals": [],
    }));
    let names: Vec<_> = made
        .send_ports
        .iter()
        .map(|port| port.name.as_str())
        .collect();
    assert_eq!(names, ["Mail", "MAIL-2", &long[..64], "a-b\"]"]);
    finds(&made, "profile 'MAIL'", "'MAIL-2'");
}

#[test]
fn who_may_use_a_profile_may_use_its_send_port() {
    let row = |name: &str, kind: &str| json!({"profile_id": 1, "is_public": 0, "name": name, "type": kind});
    let rows = json!([row("b", "S"), row("a\\x", "U"), row("a\\g", "G"), {"profile_id": 1}]);
    let (made, config) = imported(json!({"principals": rows}));
    assert_eq!(config.send_port["Alerts"].allow_principals, ["a\\x", "b"]);
    finds(&made, "profile 'Alerts'", "members of 'a\\g'");
    finds(&made, "profile 'Alerts'", "does not exist any more");
    let (made, config) = imported(json!({"principals": []}));
    assert_eq!(config.send_port["Alerts"].allow_principals, ["sa"]);
    finds(&made, "profile 'Alerts'", "members of sysadmin");
    let (_, config) = imported(json!({}));
    assert!(config.send_port["Alerts"].allow_principals.is_empty());
}

#[test]
fn the_default_public_profile_is_the_send_port_default() {
    let (_, config) =
        imported(json!({"principals": [{"profile_id": 1, "is_public": 1, "is_default": 1}]}));
    let names: Vec<_> = config.send_port.keys().collect();
    assert_eq!(names, ["Alerts", "default"]);
    let (_, config) = imported(json!({
        "profiles": [{"profile_id": 1, "name": "Default"}],
        "principals": [{"profile_id": 1, "is_public": 1, "is_default": 1}],
    }));
    assert_eq!(config.send_port.keys().collect::<Vec<_>>(), ["default"]);
}

#[test]
fn a_default_public_profile_beside_one_that_is_named_default_is_a_finding() {
    let (made, config) = imported(json!({
        "profiles": [{"profile_id": 1, "name": "Alerts"}, {"profile_id": 2, "name": "default"}],
        "profile_accounts": [
            {"profile_id": 1, "account_id": 1, "sequence_number": 1},
            {"profile_id": 2, "account_id": 1, "sequence_number": 1}],
        "principals": [{"profile_id": 1, "is_public": 1, "is_default": 1}],
    }));
    let names: Vec<_> = config.send_port.keys().collect();
    assert_eq!(names, ["Alerts", "default"]);
    finds(&made, "profile 'Alerts'", "rename one of the two");
}

#[test]
fn parameters_become_keys_of_each_send_port() {
    let parameters = |pairs: &[(&str, &str)]| {
        let row = |(name, value): &(&str, &str)| json!({"paramname": name, "paramvalue": value});
        json!({"parameters": pairs.iter().map(row).collect::<Vec<_>>()})
    };
    let (made, config) = imported(parameters(&[
        ("AccountRetryAttempts", "5"),
        ("AccountRetryDelay", "86400"),
        ("MaxFileSize", "30000001"),
        ("ProhibitedExtensions", ".exe, *.JS,,tar.gz,a\"b"),
        ("LoggingLevel", "3"),
    ]));
    let port = &config.send_port["Alerts"];
    assert_eq!(port.retry.attempts, 5);
    assert_eq!(port.retry.first_delay.as_secs(), 86_400);
    assert_eq!(port.max_age.as_secs(), 5 * 86_400);
    assert_eq!(port.attachments.max_size.0, 30_000_001);
    assert_eq!(port.attachments.max_total_size.0, 30_000_001);
    assert_eq!(port.attachments.forbidden_extensions, ["exe", "JS", "a\"b"]);
    assert_eq!(config.log.level, "debug");
    finds(&made, "ProhibitedExtensions", "'tar.gz' is no extension");
    let (made, config) = imported(parameters(&[
        ("MaxFileSize", "much"),
        ("AccountRetryAttempts", "0"),
        ("AccountRetryDelay", "2147483647"),
        ("LoggingLevel", "9"),
    ]));
    finds(&made, "MaxFileSize", "'much'");
    finds(&made, "AccountRetryDelay", "2147483647 seconds");
    finds(&made, "LoggingLevel", "'9' is none of 1, 2 and 3");
    let retry = &config.send_port["Alerts"].retry;
    assert_eq!(retry.first_delay.as_secs(), 86_400);
    assert_eq!(
        config.send_port["Alerts"].attachments.max_size.0,
        10_000_000
    );
}

#[test]
fn odd_senders_are_quoted_or_replaced() {
    let named = with(
        account(1, "Main"),
        &json!({"display_name": "Ops, \"night\"\r\nBcc: x@y"}),
    );
    let (_, config) = imported(json!({"accounts": [named]}));
    let from = &config.send_port["Alerts"].from;
    assert_eq!(
        from.display_name.as_deref(),
        Some("Ops, \"night\"  Bcc: x@y")
    );
    let nobody = with(account(1, "Main"), &json!({"email_address": "nobody"}));
    let (made, _) = imported(json!({"accounts": [nobody]}));
    finds(
        &made,
        "account 'Main', email_address",
        "'nobody' is no address",
    );
}
