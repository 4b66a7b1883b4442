//! The server's reason for refusing a token, in both OAuth mechanisms (RFC 7628 section 3.2.2).

use serde::Deserialize;

/// Characters of a server's text that an error quotes.
const SHOWN: usize = 200;

#[derive(Deserialize)]
struct Refusal {
    status: Option<String>,
    scope: Option<String>,
}

/// The status and the scope of the server's JSON, or that it gave none.
pub(super) fn described(challenge: &[u8]) -> String {
    let refusal = serde_json::from_slice(challenge).ok();
    let parts: Vec<String> = refusal
        .map(|Refusal { status, scope }| {
            let status = status.map(|status| format!("status '{}'", shown(&status)));
            let scope = scope.map(|scope| format!("expected scope '{}'", shown(&scope)));
            status.into_iter().chain(scope).collect()
        })
        .unwrap_or_default();
    if parts.is_empty() {
        return "the server gave no reason".to_owned();
    }
    parts.join(", ")
}

fn shown(text: &str) -> String {
    text.chars()
        .filter(|c| !c.is_control())
        .take(SHOWN)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::described;

    #[test]
    fn describes_any_response() {
        let google = br#"{"status":"401","schemes":"bearer","scope":"https://mail.google.com/"}"#;
        assert_eq!(
            described(google),
            "status '401', expected scope 'https://mail.google.com/'"
        );
        for nothing in [&b""[..], b"{", b"{}", b"[1]", b"\xff", br#"{"status":401}"#] {
            assert_eq!(described(nothing), "the server gave no reason");
        }
        let long = format!(r#"{{"status":"{}\r\n"}}"#, "x".repeat(5000));
        assert!(described(long.as_bytes()).len() < 250);
    }
}
