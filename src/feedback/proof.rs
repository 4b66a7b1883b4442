//! From a report to what is recorded of it: what proves it, and what it says of each recipient.

use std::sync::Arc;

use sendport_core::domain::{
    BounceClass, Feedback, FeedbackKind, FeedbackProof, RecipientFeedback, Timestamp,
};
use sendport_feedback::{Report, ReportKind, Reported, ReturnPath, TokenError, TokenKeys};

/// Characters of an address or a name that is recorded.
const LONGEST_NAME: usize = 400;

/// Finds the transaction that a report proves to be about.
#[derive(Debug, Clone, Default)]
pub struct Proofs {
    /// The return paths of the send ports.
    pub return_paths: Vec<ReturnPath>,
    /// The keys that verify their tokens.
    pub keys: Option<Arc<TokenKeys>>,
}

/// The file of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ReportFile {
    /// Of its content.
    pub(super) key: String,
    /// The name of the source.
    pub(super) source: String,
    pub(super) size_bytes: u64,
}

impl Proofs {
    /// The records of a report; a long one has several.
    pub(super) fn feedback(
        &self,
        file: &ReportFile,
        report: &Report,
        now: Timestamp,
    ) -> Vec<Feedback> {
        let proof = self.proof(&report.sent_to, now);
        let mut recipients = report.recipients.iter().map(|it| recorded(it, report));
        let mut records = Vec::new();
        loop {
            let some: Vec<_> = recipients.by_ref().take(Feedback::MOST_REPORTED).collect();
            if some.is_empty() && !records.is_empty() {
                return records;
            }
            let key = match records.len() {
                0 => file.key.clone(),
                others => format!("{}-{}", file.key, others + 1),
            };
            records.push(Feedback {
                key,
                source: file.source.clone(),
                kind: kind(report.kind),
                proof: proof.clone(),
                from: report.from.clone(),
                subject: report.subject.clone(),
                message_id: report.own_id.clone(),
                size_bytes: file.size_bytes,
                recipients: some,
            });
        }
    }

    /// The transaction whose return path is among these addresses; otherwise why none is.
    fn proof(&self, addresses: &[String], now: Timestamp) -> Result<FeedbackProof, String> {
        let Some(keys) = &self.keys else {
            return Err(
                "there is no key that verifies it: feedback.return_path_keys is empty".to_owned(),
            );
        };
        let mut why = "it was not sent to a return path with a token; Delivered-To, X-Original-To, To and Cc of the report \
                       have none"
            .to_owned();
        let tokens = addresses.iter().flat_map(|address| {
            let paths = self.return_paths.iter();
            paths.filter_map(move |path| path.token_in(address))
        });
        for token in tokens {
            match keys.verify(token, now) {
                Ok(found) => {
                    return Ok(FeedbackProof::ReturnPath {
                        alert: found.alert,
                        attempt: found.attempt,
                        recipient: found.recipient,
                    });
                }
                Err(error @ TokenError::Expired(_)) => {
                    why = format!(
                        "{error}; feedback.return_path_valid_for says how long it is valid"
                    );
                }
                Err(error) => why = error.to_string(),
            }
        }
        Err(why)
    }
}

fn kind(kind: ReportKind) -> FeedbackKind {
    match kind {
        ReportKind::DeliveryStatus | ReportKind::Text => FeedbackKind::DeliveryStatus,
        ReportKind::Disposition { .. } => FeedbackKind::Disposition,
        ReportKind::Complaint => FeedbackKind::Complaint,
        ReportKind::AutoReply => FeedbackKind::AutoReply,
        ReportKind::NotAReport => FeedbackKind::Other,
    }
}

fn recorded(reported: &Reported, report: &Report) -> RecipientFeedback {
    let short = |text: &String| text.chars().take(LONGEST_NAME).collect::<String>();
    let by = reported
        .remote_mta
        .as_ref()
        .or(report.reporting_mta.as_ref());
    RecipientFeedback {
        original_recipient: reported.original_recipient.as_ref().map(short),
        final_recipient: reported.final_recipient.as_ref().map(short),
        outcome: reported.outcome,
        at: reported.at.or(report.date),
        reported_by: by.map(short),
        reply_code: reported.smtp_code.map(u32::from),
        enhanced: reported.status.map(|it| it.to_string()),
        text: Some(reported.text.clone()).filter(|it| !it.is_empty()),
        class: reported.class.filter(|it| *it != BounceClass::AutoReply),
        explanation: reported.explanation_key.clone(),
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use sendport_core::domain::AlertId;
    use sendport_core::replies::ReplyTable;
    use sendport_feedback::{Expiry, Token, TokenKey};

    use super::*;

    const DAY: i64 = 24 * 3600;

    fn proofs() -> Proofs {
        let key = TokenKey::new(&[1; 32]).expect("a key");
        Proofs {
            return_paths: vec![ReturnPath::new("bounces+", "contoso.com").expect("a return path")],
            keys: TokenKeys::new(vec![key]).ok().map(Arc::new),
        }
    }

    fn address(proofs: &Proofs, alert: i64, last_day: i64) -> String {
        let token = Token {
            alert: AlertId(alert),
            attempt: 5,
            recipient: None,
            expires: Expiry::on(moment(last_day)),
        };
        let keys = proofs.keys.as_ref().expect("keys");
        proofs.return_paths[0].address(&keys.make(&token).expect("a token"))
    }

    fn moment(day: i64) -> Timestamp {
        DateTime::from_timestamp(day * DAY, 0).expect("a moment")
    }

    fn feedback(report: &str, day: i64) -> Vec<Feedback> {
        let file = ReportFile {
            key: "k".to_owned(),
            source: "bounces".to_owned(),
            size_bytes: 1,
        };
        let report = sendport_feedback::read(report.as_bytes(), &ReplyTable::of_bounces());
        proofs().feedback(&file, &report, moment(day))
    }

    #[test]
    fn the_token_of_any_address_of_the_header_proves_the_transaction() {
        let ours = address(&proofs(), 7, 40).to_uppercase();
        let report = format!(
            "To: ops@contoso.com\r\nX-Original-To: {ours}\r\nDelivered-To: bounces@contoso.com\r\n\r\n"
        );
        let expected = FeedbackProof::ReturnPath {
            alert: AlertId(7),
            attempt: 5,
            recipient: None,
        };
        assert_eq!(feedback(&report, 40)[0].proof, Ok(expected));
    }

    #[test]
    fn says_why_nothing_proves_a_report() {
        let ours = address(&proofs(), 7, 40);
        let other = format!(
            "To: {}\r\n\r\n",
            ours.replacen("bounces+a", "bounces+b", 1)
                .replacen("bounces+", "bounces+a", 1)
        );
        let late = format!("To: {ours}\r\n\r\n");
        for (report, day, why) in [
            (
                "To: bounces@contoso.com\r\n\r\n",
                1,
                "it was not sent to a return path with a token",
            ),
            (&*late, 41, "the token of the return path has expired"),
            (&*other, 1, ""),
        ] {
            let proof = feedback(report, day).remove(0).proof.expect_err("no proof");
            assert!(proof.starts_with(why), "{proof}");
        }
    }

    #[test]
    fn a_long_report_has_several_records() {
        let groups: String = (0..150)
            .map(|it| format!("\r\nFinal-Recipient: rfc822; u{it}@contoso.com\r\nAction: failed\r\nStatus: 5.1.1\r\n"))
            .collect();
        let report = format!(
            "Content-Type: multipart/report; report-type=delivery-status; boundary=b\r\n\r\n--b\r\n\
             Content-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.contoso.com\r\n{groups}\r\n--b--\r\n"
        );
        let records = feedback(&report, 1);
        let sizes: Vec<_> = records
            .iter()
            .map(|it| (&*it.key, it.recipients.len()))
            .collect();
        assert_eq!(sizes, [("k", 100), ("k-2", 50)]);
        let first = &records[0].recipients[0];
        assert_eq!(first.reported_by.as_deref(), Some("mx.contoso.com"));
        assert_eq!(
            (first.class, first.enhanced.as_deref()),
            (Some(BounceClass::Hard), Some("5.1.1"))
        );
    }
}
