use std::time::Duration;

use rusqlite::{Connection, ErrorCode};

use crate::site::Site;

const INSERTS: usize = 100;
/// So many may meet the service at its work. With a sync to a disk under its lock it was a third.
const MOST_REFUSED: usize = 12;

/// As the `sqlite3` shell does it: a process for each, a connection, and no time-out.
#[tokio::test]
async fn of_a_hundred_inserts_in_a_row_few_meet_the_lock_of_the_service() {
    let site = Site::new(
        "[relay.main]\nkind = \"discard\"\n\
         [send_port.default]\nfrom = \"alerts@example.test\"\nrelays = [\"main\"]\n",
    );
    let service = site.run();
    insert(&site, Duration::from_secs(60)).expect("the first one");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let refused = (0..INSERTS).filter_map(|_| {
        // A shell has to start, too, and meets what the last insert made the service do.
        site.sendport(&["--version"]);
        insert(&site, Duration::ZERO).err()
    });
    let refused = refused.inspect(|error| {
        assert_eq!(
            error.sqlite_error_code(),
            Some(ErrorCode::DatabaseBusy),
            "{error}"
        );
    });
    let refused = refused.count();
    assert!(refused <= MOST_REFUSED, "{refused} of {INSERTS}");
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let relayed = site.value("SELECT count(*) FROM AlertStatus WHERE Status = 'relayed'");
    assert_eq!(relayed, (INSERTS - refused + 1).to_string());
    assert_eq!(service.stop(), Some(0));
}

fn insert(site: &Site, wait: Duration) -> rusqlite::Result<()> {
    let connection = Connection::open(site.path("sendport.db"))?;
    connection.busy_timeout(wait)?;
    connection.execute_batch(
        "INSERT INTO Alert (ToRecipients, Subject) VALUES ('user@example.test', 'Order')",
    )
}
