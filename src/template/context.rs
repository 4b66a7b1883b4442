//! The variables that a template sees.

use std::collections::BTreeMap;

use minijinja::Value;
use minijinja::value::Serde;
use serde::Serialize;

use super::RenderError;
use crate::domain::Alert;

/// The variable `alert`: what a template may know of its row. No recipients: a text that
/// depends on them could tell one of them about another's Bcc.
#[derive(Serialize)]
struct AlertView<'a> {
    id: i64,
    public_id: String,
    name: Option<&'a str>,
    severity: Option<&'a str>,
    source: Option<&'a str>,
    reference: Option<&'a str>,
    language: Option<&'a str>,
    created_at: String,
    created_by: &'a str,
    subject: Option<&'a str>,
    body: Option<&'a str>,
}

/// The members of the payload and, stronger than a member of that name, `alert`.
pub(super) fn variables(alert: &Alert, template: &str) -> Result<Value, RenderError> {
    let mut variables = payload(alert, template)?;
    let view = AlertView {
        id: alert.id.0,
        public_id: alert.public_id.to_string(),
        name: alert.alert_name.as_deref(),
        severity: alert.severity.as_deref(),
        source: alert.source.as_deref(),
        reference: alert.reference.as_deref(),
        language: alert.language.as_deref(),
        created_at: alert.created_at.format("%Y-%m-%dT%H:%M:%SZ").to_string(),
        created_by: &alert.created_by,
        subject: alert.subject.as_deref(),
        body: alert.body.as_deref(),
    };
    variables.insert("alert".to_owned(), Value::from(Serde(&view)));
    Ok(Value::from(variables))
}

fn payload(alert: &Alert, template: &str) -> Result<BTreeMap<String, Value>, RenderError> {
    let bad = |problem: String| RenderError::BadPayload {
        template: template.to_owned(),
        problem,
    };
    let Some(json) = alert.payload.as_deref().filter(|p| !p.trim().is_empty()) else {
        return Ok(BTreeMap::new());
    };
    let found = match serde_json::from_str(json) {
        Ok(serde_json::Value::Object(members)) => {
            return Ok(members
                .into_iter()
                .map(|(name, value)| (name, Value::from(Serde(&value))))
                .collect());
        }
        Ok(serde_json::Value::Array(_)) => {
            "is a JSON array (FOR JSON makes one unless it says WITHOUT_ARRAY_WRAPPER)"
        }
        Ok(_) => "is a single JSON value",
        // The message of serde_json has line and column, and nothing of the content.
        Err(error) => return Err(bad(format!("is not JSON: {error}"))),
    };
    Err(bad(found.to_owned()))
}
