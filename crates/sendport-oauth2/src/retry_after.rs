//! The header `Retry-After`.

use std::time::Duration;

use chrono::{DateTime, NaiveDateTime};
use sendport_core::domain::Timestamp;

/// How long a server asks to be left alone: seconds, or a date (RFC 9110 section 10.2.3).
pub fn retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let text = value.trim();
    if text.bytes().all(|b| b.is_ascii_digit()) && !text.is_empty() {
        return Some(Duration::from_secs(text.parse().unwrap_or(u64::MAX)));
    }
    (http_date(text)? - now).to_std().ok()
}

/// In each of the three formats of RFC 9110 section 5.6.7.
fn http_date(text: &str) -> Option<Timestamp> {
    if let Ok(at) = DateTime::parse_from_rfc2822(text) {
        return Some(at.to_utc());
    }
    let forms = ["%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"];
    let mut read = forms
        .iter()
        .map(|form| NaiveDateTime::parse_from_str(text, form));
    read.find_map(Result::ok).map(|at| at.and_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_seconds_and_every_form_of_a_date() {
        let now = DateTime::from_timestamp(1_445_412_420, 0).expect("a time");
        let waits = |text| retry_after(text, now);
        assert_eq!(waits(" 120"), Some(Duration::from_secs(120)));
        for date in [
            "Wed, 21 Oct 2015 07:28:00 GMT",
            "Wednesday, 21-Oct-15 07:28:00 GMT",
            "Wed Oct 21 07:28:00 2015",
        ] {
            assert_eq!(waits(date), Some(Duration::from_secs(60)), "{date}");
        }
        assert_eq!(
            waits("99999999999999999999"),
            Some(Duration::from_secs(u64::MAX))
        );
        assert_eq!((waits(""), waits("soon"), waits("-1")), (None, None, None));
    }
}
