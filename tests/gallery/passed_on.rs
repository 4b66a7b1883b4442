//! What list software passes on: read and written again by Python's library, as Mailman does it, and
//! then asked about its signature.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::readers::Reader;
use crate::secured::Way;

/// Nothing is changed on purpose.
const PASS_ON: &str = r"
import email, email.generator, email.policy, sys
policy = email.policy.compat32.clone(linesep='\r\n')
message = email.message_from_bytes(sys.stdin.buffer.read(), policy=policy)
out = email.generator.BytesGenerator(sys.stdout.buffer, mangle_from_=False, maxheaderlen=0, policy=policy)
out.flatten(message)
";

/// Asks `reader` about what was passed on.
pub(crate) struct PassedOn<R> {
    reader: R,
}

impl<R: Reader> PassedOn<R> {
    /// `None` where there is no Python.
    pub(crate) fn new(reader: R) -> Option<Self> {
        Command::new("python3").arg("--version").output().ok()?;
        Some(Self { reader })
    }
}

fn pass_on(message: &[u8]) -> Vec<u8> {
    let mut child = Command::new("python3")
        .args(["-c", PASS_ON])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("python3 to run");
    let mut stdin = child.stdin.take().expect("is piped");
    stdin.write_all(message).expect("is read");
    drop(stdin);
    let output = child.wait_with_output().expect("python3 to end");
    assert!(output.status.success(), "python3 cannot pass it on");
    output.stdout
}

impl<R: Reader> Reader for PassedOn<R> {
    fn name(&self) -> &'static str {
        "list software of Python"
    }

    fn knows_signature(&self, way: &Way) -> bool {
        way.is_clear() && self.reader.knows_signature(way)
    }

    fn knows_envelope(&self, way: &Way) -> bool {
        self.reader.knows_envelope(way)
    }

    fn verify(&self, message: &[u8]) -> Option<Vec<u8>> {
        self.reader.verify(&pass_on(message))
    }

    fn open(&self, message: &[u8], who: &str) -> Option<Vec<u8>> {
        self.reader.open(&pass_on(message), who)
    }
}
