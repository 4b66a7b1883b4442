//! `sendport check`

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use sendport_core::clock::utc_text;
use sendport_core::domain::{ExpiringCertificate, TemplateRow, shown_names};
use sendport_core::file_beneath;
use sendport_core::replies::ReplyTable;
use sendport_smtp::relay::Relay;
use sendport_smtp::relay::authentication::AuthLedger;
use sendport_smtp::settings::graph::GraphRelay;
use sendport_smtp::settings::mx::MxRelay;
use sendport_smtp::settings::relay::RelayConfig;
use sendport_store::{FixedRoleMember, Store};

use super::check_feedback::check_feedback;
use super::check_intake::check_intakes;
use super::config_file::find;
use super::findings::Findings;
use super::redirects::check_requests;
use super::{Failure, as_its_owner, progress};
use crate::app::{self, FolderSpace, ProbeContext};
use crate::config::{Config, section};
use crate::probe::{Phase, Plan, Report, SLOW, Server, Warning};

/// Looks at everything that may be wrong and prints a line for each: ok, note or FAIL.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  sendport check\n  sendport check --offline\n  sendport check --json"
)]
pub(super) struct Args {
    /// Check only configuration and templates, without the database and the relays
    #[arg(long)]
    offline: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Warnings about what the server shows to others: only `sendport probe` reports them.
const OF_THE_SERVER: [&str; 3] = [
    "greeting-reveals-version",
    "greeting-reveals-internals",
    "cleartext-auth-offered",
];

pub(super) async fn run(args: Args, named: Option<PathBuf>) -> Result<(), Failure> {
    let mut findings = Findings::new(args.json);
    let loaded = find(named).and_then(|file| {
        let config = Config::load(file.as_deref())?;
        Ok((config, file))
    });
    match loaded {
        Ok((config, file)) => {
            let file = file.as_deref().map(std::path::Path::display);
            let shown =
                file.map_or_else(|| "the environment alone".to_owned(), |it| it.to_string());
            findings.ok("configuration", shown);
            check_config(&config, &mut findings);
            progress::at("check: http.listen");
            check_listen(&config, &mut findings).await;
            progress::at("check: templates");
            check_templates(&config, &mut findings).await;
            progress::at("check: certificates");
            check_protection(&config, args.offline, &mut findings).await;
            check_dkim(&config, &mut findings);
            if !args.offline {
                progress::at("check: database");
                check_database(&config, &mut findings).await;
                check_relays(&config, &mut findings).await;
            }
        }
        Err(failure) => findings.fail("configuration", failure),
    }
    let summary = format!("{} of the checks failed", findings.failed());
    findings.end("nothing failed", summary)
}

fn check_config(config: &Config, findings: &mut Findings) {
    let problems = config.problems();
    let is_fine = |section: &str| !problems.iter().any(|it| it.key.starts_with(section));
    for problem in &problems {
        findings.fail(&problem.key, Failure::Config(problem.what.clone()));
    }
    for refusal in app::startup_problems(config) {
        findings.refuse(refusal.into());
    }
    for warning in config.warnings() {
        findings.note(&warning.key, warning.what);
    }
    let ports = config
        .send_port
        .iter()
        .map(|(name, port)| (section("send_port", name), port));
    for (section, port) in ports.filter(|(section, _)| is_fine(&format!("{section}."))) {
        let relays = shown_names(&port.relays);
        findings.ok(
            &section,
            format_args!("from {}, relays {relays}", port.from),
        );
    }
    check_intakes(config, is_fine, findings);
    check_feedback(config, is_fine, findings);
    for (port, state) in app::window_states(config) {
        findings.ok(
            &format!("{}.delivery_window", section("send_port", &port)),
            state,
        );
    }
    check_file_folders(config, findings);
    check_replies(config, findings);
    check_state_folder(config, findings);
    match app::open_audit_folders(config) {
        Ok(folders) => {
            for port in folders.keys() {
                findings.ok(
                    &format!("{}.audit", section("send_port", port)),
                    "the folder can be written",
                );
            }
        }
        Err(error) => findings.fail("audit", error.into()),
    }
}

/// A folder that is away now may be back when an alert needs it.
fn check_file_folders(config: &Config, findings: &mut Findings) {
    for (name, port) in &config.send_port {
        let what = format!("{}.attachments.folders", section("send_port", name));
        for it in &port.attachments.folders {
            let (folder, logins) = (it.folder.display(), it.allow_principals.join(", "));
            match file_beneath::check_folder(&it.folder) {
                Ok(()) => findings.ok(
                    &what,
                    format_args!("'{}' is '{folder}', for {logins}", it.written()),
                ),
                Err(error) => findings.fail(
                    &what,
                    Failure::Config(format!(
                        "'{folder}' cannot be used: {error}; alerts that name its files wait until the account of the \
                         service can search it"
                    )),
                ),
            }
        }
    }
}

async fn check_listen(config: &Config, findings: &mut Findings) {
    match app::try_listen(config).await {
        Ok(None) => {}
        Ok(Some(text)) => findings.note("http.listen", text),
        Err(error) => findings.refuse(error.into()),
    }
}

fn check_state_folder(config: &Config, findings: &mut Findings) {
    let (what, folder) = ("service.state_folder", &config.service.state_folder);
    let database = app::open_store(config).map(|store| store.identity());
    match app::OutcomeSpool::try_folder(folder, database.as_deref().ok()) {
        Ok(FolderSpace::Enough) => findings.ok(what, "it can be written"),
        Ok(FolderSpace::ToBeCreated) => findings.ok(what, "the service will make it"),
        Ok(FolderSpace::Little) => findings.note(
            what,
            "less than 1 MiB of room is left: a service that found it full waits for that",
        ),
        Err(error) => findings.fail(what, Failure::Config(error.to_string())),
    }
    note_other_owners(config, findings);
}

fn note_other_owners(config: &Config, findings: &mut Findings) {
    let owners = [
        app::owner_of_state_folder(config),
        app::owner_of_database(config),
    ];
    let mut notes: Vec<_> = owners
        .into_iter()
        .flatten()
        .map(|owner| {
            format!(
                "{} belongs to '{}': start the service as that user, and run `{}` as it is written here",
                owner.folder.display(),
                owner.user,
                owner.command("migrate")
            )
        })
        .collect();
    notes.dedup();
    for note in notes {
        findings.note("user", note);
    }
}

async fn check_templates(config: &Config, findings: &mut Findings) {
    match app::load_templates(&config.templates.folder).await {
        Ok(templates) if templates.names().is_empty() => findings.ok("templates", "none"),
        Ok(templates) => {
            let names: Vec<_> = templates.names().iter().map(String::as_str).collect();
            findings.ok("templates", names.join(", "));
        }
        Err(error) => findings.fail("templates", error.into()),
    }
}

fn check_replies(config: &Config, findings: &mut Findings) {
    let file = config.replies.file.display();
    match app::reply_table(config) {
        Ok(_) if config.replies.file.as_os_str().is_empty() => {}
        Ok(table) => {
            let own = table.entries().count() - ReplyTable::built_in().entries().count();
            findings.ok("replies.file", format_args!("{own} entries in '{file}'"));
        }
        Err(error) => findings.fail("replies.file", error.into()),
    }
}

async fn check_protection(config: &Config, offline: bool, findings: &mut Findings) {
    for state in app::protection_states(config, offline).await {
        match state {
            Ok(state) => {
                findings.ok(&state.section, &state.facts);
                for note in &state.notes {
                    findings.note(&state.section, note);
                }
            }
            Err(error) => findings.fail("protection", error.into()),
        }
    }
}

fn check_dkim(config: &Config, findings: &mut Findings) {
    for state in app::dkim_states(config) {
        match state {
            Ok(state) => {
                let published = &state.published;
                let key = format_args!("{}, {}", published.kind, published.name);
                findings.ok(&state.section, key);
                for weakness in &published.weaknesses {
                    findings.note(&state.section, weakness);
                }
            }
            Err(error) => findings.refuse(error.into()),
        }
    }
    for (section, why) in app::unsigned_by_dkim(config) {
        findings.note(&section, why);
    }
}

async fn check_database(config: &Config, findings: &mut Findings) {
    // Problems of the section are reported already.
    if app::check_connection(config).is_err() {
        return;
    }
    let store = match app::open_store(config) {
        Ok(store) => store,
        Err(error) => return findings.fail("database", error.into()),
    };
    match app::schema_problem(&*store).await {
        Ok(None) => findings.ok("database", store.describe()),
        Ok(Some(problem)) => {
            return findings.fail("database", Failure::Database(as_its_owner(config, problem)));
        }
        Err(error) => {
            return findings.fail(
                "database",
                Failure::Database(as_its_owner(config, error.to_string())),
            );
        }
    }
    check_start(config, &*store, findings).await;
    match store.fixed_role_members().await {
        Ok(members) => {
            for sentence in about_fixed_roles(&members) {
                findings.note("database roles", sentence);
            }
        }
        Err(error) => findings.note("database roles", error),
    }
    match store.has_row_versioning().await {
        Ok(None) => {}
        Ok(Some(true)) => findings.ok("row versioning", "READ_COMMITTED_SNAPSHOT is on"),
        Ok(Some(false)) => findings.note(
            "row versioning",
            "READ_COMMITTED_SNAPSHOT is off: applications that read alerts wait while one is claimed or \
             recorded, see docs/operations.md#locks",
        ),
        Err(error) => findings.note("row versioning", error),
    }
    match store.expiring_certificates().await {
        Ok(expiring) => note_expiring(&expiring, findings),
        Err(error) => findings.fail("certificates in the database", error.into()),
    }
    for (section, why) in app::digest_recipients_without_certificate(config, &store).await {
        findings.note(&section, why);
    }
    check_requests(config, &store, findings).await;
    match store.templates().await {
        Ok(templates) => check_stored_templates(config, &templates.rows, findings).await,
        Err(error) => findings.fail("templates in the database", error.into()),
    }
}

/// The first steps of a start: name the environment, and use the rights of the service.
async fn check_start(config: &Config, store: &dyn Store, findings: &mut Findings) {
    let wanted = &config.environment;
    match store.environment().await {
        Ok(None) => findings.note(
            "environment",
            format_args!("not stored yet; the first run stores '{wanted}'"),
        ),
        Ok(Some(found)) => match app::check_database(store, wanted).await {
            Ok(()) => findings.ok("environment", found),
            Err(error) => findings.fail("environment", error.into()),
        },
        Err(error) => findings.fail("environment", error.into()),
    }
    if let Err(error) = store.check_permissions().await {
        findings.fail("database", error.into());
    }
}

/// One sentence for each role that has members.
fn about_fixed_roles(members: &[FixedRoleMember]) -> Vec<String> {
    let sentence = |group: &[FixedRoleMember]| {
        let names: Vec<_> = group.iter().map(|it| it.member.as_str()).collect();
        let (role, names) = (&group[0].role, names.join(", "));
        let what = match &**role {
            "db_datareader" => "read every alert, unless sendport_writer denies it to them",
            "db_datawriter" => "change every alert, unless sendport_writer denies it to them",
            _ => "read and change every alert",
        };
        format!("members of {role} {what}: {names}")
    };
    let groups = members.chunk_by(|a, b| a.role == b.role);
    groups.map(sentence).collect()
}

fn note_expiring(expiring: &[ExpiringCertificate], findings: &mut Findings) {
    for it in expiring {
        let (address, thumbprint, days) = (&it.address, &it.thumbprint, it.days_left);
        findings.note(
            "certificates in the database",
            format_args!(
                "{thumbprint} of {address} ends in {days} days, and there is no other one"
            ),
        );
    }
}

async fn check_stored_templates(config: &Config, rows: &[TemplateRow], findings: &mut Findings) {
    let own = rows.iter().filter(|row| !row.text.name.starts_with('_'));
    let names: BTreeSet<&str> = own.map(|row| row.text.name.as_str()).collect();
    if names.is_empty() {
        return;
    }
    let listed: Vec<_> = names.iter().copied().collect();
    findings.ok("templates in the database", listed.join(", "));
    let Ok(folder) = app::load_templates(&config.templates.folder).await else {
        return;
    };
    for name in folder
        .names()
        .iter()
        .filter(|it| names.contains(it.as_str()))
    {
        findings.note(
            "templates.folder",
            format_args!("'{name}' is not used: the database has one of this name"),
        );
    }
}

async fn check_relays(config: &Config, findings: &mut Findings) {
    // Its problems are reported already.
    let replies = Arc::new(app::reply_table(config).unwrap_or_else(|_| ReplyTable::built_in()));
    let authentications = app::open_auth_ledger(config).await;
    let relays = match app::make_relays(config, &authentications, None) {
        Ok(relays) => relays,
        // Reported already.
        Err(_) => return,
    };
    for relay in relays {
        progress::at(format_args!("check: {}", section("relay", relay.name())));
        match config.relay.get(relay.name()) {
            Some(RelayConfig::Smtp(section)) => {
                let context = ProbeContext {
                    name: relay.name(),
                    section,
                    authentications: &authentications,
                    replies: &replies,
                    slow: SLOW,
                };
                check_smtp_relay(&context, findings).await;
            }
            Some(RelayConfig::Mx(section)) => check_mx_relay(&*relay, section, findings).await,
            Some(RelayConfig::Graph(section)) => {
                check_graph_relay(relay.name(), section, &authentications, findings).await;
            }
            _ => check_relay(&*relay, findings).await,
        }
        relay.close().await;
    }
}

async fn check_relay(relay: &dyn Relay, findings: &mut Findings) {
    let what = section("relay", relay.name());
    match relay.verify().await {
        Ok(_) => findings.ok(&what, "ready"),
        Err(not_ready) => findings.fail(&what, Failure::Other(not_ready.reply.to_string())),
    }
}

/// The hosts of a domain are known once there is a recipient: only the name servers are asked.
async fn check_mx_relay(relay: &dyn Relay, config: &MxRelay, findings: &mut Findings) {
    let what = section("relay", relay.name());
    if let Err(error) = relay.verify().await {
        return findings.fail(&what, Failure::Other(error.reply.to_string()));
    }
    let servers: Vec<_> = config.dns_servers.iter().map(ToString::to_string).collect();
    let servers = match servers.is_empty() {
        true => "of the system".to_owned(),
        false => servers.join(", "),
    };
    findings.ok(
        &what,
        format_args!("the name servers {servers} answer; port {}", config.port),
    );
}

/// A token and the endpoint; only a message shows whether the mailbox may send.
async fn check_graph_relay(
    name: &str,
    graph: &GraphRelay,
    authentications: &Arc<dyn AuthLedger>,
    findings: &mut Findings,
) {
    let what = section("relay", name);
    let relay = match app::make_graph_relay(name, graph, authentications) {
        Ok(relay) => relay,
        // Reported already.
        Err(_) => return,
    };
    match relay.access().await {
        Ok(access) => {
            let until = access.expires_at().map(utc_text);
            let until = until.map_or(String::new(), |at| format!(" until {at}"));
            findings.ok(
                &what,
                format_args!("{} answers, access token valid{until}", graph.endpoint()),
            );
            if let Some(advice) = access.advice() {
                findings.note(&what, advice);
            }
        }
        Err(error) => findings.fail(&what, Failure::Other(error.reply.to_string())),
    }
}

/// Probes it as `sendport probe` does, up to the authentication.
async fn check_smtp_relay(context: &ProbeContext<'_>, findings: &mut Findings) {
    let what = section("relay", context.name);
    let plan = Plan::up_to_authentication(context.section);
    let report = match app::probe(context, &plan, Box::new(|_| ())).await {
        Ok(report) => report,
        Err(error) => return findings.fail(&what, error.into()),
    };
    match report.failed {
        None => findings.ok(&what, describe(&report.server)),
        Some(phase) => findings.fail(&what, Failure::Other(explain(phase, &report))),
    }
    let ours = |warning: &&Warning| !OF_THE_SERVER.contains(&warning.key);
    for warning in report.warnings.iter().filter(ours) {
        findings.note(&what, &warning.text);
    }
}

fn describe(server: &Server) -> String {
    let tls = match (&server.tls_version, &server.tls_cipher) {
        (Some(version), Some(cipher)) => Some(format!("{version} {cipher}")),
        (Some(version), None) => Some(version.clone()),
        _ => server.address.as_ref().map(|_| "not encrypted".to_owned()),
    };
    let auth = server
        .auth_mechanism
        .as_ref()
        .map(|mechanism| format!("authenticated with {mechanism}"));
    let parts = [server.name.clone(), server.address.clone(), tls, auth];
    let text = parts.into_iter().flatten().collect::<Vec<_>>().join(", ");
    if text.is_empty() {
        "ready".to_owned()
    } else {
        text
    }
}

fn explain(phase: Phase, report: &Report) -> String {
    let Some(refusal) = report.refusals.last() else {
        return format!("failed at {phase}");
    };
    let advice = refusal
        .explanation
        .as_ref()
        .map(|it| format!("\n      {} {}", it.cause, it.advice))
        .unwrap_or_default();
    // Our own words for a reply that did not come begin with the command.
    let (command, reply) = (format!("{}: ", phase.command()), refusal.reply());
    let text = reply.strip_prefix(&command).unwrap_or(&reply);
    format!("{command}{text}{advice}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_fixed_roles_are_named_by_role() {
        let member = |role: &str, member: &str| FixedRoleMember {
            role: role.to_owned(),
            member: member.to_owned(),
        };
        let members = [
            member("db_datareader", "CONTOSO\\orders"),
            member("db_datareader", "report"),
            member("db_owner", "CONTOSO\\dba"),
        ];
        assert_eq!(
            about_fixed_roles(&members),
            [
                "members of db_datareader read every alert, unless sendport_writer denies it to them: \
                 CONTOSO\\orders, report",
                "members of db_owner read and change every alert: CONTOSO\\dba",
            ]
        );
        assert!(about_fixed_roles(&[]).is_empty());
    }
}
