//! `sendport probe` against real servers, broken ones and scripted ones: the right step, cause and
//! advice. One scenario a file, named by what is probed.

#[path = "../support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod client;
    pub(crate) mod dovecot;
    pub(crate) mod exim;
    pub(crate) mod maildir;
    pub(crate) mod name_server;
    pub(crate) mod peer;
    pub(crate) mod postfix;
    pub(crate) mod probe;
    pub(crate) mod python_peer;
    pub(crate) mod scripted_peer;
    pub(crate) mod site;
}

mod aiosmtpd;
mod check_probes_relays;
mod configured_relay;
mod documented_replies;
mod dovecot_submission;
mod every_entry_is_reached;
mod exim;
mod json_output;
mod mx_of_a_domain;
mod not_an_smtp_server;
mod open_relay;
mod postfix;
mod refusals;
mod replies;
mod secrets_redacted;
mod slow_server;
mod untrusted_certificates;
