use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use mail_parser::decoders::base64::base64_decode;
use mail_parser::decoders::quoted_printable::quoted_printable_decode;
use mail_parser::{Encoding, Message as Parsed, MessageParser, MessagePart, MimeHeaders as _};
use serde::Deserialize;

use crate::site::{Site, text};
use crate::support::received::messages;
use crate::tsql::{rows, run, run_all, server};
use crate::{any_port, plain_relay, send_port_over, sink_at};

/// The calls of the conformance suite, which compares what each inserts.
const CALLS: &str = include_str!("../conformance/database_mail.toml");

#[derive(Deserialize)]
struct Calls {
    call: Vec<Call>,
}

#[derive(Deserialize)]
struct Call {
    does: String,
    sql: String,
    #[serde(default)]
    message: Expected,
    refused: Option<String>,
    #[serde(default)]
    sqlserver_only: bool,
}

/// What arrives.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    recipients: Option<Vec<String>>,
    #[serde(default)]
    header: Vec<String>,
    #[serde(default)]
    without: Vec<String>,
    text: Option<String>,
    html: Option<String>,
    files: Option<Vec<ExpectedFile>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedFile {
    name: String,
    /// With the character set.
    r#type: String,
    /// Behind a byte order mark, if the character set is UTF-16.
    text: String,
}

/// What the alert of a call has in its row.
struct Row {
    public_id: String,
    subject: String,
    body: String,
    is_html: bool,
    files: usize,
}

/// Both send ports of the calls, over one relay, with the files that they name.
fn configuration(relay: &str, folder: &Path, login: &str) -> String {
    let folder = folder.display();
    let port = send_port_over(relay);
    let rest = format!(
        "[send_port.default.attachments]\n\
         folders = [{{ folder = '{folder}', written_as = 'C:\\Reports', allow_principals = ['{login}'] }}]\n"
    );
    let port = port.replacen("relays =", "allow_from = ['@contoso.com']\nrelays =", 1);
    let night =
        port[port.find("[send_port").expect("a send port")..].replace("default", "\"night shift\"");
    format!("{port}{rest}{night}")
}

/// What each alert has in its row, in the order of the inserts.
async fn inserted(database: &str) -> Vec<Row> {
    let columns = "SELECT CAST(a.PublicId AS nvarchar(36)), COALESCE(a.Subject, N''), COALESCE(a.Body, N''), a.BodyFormat,
                   CAST((SELECT COUNT(*) FROM sendport.AttachmentRow t WHERE t.AlertId = a.AlertId)
                        + COALESCE(LEN(a.FileAttachments) - LEN(REPLACE(a.FileAttachments, N';', N'')) + 1, 0) AS nvarchar(10))
                   FROM sendport.AlertRow a ORDER BY a.AlertId";
    let row = |row: Vec<String>| {
        let [public_id, subject, body, format, files] = &row[..] else {
            panic!("{row:?}")
        };
        Row {
            public_id: public_id.to_lowercase(),
            subject: subject.clone(),
            body: body.clone(),
            is_html: format == "html",
            files: files.parse().expect("a number"),
        }
    };
    let found = rows(database, columns).await.expect("rows");
    found.into_iter().map(row).collect()
}

/// Envelope and message of each file of the sink, by the public id of the alert.
fn arrived(folder: &Path) -> BTreeMap<String, (Vec<String>, Vec<u8>)> {
    let mut all = BTreeMap::new();
    for path in messages(folder) {
        let bytes = fs::read(path).expect("readable");
        let content = String::from_utf8(bytes).expect("7-bit");
        let envelope = content.lines().map_while(|line| line.strip_prefix("X-"));
        let receivers = envelope.filter_map(|line| line.strip_prefix("Receiver: "));
        let receivers: Vec<_> = receivers.map(str::to_owned).collect();
        let start = content.find("\r\nMessage-ID: <").expect("a Message-ID") + 15;
        let id = content[start..]
            .split('@')
            .next()
            .expect("an id")
            .to_owned();
        let before = all.insert(id, (receivers, content.into_bytes()));
        assert!(before.is_none(), "twice");
    }
    all
}

fn unfolded_header(message: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(message);
    let header = text.split("\r\n\r\n").next().unwrap_or_default();
    let header = header.replace("\r\n ", " ");
    header.split("\r\n").map(str::to_owned).collect()
}

/// A message ends with a line end; a part of one has it where the text has it.
fn without_last_line_end(text: &str) -> &str {
    text.strip_suffix("\r\n").unwrap_or(text)
}

/// `type/subtype; charset=x`.
fn type_of(part: &MessagePart<'_>) -> String {
    let kind = part.content_type().expect("a type");
    let charset = kind
        .attribute("charset")
        .map(|it| format!("; charset={it}"));
    format!(
        "{}/{}{}",
        kind.ctype(),
        kind.subtype().unwrap_or_default(),
        charset.unwrap_or_default()
    )
}

/// The bytes of a part, which the parser shows as text where they are one.
fn bytes_of(message: &Parsed<'_>, part: &MessagePart<'_>) -> Vec<u8> {
    let (from, to) = (part.offset_body as usize, part.offset_end as usize);
    let raw = &message.raw_message[from..to];
    match part.encoding {
        Encoding::Base64 => base64_decode(raw).expect("base64"),
        Encoding::QuotedPrintable => quoted_printable_decode(raw).expect("quoted-printable"),
        Encoding::None => raw.to_vec(),
    }
}

/// UTF-16 behind a byte order mark, or UTF-8.
fn decoded(bytes: &[u8]) -> String {
    let Some(utf16) = bytes.strip_prefix(&[0xFF, 0xFE]) else {
        return String::from_utf8(bytes.to_vec()).expect("UTF-8");
    };
    let units = utf16
        .chunks(2)
        .map(|two| u16::from_le_bytes([two[0], two[1]]));
    String::from_utf16(&units.collect::<Vec<_>>()).expect("UTF-16")
}

fn files_of(message: &Parsed<'_>) -> Vec<ExpectedFile> {
    let file = |part: &MessagePart<'_>| ExpectedFile {
        name: part.attachment_name().expect("a name").to_owned(),
        r#type: type_of(part),
        text: decoded(&bytes_of(message, part)),
    };
    message.attachments().map(file).collect()
}

impl Call {
    /// Compares the message with the row that the call inserted, and with what the list says.
    fn compare(&self, row: &Row, recipients: &[String], bytes: &[u8]) {
        let (does, expected) = (&self.does, &self.message);
        let message = MessageParser::default().parse(bytes).expect(does);
        assert_eq!(message.subject(), Some(&*row.subject), "{does}");
        let part = |id: Option<&u32>| {
            let part = id.map(|id| &message.parts[*id as usize]);
            part.map(|it| String::from_utf8(it.contents().to_vec()).expect(does))
        };
        let (text, html) = (
            part(message.text_body.first()),
            part(message.html_body.first()),
        );
        let shown = if row.is_html { &html } else { &text };
        for (expected, found) in [
            (Some(&row.body), shown),
            (expected.text.as_ref(), &text),
            (expected.html.as_ref(), &html),
        ] {
            if let Some(expected) = expected {
                let found = found.as_deref().map(without_last_line_end);
                assert_eq!(found, Some(without_last_line_end(expected)), "{does}");
            }
        }
        let header = unfolded_header(bytes);
        for line in &expected.header {
            assert!(
                header.contains(line),
                "{does}: {line} is not in {header:#?}"
            );
        }
        for name in &expected.without {
            let start = format!("{name}:");
            assert!(
                !header.iter().any(|line| line.starts_with(&start)),
                "{does}: {header:#?}"
            );
        }
        if let Some(expected) = &expected.recipients {
            assert_eq!(recipients, expected, "{does}");
        }
        let files = files_of(&message);
        assert_eq!(files.len(), row.files, "{does}");
        if let Some(expected) = &expected.files {
            assert_eq!(&files, expected, "{does}");
        }
    }
}

/// Calls of `sp_send_dbmail`, claimed by the service and received: what arrives is what the call says, to the byte.
#[tokio::test(flavor = "multi_thread")]
async fn calls_of_sp_send_dbmail_arrive_as_they_say() {
    let Some(server) = server() else { return };
    let mails = tempfile::tempdir().expect("a folder");
    let sink = sink_at(any_port(), mails.path(), &[]).await;
    let folder = tempfile::tempdir().expect("a folder");
    let files = [
        ("late.pdf", "as it is on the disk\n"),
        ("Größe 報告.csv", "order;später\r\n"),
    ];
    for (name, content) in files {
        fs::write(folder.path().join(name), content).expect("write");
    }
    let login = run(&server, "SELECT SUSER_SNAME()").await.expect("a login");
    let login = login.expect("a name");
    let database = format!("sendport_test_{}", uuid::Uuid::new_v4().simple());
    let own = format!("{server};Database={database}");
    let relay = plain_relay(sink.local_addr());
    let site = Site::on(&own, &configuration(&relay, folder.path(), &login));

    let engine = "SELECT CAST(SERVERPROPERTY('Babelfish') AS nvarchar(10))";
    let on_babelfish = run(&own, engine).await.expect("an answer").is_some();
    let calls: Calls = toml::from_str(CALLS).expect("the calls");
    let runs = |call: &Call| call.refused.is_none() && !(on_babelfish && call.sqlserver_only);
    let calls: Vec<_> = calls.call.into_iter().filter(runs).collect();
    let moved = |call: &Call| {
        let sql = &call.sql;
        sql.replace("msdb.dbo.sp_send_dbmail", "sendport.sp_send_dbmail")
    };
    let batches: Vec<_> = calls.iter().map(moved).collect();
    run_all(&own, &batches).await.expect("the calls");
    let rows = inserted(&own).await;
    assert_eq!(rows.len(), calls.len());
    assert!(calls.len() >= 30, "{} calls", calls.len());
    let service = site.run();
    sink.wait_for(calls.len() as u64).await;
    assert_eq!(service.stop(), Some(0), "{}", site.log());

    let arrived = arrived(mails.path());
    for (call, row) in calls.iter().zip(&rows) {
        let (recipients, bytes) = arrived.get(&row.public_id).expect(&call.does);
        call.compare(row, recipients, bytes);
    }
    assert_eq!(arrived.len(), calls.len());
    let shown = "SELECT COUNT(*) FROM sendport.sysmail_mailattachments WHERE filename IN (N'late.pdf', N'Größe 報告.csv')";
    assert_eq!(
        run(&own, shown).await.expect("a count").as_deref(),
        Some("3")
    );
    let unsent = "SELECT COUNT(*) FROM sendport.sysmail_allitems WHERE sent_status <> 'sent'";
    let unsent = run(&own, unsent).await.expect("a count");
    assert_eq!(
        unsent.as_deref(),
        Some("0"),
        "{}",
        text(&site.sendport(&["status"]))
    );
    let drop = format!("DROP DATABASE {database}");
    run(&server, &drop).await.expect("drop the database");
    sink.stop().await;
}
