use std::net::TcpListener;

use crate::said::run;

#[test]
fn a_port_that_another_has() {
    let folder = tempfile::tempdir().expect("a folder");
    let other = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = other.local_addr().expect("its address").to_string();
    let said = run(folder.path(), &["sink", "--listen", &address]);
    let wanted = format!("cannot listen on {address}");
    said.tells(1, &[&wanted, "ss -ltnp"]);
    assert!(!said.err.contains("folder"), "{}", said.err);
}

#[test]
fn a_folder_that_is_a_file() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("sink"), "").expect("write");
    let said = run(folder.path(), &["sink", "--listen", "127.0.0.1:0"]);
    said.tells(1, &["the folder sink for the messages cannot be created"]);
    assert!(!said.err.contains("listen"), "{}", said.err);
}
