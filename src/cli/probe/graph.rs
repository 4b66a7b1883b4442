//! `sendport probe --relay` of a relay over Microsoft Graph.

use std::sync::Arc;

use sendport_core::clock::utc_text;
use sendport_core::domain::Command;
use sendport_smtp::relay::authentication::AuthLedger;
use sendport_smtp::settings::graph::GraphRelay;
use serde::Serialize;

use super::{Args, show};
use crate::app;
use crate::cli::{Failure, say};
use crate::probe::Phase;

/// What no probe can try.
const NO_DRY_RUN: &str = "Graph has no dry run: whether the mailbox may send, only a message shows; send one with \
                          sendport test-mail";

/// Everything, for programs.
#[derive(Serialize)]
struct Document<'a> {
    relay: &'a str,
    mailbox: &'a str,
    endpoint: &'a str,
    steps: Vec<Step>,
    exit_code: u8,
}

/// One step and its result.
#[derive(Serialize)]
struct Step {
    step: &'static str,
    ok: bool,
    text: String,
}

impl Step {
    fn new(step: &'static str, ok: bool, text: impl Into<String>) -> Self {
        Self {
            step,
            ok,
            text: text.into(),
        }
    }

    fn line(&self) -> String {
        let mark = if self.ok { "ok" } else { "FAIL" };
        show::plain(&format!("{:<11} {mark:<4}  {}", self.step, self.text))
    }
}

/// Gets a token and asks the endpoint, and shows what the token permits.
pub(super) async fn run(
    args: &Args,
    name: &str,
    section: &GraphRelay,
    authentications: &Arc<dyn AuthLedger>,
) -> Result<(), Failure> {
    if !args.to.is_empty() {
        let what =
            format!("relay.{name} is Microsoft Graph: --to cannot be tried, because {NO_DRY_RUN}");
        return Err(Failure::Config(what));
    }
    let relay = app::make_graph_relay(name, section, authentications)?;
    let (steps, failed) = match relay.access().await {
        Ok(access) => (steps_of(&access), None),
        Err(error) => {
            let phase = match error.reply.command {
                Command::Auth => Phase::Auth,
                _ => Phase::Connect,
            };
            let step = match phase {
                Phase::Auth => Step::new("token", false, error.reply.to_string()),
                _ => Step::new("endpoint", false, error.reply.to_string()),
            };
            (vec![step], Some((phase, error.reply.to_string())))
        }
    };
    let exit_code = failed.as_ref().map_or(0, |(phase, _)| phase.exit_code());
    if args.json {
        let document = Document {
            relay: name,
            mailbox: &section.mailbox,
            endpoint: section.endpoint(),
            steps,
            exit_code,
        };
        say(serde_json::to_string_pretty(&document).map_err(Failure::other)?);
    } else {
        let mailbox = &section.mailbox;
        say(show::plain(&format!(
            "probe {name}, mailbox {mailbox} at {}",
            section.endpoint()
        )));
        steps.iter().map(Step::line).for_each(say);
    }
    match failed {
        None => Ok(()),
        Some((phase, why)) => {
            let what = format!("{name} failed at {phase}: {why}");
            Err(Failure::Probe(exit_code, show::plain(&what)))
        }
    }
}

fn steps_of(access: &sendport_graph::GraphAccess) -> Vec<Step> {
    let token = match &access.claims {
        Some(claims) => {
            let audience = claims.audience.as_deref().unwrap_or("nobody");
            let until = claims
                .expires_at
                .map(|at| format!(", valid until {}", utc_text(at)));
            format!("for {audience}{}", until.unwrap_or_default())
        }
        None => "issued; it does not show for whom it is".to_owned(),
    };
    let mut steps = vec![
        Step::new("token", true, token),
        Step::new("endpoint", true, format!("answers, HTTP {}", access.status)),
    ];
    if let Some(permissions) = access.permissions() {
        let shown = match permissions.is_empty() {
            true => "none in the token".to_owned(),
            false => permissions.join(", "),
        };
        steps.push(Step::new("permissions", true, shown));
    }
    steps.extend(
        access
            .advice()
            .map(|advice| Step::new("note", true, advice)),
    );
    steps.push(Step::new("send", true, format!("not tried: {NO_DRY_RUN}")));
    steps
}
