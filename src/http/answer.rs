//! The answer to one request.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{Pages, Verdict};

const TEXT: &str = "text/plain; charset=utf-8";

/// What the page at `/` begins with, alone in its line.
pub const NAME: &str = "sendport";

const INDEX: &str = "sendport\n\n\
    /healthz  200 while the process lives\n\
    /readyz   200 while it can work, else 503 and why not\n\
    /metrics  for Prometheus\n";

/// A page for the path; the body of the request is not read.
pub(super) fn answer<B>(request: &Request<B>, pages: &dyn Pages) -> Response<String> {
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".into());
        add(&mut refused, ALLOW, "GET, HEAD");
        return refused;
    }
    let mut response = match request.uri().path() {
        "/" => page(StatusCode::OK, TEXT, INDEX.into()),
        "/healthz" => of_verdict(pages.alive()),
        "/readyz" => of_verdict(pages.ready()),
        "/metrics" => {
            let (text, content_type) = pages.metrics();
            page(StatusCode::OK, content_type, text)
        }
        _ => page(StatusCode::NOT_FOUND, TEXT, format!("not here\n\n{INDEX}")),
    };
    if head {
        response.body_mut().clear();
    }
    response
}

fn of_verdict(verdict: Verdict) -> Response<String> {
    match verdict {
        Verdict::Yes(words) => page(StatusCode::OK, TEXT, words),
        Verdict::No(words) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, words),
    }
}

fn page(status: StatusCode, content_type: &'static str, body: String) -> Response<String> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    add(&mut response, CONTENT_TYPE, content_type);
    add(&mut response, CACHE_CONTROL, "no-store");
    let nosniff = HeaderName::from_static("x-content-type-options");
    add(&mut response, nosniff, "nosniff");
    response
}

fn add(response: &mut Response<String>, name: HeaderName, value: &'static str) {
    let value = HeaderValue::from_static(value);
    response.headers_mut().insert(name, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Ill;

    impl Pages for Ill {
        fn alive(&self) -> Verdict {
            Verdict::Yes("alive\n".to_owned())
        }

        fn ready(&self) -> Verdict {
            Verdict::No("not ready: the lease is not held\n".to_owned())
        }

        fn metrics(&self) -> (String, &'static str) {
            ("sendport_ready 0\n".to_owned(), "text/plain; version=0.0.4")
        }
    }

    fn ask(method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(());
        let response = answer(&request.expect("a request"), &Ill);
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status().as_u16(), response.into_body())
    }

    #[test]
    fn each_path_has_its_page() {
        assert_eq!(ask(Method::GET, "/healthz"), (200, "alive\n".to_owned()));
        let (status, words) = ask(Method::GET, "/readyz?verbose");
        assert_eq!((status, words.contains("the lease")), (503, true));
        assert_eq!(ask(Method::GET, "/metrics").1, "sendport_ready 0\n");
        let index = ask(Method::GET, "/").1;
        assert!(index.contains("/readyz"));
        assert_eq!(index.lines().next(), Some(NAME));
        assert_eq!(ask(Method::GET, "/../etc/passwd").0, 404);
    }

    #[test]
    fn nothing_but_looking_is_allowed() {
        assert_eq!(ask(Method::HEAD, "/readyz"), (503, String::new()));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
            assert_eq!(ask(method, "/metrics").0, 405);
        }
    }
}
