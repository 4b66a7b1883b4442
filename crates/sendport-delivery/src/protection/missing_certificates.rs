//! How an alert that is to be encrypted is sent, held or failed if a recipient has no usable certificate.

use sendport_core::domain::{Address, Alert, AlertOrigin};
use sendport_smime::{Protection, RecipientCertificateError, WhenMissing};

use crate::recipients::recipient_set::RecipientSet;
use crate::send_port::Refusal;

/// So many are named in a row of each recipient.
const MOST_NAMED: usize = 20;

/// A key of the table of replies.
const OTHERS: &str = "other-recipients-without-certificate";

/// A waiting recipient without a usable certificate.
#[derive(Debug)]
pub(super) struct MissingCertificate {
    pub(super) ordinal: u32,
    pub(super) address: Address,
    pub(super) why: RecipientCertificateError,
}

/// Applies the send port's `when_missing` to recipients without a certificate. True: they get it
/// unencrypted.
pub(super) fn settle(
    missing: &[MissingCertificate],
    when_missing: WhenMissing,
    alert: &Alert,
    recipients: &mut RecipientSet,
) -> bool {
    if missing.is_empty() {
        return false;
    }
    match when_missing {
        // Never less than the alert itself asks for, whatever the send port allows.
        WhenMissing::Plaintext if asks_itself(alert) => refuse_each(
            missing,
            "; when_missing = \"plaintext\" does not hold for an alert that itself asks for encryption",
            recipients,
        ),
        WhenMissing::Plaintext => {
            recipients.send_unencrypted(missing.iter().map(|it| (it.ordinal, it.remark())));
            return true;
        }
        WhenMissing::Split => refuse_each(missing, "", recipients),
        // A digest goes to the recipients that can read it.
        WhenMissing::Fail if alert.origin == AlertOrigin::Digest => {
            refuse_each(missing, "", recipients);
        }
        // Some have it already: the rest get it where they can.
        WhenMissing::Fail if recipients.has_relayed() => {
            refuse_each(missing, "; others had got it before", recipients);
        }
        WhenMissing::Fail => refuse_all(missing, recipients),
    }
    false
}

/// The alert's own column asks for an envelope.
fn asks_itself(alert: &Alert) -> bool {
    let asked = alert.protection.as_deref().unwrap_or_default();
    asked.parse().is_ok_and(Protection::encrypts)
}

fn refuse_each(missing: &[MissingCertificate], because: &str, recipients: &mut RecipientSet) {
    let refusal = |it: &MissingCertificate| {
        let reason = format!("{}{because}", it.why);
        (it.ordinal, Refusal::new(it.why.explanation(), reason))
    };
    let refused: Vec<_> = missing.iter().map(refusal).collect();
    recipients.refuse_each(&refused);
}

fn refuse_all(missing: &[MissingCertificate], recipients: &mut RecipientSet) {
    let waiting: Vec<u32> = recipients.waiting().map(|(_, path)| path.ordinal).collect();
    let reason = reason(missing, waiting.len());
    let refusal = |ordinal: u32| {
        let own = missing.iter().find(|it| it.ordinal == ordinal);
        let explanation = own.map_or(OTHERS, |it| it.why.explanation());
        (ordinal, Refusal::new(explanation, reason.clone()))
    };
    let refused: Vec<_> = waiting.into_iter().map(refusal).collect();
    recipients.refuse_each(&refused);
}

/// Names each recipient without a usable certificate, of `all` that wait, and what was found of each.
fn reason(missing: &[MissingCertificate], all: usize) -> String {
    if let ([only], 1) = (missing, all) {
        return only.why.to_string();
    }
    let named = missing.iter().take(MOST_NAMED);
    let mut named: Vec<_> = named
        .map(|it| format!("{}: {}", it.address, it.why))
        .collect();
    if let Some(more) = missing.len().checked_sub(MOST_NAMED).filter(|it| *it > 0) {
        named.push(format!("and {more} more"));
    }
    format!(
        "no recipient gets it, because {} of {all} recipients have no usable certificate and when_missing = \"fail\": {}",
        missing.len(),
        named.join("; ")
    )
}

impl MissingCertificate {
    fn remark(&self) -> String {
        format!("sent without encryption: {}", self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::send_port::SendPort;
    use sendport_core::domain::{Alert, RecipientStatus, expand_recipients};
    use sendport_core::replies::ReplyTable;

    use crate::recipients::recipient_set::Rules;
    use RecipientStatus::{Queued, Relayed};

    /// Settles an alert to `user0`, `user1`, ... of which the last has no certificate. Answers
    /// which recipients remain, whether the last one gets it unencrypted, and the remark about it.
    fn settled(
        when_missing: WhenMissing,
        protection: Option<&str>,
        statuses: &[RecipientStatus],
    ) -> (Vec<u32>, bool, String) {
        let port = SendPort::with_settings("p", &["d"], "");
        let names = (0..statuses.len()).map(|n| format!("user{n}@x.com"));
        let mut alert = Alert {
            to_recipients: Some(names.collect::<Vec<_>>().join(", ")),
            protection: protection.map(str::to_owned),
            ..crate::fixture::alert()
        };
        alert.recipients = expand_recipients(&alert);
        for (recipient, status) in alert.recipients.iter_mut().zip(statuses) {
            recipient.status = *status;
        }
        let rules = Rules {
            port: &port,
            replies: &ReplyTable::built_in(),
            age: std::time::Duration::ZERO,
            chance: 0.0,
            throttled_for: None,
            of_one_domain: false,
        };
        let mut recipients = RecipientSet::load(&alert, &rules);
        let last = recipients
            .waiting()
            .last()
            .expect("a waiting recipient")
            .1
            .ordinal;
        let last = missing(last);
        let unencrypted = settle(
            std::slice::from_ref(&last),
            when_missing,
            &alert,
            &mut recipients,
        );
        let paths = recipients
            .forward_paths()
            .into_iter()
            .map(|path| path.ordinal);
        let output = recipients.recipients().pop().expect("a recipient").1;
        let output = output.map_or_else(String::new, |reply| reply.text);
        (paths.collect(), unencrypted, output)
    }

    #[test]
    fn no_recipient_gets_it_unless_one_has_it_already() {
        let (paths, _, output) = settled(WhenMissing::Fail, None, &[Queued, Queued]);
        assert!(paths.is_empty() && output.starts_with("no recipient gets it, because 1 of 2"));
        let (paths, _, output) = settled(WhenMissing::Fail, None, &[Relayed, Queued, Queued]);
        assert_eq!(paths, [1]);
        assert_eq!(output, "there is none; others had got it before");
    }

    #[test]
    fn an_alert_that_requests_encryption_is_never_sent_unencrypted() {
        let plaintext = |protection| settled(WhenMissing::Plaintext, protection, &[Queued, Queued]);
        for protection in [None, Some(""), Some("sign"), Some("none")] {
            assert_eq!(plaintext(protection), (vec![0, 1], true, String::new()));
        }
        for protection in ["encrypt", " Sign+Encrypt "] {
            let (paths, unencrypted, output) = plaintext(Some(protection));
            assert_eq!((paths, unencrypted), (vec![0], false));
            assert!(
                output.contains("there is none") && output.contains("itself asks"),
                "{output}"
            );
        }
    }

    fn missing(ordinal: u32) -> MissingCertificate {
        MissingCertificate {
            ordinal,
            address: format!("user{ordinal}@x.com").parse().expect("an address"),
            why: RecipientCertificateError::Missing("there is none".to_owned()),
        }
    }

    #[test]
    fn a_single_recipient_gets_its_own_reason_alone() {
        assert_eq!(reason(&[missing(0)], 1), "there is none");
    }

    #[test]
    fn a_row_names_so_many_and_counts_the_others() {
        let many: Vec<_> = (0..25).map(missing).collect();
        let reason = reason(&many, 30);
        assert!(reason.contains("25 of 30 recipients") && reason.contains("user19@x.com: there"));
        assert!(reason.ends_with("; and 5 more") && !reason.contains("user20"));
    }
}
