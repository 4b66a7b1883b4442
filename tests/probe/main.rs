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
    pub(crate) mod peer;
    pub(crate) mod postfix;
    pub(crate) mod probe;
    pub(crate) mod python_peer;
    pub(crate) mod scripted_peer;
    pub(crate) mod site;
}

mod aiosmtpd;
mod certificates_that_do_not_check;
mod check_looks_as_well;
mod dovecot_submission;
mod every_entry_is_reached;
mod exim;
mod json_for_programs;
mod mail_of_a_domain;
mod nothing_or_something_else;
mod open_relay;
mod postfix;
mod refusals_of_the_telnet_page;
mod relay_of_the_configuration;
mod replies;
mod replies_of_the_manuals;
mod secrets_are_struck_out;
mod slow_server;
