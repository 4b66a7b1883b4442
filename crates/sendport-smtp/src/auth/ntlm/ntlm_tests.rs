//! The examples of MS-NLMP section 4.2 and of MS-SMTPNTLM section 4, and whatever bytes come.

use openssl::base64::decode_block;
use proptest::prelude::*;

use super::*;

const SERVER_CHALLENGE: [u8; 8] = [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef];
const CLIENT_CHALLENGE: [u8; 8] = [0xaa; 8];

fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.split_ascii_whitespace().collect();
    let pairs = (0..digits.len()).step_by(2).map(|at| &digits[at..at + 2]);
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).expect("two digits"))
        .collect()
}

/// MS-NLMP section 4.2.4.3.
fn challenge_of_v2() -> Vec<u8> {
    hex(
        "4e544c4d53535000 02000000 0c000c0038000000 33828ae2 0123456789abcdef 0000000000000000
         2400240044000000 060070170000000f 530065007200760065007200
         02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000",
    )
}

/// `Domain\User` with `Password`, as the examples have it; the domain is not in capitals.
fn of_the_examples(context: NtlmContext) -> Ntlm {
    Ntlm {
        logon: Logon {
            user: "User".to_owned(),
            domain: "Domain".to_owned(),
        },
        password: Secret::new("Password".to_owned()),
        context,
        client_challenge: CLIENT_CHALLENGE,
        state: State::NegotiateSent,
    }
}

fn context() -> NtlmContext {
    NtlmContext {
        host: "mail.example.test".to_owned(),
        tls_server_end_point: None,
        now: DateTime::UNIX_EPOCH,
        allow_v1: false,
    }
}

#[test]
fn v1_as_in_the_specification() {
    let key = v1::nt_owf("Password");
    assert_eq!(key.to_vec(), hex("a4f49c406510bdcab6824ee7c30fd852"));
    let responses = v1::responses(&key, SERVER_CHALLENGE);
    let expected = hex("67c43011f30298a2ad35ece64f16331c44bdbed927841f94");
    assert_eq!(
        (responses.nt.to_vec(), responses.lm.to_vec()),
        (expected.clone(), expected)
    );
}

#[test]
fn v1_with_extended_session_security_as_in_the_specification() {
    let key = v1::nt_owf("Password");
    let responses = v1::responses_with_ess(&key, SERVER_CHALLENGE, CLIENT_CHALLENGE);
    assert_eq!(
        responses.lm.to_vec(),
        hex("aaaaaaaaaaaaaaaa00000000000000000000000000000000")
    );
    assert_eq!(
        responses.nt.to_vec(),
        hex("7537f803ae367128ca458204bde7caf81e97ed2683267232")
    );
}

#[test]
fn v2_as_in_the_specification() {
    let key = v2::nt_owf("Password", "User", "Domain");
    assert_eq!(key.to_vec(), hex("0c868a403bfd7a93a3001ef22ef02e3f"));
    let challenge = Challenge::parse(&challenge_of_v2()).expect("a challenge");
    let target_info = challenge
        .target_info
        .expect("target information")
        .to_bytes();
    let responses = v2::responses(
        &key,
        SERVER_CHALLENGE,
        CLIENT_CHALLENGE,
        [0; 8],
        &target_info,
    );
    assert_eq!(responses.nt[..16], hex("68cd0ab851e51c96aabc927bebef6a1c"));
    assert_eq!(
        responses.lm.to_vec(),
        hex("86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa")
    );
    assert_eq!(
        responses.session_base_key.to_vec(),
        hex("8de40ccadbc14a82f15cb0ad0de95ca3")
    );
}

#[test]
fn the_messages_of_the_specification() {
    let challenge = Challenge::parse(&challenge_of_v2()).expect("a challenge");
    assert_eq!(challenge.server_challenge, SERVER_CHALLENGE);
    assert_eq!(challenge.flags, Flags(0xe28a_8233));
    let target_info = challenge
        .target_info
        .expect("target information")
        .to_bytes();
    let key = v2::nt_owf("Password", "User", "Domain");
    let responses = v2::responses(
        &key,
        SERVER_CHALLENGE,
        CLIENT_CHALLENGE,
        [0; 8],
        &target_info,
    );
    let message = Authenticate {
        flags: Flags(0xe288_8235),
        lm_response: &responses.lm,
        nt_response: &responses.nt,
        domain: logon::utf_16("Domain"),
        user: logon::utf_16("User"),
        workstation: logon::utf_16("COMPUTER"),
        session_key: &hex("c5dad2544fc9799094ce1ce90bc9d03e"),
        version: [5, 1, 0x28, 0x0a, 0, 0, 0, 15],
    };
    let expected = hex(
        "4e544c4d5353500003000000 180018006c000000 5400540084000000 0c000c0048000000
         0800080054000000 100010005c000000 10001000d8000000 358288e2 0501280a0000000f
         44006f006d00610069006e00 5500730065007200 43004f004d0050005500540045005200
         86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa
         68cd0ab851e51c96aabc927bebef6a1c 0101000000000000 0000000000000000 aaaaaaaaaaaaaaaa
         00000000 02000c0044006f006d00610069006e00 01000c00530065007200760065007200 00000000
         00000000 c5dad2544fc9799094ce1ce90bc9d03e",
    );
    assert_eq!(message.to_bytes().to_vec(), expected);
}

/// MS-SMTPNTLM section 4: the server answers the command with a text.
#[test]
fn the_dialogue_of_the_specification() {
    let challenge = "TlRMTVNTUAACAAAAFgAWADgAAAA1goriZt7rI6Uq/ccAAAAAAAAAAGwAbABOAAAABQLODgAAAA9F\
                     AFgAQwBIAC0AQwBMAEkALQA2ADYAAgAWAEUAWABDAEgALQBDAEwASQAtADYANgABABYARQBYAEMA\
                     SAAtAEMATABJAC0ANgA2AAQAFgBlAHgAYwBoAC0AYwBsAGkALQA2ADYAAwAWAGUAeABjAGgALQBj\
                     AGwAaQAtADYANgAAAAAA";
    let challenge = decode_block(challenge).expect("base64");
    let mut ntlm = of_the_examples(context());
    let first = ntlm.respond(b"").expect("to begin again");
    assert_eq!(first.to_vec(), negotiate());
    let answer = ntlm.respond(&challenge).expect("an answer");
    assert_eq!(answer[..12], *b"NTLMSSP\0\x03\0\0\0");
    assert_eq!(answer[60..64], 0xa288_8205_u32.to_le_bytes());
    assert!(ntlm.respond(&challenge).is_err());
}

#[test]
fn a_second_text_instead_of_a_challenge_ends_it() {
    let mut ntlm = of_the_examples(context());
    ntlm.respond(b"").expect("to begin again");
    let error = ntlm.respond(b"").expect_err("enough").to_string();
    assert!(error.contains("expected a CHALLENGE_MESSAGE"), "{error}");
}

fn with_timestamp() -> Vec<u8> {
    let mut message = challenge_of_v2();
    let length = 0x24 + 12_u16;
    message[40..42].copy_from_slice(&length.to_le_bytes());
    message.truncate(message.len() - 4);
    message.extend_from_slice(&[7, 0, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 0]);
    message
}

fn pairs_of(answer: &[u8]) -> AvPairs {
    let offset = u32::from_le_bytes(answer[24..28].try_into().expect("four octets"));
    let response = usize::try_from(offset).expect("small");
    AvPairs::parse(&answer[response + 44..]).expect("pairs")
}

#[test]
fn a_timestamp_brings_a_mic_and_the_channel_is_bound() {
    let mut ntlm = of_the_examples(NtlmContext {
        tls_server_end_point: Some(vec![7; 32]),
        ..context()
    });
    let challenge = with_timestamp();
    let answer = ntlm.respond(&challenge).expect("an answer");
    let key = v2::nt_owf("Password", "User", "Domain");
    let offset = u32::from_le_bytes(answer[24..28].try_into().expect("four octets"));
    let proof_at = usize::try_from(offset).expect("small");
    let proof: [u8; 16] = answer[proof_at..proof_at + 16].try_into().expect("sixteen");
    let session_key = v2::mic(&key, [&proof, b"", b""]);
    let mut without_mic = answer.to_vec();
    without_mic[72..88].fill(0);
    let mic = v2::mic(&session_key, [&negotiate(), &challenge, &without_mic]);
    assert_eq!(answer[72..88], mic);
    let pairs = pairs_of(&answer);
    assert_eq!(pairs.timestamp(), Some([1, 2, 3, 4, 5, 6, 7, 8]));
    let bytes = pairs.to_bytes();
    let name = logon::utf_16("SMTPSVC/mail.example.test");
    for part in [
        &name[..],
        &[6, 0, 4, 0, 2, 0, 0, 0],
        &channel_binding::hashed(Some(&[7; 32])),
    ] {
        assert!(bytes.windows(part.len()).any(|found| found == part));
    }
}

#[test]
fn old_servers_get_v1_only_where_it_is_allowed() {
    // Exim: 48 bytes, no target information, no extended session security.
    let mut exim = hex("4e544c4d53535000 02000000 0000000030000000 01820000 0123456789abcdef");
    exim.resize(48, 0);
    let lengths_of = |allow_v1, challenge: &[u8]| {
        let mut ntlm = of_the_examples(NtlmContext {
            allow_v1,
            ..context()
        });
        let answer = ntlm.respond(challenge).expect("an answer");
        u16::from_le_bytes([answer[20], answer[21]])
    };
    assert_eq!(lengths_of(true, &exim), 24);
    assert_eq!(lengths_of(false, &exim), 16 + 28 + 4 + 4);
    assert!(lengths_of(true, &challenge_of_v2()) > 24);
}

#[test]
fn a_server_without_unicode_takes_ascii_alone() {
    let mut oem = hex("4e544c4d53535000 02000000 0000000030000000 02820000 0123456789abcdef");
    oem.resize(48, 0);
    let mut ntlm = of_the_examples(context());
    let answer = ntlm.respond(&oem).expect("an answer");
    assert!(answer.windows(10).any(|part| part == b"DomainUser"));
    let mut ntlm = of_the_examples(context());
    ntlm.logon = Logon::parse("jürgen");
    let error = ntlm.respond(&oem).expect_err("no ASCII").to_string();
    assert!(error.contains("auth.username 'jürgen'"), "{error}");
}

proptest! {
    #[test]
    fn no_challenge_makes_it_panic(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200),
        flags in any::<u32>(),
        position in (0_u16..300, 0_u32..300),
        begins in any::<bool>(),
        allow_v1 in any::<bool>(),
    ) {
        if begins && bytes.len() > 48 {
            bytes[..12].copy_from_slice(b"NTLMSSP\0\x02\0\0\0");
            bytes[20..24].copy_from_slice(&flags.to_le_bytes());
            bytes[40..42].copy_from_slice(&position.0.to_le_bytes());
            bytes[44..48].copy_from_slice(&position.1.to_le_bytes());
        }
        let mut ntlm = of_the_examples(NtlmContext { allow_v1, ..context() });
        let _ = ntlm.respond(&bytes);
        let _ = ntlm.respond(&bytes);
    }
}
