//! What `cancel`, `hold`, `release`, `requeue` and `redirect` have in common: a filter, a request, and its application.

use chrono::TimeDelta;
use humantime_serde::re::humantime;
use sendport_core::domain::{AlertStatus, OperatorVerb, RequestId, RequeueRecipients, Timestamp};
use sendport_store::operator_requests::{
    NewRequest, PassResult, RequestFilter, RequestLine, apply_pass,
};
use sendport_store::{Store, nothing_refused};

use super::filter_check::{
    check_breadth, check_status, check_times, comment, filled, note_unknown_names,
};
use super::one_alert_check::check_one_alert;
use super::redirects;
use super::request_output::{show_matches, show_result};
use super::send::unknown_send_port;
use super::terminal::note;
use super::{Failure, open, progress};
use crate::app;
use crate::config::Config;

/// Requests that are looked through for the one that was just added.
pub(super) const NEWEST: u32 = 1_000;

/// Which alerts. All that is given has to match.
#[derive(Debug, Clone, Default, clap::Args)]
#[group(id = "which", required = true, multiple = true)]
pub(super) struct FilterArgs {
    /// Number, PublicId, Message-ID or Reference of one alert
    #[arg(conflicts_with = "all", value_parser = filled)]
    alert: Option<String>,
    /// Alerts for this send port
    #[arg(long, value_name = "NAME", value_parser = filled)]
    send_port: Option<String>,
    /// Alerts with this AlertName
    #[arg(long, value_name = "NAME", value_parser = filled)]
    alert_name: Option<String>,
    /// Alerts with this Reference
    #[arg(long, value_name = "TEXT", value_parser = filled)]
    reference: Option<String>,
    /// Alerts that this login inserted
    #[arg(long, value_name = "LOGIN", value_parser = filled)]
    created_by: Option<String>,
    /// Alerts with a recipient whose last reply came from this relay
    #[arg(long, value_name = "NAME", value_parser = filled)]
    relay: Option<String>,
    /// Alerts with a recipient that has this cause: an ExplanationKey
    #[arg(long, value_name = "KEY", value_parser = filled)]
    cause: Option<String>,
    /// Alerts with this status
    #[arg(long, value_parser = status)]
    status: Option<AlertStatus>,
    /// Alerts inserted since then: a UTC time such as 2026-01-31T12:00:00Z or '2026-01-31 12:00:00', a day such as
    /// 2026-01-31, or an age such as 30m, 2h or 1d
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,
    /// Alerts inserted until then, likewise [default: now]
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,
    /// All alerts
    #[arg(long)]
    all: bool,
}

impl FilterArgs {
    /// Exactly one of the targets that a hold can have.
    pub(super) fn of_target(target: &TargetArgs) -> Self {
        Self {
            alert: target.alert.clone(),
            send_port: target.send_port.clone(),
            alert_name: target.alert_name.clone(),
            ..Self::default()
        }
    }

    pub(super) fn all(mut self, all: bool) -> Self {
        self.all = all;
        self
    }

    async fn resolve(self, store: &dyn Store) -> Result<RequestFilter, Failure> {
        let alert = match &self.alert {
            Some(name) => Some(app::find_alert(store, name).await?.alert_id),
            None => None,
        };
        Ok(RequestFilter {
            alert_id: alert,
            send_port: self.send_port,
            alert_name: self.alert_name,
            reference: self.reference,
            created_by: self.created_by,
            relay: self.relay,
            explanation_key: self.cause,
            status: self.status,
            created_from: self.since,
            created_until: self.until,
            final_before: None,
            hold_request_id: None,
            matches_all: self.all,
        })
    }
}

/// What is held or released: an alert, a send port, or an AlertName.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct TargetArgs {
    /// Number, PublicId, Message-ID or Reference of one alert
    #[arg(group = "target", value_parser = filled)]
    alert: Option<String>,
    /// A send port
    #[arg(long, value_name = "NAME", value_parser = filled, group = "target")]
    send_port: Option<String>,
    /// Alerts with this AlertName
    #[arg(long, value_name = "NAME", value_parser = filled, group = "target")]
    alert_name: Option<String>,
}

/// How it is said and noted.
#[derive(Debug, Clone, Default, clap::Args)]
pub(super) struct OptionArgs {
    /// Why; the alerts and the audit show it
    #[arg(long, value_name = "TEXT", value_parser = comment)]
    comment: Option<String>,
    /// Count the alerts that match, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// A text that is neither a time nor an age.
#[derive(Debug, thiserror::Error)]
#[error(
    "'{0}' is neither a UTC time such as 2026-01-31T12:00:00Z or '2026-01-31 12:00:00', nor a day such as 2026-01-31, nor \
     an age such as 30m, 2h or 1d"
)]
pub(super) struct MomentError(String);

pub(super) fn moment(text: &str) -> Result<Timestamp, MomentError> {
    let age = humantime::parse_duration(text).ok();
    let ago = age.and_then(|age| app::now().checked_sub_signed(TimeDelta::from_std(age).ok()?));
    let time = |text: &str| {
        humantime::parse_rfc3339_weak(text)
            .ok()
            .map(Timestamp::from)
    };
    ago.or_else(|| time(text))
        .or_else(|| time(&format!("{text} 00:00:00")))
        .ok_or_else(|| MomentError(text.to_owned()))
}

fn status(text: &str) -> Result<AlertStatus, sendport_core::domain::UnknownWord> {
    text.parse()
}

/// What a verb is asked to do.
pub(super) struct Order {
    pub(super) verb: OperatorVerb,
    pub(super) filter: FilterArgs,
    /// The hold or the redirect that a release ends.
    pub(super) ends: Option<EndedRequest>,
    pub(super) redirect_to: Option<String>,
    pub(super) requeue: Option<RequeueOrder>,
    pub(super) options: OptionArgs,
}

/// What a release ends by its number.
#[derive(Clone, Copy)]
pub(super) struct EndedRequest {
    pub(super) id: RequestId,
    pub(super) verb: OperatorVerb,
}

/// How a requeue sends.
pub(super) struct RequeueOrder {
    pub(super) recipients: RequeueRecipients,
    pub(super) new_message_id: bool,
}

/// Inserts the request and applies it here, so that it works without a running service too.
pub(super) async fn run(order: Order, config: Config) -> Result<(), Failure> {
    let store = open(&config).await?;
    let filter = order.filter.resolve(&*store).await?;
    let filter = RequestFilter {
        hold_request_id: order.ends.map(|it| it.id),
        ..filter
    };
    let requeue = order.requeue.as_ref();
    let request = NewRequest {
        verb: order.verb,
        filter,
        recipients: requeue.map(|it| it.recipients),
        new_message_id: requeue.is_some_and(|it| it.new_message_id),
        redirect_to: order.redirect_to,
        bodies_only: false,
        comment: order.options.comment,
        requested_by: app::user_name(),
        host_name: Some(app::host_name()),
    };
    check_times(&request.filter)?;
    check_breadth(&request)?;
    check_status(&request)?;
    redirects::note_closed_send_ports(&request, &config);
    redirects::note_missing_certificates(&request, &config, &store).await;
    let open = store.open_requests().await?;
    if let Some(ended) = order.ends {
        redirects::check_end(&*store, ended).await?;
    }
    let hold = hold_in_force(&request, &open);
    check_holds(&request, hold)?;
    redirects::check_repetition(&request, &open)?;
    check_one_alert(&*store, &request, hold.is_some()).await?;
    if order.options.dry_run {
        let matches = store.count_matching(&request).await?;
        if matches.is_empty() {
            note_unknown_names(&request.filter, &config)?;
        }
        return show_matches(&request, &matches, order.options.json);
    }
    let id = store.add_request(&request).await?;
    let applied = apply(&*store, &row(&*store, id).await?).await;
    let done = applied.inspect_err(|_| {
        note(format_args!(
            "request {id} is stored: a running instance carries it out"
        ));
    })?;
    // The service applies it too.
    let after = row(&*store, id).await?;
    let done = PassResult {
        applied: after.applied_count,
        closed: after.completed_at.is_some(),
        ..done
    };
    show_result(&request, &after, &done, order.options.json)?;
    redirects::note_what_is_in_force(&*store, order.ends, &open).await?;
    let held = request.filter.send_port.as_deref();
    match held.and_then(|name| unknown_send_port(name, &config)) {
        Some(unknown) => note(unknown),
        None if done.applied == 0
            && request.verb != OperatorVerb::Release
            && store.count_matching(&request).await?.is_empty() =>
        {
            note_unknown_names(&request.filter, &config)?;
        }
        None => {}
    }
    Ok(nothing_refused("apply a request", &done.refused)?)
}

/// The row of a request, which the service may have carried out by now.
pub(super) async fn row(store: &dyn Store, id: RequestId) -> Result<RequestLine, Failure> {
    let found = store.requests(NEWEST).await?;
    let found = found.into_iter().find(|line| line.request_id == id);
    found.ok_or_else(|| Failure::Other(format!("request {id} is not among the newest {NEWEST}")))
}

/// Passes until one changes nothing.
async fn apply(store: &dyn Store, line: &RequestLine) -> Result<PassResult, Failure> {
    let mut all = PassResult::default();
    if !line.is_applied() || line.completed_at.is_some() {
        return Ok(all);
    }
    loop {
        let so_far = all.applied;
        let show = |count| progress::at(format_args!("{}, {} alerts", line.verb, so_far + count));
        let pass = apply_pass(store, line, show).await?;
        all = PassResult {
            applied: so_far + pass.applied,
            ..pass
        };
        if pass.closed || pass.applied == 0 {
            return Ok(all);
        }
    }
}

/// A hold with the same target that no release ends yet.
fn hold_in_force<'a>(request: &NewRequest, open: &'a [RequestLine]) -> Option<&'a RequestLine> {
    open.iter().find(|line| {
        line.operator_verb() == Some(OperatorVerb::Hold)
            && line.filter == request.filter
            && !is_being_released(line, open)
    })
}

/// What is held already is not held twice, and what is not held or redirected is not released.
fn check_holds(request: &NewRequest, same: Option<&RequestLine>) -> Result<(), Failure> {
    if request.filter.hold_request_id.is_some() {
        return Ok(());
    }
    match request.verb {
        OperatorVerb::Hold => same.map_or(Ok(()), |line| {
            Err(Failure::Other(format!(
                "{} is held already: request {} of {}",
                request.filter.in_words(),
                line.request_id,
                line.requested_by
            )))
        }),
        OperatorVerb::Release
            if same.is_none()
                && request.filter.alert_id.is_none()
                && !request.filter.matches_all =>
        {
            let target = request.filter.in_words();
            Err(Failure::Other(format!("{target} is not held")))
        }
        _ => Ok(()),
    }
}

/// A release that is not applied yet ends it.
pub(super) fn is_being_released(hold: &RequestLine, open: &[RequestLine]) -> bool {
    open.iter().any(|line| {
        let filter = &line.filter;
        let is_later_release = line.operator_verb() == Some(OperatorVerb::Release)
            && line.request_id > hold.request_id;
        is_later_release
            && (filter.matches_all
                || filter.hold_request_id == Some(hold.request_id)
                || *filter == hold.filter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_an_age() {
        let at = moment("2026-01-31T12:00:00Z").expect("a time");
        assert_eq!(at.to_rfc3339(), "2026-01-31T12:00:00+00:00");
        assert_eq!(moment("2026-01-31 12:00:00").expect("a time"), at);
        let day = moment("2026-01-31").expect("a day");
        assert_eq!(day.to_rfc3339(), "2026-01-31T00:00:00+00:00");
        let hours = (app::now() - moment("2h").expect("an age")).num_minutes();
        assert!((119..=121).contains(&hours), "{hours}");
        let error = moment("yesterday").expect_err("neither").to_string();
        assert!(error.starts_with("'yesterday' is neither"), "{error}");
    }
}
