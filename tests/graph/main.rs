//! A relay over Microsoft Graph: a Graph and a token endpoint that check what they get, the relay alone, and the whole
//! program. One scenario a file, named by its outcome.

#[path = "../support/site.rs"]
#[expect(dead_code, reason = "this binary needs a part of what a site offers")]
mod site;
#[expect(dead_code, reason = "this binary needs a part of what the peers offer")]
#[path = "../support"]
mod support {
    pub(crate) mod client;
    pub(crate) mod fake_graph;
    pub(crate) mod token_endpoint;
}

mod answers_are_recorded;
mod failover_to_and_from_smtp;
mod header_names_recipients;
mod probe_shows_access;
mod relay_alone;
mod throttled_as_asked;

use std::sync::Arc;

use sendport_core::clock::SystemClock;

use site::Site;
use support::fake_graph::{FakeGraph, MAILBOX};
use support::token_endpoint::{CLIENT_ID, CLIENT_SECRET, TokenBook, TokenEndpoint};

/// A Graph and the endpoint that issues its tokens.
struct Cloud {
    book: TokenBook,
    tokens: TokenEndpoint,
    graph: FakeGraph,
}

impl Cloud {
    async fn new() -> Self {
        let book = TokenBook::new(Arc::new(SystemClock));
        let tokens = TokenEndpoint::start(book.clone()).await;
        tokens.set_roles(&["Mail.Send"]);
        Self {
            graph: FakeGraph::start(book.clone()).await,
            tokens,
            book,
        }
    }

    /// The section of the relay `m365`, with these settings more.
    fn section(&self, more: &str) -> String {
        format!(
            "[relay.m365]\nkind = 'graph'\nmailbox = '{MAILBOX}'\nendpoint = '{}'\nmessage_rate = '100000/min'\n{more}\n\
             [relay.m365.auth.oauth2]\nsource = 'client_credentials'\ntoken_endpoint = '{}'\nclient_id = '{CLIENT_ID}'\n\
             client_secret = '{CLIENT_SECRET}'\n",
            self.graph.url, self.tokens.url
        )
    }

    /// A site whose send port has the relays `relays`, `m365` among them.
    fn site(&self, relays: &str, more: &str) -> Site {
        Site::new(&format!(
            "{}{more}\n[send_port.default]\nfrom = 'Alerts <{MAILBOX}>'\nrelays = {relays}\n\
             [send_port.default.retry]\nfirst_delay = '1s'\nlongest_delay = '2s'\n",
            self.section("")
        ))
    }
}

fn insert(site: &Site, columns: &str, values: &str) {
    let sql = format!(
        "INSERT INTO Alert ({columns}, Subject, Body) VALUES ({values}, 'late', 'Order 4711 is late.')"
    );
    site.database().execute(&sql, []).expect("insert");
}
