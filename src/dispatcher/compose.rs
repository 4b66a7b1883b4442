//! From an alert to its message.

use super::{NotSecured, TemplateShelf};
use crate::domain::{Alert, Message};
use crate::mime;
use crate::send_port::{Refusal, SendPort};
use crate::smime::Protection;
use crate::store::StoreError;

/// Why there is no message.
#[derive(Debug)]
pub enum NotComposed {
    /// The alert fails.
    Never(Refusal),
    /// The database does not hand out the template at the moment.
    NotNow(StoreError),
    /// An operator has to mend its protection first.
    Unprotected(String),
}

impl From<NotSecured> for NotComposed {
    fn from(error: NotSecured) -> Self {
        match error {
            NotSecured::Never(refusal) => Self::Never(refusal),
            NotSecured::NotNow(why) => Self::Unprotected(why),
        }
    }
}

impl From<Refusal> for NotComposed {
    fn from(refusal: Refusal) -> Self {
        Self::Never(refusal)
    }
}

/// A message before its protection.
#[derive(Debug)]
pub struct Draft {
    /// The same octets in every attempt.
    pub message: Message,
    /// What is to be done to it.
    pub protection: Protection,
    /// The address in From.
    pub from: String,
    /// The version of the template that it was made from.
    pub template_version: Option<String>,
}

/// Makes the message of an alert; `international`: for recipients whose addresses are not
/// ASCII.
pub(super) async fn draft(
    templates: &TemplateShelf,
    alert: &Alert,
    port: &SendPort,
    international: bool,
) -> Result<Draft, NotComposed> {
    port.check_principal(alert)?;
    let from = port.decide_from(alert)?;
    let protection = port.decide_protection(alert)?;
    let address = from.address.clone();
    let templates = templates.for_alert(alert).await?;
    let rendered = templates
        .render_at(alert, port.wall_clock(alert))
        .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
    let settings = mime::MessageSettings {
        from,
        message_id_domain: port.message_id_domain.clone(),
        headers: port.headers.clone(),
        charset: port.charset,
        html_charset: port.html_charset,
        international,
    };
    let message = mime::build_message(&rendered, &settings)
        .map_err(|error| Refusal::new(error.explanation(), error.to_string()))?;
    Ok(Draft {
        message,
        protection,
        from: address,
        template_version: rendered.template_version,
    })
}
