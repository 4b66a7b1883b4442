use sendport_core::secret::Secret;
use sendport_delivery::settings::AttachmentsConfig;
use sendport_smtp::settings::auth::AuthMechanism;
use sendport_smtp::settings::limits::CONNECTIONS;
use sendport_smtp::settings::relay::RelayConfig;

use super::variables::Variables;
use super::*;

const SMALLEST: &str = r#"
[relay.main]
kind = "smtp"
host = "smtp.contoso.com"

[send_port.default]
from = "alerts@contoso.com"
relays = ["main"]
"#;

fn error(text: &str) -> String {
    Config::from_text(text).unwrap_err().to_string()
}

fn problems(text: &str) -> String {
    let found = Config::from_text(text).unwrap().problems();
    let lines: Vec<_> = found.iter().map(ToString::to_string).collect();
    lines.join("\n")
}

#[test]
fn the_smallest_configuration_works() {
    let config = Config::from_text(SMALLEST).unwrap();
    assert_eq!(config.problems(), []);
    let RelayConfig::Smtp(smtp) = &config.relay["main"] else {
        panic!("smtp expected")
    };
    assert_eq!(smtp.port(), 587);
}

#[test]
fn the_reference_shows_every_setting_with_its_default() {
    let uncommented: String = DEFAULT_TOML
        .lines()
        .map(|line| line.strip_prefix("#: ").unwrap_or(line))
        .collect::<Vec<_>>()
        .join("\n");
    let uncommented = uncommented.replace("connection_env = \"SENDPORT_CONNECTION\"\n", "");
    let config = Config::from_text(&uncommented).unwrap();
    assert_eq!(config.problems(), []);
    let smallest = Config::from_text(SMALLEST).unwrap();
    let (RelayConfig::Smtp(shown), RelayConfig::Smtp(real)) =
        (&config.relay["main"], &smallest.relay["main"])
    else {
        panic!("smtp expected")
    };
    assert_eq!(
        format!("{:?}", shown.timeout),
        format!("{:?}", real.timeout)
    );
    assert_eq!((shown.max_connections, CONNECTIONS), (Some(10), 10));
    assert_eq!(shown.recipients_per_message, Some(500));
    assert_eq!(shown.messages_per_connection, real.messages_per_connection);
    assert_eq!(shown.idle_timeout, real.idle_timeout);
    let (shown, real) = (&config.send_port["default"], &smallest.send_port["default"]);
    assert_eq!(shown.retry_policy(), real.retry_policy());
    assert_eq!(shown.attachments.folders.len(), 1, "an example");
    let shown = AttachmentsConfig {
        folders: Vec::new(),
        ..shown.attachments.clone()
    };
    assert_eq!(shown, real.attachments);
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    let text = error(&SMALLEST.replace("host =", "hots ="));
    assert!(
        text.contains("hots") && text.contains("did you mean `host`?"),
        "{text}"
    );
    let text = error("[service]\nmax_in_fligth = 3");
    assert!(text.contains("did you mean `max_in_flight`?"), "{text}");
    let text = error("[sendport.default]\nfrom = 'a@b'");
    assert!(text.contains("did you mean `send_port`?"), "{text}");
}

#[test]
fn an_unknown_value_is_refused_with_a_suggestion() {
    let text = error(&SMALLEST.replace("host = ", "tls = 'startls'\nhost = "));
    assert!(text.contains("did you mean `starttls`?"), "{text}");
    let text = error(&SMALLEST.replace("from = ", "in_doubt = 'hodl'\nfrom = "));
    assert_eq!(
        text,
        "send_port.default.in_doubt: unknown variant `hodl`, expected `retry` or `hold`\n  did you mean `hold`?"
    );
    for (key, choice) in [
        ("protection = 'sig'", "`sign`"),
        ("dsn_return = 'all'", "`full`"),
        ("header_protection = { hide = 'all' }", "`baseline`"),
        ("audit = { keep = 'never' }", "`before`"),
    ] {
        let text = error(&SMALLEST.replace("from = ", &format!("{key}\nfrom = ")));
        assert!(
            text.contains(": unknown variant `") && text.contains(choice),
            "{text}"
        );
    }
}

#[test]
fn a_value_of_another_type_is_refused_by_its_whole_key() {
    let relay = |setting: &str| SMALLEST.replace("host = ", &format!("{setting}\nhost = "));
    let port = |setting: &str| format!("{SMALLEST}{setting}");
    for (text, expected) in [
        (
            relay("port = '25395x'"),
            "relay.main.port: expected a positive number up to 65535, found text \"25395x\"",
        ),
        (
            relay("port = 70000"),
            "relay.main.port: expected a positive number up to 65535, found 70000",
        ),
        (
            relay("verify_certificate = 'nope'"),
            "relay.main.verify_certificate: expected true or false, found text \"nope\"",
        ),
        (
            relay("timeout = { rcpt = 'soon' }"),
            "relay.main.timeout.rcpt: expected a time, such as \"30s\", \"5m\" or \"2d\", found text \"soon\"",
        ),
        (
            relay("ignore_extensions = 'DSN'"),
            "relay.main.ignore_extensions: expected a list, such as [\"one\", \"two\"], found text \"DSN\"",
        ),
        (
            relay("auth = { mechanism = 'xoauth2', oauth2 = { source = 'file', token_file = 3 } }"),
            "relay.main.auth.oauth2.token_file: expected",
        ),
        (
            port("retry = { jitter = 'much' }"),
            "send_port.default.retry.jitter: expected a number such as 0.2, found text \"much\"",
        ),
        (
            relay("auth = 'pa55'"),
            "relay.main.auth: expected a section, found something else (not shown",
        ),
        (
            "[service]\nlease = 'long'".to_owned(),
            "service.lease: expected a time",
        ),
        (
            "[relay.main]\nkind = 'smtp'".to_owned(),
            "relay.main.host: it is missing",
        ),
        (
            "[relay.main]\nhost = 'a'".to_owned(),
            "relay.main.kind: it is missing",
        ),
        (
            SMALLEST.replace("from = ", "form = "),
            "send_port.default.form: unknown field `form`",
        ),
    ] {
        let found = error(&text);
        assert!(found.starts_with(expected), "{expected}: {found}");
    }
}

/// One after the other in the order of their keys, and none that is right.
#[test]
fn each_of_several_mistakes_is_named_by_its_key() {
    for (relay, port, expected) in [
        (
            "kind = 'smpt'\nhost = 'h'\nport = 25",
            "from = 'a@b.c'\nrelays = 'main'",
            "2 keys are wrong\n\
             relay.main.kind: unknown variant `smpt`, expected one of `smtp`, `mx`, `graph`, `file`, `discard`\n  \
             did you mean `smtp`?\n\
             send_port.default.relays: expected a list, such as [\"one\", \"two\"], found text \"main\"",
        ),
        (
            "kind = 'smtp'\nhost = 'h'\nport = 'abc'\nmax_connections = '3'",
            "from = 'a@b.c'\nrelays = ['main']",
            "2 keys are wrong\n\
             relay.main.max_connections: expected a positive number up to 4294967295, found text \"3\"\n\
             relay.main.port: expected a positive number up to 65535, found text \"abc\"",
        ),
        (
            "kind = 'smtp'\nhost = 'h'",
            "from = 'a@b.c'\nrelays = 'a'\nallow_from = 'a'\nauto_submitted = 'yes'",
            "3 keys are wrong\n\
             send_port.default.allow_from: expected a list, such as [\"one\", \"two\"], found text \"a\"\n\
             send_port.default.auto_submitted: expected true or false, found text \"yes\"\n\
             send_port.default.relays: expected a list, such as [\"one\", \"two\"], found text \"a\"",
        ),
        (
            "kind = 'smtp'",
            "from = 'a@b.c'\nrelays = ['main', 3]",
            "2 keys are wrong\n\
             relay.main.host: it is missing\n\
             send_port.default.relays: expected a text in each place of the list, found integer `3`",
        ),
    ] {
        let text = format!("[relay.main]\n{relay}\n[send_port.default]\n{port}");
        assert_eq!(error(&text), expected);
    }
    let unknown = SMALLEST.replace("from = ", "relays2 = 1\nallow_from = '@x.com'\nfrom = ");
    let text = error(&unknown);
    assert!(
        text.contains("\nsend_port.default.allow_from: expected a list"),
        "{text}"
    );
    assert!(
        text.contains("\nsend_port.default.relays2: unknown field"),
        "{text}"
    );
}

#[test]
fn text_in_a_file_is_no_number_and_no_truth() {
    let relay = |setting: &str| SMALLEST.replace("host = ", &format!("{setting}\nhost = "));
    let port = |setting: &str| SMALLEST.replace("from = ", &format!("{setting}\nfrom = "));
    let of_relay = "relay.main.max_connections: expected a positive number up to 4294967295, found";
    for (text, expected) in [
        (relay("max_connections = '3'"), format!("{of_relay} text \"3\"")),
        (relay("max_connections = -1"), format!("{of_relay} -1")),
        (
            port("auto_submitted = 'yes'"),
            "send_port.default.auto_submitted: expected true or false, found text \"yes\"".into(),
        ),
        (
            port("retry = { attempts = '5' }"),
            "send_port.default.retry.attempts: expected a positive number up to 4294967295, found text \"5\"".into(),
        ),
        (
            port("priority = 7\nretry = { jitter = '0.5' }"),
            "2 keys are wrong".into(),
        ),
    ] {
        let found = error(&text);
        assert!(found.starts_with(&expected), "{expected}: {found}");
    }
}

#[test]
fn a_variable_is_what_its_key_wants() {
    let variables = Variables::given(&[
        ("SENDPORT__RELAY__MAIN__HOST", "2525"),
        ("SENDPORT__RELAY__MAIN__PORT", "0025"),
        ("SENDPORT__ENVIRONMENT", "true"),
        ("SENDPORT__SEND_PORT__DEFAULT__RETRY__JITTER", "0.50"),
    ]);
    let config = Config::from_layers(Some(SMALLEST), Some(variables)).unwrap();
    let RelayConfig::Smtp(smtp) = &config.relay["main"] else {
        panic!("smtp expected")
    };
    assert_eq!((&*smtp.host, smtp.port()), ("2525", 25));
    assert_eq!(config.environment, "true");
    let wrong = Variables::given(&[("SENDPORT__RELAY__MAIN__PORT", "many")]);
    let output = Config::from_layers(Some(SMALLEST), Some(wrong)).unwrap_err();
    assert!(
        output
            .to_string()
            .contains("relay.main.port: expected a positive number"),
        "{output}"
    );
}

/// What `Config::load` would say of `variables` over the smallest configuration.
fn refused(variables: &[(&str, &str)]) -> String {
    let variables = Variables::given(variables);
    let read = Config::from_layers(Some(SMALLEST), Some(variables));
    read.expect_err("refused").to_string()
}

#[test]
fn an_error_in_a_variable_names_the_variable() {
    for (name, value, expected) in [
        (
            "SENDPORT__RELAY__MAIN__PORT",
            "many",
            "SENDPORT__RELAY__MAIN__PORT: relay.main.port: expected a positive",
        ),
        (
            "SENDPORT__HTTP__LISTN",
            "a",
            "SENDPORT__HTTP__LISTN: http.listn: unknown field `listn`",
        ),
        (
            "SENDPORT__SERVICE__POLL_INTERVAL",
            "soon",
            "SENDPORT__SERVICE__POLL_INTERVAL: service.poll_interval",
        ),
    ] {
        let found = refused(&[(name, value)]);
        assert!(found.starts_with(expected), "{found}");
    }
    let two = refused(&[
        ("SENDPORT__RELAY__MAIN__PORT", "many"),
        ("SENDPORT__HTTP__LISTN", "a"),
    ]);
    assert!(
        two.starts_with("2 environment variables are wrong\n"),
        "{two}"
    );

    let cannot_work = Variables::given(&[("SENDPORT__SERVICE__POLL_INTERVAL", "0s")]);
    let config = Config::from_layers(Some(SMALLEST), Some(cannot_work)).expect("understood");
    let key = &config.problems()[0].key;
    assert_eq!(
        key,
        "service.poll_interval (variable SENDPORT__SERVICE__POLL_INTERVAL)"
    );
}

#[test]
fn an_error_in_a_connection_string_names_the_file_that_contains_it() {
    for (setting, expected) in [
        (
            "connection_file = '/run/secrets/db'",
            "database.connection_file /run/secrets/db",
        ),
        ("connection_env = 'DB'", "database.connection_env DB"),
        ("connection = 'x'", "database.connection"),
    ] {
        let text = format!("{SMALLEST}\n[database]\n{setting}");
        let config = Config::from_text(&text).expect("a configuration");
        assert_eq!(config.connection_origin(), expected);
    }
}

#[test]
fn a_variable_without_two_underscores_at_each_place_is_refused_with_the_right_name() {
    for (name, expected) in [
        ("SENDPORT_HTTP__LISTEN", "write SENDPORT__HTTP__LISTEN"),
        ("SENDPORT_SERVICE__NAME", "write SENDPORT__SERVICE__NAME"),
        ("sendport_http_listen", "write SENDPORT__HTTP__LISTEN"),
        (
            "SENDPORT_DATABASE_CONNECTION",
            "write SENDPORT__DATABASE__CONNECTION",
        ),
        (
            "SENDPORT_RELAY__MAIN__PORT",
            "write SENDPORT__RELAY__MAIN__PORT",
        ),
        (
            "SENDPORT_SEND_PORT_DEFAULT__FROM",
            "write SENDPORT__SEND_PORT__DEFAULT__FROM",
        ),
    ] {
        let found = refused(&[(name, "25")]);
        assert!(
            found.starts_with(&format!("{name}: it is not read")),
            "{found}"
        );
        assert!(found.ends_with(expected), "{found}");
    }
}

/// A password, what Kubernetes sets for a service of this name, what the build and the tests have.
#[test]
fn other_variables_of_that_prefix_are_left_alone() {
    let free = [
        ("SENDPORT_CONNECTION", "x"),
        ("SENDPORT_SERVICE_HOST", "10.0.0.1"),
        ("SENDPORT_HTTP_PORT_9090_TCP", "tcp://10.0.0.1:9090"),
        ("SENDPORT_COMMIT", "1"),
        ("SENDPORT_TEST_SQLSERVER", "x"),
        ("SENDPORT_RELAY_PASSWORD", "x"),
        ("SENDPORT_DATABASE_CONNECTION", "sqlite:a.db"),
    ];
    let text = format!("{SMALLEST}\n[database]\nconnection_env = 'SENDPORT_DATABASE_CONNECTION'");
    let read = Config::from_layers(Some(&text), Some(Variables::given(&free)));
    read.expect("none is meant for a key");
}

#[test]
fn a_token_from_nowhere_is_refused_by_its_section() {
    let auth =
        "auth = { mechanism = 'xoauth2', username = 'a@b', oauth2 = { tenant = 'contoso.com' } }\n";
    let text = error(&SMALLEST.replace("host = ", &format!("{auth}host = ")));
    assert!(
        text.starts_with("relay.main.auth.oauth2: source is missing; expected \"file\""),
        "{text}"
    );
}

#[test]
fn a_rate_that_is_none_says_what_to_write() {
    let text = error(&SMALLEST.replace("host = ", "message_rate = \"30 a minute\"\nhost = "));
    assert!(
        text.contains("\"30/min\"") && text.contains("found \"30 a minute\""),
        "{text}"
    );
}

#[test]
fn invalid_settings_are_refused_with_a_remedy() {
    assert!(problems("").contains("[send_port.default]"));
    assert!(
        problems(&SMALLEST.replace("[\"main\"]", "[\"mian\"]"))
            .contains("there is no [relay.mian]; there are: main")
    );
    let clear = SMALLEST.replace("host = ", "tls = \"none\"\nauth = { mechanism = \"plain\", username = \"u\", password = \"p\" }\nhost = ");
    assert!(problems(&clear).contains("sent unencrypted"));
    let never = SMALLEST.replace("host = ", "max_connections = 0\nhost = ");
    assert!(problems(&never).contains("relay.main.max_connections: 0 would never send"));
    let lease = format!("[service]\nlease = \"10s\"\n{SMALLEST}");
    assert!(problems(&lease).contains("service.renew_interval"));
    let restless = format!("[service]\nrenew_interval = \"0s\"\n{SMALLEST}");
    assert!(problems(&restless).contains("service.renew_interval: it is shorter than 100ms"));
    for (setting, expected) in [
        (
            "timeout = { rcpt = \"0s\" }",
            "relay.main.timeout.rcpt: 0 would never wait",
        ),
        ("port = 0", "relay.main.port: 0 is no port"),
    ] {
        let found = relay_problems(setting);
        assert!(found.contains(expected), "{found}");
    }
    for (host, expected) in [
        (
            "smtp.contoso.com:587",
            "write host = \"smtp.contoso.com\" and port = 587",
        ),
        (
            "smtps://smtp.contoso.com",
            "'smtps://smtp.contoso.com' is no name of a host",
        ),
        (
            "smtp contoso.com",
            "'smtp contoso.com' is no name of a host",
        ),
        (" ", "' ' is no name of a host"),
    ] {
        let found = problems(&SMALLEST.replace("smtp.contoso.com", host));
        assert!(
            found.contains("relay.main.host: ") && found.contains(expected),
            "{found}"
        );
    }
    for host in ["2001:db8::1", "[2001:db8::1]", "192.0.2.1", "mail_1"] {
        assert_eq!(
            problems(&SMALLEST.replace("smtp.contoso.com", host)),
            "",
            "{host}"
        );
    }
    let aged = format!("{SMALLEST}max_age = \"0s\"\n");
    assert!(problems(&aged).contains("send_port.default.max_age: 0 would expire"));
}

#[test]
fn a_secret_never_shows() {
    let text = SMALLEST.replace(
        "host = ",
        "auth = { mechanism = \"plain\", username = \"u\", password = \"pa55word\" }\nhost = ",
    );
    let config = Config::from_text(&text).unwrap();
    assert!(!format!("{config:?}").contains("pa55word"));
}

#[test]
fn a_line_that_cannot_be_read_is_not_quoted_where_it_may_hold_a_secret() {
    for line in [
        "[relay.main.auth]\npassword = \"pa55word",
        "[database]\nconnection = \"Server=x;Pwd=pa55word\"x",
        "[relay.main.auth.oauth2]\nclient_secret = \"pa55word",
        "[relay.main.auth.oauth2]\nrefresh_token = \"pa55word",
    ] {
        let text = error(line);
        assert!(!text.contains("pa55word"), "{text}");
        assert!(text.contains("line 2, column"), "{text}");
    }
    let text = error("[service]\nlease = \"60s");
    assert!(text.contains("lease = \"60s"), "{text}");
}

#[test]
fn a_variable_keeps_every_character_of_a_text() {
    for password in [
        "007",
        "1.50",
        "1234567.25",
        "-5e3",
        "TRUE",
        "true",
        "nan",
        "42",
    ] {
        let variables = Variables::given(&[
            ("SENDPORT__RELAY__MAIN__AUTH__PASSWORD", password),
            ("SENDPORT__RELAY__MAIN__PORT", "2525"),
            ("SENDPORT__RELAY__MAIN__VERIFY_CERTIFICATE", "false"),
            ("SENDPORT__SEND_PORT__DEFAULT__RETRY__JITTER", "0.5"),
        ]);
        let config = Config::from_layers(Some(SMALLEST), Some(variables)).unwrap();
        let RelayConfig::Smtp(smtp) = &config.relay["main"] else {
            panic!("smtp expected")
        };
        let found = smtp.auth.password.as_ref().map(Secret::expose);
        assert_eq!(found, Some(password));
        assert_eq!((smtp.port(), smtp.verify_certificate), (2525, false));
    }
}

#[test]
fn every_shipped_sample_works() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let samples = std::fs::read_dir(root.join("config/samples")).unwrap();
    let mut samples: Vec<_> = samples.map(|sample| sample.unwrap().path()).collect();
    assert!(samples.len() >= 3);
    samples.extend(
        [
            "config/start.toml",
            "deploy/sendport.toml",
            "deploy/docker/sendport.toml",
        ]
        .map(|f| root.join(f)),
    );
    for sample in samples {
        let text = std::fs::read_to_string(&sample).unwrap();
        let config = Config::from_text(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", sample.display()));
        assert_eq!(config.problems(), [], "{}", sample.display());
    }
}

#[test]
fn the_configuration_of_the_package_sends_no_mail() {
    let text = include_str!("../../deploy/sendport.toml");
    let config = Config::from_text(text).unwrap();
    let leaves = |relay: &RelayConfig| matches!(relay, RelayConfig::Smtp(_));
    assert!(!config.relay.is_empty() && !config.relay.values().any(leaves));
}

#[test]
fn a_list_is_set_by_a_variable_as_in_the_file() {
    let text = format!("{SMALLEST}\n[relay.spare]\nkind = 'discard'\n");
    let name = "SENDPORT__SEND_PORT__DEFAULT__RELAYS";
    let variables = Variables::given(&[(name, r#"["spare", "main"]"#)]);
    let config = Config::from_layers(Some(&text), Some(variables)).unwrap();
    assert_eq!(config.send_port["default"].relays, ["spare", "main"]);
    let not_a_list = Variables::given(&[(name, "[spare")]);
    assert!(Config::from_layers(Some(&text), Some(not_a_list)).is_err());
}

/// What is wrong with `[relay.main]` where it has these settings, too.
fn relay_problems(settings: &str) -> String {
    let text = SMALLEST.replace("host = ", &format!("{settings}\nhost = "));
    problems(&text)
}

#[test]
fn a_authentication_that_cannot_work_says_what_to_write_instead() {
    let named = "username = \"u\", password = \"p\"";
    for (settings, expected) in [
        (format!("auth = {{ {named} }}"), "write \"auto\""),
        (
            format!("auth = {{ mechanism = \"gssapi\", {named} }}"),
            AuthMechanism::NO_GSSAPI.unwrap_or("remove the password"),
        ),
        (
            "auth = { mechanism = \"gssapi\", username = \"u\" }".into(),
            "write principal",
        ),
        (
            format!("auth = {{ mechanism = \"auto\", keytab_file = \"k\", {named} }}"),
            "write mechanism = \"gssapi\"",
        ),
        (
            "auth = { mechanism = \"ntlm\", password = \"p\" }".into(),
            "auth.username: there is none",
        ),
        (
            "auth = { mechanism = \"scram-sha-1\", username = \"u\" }".into(),
            "0 of password",
        ),
        (
            "auth = { mechanism = \"external\" }".into(),
            "set client_certificate_file",
        ),
        (
            format!("tls = \"none\"\nauth = {{ mechanism = \"plain\", {named} }}"),
            "allow_cleartext_auth = true",
        ),
    ] {
        let found = relay_problems(&settings);
        assert!(found.contains(expected), "{settings}: {found}");
    }
    for mechanism in ["auto", "cram-md5", "scram-sha-1", "scram-sha-256", "ntlm"] {
        let auth = format!("tls = \"none\"\nauth = {{ mechanism = \"{mechanism}\", {named} }}");
        assert_eq!(relay_problems(&auth), "", "{mechanism}");
    }
}

#[test]
fn tls_settings_that_cannot_work_say_what_to_write_instead() {
    let pin = format!("pin_sha256 = [\"spki:{}\"]", "0a".repeat(32));
    for (settings, expected) in [
        (
            format!("tls = \"none\"\n{pin}"),
            "no certificate to compare",
        ),
        (
            format!("tls = \"opportunistic\"\n{pin}"),
            "set tls = \"starttls\"",
        ),
        ("client_key_file = \"k\"".into(), "name its PEM file"),
        (
            "tls = \"none\"\nclient_certificate_file = \"c\"".into(),
            "no certificate is shown",
        ),
        ("ca_file_only = true".into(), "no ca_file to trust alone"),
    ] {
        let found = relay_problems(&settings);
        assert!(found.contains(expected), "{settings}: {found}");
    }
    assert_eq!(relay_problems(&pin), "");
    let text = error(&SMALLEST.replace("host = ", "pin_sha256 = [\"sha256:00\"]\nhost = "));
    assert!(text.contains("64 hexadecimal digits"), "{text}");
}

#[test]
fn a_name_has_no_blank_at_its_end() {
    let text = "environment = 'test '\n[relay.'main ']\nkind = 'discard'
        [send_port.'default ']\nfrom = 'a@contoso.com'\nrelays = ['main ']";
    let found = Config::from_text(text).unwrap().problems();
    let keys: Vec<_> = found.iter().map(|problem| &*problem.key).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
}

#[test]
fn names_and_character_sets_beyond_ascii_are_understood() {
    let config = Config::from_text(
        "[relay.main]\nkind = 'smtp'\nhost = 'smtp.bücher.example'\nehlo_name = 'db.bücher.example'
        [send_port.default]\nfrom = 'Büro <a@bücher.example>'\nrelays = ['main']
        charset = 'Windows-1252'\ncharset_html = 'utf-8'",
    )
    .unwrap();
    assert!(config.problems().is_empty());
    let RelayConfig::Smtp(smtp) = &config.relay["main"] else {
        panic!("{config:?}");
    };
    assert_eq!(smtp.host, "smtp.xn--bcher-kva.example");
    assert_eq!(smtp.ehlo_name.as_deref(), Some("db.xn--bcher-kva.example"));
    let port = &config.send_port["default"];
    assert_eq!(port.charset.name(), "windows-1252");
    assert_eq!(port.charset_html.map(|set| set.name()), Some("utf-8"));
}

#[test]
fn an_unknown_character_set_is_refused_with_others_to_write() {
    let text = "[relay.main]\nkind = 'discard'
        [send_port.default]\nfrom = 'a@contoso.com'\nrelays = ['main']\ncharset = 'klingon'";
    let error = Config::from_text(text).expect_err("klingon").to_string();
    assert!(
        error.contains("'klingon'") && error.contains("\"windows-1252\""),
        "{error}"
    );
    assert!(error.contains("charset"), "{error}");
}

#[test]
fn an_address_that_is_none_is_refused_by_its_key() {
    let port = |setting: &str| error(&format!("{SMALLEST}{setting}"));
    assert_eq!(
        error(&SMALLEST.replace("alerts@contoso.com", "alerts")),
        "send_port.default.from: 'alerts' is not a mail address: there is no '@'"
    );
    assert_eq!(
        port("return_path = 'bounces'"),
        "send_port.default.return_path: 'bounces' is not a mail address: there is no '@'; write \
         an address, or \"<>\" for the null reverse-path"
    );
    assert_eq!(
        port("notify_failures_to = 'ops@contoso.com; oncall'"),
        "send_port.default.notify_failures_to: 'oncall' is not a mail address: there is no '@'; \
         write addresses, separated by ';'"
    );
    let two = SMALLEST.replace("send_port.default", "send_port.\"a b\"");
    assert_eq!(
        error(&two.replace("alerts@contoso.com", "alerts")),
        "send_port.\"a b\".from: 'alerts' is not a mail address: there is no '@'"
    );
}

#[test]
fn reports_wildcards_that_match_nothing() {
    for setting in [
        "notify_failures_to = '*@contoso.com'",
        "return_path = '*@contoso.com'",
        "allow_principals = ['CONTOSO\\*']",
    ] {
        let found = problems(&format!("{SMALLEST}{setting}"));
        let key = setting.split(' ').next().expect("a key");
        assert!(
            found.starts_with(&format!("send_port.default.{key}: ")),
            "{found}"
        );
        assert!(
            found.contains("contains '*', which is no wildcard here"),
            "{found}"
        );
    }
    let fine = "allow_headers = ['X-*']";
    assert_eq!(problems(&format!("{SMALLEST}{fine}")), "");
}

#[test]
fn reports_rules_that_match_nothing() {
    let of = |rules: &str| error(&format!("{SMALLEST}{rules}"));
    let fine = "allow_recipient_domains = ['contoso.com', '.münchen.example']
        allow_from = ['@contoso.com', 'büro@contoso.com', 'A <a@contoso.com>']";
    assert_eq!(problems(&format!("{SMALLEST}{fine}")), "");
    for (rules, expected) in [
        (
            "allow_recipient_domains = ['*.contoso.com']",
            "'*.contoso.com' is no domain",
        ),
        (
            "allow_recipient_domains = ['a@contoso.com']",
            "'a@contoso.com' is no domain",
        ),
        (
            "allow_from = ['contoso.com']",
            "'contoso.com' is no address",
        ),
        (
            "allow_from = ['*@contoso.com']",
            "'*@contoso.com' contains '*', which is no wildcard here; write \"@contoso.com\"",
        ),
        (
            "allow_from = ['@-ü.example']",
            "'@-ü.example' is no address",
        ),
    ] {
        assert!(of(rules).contains(expected), "{}", of(rules));
    }
}

#[cfg(unix)]
#[test]
fn a_link_is_the_folder_that_it_leads_to() {
    let site = tempfile::tempdir().unwrap();
    let real = site.path().join("pickup");
    std::fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(site.path(), site.path().join("link")).unwrap();
    let intake = |name: &str, folder: &str, badmail: &str| {
        let [folder, badmail] = [folder, badmail].map(|it| site.path().join(it));
        format!(
            "[intake.{name}]\nkind = \"pickup\"\nfolder = {folder:?}\nbadmail = {badmail:?}\nsend_port = \
             \"default\"\nallow_senders = [\"*\"]\n"
        )
    };
    let found =
        |other: String| problems(&(SMALLEST.to_owned() + &intake("a", "pickup", "bad") + &other));
    assert_eq!(found(intake("b", "link/other", "link/worse")), "");
    let same = found(intake("b", "link/pickup", "worse"));
    let expected = format!("intake.b.folder: {} belongs to [intake.a]", real.display());
    assert!(same.contains(&expected), "{same}");
    let bad = found(intake("b", "other", "link/link/bad"));
    assert!(bad.contains("intake.b.badmail: "), "{bad}");
}
