//! Tests templates: renders each language with its sample payload.

use std::collections::{BTreeMap, BTreeSet};

use sendport_core::domain::{
    Alert, AlertId, AlertOrigin, BodyFormat, Importance, Priority, PublicId, Sensitivity,
    TemplateText, Timestamp,
};

use super::{NotRendered, RenderError, Renderer, TemplateError, TemplateSource, files_of};

/// The test of one language of one template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SampleResult {
    /// The template.
    pub name: String,
    /// The language, empty for the default.
    pub language: String,
    /// It has a sample.
    pub has_sample: bool,
    /// False if it failed for lack of a sample.
    pub conclusive: bool,
    /// The subject, or an error that names file, line and variable.
    pub result: Result<String, String>,
}

/// Renders every template in each of its languages with the sample of that language, else of a less
/// specific one, else with an empty payload. A template that cannot be compiled has one result. Calls
/// `begin` with the name of each template first.
///
/// # Errors
/// [`NotRendered::NotNow`].
pub async fn try_all(
    renderer: &Renderer,
    texts: &[TemplateText],
    mut begin: impl FnMut(&str) + Send,
) -> Result<Vec<SampleResult>, NotRendered> {
    let own = texts.iter().filter(|text| !text.name.starts_with('_'));
    let names: BTreeSet<&str> = own.map(|text| text.name.as_str()).collect();
    let mut tried = Vec::new();
    if names.is_empty() {
        tried.extend(try_shared(renderer, texts).await?);
    }
    for name in names {
        begin(name);
        let needed: Vec<_> = texts
            .iter()
            .filter(|text| text.name == name || text.name.starts_with('_'))
            .collect();
        tried.extend(try_one(renderer, name, &needed).await?);
    }
    Ok(tried)
}

/// Unused shared files have to compile, too.
async fn try_shared(
    renderer: &Renderer,
    texts: &[TemplateText],
) -> Result<Option<SampleResult>, NotRendered> {
    let source = TemplateSource::of_files(files_of(texts));
    let problem = renderer.compile(&source).await?.err();
    Ok(problem.map(|problem| unusable("_", problem)))
}

fn unusable(name: &str, problem: String) -> SampleResult {
    SampleResult {
        name: name.to_owned(),
        language: String::new(),
        has_sample: false,
        conclusive: true,
        result: Err(problem),
    }
}

async fn try_one(
    renderer: &Renderer,
    name: &str,
    texts: &[&TemplateText],
) -> Result<Vec<SampleResult>, NotRendered> {
    let own = || texts.iter().filter(|text| text.name == name);
    if own().all(|text| text.text.is_none() && text.html.is_none() && text.subject.is_none()) {
        return Ok(vec![unusable(name, sample_alone(name))]);
    }
    let source = TemplateSource::of_files(files_of(texts.iter().copied()));
    if let Err(problem) = renderer.compile(&source).await? {
        return Ok(vec![unusable(name, problem)]);
    }
    let samples: BTreeMap<String, &TemplateText> = own()
        .filter(|text| text.sample.is_some())
        .map(|text| (text.language.to_lowercase(), *text))
        .collect();
    let mut tried = Vec::new();
    for text in own() {
        let sample = sample_for(&text.language, &samples);
        tried.push(try_language(renderer, &source, text, sample).await?);
    }
    Ok(tried)
}

async fn try_language(
    renderer: &Renderer,
    source: &TemplateSource,
    text: &TemplateText,
    sample: Option<&TemplateText>,
) -> Result<SampleResult, NotRendered> {
    let payload = sample.and_then(|it| it.sample.as_deref());
    let alert = sample_alert(&text.name, &text.language, payload);
    let rendered = match renderer.render(source, &alert).await {
        Ok(rendered) => Ok(rendered.subject),
        Err(NotRendered::Never(error)) => Err(error),
        Err(error) => return Err(error),
    };
    let error = rendered.as_ref().err();
    Ok(SampleResult {
        name: text.name.clone(),
        language: text.language.clone(),
        has_sample: sample.is_some(),
        conclusive: sample.is_some() || !error.is_some_and(RenderError::depends_on_payload),
        result: rendered.map_err(|error| explain(error, text, sample)),
    })
}

fn explain(error: RenderError, text: &TemplateText, sample: Option<&TemplateText>) -> String {
    match error {
        RenderError::BadPayload { problem, .. } => {
            let file = sample_file(sample.unwrap_or(text));
            TemplateError::BadSample { file, problem }.to_string()
        }
        error if sample.is_none() && error.depends_on_payload() => {
            format!("{error}; there is no sample: add '{}'", sample_file(text))
        }
        error => error.to_string(),
    }
}

fn sample_alone(name: &str) -> String {
    format!(
        "there is a sample for it, but neither '{name}.txt.j2' nor '{name}.html.j2'; add one of them, or correct the sample's name"
    )
}

fn sample_file(of: &TemplateText) -> String {
    let sample = TemplateText {
        name: of.name.clone(),
        language: of.language.clone(),
        sample: Some(String::new()),
        ..TemplateText::default()
    };
    files_of([&sample]).into_keys().collect()
}

/// The sample payload of a template for a language, if any.
pub fn sample_of<'s>(texts: &'s [TemplateText], name: &str, language: &str) -> Option<&'s str> {
    let own = texts
        .iter()
        .filter(|text| text.name == name && text.sample.is_some());
    let samples = own
        .map(|text| (text.language.to_lowercase(), text))
        .collect();
    sample_for(language, &samples)?.sample.as_deref()
}

fn sample_for<'s>(
    language: &str,
    samples: &BTreeMap<String, &'s TemplateText>,
) -> Option<&'s TemplateText> {
    let mut tag = language.to_lowercase();
    loop {
        if let Some(sample) = samples.get(&tag) {
            return Some(sample);
        }
        tag = match tag.rsplit_once('-') {
            Some((shorter, _)) => shorter.to_owned(),
            None if tag.is_empty() => return None,
            None => String::new(),
        };
    }
}

/// An alert with a value in every column that a template may use; `sample`: its payload.
pub fn sample_alert(template: &str, language: &str, sample: Option<&str>) -> Alert {
    let word = |word: &str| Some(word.to_owned());
    Alert {
        id: AlertId(4711),
        public_id: PublicId(uuid::Uuid::from_u128(
            0x0123_4567_89ab_4def_8123_4567_89ab_cdef,
        )),
        origin: AlertOrigin::Application,
        to_recipients: word("ops@contoso.example"),
        cc_recipients: None,
        bcc_recipients: None,
        from_address: None,
        reply_to: None,
        subject: None,
        body: word("A body."),
        body_format: BodyFormat::Text,
        template: word(template),
        payload: sample.map(str::to_owned),
        language: word(language),
        alert_name: word("Sample"),
        severity: word("warning"),
        source: word("sendport template check"),
        reference: word("sample-4711"),
        send_port: "default".to_owned(),
        priority: Priority::Normal,
        importance: Importance::Normal,
        sensitivity: Sensitivity::Normal,
        headers: None,
        delivery_receipt: false,
        read_receipt: false,
        reply_by: None,
        protection: None,
        dedup_key: None,
        not_before: None,
        expires_at: None,
        file_attachments: None,
        files_stored: false,
        created_at: Timestamp::from_timestamp_millis(1_772_355_907_000).unwrap_or_default(),
        created_by: "sample".to_owned(),
        attempt_count: 0,
        requeued_at: None,
        attempts_before: 0,
        message_generation: 0,
        template_version: None,
        newest_templates: None,
        redirect: None,
        attachment_count: 0,
        recipients: Vec::new(),
    }
}
