//! The variables of a template.

use std::collections::BTreeMap;

use chrono::FixedOffset;
use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, Value};
use sendport_core::clock::utc_text;
use sendport_core::domain::{Alert, Macro};
use serde::Serialize;

use super::RenderError;

/// The variable `alert`: columns of the row. No recipients: a text that depends on them could disclose
/// Bcc recipients.
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

/// The members of the payload; `alert`, which takes precedence over a member of that name; and the
/// function `biztalk`, which does not.
pub(super) fn variables(
    alert: &Alert,
    template: &str,
    offset: FixedOffset,
) -> Result<Value, RenderError> {
    let mut variables = payload(alert, template)?;
    variables
        .entry("biztalk".to_owned())
        .or_insert_with(|| biztalk(alert, offset));
    let view = AlertView {
        id: alert.id.0,
        public_id: alert.public_id.to_string(),
        name: alert.alert_name.as_deref(),
        severity: alert.severity.as_deref(),
        source: alert.source.as_deref(),
        reference: alert.reference.as_deref(),
        language: alert.language.as_deref(),
        created_at: utc_text(alert.created_at),
        created_by: &alert.created_by,
        subject: alert.subject.as_deref(),
        body: alert.body.as_deref(),
    };
    variables.insert("alert".to_owned(), Value::from(Serde(&view)));
    Ok(Value::from(variables))
}

/// `{{ biztalk("datetime") }}`: the value of the macro `%datetime%`.
fn biztalk(alert: &Alert, offset: FixedOffset) -> Value {
    let value = |it: &Macro| (it.as_str(), it.value(alert, offset));
    let values: BTreeMap<_, _> = Macro::ALL.iter().map(value).collect();
    Value::from_function(move |name: String| {
        let wrong = |what| Error::new(ErrorKind::InvalidOperation, what);
        let Some(found) = Macro::named(&name) else {
            let known: Vec<_> = Macro::ALL.iter().map(|it| it.as_str()).collect();
            let known = known.join(", ");
            return Err(wrong(format!(
                "'{name}' is no macro of BizTalk; there are: {known}"
            )));
        };
        let found = found.as_str();
        let value = values.get(found).cloned().flatten();
        value.ok_or_else(|| {
            wrong(format!(
                "the macro '{found}' has no value: put a member of this name into Payload"
            ))
        })
    })
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
        // The error of serde_json has line and column, but not the content.
        Err(error) => return Err(bad(format!("is not JSON: {error}"))),
    };
    Err(bad(found.to_owned()))
}
