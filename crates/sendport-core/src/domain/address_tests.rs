//! What people write into a recipients column, and what must not come out of it.

use proptest::prelude::*;

use super::*;
use crate::domain::{RecipientAddress, RecipientKind, expand_recipients};

fn read(text: &str) -> Result<(Option<String>, String), &'static str> {
    parse_mailbox(text)
        .map(|m| (m.display_name, m.address.into()))
        .map_err(|error| error.problem)
}

fn named(name: &str, address: &str) -> Result<(Option<String>, String), &'static str> {
    Ok((Some(name.to_owned()), address.to_owned()))
}

fn bare(address: &str) -> Result<(Option<String>, String), &'static str> {
    Ok((None, address.to_owned()))
}

#[test]
fn reads_the_forms_of_rfc_5322() {
    assert_eq!(read("ops@contoso.com"), bare("ops@contoso.com"));
    assert_eq!(read("  <ops@contoso.com> "), bare("ops@contoso.com"));
    assert_eq!(
        read("Ops Team <ops@contoso.com>"),
        named("Ops Team", "ops@contoso.com")
    );
    assert_eq!(
        read(r#""Miller, Eve" <e@contoso.com>"#),
        named("Miller, Eve", "e@contoso.com")
    );
    assert_eq!(
        read(r#""a \"b\" \\ c" <e@contoso.com>"#),
        named(r#"a "b" \ c"#, "e@contoso.com")
    );
    assert_eq!(
        read("Jürgen Groß <j@contoso.com>"),
        named("Jürgen Groß", "j@contoso.com")
    );
    assert_eq!(read(r#""" <e@contoso.com>"#), bare("e@contoso.com"));
    assert_eq!(read("a\tb <e@contoso.com>"), named("a b", "e@contoso.com"));
}

#[test]
fn drops_comments_and_space_around_the_at_sign() {
    assert_eq!(
        read("ops(night (late) shift)@contoso.com"),
        bare("ops@contoso.com")
    );
    assert_eq!(
        read("ops @ contoso.com (Ops, all)"),
        bare("ops@contoso.com")
    );
    assert_eq!(
        read("Ops(x)Team <ops@contoso.com>"),
        named("Ops Team", "ops@contoso.com")
    );
}

#[test]
fn takes_local_parts_as_relays_do() {
    for address in [
        "a..b@x.example",
        ".a@x.example",
        "a.@x.example",
        "o'brien+tag@x.example",
        r#""a b"@x.example"#,
        r#""a@b;c,d"@x.example"#,
        r#""a\"b"@x.example"#,
        r#"""@x.example"#,
        "jürgen@x.example",
        "root@localhost",
        "a@under_score.example",
        "a@[192.0.2.1]",
        "a@[IPv6:2001:db8::1]",
        "a@xn--mnchen-3ya.example",
    ] {
        assert_eq!(read(address), bare(address), "{address}");
    }
}

#[test]
fn refuses_with_the_one_thing_that_is_wrong() {
    for (written, problem) in [
        ("contoso.com", "there is no '@'"),
        ("@contoso.com", "there is nothing before the '@'"),
        ("ops@", "there is nothing after the '@'"),
        ("ops@contoso.com@x", "there is more than one '@'"),
        ("Ops ops@contoso.com", "there is a space in it"),
        ("ops@contoso .com", "there is a space in it"),
        ("ops@contoso..com", "the domain after the '@' is malformed"),
        ("ops@contoso.com.", "the domain after the '@' is malformed"),
        ("ops@-contoso.com", "the domain after the '@' is malformed"),
        ("'ops@contoso.com'", "the domain after the '@' is malformed"),
        ("<ops@contoso.com", "'<' and '>' do not match"),
        ("ops@contoso.com>", "'<' and '>' do not match"),
        (
            "<a<c@d>",
            "the part before the '@' has a character that must be quoted",
        ),
        (
            "mailto:ops@contoso.com",
            "write the address alone, without 'mailto:'",
        ),
        (
            "<mailto:ops@contoso.com>",
            "write the address alone, without 'mailto:'",
        ),
        (
            "\"ops@contoso.com",
            "a comment or a quotation mark is not closed",
        ),
        (
            "ops@contoso.com (x",
            "a comment or a quotation mark is not closed",
        ),
        ("ops\u{7}@contoso.com", "it contains a control character"),
        (
            "ops\u{200b}@contoso.com",
            "it contains an invisible character; type it again",
        ),
        (
            "\u{feff}ops@contoso.com",
            "it contains an invisible character; type it again",
        ),
        (
            "\"a\tb\"@contoso.com",
            "there is a tab in the quoted local part",
        ),
        (
            r#""a""b"@contoso.com"#,
            "a quotation mark inside the quoted local part is not escaped",
        ),
    ] {
        assert_eq!(read(written), Err(problem), "{written}");
    }
    assert!(read("a@[300.1.1.1]").is_err());
    assert!(read("a@[IPv6:zz]").is_err());
    assert!(read("a@[x\u{e9}\u{e9}\u{e9}y]").is_err());
    assert!(read(&format!("a@{}.example", "a".repeat(64))).is_err());
    assert!(read(&format!("a@{}", ["a"; 140].join("."))).is_err());
}

#[test]
fn refuses_what_other_programs_write_or_other_scripts_bring() {
    for (written, problem) in [
        (
            "ops@contoso.com；x",
            "separate addresses by an ASCII ';' or ','",
        ),
        (
            "ops@contoso.com、oncall@contoso.com",
            "separate addresses by an ASCII ';' or ','",
        ),
        (
            "<@a.example:ops@contoso.com>",
            "source routes are not supported, write the last address alone",
        ),
        (
            "Ops <@a.example:ops@contoso.com>",
            "source routes are not supported, write the last address alone",
        ),
        (
            "ops@-ü.example",
            "the domain after the '@' is no internationalised domain name (IDNA, UTS 46)",
        ),
        (
            "ops@\u{202e}ü.example",
            "it contains an invisible character; type it again",
        ),
    ] {
        assert_eq!(read(written), Err(problem), "{written}");
    }
}

#[test]
fn limits_are_those_of_the_bytes_on_the_wire() {
    let domain = format!("{}com", "x234567.".repeat(31));
    assert_eq!(domain.len(), 251);
    let address = |local: &str| format!("{local}@{domain}");
    for local in ["a".repeat(68), "ü".repeat(34)] {
        assert_eq!(address(&local).len(), 320);
        assert!(read(&address(&local)).is_ok());
        let longer = read(&address(&format!("{local}b")));
        assert_eq!(longer, Err("it is longer than 320 octets"));
    }
}

#[test]
fn relays_decide_how_long_a_local_part_may_be() {
    for bytes in [65, 120, 300] {
        let address = format!("reply+{}@x.example", "0".repeat(bytes));
        assert_eq!(read(&address), bare(&address));
    }
}

#[test]
fn a_name_with_a_separator_needs_quotation_marks() {
    let problems = |list: &str| -> Vec<_> {
        let read = parse_address_list(list).into_iter();
        read.map(|entry| entry.err().map(|error| error.problem))
            .collect()
    };
    let part = Some(
        "there is no '@'; a name that holds ',' or ';' needs quotation marks: \"Last, First\" <a@b>",
    );
    let no_at = Some("there is no '@'");
    assert_eq!(problems("Order desk, EMEA <s@x>"), [part, None]);
    assert_eq!(
        problems("a@x; Order desk; EMEA, North <s@x>"),
        [None, part, part, None]
    );
    assert_eq!(problems("Order desk, s@x, EMEA <s@x>"), [no_at, None, None]);
    assert_eq!(problems("EMEA <s@x>, Order desk"), [None, no_at]);
    assert_eq!(problems("\"Order desk, EMEA\" <s@x>"), [None]);
}

#[test]
fn a_scheme_before_the_address_is_no_group() {
    for written in ["SMTP:ops@x.example", "Ops <smtp:ops@x.example>"] {
        assert_eq!(
            read(written),
            Err("write the address alone, without 'SMTP:'")
        );
    }
    let mailto = read("MailTo:ops@x.example");
    assert_eq!(mailto, Err("write the address alone, without 'mailto:'"));
}

#[test]
fn international_addresses_are_written_in_one_way() {
    for (written, address) in [
        ("Ops@MÜNCHEN.example", "Ops@xn--mnchen-3ya.example"),
        ("ops @ mu\u{308}nchen.example", "ops@xn--mnchen-3ya.example"),
        ("a@हिन्दी.example", "a@xn--j2bd4cyah0f.example"),
        ("ju\u{308}rgen@x.example", "jürgen@x.example"),
        ("Дмитрий@почта.рф", "Дмитрий@xn--80a1acny.xn--p1ai"),
        ("\"ü ü\"@x.example", "\"ü ü\"@x.example"),
    ] {
        assert_eq!(read(written), bare(address), "{written}");
        assert_eq!(read(address), bare(address), "{address}");
    }
    let mailbox = |text| parse_mailbox(text).expect("is one");
    assert!(mailbox("jürgen@x.example").address.is_international());
    assert!(
        !mailbox("Jürgen <j@münchen.example>")
            .address
            .is_international()
    );
    // Letters that only look alike are other letters: two addresses stay two.
    assert_ne!(
        mailbox("\u{430}dmin@x.example").address.comparable(),
        mailbox("admin@x.example").address.comparable()
    );
}

#[test]
fn a_route_that_a_separator_cut_says_what_it_is() {
    let route = "source routes are not supported, write the last address alone";
    let list = "<@a.example,@b.example:ops@contoso.com>; ops@contoso.com";
    let read = parse_address_list(list);
    let problems: Vec<_> = read
        .iter()
        .map(|r| r.as_ref().err().map(|e| e.problem))
        .collect();
    assert_eq!(problems, [Some(route), Some(route), None]);
}

#[test]
fn refuses_groups() {
    let group = Err("groups are not supported, write the members");
    assert_eq!(read("undisclosed-recipients:"), group);
    assert_eq!(read("Team: a@contoso.com"), group);
    assert_eq!(read("Team: A <a@contoso.com>"), group);
    assert_eq!(
        read(r#""Team: A" <a@contoso.com>"#),
        named("Team: A", "a@contoso.com")
    );
}

fn addresses(list: &str) -> Vec<Result<String, String>> {
    parse_address_list(list)
        .into_iter()
        .map(|entry| entry.map(|m| m.address.into()).map_err(|e| e.written))
        .collect()
}

#[test]
fn separates_at_semicolon_and_comma() {
    let ok = |address: &str| Ok(address.to_owned());
    assert_eq!(
        addresses("a@x.example; b@x.example,c@x.example;;, ;"),
        [ok("a@x.example"), ok("b@x.example"), ok("c@x.example")]
    );
    assert_eq!(
        addresses(r#""Doe, J; x" <a@x.example>, b@x.example (one, two)"#),
        [ok("a@x.example"), ok("b@x.example")]
    );
    assert_eq!(addresses(" ;, "), []);
}

#[test]
fn a_malformed_entry_does_not_hide_the_others() {
    for broken in [
        "nobody",
        "<a@x.example",
        "\"Broken <a@x.example>",
        "(broken",
        "((bro)ken",
        "bad)",
        "\"a\\",
        "Team: x@y.example",
        "\u{1}@x.example",
    ] {
        let list = format!("first@x.example; {broken}; \u{fc} <last@x.example>");
        let read = addresses(&list);
        assert_eq!(read.len(), 3, "{list}");
        assert_eq!(read[0], Ok("first@x.example".to_owned()), "{list}");
        assert!(read[1].is_err(), "{list}");
        assert_eq!(read[2], Ok("last@x.example".to_owned()), "{list}");
    }
}

#[test]
fn a_long_list_of_openings_is_read_in_linear_time() {
    let openings = "(\"".repeat(200_000);
    assert_eq!(addresses(&format!("{openings};a@x.example")).len(), 2);
}

#[test]
fn an_error_shows_one_line() {
    let error = parse_mailbox("a\r\nb\0").expect_err("line breaks are refused");
    assert_eq!(error.written, "a\u{fffd}\u{fffd}b\u{fffd}");
}

#[test]
fn compares_domains_without_case_and_masks_for_logs() {
    let address: Address = "Ops@Contoso.COM".parse().expect("is one");
    assert_eq!(address.comparable(), "Ops@contoso.com");
    assert_eq!(address.masked(), "O***@Contoso.COM");
    assert_eq!(address.local_part(), "Ops");
}

fn expanded(to: &str, cc: &str, bcc: &str) -> Vec<(u32, RecipientKind, String, bool)> {
    let some = |list: &str| Some(list.to_owned()).filter(|list| !list.is_empty());
    let alert = crate::domain::Alert {
        to_recipients: some(to),
        cc_recipients: some(cc),
        bcc_recipients: some(bcc),
        ..crate::fixture::alert()
    };
    expand_recipients(&alert)
        .into_iter()
        .map(|r| {
            let is_malformed = r.address.mailbox().is_none();
            (r.ordinal, r.kind, r.address.text().to_owned(), is_malformed)
        })
        .collect()
}

#[test]
fn duplicates_collapse_to_over_cc_over_bcc_and_ordinals_stay() {
    use RecipientKind::{Bcc, Cc, To};
    let row = |ordinal, kind, address: &str| (ordinal, kind, address.to_owned(), false);
    assert_eq!(
        expanded(
            "a@x.example; b@x.example; a@X.EXAMPLE",
            "c@x.example; B <b@x.example>",
            "c@x.example; d@x.example; A@x.example",
        ),
        [
            row(0, To, "a@x.example"),
            row(1, To, "b@x.example"),
            row(2, Cc, "c@x.example"),
            row(3, Bcc, "d@x.example"),
            row(4, Bcc, "A@x.example"),
        ]
    );
}

#[test]
fn one_mailbox_in_many_spellings_is_one_recipient() {
    let rows = expanded(
        "Ops <ops@münchen.example>; ops@MÜNCHEN.EXAMPLE",
        "ops@xn--mnchen-3ya.example; ops@XN--MNCHEN-3YA.example; ju\u{308}rgen@x.example",
        "ops@mu\u{308}nchen.example; jürgen@X.example",
    );
    let found: Vec<_> = rows.iter().map(|row| (row.1, &*row.2)).collect();
    assert_eq!(
        found,
        [
            (RecipientKind::To, "ops@xn--mnchen-3ya.example"),
            (RecipientKind::Cc, "jürgen@x.example"),
        ]
    );
}

#[test]
fn a_malformed_recipient_has_a_row_of_its_own() {
    let rows = expanded("nobody; a@x.example; nobody", "", "\u{1}b@x.example");
    let bad = |ordinal, kind, shown: &str| (ordinal, kind, shown.to_owned(), true);
    assert_eq!(rows[0], bad(0, RecipientKind::To, "nobody"));
    assert_eq!(rows[1].2, "a@x.example");
    assert_eq!(rows[2], bad(2, RecipientKind::Bcc, "\u{fffd}b@x.example"));
    assert_eq!(rows.len(), 3);
}

/// No control character, and neither angle bracket nor space outside quotation marks.
fn fits_into_a_command(address: &Address) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for c in address.chars() {
        if c.is_control() || (!quoted && matches!(c, '<' | '>' | ' ')) {
            return false;
        }
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
    }
    !address.is_empty() && !quoted
}

#[test]
fn refuses_what_would_break_a_command() {
    for good in [
        "a@b.test",
        "\"a b\"@b.test",
        "\"<x>\"@b.test",
        "a+b=c@[192.0.2.1]",
    ] {
        let address: Address = good.parse().expect(good);
        assert!(address.as_str() == good && fits_into_a_command(&address));
    }
    for bad in [
        "",
        "a@b\r\nRSET",
        "a\n@b",
        "a\0@b",
        "a>@b",
        "<a@b",
        "a@b> NOTIFY=NEVER",
        "\"a@b",
        "x@y>\r\nRSET",
        "x@b\r\nRCPT TO:<y@b",
    ] {
        assert!(bad.parse::<Address>().is_err(), "{bad:?}");
    }
}

#[test]
fn writes_a_name_with_quotation_marks_only_where_it_needs_them() {
    for (written, shown) in [
        ("\"Order Watch\" <a@b.c>", "Order Watch <a@b.c>"),
        ("Büro <a@b.c>", "Büro <a@b.c>"),
        ("\"Miller, Eve\" <a@b.c>", "\"Miller, Eve\" <a@b.c>"),
        ("\"a  b\" <a@b.c>", "\"a  b\" <a@b.c>"),
        ("J. Doe <a@b.c>", "\"J. Doe\" <a@b.c>"),
    ] {
        let mailbox: Mailbox = written.parse().expect(written);
        assert_eq!(mailbox.to_string(), shown);
        assert_eq!(shown.parse(), Ok(mailbox));
    }
}

#[test]
fn a_row_is_read_back_as_what_it_was() {
    for written in [
        "Ops <ops@contoso.com>",
        "\"a b\"@b.test",
        "nobody",
        "a@b; c",
    ] {
        let address = RecipientAddress::from(parse_mailbox(written));
        let name = address.mailbox().and_then(|it| it.display_name.clone());
        assert_eq!(RecipientAddress::from_row(address.text(), name), address);
    }
}

proptest! {
    #[test]
    fn ordinals_count_from_zero_however_often_the_lists_are_read(
        to in any::<String>(), cc in any::<String>(), bcc in any::<String>()
    ) {
        let rows = expanded(&to, &cc, &bcc);
        prop_assert!(rows.iter().zip(0..).all(|(row, n)| row.0 == n));
        prop_assert_eq!(rows, expanded(&to, &cc, &bcc));
    }

    #[test]
    fn any_list_is_read(list in any::<String>()) {
        for entry in parse_address_list(&list) {
            match entry {
                Ok(mailbox) => {
                    prop_assert!(fits_into_a_command(&mailbox.address));
                    prop_assert!(!mailbox.to_string().chars().any(char::is_control));
                    prop_assert_eq!(parse_mailbox(&mailbox.to_string()), Ok(mailbox));
                }
                Err(error) => {
                    prop_assert!(!error.to_string().chars().any(char::is_control));
                }
            }
        }
    }

    #[test]
    fn lists_of_the_grammars_own_characters_are_read(
        list in "[ab@.:;,<>()\"\\\\ \\[\\]\t\n\u{fc}]{0,60}"
    ) {
        for mailbox in parse_address_list(&list).into_iter().flatten() {
            prop_assert!(!mailbox.to_string().chars().any(char::is_control));
            prop_assert_eq!(parse_mailbox(&mailbox.to_string()), Ok(mailbox));
        }
    }

    #[test]
    fn a_list_is_read_back_as_it_is_written(
        people in proptest::collection::vec(
            ("\\PC{0,20}", "[a-z0-9.+ü中-]{1,20}|\"[a-z @;,<>()]{0,20}\"", any::<bool>()), 0..6
        ),
        comma in any::<bool>()
    ) {
        let person = |(name, local, international): &(String, String, bool)| {
            let domain = if *international { "münchen.example" } else { "contoso.com" };
            let mailbox = parse_mailbox(&format!("{local}@{domain}")).expect("is one");
            let name = Some(name.trim().to_owned()).filter(|name| !name.is_empty());
            Mailbox { display_name: name, ..mailbox }
        };
        let mailboxes: Vec<_> = people.iter().map(person).collect();
        let written: Vec<_> = mailboxes.iter().map(Mailbox::to_string).collect();
        let list = written.join(if comma { ", " } else { ";" });
        let read: Vec<_> = parse_address_list(&list).into_iter().map(|m| m.expect("is one")).collect();
        prop_assert_eq!(read, mailboxes);
    }

    #[test]
    fn international_addresses_are_read(
        address in "[a-zü\u{308}\u{4e2d}\u{5d0}\u{627}\u{200d}\u{202e}\u{1f600}]{1,6}@[a-zß.ü\u{308}\u{4e2d}\u{5d0}\u{627}\u{200d}\u{ff0e}\u{3002}-]{1,12}"
    ) {
        if let Ok(mailbox) = parse_mailbox(&address) {
            prop_assert!(mailbox.address.domain().is_ascii());
            prop_assert_eq!(parse_mailbox(&mailbox.address), Ok(mailbox));
        }
    }

    #[test]
    fn display_and_parse_are_inverse(name in "\\PC{1,40}", local in "[a-z0-9.+-]{1,20}") {
        let mailbox = Mailbox {
            display_name: Some(name.trim().to_owned()).filter(|name| !name.is_empty()),
            address: format!("{local}@contoso.com").parse().expect("is one"),
        };
        prop_assert_eq!(parse_mailbox(&mailbox.to_string()), Ok(mailbox));
    }

    #[test]
    fn good_entries_survive_any_neighbour_without_quotation_marks(
        junk in "[^\"(]{0,40}", comma in any::<bool>()
    ) {
        let separator = if comma { ',' } else { ';' };
        let list = format!("a@x.example{separator}{junk}{separator}b@x.example");
        let read = addresses(&list);
        prop_assert_eq!(read.first(), Some(&Ok("a@x.example".to_owned())));
        prop_assert_eq!(read.last(), Some(&Ok("b@x.example".to_owned())));
    }
}
