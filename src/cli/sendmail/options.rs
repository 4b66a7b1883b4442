//! The options of Sendmail, as Postfix and others understand them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::PathBuf;

use sendport_core::domain::{DsnReturn, Notify};
use sendport_intake::submission::Envelope;

/// What a command line says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// `-t`.
    pub(super) from_header: bool,
    /// `-i`.
    pub(super) ignores_dots: bool,
    pub(super) sender: Sender,
    pub(super) folder: Option<PathBuf>,
    /// Each may be a list.
    pub(super) recipients: Vec<String>,
    /// The name of the sender and the parameters; without addresses.
    pub(super) envelope: Envelope,
}

/// Whose message it is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Sender {
    /// The user who calls the program.
    #[default]
    Caller,
    /// Nobody gets notifications.
    Null,
    Named(String),
}

/// Options without a value that are accepted.
const FLAGS: &str = "GUcimntvx";

/// Options with a value, behind the letter or as the next word.
const WITH_VALUE: &str = "BCDFLNORVXfhopr";

/// Options whose value is only behind the letter.
const WITH_VALUE_BEHIND: &str = "Abdeq";

/// Reads the words; the error says what is wrong, and what to use instead.
pub(super) fn parse(words: &[OsString]) -> Result<Options, String> {
    let mut options = Options::default();
    let mut words = words;
    // Only here: what a program adds behind its own options, such as the fifth argument of mail() in PHP, may be of others.
    if let [first, folder @ ..] = words
        && first == "--folder"
    {
        let (folder, behind) = folder
            .split_first()
            .filter(|(folder, _)| !folder.is_empty())
            .ok_or("--folder: a folder is missing")?;
        options.folder = Some(folder.into());
        words = behind;
    }
    let mut words = words.iter().map(|word| {
        let text = word.to_str().map(str::to_owned);
        text.ok_or_else(|| format!("'{}' is not UTF-8", word.display()))
    });
    while let Some(word) = words.next() {
        let word = word?;
        match &*word {
            "--" => {
                for address in words.by_ref() {
                    options.recipients.push(address?);
                }
            }
            "--folder" => return Err("--folder has to be the first option".to_owned()),
            address if !address.starts_with('-') || address == "-" => options.recipients.push(word),
            letters => {
                let mut letters = letters[1..].chars();
                while let Some(letter) = letters.next() {
                    if FLAGS.contains(letter) {
                        options.flag(letter);
                        continue;
                    }
                    let behind = letters.as_str().to_owned();
                    letters = "".chars();
                    let value = match behind.is_empty() && WITH_VALUE.contains(letter) {
                        true => words.next().transpose()?,
                        false => Some(behind),
                    };
                    let missing = || format!("-{letter}: a value is missing");
                    options.option(letter, value.ok_or_else(missing)?)?;
                }
            }
        }
    }
    Ok(options)
}

impl Options {
    fn flag(&mut self, letter: char) {
        match letter {
            't' => self.from_header = true,
            'i' => self.ignores_dots = true,
            _ => {}
        }
    }

    fn option(&mut self, letter: char, value: String) -> Result<(), String> {
        match letter {
            'f' | 'r' => {
                self.sender = match &*value {
                    "" | "<>" => Sender::Null,
                    _ => Sender::Named(value),
                }
            }
            'F' => self.envelope.sender_name = Some(value),
            // The old form of the flags: -oi is -i; the others set options of Sendmail.
            'o' if value == "i" => self.ignores_dots = true,
            'N' => self.envelope.notify = Some(notify(&value)?),
            'R' => self.envelope.returns = Some(returns(&value)?),
            'V' => self.envelope.envelope_id = Some(value),
            'b' if value == "m" => {}
            'b' | 'q' | 'I' | 'M' => return Err(not_offered(letter, &value)),
            _ if WITH_VALUE.contains(letter) || WITH_VALUE_BEHIND.contains(letter) => {}
            _ => {
                return Err(format!(
                    "-{letter} is no option of sendmail; see sendport sendmail --help"
                ));
            }
        }
        Ok(())
    }
}

fn not_offered(letter: char, value: &str) -> String {
    let instead = match (letter, value.chars().next()) {
        ('b', Some('s')) => "submit over SMTP to the intake with kind = \"smtp\"",
        ('b', Some('d' | 'D' | 'l')) => "sendport run is the service",
        ('b', Some('p')) => "sendport status shows the queue",
        ('b', Some('v' | 't')) => "sendport why explains what became of a message",
        ('b', Some('i')) | ('I', _) => "aliases are in the configuration: [intake.<name>.aliases]",
        ('q', _) => "sendport run sends what waits, by itself",
        _ => "it has no counterpart",
    };
    format!("-{letter}{value} is not offered: {instead}")
}

fn notify(value: &str) -> Result<Notify, String> {
    if value.eq_ignore_ascii_case("never") {
        return Ok(Notify::Never);
    }
    let cases: Result<BTreeSet<_>, _> = value.split(',').map(str::parse).collect();
    let expected =
        |_| format!("-N: expected never, or some of success, failure and delay, found '{value}'");
    cases.map(Notify::On).map_err(expected)
}

fn returns(value: &str) -> Result<DsnReturn, String> {
    match &*value.to_ascii_lowercase() {
        "full" => Ok(DsnReturn::Full),
        "hdrs" | "headers" => Ok(DsnReturn::Headers),
        _ => Err(format!("-R: expected full or hdrs, found '{value}'")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Options, String> {
        let words: Vec<OsString> = line
            .split_whitespace()
            .map(|word| word.replace('_', " ").into())
            .collect();
        parse(&words)
    }

    /// What programs are known to write.
    #[test]
    fn the_lines_of_programs_are_understood() {
        for (line, from_header, ignores_dots, sender, recipients) in [
            (
                "-FCronDaemon -i -B8BITMIME -oem root",
                false,
                true,
                None,
                "root",
            ), // cron
            ("-t -i", true, true, None, ""), // PHP
            ("-t -i -fapp@x.test", true, true, Some("app@x.test"), ""), // PHP with a fifth parameter
            ("-t", true, false, None, ""),                              // mdadm
            (
                "-oi -f a@x.test -- b@x.test -c@x.test",
                false,
                true,
                Some("a@x.test"),
                "b@x.test -c@x.test",
            ), // mutt
            (
                "-i -bm -r a@x.test b@x.test c@x.test",
                false,
                true,
                Some("a@x.test"),
                "b@x.test c@x.test",
            ), // s-nail
            ("-oi -oem -odb -om -t -v -A_x", true, true, None, ""),
            (
                "-ti -o7 -Ac -d0.1 -h 5 -p x -X /dev/null -O DeliveryMode=b",
                true,
                true,
                None,
                "",
            ),
            ("root -t", true, false, None, "root"),
        ] {
            let options = parsed(line).unwrap_or_else(|error| panic!("{line}: {error}"));
            assert_eq!(
                (options.from_header, options.ignores_dots),
                (from_header, ignores_dots),
                "{line}"
            );
            let sender = sender.map_or(Sender::Caller, |it| Sender::Named(it.to_owned()));
            assert_eq!(
                (options.sender, &*options.recipients.join(" ")),
                (sender, recipients),
                "{line}"
            );
        }
    }

    #[test]
    fn the_envelope_has_the_values_of_the_options() {
        let words = [
            "--folder",
            "/x",
            "-f",
            "",
            "-F",
            "A B",
            "-N",
            "failure,delay",
            "-R",
            "hdrs",
            "-V",
            "id 1",
        ];
        let options = parse(&words.map(OsString::from)).expect("options");
        assert_eq!(options.sender, Sender::Null);
        assert_eq!(options.folder.as_deref(), Some(std::path::Path::new("/x")));
        let envelope = options.envelope;
        assert_eq!(envelope.sender_name.as_deref(), Some("A B"));
        assert_eq!(envelope.returns, Some(DsnReturn::Headers));
        assert_eq!(envelope.envelope_id.as_deref(), Some("id 1"));
        assert!(matches!(envelope.notify, Some(Notify::On(cases)) if cases.len() == 2));
        assert_eq!(parsed("-f <>").expect("options").sender, Sender::Null);
    }

    #[test]
    fn what_is_not_offered_says_what_to_use() {
        for (line, what) in [
            ("-bs", "-bs is not offered: submit over SMTP"),
            ("-bd -q1h", "sendport run"),
            ("-bp", "sendport status"),
            ("-q", "sendport run"),
            ("-bi", "[intake.<name>.aliases]"),
            ("-I", "[intake.<name>.aliases]"),
            ("-Z", "-Z is no option"),
            ("-f", "-f: a value is missing"),
            ("-N sometimes", "-N: expected never"),
            ("-R all", "-R: expected full"),
            ("--folder", "--folder: a folder is missing"),
            ("-i --folder /x", "--folder has to be the first option"),
            ("--help-me", "is no option"),
        ] {
            let error = parsed(line).expect_err(line);
            assert!(error.contains(what), "{line}: {error}");
        }
    }
}
