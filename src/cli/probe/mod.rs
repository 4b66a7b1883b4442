//! `sendport probe`

mod args;
mod graph;
mod show;
mod target;

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;

pub(super) use self::args::Args;
use sendport_core::domain::{Address, ReversePath};
use sendport_core::replies::ReplyTable;
use sendport_smtp::mail_hosts::{MailDomain, MailResolver, Route};
use sendport_smtp::relay::authentication::{AuthLedger, NoSharedLedger};
use sendport_smtp::settings::relay::RelayConfig;

use self::target::Target;
use super::config_file::{load, load_if_any};
use super::{Failure, say};
use crate::app::{self, ProbeContext};
use crate::config::Config;
use crate::probe::{Event, EventKind, Listener, Phase, Plan, Report, dialogue_lines};

/// The server takes mail for strangers.
const OPEN_RELAY: u8 = 30;

const SHARED: &str = "a password that was refused is not tried again before its time";
const BLIND: &str = "each probe tries the password, and too many wrong ones may lock the account";

/// Everything, for programs.
#[derive(Serialize)]
struct Document {
    #[serde(skip_serializing_if = "Option::is_none")]
    mail_domain: Option<MailDomain>,
    sessions: Vec<Session>,
    exit_code: u8,
}

#[derive(Serialize)]
struct Session {
    target: String,
    /// What was asked: the session itself, or whether it relays for strangers.
    purpose: &'static str,
    #[serde(flatten)]
    report: Report,
}

/// What all sessions of one call have in common.
struct Probe<'a> {
    args: &'a Args,
    config: Config,
    replies: Arc<ReplyTable>,
    log: Option<Arc<Mutex<File>>>,
    sessions: Vec<Session>,
    /// The first that is not 0.
    failure: Option<(u8, String)>,
}

pub(in crate::cli) async fn run(args: Args, named: Option<PathBuf>) -> Result<(), Failure> {
    let config = match args.relay {
        Some(_) => load(named)?,
        None => load_if_any(named)?,
    };
    let mut probe = Probe {
        replies: Arc::new(app::reply_table(&config)?),
        log: args.log.as_ref().map(open_log).transpose()?,
        args: &args,
        config,
        sessions: Vec::new(),
        failure: None,
    };
    let mail_domain = match (&args.relay, &args.mx, &args.host) {
        (Some(name), _, _) => {
            let authentications = app::open_auth_ledger(&probe.config).await;
            if let Some(RelayConfig::Graph(section)) = probe.config.relay.get(name) {
                return graph::run(&args, name, section, &authentications).await;
            }
            let target = target::of_relay(&probe.config, name, &args)?;
            probe.look_at(&target, &authentications).await?;
            None
        }
        (None, Some(domain), _) => Some(probe.mail_domain(domain).await?),
        (None, None, host) => {
            let host = host.as_deref().unwrap_or_default();
            let mut target = target::of_host(host, &args)?;
            let authentications = probe.authentications_with(&mut target).await;
            probe.look_at(&target, &authentications).await?;
            None
        }
    };
    probe.end(mail_domain)
}

fn unshared() -> Arc<dyn AuthLedger> {
    Arc::new(NoSharedLedger)
}

fn open_log(path: &PathBuf) -> Result<Arc<Mutex<File>>, Failure> {
    let file = File::create(path)
        .map_err(|error| Failure::Other(format!("cannot write '{}': {error}", path.display())))?;
    Ok(Arc::new(Mutex::new(file)))
}

impl Probe<'_> {
    /// What is known of refused passwords where the host is a relay of the configuration; that is
    /// then its name.
    async fn authentications_with(&self, target: &mut Target) -> Arc<dyn AuthLedger> {
        if let Some(name) = target::relay_of(&self.config, target) {
            name.clone_into(&mut target.name);
            self.print(&format!("relay '{name}' of the configuration: {SHARED}"));
            return app::open_auth_ledger(&self.config).await;
        }
        if target.section.auth.username.is_some() && self.args.until() >= Phase::Auth {
            self.print(&format!("no relay of the configuration: {BLIND}"));
        }
        unshared()
    }

    /// The session itself, and what else was asked for.
    async fn look_at(
        &mut self,
        target: &Target,
        authentications: &Arc<dyn AuthLedger>,
    ) -> Result<Option<Phase>, Failure> {
        let head = self.head(target, "probe");
        let context = self.context(target, authentications);
        let plan = self.plan(target);
        let report = app::probe(&context, &plan, self.listener(head)).await?;
        let failed = report.failed;
        let verdict = show::verdict(&report, &self.args.to, plan.until.as_str());
        self.print(&format!("{}: {verdict}", target.name));
        if let Some(phase) = failed {
            let why = report
                .refusals
                .iter()
                .find(|refusal| refusal.phase == phase);
            let why = why.map_or(String::new(), |refusal| format!(": {}", refusal.reply()));
            let id = report.message_id.as_deref().filter(|_| report.in_doubt());
            let id = id.map_or(String::new(), |id| format!("; Message-ID {id}"));
            let what = format!("{} failed at {phase}{why}{id}", target.name);
            self.fail(phase.exit_code(), what);
        }
        self.keep(target, "session", report);
        if let Some(stranger) = self.args.open_relay_check.clone() {
            self.look_for_open_relay(target, stranger).await?;
        }
        Ok(failed)
    }

    async fn look_for_open_relay(
        &mut self,
        target: &Target,
        stranger: Address,
    ) -> Result<(), Failure> {
        let head = self.head(target, "open relay check");
        let plan = Plan {
            until: Phase::Rcpt,
            to: vec![stranger.clone()],
            notify: None,
            ..self.plan(target)
        };
        let unshared = unshared();
        let context = self.context(target, &unshared);
        let (report, open) = app::open_relay_check(&context, &plan, self.listener(head)).await?;
        let verdict = match open {
            Some(true) => format!("accepts mail for {stranger} without authentication"),
            Some(false) => {
                format!(
                    "does not accept mail for {stranger} without authentication: as it should be"
                )
            }
            None => "could not be asked whether it is an open relay".to_owned(),
        };
        self.print(&format!("{}: {verdict}", target.name));
        if open == Some(true) {
            self.fail(OPEN_RELAY, format!("{} {verdict}", target.name));
        }
        self.keep(target, "open_relay_check", report);
        Ok(())
    }

    /// Where the mail of a domain goes: the hosts are tried as a sender would, up to the first that
    /// answers.
    async fn mail_domain(&mut self, domain: &str) -> Result<MailDomain, Failure> {
        let directory =
            MailResolver::open(self.args.name_server.as_slice()).map_err(Failure::other)?;
        let found = directory.mail_of(domain).await;
        let found = found.map_err(Failure::config)?;
        for line in show::mail_domain(&found) {
            self.print(&line);
        }
        if found
            .route
            .hosts()
            .iter()
            .all(|host| host.addresses.is_empty())
        {
            let what = match found.route {
                Route::NullMx => "takes no mail (null MX)",
                Route::NoDomain => "does not exist",
                Route::Failed { .. } => "could not be looked up",
                _ => "has no host with an address",
            };
            self.fail(
                Phase::Resolve.exit_code(),
                format!("{} {what}", found.domain),
            );
            return Ok(found);
        }
        self.try_hosts(&found).await?;
        Ok(found)
    }

    async fn try_hosts(&mut self, found: &MailDomain) -> Result<(), Failure> {
        for host in found.route.hosts() {
            for address in &host.addresses {
                let target = target::of_mail_host(*address, &host.name, self.args)?;
                self.failure = None;
                let failed = self.look_at(&target, &unshared()).await?;
                if failed.is_none_or(|phase| phase > Phase::Greeting) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    fn context<'l>(
        &'l self,
        target: &'l Target,
        authentications: &'l Arc<dyn AuthLedger>,
    ) -> ProbeContext<'l> {
        ProbeContext {
            name: &target.name,
            section: &target.section,
            authentications,
            replies: &self.replies,
            slow: self.args.slow,
        }
    }

    fn plan(&self, target: &Target) -> Plan {
        let host = app::name_of_this_host().unwrap_or_else(|| "localhost".to_owned());
        let from = self.args.from.clone().or_else(|| self.send_port_from());
        Plan {
            until: self.args.until(),
            from: ReversePath(from.or_else(|| format!("sendport-probe@{host}").parse().ok())),
            to: self.args.to.clone(),
            notify: self.args.notify.clone(),
            size: self.args.size.unwrap_or_default(),
            host,
            ..Plan::up_to_authentication(&target.section)
        }
    }

    /// From of the first send port that uses the relay.
    fn send_port_from(&self) -> Option<Address> {
        let relay = self.args.relay.as_ref()?;
        let mut ports = self.config.send_port.values();
        let port = ports.find(|port| port.relays.contains(relay))?;
        Some(port.from.address.clone())
    }

    /// `head`: what the log of the session begins with.
    fn listener(&self, head: String) -> Listener {
        let (quiet, log) = (self.args.json, self.log.clone());
        let head = Mutex::new(Some(EventKind::Note { text: head }));
        Box::new(move |event: &Event| {
            if !quiet {
                show::event(event).iter().for_each(say);
            }
            if let Some(log) = &log {
                let head = head.lock().take();
                let head = head.map(|what| Event {
                    what,
                    ..event.clone()
                });
                for event in head.iter().chain([event]) {
                    write_log(log, &dialogue_lines(event));
                }
            }
        })
    }

    fn head(&self, target: &Target, what: &str) -> String {
        let section = &target.section;
        let mut line = format!("{what} {}, port {}", target.name, section.port());
        if section.port.is_none() && self.args.tls.is_some() {
            line += ", which belongs to --tls (HOST:PORT asks another)";
        }
        self.print(&line);
        line
    }

    fn print(&self, line: &str) {
        if !self.args.json {
            say(show::plain(line));
        }
    }

    fn keep(&mut self, target: &Target, purpose: &'static str, report: Report) {
        let target = format!("{}:{}", target.name, target.section.port());
        self.sessions.push(Session {
            target,
            purpose,
            report,
        });
    }

    fn fail(&mut self, code: u8, what: String) {
        self.failure.get_or_insert((code, what));
    }

    fn end(self, mail_domain: Option<MailDomain>) -> Result<(), Failure> {
        if self.args.json {
            let document = Document {
                mail_domain,
                sessions: self.sessions,
                exit_code: self.failure.as_ref().map_or(0, |(code, _)| *code),
            };
            let text = serde_json::to_string_pretty(&document).map_err(Failure::other)?;
            say(text);
        }
        match self.failure {
            None => Ok(()),
            Some((code, what)) => Err(Failure::Probe(code, show::plain(&what))),
        }
    }
}

/// A log that cannot be written any more does not end the session.
fn write_log(log: &Mutex<File>, lines: &[String]) {
    let mut file = log.lock();
    for line in lines {
        let _written = writeln!(file, "{}", show::plain(line));
    }
}
