//! Templates that exceeded a limit, and their alerts that wait. Pure: time is a parameter.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sendport_core::domain::AlertId;

/// How long a template is suspect after it last exceeded a limit.
pub(super) const SUSPECT_FOR: Duration = Duration::from_secs(10 * 60);

/// Longest first wait of an alert; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(32);

/// Most waiting alerts of a template; beyond that all waits start again.
const REMEMBERED: usize = 10_000;

/// A template and its text: a new import is another template.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct TemplateKey {
    pub(super) name: String,
    /// A hash of every file that it may use.
    pub(super) text: u64,
}

/// What is known of a suspect template.
#[derive(Debug)]
struct Suspicion {
    what: String,
    until: Instant,
    /// It is certain and was reported.
    is_told: bool,
    /// How often each of its alerts was deferred.
    waits: HashMap<AlertId, u32>,
    /// Of all of them.
    sent_away: u32,
}

/// The suspect templates.
#[derive(Debug, Default)]
pub(super) struct Suspects(HashMap<TemplateKey, Suspicion>);

impl Suspects {
    /// The template exceeded a limit, as `what` says. True if that is new.
    pub(super) fn note(&mut self, now: Instant, key: &TemplateKey, what: &str) -> bool {
        let suspicion = self.suspicion(now, key);
        what.clone_into(&mut suspicion.what);
        suspicion.until = now + SUSPECT_FOR;
        !std::mem::replace(&mut suspicion.is_told, true)
    }

    /// A render of the template is slow, and the cause is not known yet.
    pub(super) fn suppose(&mut self, now: Instant, key: &TemplateKey) {
        let suspicion = self.suspicion(now, key);
        suspicion.until = suspicion.until.max(now + SUSPECT_FOR);
    }

    /// A render stayed within its limits: drops an uncertain suspicion.
    pub(super) fn acquit(&mut self, key: &TemplateKey) {
        if self.0.get(key).is_some_and(|it| !it.is_told) {
            self.0.remove(key);
        }
    }

    fn suspicion(&mut self, now: Instant, key: &TemplateKey) -> &mut Suspicion {
        self.0.retain(|_, suspicion| suspicion.until > now);
        self.0.entry(key.clone()).or_insert_with(|| Suspicion {
            what: "takes long for an alert".to_owned(),
            until: now,
            is_told: false,
            waits: HashMap::new(),
            sent_away: 0,
        })
    }

    /// What a suspect template did last.
    pub(super) fn what(&self, now: Instant, key: &TemplateKey) -> Option<&str> {
        let suspicion = self.0.get(key).filter(|it| it.until > now)?;
        Some(&suspicion.what)
    }

    /// How long a deferred alert waits. The alerts of one template are spread over time.
    pub(super) fn wait(&mut self, key: &TemplateKey, alert: AlertId) -> Duration {
        let Some(suspicion) = self.0.get_mut(key) else {
            return Duration::ZERO;
        };
        if suspicion.waits.len() >= REMEMBERED {
            suspicion.waits.clear();
        }
        let waits = suspicion.waits.entry(alert).or_default();
        let longest = FIRST_WAIT * (1 << (*waits).min(10));
        *waits += 1;
        suspicion.sent_away = suspicion.sent_away.wrapping_add(1);
        // Multiples of the golden ratio spread any number evenly.
        let part = (f64::from(suspicion.sent_away) * 0.618_033_988_749_895).fract();
        longest.min(LONGEST_WAIT).mul_f64(0.5 + part / 2.0)
    }

    /// Drops a rendered alert.
    pub(super) fn forget(&mut self, key: &TemplateKey, alert: AlertId) {
        if let Some(suspicion) = self.0.get_mut(key) {
            suspicion.waits.remove(&alert);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: u64) -> TemplateKey {
        TemplateKey {
            name: "late".to_owned(),
            text,
        }
    }

    #[test]
    fn a_template_is_suspect_for_ten_minutes_after_it_last_took_too_much() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        let minutes = |count: u64| now + Duration::from_secs(count * 60);
        assert_eq!(suspects.what(now, &key(1)), None);
        assert!(suspects.note(now, &key(1), "takes memory"));
        assert!(
            !suspects.note(minutes(9), &key(1), "takes time"),
            "known already"
        );
        assert_eq!(suspects.what(minutes(18), &key(1)), Some("takes time"));
        assert_eq!(suspects.what(minutes(18), &key(2)), None, "imported anew");
        assert_eq!(suspects.what(minutes(19), &key(1)), None);
        assert!(suspects.note(minutes(19), &key(1), "takes time"));
    }

    #[test]
    fn drops_an_uncertain_suspicion_after_a_good_render() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        suspects.suppose(now, &key(1));
        assert!(suspects.what(now, &key(1)).is_some());
        suspects.acquit(&key(1));
        assert_eq!(suspects.what(now, &key(1)), None);
        suspects.suppose(now, &key(1));
        assert!(suspects.note(now, &key(1), "takes time"), "certain now");
        suspects.acquit(&key(1));
        suspects.suppose(now, &key(1));
        assert_eq!(suspects.what(now, &key(1)), Some("takes time"));
    }

    #[test]
    fn an_alert_waits_longer_each_time_up_to_a_bound() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        suspects.note(now, &key(1), "takes time");
        for longest in [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 32_000] {
            let wait = suspects.wait(&key(1), AlertId(1)).as_millis();
            assert!((longest / 2..=longest).contains(&wait), "{wait}");
        }
        suspects.forget(&key(1), AlertId(1));
        assert!(suspects.wait(&key(1), AlertId(1)) <= FIRST_WAIT);
    }

    #[test]
    fn spreads_deferred_alerts_over_the_whole_wait() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        suspects.note(now, &key(1), "takes time");
        let mut tenths = [0; 10];
        for alert in 0..1000 {
            let wait = suspects.wait(&key(1), AlertId(alert)) - FIRST_WAIT / 2;
            tenths[wait.as_millis() as usize / 50] += 1;
        }
        assert!(
            tenths.iter().all(|count| (98..103).contains(count)),
            "{tenths:?}"
        );
    }

    #[test]
    fn bounds_its_memory() {
        let (mut suspects, now) = (Suspects::default(), Instant::now());
        suspects.note(now, &key(1), "takes time");
        for alert in 0..3 * REMEMBERED {
            suspects.wait(&key(1), AlertId(alert as i64));
        }
        assert!(suspects.0[&key(1)].waits.len() <= REMEMBERED);
    }
}
