//! A DER writer (X.690): a tree of borrowed values whose lengths are known before anything is
//! written, so every octet is copied once.

use super::super::der::{OCTET_STRING, SEQUENCE, SET};

/// A value, or several one after the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Der<'a> {
    /// Encoded DER.
    Made(&'a [u8]),
    /// A tag and its content.
    Primitive(u8, &'a [u8]),
    OctetString(&'a [u8]),
    /// A tag and its values.
    Constructed(u8, &'a [Der<'a>]),
    Sequence(&'a [Der<'a>]),
    /// The caller sorts the values.
    Set(&'a [Der<'a>]),
}

impl Der<'_> {
    pub(super) fn to_vec(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.write(&mut out);
        out
    }

    fn write(self, out: &mut Vec<u8>) {
        if let Some(tag) = self.tag() {
            out.push(tag);
            write_length(self.length(), out);
        }
        match self {
            Self::Made(bytes) | Self::Primitive(_, bytes) | Self::OctetString(bytes) => {
                out.extend_from_slice(bytes);
            }
            Self::Constructed(_, values) | Self::Sequence(values) | Self::Set(values) => {
                values.iter().for_each(|it| it.write(out));
            }
        }
    }

    fn tag(self) -> Option<u8> {
        match self {
            Self::Made(_) => None,
            Self::Primitive(tag, _) | Self::Constructed(tag, _) => Some(tag),
            Self::OctetString(_) => Some(OCTET_STRING),
            Self::Sequence(_) => Some(SEQUENCE),
            Self::Set(_) => Some(SET),
        }
    }

    /// Including tag and length.
    fn size(self) -> usize {
        let length = self.length();
        match self {
            Self::Made(_) => length,
            _ => 1 + size_of_length(length) + length,
        }
    }

    fn length(self) -> usize {
        match self {
            Self::Made(bytes) | Self::Primitive(_, bytes) | Self::OctetString(bytes) => bytes.len(),
            Self::Constructed(_, values) | Self::Sequence(values) | Self::Set(values) => {
                values.iter().map(|it| it.size()).sum()
            }
        }
    }
}

/// The short form up to 127, else the shortest long form (sections 8.1.3 and 10.1).
fn write_length(length: usize, out: &mut Vec<u8>) {
    let digits = length.to_be_bytes();
    let count = size_of_length(length) - 1;
    match (u8::try_from(length), u8::try_from(count)) {
        (Ok(length @ ..0x80), _) => out.push(length),
        (_, Ok(count)) => out.push(0x80 | count),
        _ => unreachable!("a length has eight octets at most"),
    }
    out.extend_from_slice(&digits[digits.len() - count..]);
}

fn size_of_length(length: usize) -> usize {
    match length {
        ..0x80 => 1,
        _ => 1 + (usize::BITS - length.leading_zeros()).div_ceil(8) as usize,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::der::Values;

    #[test]
    fn writes_the_shortest_length() {
        for (length, header) in [
            (0, &[4, 0][..]),
            (1, &[4, 1]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_535, &[4, 0x82, 0xFF, 0xFF]),
            (65_536, &[4, 0x83, 1, 0, 0]),
            (16_777_216, &[4, 0x84, 1, 0, 0, 0]),
        ] {
            let bytes = vec![7; length];
            let made = Der::OctetString(&bytes).to_vec();
            assert_eq!(
                (&made[..header.len()], made.len()),
                (header, header.len() + length)
            );
        }
    }

    #[test]
    fn counts_the_lengths_of_nested_values() {
        let inner = [1; 126];
        let inner = [Der::OctetString(&inner), Der::Made(&[5, 0])];
        let made = Der::Sequence(&[Der::Sequence(&inner)]).to_vec();
        assert_eq!(made[..8], [0x30, 0x81, 133, 0x30, 0x81, 130, 4, 126]);
        assert_eq!(made.len(), 136);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(
            values in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..400), 0..9)
        ) {
            let inner: Vec<_> = values.iter().map(|it| Der::OctetString(it)).collect();
            let made = Der::Sequence(&inner).to_vec();
            let read = Values(&made).next().unwrap();
            prop_assert_eq!(read.whole.len(), made.len());
            let read: Vec<_> = read.values().map(|it| it.content.to_vec()).collect();
            prop_assert_eq!(read, values);
        }
    }
}
