//! Charsets of text in messages (RFC 2046 section 4.1.2).

use std::borrow::Cow;
use std::fmt;

use encoding_rs::{Encoding, UTF_8, WINDOWS_874, WINDOWS_1252, WINDOWS_1254, X_USER_DEFINED};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

/// Charsets whose bytes 128 to 159 are undefined, unlike those of their encoder.
const NARROWER: &[(&str, &[&str], &Encoding)] = &[
    (
        "iso-8859-1",
        &["iso_8859-1", "iso8859-1", "latin1", "l1", "cp819"],
        WINDOWS_1252,
    ),
    (
        "iso-8859-9",
        &["iso_8859-9", "iso8859-9", "latin5", "l5"],
        WINDOWS_1254,
    ),
    ("iso-8859-11", &["iso8859-11", "tis-620"], WINDOWS_874),
    ("us-ascii", &["ascii"], WINDOWS_1252),
];

/// A charset. It never drops or replaces a character that it lacks.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset {
    name: &'static str,
    encoding: &'static Encoding,
    narrower: bool,
}

impl Charset {
    /// The charset of every character.
    pub const UTF_8: Self = Self {
        name: "utf-8",
        encoding: UTF_8,
        narrower: false,
    };

    /// Its name in `charset=` and in encoded-words.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// The bytes of a text, or `None` where a character would not round-trip.
    pub fn encode(self, text: &str) -> Option<Cow<'_, [u8]>> {
        if self == Self::UTF_8 {
            return Some(Cow::Borrowed(text.as_bytes()));
        }
        let (bytes, _, unmappable) = self.encoding.encode(text);
        if unmappable || (self.narrower && !self.is_within(&bytes)) {
            return None;
        }
        // Some encoders write similar characters, such as a backslash for a yen sign.
        let (back, malformed) = self.encoding.decode_without_bom_handling(&bytes);
        (!malformed && back == text).then_some(bytes)
    }

    /// The bytes of HTML; a missing character becomes a character reference (HTML section 13.1.4).
    /// `None` where that does not round-trip either.
    pub fn encode_html(self, html: &str) -> Option<Cow<'_, [u8]>> {
        if let Some(bytes) = self.encode(html) {
            return Some(bytes);
        }
        let mut written = String::with_capacity(html.len());
        for c in html.chars() {
            match self.encode(c.encode_utf8(&mut [0; 4])) {
                Some(_) => written.push(c),
                None => written += &format!("&#{};", u32::from(c)),
            }
        }
        let bytes = self.encode(&written)?;
        Some(Cow::Owned(bytes.into_owned()))
    }

    fn is_within(self, bytes: &[u8]) -> bool {
        match self.name {
            "us-ascii" => bytes.is_ascii(),
            _ => !bytes.iter().any(|byte| (0x80..0xa0).contains(byte)),
        }
    }
}

impl Default for Charset {
    fn default() -> Self {
        Self::UTF_8
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<'de> Deserialize<'de> for Charset {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let written = String::deserialize(deserializer)?;
        Self::try_from(written).map_err(D::Error::custom)
    }
}

impl Serialize for Charset {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name)
    }
}

/// A name that is no character set, or one that only decodes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "'{}' is no character set that mail can be written in; write for example \"utf-8\", \
     \"windows-1252\", \"iso-8859-1\", \"iso-8859-15\", \"shift_jis\" or \"gbk\"",
    .0.escape_debug()
)]
pub struct UnknownCharset(String);

impl TryFrom<String> for Charset {
    type Error = UnknownCharset;

    fn try_from(written: String) -> Result<Self, UnknownCharset> {
        let label = written.trim().to_ascii_lowercase();
        let narrower = NARROWER
            .iter()
            .find(|(name, aliases, _)| *name == label || aliases.contains(&&*label));
        if let Some(&(name, _, encoding)) = narrower {
            return Ok(Self {
                name,
                encoding,
                narrower: true,
            });
        }
        match Encoding::for_label(label.as_bytes()) {
            Some(encoding) if encoding == UTF_8 => Ok(Self::UTF_8),
            Some(encoding)
                if encoding.output_encoding() == encoding && encoding != X_USER_DEFINED =>
            {
                Ok(Self {
                    name: encoding.name(),
                    encoding,
                    narrower: false,
                })
            }
            _ => Err(UnknownCharset(written)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn charset(name: &str) -> Charset {
        Charset::try_from(name.to_owned()).unwrap()
    }

    fn encoded(name: &str, text: &str) -> Option<Vec<u8>> {
        charset(name).encode(text).map(Cow::into_owned)
    }

    #[test]
    fn a_name_means_what_its_standard_says() {
        assert_eq!(encoded("windows-1252", "5 €"), Some(b"5 \x80".to_vec()));
        assert_eq!(encoded("iso-8859-15", "5 €"), Some(b"5 \xa4".to_vec()));
        assert_eq!(
            encoded("ISO-8859-1", "Größe"),
            Some(b"Gr\xf6\xdfe".to_vec())
        );
        assert_eq!(encoded("iso-8859-1", "5 €"), None, "not in this one");
        assert_eq!(encoded("us-ascii", "Größe"), None);
        assert_eq!(
            encoded("shift_jis", "注文"),
            Some(b"\x92\x8d\x95\xb6".to_vec())
        );
        assert_eq!(
            encoded("iso-2022-jp", "注"),
            Some(b"\x1b$BCm\x1b(B".to_vec())
        );
        assert_eq!(charset("latin1").name(), "iso-8859-1");
        assert_eq!(charset("Shift_JIS").name(), "Shift_JIS");
        assert_eq!(charset("UTF8"), Charset::UTF_8);
    }

    #[test]
    fn look_alikes_are_no_substitute() {
        assert_eq!(encoded("shift_jis", "¥500"), None);
        assert_eq!(encoded("iso-2022-jp", "ｱ"), None);
    }

    #[test]
    fn html_says_in_references_what_the_set_lacks() {
        let bytes = charset("iso-8859-1")
            .encode_html("<p>Größe: 5 € 注</p>")
            .unwrap();
        assert_eq!(bytes, &b"<p>Gr\xf6\xdfe: 5 &#8364; &#27880;</p>"[..]);
    }

    #[test]
    fn charsets_unfit_for_email_are_refused() {
        for name in [
            "utf-16",
            "utf-16le",
            "x-user-defined",
            "klingon",
            "",
            "replacement",
        ] {
            let error = Charset::try_from(name.to_owned())
                .expect_err(name)
                .to_string();
            assert!(error.contains("windows-1252"), "{error}");
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost(text in "\\PC{0,20}", which in 0_usize..8) {
            let names = ["iso-8859-1", "iso-8859-9", "windows-1252", "shift_jis", "iso-2022-jp", "gb18030", "big5", "koi8-r"];
            let charset = charset(names[which]);
            if let Some(bytes) = charset.encode(&text) {
                let (back, malformed) = charset.encoding.decode_without_bom_handling(&bytes);
                prop_assert!(!malformed);
                prop_assert_eq!(&*back, &*text);
            }
            prop_assert!(charset.encode_html(&text).is_some());
        }
    }
}
