//! `sendport probe --relay` and `sendport check`: token, endpoint, and which permission is missing.

use crate::Cloud;
use crate::site::{Site, text};

async fn run(site: &Site, arguments: &'static [&'static str]) -> (Option<i32>, String) {
    let output = tokio::task::block_in_place(|| site.sendport(arguments));
    (output.status.code(), text(&output))
}

#[tokio::test(flavor = "multi_thread")]
async fn shows_the_steps_and_no_token() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    let (code, shown) = run(&site, &["probe", "--relay", "m365"]).await;
    assert_eq!(code, Some(0), "{shown}");
    for expected in [
        "token       ok    for https://graph.microsoft.com",
        "endpoint    ok    answers, HTTP 200",
        "permissions ok    Mail.Send",
        "RBAC for Applications",
        "send        ok    not tried: Graph has no dry run",
    ] {
        assert!(shown.contains(expected), "{expected}: {shown}");
    }
    let (_, json) = run(&site, &["probe", "--relay", "m365", "--json"]).await;
    let json: serde_json::Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!(json["steps"][0]["step"], "token");
    for token in cloud.book.all() {
        assert!(!shown.contains(&token) && !json.to_string().contains(&token));
    }
    assert!(cloud.graph.taken().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_the_missing_permission() {
    let cloud = Cloud::new().await;
    cloud.tokens.set_roles(&["User.Read.All"]);
    let site = cloud.site("['m365']", "");
    let (code, shown) = run(&site, &["check"]).await;
    assert_eq!(code, Some(0), "{shown}");
    let note = "Mail.Send is missing in the permissions of the token (User.Read.All)";
    assert!(shown.contains(note), "{shown}");
    assert!(shown.contains("Application Mail.Send"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_exchange_is_explained() {
    let cloud = Cloud::new().await;
    let site = cloud.site("['m365']", "");
    let config = std::fs::read_to_string(site.config()).expect("read");
    let config = config.replace(
        "client_id =",
        "scope = 'https://outlook.office365.com/.default'\nclient_id =",
    );
    std::fs::write(site.config(), config).expect("write");
    let (code, shown) = run(&site, &["check"]).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(
        shown.contains("does not accept the access token"),
        "{shown}"
    );
}
