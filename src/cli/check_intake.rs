//! What `sendport check` says about intakes.

use sendport_intake::settings::IntakeConfig;
use sendport_intake::{SpoolContents, folder_findings};

use super::findings::Findings;
use super::{Failure, app};
use crate::config::{Config, section};

/// Each intake whose section has no problem, by its key, and all spools.
pub(super) fn check_intakes(
    config: &Config,
    is_fine: impl Fn(&str) -> bool,
    findings: &mut Findings,
) {
    for (name, intake) in &config.intake {
        let section = section("intake", name);
        if is_fine(&format!("{section}.")) {
            check_intake(config, &section, intake, findings);
        }
    }
    note_root(config, findings);
    check_intake_spools(config, findings);
}

/// Root may use every folder, also where the service may not.
fn note_root(config: &Config, findings: &mut Findings) {
    let mut intakes = config.intake.values();
    let owner = app::owner_of_state_folder(config);
    if let Some(owner) = owner.filter(|_| intakes.any(|it| it.pickup().is_some())) {
        let command = owner.command("check");
        let what = format_args!(
            "the folders of intakes were checked as root, who may use all of them; check them as the user of the service: \
             `{command}`"
        );
        findings.note("user", what);
    }
}

fn check_intake(config: &Config, section: &str, intake: &IntakeConfig, findings: &mut Findings) {
    let pickup = match intake {
        IntakeConfig::Smtp(smtp) => {
            let listen: Vec<_> = smtp.listen.iter().map(ToString::to_string).collect();
            let clients: Vec<_> = smtp.allow_clients.iter().map(ToString::to_string).collect();
            let (listen, clients) = (listen.join(", "), clients.join(", "));
            let port = &smtp.send_port;
            let what = format_args!("listens on {listen}, clients {clients}, send port {port}");
            return findings.ok(section, what);
        }
        IntakeConfig::Pickup(pickup) | IntakeConfig::Sendmail(pickup) => pickup,
    };
    let is_sendmail = matches!(intake, IntakeConfig::Sendmail(_));
    let database = app::open_store(config).map(|store| store.identity());
    let found = folder_findings(pickup, is_sendmail, &database.unwrap_or_default());
    for problem in &found.warnings {
        findings.note(&format!("{section}.{}", problem.key), &problem.what);
    }
    if found.problems.is_empty() {
        let (folder, badmail) = (pickup.folder.display(), pickup.badmail());
        let (badmail, port) = (badmail.display(), &pickup.send_port);
        let taken_by = found.taken_by.map(|it| format!("; {it} does so now"));
        let taken_by = taken_by.unwrap_or_default();
        let what = format_args!(
            "takes files from {folder}, refused ones to {badmail}, send port {port}{taken_by}"
        );
        findings.ok(section, what);
    }
    for problem in found.problems {
        let key = format!("{section}.{}", problem.key);
        findings.fail(&key, Failure::Config(problem.what));
    }
}

fn check_intake_spools(config: &Config, findings: &mut Findings) {
    let database = app::open_store(config).map(|store| store.identity());
    let spools = match app::intake_spools(config, database.as_deref().ok()) {
        Ok(spools) => spools,
        Err(error) => {
            let what = format!("the spools of intakes cannot be read: {error}");
            return findings.fail("service.state_folder", Failure::Config(what));
        }
    };
    for spool in spools {
        check_intake_spool(spool, findings);
    }
}

fn check_intake_spool(spool: app::IntakeSpool, findings: &mut Findings) {
    let key = format!("{}.spool", section("intake", &spool.name));
    let contents = match spool.contents {
        Ok(contents) => contents,
        Err(error) => return findings.fail(&key, Failure::Config(error.to_string())),
    };
    let SpoolContents {
        messages,
        bytes,
        oldest,
        refused,
    } = contents;
    if refused > 0 {
        let folder = spool.folder.join("refused");
        let folder = folder.display();
        let what = format_args!(
            "{refused} messages were accepted and not sent: they are in {folder}, each with a text that says why"
        );
        findings.note(&key, what);
    }
    match messages {
        0 if refused > 0 => {}
        0 => findings.ok(&key, "nothing waits for the database"),
        _ => {
            let since = oldest.map_or(String::new(), |oldest| {
                let oldest = chrono::DateTime::<chrono::Utc>::from(oldest);
                format!(
                    ", the oldest since {}",
                    oldest.format("%Y-%m-%d %H:%M:%S UTC")
                )
            });
            let what =
                format_args!("{messages} messages ({bytes} bytes) wait for the database{since}");
            findings.note(&key, what);
        }
    }
}
