//! Why an alert cannot become a message.

/// An alert that cannot become a message. Permanent: the same row fails again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MimeError {
    /// A column of the header section contains a control character.
    #[error(
        "column {column} holds {found} at character {position}; a header is one line of text, so nothing was sent: remove it in the application that inserts the row"
    )]
    HeaderInjection {
        /// The column; `Headers.X-Name` for a member of the JSON object.
        column: String,
        /// Its name.
        found: String,
        /// Counted from 1.
        position: usize,
    },
    /// All three recipient columns are empty.
    #[error(
        "the alert has no recipient: ToRecipients, CcRecipients and BccRecipients are all empty; fill at least one"
    )]
    NoRecipients,
    /// The column ReplyTo cannot be used.
    #[error(
        "column ReplyTo holds '{written}', which cannot be used: {problem}; expected one or more addresses separated by ';'"
    )]
    BadReplyTo {
        /// The entry.
        written: String,
        /// What is wrong.
        problem: &'static str,
    },
    /// The column Headers is no object of strings.
    #[error("column Headers {problem}; expected a JSON object such as {{\"X-Order\": \"4711\"}}")]
    BadHeaders {
        /// What was found.
        problem: String,
    },
    /// A header that this column may not set.
    #[error("column Headers may not set '{name}': {reason}")]
    HeaderNotAllowed {
        /// The header.
        name: String,
        /// Why, and what to do instead.
        reason: String,
    },
    /// A header's value cannot be sent as what it is.
    #[error("header '{name}' in column Headers has a value that cannot be used: {problem}")]
    BadHeaderValue {
        /// The header.
        name: String,
        /// What was expected.
        problem: &'static str,
    },
    /// A column of an attachment cannot be sent.
    #[error("attachment {attachment}: column {column} cannot be used: {problem}")]
    BadAttachment {
        /// Its key and name.
        attachment: String,
        /// The column of `Attachment`.
        column: &'static str,
        /// What was expected.
        problem: &'static str,
    },
    /// The send port's setting cannot be used.
    #[error(
        "'{written}' cannot be the right side of a Message-ID; set message_id_domain to a domain name of yours, such as mail.contoso.com"
    )]
    BadMessageIdDomain {
        /// The setting.
        written: String,
    },
}

impl MimeError {
    /// The key into the table of explanations; stable.
    pub fn explanation(&self) -> &'static str {
        match self {
            Self::HeaderInjection { .. } => "header-injection",
            Self::NoRecipients => "no-recipients",
            Self::BadReplyTo { .. } => "bad-reply-to",
            Self::BadHeaders { .. } | Self::BadHeaderValue { .. } => "bad-headers",
            Self::HeaderNotAllowed { .. } => "header-not-allowed",
            Self::BadAttachment { .. } => "bad-attachment",
            Self::BadMessageIdDomain { .. } => "bad-message-id-domain",
        }
    }
}
