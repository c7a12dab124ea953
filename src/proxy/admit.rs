//! What the head of a request alone decides: who may ask, where, how, and in which media types.

use super::error::Refusal;
use super::site::Site;
use crate::http1::{Field, Method, RequestHead};

/// Who may connect, from the topology and the address listened on.
#[derive(Debug)]
pub(crate) struct Gate {
    path: String,
    site: Site,
}

/// A request that may go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Admitted {
    /// POST of a message.
    Post {
        /// Whether the client can read an event stream.
        accepts_stream: bool,
    },
    /// GET of a session's stream.
    Get,
    /// DELETE of a session.
    Delete,
}

impl Gate {
    pub(crate) fn new(path: &str, site: Site) -> Self {
        Self { path: path.to_owned(), site }
    }

    /// Checks a head, in the order of MCP 2026-07-28, streamable HTTP, server validation.
    pub(crate) fn admit(&self, head: &RequestHead<'_>) -> Result<Admitted, Refusal<'static>> {
        self.site.check(head.host, head.origin, head.fetch_site)?;
        if head.target.split('?').next() != Some(self.path.as_str()) {
            return Err(Refusal::NotFound);
        }
        match head.method {
            Method::Post => {}
            Method::Get => return Ok(Admitted::Get),
            Method::Delete => return Ok(Admitted::Delete),
            Method::Options | Method::Other => return Err(Refusal::MethodNotAllowed("POST, GET, DELETE")),
        }
        if head.upgrade {
            return Err(Refusal::Upgrade);
        }
        if !is_json(head.content_type) || head.content_encoding.count > 0 {
            return Err(Refusal::UnsupportedMediaType);
        }
        if !accepts(&head.accept, b"application/json") {
            return Err(Refusal::NotAcceptable);
        }
        Ok(Admitted::Post { accepts_stream: accepts(&head.accept, b"text/event-stream") })
    }
}

fn is_json(content_type: Field<'_>) -> bool {
    let Some(value) = content_type.once() else { return false };
    let mut parts = value.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
    parts.next().is_some_and(|essence| essence.eq_ignore_ascii_case(b"application/json"))
        && parts.all(|parameter| {
            let lower = parameter.to_ascii_lowercase();
            !lower.starts_with(b"charset=") || matches!(&lower[8..], b"utf-8" | b"\"utf-8\"" | b"utf8")
        })
}

/// RFC 9110 §12.5.1: wildcards match, `q=0` excludes; no field accepts nothing here, as the servers in the field do.
fn accepts(accept: &[&[u8]], media_type: &[u8]) -> bool {
    let (family, _) = media_type.split_at(media_type.iter().position(|byte| *byte == b'/').unwrap_or_default());
    accept.iter().flat_map(|line| line.split(|byte| *byte == b',')).any(|range| {
        let mut parts = range.split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        let essence = parts.next().unwrap_or_default();
        let matches = essence.eq_ignore_ascii_case(media_type)
            || essence == b"*/*"
            || essence.strip_suffix(b"/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(family));
        matches && !parts.any(|parameter| matches!(parameter, b"q=0" | b"q=0.0" | b"q=0.00" | b"q=0.000"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http1::Parsed;

    fn admit(lines: &str) -> Result<Admitted, u16> {
        let site = Site::new(vec!["Gw.example".to_owned()], vec!["https://app.example".to_owned()]);
        let gate = Gate::new("/mcp", site);
        let head = format!("{lines}\r\n\r\n");
        let Ok(Parsed::Head(head, _)) = RequestHead::parse(head.as_bytes()) else { panic!("{head:?} is well formed") };
        gate.admit(&head).map_err(|refusal| refusal.verdict(only1mcp_model::revision::Era::Modern).status)
    }

    #[test]
    fn a_head_is_judged_in_the_order_of_the_specification() {
        let json = "Content-Type: application/json\r\nAccept: application/json, text/event-stream";
        let post = Ok(Admitted::Post { accepts_stream: true });
        for (lines, expected) in [
            (format!("POST /mcp HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n{json}"), post),
            (format!("POST /mcp HTTP/1.1\r\nHost: [::1]:8080\r\n{json}"), post),
            (format!("POST /mcp?x=1 HTTP/1.1\r\nHost: LOCALHOST\r\n{json}"), post),
            (format!("POST /mcp HTTP/1.1\r\nHost: gw.example\r\nOrigin: https://app.example\r\n{json}"), post),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost:3000\r\n{json}"), post),
            (format!("POST /mcp HTTP/1.1\r\nHost: evil.example\r\n{json}"), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost.evil.example\r\n{json}"), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://app.example\r\n{json}"), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n{json}"), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n{json}"), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost.evil.example\r\n{json}"), Err(403)),
            (
                format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://app.example\r\nOrigin: https://evil.example\r\n{json}"),
                Err(403),
            ),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nSec-Fetch-Site: cross-site".to_owned(), Err(403)),
            (format!("POST /mcp/ HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST //mcp HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST /MCP HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST /mcp/../admin HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST /mcp%2f..%2fadmin HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            ("TRACE /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("post /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("OPTIONS /mcp HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example".to_owned(), Err(403)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n{json}"), Err(400)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nUpgrade: h2c\r\n{json}"), post),
            ("POST /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Err(415)),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain".to_owned(), Err(415)),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=utf-16".to_owned(), Err(415)),
            (format!("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Encoding: gzip\r\n{json}"), Err(415)),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json".to_owned(), Err(406)),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/html".to_owned(), Err(406)),
            (
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: application/json;q=0".to_owned(),
                Err(406),
            ),
            (
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json; charset=UTF-8\r\nAccept: application/*;q=0.5".to_owned(),
                Ok(Admitted::Post { accepts_stream: false }),
            ),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*".to_owned(), post),
            (
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nAccept: application/json"
                    .to_owned(),
                post,
            ),
            ("GET /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Ok(Admitted::Get)),
            ("DELETE /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Ok(Admitted::Delete)),
        ] {
            assert_eq!(admit(&lines), expected, "{lines}");
        }
    }
}
