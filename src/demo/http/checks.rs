//! What the head of a request must be before its message is looked into, and how it must agree with the message.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::StatusCode;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue, ORIGIN};
use hyper::http::request::Parts;

use super::Rejection;
use crate::demo::rpc::{ClientRequest, Fault, LEGACY_VERSIONS};

const PROTOCOL_VERSION: &str = "mcp-protocol-version";

/// Refuses requests that a web page of another site, or a name rebound to this machine, had sent.
pub(super) fn origin(head: &Parts, loopback: bool) -> Result<(), Rejection> {
    let forbidden = Rejection::Status(StatusCode::FORBIDDEN);
    if head.headers.contains_key(ORIGIN) {
        let origin = only(head, ORIGIN.as_str()).and_then(|origin| origin.split_once("://"));
        if !origin.is_some_and(|(scheme, host)| matches!(scheme, "http" | "https") && is_local(host)) {
            return Err(forbidden);
        }
    }
    if loopback && !only(head, HOST.as_str()).is_some_and(is_local) {
        return Err(forbidden);
    }
    Ok(())
}

/// JSON in; JSON or a stream of events out, whichever the answer needs.
pub(super) fn media_types(head: &Parts) -> Result<(), Rejection> {
    let content_type = only(head, CONTENT_TYPE.as_str()).map(essence);
    if !content_type.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Err(Rejection::Status(StatusCode::UNSUPPORTED_MEDIA_TYPE));
    }
    let accepts = |wanted: &str| {
        let values = head.headers.get_all(ACCEPT).into_iter().filter_map(|value| value.to_str().ok());
        let mut ranges = values.flat_map(|value| value.split(',')).map(essence);
        let whole_type = wanted.split('/').next();
        ranges
            .any(|range| range == "*/*" || range.eq_ignore_ascii_case(wanted) || range.strip_suffix("/*") == whole_type)
    };
    if !accepts("application/json") || !accepts("text/event-stream") {
        return Err(Rejection::Status(StatusCode::NOT_ACCEPTABLE));
    }
    Ok(())
}

/// Whether the version header is there and not that of a legacy revision.
pub(super) fn names_modern_version(head: &Parts) -> bool {
    let mut versions = head.headers.get_all(PROTOCOL_VERSION).into_iter();
    versions.any(|version| !version.to_str().is_ok_and(|version| LEGACY_VERSIONS.contains(&version.trim())))
}

/// The version header may be absent: clients before 2025-06-18 do not know it.
pub(super) fn legacy_version(head: &Parts) -> Result<(), Rejection> {
    if names_modern_version(head) {
        let fault = Fault::InvalidRequest("`MCP-Protocol-Version` is not supported".into());
        return Err(Rejection::bad_request(fault.anonymous()));
    }
    Ok(())
}

/// The version header, once the headers that repeat parts of the message are there and agree with it
/// (MCP 2026-07-28, streamable HTTP, server validation).
pub(super) fn mirrored_headers<'a>(head: &'a Parts, request: &ClientRequest) -> Result<&'a str, Fault> {
    let header = |name: &str| {
        let missing = || Fault::HeaderMismatch(format!("`{name}` is not there exactly once as text"));
        only(head, name).ok_or_else(missing)
    };
    let version = header("MCP-Protocol-Version")?;
    if header("Mcp-Method")? != request.method {
        return Err(Fault::HeaderMismatch(format!("`Mcp-Method` is not `{}`", request.method)));
    }
    let named_by = match request.method.as_str() {
        "tools/call" | "prompts/get" => "name",
        "resources/read" => "uri",
        _ => return Ok(version),
    };
    // A message without a name is the business of its method.
    if let Ok(name) = request.text(named_by)
        && !says(header("Mcp-Name")?, name)
    {
        return Err(Fault::HeaderMismatch(format!("`Mcp-Name` is not `{name}`")));
    }
    Ok(version)
}

/// The value of a header that is there exactly once and is visible ASCII.
pub(super) fn only<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let mut values = head.headers.get_all(name).into_iter();
    match (values.next().map(HeaderValue::to_str), values.next()) {
        (Some(Ok(value)), None) => Some(value.trim_matches([' ', '\t'])),
        _ => None,
    }
}

/// Whether a header means `value`, which stands there as it is or, if no header can hold it so, in Base64.
fn says(said: &str, value: &str) -> bool {
    match said.strip_prefix("=?base64?").and_then(|rest| rest.strip_suffix("?=")) {
        Some(encoded) => encoded == STANDARD.encode(value),
        None => said == value,
    }
}

/// A media type without its parameters.
fn essence(value: &str) -> &str {
    value.split(';').next().unwrap_or_default().trim()
}

/// Whether an authority is this machine, whatever the port.
fn is_local(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost") || matches!(host, "127.0.0.1" | "[::1]")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(&str, &str)]) -> Parts {
        let builder =
            fields.iter().fold(hyper::Request::builder(), |builder, (name, value)| builder.header(*name, *value));
        builder.body(()).expect("a valid head").into_parts().0
    }

    fn status(result: Result<(), Rejection>) -> u16 {
        match result {
            Ok(()) => 200,
            Err(Rejection::Status(status) | Rejection::Refused(status, _)) => status.as_u16(),
            Err(Rejection::Method { .. }) => 405,
        }
    }

    #[test]
    fn only_this_machine_may_be_named_as_host_or_origin() {
        for (fields, expected) in [
            (&[("host", "localhost:8080")][..], 200),
            (&[("host", "[::1]:8080")], 200),
            (&[("host", "[::1]")], 200),
            (&[("host", "127.0.0.1"), ("origin", "http://localhost:3000")], 200),
            (&[("host", "127.0.0.1"), ("origin", "https://evil.example")], 403),
            (&[("host", "127.0.0.1"), ("origin", "http://localhost.evil.example")], 403),
            (&[("host", "127.0.0.1"), ("origin", "null")], 403),
            (&[("host", "127.0.0.1"), ("origin", "http://localhost"), ("origin", "http://localhost")], 403),
            (&[("host", "evil.example")], 403),
            (&[("host", "127.0.0.1"), ("host", "127.0.0.1")], 403),
            (&[], 403),
        ] {
            assert_eq!(status(origin(&head(fields), true)), expected, "{fields:?}");
        }
        assert_eq!(status(origin(&head(&[("host", "demo.example")]), false)), 200);
    }

    #[test]
    fn json_comes_in_and_both_json_and_streams_are_accepted() {
        for (content_type, accept, expected) in [
            ("application/json", "application/json, text/event-stream", 200),
            ("Application/JSON; charset=utf-8", "text/event-stream;q=0.5,application/json", 200),
            ("application/json", "*/*", 200),
            ("application/json", "application/*, text/*", 200),
            ("application/json", "application/json", 406),
            ("application/json", "text/event-stream", 406),
            ("application/jsonl", "*/*", 415),
            ("text/plain", "*/*", 415),
        ] {
            let fields = [("content-type", content_type), ("accept", accept)];
            assert_eq!(status(media_types(&head(&fields))), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_name_stands_as_it_is_or_in_base64() {
        for (header, value, expected) in [
            ("add", "add", true),
            ("add", "Add", false),
            ("=?base64?YWRk?=", "add", true),
            ("=?BASE64?YWRk?=", "add", false),
            ("=?base64?YWRk?=", "=?base64?YWRk?=", false),
            ("=?base64?w6k=?=", "é", true),
        ] {
            assert_eq!(says(header, value), expected, "{header} {value}");
        }
    }
}
