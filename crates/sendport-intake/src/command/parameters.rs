//! The parameters of MAIL and RCPT (RFC 5321 section 4.1.2, RFC 3461 section 4).

use std::collections::BTreeSet;

use sendport_core::domain::{BodyType, DsnReturn, Notify, NotifyOn};

use super::{SyntaxError, xtext};

/// Longest `ENVID` (RFC 3461 section 4.4) and `ORCPT` (section 4.2) as they are written.
const LONGEST_ENVID: usize = 100;
const LONGEST_ORCPT: usize = 500;

/// The parameters that are not taken yet: keyword in upper case, and value.
pub(super) struct Parameters<'a>(Vec<(String, Option<&'a str>)>);

impl<'a> Parameters<'a> {
    pub(super) fn parse(text: &'a str) -> Result<Self, SyntaxError> {
        let mut parameters: Vec<(String, Option<&str>)> = Vec::new();
        for word in text.split([' ', '\t']).filter(|word| !word.is_empty()) {
            let (keyword, value) = match word.split_once('=') {
                Some((keyword, value)) => (keyword, Some(value)),
                None => (word, None),
            };
            if !is_keyword(keyword) {
                return Err(SyntaxError::Arguments(
                    "expected parameters as KEYWORD=value",
                ));
            }
            let keyword = keyword.to_ascii_uppercase();
            if parameters.iter().any(|(known, _)| *known == keyword) {
                return Err(SyntaxError::Arguments("a parameter occurs twice"));
            }
            parameters.push((keyword, value));
        }
        Ok(Self(parameters))
    }

    fn remove(&mut self, keyword: &str) -> Option<Option<&'a str>> {
        let at = self.0.iter().position(|(known, _)| known == keyword)?;
        Some(self.0.swap_remove(at).1)
    }

    /// The value of a parameter, if it is there.
    pub(super) fn take<T>(
        &mut self,
        keyword: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, SyntaxError> {
        let Some(value) = self.remove(keyword) else {
            return Ok(None);
        };
        let value = value.and_then(read);
        value
            .map(Some)
            .ok_or(SyntaxError::Parameter(keyword, "the value is malformed"))
    }

    /// Whether a parameter without a value is there.
    pub(super) fn flag(&mut self, keyword: &'static str) -> Result<bool, SyntaxError> {
        match self.remove(keyword) {
            None => Ok(false),
            Some(None) => Ok(true),
            Some(Some(_)) => Err(SyntaxError::Parameter(keyword, "it has no value")),
        }
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) -> Result<(), SyntaxError> {
        match self.0.into_iter().next() {
            None => Ok(()),
            Some((keyword, _)) => Err(SyntaxError::UnknownParameter(keyword)),
        }
    }
}

fn is_keyword(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with('-')
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

/// A number of up to 20 digits (RFC 1870 section 4); one that does not fit is too large anyway.
pub(super) fn size(value: &str) -> Option<u64> {
    let is_number = (1..=20).contains(&value.len()) && value.bytes().all(|b| b.is_ascii_digit());
    is_number.then(|| value.parse().unwrap_or(u64::MAX))
}

/// `Some(None)` for `BINARYMIME` (RFC 3030).
pub(super) fn body(value: &str) -> Option<Option<BodyType>> {
    match &*value.to_ascii_uppercase() {
        "7BIT" => Some(Some(BodyType::SevenBit)),
        "8BITMIME" => Some(Some(BodyType::EightBitMime)),
        "BINARYMIME" => Some(None),
        _ => None,
    }
}

pub(super) fn returns(value: &str) -> Option<DsnReturn> {
    match &*value.to_ascii_uppercase() {
        "FULL" => Some(DsnReturn::Full),
        "HDRS" => Some(DsnReturn::Headers),
        _ => None,
    }
}

pub(super) fn envelope_id(value: &str) -> Option<String> {
    let is_short = (1..=LONGEST_ENVID).contains(&value.len());
    let decoded = is_short.then(|| xtext::decode(value))??;
    decoded
        .bytes()
        .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        .then_some(decoded)
}

/// `NEVER` alone, or cases, each once.
pub(super) fn notify(value: &str) -> Option<Notify> {
    if value.eq_ignore_ascii_case("NEVER") {
        return Some(Notify::Never);
    }
    let mut cases = BTreeSet::new();
    for word in value.split(',') {
        let case = match &*word.to_ascii_uppercase() {
            "SUCCESS" => NotifyOn::Success,
            "FAILURE" => NotifyOn::Failure,
            "DELAY" => NotifyOn::Delay,
            _ => return None,
        };
        cases.insert(case).then_some(())?;
    }
    Some(Notify::On(cases))
}

/// Address type and address, decoded: `rfc822;ann@contoso.com`.
pub(super) fn original(value: &str) -> Option<String> {
    let (kind, address) = value.split_once(';')?;
    let is_short = value.len() <= LONGEST_ORCPT && !address.is_empty();
    (is_short && is_keyword(kind)).then_some(())?;
    let address = match kind.eq_ignore_ascii_case("utf-8") {
        true => xtext::decode_unitext(address)?,
        false => xtext::decode(address)?,
    };
    (!address.chars().any(char::is_control)).then(|| format!("{kind};{address}"))
}
