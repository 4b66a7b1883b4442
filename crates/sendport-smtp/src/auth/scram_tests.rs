//! The examples of RFC 5802 section 5 and RFC 7677 section 3, and servers that cheat.

use openssl::hash::MessageDigest;
use proptest::prelude::*;

use super::*;

fn account(username: &str, password: &str) -> Account {
    Account {
        username: username.to_owned(),
        password: Secret::new(password.to_owned()),
    }
}

fn begun(digest: MessageDigest, nonce: &str) -> Scram {
    let account = account("user", "pencil");
    let mut scram = Scram::with_nonce(digest, &account, nonce.to_owned()).expect("usable");
    let first = scram
        .initial_response()
        .expect("usable")
        .expect("a message");
    assert_eq!(first.as_slice(), format!("n,,n=user,r={nonce}").as_bytes());
    scram
}

const SHA_1_FIRST: &str = "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096";
const SHA_1_FINAL: &str = "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=";

fn sha_1() -> Scram {
    begun(MessageDigest::sha1(), "fyko+d2lbbFgONRv9qkxdawL")
}

#[test]
fn sha_1_as_in_the_rfc() {
    let mut scram = sha_1();
    let answer = scram.respond(SHA_1_FIRST.as_bytes()).expect("an answer");
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts="
    );
    assert!(scram.accepted().is_err());
    let last = scram.respond(SHA_1_FINAL.as_bytes()).expect("an answer");
    assert!(last.is_empty());
    assert!(scram.accepted().is_ok());
}

#[test]
fn sha_256_as_in_the_rfc() {
    let mut scram = begun(MessageDigest::sha256(), "rOprNGfwEbeRWgbNEkqO");
    let first = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,\
                 i=4096";
    let answer = scram.respond(first.as_bytes()).expect("an answer");
    assert_eq!(
        String::from_utf8_lossy(&answer),
        "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
         p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
    );
    let last = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=";
    scram.respond(last.as_bytes()).expect("an answer");
    assert!(scram.accepted().is_ok());
}

#[test]
fn a_server_without_the_password_is_not_trusted() {
    for last in [
        "v=rmF9pqV8S7suAoZWja4dJRkFsKA=",
        "v=",
        "v=rmF9",
        "",
        "w=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    ] {
        let mut scram = sha_1();
        scram.respond(SHA_1_FIRST.as_bytes()).expect("an answer");
        assert!(scram.respond(last.as_bytes()).is_err(), "{last}");
        assert!(scram.accepted().is_err(), "{last}");
    }
    assert!(sha_1().accepted().is_err());
}

#[test]
fn reads_the_refusal_and_reports_its_reason() {
    let mut scram = sha_1();
    scram.respond(SHA_1_FIRST.as_bytes()).expect("an answer");
    let answer = scram.respond(b"e=invalid-proof").expect("an answer");
    assert!(answer.is_empty());
    assert_eq!(scram.reason(), Some("invalid-proof"));
    assert!(scram.accepted().is_err());
}

#[test]
fn a_first_message_that_is_none_is_refused() {
    for (first, why) in [
        ("", "nonce"),
        ("r=somebody-else,s=QSXCR+Q6sek8bf92,i=4096", "nonce"),
        (
            "r=fyko+d2lbbFgONRv9qkxdawL,s=QSXCR+Q6sek8bf92,i=4096",
            "nonce",
        ),
        ("r=fyko+d2lbbFgONRv9qkxdawL3,s=*,i=4096", "salt"),
        ("r=fyko+d2lbbFgONRv9qkxdawL3,s=QSXC,i=x", "iteration"),
        ("r=fyko+d2lbbFgONRv9qkxdawL3,s=QSXC,i=4095", "4095"),
        (
            "r=fyko+d2lbbFgONRv9qkxdawL3,s=QSXC,i=999999999",
            "999999999",
        ),
        ("m=x,r=fyko+d2lbbFgONRv9qkxdawL3,s=QSXC,i=4096", "m="),
    ] {
        let error = sha_1()
            .respond(first.as_bytes())
            .expect_err(first)
            .to_string();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn names_and_passwords_are_prepared() {
    let account = account("a=b,c\u{00AD}", "\u{2168}");
    let scram = Scram::with_nonce(MessageDigest::sha1(), &account, "n".to_owned());
    let scram = scram.expect("usable");
    assert_eq!(scram.username, "a=3Db=2Cc");
    assert_eq!(scram.password.as_str(), "IX");
}

#[test]
fn the_saslprep_error_does_not_contain_the_password() {
    let error = Scram::new(MessageDigest::sha1(), &account("user", "se\u{7}cret"));
    let error = error.err().expect("refused").to_string();
    assert!(
        error.contains("SASLprep") && !error.contains("cret"),
        "{error}"
    );
}

proptest! {
    #[test]
    fn nothing_a_server_sends_makes_it_panic(messages in prop::collection::vec(".{0,80}", 1..4)) {
        let mut scram = sha_1();
        for message in messages {
            let _ = scram.respond(message.as_bytes());
        }
        prop_assert!(scram.accepted().is_err());
    }
}
