//! GSSAPI without a ticket: the KDC's refusal is the configuration's fault, its silence is not.

use std::path::Path;

use sendport_core::domain::{Command, Fault};

use crate::support::client::{not_begun, relay, submit};
use crate::support::kdc::{self, Kdc};
use crate::support::postfix::{Postfix, PostfixOptions};

#[tokio::test]
async fn an_expired_account_or_a_missing_key() {
    if !Kdc::available() {
        return;
    }
    let test = "kerberos_ticket_refused::an_expired_account_or_a_missing_key";
    let Some(krb5_conf) = kdc::in_own_process(test).await else {
        return;
    };
    let (kdc, postfix) = start(&krb5_conf).await;
    let keytab = kdc.user_keytab();
    kdc.expire();
    for (keytab, reason) in [
        (&*keytab, "has expired; check auth.keytab_file"),
        (
            Path::new("/nonexistent/keytab"),
            "auth.keytab_file /nonexistent/keytab: No such file",
        ),
    ] {
        let (text, fault) = refusal(&postfix, keytab).await;
        assert_eq!(fault, Some(Fault::Configuration), "{text}");
        assert!(text.contains(reason), "{text}");
    }
}

#[tokio::test]
async fn an_unreachable_kdc() {
    if !Kdc::available() {
        return;
    }
    let test = "kerberos_ticket_refused::an_unreachable_kdc";
    let Some(krb5_conf) = kdc::in_own_process(test).await else {
        return;
    };
    let (kdc, postfix) = start(&krb5_conf).await;
    // The KDC's folder goes with it.
    let keytab = krb5_conf.with_file_name("keytab");
    std::fs::copy(kdc.user_keytab(), &keytab).expect("to copy the keytab");
    drop(kdc);
    // Its own port may be that of another KDC now.
    Kdc::name_unreachable(&krb5_conf);
    let (text, fault) = refusal(&postfix, &keytab).await;
    assert_eq!(fault, None, "{text}");
    assert!(text.contains("Cannot contact any KDC"), "{text}");
}

async fn start(krb5_conf: &Path) -> (Kdc, Postfix) {
    let kdc = Kdc::start().await;
    kdc.serve(krb5_conf);
    let options = PostfixOptions {
        mechanisms: "GSSAPI".to_owned(),
        kerberos: Some(kdc.service()),
        ..PostfixOptions::default()
    };
    let postfix = Postfix::start(options).await;
    (kdc, postfix)
}

/// What the user reads, and what is at fault.
async fn refusal(postfix: &Postfix, keytab: &Path) -> (String, Option<Fault>) {
    let settings = format!(
        "tls = \"none\"\nverify_name = \"localhost\"\n[auth]\nmechanism = \"gssapi\"\n\
         keytab_file = {keytab:?}"
    );
    let relay = relay(postfix.plain(), &settings);
    let report = submit(&relay, &["bob@example.test"]).await;
    let (reply, fault) = not_begun(&report);
    assert_eq!(reply.command, Command::Auth);
    (reply.to_string(), fault)
}
