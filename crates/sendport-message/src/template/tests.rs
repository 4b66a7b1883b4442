//! Folders of templates as people make them, and what comes out of them.

use std::path::Path;

use sendport_core::domain::{Alert, BodyFormat};

use super::files::{FileName, Part, parse_file_name};
use super::*;
use crate::fixture;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        std::fs::write(folder.path().join(name), content).expect("a file");
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<TemplateSet, TemplateError> {
    TemplateSet::load(folder(files).path())
}

fn templated(payload: &str) -> Alert {
    Alert {
        template: Some("late".to_owned()),
        subject: None,
        body: None,
        payload: Some(payload.to_owned()),
        ..fixture::alert()
    }
}

fn render_text(source: &str, payload: &str) -> Result<String, RenderError> {
    let set = load(&[("late.txt.j2", source)]).expect("loads");
    let alert = templated(payload);
    set.render(&alert)
        .map(|r| r.text.unwrap_or_default().into_owned())
}

#[test]
fn a_trio_makes_subject_text_and_html() {
    let set = load(&[
        ("late.subject.j2", "\nOrder {{ order }} is late\n"),
        ("late.txt.j2", "{{ customer.name }} <{{ alert.reference }}>"),
        ("late.html.j2", "<p>{{ customer.name }}</p>"),
    ])
    .expect("loads");
    let mut alert = templated(r#"{"order": 4711, "customer": {"name": "Miller & <Sons>"}}"#);
    alert.reference = Some("R&D".to_owned());
    let rendered = set.render(&alert).expect("renders");
    assert_eq!(rendered.subject, "Order 4711 is late");
    assert_eq!(rendered.text.as_deref(), Some("Miller & <Sons> <R&D>"));
    assert_eq!(
        rendered.html.as_deref(),
        Some("<p>Miller &amp; &lt;Sons&gt;</p>")
    );
    assert_eq!(rendered.template_version.as_deref(), set.version("late"));
    assert_eq!(set.version("late").map(str::len), Some(16));
}

#[test]
fn the_alerts_own_subject_wins_and_its_body_is_a_variable() {
    let set = load(&[
        ("late.subject.j2", "{{ not_there }}"),
        (
            "late.txt.j2",
            "{{ alert.body }}|{{ alert.severity }}|{{ alert.created_at }}",
        ),
    ])
    .expect("loads");
    let alert = Alert {
        subject: Some(" Mine ".to_owned()),
        body: Some("Body <1>".to_owned()),
        ..templated("{}")
    };
    let rendered = set.render(&alert).expect("renders");
    assert_eq!(rendered.subject, "Mine");
    assert_eq!(
        rendered.text.as_deref(),
        Some("Body <1>||2026-03-01T09:05:07Z")
    );
}

#[test]
fn languages_fall_back_to_less_specific_ones() {
    let set = load(&[
        ("late.subject.j2", "en"),
        ("late.txt.j2", "en"),
        ("late.html.j2", "en"),
        ("late.de.subject.j2", "de"),
        ("late.de.txt.j2", "de"),
        ("late.de-AT.html.j2", "at"),
    ])
    .expect("loads");
    let output = |language: Option<&str>| {
        let alert = Alert {
            language: language.map(str::to_owned),
            ..templated("{}")
        };
        let rendered = set.render(&alert).expect("renders");
        (
            rendered.subject.clone(),
            rendered.text.map(String::from),
            rendered.html.map(String::from),
        )
    };
    let some = |s: &str| Some(s.to_owned());
    assert_eq!(output(None), ("en".to_owned(), some("en"), some("en")));
    assert_eq!(output(Some("fr")), output(None));
    assert_eq!(output(Some("../de")), output(None));
    assert_eq!(output(Some("DE")), ("de".to_owned(), some("de"), None));
    assert_eq!(output(Some("de-CH")), output(Some("de")));
    assert_eq!(output(Some("de-at")), ("de".to_owned(), None, some("at")));
}

#[test]
fn shared_files_serve_the_others() {
    let set = load(&[
        ("_layout.html.j2", "<b>{% block body %}{% endblock %}</b>"),
        (
            "late.html.j2",
            "{% extends '_layout.html.j2' %}{% block body %}{{ x }}{% endblock %}",
        ),
        ("_sign.txt.j2", "-- {{ x }}"),
        ("late.txt.j2", "{% include '_sign.txt.j2' %}"),
    ])
    .expect("loads");
    let alert = templated(r#"{"x": "<&"}"#);
    let rendered = set.render(&alert).expect("renders");
    assert_eq!(rendered.html.as_deref(), Some("<b>&lt;&amp;</b>"));
    assert_eq!(rendered.text.as_deref(), Some("-- <&"));
}

#[test]
fn nothing_else_can_be_included() {
    for source in [
        "{% include 'other.html.j2' %}",
        "{% include '_sign.txt.j2' %}",
        "{% include '/etc/passwd' %}",
        "{% include '../late.html.j2' %}",
        "{% include alert.body %}",
    ] {
        let set = load(&[
            ("other.html.j2", "x"),
            ("_sign.txt.j2", "x"),
            ("late.html.j2", source),
        ])
        .expect("loads");
        let alert = Alert {
            body: Some("/etc/passwd".to_owned()),
            ..templated("{}")
        };
        let error = set.render(&alert).expect_err(source);
        assert_eq!(error.explanation(), "template-error", "{error}");
        assert!(error.to_string().contains("template not found"), "{error}");
    }
}

#[test]
fn the_version_changes_with_every_file_that_matters() {
    let version = |shared: &str, text: &str, other: &str| {
        load(&[
            ("_s.txt.j2", shared),
            ("late.txt.j2", text),
            ("x.txt.j2", other),
        ])
        .expect("loads")
        .version("late")
        .map(str::to_owned)
    };
    let first = version("a", "b", "c");
    assert_eq!(first, version("a", "b", "c"));
    assert_eq!(first, version("a", "b", "d"));
    assert_ne!(first, version("a", "x", "c"));
    assert_ne!(first, version("x", "b", "c"));
}

#[test]
fn an_error_names_file_line_and_variable() {
    let error = render_text("a\n{{ order.number }}\n", r#"{"order": {}}"#).expect_err("strict");
    let output = error.to_string();
    assert!(output.contains("'late.txt.j2', line 2"), "{output}");
    assert!(output.contains("number"), "{output}");
    assert!(output.contains("INCLUDE_NULL_VALUES"), "{output}");
    let output = render_text("{{ customer }}", "{}")
        .expect_err("strict")
        .to_string();
    assert!(output.contains("customer"), "{output}");
    let output = render_text("{% for l in lines %}{% endfor %}", "{}")
        .expect_err("strict")
        .to_string();
    assert!(output.contains("lines"), "{output}");
}

#[test]
fn null_is_nothing_to_say_and_default_works() {
    assert_eq!(
        render_text("[{{ a }}|{{ b | default('-') }}]", r#"{"a": null}"#),
        Ok("[|-]".to_owned())
    );
}

#[test]
fn work_output_and_recursion_are_bounded() {
    let error = render_text(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}",
        "{}",
    );
    assert!(error.expect_err("fuel").to_string().contains("fuel"));
    let error = render_text(
        "{% for a in range(9999) %}{{ x }}{% endfor %}",
        &format!(r#"{{"x": "{}"}}"#, "x".repeat(10_000)),
    );
    assert!(error.expect_err("output").to_string().contains("4 MiB"));
    let plain = format!(
        "{{% for a in range(9999) %}}{}{{% endfor %}}",
        "x".repeat(1_000)
    );
    let error = render_text(&plain, "{}").expect_err("output").to_string();
    assert!(
        error.contains("too much output; it makes more than 4 MiB") && !error.contains("line 0"),
        "{error}"
    );
    let error = render_text("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "{}");
    assert_eq!(
        error.expect_err("recursion").explanation(),
        "template-error"
    );
}

#[test]
fn the_payload_has_to_be_an_object() {
    for (payload, output) in [
        ("[{\"a\": 1}]", "WITHOUT_ARRAY_WRAPPER"),
        ("4711", "single JSON value"),
        ("{\"a\": ", "not JSON"),
    ] {
        let error = render_text("x", payload).expect_err(payload);
        assert_eq!(error.explanation(), "bad-payload");
        assert!(error.to_string().contains(output), "{error}");
    }
    assert_eq!(render_text("x", " "), Ok("x".to_owned()));
    assert_eq!(
        render_text("{{ alert.id }}", r#"{"alert": {"id": 1}}"#),
        Ok("4711".to_owned())
    );
}

#[test]
fn a_subject_is_one_line() {
    let set = load(&[("late.subject.j2", "{{ s }}"), ("late.txt.j2", "x")]).expect("loads");
    for subject in ["a\\nb", "a\\rBcc: x", "a\\u0000b"] {
        let alert = templated(&format!(r#"{{"s": "{subject}"}}"#));
        let error = set.render(&alert).expect_err(subject);
        assert_eq!(error.explanation(), "header-injection");
    }
    let alert = templated(r#"{"s": "\n a \n"}"#);
    assert_eq!(set.render(&alert).expect("renders").subject, "a");
}

#[test]
fn an_unknown_template_says_where_it_was_looked_for() {
    let output = |set: TemplateSet| {
        set.render(&templated("{}"))
            .expect_err("unknown")
            .to_string()
    };
    let empty = output(TemplateSet::empty());
    assert!(
        empty.contains("neither in the database (`sendport template list`")
            && empty.contains("nor in a folder;"),
        "{empty}"
    );
    let others = output(load(&[("b.txt.j2", "x"), ("c.html.j2", "x")]).expect("loads"));
    assert!(
        others.contains("nor in the templates folder, which has: b, c;"),
        "{others}"
    );
}

#[test]
fn a_name_cannot_leave_the_folder() {
    let set = load(&[("late.txt.j2", "x")]).expect("loads");
    for (name, key) in [
        ("../late", "template-unknown"),
        ("/etc/passwd", "template-unknown"),
        ("_late", "template-unknown"),
        ("late\0", "template-unknown"),
        ("late.txt", "template-unknown"),
        ("LATE", "template-unknown"),
    ] {
        let alert = Alert {
            template: Some(name.to_owned()),
            ..templated("{}")
        };
        let error = set.render(&alert).expect_err(name);
        assert_eq!(error.explanation(), key);
        assert!(!error.to_string().chars().any(char::is_control));
    }
}

#[test]
fn without_a_template_the_columns_speak() {
    let set = TemplateSet::empty();
    let alert = fixture::alert();
    let rendered = set.render(&alert).expect("renders");
    assert_eq!(rendered.text.as_deref(), Some("Call the carrier."));
    assert_eq!((rendered.html, rendered.template_version), (None, None));
    let html = Alert {
        body_format: BodyFormat::Html,
        body: Some("<p>x".to_owned()),
        ..fixture::alert()
    };
    let rendered = set.render(&html).expect("renders");
    assert_eq!(
        (rendered.text, rendered.html.as_deref()),
        (None, Some("<p>x"))
    );
    let subject_only = Alert {
        body_format: BodyFormat::Html,
        body: None,
        ..fixture::alert()
    };
    let rendered = set.render(&subject_only).expect("renders");
    assert_eq!(rendered.text.as_deref(), Some(""));
    let nothing = Alert {
        subject: Some(" ".to_owned()),
        body: None,
        ..fixture::alert()
    };
    assert_eq!(set.render(&nothing), Err(RenderError::Empty));
}

#[test]
fn file_names_say_what_a_file_makes() {
    let of = |name, language: &str, part| FileName::Of(name, language.to_owned(), part);
    for (file, meaning) in [
        ("a.txt.j2", of("a", "", Part::Text)),
        ("a.b-c_1.html.j2", of("a.b-c_1", "", Part::Html)),
        ("a.de-AT.subject.j2", of("a", "de-at", Part::Subject)),
        ("a.late.txt.j2", of("a.late", "", Part::Text)),
        ("_x.html.j2", FileName::Shared("_x", Part::Html)),
        ("a.de.sample.json", of("a", "de", Part::Sample)),
    ] {
        assert_eq!(parse_file_name(file).expect(file), meaning);
    }
    for file in ["a.j2", "a.md.j2", "ä.txt.j2", "a b.txt.j2", ".txt.j2"] {
        assert!(parse_file_name(file).is_err(), "{file}");
    }
    for file in ["a.de_AT.txt.j2", "a.zh_Hant.html.j2", "a.de_AT.sample.json"] {
        let error = parse_file_name(file).expect_err(file).to_string();
        assert!(
            error.ends_with("write the language with '-', such as de-AT"),
            "{error}"
        );
    }
    let no_language = of("a.old_v2", "", Part::Text);
    assert_eq!(
        parse_file_name("a.old_v2.txt.j2").expect("a name"),
        no_language
    );
}

#[test]
fn a_doubtful_folder_is_refused() {
    for (files, output) in [
        (vec![("a.subject.j2", "x")], "'a.txt.j2'"),
        (vec![("a.de.txt.j2", "x")], "'a.txt.j2'"),
        (
            vec![("a.txt.j2", "x"), ("a.de.subject.j2", "x")],
            "'a.de.txt.j2'",
        ),
        (
            vec![
                ("a.txt.j2", "x"),
                ("a.DE.txt.j2", "x"),
                ("a.de.txt.j2", "x"),
            ],
            "same language",
        ),
        (vec![("a.txt.j2", "\n{% if %}")], "line 2"),
        (vec![("a.xml.j2", "x")], ".subject.j2"),
    ] {
        let error = load(&files).expect_err(output).to_string();
        assert!(error.contains(output), "{error}");
    }
    let missing = TemplateSet::load(Path::new("/does/not/exist")).expect_err("missing");
    assert!(missing.to_string().contains("/does/not/exist"), "{missing}");
    let latin1 = folder(&[]);
    std::fs::write(latin1.path().join("a.txt.j2"), b"\xfc").expect("a file");
    let error = TemplateSet::load(latin1.path()).expect_err("not UTF-8");
    assert!(error.to_string().contains("UTF-8"), "{error}");
    let large = " ".repeat((1 << 20) + 1);
    let bad = folder(&[("a.txt.j2", "x"), ("large.txt.j2", &large)]);
    std::fs::create_dir(bad.path().join("folder.txt.j2")).expect("make");
    let link = |to: &str, name| std::os::unix::fs::symlink(to, bad.path().join(name));
    link("/dev/null", "device.txt.j2").expect("link");
    link("/does/not/exist", "dangling.txt.j2").expect("link");
    link("loop.txt.j2", "loop.txt.j2").expect("link");
    let error = TemplateSet::load(bad.path())
        .expect_err("five files")
        .to_string();
    for (file, output) in [
        ("large.txt.j2' is larger", "1 MiB"),
        ("folder.txt.j2' is no file", "remove it"),
        ("device.txt.j2' is no file", "remove it"),
        ("dangling.txt.j2'", "No such file"),
        ("loop.txt.j2'", "symbolic links"),
    ] {
        let line = error.lines().find(|line| line.contains(file));
        assert!(line.is_some_and(|line| line.contains(output)), "{error}");
    }
    assert_eq!(error.lines().count(), 5, "{error}");
    let odd = folder(&[("ä.txt.j2", "x"), ("a b.txt.j2", "x"), ("a.txt.j2", "x")]);
    let error = read_texts(odd.path()).expect_err("two names").to_string();
    let files: Vec<_> = error
        .lines()
        .filter_map(|line| line.split('\'').nth(1))
        .collect();
    assert_eq!(files, ["a b.txt.j2", "ä.txt.j2"]);
    let set = load(&[
        ("a.txt.j2", "\u{feff}x"),
        ("README.md", "{% if"),
        ("a.sample.json", "not even JSON"),
        (".b.txt.j2", "{%"),
    ]);
    assert_eq!(set.expect("loads").names().collect::<Vec<_>>(), ["a"]);
}

const ORDER: &str = r#"{"order": 4711, "customer": "Miller & Söhne", "days_late": 2,
    "due": "2026-02-27", "carrier": null, "url": "https://erp.contoso.com/orders/4711",
    "lines": [{"item": "Bolt M8 <zinc>", "quantity": 400}, {"item": "Washer M8", "quantity": 800}]}"#;

#[test]
fn the_sample_templates_render() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../templates");
    let set = TemplateSet::load(&folder).expect("loads");
    let alert = |payload: &str, language: Option<&str>| Alert {
        template: Some("order-late".to_owned()),
        language: language.map(str::to_owned),
        source: Some("ERP".to_owned()),
        ..templated(payload)
    };
    let english = alert(ORDER, None);
    let english = set.render(&english).expect("renders");
    assert_eq!(
        english.subject,
        "Order 4711 for Miller & Söhne is 2 days late"
    );
    assert_eq!(
        english.text.as_deref(),
        Some(
            "Order 4711 for Miller & Söhne is 2 days late.\n\nDue:      2026-02-27\n\
             Carrier:  not known yet\n\n400 x Bolt M8 <zinc>\n800 x Washer M8\n\n\
             Open the order: https://erp.contoso.com/orders/4711\n\n-- \n\
             Alert 01234567-89ab-4def-8123-456789abcdef, 2026-03-01T09:05:07Z, from ERP"
        )
    );
    let html = english.html.as_deref().expect("has HTML");
    assert!(html.contains("Miller &amp; Söhne") && html.contains("Bolt M8 &lt;zinc&gt;"));
    assert!(
        html.contains(r#"href="https:&#x2f;&#x2f;erp.contoso.com"#),
        "{html}"
    );
    let german = alert(ORDER, Some("de-AT"));
    let german = set.render(&german).expect("renders");
    assert!(german.subject.ends_with("ist 2 Tage überfällig"));
    assert!(
        german
            .html
            .as_deref()
            .expect("has HTML")
            .contains(r#"<html lang="de">"#)
    );
    let least = alert(
        r#"{"order": 1, "customer": "x", "days_late": 1, "due": "today"}"#,
        Some("de"),
    );
    let least = set.render(&least).expect("renders");
    assert!(least.subject.ends_with("ist 1 Tag überfällig"));
}
