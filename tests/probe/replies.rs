//! Replies of the test data, read as they come off the wire.

use std::collections::BTreeMap;

use sendport_core::domain::{Command, Fault, Limit, Reply};
use sendport_smtp::reply_parser::ReplyParser;
use serde::Deserialize;

/// A reply with what the table of replies has to say about it.
pub(crate) struct Documented {
    pub(crate) provider: String,
    pub(crate) reply: Reply,
    pub(crate) fault: Fault,
    pub(crate) limit: Option<Limit>,
}

/// The replies that services and servers document (`corpus.toml`).
pub(crate) fn documented() -> Vec<Documented> {
    let text = include_str!("corpus.toml");
    let corpus: BTreeMap<String, Vec<Vec<String>>> = toml::from_str(text).expect("corpus.toml");
    let providers = corpus.into_iter();
    providers
        .flat_map(|(provider, rows)| rows.into_iter().map(move |row| read(&provider, &row)))
        .collect()
}

fn read(provider: &str, row: &[String]) -> Documented {
    let ([word, reply, fault], limit) = row.split_first_chunk().expect("command, reply, fault");
    Documented {
        provider: provider.to_owned(),
        reply: reply_to(word, reply),
        fault: value(fault),
        limit: limit.first().map(|limit| value(limit)),
    }
}

fn value<'de, T: Deserialize<'de>>(word: &'de str) -> T {
    let word = serde::de::value::StrDeserializer::<serde::de::value::Error>::new(word);
    T::deserialize(word).expect("a word of the table of replies")
}

/// A reply as a server sends it, or with the code 000 the text in its place.
pub(crate) fn reply_to(word: &str, reply: &str) -> Reply {
    let command = command(word);
    if let Some(words) = reply.strip_prefix("000 ") {
        return Reply::absent(command, words);
    }
    let mut parser = ReplyParser::default();
    parser.feed(format!("{reply}\r\n").as_bytes());
    let whole = parser.take().expect("a reply").expect("a whole reply");
    assert!(!parser.has_leftover(), "more than one reply: {reply}");
    whole.into_reply(command)
}

fn command(word: &str) -> Command {
    use Command::{
        Auth, Connect, Data, Ehlo, EndOfData, Greeting, Mail, Post, Quit, Rcpt, Rset, StartTls,
    };
    [
        Connect, Greeting, Ehlo, StartTls, Auth, Mail, Rcpt, Data, EndOfData, Post, Rset, Quit,
    ]
    .into_iter()
    .find(|command| command.as_str() == word)
    .unwrap_or_else(|| panic!("'{word}' is no command"))
}
