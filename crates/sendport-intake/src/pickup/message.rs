//! From a file to the message that it contains.

use std::fs::File;
use std::io::{self, Read as _};
use std::sync::Arc;

use base64_simd::STANDARD;
use sendport_core::domain::{Address, BodyType, IntakeClient, Mailbox, ReceivedMessage};
use sendport_core::file_beneath::OpenError;

use super::Pickup;
use super::folders::{Stamp, TakenFile};
use crate::command::{Mail, Rcpt};
use crate::content::header::{HeaderScan, ScanResult, count};
use crate::content::incoming::{Accepted, Defect, IncomingContent, LONGEST_HEADER};
use crate::content::memory::Reservation;
use crate::content::preface::{Preface, Source, Trace};
use crate::reply::Reply;
use crate::submission::byte_order_mark::{Utf16, without_byte_order_mark};
use crate::submission::crlf::CrlfConverter;
use crate::submission::envelope_fields::EnvelopeFields;
use crate::submission::header_addresses::{self, HeaderAddressError, with_domains};
use crate::transaction::{Submission, Transaction};

/// Bytes of one read.
const PIECE: usize = 64 * 1024;

/// Bytes at the top of a file for each recipient.
const LONGEST_RECEIVER: usize = 1024;

/// Characters of a name in a `From` that is added.
const LONGEST_NAME: usize = 60;

/// A message that can be committed.
pub(super) struct ReadMessage {
    pub(super) message: ReceivedMessage,
    /// To be kept until the queue has the content.
    pub(super) reservation: Option<Reservation>,
}

/// Why there is none.
pub(super) enum NotRead {
    /// For good.
    Refused(Reply),
    /// Nobody knows yet.
    Later(String),
    /// Another instance has it.
    Gone,
}

impl From<Reply> for NotRead {
    fn from(refusal: Reply) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for NotRead {
    fn from(error: io::Error) -> Self {
        Self::Later(error.to_string())
    }
}

impl From<Defect> for NotRead {
    fn from(defect: Defect) -> Self {
        match defect {
            Defect::NoSpace | Defect::NotStored => Self::Later(defect.reply().line()),
            other => Self::Refused(other.reply()),
        }
    }
}

impl From<Utf16> for NotRead {
    fn from(error: Utf16) -> Self {
        Self::Refused(Reply::new(550, "5.6.0", error.to_string()))
    }
}

impl From<HeaderAddressError> for NotRead {
    fn from(error: HeaderAddressError) -> Self {
        Self::Refused(Reply::new(550, "5.1.3", error.to_string()))
    }
}

/// The first part of a file, with CRLF line ends.
pub(super) struct Head {
    file: File,
    stamp: Stamp,
    /// Number of its owner.
    owner: Option<u32>,
    lines: Vec<u8>,
    /// Its header section is in front of this offset.
    section: usize,
    converter: CrlfConverter,
}

/// Reads a taken file, and looks whether its message may be sent.
pub(super) async fn read(pickup: &Arc<Pickup>, taken: &TakenFile) -> Result<ReadMessage, NotRead> {
    let (shared, file) = (Arc::clone(pickup), taken.clone());
    let head = blocking(move || shared.head(&file)).await?;
    read_on(pickup, taken, head).await
}

/// The same, of a file whose first part is read.
pub(super) async fn read_on(
    pickup: &Pickup,
    taken: &TakenFile,
    head: Head,
) -> Result<ReadMessage, NotRead> {
    let user = head.owner.and_then(pickup.user_name);
    let (fields, section) =
        EnvelopeFields::split(&head.lines[..head.section], &pickup.local_domain)?;
    let mut header = with_domains(section, &pickup.local_domain);
    let sender_name = fields.sender_name.clone();
    let mut transaction = pickup.transaction(taken, fields, &header)?;
    if let Some(address) = &transaction.mail.path
        && count(&header, b"From") == 0
    {
        header.splice(..0, from(sender_name.as_deref(), address).into_bytes());
    }
    let recipient = match &*transaction.recipients {
        [only] => Some(only.address.clone()),
        _ => None,
    };
    let preface = Preface::new(&Trace {
        source: Source::File {
            origin: pickup.origin,
            user: user.as_deref(),
        },
        hostname: &pickup.hostname,
        transaction: taken.transaction,
        recipient: recipient.as_ref(),
        at: pickup.clock.now(),
    });
    let mut content = IncomingContent::new(pickup.limits.clone(), preface);
    content.take(&header);
    content.take(&head.lines[head.section..]);
    let mut accepted = rest(head, content).await?;
    let reservation = accepted.reservation.take();
    transaction.mail.smtp_utf8 |= transaction
        .recipients
        .iter()
        .any(|it| it.address.is_international());
    let grant = pickup.rules.grant_of_file();
    let send_port = grant.send_port(transaction.mail.path.as_ref());
    let submission = Submission {
        intake: pickup.name.clone(),
        origin: pickup.origin,
        send_port: send_port.to_owned(),
        client: IntakeClient {
            address: None,
            helo: None,
            user,
        },
        from_allowed: grant.allows_from(accepted.header.from.as_deref()),
    };
    Ok(ReadMessage {
        message: transaction.into_message(accepted, submission),
        reservation,
    })
}

/// The content behind the first part.
async fn rest(head: Head, mut content: IncomingContent) -> Result<Accepted, NotRead> {
    let (file, mut converter) = (Arc::new(head.file), head.converter);
    loop {
        content.spill().await;
        if let Some(defect) = content.defect() {
            return Err(defect.into());
        }
        let reading = Arc::clone(&file);
        let piece = blocking(move || Ok(read_piece(&reading)?)).await?;
        let mut lines = Vec::with_capacity(piece.len() + piece.len() / 16);
        converter.convert(&piece, &mut lines);
        if piece.is_empty() {
            converter.finish(&mut lines);
            content.take(&lines);
            break;
        }
        content.take(&lines);
    }
    let accepted = content.finish().await?;
    // Who wrote to it meanwhile has not written all of it.
    match Stamp::of(&file.metadata()?) == head.stamp {
        true => Ok(accepted),
        false => Err(NotRead::Later(
            "a program still writes to the file".to_owned(),
        )),
    }
}

impl Pickup {
    pub(super) fn head(&self, taken: &TakenFile) -> Result<Head, NotRead> {
        let file = self.folders.open_taken(taken);
        let file = file.map_err(|error| not_opened(&error))?;
        let metadata = file.metadata()?;
        let most = LONGEST_HEADER + LONGEST_RECEIVER * self.settings.max_recipients as usize;
        let (mut converter, mut scan) = (CrlfConverter::default(), HeaderScan::default());
        let mut lines = Vec::new();
        let section = loop {
            let piece = read_piece(&file)?;
            let text = match lines.is_empty() {
                true => without_byte_order_mark(&piece)?,
                false => &piece,
            };
            converter.convert(text, &mut lines);
            match scan.resume(&lines) {
                ScanResult::End { at, .. } => break at,
                ScanResult::Incomplete if piece.is_empty() => {
                    converter.finish(&mut lines);
                    converter = CrlfConverter::default();
                    break scan.finish(&lines).0;
                }
                ScanResult::Incomplete if lines.len() > most => {
                    return Err(Defect::HeaderTooLarge.into());
                }
                ScanResult::Incomplete => {}
            }
        };
        Ok(Head {
            stamp: Stamp::of(&metadata),
            owner: owner(&metadata),
            file,
            lines,
            section,
            converter,
        })
    }

    /// The envelope: that of the fields, else that of the header section.
    fn transaction(
        &self,
        taken: &TakenFile,
        fields: EnvelopeFields,
        header: &[u8],
    ) -> Result<Transaction, NotRead> {
        let grant = self.rules.grant_of_file();
        let mail = match fields.sender {
            Some(mail) => mail,
            None => mail_of(header_addresses::sender(header)?.ok_or_else(no_sender)?),
        };
        grant.check_sender(mail.path.as_ref())?;
        let mut transaction = Transaction::new(taken.transaction, Box::new(mail));
        let mut recipients = fields.recipients;
        if recipients.is_empty() {
            let addresses = header_addresses::recipients(header)?;
            recipients.extend(addresses.into_iter().map(rcpt_of));
        }
        for rcpt in recipients.into_iter().flat_map(|rcpt| self.resolved(rcpt)) {
            grant.check_recipient(&rcpt.path)?;
            transaction.add(rcpt);
        }
        let (found, most) = (transaction.recipients.len(), self.settings.max_recipients);
        match found {
            0 => Err(Reply::new(
                550,
                "5.1.0",
                "there is no recipient: write X-Receiver, To, Cc or Bcc",
            )
            .into()),
            _ if found > most as usize => {
                let what = format!("too many recipients: {found}, and max_recipients is {most}");
                Err(Reply::new(550, "5.5.3", what).into())
            }
            _ => Ok(transaction),
        }
    }

    /// Who gets messages to a name of the local domain.
    fn resolved(&self, rcpt: Rcpt) -> Vec<Rcpt> {
        let is_local = rcpt.path.domain().eq_ignore_ascii_case(&self.local_domain);
        let name = rcpt.path.local_part();
        let mut aliases = self.settings.aliases.iter().filter(|_| is_local);
        let alias = aliases.find(|(alias, _)| alias.eq_ignore_ascii_case(name));
        match alias {
            None => vec![rcpt],
            Some((_, addresses)) => {
                let of = |address: &Address| Rcpt {
                    path: address.clone(),
                    needs_smtp_utf8: false,
                    notify: rcpt.notify.clone(),
                    original: rcpt.original.clone(),
                };
                addresses.iter().map(of).collect()
            }
        }
    }
}

fn no_sender() -> Reply {
    Reply::new(550, "5.1.7", "there is no sender: write X-Sender or From")
}

fn mail_of(path: Address) -> Mail {
    Mail {
        size: None,
        body: BodyType::SevenBit,
        smtp_utf8: path.is_international(),
        path: Some(path),
        returns: None,
        envelope_id: None,
    }
}

fn rcpt_of(path: Address) -> Rcpt {
    Rcpt {
        path,
        needs_smtp_utf8: false,
        notify: None,
        original: None,
    }
}

/// A `From` for a message that has none.
fn from(name: Option<&str>, address: &Address) -> String {
    let name = name.map(|name| name.chars().take(LONGEST_NAME).collect::<String>());
    let name = name.filter(|name| !name.trim().is_empty());
    match name {
        // Encoded words (RFC 2047) of at most 75 characters.
        Some(name) if !name.is_ascii() => {
            let letters: Vec<char> = name.chars().collect();
            let word = |part: &[char]| {
                let text: String = part.iter().collect();
                format!("=?utf-8?B?{}?=", STANDARD.encode_to_string(text))
            };
            let words: Vec<_> = letters.chunks(10).map(word).collect();
            format!("From: {}\r\n <{address}>\r\n", words.join("\r\n "))
        }
        display_name => {
            let mailbox = Mailbox {
                display_name,
                address: address.clone(),
            };
            format!("From: {mailbox}\r\n")
        }
    }
}

fn not_opened(error: &OpenError) -> NotRead {
    match error {
        OpenError::Missing => NotRead::Gone,
        OpenError::Folder(_) | OpenError::System(_) => NotRead::Later(error.to_string()),
        OpenError::Link(_)
        | OpenError::NotRegular(_)
        | OpenError::HardLink
        | OpenError::Denied(_) => NotRead::Refused(Reply::new(
            550,
            "5.6.0",
            format!("the file is not read: {error}"),
        )),
    }
}

fn read_piece(mut file: &File) -> io::Result<Vec<u8>> {
    let mut piece = vec![0; PIECE];
    let length = loop {
        match file.read(&mut piece) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            read => break read?,
        }
    };
    piece.truncate(length);
    Ok(piece)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NotRead> + Send + 'static,
) -> Result<T, NotRead> {
    let worked = tokio::task::spawn_blocking(work).await;
    worked.map_err(|broken| NotRead::Later(broken.to_string()))?
}

#[cfg(unix)]
fn owner(metadata: &std::fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::MetadataExt as _;
    Some(metadata.uid())
}

#[cfg(not(unix))]
fn owner(_: &std::fs::Metadata) -> Option<u32> {
    None
}
