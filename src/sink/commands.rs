//! Parses command lines (RFC 5321 section 4.1).

/// A command of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Request {
    Ehlo,
    Helo,
    /// The address, and the value of SIZE.
    Mail(String, Option<u64>),
    Rcpt(String),
    Data,
    Rset,
    Noop,
    Vrfy,
    Quit,
    /// A known verb with malformed arguments.
    Malformed,
    Unknown,
}

pub(super) fn parse(line: &str) -> Request {
    let (verb, rest) = line.split_at(line.find(' ').unwrap_or(line.len()));
    let rest = rest.trim();
    match verb.to_ascii_uppercase().as_str() {
        "EHLO" if !rest.is_empty() => Request::Ehlo,
        "HELO" if !rest.is_empty() => Request::Helo,
        "MAIL" => mail(rest).unwrap_or(Request::Malformed),
        "RCPT" => match path(rest, "TO:") {
            Some((address, _)) if !address.is_empty() => Request::Rcpt(address),
            _ => Request::Malformed,
        },
        "DATA" => Request::Data,
        "RSET" => Request::Rset,
        "NOOP" => Request::Noop,
        "VRFY" => Request::Vrfy,
        "QUIT" => Request::Quit,
        "EHLO" | "HELO" => Request::Malformed,
        _ => Request::Unknown,
    }
}

fn mail(rest: &str) -> Option<Request> {
    let (address, parameters) = path(rest, "FROM:")?;
    let size = parameters.split_ascii_whitespace().find_map(|parameter| {
        let (keyword, value) = parameter.split_once('=')?;
        keyword
            .eq_ignore_ascii_case("SIZE")
            .then(|| value.parse().ok())?
    });
    Some(Request::Mail(address, size))
}

/// `FROM:<address> parameters`; a `>` inside quotation marks does not end the path.
fn path<'a>(rest: &'a str, keyword: &str) -> Option<(String, &'a str)> {
    let (head, tail) = rest.split_at_checked(keyword.len())?;
    if !head.eq_ignore_ascii_case(keyword) {
        return None;
    }
    let inner = tail.trim_start().strip_prefix('<')?;
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in inner.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '>' if !quoted => return Some((inner[..at].to_owned(), &inner[at + 1..])),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_paths_as_clients_write_them() {
        assert_eq!(parse("MAIL FROM:<>"), Request::Mail(String::new(), None));
        assert_eq!(
            parse("mail from: <a@b> BODY=8BITMIME SIZE=12"),
            Request::Mail("a@b".into(), Some(12))
        );
        assert_eq!(
            parse("RCPT TO:<\"a>b\"@c>"),
            Request::Rcpt("\"a>b\"@c".into())
        );
        for line in [
            "RCPT TO:<>",
            "RCPT TO:a@b",
            "RCPT",
            "MAIL TO:<a>",
            "EHLO",
            "MAIL FROM:<a",
        ] {
            assert_eq!(parse(line), Request::Malformed, "{line}");
        }
        assert_eq!(parse(""), Request::Unknown);
    }
}
