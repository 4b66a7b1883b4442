//! Filters beside minijinja's own: `truncate`, `dateformat` and `datetimeformat`; and those of its own that
//! are to fail on a variable that is not there.
#![expect(
    clippy::needless_pass_by_value,
    reason = "minijinja hands options over by value"
)]

use std::fmt::Write;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, TimeZone, Utc};
use minijinja::value::{Kwargs, Rest, ValueOrKwargs};
use minijinja::{Environment, Error, ErrorKind, State, Value, filters};
use sendport_core::delivery_window::{UnknownZone, Zone};

/// Default length of `truncate`.
const LENGTH: usize = 255;
/// Default leeway of `truncate`, in characters.
const LEEWAY: usize = 5;

pub(super) fn add(environment: &mut Environment<'_>) {
    for (name, filter) in [
        ("abs", Value::from_function(filters::abs)),
        ("chain", Value::from_function(filters::chain)),
        ("dictsort", Value::from_function(filters::dictsort)),
        ("first", Value::from_function(filters::first)),
        ("groupby", Value::from_function(filters::groupby)),
        ("items", Value::from_function(filters::items)),
        ("join", Value::from_function(filters::join)),
        ("last", Value::from_function(filters::last)),
        ("lines", Value::from_function(filters::lines)),
        ("list", Value::from_function(filters::list)),
        ("max", Value::from_function(filters::max)),
        ("min", Value::from_function(filters::min)),
        ("pprint", Value::from_function(filters::pprint)),
        ("round", Value::from_function(filters::round)),
        ("sort", Value::from_function(filters::sort)),
        ("split", Value::from_function(filters::split)),
        ("tojson", Value::from_function(filters::tojson)),
        ("urlencode", Value::from_function(filters::urlencode)),
        ("zip", Value::from_function(filters::zip)),
        ("format", Value::from_function(filters::format)),
        ("count", Value::from_function(filters::length)),
        ("length", Value::from_function(filters::length)),
        ("e", Value::from_function(filters::escape)),
        ("escape", Value::from_function(filters::escape)),
        ("truncate", Value::from_function(truncate)),
        ("dateformat", Value::from_function(dateformat)),
        ("datetimeformat", Value::from_function(datetimeformat)),
    ] {
        add_strict(environment, name, filter);
    }
}

/// Replaces a filter that would accept an undefined value, or would not name it.
fn add_strict(environment: &mut Environment<'_>, name: &'static str, filter: Value) {
    environment.add_filter(
        name,
        move |state: &mut State<'_, '_>, value: &Value, more: Rest<ValueOrKwargs>| {
            if value.is_undefined() {
                // Fails with the name of the variable, but not on an `if` without an `else`.
                state.apply_filter("string", std::slice::from_ref(value))?;
            }
            let arguments: Vec<_> = std::iter::once(value.clone())
                .chain(more.into_values())
                .collect();
            filter.call(state, &arguments)
        },
    );
}

/// `{{ text | truncate(80) }}` as in Jinja: between words, with `...` at the end. `killwords=true`
/// cuts anywhere; `end` and `leeway` are what else can be said.
fn truncate(value: &Value, length: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let text = text(value);
    let named: Option<usize> = options.get("length")?;
    let length = length.or(named).unwrap_or(LENGTH);
    let leeway: Option<usize> = options.get("leeway")?;
    let end: Option<&str> = options.get("end")?;
    let kill: Option<bool> = options.get("killwords")?;
    options.assert_all_used()?;
    let end = end.unwrap_or("...");
    let most = length.saturating_add(leeway.unwrap_or(LEEWAY));
    if text.chars().nth(most).is_none() {
        return Ok(text);
    }
    let room = length.saturating_sub(end.chars().count());
    let cut: String = text.chars().take(room).collect();
    let kept = match kill {
        Some(true) => &*cut,
        _ => cut.rsplit_once(' ').map_or(&*cut, |(words, _)| words),
    };
    Ok(format!("{kept}{end}"))
}

/// `{{ due | dateformat("%d.%m.%Y") }}`
fn dateformat(value: &Value, format: Option<&str>, options: Kwargs) -> Result<String, Error> {
    date(value, format, "%Y-%m-%d", &options)
}

/// `{{ at | datetimeformat(tz="Europe/Berlin") }}`
fn datetimeformat(value: &Value, format: Option<&str>, options: Kwargs) -> Result<String, Error> {
    date(value, format, "%Y-%m-%d %H:%M", &options)
}

fn date(
    value: &Value,
    format: Option<&str>,
    usual: &str,
    options: &Kwargs,
) -> Result<String, Error> {
    let named: Option<&str> = options.get("format")?;
    let zone: Option<&str> = options.get("tz")?;
    options.assert_all_used()?;
    let text = text(value);
    if text.trim().is_empty() {
        return Ok(text);
    }
    let moment = moment(text.trim()).ok_or_else(|| {
        wrong(format!(
            "'{text}' is no date; expected one such as 2026-02-27, 2026-02-27T09:05:07 or 2026-02-27T09:05:07+01:00"
        ))
    })?;
    let moment = match zone {
        Some(zone) => {
            let zone: Zone = zone
                .parse()
                .map_err(|error: UnknownZone| wrong(error.to_string()))?;
            moment.with_timezone(&zone.offset_at(moment.with_timezone(&Utc)))
        }
        None => moment,
    };
    written(moment, format.or(named).unwrap_or(usual))
}

/// Formats by the directives of `strftime`. An unknown directive would make chrono panic.
fn written(moment: DateTime<FixedOffset>, format: &str) -> Result<String, Error> {
    let items: Vec<_> = StrftimeItems::new(format).collect();
    if items.contains(&Item::Error) {
        return Err(wrong(format!(
            "'{format}' is no format of a date; expected one such as %d.%m.%Y %H:%M"
        )));
    }
    let mut out = String::new();
    let done = write!(out, "{}", moment.format_with_items(items.into_iter()));
    done.map_err(|_| wrong(format!("'{format}' is no format of a date")))?;
    Ok(out)
}

/// Parses the forms of `FOR JSON`, SQLite and RFC 3339; in UTC without an offset.
fn moment(text: &str) -> Option<DateTime<FixedOffset>> {
    if let Ok(moment) = DateTime::parse_from_rfc3339(text) {
        return Some(moment);
    }
    let local = [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ]
    .iter()
    .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
    let midnight = || {
        NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()?
            .and_hms_opt(0, 0, 0)
    };
    let utc = Utc.from_utc_datetime(&local.or_else(midnight)?);
    Some(utc.fixed_offset())
}

/// Empty for NULL.
fn text(value: &Value) -> String {
    match value.is_none() || value.is_undefined() {
        true => String::new(),
        false => value.to_string(),
    }
}

fn wrong(what: String) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(template: &str) -> Result<String, String> {
        let mut environment = crate::template::engine::new_environment();
        environment.set_debug(false);
        environment
            .render_str(template, minijinja::context! { none => Value::from(()) })
            .map_err(|error| error.to_string())
    }

    fn same(cases: &[(&str, &str)]) {
        for (template, text) in cases {
            let found = rendered(&format!("{{{{ {template} }}}}"));
            assert_eq!(found.as_deref(), Ok(*text), "{template}");
        }
    }

    #[test]
    fn encodes_values_of_urls() {
        same(&[
            ("'Größe & Co/1'|urlencode", "Gr%C3%B6%C3%9Fe%20%26%20Co/1"),
            ("{'q': 'a b', 'n': none}|urlencode", "q=a%20b"),
        ]);
    }

    #[test]
    fn truncates_between_words() {
        same(&[
            ("'one two three four'|truncate(9, leeway=0)", "one..."),
            (
                "'one two three four'|truncate(9, leeway=0, killwords=true)",
                "one tw...",
            ),
            (
                "'Größe Größe'|truncate(length=6, leeway=0, end='…')",
                "Größe…",
            ),
            ("'one two three'|truncate(9)", "one two three"),
            ("'short'|truncate", "short"),
            ("none|truncate(3)", ""),
            ("'abcdef'|truncate(0, leeway=0)", "..."),
        ]);
        assert!(rendered("{{ 'a'|truncate(3, ends='x') }}").is_err());
    }

    #[test]
    fn formats_dates() {
        same(&[
            ("'2026-02-27'|dateformat", "2026-02-27"),
            ("'2026-02-27'|dateformat('%d.%m.%Y')", "27.02.2026"),
            (
                "'2026-02-27T09:05:07.1234567'|datetimeformat",
                "2026-02-27 09:05",
            ),
            (
                "'2026-02-27 09:05:07'|datetimeformat(format='%-d/%-m/%y %-I:%M %p')",
                "27/2/26 9:05 AM",
            ),
            (
                "'2026-02-27T09:05:07Z'|datetimeformat(tz='Europe/Berlin')",
                "2026-02-27 10:05",
            ),
            (
                "'2026-07-27T23:05:07'|dateformat(tz='Europe/Berlin')",
                "2026-07-28",
            ),
            (
                "'2026-02-27T09:05:07+05:30'|datetimeformat('%H:%M %z')",
                "09:05 +0530",
            ),
            ("none|dateformat", ""),
            ("''|dateformat", ""),
        ]);
    }

    #[test]
    fn names_an_undefined_variable() {
        #[rustfmt::skip]
        let filters = [
            "abs", "attr('a')", "batch(2)", "bool", "capitalize", "chain([])", "count", "dateformat",
            "datetimeformat", "dictsort", "e", "escape", "first", "float", "float(1.5)", "format(1)",
            "groupby('a')", "indent(2)", "int", "int(1)", "items", "join", "join(',')", "last",
            "length", "lines", "list", "lower", "map('upper')", "map(attribute='a')", "max", "min",
            "pprint", "reject", "rejectattr('a')", "replace('a', 'b')", "reverse", "round", "safe",
            "select", "selectattr('a')", "slice(2)", "sort", "split", "string", "sum", "title", "tojson",
            "trim", "truncate", "truncate(3)", "unique", "upper", "urlencode", "zip([])",
        ];
        let environment = crate::template::engine::new_environment();
        let named = |filter: &str| {
            let template = format!("{{{{ not_there|{filter} }}}}");
            let error = environment.render_str(&template, ()).err()?;
            let names = error
                .detail()
                .is_some_and(|output| output.contains("not_there"));
            (names && error.kind() == ErrorKind::UndefinedError).then_some(())
        };
        let silent: Vec<_> = filters
            .into_iter()
            .filter(|filter| named(filter).is_none())
            .collect();
        assert!(silent.is_empty(), "{silent:#?}");
        same(&[
            ("not_there|default('x')", "x"),
            ("not_there|d('x')|upper", "X"),
        ]);
    }

    #[test]
    fn refuses_invalid_dates_and_formats() {
        for (template, found) in [
            ("'27.02.2026'|dateformat", "'27.02.2026' is no date"),
            ("4711|dateformat", "'4711' is no date"),
            ("'2026-02-27'|dateformat('%Q')", "'%Q' is no format"),
            (
                "'2026-02-27'|dateformat(tz='Europe/Belrin')",
                "Europe/Berlin",
            ),
            ("not_there|dateformat", "undefined"),
            ("not_there|truncate(3)", "undefined"),
        ] {
            let error = rendered(&format!("{{{{ {template} }}}}")).expect_err(template);
            assert!(error.contains(found), "{template}: {error}");
        }
    }
}
