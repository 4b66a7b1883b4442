//! The words of sendport, one meaning each: pure types without I/O.
//!
//! Nothing in here knows tokio, tracing, a database or a socket. Everything else in the
//! crate speaks in these types, and the pipeline consumes them one after the other:
//! `Lease<Alert>` → `RenderedAlert` → `Message` → `SecuredMessage` → `SubmissionReport`
//! → `Outcome`.

mod address;
mod alert;
mod attachment;
mod attempt;
mod audit;
mod authentication;
mod biztalk;
mod certificate;
mod charset;
mod domain_name;
mod domain_rule;
mod dsn;
mod envelope;
mod feedback;
mod instance;
mod name;
mod network;
mod operator_request;
mod received;
mod recipient;
mod reply;
mod server_limits;
mod template;

pub use crate::received_content::ReceivedContent;
pub use address::{
    Address, AddressError, AddressList, Mailbox, STAND_IN_ADDRESS, parse_address_list,
    parse_mailbox,
};
pub use alert::{
    Alert, AlertId, AlertOrigin, AlertStatus, BodyFormat, Importance, Lease, LeaseToken, Priority,
    PublicId, Sensitivity, UnknownWord,
};
pub use attachment::{Attachment, AttachmentId, ContentDisposition, TransferEncoding};
pub use attempt::{
    Attempt, AttemptKey, AttemptOutcome, CommandReply, Decision, Disposition, Outcome, OutcomeKind,
    ProtectionFacts, RecipientOutcome, SessionFacts, StatusReasonCode, SubmissionEnd,
    SubmissionIntent, SubmissionReport, status_of,
};
pub use audit::{AuditCopy, AuditStage};
pub use authentication::{AUTH_COOLDOWN, AuthDecision, AuthKey, AuthOutcome};
pub use biztalk::{Macro, resolve_macros};
pub use certificate::{
    BoundBy, CertificateAdded, CertificateChoice, CertificateEntry, CertificateId, CertificateRow,
    CertificateText, ExpiringCertificate, RevokedCertificate,
};
pub use charset::Charset;
pub use domain_name::{address_literal, domain_to_ascii, domain_to_unicode, is_invisible};
pub use domain_rule::{DomainRule, DomainRuleError};
pub use dsn::{DsnRequest, DsnReturn, Notify, NotifyOn, ReportAction};
pub use envelope::{Envelope, ForwardPath, Message, ReversePath, ReversePathError};
pub use feedback::{
    BounceClass, Feedback, FeedbackKind, FeedbackProof, RecipientFeedback, ReportedOutcome,
};
pub use instance::{
    InDoubt, InstanceCondition, InstanceId, InstanceInfo, Membership, RelayCondition, RelayState,
    SendPortInfo,
};
pub use name::{shown_name, shown_names};
pub use network::{Network, NotANetwork};
pub use operator_request::{OperatorVerb, Redirect, RequestId, RequeueRecipients, Resolution};
pub use received::{
    BodyType, EnvelopeRecipient, IntakeClient, ReceivedEnvelope, ReceivedHeader, ReceivedMessage,
    RecipientDsn, StoredMessage, TransactionId,
};
pub use recipient::{
    MOST_RECIPIENTS, Recipient, RecipientAddress, RecipientKind, RecipientStatus,
    expand_recipient_lists, expand_recipients, has_too_many_recipients,
};
pub use reply::{Command, EnhancedStatusCode, Fault, Limit, LocalCause, Reply, ReplyClass};
pub use server_limits::ServerLimits;
pub use template::{TemplateRow, TemplateText};

/// UTC with the resolution that the databases keep: `datetime2(3)`.
pub type Timestamp = chrono::DateTime<chrono::Utc>;
