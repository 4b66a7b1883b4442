use super::*;
use proptest::prelude::*;

fn keys(seeds: &[u8]) -> TokenKeys {
    let key = |seed: &u8| TokenKey::new(&[*seed; 32]).unwrap();
    TokenKeys::new(seeds.iter().map(key).collect()).unwrap()
}

fn at(day: i64) -> Timestamp {
    Timestamp::from_timestamp(day * 86_400 + 3600, 0).unwrap()
}

fn token() -> Token {
    Token {
        alert: AlertId(4711),
        attempt: 0x0123_4567_89ab_cdef,
        recipient: None,
        expires: Expiry::on(at(20_800)),
    }
}

#[test]
fn is_valid_until_its_day_is_over() {
    let keys = keys(&[1]);
    let text = keys.make(&token()).unwrap();
    assert_eq!(keys.verify(&text, at(20_800)), Ok(token()));
    assert_eq!(
        keys.verify(&text, at(20_801)),
        Err(TokenError::Expired(token()))
    );
}

#[test]
fn old_keys_verify_and_the_newest_makes() {
    let old = keys(&[1]).make(&token()).unwrap();
    let rotated = keys(&[2, 1]);
    assert_eq!(rotated.verify(&old, at(20_800)), Ok(token()));
    let new = rotated.make(&token()).unwrap();
    assert_eq!(keys(&[2]).verify(&new, at(20_800)), Ok(token()));
    assert_eq!(
        keys(&[1]).verify(&new, at(20_800)),
        Err(TokenError::NotOurs)
    );
}

#[test]
fn refuses_short_keys_and_none() {
    assert_eq!(
        TokenKey::new(&[7; 31]).unwrap_err(),
        TokenError::ShortKey(31)
    );
    assert_eq!(TokenKeys::new(Vec::new()).unwrap_err(), TokenError::NoKey);
}

#[test]
fn a_key_is_not_shown() {
    let shown = format!("{:?}", keys(&[65]));
    assert!(
        !shown.contains("65, 65") && !shown.contains("AA"),
        "{shown}"
    );
}

#[test]
fn the_longest_token_fits_into_a_local_part() {
    let keys = keys(&[1]);
    let longest = Token {
        alert: AlertId(i64::MAX),
        attempt: u64::MAX,
        recipient: Some(HIGHEST_ORDINAL),
        expires: Expiry(u16::MAX),
    };
    let text = keys.make(&longest).unwrap();
    assert!(text.len() <= LONGEST_TOKEN, "{}", text.len());
    assert_eq!(keys.verify(&text, at(20_800)), Ok(longest));
    let path = ReturnPath::new("bounces-us+", "contoso.com").unwrap();
    assert!(path.address(&text).split('@').next().unwrap().len() <= 64);
    let too_high = Token {
        recipient: Some(HIGHEST_ORDINAL + 1),
        ..longest
    };
    assert_eq!(keys.make(&too_high), Err(TokenError::OutOfRange));
}

#[test]
fn every_changed_character_is_noticed() {
    let keys = keys(&[1]);
    let text = keys.make(&token()).unwrap();
    for at_character in 0..text.len() {
        for other in "abcdefghijklmnopqrstuvwxyz234567".chars() {
            let mut changed: Vec<_> = text.chars().collect();
            if changed[at_character] == other {
                continue;
            }
            changed[at_character] = other;
            let changed: String = changed.into_iter().collect();
            let found = keys.verify(&changed, at(20_800));
            assert!(found.is_err(), "{changed}: {found:?}");
        }
    }
}

#[test]
fn a_thousand_forged_ones_prove_nothing() {
    let keys = keys(&[1]);
    let foreign = self::keys(&[9]);
    for alert in 0..1000 {
        let token = Token {
            alert: AlertId(alert),
            ..token()
        };
        let forged = foreign.make(&token).unwrap();
        assert_eq!(keys.verify(&forged, at(20_800)), Err(TokenError::NotOurs));
    }
}

#[test]
fn finds_the_token_in_any_case() {
    let path = ReturnPath::new("Bounces+", "Alerts.contoso.com").unwrap();
    assert_eq!(path.address("abc"), "bounces+abc@alerts.contoso.com");
    assert_eq!(
        path.token_in("<BOUNCES+AbC@ALERTS.contoso.com>"),
        Some("AbC")
    );
    for other in [
        "bounces+@alerts.contoso.com",
        "bounce+abc@alerts.contoso.com",
        "bounces+abc@contoso.com",
        "b\u{f6}unces+abc@alerts.contoso.com",
        "bounces",
        "",
    ] {
        assert_eq!(path.token_in(other), None, "{other}");
    }
}

#[test]
fn says_what_is_wrong_with_a_return_path() {
    let long = ReturnPath::new("undelivered-mail+", "contoso.com").unwrap_err();
    assert!(
        long.to_string().contains("something like \"bounces+\""),
        "{long}"
    );
    for (prefix, domain) in [
        ("bounces ", "contoso.com"),
        ("a@b+", "contoso.com"),
        ("b+", ""),
    ] {
        let error = ReturnPath::new(prefix, domain).unwrap_err();
        assert!(
            matches!(error, ReturnPathError::NoAddress(_)),
            "{prefix} {domain}"
        );
    }
}

proptest! {
    #[test]
    fn what_is_made_is_verified(
        alert in 0..=i64::MAX,
        attempt: u64,
        recipient in proptest::option::of(0..=HIGHEST_ORDINAL),
        is_upper: bool,
    ) {
        let keys = keys(&[3]);
        let token = Token { alert: AlertId(alert), attempt, recipient, expires: Expiry(20_000) };
        let mut text = keys.make(&token).unwrap();
        prop_assert!(text.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit()));
        if is_upper {
            text = text.to_ascii_uppercase();
        }
        prop_assert_eq!(keys.verify(&text, at(20_000)), Ok(token));
    }

    #[test]
    fn any_text_is_refused(text in ".{0,80}") {
        prop_assert!(keys(&[3]).verify(&text, at(20_000)).is_err());
    }
}
