//! The SMTP relay against real and scripted servers: one scenario a file, named by what
//! comes out.

#[path = "../support/not_run.rs"]
mod not_run;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod certificates;
    pub(crate) mod client;
    pub(crate) mod maildir;
    pub(crate) mod moving_clock;
    pub(crate) mod peer;
    pub(crate) mod postfix;
    pub(crate) mod scripted_peer;
    pub(crate) mod silent_about_auth;
}

mod all_recipients_refused;
mod answered_too_early;
mod answers_in_odd_shapes;
mod authenticated_by_every_mechanism;
mod busy_server_says_421;
mod certificate_pinned;
mod certificate_refused;
mod certificate_shown;
mod connections_bounded;
mod content_arrives_unchanged;
mod content_goes_with_bdat;
mod data_goes_ahead;
mod delivery_receipt;
mod disconnect_in_data;
mod ehlo_not_known;
mod fenced_before_the_dot;
mod file_written;
mod injected_after_starttls;
mod international_addresses;
mod kept_connection_replaced;
mod limits_announced;
mod message_refused_here;
mod no_smtp_server;
mod password_refused;
mod password_withheld;
mod pipelining_not_done;
mod postfix_takes_it;
mod recipient_refused;
mod server_not_believed;
mod session_resumed;
mod sink_takes_it;
mod spare_replies;
mod stalls_after_dot;
mod too_many_errors;
mod unanswered_authentication_rests;
