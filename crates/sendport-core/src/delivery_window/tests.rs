use proptest::prelude::*;

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time of RFC 3339")
}

fn hours(days: &str, from: &str, to: &str) -> Hours {
    Hours::parse(&[days.to_owned()], from, to).expect("hours")
}

fn window(zone: &str, hours: Vec<Hours>) -> DeliveryWindow {
    let zone = zone.parse().expect("a zone");
    DeliveryWindow::new(zone, hours, Bypass::default()).expect("hours")
}

/// When it opens, as a reason shows it; `open` where it is.
fn opens(window: &DeliveryWindow, now: &str) -> String {
    let now = at(now);
    window
        .opens_in(now)
        .map_or_else(|| "open".to_owned(), |wait| shown(now, wait))
}

#[test]
fn office_hours_are_those_of_the_office() {
    let office = window("Europe/Berlin", vec![hours("mon-fri", "08:00", "17:30")]);
    let monday = "2026-11-23T07:00:00Z";
    assert_eq!(opens(&office, "2026-11-20T16:29:59.999Z"), "open");
    assert_eq!(opens(&office, "2026-11-20T16:30:00Z"), monday, "Friday");
    assert_eq!(opens(&office, "2026-11-22T23:59:00Z"), monday);
    assert_eq!(opens(&office, "2026-11-23T06:59:59.999Z"), monday);
    assert_eq!(opens(&office, monday), "open");
    assert_eq!(
        opens(&office, "2026-07-06T05:00:00Z"),
        "2026-07-06T06:00:00Z"
    );
}

#[test]
fn hours_reach_into_the_next_day() {
    let night = window("UTC", vec![hours("fri", "22:00", "06:00")]);
    assert_eq!(
        opens(&night, "2026-11-20T21:59:00Z"),
        "2026-11-20T22:00:00Z"
    );
    assert_eq!(opens(&night, "2026-11-21T05:59:59Z"), "open");
    assert_eq!(
        opens(&night, "2026-11-21T06:00:00Z"),
        "2026-11-27T22:00:00Z"
    );
}

#[test]
fn a_day_ends_at_24_00_and_the_next_one_follows_without_a_gap() {
    let days = vec![
        hours("sat", "12:00", "24:00"),
        hours("sun", "00:00", "12:00"),
    ];
    let weekend = window("America/New_York", days);
    assert_eq!(opens(&weekend, "2026-11-22T04:59:59.999Z"), "open");
    assert_eq!(opens(&weekend, "2026-11-22T05:00:00Z"), "open");
    assert_eq!(
        opens(&weekend, "2026-11-22T17:00:00Z"),
        "2026-11-28T17:00:00Z"
    );
    let always = window("Europe/Berlin", vec![hours("mon-sun", "00:00", "24:00")]);
    assert_eq!(opens(&always, "2026-10-24T22:00:00Z"), "open");
}

#[test]
fn the_night_that_loses_an_hour_has_a_shorter_window() {
    let berlin = window("Europe/Berlin", vec![hours("mon-sun", "01:00", "03:00")]);
    assert_eq!(
        opens(&berlin, "2026-03-28T23:59:59Z"),
        "2026-03-29T00:00:00Z"
    );
    assert_eq!(opens(&berlin, "2026-03-29T00:59:59Z"), "open");
    assert_eq!(
        opens(&berlin, "2026-03-29T01:00:00Z"),
        "2026-03-29T23:00:00Z"
    );
    let new_york = window("America/New_York", vec![hours("mon-sun", "01:00", "03:00")]);
    assert_eq!(opens(&new_york, "2026-03-08T06:59:59Z"), "open");
    assert_eq!(
        opens(&new_york, "2026-03-08T07:00:00Z"),
        "2026-03-09T05:00:00Z"
    );
}

#[test]
fn the_night_that_gains_an_hour_has_a_longer_window() {
    let berlin = window("Europe/Berlin", vec![hours("mon-sun", "01:00", "03:00")]);
    assert_eq!(
        opens(&berlin, "2026-10-24T22:59:59Z"),
        "2026-10-24T23:00:00Z"
    );
    assert_eq!(opens(&berlin, "2026-10-25T01:59:59Z"), "open");
    assert_eq!(
        opens(&berlin, "2026-10-25T02:00:00Z"),
        "2026-10-26T00:00:00Z"
    );
    let new_york = window("America/New_York", vec![hours("mon-sun", "01:00", "03:00")]);
    assert_eq!(
        opens(&new_york, "2026-11-01T04:59:59Z"),
        "2026-11-01T05:00:00Z"
    );
    assert_eq!(opens(&new_york, "2026-11-01T07:59:59Z"), "open");
    assert_eq!(
        opens(&new_york, "2026-11-01T08:00:00Z"),
        "2026-11-02T06:00:00Z"
    );
}

#[test]
fn an_hour_that_the_night_leaves_out_follows_the_jump() {
    let lost = window("Europe/Berlin", vec![hours("sun", "02:00", "03:00")]);
    assert_eq!(opens(&lost, "2026-03-29T00:59:59Z"), "2026-03-29T01:00:00Z");
    assert_eq!(opens(&lost, "2026-03-29T01:59:59Z"), "open");
    assert_eq!(opens(&lost, "2026-03-29T02:00:00Z"), "2026-04-05T00:00:00Z");
    let half = window("Europe/Berlin", vec![hours("sun", "02:30", "04:00")]);
    assert_eq!(opens(&half, "2026-03-29T00:59:00Z"), "2026-03-29T01:00:00Z");
    assert_eq!(opens(&half, "2026-03-29T02:00:00Z"), "2026-04-05T00:30:00Z");
}

#[test]
fn a_day_that_an_island_left_out_is_made_up_for() {
    let friday = window("Pacific/Apia", vec![hours("fri", "09:00", "10:00")]);
    assert_eq!(
        opens(&friday, "2011-12-28T00:00:00Z"),
        "2011-12-30T10:00:00Z"
    );
}

#[test]
fn severities_pass_without_regard_to_case_and_urgent_where_it_may() {
    let bypass = |severities: &[&str], urgent| Bypass {
        severities: severities.iter().map(|&word| word.to_owned()).collect(),
        urgent,
    };
    let alert = |severity: Option<&str>, priority| Alert {
        severity: severity.map(str::to_owned),
        priority,
        ..crate::fixture::alert()
    };
    let critical = bypass(&["Critical", "störung"], false);
    assert!(critical.lets_pass(&alert(Some(" CRITICAL "), Priority::Low)));
    assert!(critical.lets_pass(&alert(Some("STÖRUNG"), Priority::Low)));
    assert!(!critical.lets_pass(&alert(Some("critical?"), Priority::Urgent)));
    assert!(!critical.lets_pass(&alert(None, Priority::Urgent)));
    assert!(bypass(&[], true).lets_pass(&alert(None, Priority::Urgent)));
    assert!(!bypass(&[], true).lets_pass(&alert(None, Priority::Normal)));
}

#[test]
fn an_invalid_window_is_refused_with_an_example() {
    let wrong = |days: &str, from: &str, to: &str| {
        let (key, error) =
            Hours::parse(&[days.to_owned()], from, to).expect_err("not to be understood");
        (key, error.to_string())
    };
    let (key, what) = wrong("mo", "00:00", "24:00");
    assert_eq!(key, "days");
    assert!(
        what.contains("'mo' is no day") && what.contains("mon-fri"),
        "{what}"
    );
    assert_eq!(wrong("mon", "7:00", "24:00").0, "from");
    assert_eq!(wrong("mon", "24:00", "06:00").0, "from");
    assert_eq!(wrong("mon", "00:00", "24:01").0, "to");
    let (key, what) = wrong("mon", "00:00", "00:00");
    assert!(key == "to" && what.contains("would never open"), "{what}");
    assert_eq!(
        Hours::parse(&[], "00:00", "24:00").expect_err("no day").0,
        "days"
    );
    let zone = |name: &str| name.parse::<Zone>().expect_err("no zone").to_string();
    assert!(zone("Europe/Berln").contains("did you mean \"Europe/Berlin\"?"));
    assert!(zone("W. Europe Standard Time").contains("IANA name"));
    assert!("europe/berlin".parse::<Zone>().is_ok());
}

#[test]
fn days_may_wrap_around_the_week() {
    let days = hours("sat-mon", "00:00", "24:00");
    let window = window("UTC", vec![days]);
    assert_eq!(opens(&window, "2026-11-23T12:00:00Z"), "open", "Monday");
    assert_eq!(
        opens(&window, "2026-11-24T12:00:00Z"),
        "2026-11-28T00:00:00Z"
    );
}

fn any_hours() -> impl Strategy<Value = Hours> {
    let days = prop::sample::select(vec!["mon", "wednesday", "sun", "sat-mon", "mon-sun"]);
    let times = (0_u32..24 * 60, 1_u32..=24 * 60).prop_filter("never open", |(a, b)| a != b);
    let text = |minutes: u32| format!("{:02}:{:02}", minutes / 60, minutes % 60);
    (days, times).prop_map(move |(days, (from, to))| hours(days, &text(from), &text(to)))
}

fn any_window() -> impl Strategy<Value = DeliveryWindow> {
    let zones = vec![
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "Asia/Kathmandu",
        "Pacific/Apia",
        "Australia/Lord_Howe",
    ];
    let hours = prop::collection::vec(any_hours(), 1..4);
    (prop::sample::select(zones), hours).prop_map(|(zone, hours)| window(zone, hours))
}

/// The years 2011 to 2036: Apia's lost day, and many changes of the clock.
fn any_moment() -> impl Strategy<Value = Timestamp> {
    (1_293_840_000_000_i64..2_082_758_400_000)
        .prop_map(|millis| DateTime::from_timestamp_millis(millis).expect("a moment"))
}

proptest! {
    #[test]
    fn it_opens_within_eight_days_and_not_before(window in any_window(), now in any_moment()) {
        if let Some(wait) = window.opens_in(now) {
            prop_assert!(wait <= Duration::from_secs(8 * 24 * 3600), "{wait:?}");
            prop_assert!(!wait.is_zero());
            let opening = now + wait;
            prop_assert_eq!(window.opens_in(opening), None);
            let before = opening - TimeDelta::milliseconds(1);
            prop_assert_eq!(window.opens_in(before), Some(Duration::from_millis(1)));
        }
    }

    #[test]
    fn waiting_for_it_never_moves_the_opening(window in any_window(), now in any_moment(), part in 0.0_f64..1.0) {
        if let Some(wait) = window.opens_in(now) {
            let later = now + wait.mul_f64(part);
            prop_assert_eq!(window.opens_in(later).map(|rest| later + rest), Some(now + wait));
        }
    }

    #[test]
    fn it_is_open_when_the_wall_clock_shows_so(now in any_moment(), from in 0_i64..23) {
        let zone: chrono_tz::Tz = "Europe/Berlin".parse().expect("a zone");
        let local = now.with_timezone(&zone).time();
        let text = |hour: i64| format!("{hour:02}:00");
        let window = window("Europe/Berlin", vec![hours("mon-sun", &text(from), &text(from + 1))]);
        let hour = i64::from(chrono::Timelike::hour(&local));
        // The hours around a change of the clock have scenarios of their own.
        prop_assume!(hour > 3 && from > 3);
        prop_assert_eq!(window.opens_in(now).is_none(), hour == from);
    }
}
