//! The service window of an SMTP send port.

use super::super::carry::Window;
use super::binding::Transport;
use super::port::Carrier;

impl Carrier<'_, '_> {
    /// The service window as hours; one of the whole day is none.
    pub(super) fn window(&mut self, transport: &Transport) -> Option<Window> {
        let (from, to) = transport.window.as_ref()?;
        let (Some(opens), Some(closes)) = (time(from), time(to)) else {
            self.note(
                "FromTime, ToTime",
                &format!(
                    "'{from}' to '{to}' is no service window; write the section delivery_window"
                ),
            );
            return None;
        };
        // A window that ends at 23:59 ends at midnight.
        for (written, minute) in [(from, &opens), (to, &closes)] {
            let seconds = seconds(written);
            if seconds != Some("00") && !(minute == "23:59" && seconds == Some("59")) {
                let text =
                    format!("'{written}' is written as {minute}: delivery_window has no seconds");
                self.note("FromTime, ToTime", &text);
            }
        }
        let closes = if closes == "23:59" {
            "24:00".to_owned()
        } else {
            closes
        };
        if opens == closes || (opens == "00:00" && closes == "24:00") {
            return None;
        }
        if self.time_zone.is_none() {
            self.note(
                "ServiceWindowEnabled",
                "the hours are written in UTC; compare them with the administration console, and import \
                 with --time-zone, or correct time_zone",
            );
        }
        Some(Window {
            from: opens,
            to: closes,
            time_zone: self.time_zone.unwrap_or("UTC").to_owned(),
        })
    }
}

/// `ss` of an `xs:dateTime`; a time without any has none to lose.
fn seconds(written: &str) -> Option<&str> {
    let (_, time) = written.split_once('T')?;
    Some(
        time.get(5..)
            .and_then(|it| it.strip_prefix(':'))
            .and_then(|it| it.get(..2))
            .unwrap_or("00"),
    )
}

/// `hh:mm` of an `xs:dateTime`.
fn time(written: &str) -> Option<String> {
    let (_, time) = written.split_once('T')?;
    let time = time.get(..5)?;
    let (hours, minutes) = time.split_once(':')?;
    let below = |text: &str, limit: u32| {
        let number = text.parse::<u32>().ok().filter(|number| *number < limit);
        text.len() == 2 && number.is_some()
    };
    (below(hours, 24) && below(minutes, 60)).then(|| time.to_owned())
}
