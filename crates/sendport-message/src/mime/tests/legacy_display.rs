//! Legacy Display Elements in whole messages.

use super::*;

fn built_displaying(alert: &Alert, legacy_display: LegacyDisplay) -> String {
    let templates = TemplateSet::empty();
    let rendered = templates.render(alert).expect("renders");
    let settings = MessageSettings {
        legacy_display,
        ..settings()
    };
    let message = build_message(&rendered, &settings).expect("is built");
    assert_well_formed(&message.bytes);
    String::from_utf8(message.bytes).expect("is ASCII")
}

#[test]
fn each_text_begins_with_the_hidden_fields() {
    let alert = Alert {
        subject: Some("Überfällig: 4711 < 4712".to_owned()),
        to_recipients: Some("Jörg <a@contoso.com>; b@contoso.com".to_owned()),
        ..html("<html><body><p>Grüße</p></body></html>")
    };
    let text = built_displaying(&alert, LegacyDisplay::Names);
    let message = MessageParser::default().parse(&text).expect("a message");
    let lines = "Subject: Überfällig: 4711 < 4712\n\
         From: Order Watch <alerts@contoso.com>\n\
         To: Jörg <a@contoso.com>, b@contoso.com";
    let plain = message.body_text(0).expect("a text").replace("\r\n", "\n");
    assert_eq!(plain, format!("{lines}\n\nGrüße"));
    let in_html = lines.replace('<', "&lt;").replace('>', "&gt;");
    let html = message.body_html(0).expect("HTML").replace("\r\n", "\n");
    let element = format!(
        "<html><body><div class=\"header-protection-legacy-display\">\n<pre>{in_html}</pre>\n\
         </div>\n<p>Grüße</p></body></html>"
    );
    assert_eq!(html, element);
    let types = text.matches("; charset=utf-8; hp-legacy-display=\"1\"\r\n");
    assert_eq!(types.count(), 2, "{text}");
}

#[test]
fn a_text_that_hides_nothing_is_as_ever() {
    let alert = fixture::alert();
    assert_eq!(
        built_displaying(&alert, LegacyDisplay::None),
        text_of(&alert)
    );
    let shown = built_displaying(&alert, LegacyDisplay::Subject);
    assert!(shown.ends_with("\r\n\r\nSubject: Order 4711 is late\r\n\r\nCall the carrier.\r\n"));
}
