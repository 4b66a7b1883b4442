//! Delivery receipts: what is asked of the relay for an alert, and what is said where it
//! cannot be asked.

use sendport_core::domain::{Alert, DsnRequest, Notify, SessionFacts};

use crate::send_port::SendPort;

const OVERRULED: &str =
    "the send port's dsn_notify is \"never\": no delivery receipt was asked for";
const NO_RETURN_PATH: &str =
    "the send port's return_path is \"<>\": no delivery receipt was asked for";
const NOT_OFFERED: &str = "the relay does not offer DSN: no delivery receipt was asked for";

/// What the alert and its send port ask for together. An operator's "never" wins. With the
/// null reverse-path no report can be sent: `NOTIFY` may be `NEVER` at most, and the rest means
/// nothing (RFC 3461 section 7.1).
pub(crate) fn request(alert: &Alert, port: &SendPort) -> Option<DsnRequest> {
    let mut notify = match &port.dsn_notify {
        Some(Notify::Never) => Some(Notify::Never),
        _ if alert.delivery_receipt => Some(Notify::always()),
        configured => configured.clone(),
    };
    let mut returns = port.dsn_return;
    if port.return_path.0.is_none() {
        notify = notify.filter(|notify| *notify == Notify::Never);
        returns = None;
    }
    let asks = notify.is_some() || returns.is_some();
    asks.then(|| DsnRequest {
        envelope_id: alert.public_id.to_string(),
        notify,
        returns,
        ..DsnRequest::default()
    })
}

/// Why no delivery is reported although alert or send port want it.
pub(crate) fn remark(alert: &Alert, port: &SendPort, facts: &SessionFacts) -> Option<&'static str> {
    let configured = matches!(port.dsn_notify, Some(Notify::On(_)));
    if !alert.delivery_receipt && !configured {
        None
    } else if port.dsn_notify == Some(Notify::Never) {
        Some(OVERRULED)
    } else if port.return_path.0.is_none() {
        Some(NO_RETURN_PATH)
    } else if facts.offers_dsn {
        None
    } else {
        Some(NOT_OFFERED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sendport_core::domain::DsnReturn;

    fn port(extra: &str) -> SendPort {
        SendPort::with_settings("p", &["d"], extra)
    }

    fn alert(delivery_receipt: bool) -> Alert {
        Alert {
            delivery_receipt,
            ..crate::fixture::alert()
        }
    }

    fn facts(offers_dsn: bool) -> SessionFacts {
        SessionFacts {
            offers_dsn,
            ..SessionFacts::default()
        }
    }

    #[test]
    fn requests_no_receipt_by_default() {
        assert_eq!(request(&alert(false), &port("")), None);
        assert_eq!(remark(&alert(false), &port(""), &facts(false)), None);
    }

    #[test]
    fn an_alert_can_request_every_notification() {
        let port = port("dsn_notify = ['failure']\ndsn_return = 'headers'");
        let asked = request(&alert(true), &port).unwrap();
        assert_eq!(asked.notify, Some(Notify::always()));
        assert_eq!(asked.returns, Some(DsnReturn::Headers));
        assert_eq!(asked.envelope_id, "01234567-89ab-4def-8123-456789abcdef");
        assert_eq!(remark(&alert(true), &port, &facts(true)), None);
        assert_eq!(
            remark(&alert(true), &port, &facts(false)),
            Some(NOT_OFFERED)
        );
    }

    #[test]
    fn the_operators_never_wins_and_is_reported() {
        let port = port("dsn_notify = 'never'");
        let asked = request(&alert(true), &port).unwrap();
        assert_eq!(asked.notify, Some(Notify::Never));
        assert_eq!(remark(&alert(true), &port, &facts(true)), Some(OVERRULED));
        assert_eq!(remark(&alert(false), &port, &facts(false)), None);
    }

    #[test]
    fn requests_nothing_without_a_return_path() {
        let null = port("return_path = '<>'\ndsn_return = 'full'");
        assert_eq!(request(&alert(true), &null), None);
        assert_eq!(
            remark(&alert(true), &null, &facts(true)),
            Some(NO_RETURN_PATH)
        );
        let never = port("return_path = '<>'\ndsn_notify = 'never'\ndsn_return = 'full'");
        let asked = request(&alert(true), &never).unwrap();
        assert_eq!((asked.notify, asked.returns), (Some(Notify::Never), None));
    }
}
