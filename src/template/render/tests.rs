//! The protocol between service and worker; what a worker may take, the tests of the program try.

use chrono::{FixedOffset, Offset, Utc};

use super::process::MOST;
use super::*;
use crate::domain::{TemplateRow, TemplateText, Timestamp};
use crate::fixture;
use crate::template::TemplateSet;

fn alert() -> Alert {
    Alert {
        template: Some("late".to_owned()),
        subject: None,
        payload: Some(r#"{"order": 4711, "SourceParty": "ERP"}"#.to_owned()),
        language: Some("de-AT".to_owned()),
        alert_name: Some("name".to_owned()),
        severity: Some("bad".to_owned()),
        source: Some("source".to_owned()),
        reference: Some("reference".to_owned()),
        ..fixture::alert()
    }
}

fn rows(text: &str) -> Vec<TemplateRow> {
    let text = TemplateText {
        name: "late".to_owned(),
        subject: Some("{{ order }}".to_owned()),
        text: Some(text.to_owned()),
        html: Some("<p>{{ alert.body }}".to_owned()),
        ..TemplateText::default()
    };
    let created_by = "sqlite".to_owned();
    vec![TemplateRow {
        text,
        version: 7,
        created_at: Timestamp::UNIX_EPOCH,
        created_by,
    }]
}

const EVERYTHING: &str = "{{ alert.id }} {{ alert.public_id }} {{ alert.name }} \
    {{ alert.severity }} {{ alert.source }} {{ alert.reference }} {{ alert.language }} \
    {{ alert.created_at }} {{ alert.created_by }} {{ alert.subject }} {{ alert.body }} \
    {{ biztalk('datetime.tz') }} {{ biztalk('SourceParty') }} {{ biztalk('MessageID') }}";

#[tokio::test]
async fn a_worker_makes_the_same_as_this_process() {
    let rows = rows(EVERYTHING);
    let here = TemplateSet::of_rows("late", &rows).expect("compiles");
    let source = TemplateSource::of_rows("late", rows).expect("is there");
    let offset = FixedOffset::east_opt(3600).expect("an offset");
    for subject in [None, Some("its own".to_owned())] {
        let alert = Alert { subject, ..alert() };
        let rendered = Renderer::default().render_at(&source, &alert, offset).await;
        let here = here.as_ref().expect("is there").render_at(&alert, offset);
        assert_eq!(rendered, here.map_err(NotRendered::Never));
        assert_eq!(
            rendered.expect("renders").template_version.as_deref(),
            Some("7")
        );
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_template_or_an_alert_comes_back() {
    let renderer = Renderer::default();
    let broken = TemplateSource::of_rows("late", rows("{{")).expect("is there");
    let problem = renderer.compile(&broken).await.expect("answers");
    assert!(problem.expect_err("broken").contains("'late.txt.j2'"));
    let whole = TemplateSource::of_rows("late", rows("{{ carrier }}")).expect("is there");
    assert_eq!(renderer.compile(&whole).await, Ok(Ok(())));
    for (source, explained, said) in [
        (
            &broken,
            "template-error",
            "'late' in the database cannot be used",
        ),
        (&whole, "template-error", "carrier"),
        (
            &TemplateSource::empty(),
            "template-unknown",
            "no template 'late'",
        ),
    ] {
        let alert = alert();
        let error = renderer.render_at(source, &alert, Utc.fix()).await;
        let Err(NotRendered::Never(error)) = error else {
            panic!("{said}: {error:?}");
        };
        assert_eq!(error.explanation(), explained);
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[tokio::test]
async fn a_worker_has_text_sent_once_and_forgets_what_was_not_used_for_longest() {
    let mut worker = Worker::start().expect("starts");
    let sources: Vec<_> = (0..=MOST)
        .map(|n| TemplateSource::of_rows("late", rows(&n.to_string())).expect("is there"))
        .collect();
    let alert = alert();
    for at in [0, 1].into_iter().chain(0..=MOST).chain([0, 1, MOST]) {
        let reply = worker.ask(&sources[at], Some(Data::of(&alert, 0))).await;
        let Ok(Reply::Rendered(Ok(parts))) = reply else {
            panic!("{at}: {reply:?}");
        };
        assert_eq!(parts.text, Some(at.to_string()));
    }
    assert_eq!(worker.compiled.len(), MOST);
    assert!(!worker.has(sources[2].id) && worker.has(sources[3].id));
}
