//! What the server's error numbers mean, in one table; docs/operations.md shows it.
//!
//! Closed where it matters: only numbers that are known to be about values are
//! [`StoreErrorKind::Rejected`]. A number that is not in it is [`StoreErrorKind::Unknown`]:
//! the service waits and reports it.

use super::error::Remedy;
use crate::StoreErrorKind;

/// Of an engine that maps its own errors to no number of SQL Server's.
pub(super) const UNMAPPED: u32 = 33_557_097;

/// Errors of one meaning.
#[derive(Debug)]
pub(super) struct KnownErrors {
    pub(super) numbers: &'static [u32],
    pub(super) kind: StoreErrorKind,
    pub(super) remedy: Remedy,
    /// What happened.
    pub(super) meaning: &'static str,
    /// What a person does about it; empty where only time helps.
    pub(super) advice: &'static str,
}

const WAIT: StoreErrorKind = StoreErrorKind::Unavailable;
const READ_ONLY: StoreErrorKind = StoreErrorKind::ReadOnly;
const REFUSED: StoreErrorKind = StoreErrorKind::Refused;
const SCHEMA: StoreErrorKind = StoreErrorKind::Schema;
const DATA: StoreErrorKind = StoreErrorKind::Rejected;

pub(super) const ROLE: &str = "make the service's user a member of the role sendport_service (for 'migrate' of db_owner), and \
    not of sendport_writer, which is denied what is not its own";
const MIGRATE: &str = "run 'sendport migrate' on this database";
/// The error itself has what fits the way that the service authenticates.
const LOGIN: &str = "SQL login or Windows: not tried again for 15 minutes; look at name, password or ticket, and \
    restart the service. Access token: another one at once, then one a minute";
/// Of a database that does not open.
pub(super) const NO_DATABASE: &str = "create it ('sendport migrate --create-database'), or make \
    the login a user of it; while it starts, moves or is restored, it is tried again";

/// The logins that are refused: each further try brings an account nearer to its lock.
pub(super) const REFUSED_LOGINS: &[u32] = &[18452, 18456, 18470, 18486, 18487, 18488];

/// A page cannot be read: that of a few rows, perhaps.
pub(super) const DAMAGED_PAGE: &[u32] = &[823, 824, 829];

/// Raised by `sql/migration_lock.sql`: a number that no site has.
const MIGRATING: u32 = 587_001;

/// What triggers and procedures raise by `THROW` and `RAISERROR`: the server itself has none of these.
const RAISED_BY_THE_SITE: std::ops::Range<u32> = 50_000..100_000;

macro_rules! known {
    ($($numbers:expr => $kind:ident, $remedy:ident, $meaning:expr, $advice:expr;)+) => {
        &[$(KnownErrors {
            numbers: &$numbers,
            kind: $kind,
            remedy: Remedy::$remedy,
            meaning: $meaning,
            advice: $advice,
        }),+]
    };
}

pub(super) const KNOWN: &[KnownErrors] = known! {
    [1205, 3960, 601] => WAIT, Again,
        "deadlock victim, update conflict, data moved while it was read", "";
    [1222] => WAIT, None,
        "another transaction held a lock for longer than 15 seconds",
        "look for the transaction that holds it (sys.dm_tran_locks)";
    [MIGRATING] => WAIT, Again,
        "another migration of sendport is running (on Babelfish: on any database of the server)",
        "if this persists, look for a 'sendport migrate' that hangs";
    [1204, 701, 802, 8645, 8651, 8657, 17300, 17803] => WAIT, None,
        "the server is short of memory or locks",
        "if this persists, look at the server's memory";
    [18401] => WAIT, Reconnect,
        "the server upgrades its scripts, as after every patch", "";
    [6005, 17142, 17187, 17197, 18451] => WAIT, Reconnect,
        "the server starts, pauses or shuts down", "";
    [18461, 17809, 10928, 10929, 10936] => WAIT, None,
        "the server takes no further connection now: single-user mode, or a limit",
        "if this persists, look at the open connections";
    [596] => WAIT, Reconnect, "the session was killed", "";
    [904, 921, 922, 927, 942, 952, 955] => WAIT, Reconnect,
        "the database is started, recovered, restored, taken offline or put online", "";
    [924] => WAIT, None, "the database is in single-user mode", "";
    [976, 978, 979, 981, 982, 983, 988, 4221] => WAIT, Reconnect,
        "the availability group fails over, or this replica is not the primary", "";
    [4060, 911] => WAIT, Reconnect,
        "the database is not there, or is not open to the login", NO_DATABASE;
    [40613] => WAIT, Reconnect,
        "the database moves, or was paused and wakes now",
        "it is tried again; if this persists, look at its state in the portal";
    [615, 40143, 40197, 40501, 40540, 40549, 40550, 40551, 40552, 40553, 49918, 49919, 49920] => WAIT, Reconnect,
        "Azure moves or throttles the database", "";
    [64, 121, 233, 10053, 10054, 10060] => WAIT, Reconnect, "the connection broke", "";
    [9001] => WAIT, Reconnect,
        "the log of the database is not available",
        "if this persists, look at the server's error log, and at the disk of the log";
    [926, 945, 823, 824, 829] => REFUSED, None,
        "files of the database cannot be read or are damaged",
        "look at the server's error log; DBCC CHECKDB, or a backup";
    [9002] => READ_ONLY, None,
        "the log of the database is full", "back the log up, or make room for it";
    [1101, 1105, 40544] => READ_ONLY, None,
        "a file group, a disk or the quota is full", "make room";
    [3906, 3908] => READ_ONLY, None,
        "the database or replica is read-only",
        "connect to the primary (a listener's name does), or set the database READ_WRITE";
    [18456, 18470, 18486, 18487, 18488] => REFUSED, None,
        "the login is refused; the server's error log says under the state why", LOGIN;
    [18452] => REFUSED, None, "a Windows login of a domain that the server does not trust",
        "look at the realm of the ticket, and at the SPN";
    [4063, 4064] => REFUSED, None,
        "the login's default database does not open", "ALTER LOGIN ... WITH DEFAULT_DATABASE";
    [40532] => REFUSED, None, "the server's name in the login is not this server's", "look at Server and User Id";
    [40607] => REFUSED, None,
        "Azure SQL Database knows no Windows logins",
        "write [database.auth] with kind = \"entra_token\"";
    [40615, 40914, 47073] => REFUSED, None,
        "the server's firewall does not let this host in",
        "let this machine's address through the firewall of the server, or connect by its private endpoint";
    [229, 230, 262, 297, 300, 916, 1088, 2760, 15151, 15247] => REFUSED, None, "a permission is missing", ROLE;
    [206, 207, 208, 213, 500, 2715, 2812, 4104] => SCHEMA, None,
        "a table, column, type or procedure of sendport is not there or is another one", MIGRATE;
    [220, 232, 241, 242, 245, 248, 295, 511, 515, 547, 550, 1946, 2601, 2627, 2628, 7139, 8023, 8114, 8115, 8152,
     8169] => DATA, None,
        "a value does not fit: its length, its form, or a constraint", "";
};

const UNMAPPED_AGAIN: &[&str] = &[
    "deadlock detected",
    "could not serialize",
    "concurrently updated",
];
const UNMAPPED_RESTART: &[&str] = &[
    "the database system is starting up",
    "not yet accepting connections",
    "the database system is shutting down",
    "in recovery mode",
    "terminating connection",
    "crash of another server process",
];
const UNMAPPED_BUSY: &[&str] = &[
    "lock timeout",
    "canceling statement due to",
    "too many clients",
    "remaining connection slots",
    "out of memory",
    "out of shared memory",
    "could not fork",
];
const UNMAPPED_READ_ONLY: &[&str] = &[
    "read-only transaction",
    "No space left",
    "could not extend file",
    "could not write",
];
const UNMAPPED_REFUSED: &[&str] = &["permission denied", "must be owner"];
const UNMAPPED_DATA: &[&str] = &[
    "invalid input syntax",
    "invalid input value",
    "value too long",
    "violates",
    "invalid byte sequence",
    "has no equivalent in encoding",
    "unsupported Unicode escape",
    "out of range",
    "index row",
    "row is too big",
];

/// The same for [`UNMAPPED`], by PostgreSQL's words: the first that the message has.
const UNMAPPED_WORDS: &[UnmappedWords] = &[
    (UNMAPPED_AGAIN, WAIT, Remedy::Again, ""),
    (UNMAPPED_RESTART, WAIT, Remedy::Reconnect, ""),
    (UNMAPPED_BUSY, WAIT, Remedy::None, ""),
    (UNMAPPED_READ_ONLY, READ_ONLY, Remedy::None, ""),
    (UNMAPPED_REFUSED, REFUSED, Remedy::None, ROLE),
    (&["database \""], WAIT, Remedy::None, NO_DATABASE),
    (&["does not exist"], SCHEMA, Remedy::None, MIGRATE),
    (UNMAPPED_DATA, DATA, Remedy::None, ""),
];

/// What follows from a server's error.
pub(super) fn classify(number: u32, message: &str) -> (StoreErrorKind, Remedy) {
    let found = match number {
        UNMAPPED => unmapped(message).map(|(_, kind, remedy, _)| (*kind, *remedy)),
        _ => known(number).map(|known| (known.kind, known.remedy)),
    };
    found.unwrap_or(match RAISED_BY_THE_SITE.contains(&number) {
        true => (DATA, Remedy::None),
        false => (StoreErrorKind::Unknown, Remedy::None),
    })
}

/// What it means and what to do, where the server's own message says too little.
pub(super) fn advice(number: u32, message: &str) -> String {
    let known = match number {
        UNMAPPED => {
            return unmapped(message)
                .map_or("", |(.., advice)| advice)
                .to_owned();
        }
        _ => known(number).filter(|known| known.kind != DATA),
    };
    let words = known.map(|known| [known.meaning, known.advice]);
    let words = words.into_iter().flatten().filter(|text| !text.is_empty());
    words.collect::<Vec<_>>().join(": ")
}

fn known(number: u32) -> Option<&'static KnownErrors> {
    KNOWN.iter().find(|known| known.numbers.contains(&number))
}

type UnmappedWords = (
    &'static [&'static str],
    StoreErrorKind,
    Remedy,
    &'static str,
);

fn unmapped(message: &str) -> Option<&'static UnmappedWords> {
    let says = |words: &&UnmappedWords| words.0.iter().any(|part| message.contains(part));
    UNMAPPED_WORDS.iter().find(says)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn each_number_has_one_meaning() {
        let mut seen = BTreeSet::new();
        for number in KNOWN.iter().flat_map(|known| known.numbers) {
            assert!(seen.insert(number), "{number} is in the table twice");
        }
        for login in REFUSED_LOGINS {
            assert_eq!(classify(*login, "").0, REFUSED, "{login}");
        }
    }

    #[test]
    fn unknown_errors_are_neither_data_nor_fatal() {
        for (number, message) in [
            (8180, "Statement(s) could not be prepared."),
            (102, "Incorrect syntax near 'x'."),
            (UNMAPPED, "invalid memory alloc request size 1073741824"),
            (UNMAPPED, "cache lookup failed for type 0"),
        ] {
            assert_eq!(
                classify(number, message).0,
                StoreErrorKind::Unknown,
                "{number} {message}"
            );
        }
    }

    #[test]
    fn errors_of_a_trigger_are_about_the_rows() {
        assert_eq!(classify(50_000, "not on Sundays").0, DATA);
        assert_eq!(classify(51_000, "not on Sundays").0, DATA);
    }

    #[test]
    fn another_migration_is_waited_for() {
        let thrown = include_str!("sql/migration_lock.sql");
        assert!(thrown.contains(&format!("THROW {MIGRATING}, ")), "{thrown}");
        assert_eq!(classify(MIGRATING, ""), (WAIT, Remedy::Again));
        assert_eq!(classify(50_001, "not on Sundays").0, DATA);
    }

    #[test]
    fn errors_without_a_number_are_classified_by_text() {
        for (message, expected) in [
            ("the database system is starting up", WAIT),
            ("the database system is not yet accepting connections", WAIT),
            ("the database system is shutting down", WAIT),
            ("the database system is in recovery mode", WAIT),
            ("terminating connection due to administrator command", WAIT),
            ("out of memory", WAIT),
            ("deadlock detected", WAIT),
            ("database \"x\" does not exist", WAIT),
            (
                "could not extend file \"base/1\": No space left on device",
                READ_ONLY,
            ),
            ("permission denied for table alertrow", REFUSED),
            ("relation \"sendport.alertrow\" does not exist", SCHEMA),
            ("invalid input syntax for type integer: \"x\"", DATA),
            ("value too long for type character varying(16)", DATA),
            (
                "new row for relation \"alertrow\" violates check constraint",
                DATA,
            ),
            ("invalid byte sequence for encoding \"UTF8\": 0x00", DATA),
            ("integer out of range", DATA),
        ] {
            assert_eq!(classify(UNMAPPED, message).0, expected, "{message}");
        }
    }

    /// The table of docs/operations.md has a row for each of these, in this order.
    #[test]
    fn the_documents_show_this_table() {
        let documents = include_str!("../../../../docs/operations.md");
        let mut rows = String::new();
        for known in KNOWN {
            let numbers: Vec<_> = known.numbers.iter().map(ToString::to_string).collect();
            let (numbers, follows) = (numbers.join(", "), follows(known.kind));
            let _ = writeln!(
                rows,
                "| {numbers} | {} | {follows} | {} |",
                known.meaning, known.advice
            );
        }
        assert!(
            documents.contains(&rows),
            "docs/operations.md, 'When the database refuses', has to have these rows:\n{rows}"
        );
    }

    fn follows(kind: StoreErrorKind) -> &'static str {
        match kind {
            StoreErrorKind::Schema => "waits; ends with 4 at the start",
            StoreErrorKind::Rejected => "the outcome is set aside",
            _ => "waits",
        }
    }
}
