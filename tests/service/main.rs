//! The whole program as its users run it: the real binary, a real database file, real
//! mail servers. One scenario a file, named by what comes out.

#[path = "../support/health.rs"]
mod health;
#[path = "../support/not_run.rs"]
mod not_run;
#[path = "../support/site.rs"]
mod site;
#[path = "../support/tsql.rs"]
mod tsql;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod crl_server;
    pub(crate) mod exim;
    pub(crate) mod limiting_peer;
    pub(crate) mod maildir;
    pub(crate) mod name_server;
    pub(crate) mod peer;
    pub(crate) mod people;
    pub(crate) mod postfix;
    pub(crate) mod received;
    pub(crate) mod recording_peer;
    pub(crate) mod scripted_peer;
    pub(crate) mod slapd;
    pub(crate) mod submitted;
    pub(crate) mod tds_server;
    pub(crate) mod unanswered_auth;
}

mod a_hundred_requests_between_kills;
mod alert_that_kills_the_service_fails;
mod alerts_can_raise_protection_not_lower_it;
mod alerts_wait_for_the_window;
mod another_environment_is_refused;
mod audit_copies_equal_what_arrived;
mod bad_alerts_fail_alone;
mod biztalk_macros_are_replaced;
mod bounces_come_back;
mod cancelled_and_requeued_by_an_operator;
mod certificates_are_kept_in_the_database;
mod certificates_come_from_a_directory;
mod check_reports_missing_permissions;
mod database_errors_are_waited_for;
mod database_mail_arrives;
mod demo_ends_by_itself;
mod dkim_verified_behind_relays;
mod each_connection_ends_at_the_same_recipient;
mod expiring_certificates_are_announced;
mod failures_are_reported_once;
mod file_size_limit_is_reported;
mod first_email_as_documented;
mod first_relay_killed_and_back;
mod full_state_folder_is_reported;
mod health_command;
mod health_port_in_use;
mod hostile_health_clients_do_not_delay_email;
mod identity_is_renewed_while_it_runs;
mod inserts_without_lock_wait_succeed;
mod international_recipients;
mod killed_and_nothing_lost;
mod killed_in_one_of_several_transactions;
mod killed_in_the_middle_of_auth;
mod limits_hold;
mod log_lines_name_their_alert;
mod mail_hosts_of_each_domain;
mod message_ids_stay_the_same;
mod metrics_count_outcomes;
mod missing_certificates_follow_the_policy;
mod more_recipients_than_the_relay_takes;
mod named_files_arrive_with_their_alert;
mod no_row_stops_the_service;
mod odd_addresses_are_explained;
mod preview_is_what_arrives;
mod protected_headers_are_read_back;
mod purged_by_an_operator;
mod ready_while_it_can_work;
mod received_for_relays_without_8bitmime;
mod received_signed_and_encrypted;
mod recipients_decrypt_their_email;
mod recipients_without_usable_certificate_fail;
mod redirected_to_one_address;
mod refused_claims_do_not_block_others;
mod refused_for_a_limit;
mod refused_in_every_way;
mod refused_leases_do_not_block_others;
mod refused_outcomes_are_kept;
mod refused_password_is_tried_once;
mod relay_down_and_back;
mod requests_after_the_claim;
mod sent_with_sendmail;
mod service_creates_the_tables;
mod service_manager_is_notified;
mod signed_email_verifies;
mod slow_templates_do_not_delay_others;
mod status_shows_certificates_and_authentications;
mod stop_cuts_off_a_hung_relay;
mod stop_drains;
mod submitted_over_smtp;
mod taken_from_a_pickup_folder;
mod templates_are_imported_and_exported;
mod templates_stay_at_their_version;
mod ten_thousand_on_sqlserver;
mod ten_thousand_relayed_once;
mod test_mail_takes_the_whole_way;
mod thirty_seven_of_a_hundred_refused;
mod unanswered_password_is_tried_twice;
mod unreachable_databases_are_explained;
mod unusable_certificates_stop_all_email;
mod verify_proves_a_database;
mod wrong_input_is_explained;

/// Many alerts, inserted by plain SQL as an application would.
fn insert_many(site: &site::Site, count: u32) {
    let sql = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
               INSERT INTO Alert (ToRecipients, Subject, Body, Reference)
               SELECT 'user' || (i % 50) || '@example.test', 'Order ' || i || ' is late', 'It is on its way.', 'order-' || i FROM n";
    let inserted = site.database().execute(sql, [count]).expect("insert");
    assert_eq!(inserted, count as usize);
}

/// A sink that stores messages in a folder.
async fn sink_at(
    address: std::net::SocketAddr,
    folder: &std::path::Path,
    delay: &[(&str, u32)],
) -> sendport::sink::Sink {
    let options = sendport::sink::SinkOptions {
        listen: address,
        folder: folder.to_owned(),
        delay: delay
            .iter()
            .map(|(who, times)| ((*who).to_owned(), *times))
            .collect(),
        ..sendport::sink::SinkOptions::default()
    };
    sendport::sink::Sink::start(options).await.expect("start")
}

/// Any free port of this machine.
fn any_port() -> std::net::SocketAddr {
    std::net::SocketAddr::from(([127, 0, 0, 1], 0))
}

/// A folder `templates` of the site with these files.
fn write_templates(site: &site::Site, files: &[(&str, &str)]) -> String {
    let folder = site.path("templates");
    std::fs::create_dir_all(&folder).expect("create");
    for (name, content) in files {
        std::fs::write(folder.join(name), content).expect("write");
    }
    folder.display().to_string()
}

/// Imports that folder; returns the output.
fn import(site: &site::Site, files: &[(&str, &str)]) -> String {
    let folder = write_templates(site, files);
    let imported = site.sendport(&["template", "import", &folder]);
    let output = site::text(&imported);
    assert!(imported.status.success(), "{output}");
    output
}

/// A send port over one relay, with delays that a test can wait for.
fn send_port_over(relay: &str) -> String {
    format!(
        "{relay}
[send_port.default]
from = \"Contoso alerts <alerts@example.test>\"
relays = [\"main\"]
[send_port.default.retry]
first_delay = \"1s\"
longest_delay = \"2s\"
"
    )
}

/// The relay `main` at an address, without TLS.
fn plain_relay(address: std::net::SocketAddr) -> String {
    format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\nehlo_name = \"sendport.test\"\n",
        address.ip(),
        address.port()
    )
}
