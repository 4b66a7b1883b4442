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
    pub(crate) mod unanswered_auth;
}

mod all_recipients_refused;
mod auth_mechanisms;
mod bdat;
mod certificate_pinned;
mod certificate_refused;
mod cleartext_auth_forbidden;
mod client_certificate;
mod connection_limit;
mod content_unchanged;
mod data_pipelined;
mod delivery_receipt;
mod desynchronised_replies;
mod disconnect_in_data;
mod file_relay;
mod helo_fallback;
mod idle_connection_replaced;
mod international_addresses;
mod lease_lost_before_final_dot;
mod limits_extension;
mod malformed_replies;
mod not_an_smtp_server;
mod password_tried_once;
mod pipelining_broken;
mod postfix_accepts;
mod preflight_rejections;
mod recipient_refused;
mod reply_before_end_of_data;
mod server_busy_421;
mod server_stalls;
mod sink_accepts;
mod starttls_injection;
mod tls_session_resumed;
mod too_many_errors;
mod unanswered_authentication_cooldown;
mod untrusted_server_refused;
