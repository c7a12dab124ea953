//! Where the `endpoint` event leads: a URI reference, resolved against the URL of its stream (RFC 3986, 5.2). Another
//! origin than the stream's is refused: a server must not make the gateway speak to others.

use only1mcp_model::url;

use crate::limits;

/// The path and query that a reference leads to from this URL.
pub(super) fn resolve(base: &str, reference: &str) -> Result<String, String> {
    if reference.is_empty() || reference.len() > limits::TARGET_BYTES_MAX {
        return Err("its `endpoint` event has no URI, or one that is too long".to_owned());
    }
    // Anything else could end the request line that it becomes part of.
    if !reference.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("its `endpoint` event has a URI with characters that URIs have not".to_owned());
    }
    let origin = url::parse(base).map_err(ToOwned::to_owned)?;
    let reference = reference.split('#').next().unwrap_or_default();
    let scheme = if origin.tls { "https:" } else { "http:" };
    let absolute = if reference.starts_with("//") {
        Some(format!("{scheme}{reference}"))
    } else {
        // RFC 3986, 6.2.2.1: case makes no difference to a scheme.
        split_scheme(reference).map(|(scheme, rest)| format!("{}:{rest}", scheme.to_ascii_lowercase()))
    };
    if let Some(absolute) = absolute {
        let foreign = || format!("its `endpoint` event leads to another origin: `{absolute}`");
        let other = url::parse(&absolute).map_err(|_no_server| foreign())?;
        let scheme = |parts: &url::Parts<'_>| (parts.tls, parts.websocket);
        let same = scheme(&other) == scheme(&origin)
            && other.port == origin.port
            && other.host.eq_ignore_ascii_case(origin.host);
        return if same { Ok(other.path.to_owned()) } else { Err(foreign()) };
    }
    let base_path = origin.path.split('?').next().unwrap_or_default();
    let directory = &base_path[..=base_path.rfind('/').unwrap_or_default()];
    let (path, query) = reference.split_at(reference.find('?').unwrap_or(reference.len()));
    Ok(match path {
        "" => format!("{base_path}{query}"),
        _ if path.starts_with('/') => without_dots(path) + query,
        _ => without_dots(&format!("{directory}{path}")) + query,
    })
}

/// RFC 3986, 3.1: letters, digits and three signs before the first colon.
fn split_scheme(reference: &str) -> Option<(&str, &str)> {
    reference.split_once(':').filter(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    })
}

/// RFC 3986, 5.2.4.
fn without_dots(path: &str) -> String {
    let mut segments = Vec::new();
    let mut parts = path.split('/').skip(1).peekable();
    while let Some(part) = parts.next() {
        let last = parts.peek().is_none();
        match part {
            "." | ".." => {
                if part == ".." {
                    segments.pop();
                }
                if last {
                    segments.push("");
                }
            }
            part => segments.push(part),
        }
    }
    format!("/{}", segments.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_leads_within_the_origin_of_its_stream() {
        let base = "http://10.0.0.4:9001/old/sse?key=1";
        for (reference, expected) in [
            ("/messages?sessionId=1", "/messages?sessionId=1"),
            ("/messages/?session_id=1#top", "/messages/?session_id=1"),
            ("messages?a=b:c", "/old/messages?a=b:c"),
            ("?sessionId=1", "/old/sse?sessionId=1"),
            ("../messages", "/messages"),
            ("./a/../b/.", "/old/b/"),
            ("/../../x/..", "/"),
            ("http://10.0.0.4:9001/m?x", "/m?x"),
            ("HTTP://10.0.0.4:9001/m", "/m"),
            ("//10.0.0.4:9001/m", "/m"),
            ("/m?to=http://evil.example/", "/m?to=http://evil.example/"),
        ] {
            assert_eq!(resolve(base, reference).as_deref(), Ok(expected), "{reference}");
        }
        assert_eq!(resolve("https://a.example", "https://A.example:443/m").as_deref(), Ok("/m"));
        assert_eq!(resolve("http://a.example", "m").as_deref(), Ok("/m"));
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let base = "http://10.0.0.4:9001/sse";
        for reference in [
            "http://evil.example/messages",
            "http://10.0.0.4:9002/messages",
            "https://10.0.0.4:9001/messages",
            "ws://10.0.0.4:9001/messages",
            "http://10.0.0.4/messages",
            "http://10.0.0.4:9001@evil.example/",
            "http://10.0.0.4:9001.evil.example/",
            "//evil",
            "//evil/messages",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "",
            "/a b",
            "/a\tb",
            "/ä",
            "/a\u{0}",
        ] {
            assert!(resolve(base, reference).is_err(), "{reference:?}");
        }
        assert!(resolve(base, &format!("/{}", "x".repeat(limits::TARGET_BYTES_MAX))).is_err());
    }
}
