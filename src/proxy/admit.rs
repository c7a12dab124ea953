//! What the head of a request alone decides: who may ask, where, how, and in which media types.

use std::collections::HashMap;

use super::error::Refusal;
use super::plain;
use super::site::Site;
use crate::catalog::{Spec, View};
use crate::http1::{Field, Method, RequestHead};

/// Who may connect, from the topology and the address listened on.
#[derive(Debug)]
pub(crate) struct Gate {
    site: Site,
    /// Every path there is, and what is seen there.
    paths: HashMap<String, &'static View>,
    /// What is seen at the plain routes.
    whole: &'static View,
}

/// A request that may go on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    /// What is seen at its path.
    pub(crate) view: &'static View,
    /// What it is.
    pub(crate) kind: RequestKind,
}

/// What an admitted request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestKind {
    /// POST of a message.
    Post {
        /// Whether the client can read an event stream.
        accepts_stream: bool,
    },
    /// GET of a session's stream.
    Get,
    /// DELETE of a session.
    Delete,
    /// POST to a plain route.
    Plain(plain::PlainRoute),
}

impl Gate {
    pub(crate) fn new(spec: &'static Spec, site: Site) -> Self {
        let views = spec.views.iter().chain(spec.alone);
        let views = views.map(|view| (spec.listen.view_path(&view.patterns.name), view));
        let paths = [(spec.listen.path.to_string(), &spec.whole)].into_iter().chain(views).collect();
        Self { site, paths, whole: &spec.whole }
    }

    /// Checks a head, in the order of MCP 2026-07-28, streamable HTTP, server validation.
    pub(crate) fn admit(&self, head: &RequestHead<'_>) -> Result<Admitted, Refusal<'static>> {
        self.site.check(head.host, head.origin, head.fetch_site)?;
        let path = head.target.split('?').next().unwrap_or_default();
        let Some(&view) = self.paths.get(path) else {
            let route = plain::PlainRoute::of(path).ok_or(Refusal::NotFound)?;
            return admit_plain(head).map(|()| Admitted { view: self.whole, kind: RequestKind::Plain(route) });
        };
        match head.method {
            Method::Post => {}
            Method::Get => return Ok(Admitted { view, kind: RequestKind::Get }),
            Method::Delete => return Ok(Admitted { view, kind: RequestKind::Delete }),
            Method::Options | Method::Other => return Err(Refusal::MethodNotAllowed("POST, GET, DELETE")),
        }
        check_body(head)?;
        if !accepts(&head.accept, b"application/json") {
            return Err(Refusal::NotAcceptable);
        }
        let accepts_stream = accepts(&head.accept, b"text/event-stream");
        Ok(Admitted { view, kind: RequestKind::Post { accepts_stream } })
    }
}

/// Checks a head for a plain route. A script that does not say what it accepts accepts JSON.
fn admit_plain(head: &RequestHead<'_>) -> Result<(), Refusal<'static>> {
    if head.method != Method::Post {
        return Err(Refusal::MethodNotAllowed("POST"));
    }
    check_body(head)?;
    if head.accept.iter().any(|line| !line.is_empty()) && !accepts(&head.accept, b"application/json") {
        return Err(Refusal::NotAcceptable);
    }
    Ok(())
}

fn check_body(head: &RequestHead<'_>) -> Result<(), Refusal<'static>> {
    if head.upgrade {
        return Err(Refusal::Upgrade);
    }
    if !is_json(head.content_type) || head.content_encoding.count > 0 {
        return Err(Refusal::UnsupportedMediaType);
    }
    Ok(())
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

    static WHOLE: View = View::bare("", 1);
    static CODING: View = View::bare("coding", 2);

    fn admitted(lines: &str) -> Result<Admitted, u16> {
        let paths = HashMap::from([("/mcp".to_owned(), &WHOLE), ("/mcp/coding".to_owned(), &CODING)]);
        let site = Site::new(vec!["Gw.example".to_owned()], vec!["https://app.example".to_owned()]);
        let gate = Gate { site, paths, whole: &WHOLE };
        let head = format!("{lines}\r\n\r\n");
        let Ok(Parsed::Head(head, _)) = RequestHead::parse(head.as_bytes()) else { panic!("{head:?} is well formed") };
        gate.admit(&head).map_err(|refusal| refusal.verdict(only1mcp_model::revision::Era::Modern).status)
    }

    fn admit(lines: &str) -> Result<RequestKind, u16> {
        admitted(lines).map(|admitted| admitted.kind)
    }

    #[test]
    fn a_path_leads_to_the_view_that_is_named_like_its_end_and_no_other() {
        for (target, expected) in [
            ("/mcp", Ok("")),
            ("/mcp?view=coding", Ok("")),
            ("/mcp/coding", Ok("coding")),
            ("/mcp/coding?x=/mcp", Ok("coding")),
            ("/mcp/coding/", Err(404)),
            ("/mcp//coding", Err(404)),
            ("/mcp/Coding", Err(404)),
            ("/mcp/other", Err(404)),
            ("/mcp/%63oding", Err(404)),
            ("/mcp/", Err(404)),
            ("/coding", Err(404)),
        ] {
            let found = admitted(&format!("GET {target} HTTP/1.1\r\nHost: localhost"));
            assert_eq!(found.map(|admitted| &*admitted.view.patterns.name), expected, "{target}");
        }
    }

    #[test]
    fn a_head_is_judged_in_the_order_of_the_specification() {
        let json = "Content-Type: application/json\r\nAccept: application/json, text/event-stream";
        let post = Ok(RequestKind::Post { accepts_stream: true });
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
                Ok(RequestKind::Post { accepts_stream: false }),
            ),
            ("POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: */*".to_owned(), post),
            (
                "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/event-stream\r\nAccept: application/json"
                    .to_owned(),
                post,
            ),
            ("GET /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Ok(RequestKind::Get)),
            (format!("POST / HTTP/1.1\r\nHost: localhost\r\n{json}"), Ok(RequestKind::Plain(plain::PlainRoute::Any))),
            (
                "POST /tools/call?x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json".to_owned(),
                Ok(RequestKind::Plain(plain::PlainRoute::Method("tools/call"))),
            ),
            (format!("POST /tools/call HTTP/1.1\r\nHost: evil.example\r\n{json}"), Err(403)),
            (format!("POST /tools/call HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n{json}"), Err(403)),
            (format!("POST /tools/call/ HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST /tools HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            ("POST /tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain".to_owned(), Err(415)),
            (
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/html".to_owned(),
                Err(406),
            ),
            ("GET / HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("DELETE /tools/list HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("DELETE /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Ok(RequestKind::Delete)),
        ] {
            assert_eq!(admit(&lines), expected, "{lines}");
        }
    }
}
