//! Redirects of operators: what goes to their address, and that nothing goes elsewhere.

use super::*;

#[tokio::test]
async fn a_redirected_alert_is_one_message_whose_outcome_is_that_of_all_that_wait() {
    let memory = MemoryBudget::new("");
    let mut alert = memory.redirected("qa@contoso.com").await;
    alert.recipients = expand_recipients(&alert);
    alert.recipients[1].status = RecipientStatus::Relayed;
    alert.recipients[2].status = RecipientStatus::Delayed;
    let decision = decision(memory.dispatch(alert).await);
    assert_eq!(decision.status, AlertStatus::Relayed);
    let said = Some("redirected to qa@contoso.com by request 1");
    assert_eq!(decision.reason.as_deref(), said);
    let changed: Vec<_> = decision.recipients.iter().map(|it| it.ordinal).collect();
    assert_eq!(changed, [0, 2]);
    for recipient in &decision.recipients {
        assert_eq!(recipient.status, RecipientStatus::Relayed);
        assert_eq!(recipient.remark.as_deref(), said);
        assert_eq!(recipient.redirect_to.as_deref(), Some("qa@contoso.com"));
    }
    let attempt = decision.attempt.expect("an attempt");
    assert_eq!(attempt.redirect_to.as_deref(), Some("qa@contoso.com"));
    assert!(
        attempt.message_id.contains(".redirect-1@"),
        "{}",
        attempt.message_id
    );
    let messages = memory.messages("first");
    assert_eq!(messages.len(), 1);
    let message = String::from_utf8_lossy(&messages[0].1);
    let (header, body) = message.split_once("\r\n\r\n").expect("a body");
    assert!(header.contains("\r\nTo: qa@contoso.com\r\n"), "{header}");
    for absent in ["\r\nCc:", "ops@", "lead@", "audit@"] {
        assert!(!header.contains(absent), "{absent} in {header}");
    }
    assert!(
        body.contains("To: Ops <ops@contoso.com>\r\nBcc: audit@contoso.com\r\n---"),
        "{body}"
    );
    assert!(!body.contains("lead@"), "it has the message: {body}");
}

#[tokio::test]
async fn a_redirect_that_cannot_be_used_lets_nothing_out() {
    for (to, settings, why) in [
        ("nobody", "", "'nobody'"),
        (
            "qa@contoso.com; ops@contoso.com",
            "",
            "qa@contoso.com; ops@contoso.com",
        ),
        ("", "", "address"),
        (
            "qa@elsewhere.com",
            "allow_recipient_domains = ['contoso.com']",
            "does not send to the domain 'elsewhere.com'",
        ),
    ] {
        let memory = MemoryBudget::new(&format!("{settings}\n[retry]\nfirst_delay = '7s'"));
        match memory.dispatch(memory.redirected(to).await).await {
            OutcomeKind::Released { retry_in, reason } => {
                assert_eq!(retry_in, Duration::from_secs(7));
                let reason = reason.expect("why");
                assert!(
                    reason.starts_with("waits for the end of redirect 1") && reason.contains(why),
                    "{reason}"
                );
            }
            OutcomeKind::Decided(decision) => panic!("{decision:?}"),
        }
        assert!(memory.messages("first").is_empty() && memory.messages("second").is_empty());
    }
}

/// The domain that gets the message is the one that the send port must allow.
#[tokio::test]
async fn a_redirect_is_for_recipients_of_every_domain_and_for_digests() {
    let memory = MemoryBudget::new("allow_recipient_domains = ['test.example']");
    let alert = memory.redirected("qa@test.example").await;
    let digest = Alert {
        origin: AlertOrigin::Digest,
        ..alert.clone()
    };
    for alert in [alert, digest] {
        let decision = decision(memory.dispatch(alert).await);
        assert_eq!(decision.status, AlertStatus::Relayed);
        assert_eq!(decision.recipients.len(), 3);
    }
    let messages = memory.messages("first");
    for (_, message) in &messages {
        let message = String::from_utf8_lossy(message);
        assert!(message.contains("\r\nTo: qa@test.example\r\n"), "{message}");
    }
    assert_eq!(messages.len(), 2);
}

#[tokio::test]
async fn a_redirected_message_is_encrypted_to_the_address_of_the_redirect_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let memory = MemoryBudget::with(encrypting(folder.path(), WhenMissing::Fail));
    let decision = decision(
        memory
            .dispatch(memory.redirected("qa@contoso.com").await)
            .await,
    );
    assert_eq!(decision.status, AlertStatus::Failed);
    let reason = decision.reason.expect("why");
    assert_eq!(reason, "there is no certificate for qa@contoso.com");
    assert_eq!(decision.recipients.len(), 3);
    let failed =
        |it: &sendport_core::domain::RecipientOutcome| it.status == RecipientStatus::Failed;
    assert!(decision.recipients.iter().all(failed));
}

/// What it does not know may be a redirect of a test site: the alert goes back, and is claimed again with what is in force.
#[tokio::test]
async fn nothing_is_sent_while_the_database_does_not_say_what_operators_want() {
    let memory = MemoryBudget::new("");
    match memory.dispatch_without_database(alert()).await {
        OutcomeKind::Released { retry_in, reason } => {
            assert_eq!(retry_in, STORE_WAIT);
            let reason = reason.expect("why");
            let expected = "waits for the requests of operators: ";
            assert!(
                reason.starts_with(expected) && reason.contains("sendport.db"),
                "{reason}"
            );
        }
        OutcomeKind::Decided(decision) => panic!("{decision:?}"),
    }
    assert!(memory.messages("first").is_empty() && memory.messages("second").is_empty());
    let decision = decision(memory.dispatch(alert()).await);
    assert_eq!(decision.status, AlertStatus::Relayed);
}

/// It was read before the redirect, and is not sent to its recipients.
#[tokio::test]
async fn an_alert_that_is_redirected_meanwhile_is_due_again_at_once() {
    let memory = MemoryBudget::new("");
    let redirected = memory.redirected("qa@contoso.com").await;
    let read_before = Alert {
        redirect: None,
        ..redirected
    };
    match memory.dispatch(read_before).await {
        OutcomeKind::Released { retry_in, reason } => {
            assert_eq!((retry_in, reason), (Duration::ZERO, None));
        }
        OutcomeKind::Decided(decision) => panic!("{decision:?}"),
    }
    assert!(memory.messages("first").is_empty());
}
