//! The versions of the program and its libraries.

use std::sync::LazyLock;

use sendport_store::sqlite;

/// Only a release looks: `build.rs` says why.
const UNKNOWN_COMMIT: &str = match cfg!(debug_assertions) {
    true => "not known, this is a debug build",
    false => "not known",
};

/// Version, commit, features, and the versions of libraries that a bug report needs.
pub static VERSIONS: LazyLock<String> = LazyLock::new(|| {
    let features = [
        ("gssapi", cfg!(feature = "gssapi")),
        ("sqlserver-gssapi", cfg!(feature = "sqlserver-gssapi")),
    ];
    let features: Vec<_> = features.iter().filter(|it| it.1).map(|it| it.0).collect();
    format!(
        "{}\ncommit   {}\nfeatures {}\n{}\nSQLite {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("SENDPORT_COMMIT").unwrap_or(UNKNOWN_COMMIT),
        if features.is_empty() {
            "none".to_owned()
        } else {
            features.join(", ")
        },
        openssl::version::version(),
        sqlite::engine_version()
    )
});
