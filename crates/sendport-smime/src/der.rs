//! A DER reader (X.690) for what OpenSSL's binding does not expose: extensions of certificates, and
//! the capabilities in SignedData (RFC 5652).

/// Tags of the universal class.
pub(super) const BOOLEAN: u8 = 0x01;
pub(super) const INTEGER: u8 = 0x02;
pub(super) const BIT_STRING: u8 = 0x03;
pub(super) const OCTET_STRING: u8 = 0x04;
pub(super) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(super) const UTC_TIME: u8 = 0x17;
pub(super) const GENERALIZED_TIME: u8 = 0x18;
pub(super) const SEQUENCE: u8 = 0x30;
pub(super) const SET: u8 = 0x31;

/// A constructed tag of the context-specific class.
pub(super) const fn context(number: u8) -> u8 {
    0xA0 | number
}

/// One value. Tags have one byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Value<'a> {
    pub(super) tag: u8,
    pub(super) content: &'a [u8],
    /// Tag, length and content.
    pub(super) whole: &'a [u8],
}

/// The values in a sequence of bytes; ends before malformed DER.
#[derive(Debug, Clone, Copy)]
pub(super) struct Values<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Values<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let (&tag, rest) = self.0.split_first()?;
        let (length, header) = length(rest)?;
        let end = length.checked_add(1 + header)?;
        let (whole, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        Some(Value {
            tag,
            content: &whole[1 + header..],
            whole,
        })
    }
}

/// A length, and how many bytes encode it. `None` for the indefinite form.
fn length(bytes: &[u8]) -> Option<(usize, usize)> {
    let (&first, rest) = bytes.split_first()?;
    if first < 0x80 {
        return Some((first.into(), 1));
    }
    let count = usize::from(first & 0x7F);
    if count == 0 || count > 4 {
        return None;
    }
    let digits = rest.get(..count)?;
    let length = digits
        .iter()
        .fold(0, |sum, digit| sum << 8 | usize::from(*digit));
    Some((length, 1 + count))
}

impl<'a> Value<'a> {
    /// The values of its content, if it is constructed.
    pub(super) fn values(self) -> Values<'a> {
        Values(self.content)
    }

    /// The first value in it with a tag.
    pub(super) fn find(self, tag: u8) -> Option<Value<'a>> {
        self.values().find(|value| value.tag == tag)
    }

    /// `1.2.840.113549`, of an OBJECT IDENTIFIER (X.690 section 8.19).
    pub(super) fn dotted(self) -> Option<String> {
        if self.tag != OBJECT_IDENTIFIER {
            return None;
        }
        let mut numbers = Vec::new();
        let mut number = 0_u64;
        for &byte in self.content {
            number = number.checked_mul(128)? + u64::from(byte & 0x7F);
            if byte & 0x80 == 0 {
                numbers.push(std::mem::take(&mut number));
            }
        }
        let (&both, others) = numbers.split_first()?;
        let first = (both / 40).min(2);
        let mut text = format!("{first}.{}", both - 40 * first);
        for number in others {
            text.push('.');
            text.push_str(&number.to_string());
        }
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn stops_at_malformed_der() {
        let bytes = [0x02, 0x01, 0x07, 0x30, 0x81, 0x02, 0x05, 0x00, 0x30, 0x80];
        let found: Vec<_> = Values(&bytes).map(|it| (it.tag, it.content)).collect();
        assert_eq!(found, [(0x02, &[7][..]), (SEQUENCE, &[0x05, 0x00])]);
    }

    #[test]
    fn writes_object_identifiers_with_dots() {
        let shown = |content: &[u8]| {
            let whole = [&[6, u8::try_from(content.len()).unwrap()], content].concat();
            Values(&whole).next().unwrap().dotted()
        };
        let rsa = [0x2A, 0x86, 0x48, 0x86, 0xF7, 0x0D];
        assert_eq!(shown(&rsa).as_deref(), Some("1.2.840.113549"));
        assert_eq!(shown(&[0x55, 0x1D, 0x0F]).as_deref(), Some("2.5.29.15"));
        assert_eq!(shown(&[0xFF; 12]), None);
        assert_eq!(shown(&[]), None);
    }

    proptest! {
        #[test]
        fn reads_any_bytes_without_overrun(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut left = bytes.len();
            for value in Values(&bytes) {
                prop_assert!(value.whole.len() <= left && value.content.len() < value.whole.len());
                left -= value.whole.len();
                let _ = (value.dotted(), value.values().count());
            }
        }
    }
}
