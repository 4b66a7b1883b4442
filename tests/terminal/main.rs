//! The program at a terminal: what people read, and the codes that it ends with.
//!
//! What is expected stands in `tests/terminal/expected`, with times and the like masked.
//! `SENDPORT_RENEW_EXPECTED=1 cargo test --test terminal` writes the files anew: read the
//! difference before you commit it.

#[expect(dead_code, reason = "cargo runs its `main`")]
#[path = "../../build.rs"]
mod build;
#[path = "../support/not_run.rs"]
mod not_run;
mod said;
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../support/site.rs"]
mod site;

#[cfg(unix)]
mod a_second_signal_ends_at_once;
mod a_template_is_previewed_without_an_alert;
mod alerts_are_named_and_shown;
#[cfg(unix)]
mod another_users_folder_is_left_alone;
mod configuration_is_begun_and_shown;
mod no_configuration_is_said_first;
mod odd_names_are_quoted;
mod one_json_document_a_verb;
mod pipes_end_quietly;
mod sink_says_why_it_cannot;
mod the_program_describes_itself;
#[cfg(unix)]
mod what_takes_long_shows_progress;
mod what_would_fail_is_not_sent;
mod wrong_settings_are_said_by_their_key;
