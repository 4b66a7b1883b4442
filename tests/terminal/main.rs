//! The program at a terminal: what people read, and the codes that it ends with.
//!
//! The expected output is in `tests/terminal/expected`, with times and the like masked.
//! `SENDPORT_RENEW_EXPECTED=1 cargo test --test terminal` writes the files again: read the
//! difference before you commit it.

#[expect(dead_code, reason = "cargo runs its `main`")]
#[path = "../../build.rs"]
mod build;
#[path = "../support/not_run.rs"]
mod not_run;
mod program;
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
#[path = "../support/site.rs"]
mod site;

#[cfg(unix)]
mod a_second_signal_ends_at_once;
mod a_template_is_previewed_without_an_alert;
mod alerts_are_named_and_shown;
mod help_version_and_manual;
mod init_and_config;
#[cfg(unix)]
mod long_commands_show_progress;
mod missing_configuration_is_reported;
mod odd_names_are_quoted;
mod one_json_document_a_verb;
mod operator_filters_are_checked;
#[cfg(unix)]
mod pipes_are_refused_as_files;
mod pipes_end_quietly;
#[cfg(unix)]
mod root_refuses_folders_of_other_users;
mod send_refuses_alerts_that_would_fail;
mod settings_are_imported;
mod sink_reports_why_it_cannot_start;
#[cfg(unix)]
mod terminal;
mod wrong_settings_name_their_key;
