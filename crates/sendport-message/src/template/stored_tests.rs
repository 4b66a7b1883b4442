//! Templates of the database, samples, and BizTalk's macros.

use std::path::Path;

use sendport_core::domain::{Alert, TemplateRow, TemplateText, Timestamp};

use super::*;
use crate::fixture;

fn text(name: &str, language: &str, text: &str) -> TemplateText {
    TemplateText {
        name: name.to_owned(),
        language: language.to_owned(),
        text: Some(text.to_owned()),
        ..TemplateText::default()
    }
}

fn row(text: TemplateText, version: u32) -> TemplateRow {
    TemplateRow {
        text,
        version,
        created_at: Timestamp::UNIX_EPOCH,
        created_by: "sqlite".to_owned(),
    }
}

fn templated(language: Option<&str>, payload: &str) -> Alert {
    Alert {
        template: Some("late".to_owned()),
        language: language.map(str::to_owned),
        payload: Some(payload.to_owned()),
        subject: None,
        ..fixture::alert()
    }
}

fn of_rows(rows: &[TemplateRow]) -> TemplateSet {
    let set = TemplateSet::of_rows("late", rows).expect("compiles");
    set.expect("is there")
}

#[test]
fn rows_render_as_their_files_would_and_say_their_version() {
    let rows = [
        row(text("_sign", "", "ops"), 4),
        row(text("late", "", "late {% include '_sign.txt.j2' %}"), 2),
        row(text("late", "de", "zu spät"), 3),
    ];
    let output = |rows: &[TemplateRow], language| {
        let alert = templated(language, "{}");
        let set = of_rows(rows);
        let rendered = set.render(&alert).expect("renders");
        (rendered.text.map(String::from), rendered.template_version)
    };
    let some = |it: &str| Some(it.to_owned());
    assert_eq!(output(&rows, None), (some("late ops"), some("4")));
    assert_eq!(output(&rows, Some("de-AT")), (some("zu spät"), some("4")));
    // A removal is a version, too: without it the same number would say two things.
    let mut removed = rows.to_vec();
    let nothing = TemplateText {
        text: None,
        ..text("late", "de", "")
    };
    removed[2] = row(nothing, 5);
    assert_eq!(
        output(&removed, Some("de-AT")),
        (some("late ops"), some("5"))
    );
}

#[test]
fn removed_and_unknown_templates_are_not_found() {
    let nothing = TemplateText {
        text: None,
        ..text("late", "", "")
    };
    for rows in [
        vec![],
        vec![row(text("_x", "", "x"), 1)],
        vec![row(nothing, 2)],
    ] {
        assert!(
            TemplateSet::of_rows("late", &rows)
                .expect("no error")
                .is_none()
        );
    }
    let broken = [row(text("late", "", "{% if %}"), 1)];
    let error = TemplateSet::of_rows("late", &broken).expect_err("broken");
    assert!(
        error.to_string().contains("'late.txt.j2', line 1"),
        "{error}"
    );
}

#[test]
fn an_error_names_template_language_version_line_and_variable() {
    let rows = [
        row(text("_sign", "", "\n{{ sender.name }}"), 1),
        row(text("late", "", "x"), 1),
        row(text("late", "de", "a\n\n{{ order }}"), 7),
        row(text("late", "fr", "{% include '_sign.txt.j2' %}"), 1),
    ];
    let set = of_rows(&rows);
    let output = |language, payload| {
        let alert = templated(Some(language), payload);
        set.render(&alert).expect_err("strict").to_string()
    };
    let german = output("de", "{}");
    assert!(
        german.starts_with("template file 'late.de.txt.j2', version 7, line 3: "),
        "{german}"
    );
    assert!(german.contains("order"), "{german}");
    let french = output("fr", r#"{"sender": {}}"#);
    let wanted = "template file '_sign.txt.j2', used by 'late.fr.txt.j2', version 7, line 2: ";
    assert!(
        french.starts_with(wanted) && french.contains("name"),
        "{french}"
    );
}

#[test]
fn biztalks_macros_are_a_function() {
    let render = |source: &str, payload: &str| {
        let set = of_rows(&[row(text("late", "", source), 1)]);
        let alert = templated(None, payload);
        set.render(&alert)
            .map(|it| it.text.unwrap_or_default().into_owned())
            .map_err(|it| it.to_string())
    };
    let source =
        r#"{{ biztalk("datetime") }} {{ biztalk("MessageID") }} {{ biztalk("SourceParty") }}"#;
    assert_eq!(
        render(source, r#"{"SourceParty": "ERP"}"#).as_deref(),
        Ok("2026-03-01T090507 01234567-89ab-4def-8123-456789abcdef ERP")
    );
    let error = render(source, "{}").expect_err("no value");
    assert!(
        error.contains("line 1") && error.contains("'SourceParty' has no value"),
        "{error}"
    );
    let error = render(r#"{{ biztalk("date") }}"#, "{}").expect_err("unknown");
    assert!(error.contains("datetime_bts2000"), "{error}");
    let own = render("{{ biztalk }}", r#"{"biztalk": "mine"}"#);
    assert_eq!(own.as_deref(), Ok("mine"), "a payload's own member wins");
}

#[test]
fn a_folder_comes_back_file_by_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let texts = read_texts(&folder).expect("reads");
    assert!(texts.iter().all(can_be_files));
    let files = files_of(&texts);
    let mut found = 0;
    for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let content = std::fs::read_to_string(entry.path()).expect("a file");
        assert_eq!(files.get(&name), Some(&content), "{name}");
        found += 1;
    }
    assert_eq!(files.len(), found);
}

#[test]
fn a_language_is_written_as_the_standard_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["a.txt.j2", "a.DE-at.txt.j2", "a.zh-hant-tw.html.j2"] {
        std::fs::write(folder.path().join(name), "x").expect("a file");
    }
    let texts = read_texts(folder.path()).expect("reads");
    let languages: Vec<_> = texts.iter().map(|it| it.language.as_str()).collect();
    assert_eq!(languages, ["", "de-AT", "zh-Hant-TW"]);
    std::fs::write(folder.path().join("a.de-AT.txt.j2"), "x").expect("a file");
    let error = read_texts(folder.path()).expect_err("twice").to_string();
    assert!(error.contains("same language"), "{error}");
    std::fs::write(folder.path().join("_a b.txt.j2"), "x").expect("a file");
    let error = read_texts(folder.path()).expect_err("a name").to_string();
    assert!(error.contains("'_a b.txt.j2'"), "{error}");
}

#[tokio::test]
async fn each_language_is_tried_with_the_nearest_sample() {
    let with_sample = |language: &str, says: &str, sample: &str| TemplateText {
        subject: Some("{{ order }}".to_owned()),
        sample: Some(sample.to_owned()),
        ..text("late", language, says)
    };
    let renderer = Renderer::in_process();
    let all =
        async |texts: &[TemplateText]| try_all(&renderer, texts, |_| ()).await.expect("tries");
    let tried = async |texts: &[TemplateText]| -> Vec<_> {
        let line = |it: SampleResult| (it.language, it.has_sample, it.result);
        all(texts).await.into_iter().map(line).collect()
    };
    let ok = |language: &str, subject: &str| (language.to_owned(), true, Ok(subject.to_owned()));
    assert_eq!(
        tried(&[
            with_sample("", "x", r#"{"order": 1}"#),
            text("late", "de-AT", "{{ order }}"),
            with_sample("fr", "x", r#"{"order": 2}"#),
            text("_x", "", "never alone {{ nothing }}"),
        ])
        .await,
        [ok("", "1"), ok("de-AT", "1"), ok("fr", "2")]
    );
    let problem = async |texts: &[TemplateText]| {
        let mut tried = tried(texts).await;
        tried.remove(0).2.expect_err("wrong")
    };
    let missing = problem(&[text("late", "", "\n{{ order }}")]).await;
    assert!(missing.contains("'late.txt.j2', line 2"), "{missing}");
    assert!(
        missing.ends_with("there is no sample: add 'late.sample.json'"),
        "{missing}"
    );
    let array = problem(&[with_sample("", "x", "[1]")]).await;
    assert!(
        array.starts_with("sample 'late.sample.json' is a JSON array"),
        "{array}"
    );
    let alone = TemplateText {
        text: None,
        subject: None,
        ..with_sample("", "x", "{}")
    };
    let alone = problem(&[alone]).await;
    assert!(
        alone.starts_with("there is a sample for it, but neither 'late.txt.j2' nor"),
        "{alone}"
    );
    let broken = problem(&[text("late", "", "{{")]).await;
    assert!(broken.contains("'late.txt.j2'"), "{broken}");
}

#[tokio::test]
async fn a_failure_without_a_sample_is_not_conclusive() {
    let renderer = Renderer::in_process();
    let tried = async |says: &str| {
        let it = [text("late", "", says)];
        let mut all = try_all(&renderer, &it, |_| ()).await.expect("tries");
        let SampleResult {
            conclusive, result, ..
        } = all.remove(0);
        (conclusive, result.expect_err(says))
    };
    for says in [
        "{{ order }}",
        "{% for i in range(n) %}x{% endfor %}",
        "{{ due | dateformat }}",
        "{{ 1 + count }}",
        "{{ lines[0].item }}",
        "{{ biztalk(which) }}",
    ] {
        let (conclusive, problem) = tried(says).await;
        assert!(!conclusive, "{says}");
        let wanted = "there is no sample: add 'late.sample.json'";
        assert!(problem.ends_with(wanted), "{problem}");
    }
    for says in [
        "{% include '_absent.txt.j2' %}",
        "{{ 1 / 0 }}",
        "{{ biztalk('no') }}",
        "{{ order | nofilter }}",
        "{{ range('x') }}",
    ] {
        assert!(tried(says).await.0, "{says}");
    }
    let (_, absent) = tried("{% include '_absent.txt.j2' %}").await;
    assert!(absent.contains("_absent.txt.j2"), "{absent}");
}
