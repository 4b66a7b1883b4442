//! The program at a terminal: what people read, and the codes that it ends with.
//!
//! What is expected stands in `tests/terminal/expected`, with times and the like masked.
//! `SENDPORT_RENEW_EXPECTED=1 cargo test --test terminal` writes the files anew: read the
//! difference before you commit it.

#[path = "../support/not_run.rs"]
mod not_run;
mod said;
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../support/site.rs"]
mod site;

mod configuration_is_begun_and_shown;
mod no_configuration_is_said_first;
