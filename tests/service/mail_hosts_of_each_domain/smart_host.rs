//! Direct delivery before a smart host, as IIS had it.

use std::time::Duration;

use super::{ZONE, configuration, host, insert};
use crate::site::Site;
use crate::support::name_server::NameServer;
use crate::{any_port, sink_at};

/// The smart host gets the recipients whose mail hosts cannot be reached, and no others.
#[tokio::test(flavor = "multi_thread")]
async fn unreachable_domains_go_over_the_next_relay() {
    if !NameServer::available() {
        return;
    }
    let dns = NameServer::start(ZONE).await;
    let folders = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let direct = sink_at(host(2, 0), folders[0].path(), &[]).await;
    let smart_host = sink_at(any_port(), folders[1].path(), &[]).await;
    let at = smart_host.local_addr();
    let relay = format!(
        "[relay.main]\nkind = \"smtp\"\nhost = \"{}\"\nport = {}\ntls = \"none\"\nehlo_name = \"sendport.test\"\n",
        at.ip(),
        at.port()
    );
    let configuration = configuration(&dns, direct.local_addr().port(), "");
    let configuration = configuration.replace("[\"direct\"]", "[\"direct\", \"main\"]");
    let site = Site::new(&(relay + &configuration));
    for _ in 0..3 {
        insert(&site, "ops@dead.test; ops@plain.test; ops@nosuch.test");
    }
    let service = site.run();
    site.wait_until_all_final(Duration::from_secs(60)).await;
    let relays = "SELECT group_concat(Line, ', ') FROM (SELECT DISTINCT Address || ' ' || Status || ' ' || Relay AS Line
                  FROM Delivery ORDER BY Line)";
    assert_eq!(
        site.value(relays),
        "ops@dead.test relayed main, ops@nosuch.test failed direct, ops@plain.test relayed direct"
    );
    assert_eq!(service.stop(), Some(0));
    assert_eq!((direct.received(), smart_host.received()), (3, 3));
    direct.stop().await;
    smart_host.stop().await;
}
