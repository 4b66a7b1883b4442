//! Files beside the texts, and the structure that they make.

use sendport_core::domain::{AttachmentId, ContentDisposition, TransferEncoding};

use super::python::resigned;
use super::*;

/// A file and its content.
type File = (Attachment, &'static [u8]);

fn file(name: &str, content: &'static [u8]) -> File {
    let attachment = Attachment {
        id: AttachmentId(0),
        file_name: Some(name.to_owned()),
        media_type: None,
        disposition: ContentDisposition::Attachment,
        content_id: None,
        description: None,
        transfer_encoding: TransferEncoding::Base64,
        size_bytes: content.len() as u64,
    };
    (attachment, content)
}

fn inline(name: &str, content: &'static [u8]) -> File {
    let (mut attachment, content) = file(name, content);
    attachment.disposition = ContentDisposition::Inline;
    (attachment, content)
}

fn invitation() -> File {
    let (mut attachment, content) = inline(
        "invite.ics",
        b"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nMETHOD:REQUEST\r\nEND:VCALENDAR\r\n",
    );
    attachment.media_type = Some("text/calendar; method=REQUEST".to_owned());
    (attachment, content)
}

fn with_files(alert: &Alert, files: &[File]) -> String {
    let templates = TemplateSet::empty();
    let rendered = templates.render(alert).expect("renders");
    let numbered = files.iter().zip(0..).map(|((file, _), n)| Attachment {
        id: AttachmentId(n),
        ..file.clone()
    });
    let attachments: Vec<_> = numbered.collect();
    let mut draft = draft_message(&rendered, &settings(), &attachments).expect("a draft");
    while let Some(AttachmentId(n)) = draft.wanted() {
        let content = files[usize::try_from(n).expect("small")].1;
        if draft.examines_first() {
            draft.examine(content);
        }
        draft.append(content);
        draft.close();
    }
    let bytes = draft.finish().bytes;
    assert_well_formed(&bytes);
    String::from_utf8(bytes).expect("is ASCII")
}

/// Media types as they are nested.
fn structure(text: &str) -> String {
    let message = MessageParser::default().parse(text).expect("parses");
    nested(&message, 0)
}

fn nested(message: &mail_parser::Message<'_>, id: usize) -> String {
    use mail_parser::MimeHeaders;
    let part = &message.parts[id];
    let found = part.content_type().expect("every part has one");
    let inner = part.sub_parts().unwrap_or_default().iter();
    let inner: Vec<_> = inner.map(|&id| nested(message, id as usize)).collect();
    match (found.subtype().unwrap_or_default(), inner.is_empty()) {
        (subtype, true) => subtype.to_owned(),
        (subtype, false) => format!("{subtype}({})", inner.join(",")),
    }
}

#[test]
fn an_invitation_is_an_alternative_to_the_texts() {
    let (text, html) = (fixture::alert(), html("<img src='cid:logo.png'>"));
    for (alert, files, expected) in [
        (&text, vec![invitation()], "alternative(plain,calendar)"),
        (
            &html,
            vec![invitation()],
            "alternative(plain,html,calendar)",
        ),
        (
            &html,
            vec![file("a.pdf", b"%"), invitation(), inline("logo.png", b"x")],
            "mixed(alternative(plain,related(html,png),calendar),pdf)",
        ),
        (
            &text,
            vec![
                file("invite.ics", b"BEGIN:VCALENDAR\r\n"),
                invitation(),
                invitation(),
            ],
            "mixed(alternative(plain,calendar),calendar,calendar)",
        ),
        (&text, vec![inline("a.ics", b"x")], "mixed(plain,calendar)"),
    ] {
        assert_eq!(structure(&with_files(alert, &files)), expected);
    }
    let text = with_files(&text, &[invitation()]);
    assert!(
        text.contains(
            "Content-Type: text/calendar;\r\n method=REQUEST;\r\n charset=utf-8\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\nBEGIN:VCALENDAR\r\n"
        ),
        "{text}"
    );
}

#[test]
fn an_inline_image_is_found_by_its_files_name() {
    let html = html("<img src=\"cid:logo.png\">");
    let shown = with_files(&html, &[inline("C:\\img\\logo.png", b"x")]);
    assert!(shown.contains("\r\nContent-ID: <logo.png>\r\n"), "{shown}");
    assert_eq!(structure(&shown), "alternative(plain,related(html,png))");
    for other in [inline("other.png", b"x"), file("logo.png", b"x")] {
        let beside = with_files(&html, &[other]);
        assert_eq!(structure(&beside), "mixed(alternative(plain,html),png)");
    }
    let (mut named, content) = inline("logo.png", b"x");
    named.content_id = Some("own".to_owned());
    let named = with_files(&html, &[(named, content)]);
    assert!(named.contains("Content-ID: <own>"), "{named}");
}

#[test]
fn a_text_is_sent_as_people_read_it_and_in_its_charset() {
    for (content, expected) in [
        (
            &b"order;late\r\n4711;2"[..],
            "\r\n charset=utf-8;\r\n name=a.csv\r\nContent-Disposition: attachment;\r\n filename=a.csv\r\nContent-Transfer-Encoding: 7bit\r\n\r\norder;late\r\n4711;2\r\n--",
        ),
        (
            b"Gr\xc3\xb6\xc3\x9fe in Zentimetern\r\n",
            "Content-Transfer-Encoding: quoted-printable\r\n\r\nGr=C3=B6=C3=9Fe in Zentimetern\r\n",
        ),
        (b"o\0;\0l\0", "\r\n charset=utf-16le;\r\n"),
        (b"\xff\xfeo\0;\0l\0", "\r\n charset=utf-16;\r\n"),
    ] {
        let text = with_files(&fixture::alert(), &[file("a.csv", content)]);
        assert!(text.contains(expected), "{text}");
    }
}

/// List software re-serialises what it passes on: what was signed has to stay what it was.
#[test]
fn python_writes_a_signed_message_as_it_read_it() {
    let (text, html) = (fixture::alert(), html("<img src='cid:logo.png'>"));
    for (alert, files) in [
        (&text, vec![]),
        (&html, vec![]),
        (&html, vec![inline("logo.png", b"x")]),
        (&text, vec![file("a.csv", b"a;b\r\n")]),
        (
            &html,
            vec![invitation(), inline("logo.png", b"x"), file("a.pdf", b"%")],
        ),
    ] {
        let bytes = with_files(alert, &files).into_bytes();
        let Some((before, after)) = resigned(&bytes) else {
            return;
        };
        assert_eq!(after, before);
    }
}
