//! The encoding of ENVID and ORCPT.

/// Decodes `xtext` (RFC 3461 section 4): printable ASCII without `=`, and `+` with two hexadecimal digits, in
/// lower case too. `None` where it is malformed, or no UTF-8.
pub(super) fn decode(text: &str) -> Option<String> {
    let is_xchar = |byte: u8| byte.is_ascii_graphic() && byte != b'=';
    text.bytes().all(is_xchar).then_some(())?;
    unescape(text)
}

/// Encodes as `xtext`.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte.is_ascii_graphic() && byte != b'=' && byte != b'+' {
            true => encoded.push(char::from(byte)),
            false => encoded += &format!("+{byte:02X}"),
        }
    }
    encoded
}

/// Decodes the address of an `ORCPT` of type `utf-8` (RFC 6533 section 3): `utf-8-addr-xtext` or, where the
/// connection takes UTF-8, `utf-8-addr-unitext`. Both write a code point as `\x{HEX}`.
pub(super) fn decode_unitext(text: &str) -> Option<String> {
    let is_free = |c: char| !c.is_control() && !c.is_whitespace() && c != '=';
    text.chars().all(is_free).then_some(())?;
    let text = unescape(text)?;
    let mut decoded = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, escape)) = rest.split_once('\\') {
        decoded.push_str(before);
        let (digits, after) = escape.strip_prefix("x{")?.split_once('}')?;
        let is_hex =
            (2..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_hexdigit());
        is_hex.then_some(())?;
        decoded.push(char::from_u32(u32::from_str_radix(digits, 16).ok()?)?);
        rest = after;
    }
    decoded.push_str(rest);
    Some(decoded)
}

fn unescape(text: &str) -> Option<String> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => digit(bytes.next()?)? * 16 + digit(bytes.next()?)?,
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}
