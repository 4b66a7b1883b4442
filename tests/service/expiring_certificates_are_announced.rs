use std::time::Duration;

use crate::send_port_over;
use crate::site::{Site, text};
use crate::support::people::{People, Person};

const EVENTS: &str = "SELECT count(*) FROM EventLog WHERE EventType = 'certificate-expiring'";

/// One of the instances announces it once, and a new certificate ends it.
#[tokio::test(flavor = "multi_thread")]
async fn once_in_the_event_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let people = People::new(folder.path());
    people.add(&Person::new("soon", "soon@example.test"));
    people.add(&Person::new("renewed", "renewed@example.test"));
    people.add(&Person {
        validity: Some(("20260101000000Z", "20760101000000Z")),
        ..Person::new("next", "renewed@example.test")
    });
    let site = Site::watched(&send_port_over("[relay.main]\nkind = \"discard\"\n"));
    for name in ["soon", "renewed", "next"] {
        let file = people
            .path(&format!("{name}.own.pem"))
            .display()
            .to_string();
        let imported = site.sendport(&["cert", "import", &file]);
        assert!(imported.status.success(), "{}", text(&imported));
    }
    let shown = "SELECT group_concat(Address || ' ' || DaysLeft) FROM ExpiringCertificate";
    assert_eq!(site.value(shown), "soon@example.test 0");
    let checked = text(&site.sendport(&["check"]));
    assert!(
        checked.contains("of soon@example.test ends in 0 days, and there is no other one"),
        "{checked}"
    );
    let first = site.run();
    site.wait_until(EVENTS, "1", Duration::from_secs(60)).await;
    let message =
        "SELECT Severity || ' ' || Message FROM EventLog WHERE EventType = 'certificate-expiring'";
    let message = site.value(message);
    assert!(
        message.starts_with("warning the certificate ")
            && message.contains("of soon@example.test ends within a day, at ")
            && message.contains("sendport cert import"),
        "{message}"
    );
    assert_eq!(first.stop(), Some(0));

    // The next instance has looked once it has announced what is new.
    people.add(&Person::new("other", "other@example.test"));
    let file = people.path("other.own.pem").display().to_string();
    assert!(site.sendport(&["cert", "import", &file]).status.success());
    let second = site.run();
    site.wait_until(EVENTS, "2", Duration::from_secs(60)).await;
    assert_eq!(second.stop(), Some(0));
    let of_soon = format!("{EVENTS} AND Message LIKE '%soon@example.test%'");
    assert_eq!(site.value(&of_soon), "1");
}
