//! Keeps web pages away from an API on loopback.

use super::error::ApiError;
use axum::{
    extract::Request,
    http::{StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use std::net::IpAddr;

/// A browser on the same machine reaches loopback for any page it shows. What a page sends to another site, and every
/// write, has an `Origin` (RFC 6454, section 7); what it reads after rebinding its own name to 127.0.0.1 has that name
/// as `Host`.
pub(super) async fn refuse_browsers(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    if headers.contains_key(header::ORIGIN) || !host.is_none_or(is_here) {
        let hint =
            "use the dragonflow command or a client that is no browser, and an address or localhost as host";
        return ApiError::new(StatusCode::FORBIDDEN, "requests from web pages are refused", hint)
            .into_response();
    }
    next.run(request).await
}

/// An address or localhost, with or without a port.
fn is_here(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or(rest),
        None => host.split(':').next().unwrap_or(host),
    };
    name == "localhost" || name.parse::<IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::is_here;

    #[test]
    fn names_are_foreign() {
        for here in ["localhost", "localhost:8642", "127.0.0.1", "127.0.0.1:80", "[::1]:80", "[::1]"] {
            assert!(is_here(here), "{here}");
        }
        for foreign in ["evil.example", "evil.example:8642", "", "?", "localhost.evil.example"] {
            assert!(!is_here(foreign), "{foreign}");
        }
    }
}
