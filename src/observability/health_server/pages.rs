//! The response to one request.

use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};

use super::{HealthSource, HealthStatus};

const TEXT: &str = "text/plain; charset=utf-8";

/// First line of the page at `/`.
pub const NAME: &str = "sendport";

const INDEX: &str = "sendport\n\n\
    /healthz  200 while the process lives\n\
    /readyz   200 if it is ready, else 503 and the reason\n\
    /metrics  for Prometheus\n";

/// The page of the path; does not read the body of the request.
pub(super) fn respond<B>(request: &Request<B>, source: &dyn HealthSource) -> Response<String> {
    let head = request.method() == Method::HEAD;
    if !head && request.method() != Method::GET {
        let mut refused = page(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET or HEAD\n".into());
        add(&mut refused, ALLOW, "GET, HEAD");
        return refused;
    }
    let mut response = match request.uri().path() {
        "/" => page(StatusCode::OK, TEXT, INDEX.into()),
        "/healthz" => for_status(source.liveness()),
        "/readyz" => for_status(source.readiness()),
        "/metrics" => {
            let (text, content_type) = source.metrics();
            page(StatusCode::OK, content_type, text)
        }
        _ => page(StatusCode::NOT_FOUND, TEXT, format!("not here\n\n{INDEX}")),
    };
    if head {
        response.body_mut().clear();
    }
    response
}

fn for_status(verdict: HealthStatus) -> Response<String> {
    match verdict {
        HealthStatus::Pass(text) => page(StatusCode::OK, TEXT, text),
        HealthStatus::Fail(text) => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, text),
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

    struct NotReady;

    impl HealthSource for NotReady {
        fn liveness(&self) -> HealthStatus {
            HealthStatus::Pass("alive\n".to_owned())
        }

        fn readiness(&self) -> HealthStatus {
            HealthStatus::Fail("not ready: the lease is not held\n".to_owned())
        }

        fn metrics(&self) -> (String, &'static str) {
            ("sendport_ready 0\n".to_owned(), "text/plain; version=0.0.4")
        }
    }

    fn ask(method: Method, path: &str) -> (u16, String) {
        let request = Request::builder().method(method).uri(path).body(());
        let response = respond(&request.expect("a request"), &NotReady);
        assert_eq!(response.headers()["cache-control"], "no-store");
        (response.status().as_u16(), response.into_body())
    }

    #[test]
    fn returns_the_page_of_each_path() {
        assert_eq!(ask(Method::GET, "/healthz"), (200, "alive\n".to_owned()));
        let (status, text) = ask(Method::GET, "/readyz?verbose");
        assert_eq!((status, text.contains("the lease")), (503, true));
        assert_eq!(ask(Method::GET, "/metrics").1, "sendport_ready 0\n");
        let index = ask(Method::GET, "/").1;
        assert!(index.contains("/readyz"));
        assert_eq!(index.lines().next(), Some(NAME));
        assert_eq!(ask(Method::GET, "/../etc/passwd").0, 404);
    }

    #[test]
    fn refuses_other_methods_than_get_and_head() {
        assert_eq!(ask(Method::HEAD, "/readyz"), (503, String::new()));
        for method in [Method::POST, Method::PUT, Method::DELETE, Method::TRACE] {
            assert_eq!(ask(method, "/metrics").0, 405);
        }
    }
}
