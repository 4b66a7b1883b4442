use crate::program::{run, run_with};

#[test]
fn init_writes_a_working_file_and_never_replaces_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let output = run(folder.path(), &["init"]);
    output.is_as_expected("init");
    let file = folder.path().join("sendport.toml");
    let written = std::fs::read_to_string(&file).expect("read");
    assert!(written.lines().filter(|line| line.contains('#')).count() > 10);
    run(folder.path(), &["check", "--offline"]).prints(0, &["ok    configuration: sendport.toml"]);
    run(folder.path(), &["migrate"]).prints(0, &["sendport.db", "environment  development"]);

    std::fs::write(&file, "mine").expect("write");
    run(folder.path(), &["init"]).prints(1, &["sendport.toml exists already"]);
    assert_eq!(std::fs::read_to_string(&file).expect("read"), "mine");
}

/// All that it offers in comments; what is indented there replaces something else.
#[test]
fn init_writes_a_file_that_works_uncommented() {
    let folder = tempfile::tempdir().expect("a folder");
    run(folder.path(), &["init"]).prints(0, &[]);
    let file = folder.path().join("sendport.toml");
    let written = std::fs::read_to_string(&file).expect("read");
    let setting = |line: &str| {
        let setting = line.strip_prefix("# ")?;
        let key = setting.split_once(" = ").map_or("", |(key, _)| key);
        let is_key = !key.is_empty() && key.chars().all(|c| c == '_' || c.is_ascii_lowercase());
        (is_key || setting.starts_with('[')).then(|| setting.to_owned())
    };
    let settings: Vec<_> = written.lines().filter_map(setting).collect();
    assert_eq!(settings.len(), 9, "{settings:?}");
    let all = |line: &str| setting(line).unwrap_or_else(|| line.to_owned());
    let mut all: String = written.lines().map(|line| all(line) + "\n").collect();
    all = all.replace("[\"main\"] ", "[\"mail\"] ");
    std::fs::write(&file, all).expect("write");
    std::fs::write(folder.path().join("relay.password"), "a password").expect("write");
    run(folder.path(), &["check", "--offline"]).prints(0, &["ok    configuration: sendport.toml"]);
}

const WITH_SECRETS: &str = r#"
[database]
connection = "Server=tcp:sql01,1433;User Id=sendport;Password=hidden-1"
[relay.main]
kind = "smtp"
host = "mail.contoso.com"
message_rate = "30/min"
pin_sha256 = ["spki:0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a0a"]
[relay.main.auth]
username = "alerts@contoso.com"
password = "hidden-2"
[relay.exchange]
kind = "smtp"
host = "smtp.office365.com"
[relay.exchange.auth]
mechanism = "xoauth2"
username = "alerts@contoso.com"
[relay.exchange.auth.oauth2]
source = "client_credentials"
tenant = "contoso"
client_id = "4711"
client_secret = "hidden-3"
[send_port.default]
from = "alerts@contoso.com"
relays = ["main", "exchange"]
dsn_notify = ["failure"]
charset = "iso-8859-15"
[send_port.default.attachments]
max_size = "5MB"
"#;

/// File, environment and defaults in one, and what is printed can be read again.
#[test]
fn config_shows_the_effective_settings_without_secrets() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sendport.toml"), WITH_SECRETS).expect("write");
    let variables = [("SENDPORT__SERVICE__POLL_INTERVAL", "5s")];
    let output = run_with(folder.path(), &["config", "show"], &variables);
    output.is_as_expected("config_show");
    let json = run_with(folder.path(), &["config", "show", "--json"], &variables);
    json.prints(
        0,
        &["\"poll_interval\": \"5s\"", "\"password\": \"[secret]\""],
    );
    assert!(
        !format!("{}{}", output.out, json.out).contains("hidden"),
        "{output:?}"
    );

    std::fs::write(folder.path().join("again.toml"), &output.out).expect("write");
    let again = run(folder.path(), &["config", "show", "--config", "again.toml"]);
    let settings = |text: &str| text.split_once('\n').map(|(_, rest)| rest.to_owned());
    assert_eq!(settings(&again.out), settings(&output.out), "{}", again.err);
}
