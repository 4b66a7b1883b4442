//! An alert for unit tests: tests say only what differs from it.

use chrono::{TimeZone, Utc};
use sendport_core::domain::{
    Alert, AlertId, AlertOrigin, BodyFormat, Importance, Priority, PublicId, Sensitivity,
};
use uuid::Uuid;

/// One recipient, a subject and a plain body; nothing else.
pub(crate) fn alert() -> Alert {
    Alert {
        id: AlertId(4711),
        public_id: PublicId(Uuid::from_u128(0x0123_4567_89ab_4def_8123_4567_89ab_cdef)),
        origin: AlertOrigin::Application,
        to_recipients: Some("ops@contoso.com".to_owned()),
        cc_recipients: None,
        bcc_recipients: None,
        from_address: None,
        reply_to: None,
        subject: Some("Order 4711 is late".to_owned()),
        body: Some("Call the carrier.".to_owned()),
        body_format: BodyFormat::Text,
        template: None,
        payload: None,
        language: None,
        alert_name: None,
        severity: None,
        source: None,
        reference: None,
        send_port: "default".to_owned(),
        priority: Priority::Normal,
        importance: Importance::Normal,
        sensitivity: Sensitivity::Normal,
        headers: None,
        delivery_receipt: false,
        read_receipt: false,
        reply_by: None,
        protection: None,
        dedup_key: None,
        not_before: None,
        expires_at: None,
        file_attachments: None,
        files_stored: false,
        created_at: Utc
            .with_ymd_and_hms(2026, 3, 1, 9, 5, 7)
            .single()
            .expect("is a date"),
        created_by: "CONTOSO\\svc-orders".to_owned(),
        attempt_count: 0,
        requeued_at: None,
        attempts_before: 0,
        message_generation: 0,
        template_version: None,
        newest_templates: None,
        redirect: None,
        attachment_count: 0,
        recipients: Vec::new(),
    }
}
