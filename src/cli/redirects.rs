//! Redirects in force, and what ends one of them.

use std::sync::Arc;

use sendport_core::domain::{Mailbox, OperatorVerb, parse_mailbox, shown_name};
use sendport_store::Store;
use sendport_store::operator_requests::{NewRequest, RequestFilter, RequestLine};

use super::Failure;
use super::findings::Findings;
use super::operator_verb::{EndedRequest, NEWEST, is_being_released};
use super::terminal::note;
use crate::app;
use crate::config::Config;

/// What is no hold or redirect in force is not ended.
pub(super) async fn check_end(store: &dyn Store, ended: EndedRequest) -> Result<(), Failure> {
    let EndedRequest { id, verb: wanted } = ended;
    let open = store.open_requests().await?.into_iter();
    let newest = store.requests(NEWEST).await?.into_iter();
    let found = open.chain(newest).find(|line| line.request_id == id);
    let Some(line) = found else {
        return Err(Failure::Other(format!("there is no request {id}")));
    };
    if let Some(advice) = line.advice() {
        return Err(Failure::Other(advice));
    }
    let is_open = line.completed_at.is_none();
    if is_open && line.operator_verb() == Some(wanted) {
        return Ok(());
    }
    let verb = &line.verb;
    let other = match line.operator_verb() == Some(wanted) {
        true => String::new(),
        false => format!(" and not a {wanted}"),
    };
    let result = line.result.map(|it| format!(": {it}")).unwrap_or_default();
    let end = match is_open {
        true => String::new(),
        false => format!(", and it has ended{result}"),
    };
    Err(Failure::Other(format!(
        "request {id} is a {verb}{other}{end}"
    )))
}

/// What goes to an address already is not redirected there again.
pub(super) fn check_repetition(request: &NewRequest, open: &[RequestLine]) -> Result<(), Failure> {
    if request.verb != OperatorVerb::Redirect {
        return Ok(());
    }
    let newest = in_force(&request.filter, open);
    let is_same = |line: &&RequestLine| {
        let address = |it: &Option<String>| it.as_deref().unwrap_or_default().to_lowercase();
        line.filter == request.filter && address(&line.redirect_to) == address(&request.redirect_to)
    };
    newest.filter(is_same).map_or(Ok(()), |line| {
        Err(Failure::Other(format!(
            "{} goes to {} already: request {} of {}",
            line.filter.in_words(),
            line.redirect_to.as_deref().unwrap_or_default(),
            line.request_id,
            line.requested_by
        )))
    })
}

/// Send ports whose alerts will wait, because they may not send to the address.
pub(super) fn note_closed_send_ports(request: &NewRequest, config: &Config) {
    let address = request.redirect_to.as_deref().map(parse_mailbox);
    let Some(Ok(Mailbox { address, .. })) = address else {
        return;
    };
    let domain = address.domain().to_lowercase();
    let only = request.filter.send_port.as_deref();
    for (name, port) in &config.send_port {
        let rules = &port.allow_recipient_domains;
        let is_open = rules.is_empty() || rules.iter().any(|rule| rule.allows(&domain));
        if !is_open && only.is_none_or(|only| only.trim_end() == name) {
            note(format_args!(
                "send port {} may not send to the domain '{domain}' (allow_recipient_domains): its alerts that match wait",
                shown_name(name)
            ));
        }
    }
}

/// Send ports that encrypt, and cannot encrypt to the address.
pub(super) async fn note_missing_certificates(
    request: &NewRequest,
    config: &Config,
    store: &Arc<dyn Store>,
) {
    let Some(address) = &request.redirect_to else {
        return;
    };
    let only = request.filter.send_port.as_deref();
    let found = app::redirect_address_without_certificate(config, store, address, only);
    for (name, why) in found.await {
        note(missing_certificate(&name, &why));
    }
}

/// Redirects in force whose address a send port cannot encrypt to, and requests that cannot be read.
pub(super) async fn check_requests(
    config: &Config,
    store: &Arc<dyn Store>,
    findings: &mut Findings,
) {
    let open = match store.open_requests().await {
        Ok(open) => open,
        Err(error) => return findings.fail("requests of operators", error.into()),
    };
    for line in open {
        let subject = format!("request {}", line.request_id);
        if let Some(advice) = line.advice() {
            findings.note(&subject, advice);
            continue;
        }
        if let Some(address) = &line.redirect_to {
            let only = line.filter.send_port.as_deref();
            let found = app::redirect_address_without_certificate(config, store, address, only);
            for (name, why) in found.await {
                findings.note(&subject, missing_certificate(&name, &why));
            }
        }
    }
}

/// Of one send port.
fn missing_certificate(send_port: &str, why: &str) -> String {
    format!(
        "send port {} encrypts, and cannot encrypt to the address: {why}; when_missing of its encryption decides what \
         happens to its alerts that match",
        shown_name(send_port)
    )
}

/// The redirect that is in force behind one that has ended. `open`: what was open before.
pub(super) async fn note_what_is_in_force(
    store: &dyn Store,
    ended: Option<EndedRequest>,
    open: &[RequestLine],
) -> Result<(), Failure> {
    let Some(ended) = ended.filter(|it| it.verb == OperatorVerb::Redirect) else {
        return Ok(());
    };
    let (ended, others): (Vec<_>, Vec<_>) = open
        .iter()
        .cloned()
        .partition(|line| line.request_id == ended.id);
    let Some(ended) = ended.first() else {
        return Ok(());
    };
    let next = match ended.filter.alert_id {
        Some(alert) => {
            let found = store.requests_in_force(&[alert]).await?;
            let redirect = found.first().and_then(|it| it.redirect);
            others.iter().find(|it| Some(it.request_id) == redirect)
        }
        None => in_force(&ended.filter, &others),
    };
    if let Some(line) = next {
        note(format_args!(
            "request {} is in force now: {} goes to {}, until `sendport release --redirect {}`",
            line.request_id,
            line.filter.in_words(),
            line.redirect_to.as_deref().unwrap_or_default(),
            line.request_id
        ));
    }
    Ok(())
}

/// The newest redirect that is about alerts of the filter for certain: which alerts of a send port have an AlertName, and
/// the other way round, is not known here.
fn in_force<'a>(filter: &RequestFilter, open: &'a [RequestLine]) -> Option<&'a RequestLine> {
    let is_redirect = |line: &&RequestLine| {
        line.operator_verb() == Some(OperatorVerb::Redirect) && !is_being_released(line, open)
    };
    let meets = |line: &&RequestLine| {
        let other = &line.filter;
        let is_about_all = filter.matches_all || other.matches_all;
        let is_same = filter.alert_id == other.alert_id
            && filter.send_port == other.send_port
            && filter.alert_name == other.alert_name;
        is_about_all || is_same
    };
    let redirects = open.iter().filter(is_redirect).filter(meets);
    redirects.max_by_key(|line| line.request_id)
}
