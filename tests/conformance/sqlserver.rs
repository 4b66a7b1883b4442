//! The suite on SQL Server, where `SENDPORT_TEST_SQLSERVER` holds a connection string.

#[test]
fn suite() {
    if std::env::var_os("SENDPORT_TEST_SQLSERVER").is_none() {
        println!(
            "SENDPORT_TEST_SQLSERVER is not set: the conformance suite did not run on SQL Server"
        );
    }
}
