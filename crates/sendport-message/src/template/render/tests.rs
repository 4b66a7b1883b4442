//! The protocol between service and worker; what a worker may take, the tests of the program try.

use chrono::FixedOffset;
use sendport_core::domain::{TemplateRow, TemplateText, Timestamp};

use super::process::{MOST, Meter};
use super::*;
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
        let renderer = Renderer::in_process();
        let turn = renderer.turn(&source, &alert).await.expect("its turn");
        let rendered = renderer.render_at(turn, &source, &alert, offset).await;
        let here = here.as_ref().expect("is there").render_at(&alert, offset);
        assert_eq!(rendered, here.map_err(NotRendered::Never));
        assert_eq!(
            rendered.expect("renders").template_version.as_deref(),
            Some("7")
        );
    }
}

#[tokio::test]
async fn errors_of_a_template_and_of_an_alert_are_returned() {
    let renderer = Renderer::in_process();
    let broken = TemplateSource::of_rows("late", rows("{{")).expect("is there");
    let problem = renderer.compile(&broken).await.expect("answers");
    assert!(problem.expect_err("broken").contains("'late.txt.j2'"));
    let whole = TemplateSource::of_rows("late", rows("{{ carrier }}")).expect("is there");
    assert_eq!(renderer.compile(&whole).await, Ok(Ok(())));
    for (source, explained, output) in [
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
        let error = renderer.render(source, &alert).await;
        let Err(NotRendered::Never(error)) = error else {
            panic!("{output}: {error:?}");
        };
        assert_eq!(error.explanation(), explained);
        assert!(error.to_string().contains(output), "{error}");
    }
}

#[tokio::test]
async fn a_worker_has_text_sent_once_and_forgets_what_was_not_used_for_longest() {
    let mut worker = Worker::in_process(false).expect("starts");
    let sources: Vec<_> = (0..=MOST)
        .map(|n| TemplateSource::of_rows("late", rows(&n.to_string())).expect("is there"))
        .collect();
    let alert = alert();
    for at in [0, 1].into_iter().chain(0..=MOST).chain([0, 1, MOST]) {
        let reply = worker
            .ask(&sources[at], Some(Data::of(&alert, 0)), &Meter::default())
            .await;
        let Ok(Answer {
            reply: Reply::Rendered(Ok(parts)),
            ..
        }) = reply
        else {
            panic!("{at}: {reply:?}");
        };
        assert_eq!(parts.text, Some(at.to_string()));
    }
    assert_eq!(worker.compiled.len(), MOST);
    assert!(!worker.has(sources[2].id) && worker.has(sources[3].id));
}

/// An alert of a template that takes too much is held up behind another one of it; all others go on,
/// and good ones of the same template are rendered when it is their turn.
#[tokio::test]
async fn a_template_that_takes_too_much_is_rendered_one_alert_at_a_time() {
    let renderer = Renderer::in_process();
    let (sender, reports) = std::sync::mpsc::channel();
    renderer.on_suspect(move |name, what| sender.send(format!("{name} {what}")).expect("is heard"));
    let loops = "{% for a in range(order) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let source = TemplateSource::of_rows("late", rows(loops)).expect("is there");
    let other = TemplateSource::of_rows("late", rows("good")).expect("is there");
    for _ in 0..2 {
        let bad = alert();
        let error = renderer.render(&source, &bad).await.expect_err("too much");
        assert!(error.to_string().contains("fuel"), "{error}");
    }
    let first = alert();
    let slow = renderer
        .turn(&source, &first)
        .await
        .expect("the lane is free");
    let good = Alert {
        payload: Some(r#"{"order": 1}"#.to_owned()),
        ..alert()
    };
    let waits = renderer.render(&source, &good).await.expect_err("in turn");
    let output = "template 'late' loops too long: its alerts are rendered one at a time";
    assert_eq!(waits.to_string(), output);
    renderer.render(&other, &good).await.expect("has a worker");
    drop(slow);
    renderer.render(&source, &good).await.expect("its turn");
    let reports: Vec<_> = reports.try_iter().collect();
    assert_eq!(reports, ["late loops too long"]);
}

/// Its template is not yet known to take too much, and another alert is in the slow lane: it gives
/// its worker back.
#[tokio::test]
async fn a_render_that_takes_long_holds_no_worker() {
    let renderer = Renderer::in_process();
    let loops = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let slow = TemplateSource::of_rows("late", rows(loops)).expect("is there");
    // Compares a million pairs, which takes no fuel.
    let compares = "{% set v = namespace(x=[1], y=[1]) %}{% for i in range(20) %}{% set v.x = [v.x, v.x] %}\
                    {% set v.y = [v.y, v.y] %}{% endfor %}{{ v.x == v.y }}";
    let slower = TemplateSource::of_rows("late", rows(compares)).expect("is there");
    let alert = alert();
    let error = renderer.render(&slow, &alert).await.expect_err("too much");
    assert!(error.to_string().contains("fuel"), "{error}");
    let lane = renderer
        .turn(&slow, &alert)
        .await
        .expect("the lane is free");
    let error = renderer
        .render(&slower, &alert)
        .await
        .expect_err("too long");
    let output = "template 'late' takes long for an alert: its alerts are rendered one at a time";
    assert_eq!(error.to_string(), output);
    drop(lane);
    renderer.render(&slower, &alert).await.expect("its turn");
}
