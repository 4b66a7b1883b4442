//! The table of replies covers the documented replies of mail services and servers: the fault and
//! the limit. Few of those replies are decided by their class alone, and a reply
//! without an entry loses no alert.

use sendport_core::domain::{Command, Fault, Reply};
use sendport_core::replies::ReplyTable;
use serde::Deserialize;

use crate::replies::{Documented, documented, reply_to};

/// An entry as the file has it.
#[derive(Deserialize)]
struct Written {
    key: String,
    #[serde(default)]
    command: Vec<String>,
    code: Option<String>,
    enhanced: Option<String>,
    text: Option<String>,
    #[serde(default)]
    own: bool,
    /// What sendport found itself, in place of a server's reply.
    local: Option<String>,
}

fn written() -> Vec<Written> {
    #[derive(Deserialize)]
    struct File {
        reply: Vec<Written>,
    }
    let text = include_str!("../../config/replies.toml");
    toml::from_str::<File>(text).expect("the table").reply
}

/// Codes that mean one thing wherever they come.
const OF_ONE_MEANING: [&str; 10] = [
    "432", "503", "504", "521", "530", "534", "535", "538", "551", "556",
];

impl Written {
    /// It goes by the command and the class, or a code that is used for many things, alone.
    fn is_general(&self) -> bool {
        let of_mail =
            |command: &String| ["MAIL", "RCPT", "DATA", "END-OF-DATA"].contains(&command.as_str());
        if self.text.is_some() || !(self.command.is_empty() || self.command.iter().any(of_mail)) {
            return false;
        }
        match (&self.enhanced, &self.code) {
            (Some(enhanced), _) => {
                enhanced.ends_with(".7.1") || enhanced.ends_with(".0") || enhanced.ends_with(".x")
            }
            (None, Some(code)) => !OF_ONE_MEANING.contains(&code.as_str()),
            (None, None) => true,
        }
    }
}

fn ends_in_general(table: &ReplyTable, written: &[Written], reply: &Reply) -> bool {
    let found = table.explain(reply).expect("an entry");
    let place = table.entries().position(|entry| std::ptr::eq(entry, found));
    written[place.expect("of the table")].is_general()
}

#[test]
fn have_the_documented_fault_and_limit() {
    let table = ReplyTable::built_in();
    let mut wrong = Vec::new();
    for Documented {
        provider,
        reply,
        fault,
        limit,
    } in documented()
    {
        let found = (table.fault(&reply), table.limit(&reply));
        if found != (fault, limit) {
            let key = table.explain(&reply).map(|entry| entry.key.as_str());
            wrong.push(format!(
                "{provider} {} {reply}: expected {fault:?} {limit:?}, found {found:?} ({key:?})",
                reply.command
            ));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Those of the section `bare` explain nothing, by design.
#[test]
fn few_are_explained_by_their_class_alone() {
    let table = ReplyTable::built_in();
    let written = written();
    let mut replies = documented();
    replies.retain(|reply| reply.provider != "bare");
    let all = replies.len();
    replies.retain(|it| ends_in_general(&table, &written, &it.reply));
    let general = replies.len();
    println!(
        "{general} of {all} documented replies are decided by command, class or bare code alone"
    );
    assert!(all >= 700, "the corpus has shrunk to {all} replies");
    assert!(
        general * 100 <= all * 3,
        "{general} of {all}, at most 3 in 100 expected: {:#?}",
        replies
            .iter()
            .map(|it| it.reply.to_string())
            .collect::<Vec<_>>()
    );
}

/// At MAIL the message is known by its size and by what it needs of the server; the rest are
/// refusals of our own, before a server was asked.
const OF_THE_MESSAGE_AT_MAIL: [&str; 4] = [
    "message-too-large",
    "non-ascii-sender",
    "conversion-needed",
    "bare-line-feed",
];

/// A 5yz that is the recipient's or the message's is final. Before MAIL there is neither.
#[test]
fn an_entry_with_a_final_fault_names_its_commands() {
    let table = ReplyTable::built_in();
    for (entry, written) in table.entries().zip(written()) {
        if written.own
            || written.local.is_some()
            || !matches!(entry.fault, Fault::Recipient | Fault::Message)
        {
            continue;
        }
        let at_mail = OF_THE_MESSAGE_AT_MAIL.contains(&&*written.key);
        let allowed = |command: &String| match command.as_str() {
            "RCPT" | "DATA" | "END-OF-DATA" | "POST" => true,
            "MAIL" => at_mail,
            _ => false,
        };
        assert!(
            !written.command.is_empty() && written.command.iter().all(allowed),
            "{} would end an alert at {:?}",
            written.key,
            written.command
        );
    }
}

#[test]
fn a_code_without_text_is_never_final() {
    let table = ReplyTable::built_in();
    let commands = ["MAIL", "RCPT", "DATA", "END-OF-DATA"];
    let codes = ["500", "501", "550", "552", "553", "554", "571"];
    let details = [
        "", " 5.0.0", " 5.1.0", " 5.3.0", " 5.5.0", " 5.7.0", " 5.7.1", " 5.7.999",
    ];
    for (command, code, detail) in commands
        .into_iter()
        .flat_map(|command| codes.map(|code| (command, code)))
        .flat_map(|(command, code)| details.map(|detail| (command, code, detail)))
    {
        for text in ["", " No", " Das geht so nicht"] {
            let reply = reply_to(command, &format!("{code}{detail}{text}"));
            let fault = table.fault(&reply);
            assert!(
                matches!(fault, Fault::Relay | Fault::Configuration),
                "{command} {reply}: {fault:?}"
            );
        }
    }
}

/// A reply about a recipient means something else as the reply to MAIL.
#[test]
fn a_text_about_a_mailbox_at_mail_is_never_final() {
    let table = ReplyTable::built_in();
    for it in documented() {
        let at_mail = Reply::new(
            Command::Mail,
            it.reply.code,
            it.reply.enhanced,
            &*it.reply.text,
        );
        let Some(entry) = table.explain(&at_mail) else {
            panic!("no entry for {at_mail}");
        };
        let by_design = OF_THE_MESSAGE_AT_MAIL.contains(&&*entry.key);
        assert!(
            by_design || matches!(entry.fault, Fault::Relay | Fault::Configuration),
            "MAIL {at_mail}: {} {:?}",
            entry.key,
            entry.fault
        );
    }
}
