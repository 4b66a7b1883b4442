use std::time::Duration;

use super::*;

const EVERY_KEY: &str = r#"
    kind = "smtp"
    listen = ["0.0.0.0:25", "[::1]:2525"]
    hostname = "mail.contoso.com"
    send_port = "default"
    send_port_by_sender = { "erp@contoso.com" = "erp", ".contoso.com" = "other" }
    allow_clients = ["127.0.0.0/8", "10.1.0.0/16"]
    allow_senders = ["contoso.com"]
    allow_null_sender = true
    allow_recipient_domains = ["*"]
    allow_open_relay = true
    postmaster = "dba@contoso.com"
    allow_cleartext_auth = true
    tls = "starttls_required"
    certificate_file = "server.pem"
    key_file = "server.key"
    key_password_file = "password"
    client_ca_file = "ca.pem"
    min_tls_version = "1.3"
    max_message_size = "25MiB"
    max_recipients = 100
    max_connections = 50
    max_connections_per_client = 10
    max_messages_per_connection = 20
    max_messages_per_minute_per_client = 600
    max_errors = 5
    hop_limit = 20

    [timeout]
    command = "1m"
    tls_handshake = "10s"
    data_block = "1m"
    message = "5m"
    commit = "10s"
    reply = "30s"

    [client.erp]
    addresses = ["10.2.0.0/16"]
    send_port = "erp"
    allow_senders = ["erp@contoso.com"]
    allow_null_sender = false
    allow_recipient_domains = ["contoso.com"]

    [user."backup@contoso.com"]
    password_hash = "$scrypt$ln=15,r=8,p=3$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
    certificate_sha256 = ["aa:AA:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"]
    certificate_name = "backup.contoso.com"
    send_port = "backup"
    allow_senders = ["*"]
    allow_null_sender = true
    allow_recipient_domains = ["*"]
"#;

const MINIMAL: &str = r#"
    kind = "smtp"
    listen = ["127.0.0.1:25"]
    send_port = "default"
    allow_senders = ["contoso.com"]
"#;

fn settings(text: &str) -> SmtpIntakeConfig {
    let IntakeConfig::Smtp(settings) = intake(text) else {
        panic!("{text}");
    };
    *settings
}

fn intake(text: &str) -> IntakeConfig {
    toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
}

fn keys(problems: &[sendport_core::problem::Problem]) -> Vec<&str> {
    problems.iter().map(|problem| &*problem.key).collect()
}

#[test]
fn every_key_is_read_and_no_secret_is_shown() {
    let mut settings = settings(EVERY_KEY);
    assert_eq!(settings.problems(), []);
    assert_eq!(settings.files().count(), 4);
    let ports = intake(EVERY_KEY);
    let ports = ports.send_ports().into_iter();
    let ports: Vec<_> = ports.map(|(key, port)| format!("{key} {port}")).collect();
    assert_eq!(
        ports,
        [
            "send_port default",
            "send_port_by_sender.\".contoso.com\" other",
            "send_port_by_sender.\"erp@contoso.com\" erp",
            "client.erp.send_port erp",
            "user.backup@contoso.com.send_port backup",
        ]
    );
    let shown = format!("{settings:?}{}", toml::to_string(&settings).unwrap());
    assert!(!shown.contains("c2FsdHNhbHQ"), "{shown}");
}

#[test]
fn only_this_host_may_send_by_default() {
    let settings = settings(MINIMAL);
    assert_eq!((settings.problems(), settings.warnings()), (vec![], vec![]));
    assert_eq!(settings.allow_clients, Network::LOOPBACK);
    assert!(!settings.allow_null_sender && settings.tls == IntakeTls::None);
}

#[test]
fn unknown_keys_and_missing_keys_are_refused() {
    for (text, expected) in [
        (
            format!("{MINIMAL}\nallow_client = []"),
            "unknown field `allow_client`",
        ),
        (
            format!("{MINIMAL}\n[user.x]\npassword = 'x'"),
            "unknown field `password`",
        ),
        (
            format!("{MINIMAL}\n[client.x]"),
            "missing field `addresses`",
        ),
        (
            format!("{MINIMAL}\n[timeout]\nidle = '1s'"),
            "unknown field `idle`",
        ),
        (
            MINIMAL.replace("allow_senders = [\"contoso.com\"]", ""),
            "missing field `allow_senders`",
        ),
        (MINIMAL.replace("smtp", "imap"), "unknown variant `imap`"),
    ] {
        let error = toml::from_str::<IntakeConfig>(&text)
            .unwrap_err()
            .to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn a_setting_that_cannot_work_is_a_problem() {
    let user = "[user.x]\nallow_null_sender = false";
    let hash = "password_hash = '$scrypt$ln=15,r=8,p=3$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA'";
    let tls = "tls = 'starttls'\ncertificate_file = 'x'";
    for (added, expected) in [
        ("allow_clients = []".to_owned(), &["allow_clients"][..]),
        ("hostname = 'a b'".to_owned(), &["hostname"]),
        ("tls = 'implicit'".to_owned(), &["certificate_file"]),
        ("certificate_file = 'x'".to_owned(), &["certificate_file"]),
        ("key_file = 'x'".to_owned(), &["key_file"]),
        (
            format!("{tls}\nkey_password_file = 'x'\nkey_password_env = 'X'"),
            &["key_password_file"],
        ),
        (format!("{tls}\nclient_ca_file = 'x'"), &["client_ca_file"]),
        (
            format!("{tls}\n[user.x]\ncertificate_name = 'x'"),
            &["client_ca_file"],
        ),
        (
            "client_ca_file = 'x'\n[user.x]\ncertificate_name = 'x'".to_owned(),
            &["tls"],
        ),
        (user.to_owned(), &["user.x"]),
        (format!("[user.x]\n{hash}"), &["user.x"]),
        (
            format!("{tls}\n[user.x]\n{hash}\n[user.X]\n{hash}"),
            &["user.x"],
        ),
        (
            format!("{tls}\n[user.x]\npassword_hash = 'secret'"),
            &["user.x.password_hash"],
        ),
        (
            "[client.x]\naddresses = []".to_owned(),
            &["client.x.addresses"],
        ),
        (
            "max_recipients = 0\nmax_errors = 0".to_owned(),
            &["max_recipients", "max_errors"],
        ),
        ("max_recipients = 10001".to_owned(), &["max_recipients"]),
        ("max_message_size = '1KB'".to_owned(), &["max_message_size"]),
        ("max_message_size = '1GB'".to_owned(), &["max_message_size"]),
        (
            "allow_recipient_domains = ['fabrikam.com']\npostmaster = 'dba@contoso.com'".to_owned(),
            &["postmaster"],
        ),
        (
            "[timeout]\ncommit = '0s'\ncommand = '2d'".to_owned(),
            &["timeout.command", "timeout.commit"],
        ),
    ] {
        let problems = settings(&format!("{MINIMAL}\n{added}")).problems();
        assert_eq!(keys(&problems), expected, "{added}: {problems:?}");
    }
    let listen = MINIMAL.replace("\"127.0.0.1:25\"", "");
    assert_eq!(keys(&settings(&listen).problems()), ["listen"]);
}

#[test]
fn what_others_can_do_is_warned_of() {
    let open = MINIMAL.replace("127.0.0.1:25", "0.0.0.0:25");
    let tls = "tls = 'starttls_required'\ncertificate_file = 'x'";
    let user = "[user.x]\ncertificate_sha256 = []\npassword_hash = 'x'";
    for (added, expected) in [
        (String::new(), &["tls", "listen"][..]),
        (
            "allow_clients = ['10.0.0.0/8']".to_owned(),
            &["allow_clients", "tls"],
        ),
        (
            "[client.x]\naddresses = ['10.0.0.1']".to_owned(),
            &["allow_clients", "tls"],
        ),
        (format!("{tls}\n{user}"), &[]),
        (
            format!("{tls}\nallow_clients = ['::/0']\n{user}"),
            &["allow_clients"],
        ),
    ] {
        let warnings = settings(&format!("{open}\n{added}")).warnings();
        assert_eq!(keys(&warnings), expected, "{added}: {warnings:?}");
    }
    let mapped = MINIMAL.replace("127.0.0.1:25", "[::ffff:127.0.0.1]:25");
    assert_eq!(settings(&mapped).warnings(), []);
}

#[test]
fn an_open_relay_does_not_start_unless_it_is_meant() {
    let open = MINIMAL.replace("127.0.0.1:25", "[::]:25");
    let everybody = "allow_clients = ['127.0.0.1', '0.0.0.0/0']";
    let client = "[client.all]\naddresses = ['::/0']";
    for (listener, added, expected) in [
        (&*open, everybody.to_owned(), &["allow_clients"][..]),
        (
            &open,
            "allow_clients = ['128.0.0.0/1']".to_owned(),
            &["allow_clients"],
        ),
        (&open, client.to_owned(), &["client.all.addresses"]),
        (
            &open,
            format!("{client}\nallow_recipient_domains = ['contoso.com']"),
            &[],
        ),
        (
            &open,
            format!("{everybody}\nallow_recipient_domains = ['contoso.com']"),
            &[],
        ),
        (
            &open,
            "allow_clients = ['10.0.0.0/8', 'fd00::/16']".to_owned(),
            &[],
        ),
        (&open, format!("allow_open_relay = true\n{everybody}"), &[]),
        (MINIMAL, everybody.to_owned(), &[]),
    ] {
        let problems = settings(&format!("{listener}\n{added}")).problems();
        assert_eq!(keys(&problems), expected, "{added}: {problems:?}");
    }
}

const PICKUP: &str = r#"
    kind = "pickup"
    folder = "/srv/mailroot/pickup"
    send_port = "default"
    allow_senders = ["contoso.com"]
"#;

#[test]
fn a_pickup_has_its_folders_beside_the_one_of_programs() {
    let mut config = intake(&format!(
        "{PICKUP}\n[send_port_by_sender]\n\"erp@contoso.com\" = \"erp\"\n[aliases]\nroot = [\"ops@contoso.com\"]"
    ));
    assert_eq!((config.problems(), config.warnings()), (vec![], vec![]));
    assert_eq!(config.files().len(), 1);
    assert_eq!(config.send_ports().len(), 2);
    let pickup = config.pickup().unwrap();
    assert_eq!(
        pickup.badmail(),
        std::path::Path::new("/srv/mailroot/badmail")
    );
    assert_eq!(
        pickup.taken(),
        std::path::Path::new("/srv/mailroot/pickup-taken")
    );
    assert_eq!(pickup.settle_time(), Duration::from_secs(2));
}

#[test]
fn what_is_wrong_with_a_pickup_names_its_key() {
    for (wrong, key) in [
        ("folder = \"/\"", "folder"),
        ("badmail = \"/srv/mailroot/pickup/\"", "badmail"),
        ("badmail = \"/srv/mailroot/pickup-taken\"", "badmail"),
        ("hostname = \"a b\"", "hostname"),
        ("local_domain = \"a b\"", "local_domain"),
        ("settle_time = \"2h\"", "settle_time"),
        ("kind = \"sendmail\"\nsettle_time = \"1s\"", "settle_time"),
        ("max_recipients = 0", "max_recipients"),
        ("max_message_size = \"1KiB\"", "max_message_size"),
        (
            "[aliases]\n\"a@b\" = [\"ops@contoso.com\"]",
            "aliases.\"a@b\"",
        ),
        ("[aliases]\nroot = []", "aliases.\"root\""),
    ] {
        let lines = PICKUP.lines().filter(|line| {
            let own = line.split('=').next().unwrap_or_default().trim();
            own.is_empty() || !wrong.lines().any(|line| line.starts_with(own))
        });
        let text = lines.chain([wrong]).collect::<Vec<_>>().join("\n");
        assert_eq!(keys(&intake(&text).problems()), [key], "{wrong}");
    }
    let refused = toml::from_str::<IntakeConfig>(&format!("{PICKUP}listen = []"));
    assert!(refused.unwrap_err().to_string().contains("listen"));
}
