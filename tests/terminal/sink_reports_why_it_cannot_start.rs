use std::net::TcpListener;

use crate::program::run;

#[test]
fn a_port_that_another_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its address").to_string();
    let output = run(folder.path(), &["sink", "--listen", &address]);
    let wanted = format!("cannot listen on {address}");
    output.prints(1, &[&wanted, "ss -ltnp"]);
    assert!(!output.err.contains("folder"), "{}", output.err);
}

#[test]
fn a_folder_that_is_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sink"), "").expect("write");
    let output = run(folder.path(), &["sink", "--listen", "127.0.0.1:0"]);
    output.prints(1, &["the folder sink for the messages cannot be created"]);
    assert!(!output.err.contains("listen"), "{}", output.err);
}
