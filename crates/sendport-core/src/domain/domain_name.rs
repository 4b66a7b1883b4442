//! The domain of an address (RFC 5321 section 4.1.2).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};

/// `[192.0.2.1]` or `[IPv6:2001:db8::1]` (RFC 5321 section 4.1.3).
pub fn address_literal(address: IpAddr) -> String {
    match address.to_canonical() {
        IpAddr::V4(v4) => format!("[{v4}]"),
        IpAddr::V6(v6) => format!("[IPv6:{v6}]"),
    }
}

/// A domain, or an address literal, in ASCII. Internationalised labels become A-labels (RFC 5890
/// section 2.3.2.1), after the mapping of UTS 46 without its transitional part: `Bücher.example`
/// is `xn--bcher-kva.example`. An ASCII domain stays as it is written.
///
/// # Errors
/// What is wrong, as a predicate without a subject.
pub fn domain_to_ascii(domain: &str) -> Result<Cow<'_, str>, &'static str> {
    if domain.is_ascii() {
        check_domain(domain)?;
        return Ok(Cow::Borrowed(domain));
    }
    // Some scripts need joiners; UTS 46 says where they are valid.
    if domain
        .chars()
        .any(|c| is_invisible(c) && !matches!(c, '\u{200c}' | '\u{200d}'))
    {
        return Err("it contains an invisible character; type it again");
    }
    if domain.chars().any(char::is_whitespace) {
        return Err("there is a space in it");
    }
    let written = domain.as_bytes();
    let converted = Uts46::new().to_ascii(
        written,
        AsciiDenyList::EMPTY,
        Hyphens::CheckFirstLast,
        DnsLength::Ignore,
    );
    let ascii = converted.map_err(
        |_| "the domain after the '@' is no internationalised domain name (IDNA, UTS 46)",
    )?;
    check_domain(&ascii)?;
    Ok(ascii)
}

/// A domain with its A-labels as U-labels (RFC 5890 section 2.3.2.1): `bücher.example` for `xn--bcher-kva.example`. What is
/// no domain stays as it is written.
pub fn domain_to_unicode(domain: &str) -> Cow<'_, str> {
    let written = domain.as_bytes();
    let (unicode, valid) =
        Uts46::new().to_unicode(written, AsciiDenyList::EMPTY, Hyphens::CheckFirstLast);
    match valid {
        Ok(()) => unicode,
        Err(_) => Cow::Borrowed(domain),
    }
}

/// Invisible characters that word processors and chats add to copied addresses: format characters, line
/// and paragraph separators.
pub fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

fn check_domain(domain: &str) -> Result<(), &'static str> {
    if domain.is_empty() {
        return Err("there is nothing after the '@'");
    }
    if domain.len() > 255 {
        return Err("the domain after the '@' is longer than 255 octets");
    }
    if let Some(literal) = domain.strip_prefix('[') {
        return if literal.strip_suffix(']').is_some_and(is_address_literal) {
            Ok(())
        } else {
            Err(
                "the address literal after the '@' is malformed, expected [192.0.2.1] or [IPv6:2001:db8::1]",
            )
        };
    }
    if domain.split('.').all(is_label) {
        Ok(())
    } else if domain.chars().any(char::is_whitespace) {
        Err("there is a space in it")
    } else {
        Err("the domain after the '@' is malformed")
    }
}

/// RFC 5321 section 4.1.3; no general tag is registered.
fn is_address_literal(inner: &str) -> bool {
    match inner.get(..5) {
        Some(tag) if tag.eq_ignore_ascii_case("IPv6:") => inner[5..].parse::<Ipv6Addr>().is_ok(),
        _ => inner.parse::<Ipv4Addr>().is_ok(),
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internationalised_labels_become_a_labels() {
        for (written, ascii) in [
            ("Bücher.example", "xn--bcher-kva.example"),
            ("BÜCHER.Example", "xn--bcher-kva.example"),
            ("bu\u{308}cher.example", "xn--bcher-kva.example"),
            ("straße.example", "xn--strae-oqa.example"),
            ("почта.рф", "xn--80a1acny.xn--p1ai"),
            ("例え。テスト", "xn--r8jz45g.xn--zckzah"),
            ("ｃｏｎｔｏｓｏ.com", "contoso.com"),
            ("हिन्दी.example", "xn--j2bd4cyah0f.example"),
            ("نامه\u{200c}ای.com", "xn--mgba3gch31f060k.com"),
            (
                "under_score.bücher.example",
                "under_score.xn--bcher-kva.example",
            ),
        ] {
            assert_eq!(domain_to_ascii(written).as_deref(), Ok(ascii), "{written}");
        }
    }

    #[test]
    fn ascii_names_are_unchanged() {
        for written in [
            "Contoso.COM",
            "xn--bcher-kva.example",
            "[192.0.2.1]",
            "r3---sn.example",
        ] {
            assert!(matches!(domain_to_ascii(written), Ok(Cow::Borrowed(same)) if same == written));
        }
    }

    #[test]
    fn names_that_idna_forbids_are_refused() {
        for written in [
            "\u{300}a.example",   // begins with a combining mark
            "a\u{200c}b.example", // a joiner that joins nothing
            "a\u{202e}b.example", // a bidirectional control
            "\u{5d0}a.example",   // right-to-left and left-to-right in one label
            "ü.xn--a.example",    // an A-label of nothing
            "ü\u{e000}.example",  // private use
            "ü；x.example",
            "-ü.example",
            "ü..example",
        ] {
            assert!(domain_to_ascii(written).is_err(), "{written}");
        }
        let long = "ü".repeat(60);
        assert!(
            domain_to_ascii(&long).is_err(),
            "longer than 63 octets as an A-label"
        );
    }

    #[test]
    fn an_ipv4_address_mapped_into_ipv6_has_the_literal_of_the_ipv4_address() {
        assert_eq!(
            address_literal("::ffff:192.0.2.1".parse().expect("ip")),
            "[192.0.2.1]"
        );
        assert_eq!(
            address_literal("2001:db8::1".parse().expect("ip")),
            "[IPv6:2001:db8::1]"
        );
    }
}
