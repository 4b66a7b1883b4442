//! Checks `[relay.<name>]` of `kind = "graph"`.

use sendport_oauth2::settings::is_loopback;
use sendport_smtp::settings::graph::GraphRelay;

use super::check_oauth2;
use super::validate::{Problems, check_counts, section};

pub(super) fn check_graph(name: &str, graph: &GraphRelay, found: &mut Problems) {
    let section = section("relay", name);
    let key = |key: &str| format!("{section}.{key}");
    if let Some(what) = mailbox_problem(&graph.mailbox) {
        found.add(key("mailbox"), what);
    }
    if let Some(what) = graph.endpoint.as_deref().and_then(endpoint_problem) {
        found.add(key("endpoint"), what);
    }
    if !graph.save_to_sent_items {
        found.add(
            key("save_to_sent_items"),
            "Microsoft Graph stores every message that comes as MIME in Sent Items and cannot be told otherwise; remove the \
             key, and limit the folder by a retention policy of the mailbox",
        );
    }
    for (below, what) in check_oauth2::problems(&graph.oauth2()) {
        found.add(key(&format!("auth.oauth2.{below}")), what);
    }
    let counts = [
        ("max_connections", Some(graph.max_connections)),
        ("recipients_per_message", graph.recipients_per_message),
    ];
    check_counts(&section, &counts, found);
    if graph.timeout.is_zero() {
        let what = "0 would never wait; write for example \"2m\", or leave it out";
        found.add(key("timeout"), what);
    }
}

fn mailbox_problem(mailbox: &str) -> Option<String> {
    let is_odd = |c: char| c.is_whitespace() || c.is_control() || "/?#<>,;".contains(c);
    let is_wrong = mailbox.is_empty() || mailbox.contains(is_odd) || mailbox == "me";
    is_wrong.then(|| {
        format!(
            "expected the user principal name or the id of a mailbox, such as \"alerts@contoso.com\", found '{mailbox}'"
        )
    })
}

/// The token travels there.
fn endpoint_problem(endpoint: &str) -> Option<String> {
    let here = endpoint.strip_prefix("http://");
    let is_here = here.is_some_and(|rest| is_loopback(check_oauth2::host_of(rest)));
    let rest = endpoint
        .strip_prefix("https://")
        .or(here.filter(|_| is_here));
    let is_odd = |c: char| c.is_whitespace() || "@?#\\/".contains(c);
    let host = rest.map(|rest| rest.trim_end_matches('/'));
    let is_right = host.is_some_and(|host| !host.is_empty() && !host.contains(is_odd));
    (!is_right).then(|| {
        format!(
            "expected https:// and a host alone, such as \"https://graph.microsoft.com\", found '{endpoint}'; the version \
             and the path are added"
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    const OAUTH2: &str = "[relay.m365.auth.oauth2]\nsource = 'client_credentials'\ntenant = 'contoso.com'\n\
                          client_id = 'c'\nclient_secret = 's'\n";

    fn said(settings: &str, oauth2: &str) -> String {
        let text = format!(
            "[send_port.default]\nfrom = 'alerts@contoso.com'\nrelays = ['m365']\n\
             [relay.m365]\nkind = 'graph'\n{settings}\n{oauth2}"
        );
        let config = match Config::from_text(&text) {
            Ok(config) => config,
            Err(error) => return error.to_string(),
        };
        let all = config.problems().into_iter().chain(config.warnings());
        all.map(|problem| format!("{problem}\n")).collect()
    }

    #[test]
    fn settings_that_cannot_work_say_what_to_write_instead() {
        let mailbox = "mailbox = 'alerts@contoso.com'\n";
        for fine in [
            "",
            "cloud = 'us_government'",
            "endpoint = 'https://graph.contoso.com:8443/'",
            "endpoint = 'http://127.0.0.1:8080'",
            "message_rate = '10000/10min'\nmax_connections = 2\nsave_to_sent_items = true",
        ] {
            assert_eq!(said(&format!("{mailbox}{fine}"), OAUTH2), "", "{fine}");
        }
        for (settings, expected) in [
            ("", "relay.m365.mailbox: it is missing"),
            (
                "mailbox = 'me'",
                "relay.m365.mailbox: expected the user principal name",
            ),
            (
                "mailbox = 'Ops <ops@contoso.com>'",
                "relay.m365.mailbox: expected",
            ),
            (
                "mailbox = 'a@b'\ncloud = 'germany'",
                "unknown variant `germany`",
            ),
            (
                "mailbox = 'a@b'\nendpoint = 'http://graph.contoso.com'",
                "relay.m365.endpoint: expected https://",
            ),
            (
                "mailbox = 'a@b'\nendpoint = 'https://graph.microsoft.com/v1.0'",
                "the version and the path are added",
            ),
            (
                "mailbox = 'a@b'\nsave_to_sent_items = false",
                "stores every message that comes as MIME",
            ),
            (
                "mailbox = 'a@b'\nmax_connections = 0",
                "max_connections: 0 would never send",
            ),
            (
                "mailbox = 'a@b'\ntimeout = '0s'",
                "relay.m365.timeout: 0 would never wait",
            ),
            (
                "mailbox = 'a@b'\nhost = 'smtp.office365.com'",
                "unknown field `host`",
            ),
        ] {
            let said = said(settings, OAUTH2);
            assert!(said.contains(expected), "{settings}: {said}");
        }
        let unproven = said(
            mailbox,
            "[relay.m365.auth.oauth2]\nsource = 'client_credentials'\nclient_id = 'c'",
        );
        assert!(
            unproven.contains("relay.m365.auth.oauth2.tenant: neither tenant"),
            "{unproven}"
        );
        assert!(said(mailbox, "").contains("relay.m365.auth: it is missing"));
    }
}
