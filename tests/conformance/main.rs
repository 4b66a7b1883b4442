//! One suite, every store: what the traits of `sendport_store` promise.
//!
//! A scenario is a function over a [`fixture::Fixture`], named by what comes out. The list
//! below makes each of them a test of its own on each store: `cargo test --test conformance
//! sqlite::claim` runs those about claims on SQLite. Without a SQL Server its scenarios are
//! shown as ignored.

mod alerts_named;
mod attachments;
mod audit;
mod authentication;
mod cancels;
mod certificates;
mod claim;
mod database_mail;
mod delivery_reports;
mod digest;
mod doubt;
mod environment;
mod expiry;
mod explanation;
mod facts;
mod feedback;
mod files;
mod fixture;
mod harness;
mod holds;
mod large;
mod leases;
mod membership;
#[path = "../support/not_run.rs"]
mod not_run;
mod operators;
mod purge_requests;
mod queue;
mod received;
mod record;
mod redirects;
mod refused;
mod relays;
mod requests;
mod requeues;
mod retention;
mod rollup;
mod schema;
mod sqlite;
mod sqlite_only;
mod sqlserver;
mod sqlserver_database_mail;
mod sqlserver_locks;
mod sqlserver_only;
mod templates;
#[path = "../support/tsql.rs"]
mod tsql;
mod values;
mod writers;

fn main() {
    let arguments = libtest_mimic::Arguments::from_args();
    let trials = [
        sqlite::trials(),
        sqlite_only::trials(),
        sqlserver::trials(),
        sqlserver_locks::trials(),
        sqlserver_database_mail::trials(),
        sqlserver_only::trials(),
        database_mail::trials(),
    ];
    let conclusion = libtest_mimic::run(&arguments, trials.into_iter().flatten().collect());
    sqlserver::drop_shared();
    if conclusion.num_ignored > 0 {
        // One line, which the harness does not capture.
        let _server = tsql::server();
    }
    conclusion.exit();
}

/// Hands the list of scenarios to `$run`, which makes tests of it for one store.
#[macro_export]
macro_rules! scenarios {
    ($run:ident) => {
        $run! {
            explanation {
                a_queued_alert_says_what_it_waits_for;
                a_leased_alert_names_the_instance_or_its_end;
                a_delayed_and_then_failed_alert_has_its_history_and_cause;
                a_relayed_alert_says_what_the_relay_promised;
                an_alert_that_failed_as_a_whole_has_its_reason;
                an_alert_in_doubt_is_resolved_and_an_adopted_one_released;
                an_alert_that_an_operator_holds_or_cancels_names_the_request;
                a_waiting_alert_names_the_request_that_is_in_force;
                an_alert_shows_every_request_that_changed_it;
                the_reason_of_another_alert_is_not_given;
                a_cancel_that_the_database_refuses_says_so;
                a_waiting_alert_says_what_a_filter_by_recipient_does;
                a_cancel_in_doubt_says_that_it_may_have_been_sent;
                an_alert_that_is_due_after_it_expires_says_so;
                an_expired_alert_has_its_cause;
                an_unknown_alert_has_no_line;
            }
            claim {
                three_columns_are_enough;
                a_claimed_alert_is_sending_and_not_due;
                urgent_comes_before_normal_before_low;
                a_class_is_passed_after_its_head_start_only;
                the_oldest_comes_first;
                not_before_is_respected;
                other_send_ports_are_left_alone;
                the_limit_is_kept;
                two_claimers_never_share_an_alert;
                eight_claimers_never_share_an_alert;
                an_alert_inserted_by_the_command_line_is_claimed;
                a_refused_alert_keeps_no_other;
                many_refused_alerts_keep_no_other;
                a_claim_that_is_repeated_answers_what_it_took;
                a_claim_that_met_a_refusal_is_repeated_as_any;
            }
            record {
                relayed_to_all_is_final;
                addresses_of_every_script_come_back;
                an_attempt_and_delivery_show_the_protection;
                some_relayed_and_some_failed_is_partial;
                failed_for_all_is_failed;
                an_alert_that_fails_as_a_whole_says_why;
                delayed_is_due_again_after_its_retry_only;
                released_comes_back_without_an_attempt;
                a_delayed_alert_that_is_released_is_delayed_again;
                an_outcome_that_is_repeated_changes_nothing;
                every_reply_is_a_row;
                delivery_shows_cause_and_advice;
                the_template_version_is_pinned_by_the_first_render;
                each_outcome_of_a_batch_is_answered_in_order;
                a_relayed_recipient_stays_relayed;
            }
            large {
                ten_thousand_recipients_are_recorded;
                ten_thousand_facts_are_recorded;
                ten_thousand_recipients_expire;
                long_texts_are_recorded_or_marked;
            }
            facts {
                relayed_wins_after_a_take_over;
                a_failure_needs_the_lease;
                a_wait_needs_the_lease;
                an_alert_that_was_leased_again_is_not_disturbed;
                the_later_lease_cannot_undo_a_relayed_recipient;
                an_attempt_is_not_counted_twice;
                repeated_facts_change_nothing;
                a_release_without_the_lease_does_nothing;
            }
            leases {
                a_dead_instance_loses_its_alerts_as_unknown;
                a_renewed_lease_is_not_taken_over;
                a_new_owner_keeps_what_is_not_recorded_yet;
                a_released_alert_keeps_the_reason_it_waited_for;
                overdue_leases_are_counted;
                an_instance_takes_over_nothing_from_itself;
                take_over_keeps_its_limit;
                a_partly_delayed_alert_is_taken_over_as_delayed;
                renewing_after_the_lease_ran_out_says_lost;
                renewing_without_a_row_says_lost;
                retiring_releases_without_an_attempt;
                a_retired_instance_cannot_renew;
                registering_twice_is_registering_once;
            }
            doubt {
                a_hold_port_keeps_a_taken_over_alert;
                a_retry_port_shows_it_and_tries_again;
                a_send_port_can_change_its_mind;
                only_the_latest_attempt_counts;
                a_decision_to_hold_is_held;
                a_fact_does_not_undo_a_decision_to_hold;
                late_facts_end_the_doubt;
                a_late_relayed_is_final;
                a_late_unknown_stays_in_doubt;
                relayed_resolves_every_recipient;
                relayed_does_not_resolve_refused_recipients;
                resend_is_due_at_once;
                cancel_sends_nothing_more;
                a_resolve_is_audited_like_every_verb;
                a_late_refusal_contradicts_a_resolve_as_relayed;
                a_cancelled_alert_with_a_relayed_recipient_is_partial;
                only_an_alert_in_doubt_can_be_resolved;
                in_doubt_lists_the_oldest_first_up_to_its_limit;
            }
            refused {
                all_others_of_a_dead_instance_are_taken_over;
                all_others_expire;
                all_others_without_a_send_port_fail;
                a_retired_instance_keeps_what_is_refused_and_nothing_else;
                a_new_owner_gets_all_other_leases;
                all_others_that_are_held_are_released;
                adopting_ends_all_others_and_names_it;
                an_outcome_is_where_a_trigger_keeps_it_without_an_error;
            }
            expiry {
                past_expires_at_is_expired_without_a_claim;
                past_the_max_age_of_its_send_port_is_expired;
                the_age_counts_from_a_later_not_before;
                without_a_published_send_port_two_days_are_the_limit;
                held_and_delayed_alerts_expire_too;
                an_expired_recipient_keeps_the_reason_it_waited_for;
                an_unclaimed_expired_recipient_keeps_the_relays_problem;
                an_alert_that_is_being_sent_does_not_expire;
                a_relayed_recipient_makes_an_expired_alert_partial;
                malformed_addresses_fail_where_others_expire;
                expire_keeps_its_limit;
                an_alert_without_a_send_port_for_ten_minutes_fails;
                a_send_port_that_was_seen_lately_fails_nothing;
                queue_names_a_missing_send_port_at_once;
            }
            values {
                every_column_comes_back_as_it_was_written;
                blanks_at_the_end_of_names_count_for_nothing;
                a_huge_body_and_every_script_come_back_exactly;
                malformed_values_are_refused_by_name;
                an_operator_sees_which_constraint_refused;
                one_unreadable_row_fails_alone;
                long_texts_are_read_one_by_one;
                an_alert_that_is_gone_is_missing;
            }
            requests {
                two_instances_count_each_alert_once;
                what_is_refused_keeps_no_other;
                a_dry_run_counts_and_changes_nothing;
                a_request_needs_a_filter;
                a_comment_has_400_characters_at_most;
                a_request_that_is_done_has_one_event;
                requests_show_who_and_what;
            }
            cancels {
                a_cancel_ends_what_waits_and_leaves_what_was_sent;
                a_cancel_waits_for_what_is_being_sent;
                a_relayed_outcome_wins_over_a_cancel;
                one_row_cancels_many;
                no_claim_follows_a_cancel;
                a_cancel_spares_what_is_inserted_later;
                a_cancel_spares_what_is_requeued_after_it;
                an_alert_without_addresses_is_cancelled;
                what_a_cancel_of_an_alert_in_doubt_says;
                every_filter_limits_a_cancel;
            }
            holds {
                a_held_send_port_is_not_asked;
                a_release_of_nothing_says_so;
                a_release_spares_what_is_held_after_it;
                a_held_alert_name_is_passed_over;
                one_alert_is_held_and_released;
                holds_that_overlap_end_one_by_one;
                a_release_leaves_what_is_in_doubt;
                a_hold_of_an_alert_that_became_final_ends;
                a_thousand_holds_keep_no_other_request_waiting;
            }
            requeues {
                a_requeue_sends_to_those_that_failed;
                a_requeue_sends_to_all;
                a_requeue_leaves_what_waits_or_is_being_sent;
                a_requeue_starts_the_age_anew;
                a_requeue_starts_the_attempts_anew;
                a_requeue_keeps_the_message_id_or_asks_for_a_new_one;
                a_requeue_refuses_purged_bodies;
                a_failure_after_a_requeue_is_reported_again;
                what_fails_again_is_not_requeued_twice;
                a_cancelled_requeue_leaves_relayed_recipients_relayed;
            }
            redirects {
                an_alert_is_read_with_the_redirect_that_it_matches;
                the_newest_redirect_that_matches_is_in_force;
                requests_in_force_are_read_of_claimed_alerts;
                a_redirect_ends_by_its_number_alone;
                a_malformed_redirect_is_read_as_one;
                a_redirect_needs_one_filter_and_an_address;
                a_large_alert_is_read_with_its_redirect;
                what_was_redirected_says_so;
                an_alert_that_waits_says_where_it_will_go;
                what_was_redirected_does_not_count_as_relayed_after_a_requeue;
                a_requeue_sends_to_those_that_were_redirected;
                an_attempt_without_the_redirect_clears_the_remark;
                resolving_a_redirected_attempt_in_doubt_says_where_it_went;
                an_alert_that_was_redirected_names_the_request;
                a_late_delivery_replaces_what_was_redirected;
                a_late_redirected_outcome_leaves_an_alert_to_its_recipients;
                a_late_redirected_outcome_drops_no_retry;
                a_late_redirected_outcome_changes_no_final_status;
                a_late_redirected_outcome_counts_while_its_redirect_is_in_force;
                a_late_redirected_outcome_ends_the_doubt;
                what_is_being_sent_names_the_requests_in_force;
                ten_thousand_recipients_are_redirected;
            }
            environment {
                the_first_name_is_kept;
                adopting_expires_everything_that_waits;
                adopting_holds_everything_that_waits;
                one_held_alert_can_be_released;
                adopting_ends_every_lease;
                an_instance_of_another_environment_cannot_register;
                an_event_is_a_row;
            }
            queue {
                without_an_instance_the_queue_says_so;
                depth_is_counted_by_send_port_and_status;
                without_the_send_port_the_queue_says_so;
                a_paused_relay_is_named_with_its_reply;
                an_alert_at_a_silent_relay_names_the_relay;
                a_delayed_alert_shows_when_it_is_due;
                a_held_alert_waits_for_an_operator;
                an_alert_held_in_doubt_refers_to_the_view;
                an_alert_outside_the_delivery_window_shows_the_window;
                a_wait_for_the_share_of_a_limit_is_shown;
                nothing_to_wait_for_says_nothing;
                instances_show_which_are_alive;
                the_reason_why_an_instance_sends_nothing_is_shown;
                leases_of_a_dead_instance_are_shown;
                unrecorded_outcomes_of_an_instance_are_shown;
                unclaimed_alerts_of_an_instance_are_shown;
            }
            membership {
                one_alone_has_everything;
                each_has_a_place_by_age;
                instances_started_together_have_distinct_positions;
                they_agree_when_every_other_one_shares;
                a_waiting_instance_has_no_share;
                stopped_and_expired_instances_do_not_count;
                an_instance_that_stopped_an_hour_ago_does_not_count;
                an_unregistered_instance_counts_as_the_youngest;
            }
            authentication {
                of_many_that_ask_at_once_one_tries;
                an_accepted_secret_is_free_for_all;
                a_refused_secret_is_not_tried_for_15_minutes;
                a_secret_that_was_right_can_be_refused;
                an_authentication_not_attempted_frees_the_turn;
                the_second_that_is_not_answered_counts_as_a_refusal;
                one_that_is_not_answered_takes_freedom_away;
                one_behind_a_refusal_is_the_second;
                an_instance_whose_answer_was_lost_asks_again;
                an_earlier_refusal_stays_readable;
                a_dead_instance_frees_its_authentication;
                a_second_crash_during_authentication_counts_as_a_refusal;
                a_try_without_an_end_counts_after_its_limit;
                relays_have_turns_of_their_own;
                a_secret_unused_for_a_day_is_forgotten;
            }
            alerts_named {
                an_alert_is_found_by_its_public_id_and_by_its_reference;
                the_last_failures_come_first;
                relays_are_listed;
            }
            relays {
                the_worst_that_an_instance_says_is_the_line;
                the_view_adds_the_limits_of_all_instances;
                the_view_names_the_send_ports_of_a_relay;
                the_view_shows_the_last_authentication;
            }
            audit {
                a_copy_is_kept_byte_by_byte;
                one_attempt_at_one_stage_is_kept_once;
                a_copy_outlives_its_alert;
                a_remark_is_stored_beside_the_reply;
                a_long_remark_is_stored;
            }
            attachments {
                attachments_come_back_in_order;
                one_transaction_inserts_alert_and_attachment;
                a_rolled_back_alert_leaves_none;
                nothing_is_added_behind_a_claim;
                they_need_an_alert_and_go_with_it;
                malformed_attachments_are_refused_by_name;
            }
            files {
                named_files_are_stored_once;
                files_are_stored_under_the_lease_alone;
                nothing_is_added_behind_the_files;
                a_thousand_files_are_stored;
                files_go_with_their_alert;
            }
            received {
                a_received_message_is_one_alert_with_the_same_octets;
                its_envelope_comes_back_as_it_was;
                a_long_message_comes_out_of_a_file;
                many_clients_at_once_get_an_alert_each;
                a_message_that_is_refused_keeps_no_other;
                its_octets_are_purged_as_a_body_is;
                it_is_explained_who_submitted_it;
            }
            delivery_reports {
                a_failed_recipient_is_reported_once;
                a_report_is_a_message_of_the_service;
                each_failure_of_a_delayed_message_is_reported_at_once;
                only_recent_failures_of_submitted_messages_are_reported;
                expired_messages_are_reported;
                a_failure_after_a_requeue_is_reported_again;
                a_reason_for_no_report_is_recorded;
                recent_reports_are_counted;
                late_messages_are_reported_where_that_was_asked;
                relayed_messages_are_reported_where_that_was_asked;
                a_copied_database_reports_nothing_of_before;
                one_of_many_instances_inserts_a_report;
                what_was_reported_is_purged_with_its_alert;
            }
            feedback {
                a_bounce_is_shown_at_its_recipient_and_changes_no_status;
                a_report_is_recorded_once;
                the_report_that_says_most_is_shown;
                a_report_of_an_earlier_transaction_replaces_none_of_a_later_one;
                a_report_without_proof_changes_nothing;
                a_report_of_an_unknown_transaction_is_asked_for_again;
                the_original_message_in_a_mailbox_of_the_service_is_a_proof;
                a_report_touches_the_recipients_of_its_transaction_alone;
                many_reports_of_one_recipient_are_not_recorded;
                a_requeue_hides_what_was_reported_before;
                old_reports_that_match_nothing_are_purged;
                what_was_reported_by_others_is_purged_with_its_alert;
            }
            digest {
                each_failed_recipient_is_a_line;
                a_line_has_the_relays_reply;
                an_alert_that_failed_as_a_whole_has_a_line;
                expired_alerts_are_reported;
                unfinished_alerts_are_not_reported;
                only_recent_failures_of_the_send_port_are_reported;
                lines_of_the_oldest_alerts_come_first_up_to_the_limit;
                reported_failures_are_not_reported_again;
                a_failure_that_cannot_be_marked_blocks_no_other;
                a_digest_is_an_alert_of_the_service;
                an_application_cannot_make_a_digest;
                one_of_many_instances_reports;
            }
            purge_requests {
                what_is_final_and_old_is_deleted_and_counted;
                what_is_final_before_it_was_inserted_is_deleted;
                bodies_alone_are_deleted;
                every_filter_limits_a_purge;
                many_are_deleted_in_steps;
                what_the_database_refuses_keeps_no_other;
                what_is_not_final_any_more_is_left;
                a_purge_needs_an_age;
            }
            retention {
                bodies_and_attachments_go_first_and_the_status_stays;
                an_alert_keeps_its_row_until_its_body_is_purged;
                what_is_not_final_is_never_purged;
                each_status_and_send_port_has_an_age_of_its_own;
                ten_thousand_recipients_are_purged_in_batches;
                a_batch_of_bodies_ends_at_its_bytes;
                many_attachments_are_purged_in_batches;
                daily_counts_equal_what_was_deleted;
                two_purges_at_once_count_each_alert_once;
                one_instance_has_the_right_to_purge;
                an_instance_that_ends_gives_up_the_right_to_purge;
                progress_shows_what_was_purged_today;
                old_events_and_daily_counts_are_purged;
            }
            rollup {
                each_final_alert_is_counted_once_in_its_minute;
                counting_again_changes_nothing;
                what_is_recorded_late_is_counted_too;
                a_late_outcome_corrects_the_counts_of_its_minute;
                a_minute_of_which_alerts_are_deleted_keeps_its_counts;
                percentiles_are_those_of_the_alerts;
                failures_are_shown_by_cause_with_a_sample;
                instances_show_their_state;
            }
            templates {
                a_template_comes_back_as_it_was_added;
                only_the_newest_versions_are_current;
                a_template_is_found_as_of_a_version;
                the_second_of_two_imports_adds_nothing;
                of_many_that_import_at_once_each_version_is_one_import;
                a_version_cannot_be_changed;
                an_alert_says_which_templates_are_the_newest;
                an_alert_taken_over_keeps_its_template_version;
            }
            certificates {
                a_certificate_comes_back_as_it_was_added;
                the_same_again_is_known_and_what_is_chosen_changes;
                of_many_that_add_the_same_at_once_one_adds;
                hundreds_of_addresses_are_looked_up_at_once;
                a_revoked_certificate_has_a_time_and_a_reason;
                removing_a_certificate_is_logged;
                addresses_are_stored_in_lower_case;
                certificates_that_expire_soon_without_a_successor_are_listed;
                an_expiry_is_notified_once_by_one_of_many_instances;
            }
            schema {
                an_empty_database_has_no_schema;
                migrating_twice_applies_once;
                two_migrations_at_once_apply_once;
                a_newer_schema_is_ahead;
                a_schema_older_than_the_first_release_is_refused;
                an_altered_migration_is_noticed;
                documented_queries_run_and_answer;
                old_rows_are_removed_as_documented;
            }
        }
    };
}
