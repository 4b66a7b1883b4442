//! The render worker: reads requests and answers them one after the other.

use std::collections::HashMap;
use std::io::{self, Read, Write};

use chrono::{FixedOffset, Offset, Utc};

use super::limits;
use super::wire::{Answer, Data, LONGEST, Parts, Reply, Request};
use crate::template::{RenderError, TemplateSet};

/// The exit code of a worker whose limits cannot be set.
pub(super) const UNLIMITED: u8 = 71;

/// Serves the parent process until that closes standard input. Returns the exit code.
pub fn render_worker() -> u8 {
    if let Err(_denied) = limits::limit_memory() {
        return UNLIMITED;
    }
    // A read or write error means that the service ended.
    let _ = serve(io::stdin().lock(), io::stdout().lock(), limits::limit_time);
    0
}

/// Answers each request of `input`; `limit` is called before the work on it begins.
pub(super) fn serve(
    mut input: impl Read,
    mut output: impl Write,
    limit: impl Fn() -> io::Result<()>,
) -> io::Result<()> {
    let mut compiled = HashMap::new();
    loop {
        let request = receive(&mut input)?;
        limit()?;
        let begun = limits::processor_time();
        let reply = reply(serde_json::from_slice(&request)?, &mut compiled);
        let spent = limits::processor_time().saturating_sub(begun);
        send(&mut output, &serde_json::to_vec(&Answer { reply, spent })?)?;
    }
}

fn reply(request: Request<'_>, compiled: &mut HashMap<u64, Result<TemplateSet, String>>) -> Reply {
    if let Some(forgotten) = request.forget {
        compiled.remove(&forgotten);
    }
    if let Some(content) = request.content {
        compiled.insert(request.source, content.compile());
    }
    let never_sent = Err("its text is missing".to_owned());
    let templates = compiled.get(&request.source).unwrap_or(&never_sent);
    match (request.alert, templates) {
        (None, templates) => Reply::Compiled(templates.as_ref().map(|_| ()).map_err(Clone::clone)),
        (Some(alert), Ok(templates)) => Reply::Rendered(render(templates, alert)),
        (Some(alert), Err(problem)) => Reply::Rendered(Err(RenderError::Unusable {
            name: alert.into_alert().template.unwrap_or_default(),
            problem: problem.clone(),
        })),
    }
}

fn render(templates: &TemplateSet, alert: Data<'_>) -> Result<Parts, RenderError> {
    let offset = FixedOffset::east_opt(alert.offset).unwrap_or(Utc.fix());
    let alert = alert.into_alert();
    let rendered = templates.render_at(&alert, offset)?;
    Ok(Parts {
        subject: rendered.subject,
        text: rendered.text.map(String::from),
        html: rendered.html.map(String::from),
        version: rendered.template_version,
    })
}

fn receive(input: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    input.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > LONGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut message = vec![0; length as usize];
    input.read_exact(&mut message)?;
    Ok(message)
}

fn send(output: &mut impl Write, message: &[u8]) -> io::Result<()> {
    let length = u32::try_from(message.len()).map_err(io::Error::other)?;
    output.write_all(&[&length.to_be_bytes(), message].concat())?;
    output.flush()
}
