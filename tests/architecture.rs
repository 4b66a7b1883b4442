//! The dependencies between the modules, checked by their `use` lines, and the one module that may
//! name each library. docs/architecture.md has the map.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A module of the first level, or one below `observability`, and the modules that it may name.
const ARROWS: &[(&str, &[&str])] = &[
    ("config", &[]),
    ("observability", &[]),
    ("observability/log", &["config"]),
    ("observability/metrics", &[]),
    ("observability/health_server", &[]),
    ("observability/systemd", &["observability/health_server"]),
    ("certificate_monitor", &["observability/metrics"]),
    (
        "observability/health",
        &["observability/health_server", "observability/metrics"],
    ),
    ("sink", &[]),
    ("import", &[]),
    ("ldap", &["config"]),
    ("feedback", &["config", "observability/metrics"]),
    ("probe", &["config"]),
    ("verify", &[]),
    (
        "cli",
        &[
            "app",
            "config",
            "feedback",
            "import",
            "observability/log",
            "probe",
            "sink",
            "verify",
        ],
    ),
];

/// A library and the only places that may name it. `app` composes and may name any module of
/// ours, but no library of these.
const LIBRARIES: &[(&str, &[&str])] = &[
    ("tiberius", &["sendport-store/sqlserver"]),
    ("rusqlite", &["sendport-store/sqlite"]),
    ("minijinja", &["sendport-message/template"]),
    ("idna", &["sendport-core/domain/domain_name.rs"]),
    ("encoding_rs", &["sendport-core/domain/charset.rs"]),
    (
        "unicode_normalization",
        &[
            "sendport-core/domain/address.rs",
            "sendport-message/mime/encoded_word.rs",
        ],
    ),
    ("ldap3", &["ldap"]),
    ("roxmltree", &["import/biztalk"]),
    ("ipnet", &["sendport-core/domain/network.rs"]),
    (
        "mail_parser",
        &[
            "sendport-feedback/header.rs",
            "sendport-feedback/lib.rs",
            "sendport-feedback/parts.rs",
            "sendport-intake/content/header.rs",
            "sendport-message/header_recipients.rs",
            "sendport-message/received",
        ],
    ),
    ("data_encoding", &["sendport-feedback/token.rs"]),
    ("mail_auth", &["sendport-dkim"]),
    ("lettre", &["sendport-message/mime"]),
    ("html2text", &["sendport-message/mime"]),
    ("native_tls", &["ldap"]),
    ("chrono_tz", &["sendport-core/delivery_window"]),
    ("sendport_tls_resumption", &["sendport-smtp/tls"]),
    ("hmac", &["sendport-smtp/auth"]),
    ("md5", &["sendport-smtp/auth"]),
    ("md4", &["sendport-smtp/auth/ntlm"]),
    ("des", &["sendport-smtp/auth/ntlm"]),
    ("stringprep", &["sendport-smtp/auth"]),
    (
        "sendport_gssapi",
        &[
            "sendport-smtp/auth/error.rs",
            "sendport-smtp/auth/gssapi.rs",
            "sendport-store/sqlserver/kerberos.rs",
        ],
    ),
    ("prometheus", &["observability/metrics"]),
    ("hyper", &["observability/health_server"]),
    ("hyper_util", &["observability/health_server"]),
    ("hickory_resolver", &["sendport-smtp/mail_hosts.rs"]),
    ("clap", &["cli"]),
    ("clap_complete", &["cli"]),
    ("clap_mangen", &["cli"]),
];

/// The code of every file without its tests, by its path: relative to `src`, or to `crates` and
/// without `src` in it.
fn sources() -> BTreeMap<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = files_of(&root.join("src"), Path::new(""));
    for entry in std::fs::read_dir(root.join("crates")).expect("crates") {
        let name = entry.expect("a crate").file_name();
        let src = root.join("crates").join(&name).join("src");
        found.extend(files_of(&src, Path::new(&name)));
    }
    found.retain(|path, _| !path.components().any(|c| c.as_os_str() == "tests"));
    found
}

fn files_of(root: &Path, name: &Path) -> BTreeMap<PathBuf, String> {
    let mut folders = vec![root.to_owned()];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
                let text = std::fs::read_to_string(&path).expect("a source file");
                let code = text
                    .split("#[cfg(test)]\nmod tests {")
                    .next()
                    .unwrap_or_default();
                let relative = path.strip_prefix(root).expect("below the root");
                found.insert(name.join(relative), without_comments(code));
            }
        }
    }
    found
}

fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    stem == "tests" || stem.ends_with("_tests")
}

fn without_comments(code: &str) -> String {
    code.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// `probe` for `probe/event.rs`, `main` for `main.rs`, `observability/log` for `observability/log.rs`.
fn module(path: &Path) -> String {
    let path = path.with_extension("").to_string_lossy().into_owned();
    let mut names = path.split('/').filter(|name| *name != "mod");
    let first = names.next().expect("a file");
    match names.next() {
        Some(second) if first == "observability" => format!("{first}/{second}"),
        _ => first.to_owned(),
    }
}

/// The modules that the code names as `crate::<module>`.
fn named(code: &str) -> Vec<String> {
    let code = code.replace("crate::observability::", "crate::observability/");
    let after = code.split("crate::").skip(1);
    after
        .map(|rest| {
            rest.chars()
                .take_while(|c| c.is_alphanumeric() || "_/".contains(*c))
                .collect()
        })
        .collect()
}

#[test]
fn no_module_knows_one_that_it_must_not() {
    let arrows: BTreeMap<_, _> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let module = module(&path);
        let Some(allowed) = arrows.get(module.as_str()) else {
            continue;
        };
        for name in named(&code) {
            let known = arrows.contains_key(name.as_str()) || name == "app";
            if known && name != module && !allowed.contains(&name.as_str()) {
                wrong.push(format!("{} names crate::{name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_two_stores_do_not_know_each_other() {
    for (path, code) in sources() {
        let path = path.to_string_lossy().into_owned();
        for (store, other) in [("sqlite", "sqlserver"), ("sqlserver", "sqlite")] {
            let named = [format!("{other}::"), format!("::{other}")];
            let names = named.iter().any(|name| code.contains(name.as_str()));
            assert!(
                !(names && path.starts_with(&format!("sendport-store/{store}"))),
                "{path}"
            );
        }
    }
}

#[test]
fn a_library_is_known_in_its_room_alone() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let shown = path.to_string_lossy().into_owned();
        for (library, modules) in LIBRARIES {
            let names_it = code.contains(&format!("{library}::"));
            if names_it && !modules.iter().any(|module| shown.starts_with(module)) {
                wrong.push(format!("{shown} names {library}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Beside the clock it reads secrets, watches files, opens those that alerts name, and reads those that contain received messages; its Cargo.toml says what it may depend on.
#[test]
fn the_core_does_no_io() {
    for (path, code) in sources() {
        let may_read_files = [
            "file_beneath",
            "file_watch",
            "received_content",
            "regular_file",
            "secret_source",
        ]
        .iter()
        .any(|it| {
            path.starts_with(format!("sendport-core/{it}")) || path.ends_with(format!("{it}.rs"))
        });
        if path.starts_with("sendport-core") && !may_read_files {
            for library in ["std::fs", "std::net::Tcp", "std::env"] {
                assert!(
                    !code.contains(&format!("{library}::")),
                    "{} names {library}",
                    path.display()
                );
            }
        }
    }
}

#[test]
fn every_module_has_its_arrows_written_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let files = files_of(&src, Path::new(""));
    let mut unknown: Vec<_> = files.keys().map(|path| module(path)).collect();
    unknown.sort();
    unknown.dedup();
    let roots = ["lib", "main", "app"];
    unknown.retain(|module| {
        !roots.contains(&module.as_str()) && !ARROWS.iter().any(|(known, _)| known == module)
    });
    assert!(unknown.is_empty(), "{unknown:?}");
}

/// A part, a column of a list, or a text: `statement.rs` fills those, and `check.py` likewise.
fn is_filled_by_the_store(name: &str) -> bool {
    let parts = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(STORE)
        .join("sqlserver/sql/parts");
    let list = name.rsplit(['.', ' ']).next().unwrap_or_default();
    parts.join(format!("{name}.sql")).exists()
        || ["attempt", "reply", "recipient"].contains(&list)
        || name.starts_with("text ")
        || name == "delivery = n"
}

/// `{name}` in a statement, by its file and by itself.
fn placeholders() -> Vec<(String, String)> {
    let folder =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("crates/sendport-store/src/sqlserver/sql");
    let mut found = Vec::new();
    for file in std::fs::read_dir(folder).expect("statements") {
        let path = file.expect("a statement").path();
        if path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("text");
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let names = text
            .split('{')
            .skip(1)
            .filter_map(|rest| rest.split_once('}'));
        let names = names.filter(|(name, _)| !is_filled_by_the_store(name));
        found.extend(names.map(|(name, _)| (format!("{stem}.{name}"), name.to_owned())));
    }
    found
}

/// `cargo install` builds in minutes; packages take a longer build. Neither has symbols.
#[test]
fn build_profiles_fit_their_purpose() {
    let cargo: toml::Table = include_str!("../Cargo.toml").parse().expect("TOML");
    let release = cargo["profile"]["release"].as_table().expect("a profile");
    assert_eq!(release["strip"].as_str(), Some("symbols"));
    for slow in ["lto", "codegen-units", "debug"] {
        assert!(!release.contains_key(slow), "{slow} is for packages alone");
    }
    let install = include_str!("../install.sh");
    assert!(install.contains("\"${BUILD_PACKAGES[@]}\" sqlite3"));
    assert!(include_str!("../README.md").contains("./install.sh"));
    let optimised = "CARGO_PROFILE_RELEASE_LTO=fat CARGO_PROFILE_RELEASE_CODEGEN_UNITS=1";
    assert!(include_str!("../deploy/profile.sh").contains(optimised));
    for packaged in [
        include_str!("../deploy/package.sh"),
        include_str!("../Dockerfile"),
    ] {
        assert!(packaged.contains(". deploy/profile.sh"), "{packaged}");
    }
}

/// Else Microsoft's parser would read something that the program never sends.
#[test]
fn every_placeholder_of_a_statement_has_its_values_written_down() {
    let values: toml::Table = include_str!("tsql/statements.toml").parse().expect("TOML");
    let placeholders = placeholders();
    assert!(placeholders.len() > 5, "{placeholders:?}");
    for (of_file, name) in &placeholders {
        let known = values.contains_key(of_file) || values.contains_key(name);
        assert!(
            known,
            "tests/tsql/statements.toml has nothing for {of_file}"
        );
    }
    for key in values.keys() {
        let used = placeholders
            .iter()
            .any(|(of_file, name)| key == of_file || key == name);
        assert!(used, "no statement has the placeholder {key} any more");
    }
}

/// Where the two stores are.
const STORE: &str = "crates/sendport-store/src";

/// The files that only one of the two stores has, and why.
const UNMIRRORED: &[(&str, &str)] = &[
    (
        "sqlite/console.rs",
        "plain SQL for the demonstration; SQL Server has sqlcmd",
    ),
    (
        "sqlite/insert_watch.rs",
        "notices commits of other processes; SQL Server is polled",
    ),
    (
        "sqlite/late_outcome.rs",
        "on SQL Server a part of record.sql",
    ),
    (
        "sqlite/lease_owner.rs",
        "the machine's clock jumps, so a lease's process is looked for",
    ),
    (
        "sqlite/query_plans.rs",
        "proves that each statement seeks; on SQL Server hints force it",
    ),
    (
        "sqlite/wal_sync.rs",
        "commits are synced outside of SQLite's lock",
    ),
    (
        "sqlserver/authentication.rs",
        "how a connection authenticates",
    ),
    ("sqlserver/connection_string.rs", "ADO.NET's pairs"),
    (
        "sqlserver/connection_string_auth.rs",
        "which authentication they ask for",
    ),
    (
        "sqlserver/connection_string_error.rs",
        "only SQL Server has a connection string",
    ),
    (
        "sqlserver/database_mail.rs",
        "reads Database Mail's settings, which only SQL Server has",
    ),
    ("sqlserver/kerberos.rs", "Windows authentication"),
    ("sqlserver/kerberos_absent.rs", "builds without it"),
    ("sqlserver/known_errors.rs", "the server's error numbers"),
    ("sqlserver/pool.rs", "many connections over a network"),
    ("sqlserver/server_name.rs", "the value of Server"),
    ("sqlserver/settings.rs", "what a connection string says"),
    (
        "sqlserver/statement.rs",
        "parts that several statements share, and what Babelfish needs",
    ),
    ("sqlserver/table_rows.rs", "rows of table-valued parameters"),
    ("sqlserver/tcp.rs", "the network"),
    (
        "sqlserver/unreachable.rs",
        "why the network does not lead to a server",
    ),
    (
        "sqlserver/verification.rs",
        "what only a database server can measure",
    ),
];

/// The names of the files in a folder below [`STORE`].
fn files_in(folder: &str) -> std::collections::BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join(STORE)
        .join(folder);
    let entries = std::fs::read_dir(path).expect("a store").flatten();
    let files = entries.filter(|entry| entry.path().is_file());
    files
        .map(|it| it.file_name().to_string_lossy().into_owned())
        .collect()
}

/// Both stores have the same files.
#[test]
fn the_two_stores_have_the_same_files() {
    let (sqlite, sqlserver) = (files_in("sqlite"), files_in("sqlserver"));
    let only = |folder: &str, name: &String| format!("{folder}/{name}");
    let mut found: Vec<_> = sqlite
        .difference(&sqlserver)
        .map(|it| only("sqlite", it))
        .collect();
    found.extend(
        sqlserver
            .difference(&sqlite)
            .map(|it| only("sqlserver", it)),
    );
    let known: Vec<_> = UNMIRRORED
        .iter()
        .map(|(file, _)| (*file).to_owned())
        .collect();
    assert_eq!(
        found, known,
        "UNMIRRORED lists each file without a counterpart, and why"
    );
}

/// The statements that only one of the two stores has, by function, and why.
const UNMIRRORED_STATEMENTS: &[(&str, &str)] = &[
    ("cached_plans", "only a database server shows them"),
    ("check_permissions", "SQLite has no users"),
    ("create_database", "a database of SQLite is a file"),
    ("create_like", "a database of SQLite is a file"),
    ("database_mail", "SQLite has no Database Mail"),
    ("database_size", "SQLite has no edition that limits it"),
    ("drop_database", "a database of SQLite is a file"),
    ("drop_schema", "a database of SQLite is a file"),
    ("fixed_role_members", "SQLite has no roles"),
    ("ghost_records", "SQLite deletes rows at once"),
    (
        "has_row_versioning",
        "readers of SQLite always see the last committed row",
    ),
    (
        "live_send_ports",
        "on SQL Server a part of each statement that needs it",
    ),
    ("lock_statistics", "SQLite has one lock"),
    ("log_usage", "SQLite has no log"),
    ("open", "sessions of SQLite are set by PRAGMA"),
    (
        "persistent_version_store_kb",
        "SQLite keeps no old versions",
    ),
    ("properties", "SQLite has none of these"),
    ("purge_matches", "on SQLite the statements of request_batch"),
    ("replica_queues", "SQLite has no replicas"),
    ("table_count", "a database of SQLite is a file"),
    ("version_store_kb", "SQLite keeps no old versions"),
];

/// The columns of the view `sendport.<view>`, into which applications insert.
fn columns_of_view(schema: &str, view: &str) -> Vec<String> {
    let head = format!("CREATE VIEW sendport.{view} (");
    let (_, rest) = schema.split_once(&head).expect("the view");
    let (columns, _) = rest.split_once(')').expect("its columns");
    columns.split(',').map(|it| it.trim().to_owned()).collect()
}

/// The table of each constraint of a schema, with the name of the constraint.
fn constraints(schema: &str) -> Vec<(String, String)> {
    let name = |text: &str| -> String {
        let letters = text.trim_start_matches(['[', '"']).chars();
        letters
            .take_while(|c| !c.is_whitespace() && !"]\"(".contains(*c))
            .collect()
    };
    let mut table = String::new();
    let mut found = Vec::new();
    for line in schema
        .lines()
        .filter(|line| !line.trim_start().starts_with("--"))
    {
        for statement in ["CREATE TABLE ", "ALTER TABLE "] {
            if let Some((_, rest)) = line.split_once(statement) {
                table = name(rest.trim_start_matches("sendport."));
            }
        }
        found.extend(
            line.split("CONSTRAINT ")
                .skip(1)
                .map(|rest| (table.clone(), name(rest))),
        );
    }
    found
}

/// An application reads the name of a check or of a unique key when its insert is refused: that names the view of the
/// insert. Each other constraint names its table.
#[test]
fn a_constraint_is_named_for_its_table_or_for_the_view_of_the_application() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |store: &str| {
        let path = root.join("migrations").join(store).join("0001_initial.sql");
        std::fs::read_to_string(path).expect("a schema")
    };
    let sqlserver = read("sqlserver");
    let views = [("AlertRow", "Alert"), ("AttachmentRow", "Attachment")]
        .map(|(table, view)| (table, view, columns_of_view(&sqlserver, view)));
    for (table, constraint) in [read("sqlite"), sqlserver]
        .iter()
        .flat_map(|it| constraints(it))
    {
        let mut parts = constraint.split('_');
        let [kind, owner, column] = std::array::from_fn(|_| parts.next().unwrap_or_default());
        let view = views.iter().find(|(of, _, columns)| {
            *of == table && ["CK", "UQ"].contains(&kind) && columns.iter().any(|it| it == column)
        });
        let expected = view.map_or(table.as_str(), |(_, view, _)| view);
        assert_eq!(owner, expected, "{constraint} of {table}");
        if kind == "FK" {
            assert!(
                !["Alert", "Attachment"].contains(&column),
                "{constraint}: the table, not the view"
            );
        }
    }
}

/// What makes the schema is named for what it makes.
const OF_THE_SCHEMA: [&str; 4] = ["history", "migrat", "schema_owner", "script_"];

/// The functions in a store's Rust files, and the names of its statements: files, and constants beside the functions.
fn functions_and_statements(store: &str) -> [std::collections::BTreeSet<String>; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(STORE);
    let word = |rest: &str| -> String {
        let letters = rest.chars();
        letters
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect()
    };
    let mut functions = std::collections::BTreeSet::new();
    let files = files_in(&format!("{store}/sql")).into_iter();
    let mut statements: std::collections::BTreeSet<_> =
        files.map(|it| it.replace(".sql", "")).collect();
    for file in files_in(store) {
        let text = std::fs::read_to_string(root.join(store).join(file)).expect("a source file");
        functions.extend(text.split("fn ").skip(1).map(word));
        for kind in ["const ", "static "] {
            let named = text.split(kind).skip(1);
            let texts = named.filter(|it| {
                it.lines()
                    .next()
                    .is_some_and(|line| line.contains("str =") || line.contains("LazyLock<String>"))
            });
            statements.extend(texts.map(|it| word(it).to_lowercase()));
        }
    }
    [functions, statements]
}

/// A statement is named for the function that runs it, and has its counterpart in the other store.
#[test]
fn the_two_stores_have_statements_for_the_same_functions() {
    let [sqlite, sqlserver] = ["sqlite", "sqlserver"].map(functions_and_statements);
    let owner = |statement: &str| {
        let is_named = |function: &&String| {
            let rest = statement.strip_prefix(function.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('_'))
        };
        let unmirrored = UNMIRRORED_STATEMENTS
            .iter()
            .map(|(name, _)| (*name).to_owned());
        let common: Vec<_> = sqlite[0]
            .intersection(&sqlserver[0])
            .cloned()
            .chain(unmirrored)
            .collect();
        common
            .iter()
            .filter(is_named)
            .max_by_key(|it| it.len())
            .cloned()
    };
    let mut owners = Vec::new();
    for (store, statements) in [("sqlite", &sqlite[1]), ("sqlserver", &sqlserver[1])] {
        for file in files_in(&format!("{store}/sql")) {
            let path = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join(STORE)
                .join(store)
                .join("sql")
                .join(&file);
            let text = std::fs::read_to_string(path).expect("a statement");
            let first = text.lines().next().unwrap_or_default();
            let stem = file.replace(".sql", "");
            if OF_THE_SCHEMA.iter().any(|part| stem.contains(part)) {
                continue;
            }
            let owner = owner(&stem)
                .unwrap_or_else(|| panic!("{store}/sql/{file} is named for no function"));
            assert!(
                first.starts_with("-- ") && first.contains(&owner),
                "{store}/sql/{file} begins with {first}"
            );
        }
        let named = statements.iter().filter_map(|statement| owner(statement));
        owners.push(named.collect::<std::collections::BTreeSet<_>>());
    }
    let found: Vec<_> = owners[0]
        .symmetric_difference(&owners[1])
        .cloned()
        .collect();
    let known: Vec<_> = UNMIRRORED_STATEMENTS
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .collect();
    assert_eq!(
        found, known,
        "UNMIRRORED_STATEMENTS lists each function whose statements only one store has"
    );
}
