//! What a send port that signs or encrypts asks of a message that a client submitted.

use sendport_core::domain::Address;
use sendport_message::received::{already_protected, for_a_signature, with_allowed_fields};
use sendport_smime::Protection;

use super::{Refusal, SendPort};
use crate::settings::ReceivedProtected;

/// What is done to a message of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ReceivedPlan {
    /// It is passed on as it came.
    PassOn(Vec<u8>),
    /// This form of it is signed or encrypted.
    Protect {
        /// No relay has a reason to change it.
        message: Vec<u8>,
        /// The address in its From.
        from: Address,
    },
}

impl SendPort {
    /// What is done to a message with the protection `wanted`, which is some. `from_allowed`: the client may use the address
    /// in From.
    ///
    /// # Errors
    /// The refusal that fails the alert: nothing may be sent.
    pub(crate) fn plan_for_received(
        &self,
        message: Vec<u8>,
        wanted: Protection,
        from_allowed: bool,
    ) -> Result<ReceivedPlan, Refusal> {
        let wanted = wanted.as_str();
        let unprotectable = |why: &dyn std::fmt::Display| {
            let why = format!(
                "the send port '{}' asks for the protection {wanted}, and the message cannot have it: {why}",
                self.name
            );
            Refusal::new("protection-failed", why)
        };
        let already = already_protected(&message).map_err(|why| unprotectable(&why))?;
        if let Some(already) = already {
            return match self.received_protected {
                ReceivedProtected::Pass => Ok(ReceivedPlan::PassOn(message)),
                ReceivedProtected::Refuse => Err(Refusal::new(
                    "received-protected",
                    format!(
                        "the send port '{}' asks for the protection {wanted}, and the message is {}; \
                         received_protected = \"pass\" passes such messages on as they came",
                        self.name,
                        already.as_str()
                    ),
                )),
            };
        }
        let from = self.author_of(&message)?;
        if !from_allowed {
            let why = format!(
                "From of the message: the client that submitted it may not use {from}, so it is not signed or encrypted; \
                 add the address to allow_senders of the client"
            );
            return Err(Refusal::new("bad-from", why));
        }
        let message = with_allowed_fields(message, &self.headers);
        let message = for_a_signature(&message).map_err(|why| unprotectable(&why))?;
        Ok(ReceivedPlan::Protect { message, from })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planned(settings: &str, message: &str) -> Result<ReceivedPlan, String> {
        let port = SendPort::with_settings("p", &["d"], settings);
        let plan = port.plan_for_received(message.as_bytes().to_vec(), Protection::Sign, true);
        plan.map_err(|refusal| format!("{}: {}", refusal.explanation, refusal.reason))
    }

    #[test]
    fn only_an_address_that_the_send_port_may_use_is_signed_for() {
        let signed = |settings: &str, from: &str| {
            let message = format!("From: {from}\r\n\r\ntext\r\n");
            match planned(settings, &message) {
                Ok(ReceivedPlan::Protect { from, .. }) => from.to_string(),
                other => format!("{other:?}"),
            }
        };
        assert_eq!(signed("", "A <A@contoso.com>"), "A@contoso.com");
        let allowed = "allow_from = ['@contoso.com']";
        assert_eq!(signed(allowed, "app@contoso.com"), "app@contoso.com");
        for (from, why) in [
            (
                "boss@contoso.com",
                "does not sign or encrypt as boss@contoso.com",
            ),
            ("a@contoso.com, boss@contoso.com", "not exactly one mailbox"),
            (
                "boss@contoso.com <a@contoso.com>",
                "not exactly one mailbox",
            ),
            ("", "there is none"),
        ] {
            let found = signed("", from);
            assert!(
                found.contains("bad-from: From of the message") && found.contains(why),
                "{found}"
            );
        }
    }

    #[test]
    fn a_from_that_its_client_may_not_use_is_not_signed_for() {
        let port = SendPort::with_settings("p", &["d"], "allow_from = ['@contoso.com']");
        let message = b"From: boss@contoso.com\r\n\r\ntext\r\n".to_vec();
        let refused = port.plan_for_received(message, Protection::Sign, false);
        let why = refused.expect_err("refused").reason;
        assert!(why.contains("may not use boss@contoso.com"), "{why}");
    }

    #[test]
    fn extra_fields_obey_the_send_port() {
        let message = "Received: by app\r\nX-Receiver: evil@x\r\nX-Order: 4711\r\nDKIM-Signature: v=1;\r\n b=x\r\n\
            Organization: Contoso\r\nFrom: a@contoso.com\r\nX-MS-Exchange-Organization-AuthAs: Internal\r\n\
            Subject: late\r\nReply-To: b@contoso.com\r\n\r\nX-Receiver: text\r\n";
        let kept = |settings: &str| match planned(settings, message) {
            Ok(ReceivedPlan::Protect { message, .. }) => {
                let message = String::from_utf8(message).expect("UTF-8");
                let (header, body) = message.split_once("\r\n\r\n").expect("a body");
                assert_eq!(body, "X-Receiver: text\r\n");
                let names = header.lines().filter_map(|line| line.split(':').next());
                names.collect::<Vec<_>>().join(" ")
            }
            other => panic!("{other:?}"),
        };
        let usual = "Received X-Order From Subject Reply-To MIME-Version";
        assert_eq!(kept(""), usual);
        let allowed = kept("allow_headers = ['Organization', 'X-MS-Exchange-*']");
        let asked = "Received Organization From X-MS-Exchange-Organization-AuthAs Subject Reply-To MIME-Version";
        assert_eq!(allowed, asked);
    }

    #[test]
    fn what_is_protected_already_is_refused_or_passed_on_and_never_wrapped() {
        let signed =
            "From: stranger@x\r\nContent-Type: multipart/signed; boundary=s\r\n\r\n--s--\r\n";
        let refusal = planned("", signed).expect_err("refused");
        assert!(refusal.starts_with("received-protected: "), "{refusal}");
        assert!(refusal.contains("received_protected"), "{refusal}");
        let passed = planned("received_protected = 'pass'", signed);
        assert_eq!(passed, Ok(ReceivedPlan::PassOn(signed.as_bytes().to_vec())));
    }
}
