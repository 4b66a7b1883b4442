//! The words by which servers say that they could not deliver.

/// Local parts of those who write bounces.
const DAEMONS: &[&str] = &[
    "mailer-daemon",
    "mailerdaemon",
    "mailer_daemon",
    "mail-daemon",
    "maildaemon",
    "mail.delivery",
    "mail-delivery",
    "maildelivery",
    "postmaster",
    "post_master",
    "microsoftexchange",
    "bounce",
    "mdaemon",
    "double-bounce",
    "smtp-daemon",
    "mmsc",
];

/// In subjects, in lower case.
const SUBJECTS: &[&str] = &[
    "undeliver",
    "non-deliver",
    "nondeliver",
    "not deliver",
    "undelivered",
    "delivery status",
    "delivery failure",
    "delivery has failed",
    "delivery failed",
    "delivery fail",
    "delivery notification",
    "delivery problem",
    "delivery report",
    "delivery error",
    "delivery delay",
    "delayed",
    "delivery attempt",
    "failure notice",
    "failed mail",
    "mail failed",
    "mail failure",
    "failure delivery",
    "returned mail",
    "return mail",
    "returned to sender",
    "mail delivery",
    "mail system error",
    "message status",
    "error sending",
    "could not be delivered",
    "could not send",
    "couldn't be delivered",
    "cannot be delivered",
    "returned message",
    "bounced",
    "error in delivery",
    "permanent fail",
    "message rejected",
    "unzustellbar",
    "nicht zustellbar",
    "zustellung",
    "non remis",
    "non-remis",
    "\u{e9}chec de la remise",
    "no se puede entregar",
    "no se pudo entregar",
    "no entregado",
    "onbestelbaar",
    "n\u{e3}o foi poss\u{ed}vel entregar",
    "n\u{e3}o entregue",
    "non recapitabile",
    "mancato recapito",
    "impossibile recapitare",
    "olevererbart",
    "kunne ikke leveres",
    "ikke leveret",
    "nie mo\u{17c}na dostarczy\u{107}",
    "niedostarczon",
    "nedoru\u{10d}iteln",
    "teslim edilemedi",
    "\u{43d}\u{435} \u{434}\u{43e}\u{441}\u{442}\u{430}\u{432}\u{43b}\u{435}\u{43d}",
    "\u{43d}\u{435}\u{434}\u{43e}\u{441}\u{442}\u{430}\u{432}",
    "\u{914d}\u{4fe1}\u{4e0d}\u{80fd}",
    "\u{914d}\u{4fe1}\u{3067}\u{304d}",
    "\u{65e0}\u{6cd5}\u{9001}\u{8fbe}",
    "\u{672a}\u{4f20}\u{9012}",
    "\u{9000}\u{4fe1}",
    "\u{7cfb}\u{7edf}\u{9000}\u{4fe1}",
    "\u{bc30}\u{b2ec}\u{b418}\u{c9c0}",
];

/// In the text, in lower case.
const TEXTS: &[&str] = &[
    "this is the qmail-send program",
    "created automatically by mail delivery",
    "created automatically by the mail",
    "this is the mail system at host",
    "delivery to the following",
    "delivery to these recipients",
    "your message to these recipients",
    "the following recipient",
    "the following address",
    "these recipients or groups",
    "could not be delivered",
    "couldn't be delivered",
    "can't be delivered",
    "cannot be delivered",
    "wasn't delivered",
    "was not delivered",
    "not been delivered",
    "not be delivered",
    "did not reach",
    "unable to deliver",
    "undeliverable",
    "undelivered",
    "delivery failed",
    "delivery failure",
    "fatal errors",
    "delivery errors",
    "delivery problems",
    "failed permanently",
    "transcript of session",
    "failure reasons",
    "trouble delivering",
    "could not send",
    "could not be sent",
    "unknown user",
    "user unknown",
    "mail failed",
    "returned to sender",
    "non-deliverable",
    "unable to send",
    "incorrectly constructed",
    "error message below",
    "failed to deliver",
    "has been rejected",
    "was rejected",
    "nicht zugestellt",
    "nicht zustell",
    "n'a pas pu \u{ea}tre remis",
    "n'a pu \u{ea}tre",
    "no se pudo entregar",
    "no se ha podido entregar",
    "non \u{e8} stato possibile recapitare",
    "impossibile recapitare",
    "kan niet worden bezorgd",
    "n\u{e3}o p\u{f4}de ser entregue",
    "n\u{e3}o foi entregue",
    "\u{914d}\u{4fe1}\u{3067}\u{304d}",
    "\u{9001}\u{4fe1}\u{3067}\u{304d}",
    "\u{65e0}\u{6cd5}",
    "\u{9000}\u{56de}",
    "\u{43d}\u{435} \u{43c}\u{43e}\u{436}\u{435}\u{442} \u{431}\u{44b}\u{442}\u{44c} \u{434}\u{43e}\u{441}\u{442}\u{430}\u{432}",
    "\u{43d}\u{435} \u{443}\u{434}\u{430}\u{43b}\u{43e}\u{441}\u{44c} \u{434}\u{43e}\u{441}\u{442}\u{430}\u{432}",
];

/// How a text says that more attempts follow, in lower case.
const DELAYS: &[&str] = &[
    "has been delayed",
    "is delayed",
    "delivery delay",
    "delivery is delayed",
    "delays in delivering",
    "still undelivered",
    "still being retried",
    "will be retried",
    "will continue to be",
    "will keep trying",
    "will retry",
    "will try again",
    "continue to attempt",
    "continue trying",
    "continue to try",
    "no action is required",
    "this is a warning message only",
    "you do not need to resend",
    "could not be delivered yet",
    "not yet been delivered",
    "has not been delivered yet",
    "has not yet been delivered",
    "temporarily undeliverable",
    "delayed",
    "verz\u{f6}gert",
    "retard\u{e9}",
    "wird weiterhin versucht",
];

/// How a text says that the message arrived, in lower case.
const SUCCESSES: &[&str] = &[
    "was successfully delivered",
    "were successfully delivered",
    "successfully delivered to",
    "has been delivered to the",
    "successfully relayed",
    "your message was delivered",
    "has been successfully delivered",
];

fn has(text: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|it| text.contains(it))
}

/// Whether an address, in lower case, is that of a program that writes bounces.
pub(super) fn is_daemon(address: &str) -> bool {
    let local = address.split('@').next().unwrap_or_default();
    DAEMONS.iter().any(|it| local.starts_with(it))
}

/// Whether a subject, in lower case, is that of a bounce.
pub(super) fn is_subject(subject: &str) -> bool {
    has(subject, SUBJECTS)
}

/// Whether a text, in lower case, says that something was not delivered.
pub(super) fn is_text(text: &str) -> bool {
    has(text, TEXTS)
}

/// Whether a text or a subject, in lower case, says that more attempts follow.
pub(super) fn is_delay(text: &str) -> bool {
    has(text, DELAYS)
}

/// Whether a text, in lower case, says that the message arrived.
pub(super) fn is_success(text: &str) -> bool {
    has(text, SUCCESSES)
}
