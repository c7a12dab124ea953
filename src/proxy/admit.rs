//! What the head of a request alone decides: who may ask, where, how, and in which media types.

use std::collections::HashMap;

use super::error::Refusal;
use super::plain;
use super::site::Site;
use crate::catalog::{Catalog, Spec, View};
use crate::http1::{Field, Method, RequestHead};

/// Who may connect, from the topology and the address listened on.
#[derive(Debug)]
pub(crate) struct Gate {
    site: Site,
    /// Every path there is, what is seen there, and what is served.
    paths: HashMap<String, (&'static View, Place)>,
    /// What is seen at the plain routes.
    whole: &'static View,
    /// The path of the MCP endpoint.
    path: &'static str,
}

/// What a path serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Streamable HTTP.
    Streamable,
    /// The streams of HTTP+SSE.
    Events,
    /// What clients say to such streams.
    Messages,
    /// WebSockets.
    #[cfg(feature = "websocket")]
    WebSockets,
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
    /// GET of a stream of HTTP+SSE, which is a conversation of its own.
    Events,
    /// POST of a message to such a stream; the stream knows what its client sees.
    Message,
    /// The beginning of a WebSocket.
    #[cfg(feature = "websocket")]
    WebSocket,
    /// POST to a plain route.
    Plain(plain::PlainRoute),
}

/// Where streams of HTTP+SSE begin; below it those of the views.
const EVENTS_PATH: &str = "/sse";
/// Where messages to such streams are posted.
pub(crate) const MESSAGES_PATH: &str = "/messages";
/// Where WebSockets begin; below it those of the views.
#[cfg(feature = "websocket")]
const WEBSOCKET_PATH: &str = "/ws";

impl Gate {
    pub(crate) fn new(spec: &'static Spec, site: Site) -> Self {
        let views = || spec.views.iter().chain(spec.alone);
        let own = views().map(|view| (spec.listen.view_path(&view.patterns.name), view, Place::Streamable));
        let named = [(spec.listen.path.to_string(), &spec.whole, Place::Streamable)].into_iter().chain(own);
        let others = below(EVENTS_PATH, spec, Place::Events);
        let others = others.chain([(MESSAGES_PATH.to_owned(), &spec.whole, Place::Messages)]);
        #[cfg(feature = "websocket")]
        let others = others.chain(below(WEBSOCKET_PATH, spec, Place::WebSockets));
        let mut paths = HashMap::new();
        for (path, view, place) in named.chain(others) {
            // What the topology names comes first: it may be one of the others.
            paths.entry(path).or_insert((view, place));
        }
        Self { site, paths, whole: &spec.whole, path: &spec.listen.path }
    }

    /// Checks a head, in the order of MCP 2026-07-28, streamable HTTP, server validation.
    pub(crate) fn admit(&self, head: &RequestHead<'_>, catalog: Catalog) -> Result<Admitted, Refusal<'static>> {
        self.site.check(head.host, head.origin, head.fetch_site)?;
        let path = head.target.split('?').next().unwrap_or_default();
        let found = self.paths.get(path).copied().or_else(|| self.amended(path, catalog));
        let Some((view, place)) = found else {
            let route = plain::PlainRoute::of(path).ok_or(Refusal::NotFound)?;
            return admit_plain(head).map(|()| Admitted { view: self.whole, kind: RequestKind::Plain(route) });
        };
        match (place, head.method) {
            #[cfg(feature = "websocket")]
            (Place::WebSockets, _) => {
                return begins_websocket(head).map(|()| Admitted { view, kind: RequestKind::WebSocket });
            }
            (Place::Streamable | Place::Messages, Method::Post) => {}
            (Place::Streamable, Method::Get) => return Ok(Admitted { view, kind: RequestKind::Get }),
            (Place::Streamable, Method::Delete) => return Ok(Admitted { view, kind: RequestKind::Delete }),
            (Place::Events, Method::Get) => return Ok(Admitted { view, kind: RequestKind::Events }),
            (Place::Streamable, _) => return Err(Refusal::MethodNotAllowed("POST, GET, DELETE")),
            (Place::Events, _) => return Err(Refusal::MethodNotAllowed("GET")),
            (Place::Messages, _) => return Err(Refusal::MethodNotAllowed("POST")),
        }
        check_body(head)?;
        // Its answer comes on the stream, whatever the client reads besides.
        if place == Place::Messages {
            return Ok(Admitted { view, kind: RequestKind::Message });
        }
        if !accepts(&head.accept, b"application/json") {
            return Err(Refusal::NotAcceptable);
        }
        let accepts_stream = accepts(&head.accept, b"text/event-stream");
        Ok(Admitted { view, kind: RequestKind::Post { accepts_stream } })
    }

    /// The same for paths that an overlay has added.
    fn amended(&self, path: &str, catalog: Catalog) -> Option<(&'static View, Place)> {
        if catalog.is_compiled() {
            return None;
        }
        let (above, name) = path.rsplit_once('/')?;
        let place = match above {
            above if above == self.path => Place::Streamable,
            EVENTS_PATH => Place::Events,
            #[cfg(feature = "websocket")]
            WEBSOCKET_PATH => Place::WebSockets,
            _ => return None,
        };
        Some((catalog.named(name)?, place))
    }
}

/// A path for the whole catalog, and one below it for every view and every backend alone.
fn below(
    path: &'static str,
    spec: &'static Spec,
    place: Place,
) -> impl Iterator<Item = (String, &'static View, Place)> {
    let views = spec.views.iter().chain(spec.alone);
    let views = views.map(move |view| (format!("{path}/{}", view.patterns.name), view, place));
    [(path.to_owned(), &spec.whole, place)].into_iter().chain(views)
}

/// RFC 6455, section 4.2.1. Who offers subprotocols has to offer that of MCP.
#[cfg(feature = "websocket")]
fn begins_websocket(head: &RequestHead<'_>) -> Result<(), Refusal<'static>> {
    use crate::http1::Framing;
    use crate::http1::head::list;
    use crate::websocket;

    let asked = &head.websocket;
    let mut offered = asked.protocols.iter().flat_map(|line| list(line)).filter(|name| !name.is_empty()).peekable();
    if head.method != Method::Get {
        return Err(Refusal::MethodNotAllowed("GET"));
    }
    if !asked.upgrade || asked.version.once() != Some(websocket::VERSION.as_bytes()) {
        return Err(Refusal::UpgradeRequired);
    }
    if !asked.key.once().is_some_and(websocket::is_key) {
        return Err(Refusal::WebSocket("`Sec-WebSocket-Key` must be 16 bytes in base64"));
    }
    if head.framing != Framing::None {
        return Err(Refusal::WebSocket("a request that begins a WebSocket has no body"));
    }
    if offered.peek().is_some() && !offered.any(|name| name == websocket::SUBPROTOCOL.as_bytes()) {
        return Err(Refusal::WebSocket("`Sec-WebSocket-Protocol` must offer `mcp`"));
    }
    Ok(())
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
        let paths = [
            ("/mcp".to_owned(), &WHOLE, Place::Streamable),
            ("/mcp/coding".to_owned(), &CODING, Place::Streamable),
            (EVENTS_PATH.to_owned(), &WHOLE, Place::Events),
            ("/sse/coding".to_owned(), &CODING, Place::Events),
            (MESSAGES_PATH.to_owned(), &WHOLE, Place::Messages),
            #[cfg(feature = "websocket")]
            (WEBSOCKET_PATH.to_owned(), &WHOLE, Place::WebSockets),
            #[cfg(feature = "websocket")]
            ("/ws/coding".to_owned(), &CODING, Place::WebSockets),
        ];
        let paths = paths.into_iter().map(|(path, view, place)| (path, (view, place))).collect();
        let site = Site::new(vec!["Gw.example".to_owned()], vec!["https://app.example".to_owned()]);
        let gate = Gate { site, paths, whole: &WHOLE, path: "/mcp" };
        let head = format!("{lines}\r\n\r\n");
        let Ok(Parsed::Head(head, _)) = RequestHead::parse(head.as_bytes(), &[]) else {
            panic!("{head:?} is well formed")
        };
        gate.admit(&head, Catalog::default())
            .map_err(|refusal| refusal.verdict(only1mcp_model::revision::Era::Modern).status)
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
            ("/sse", Ok("")),
            ("/sse/coding", Ok("coding")),
            ("/sse/other", Err(404)),
            ("/sse/", Err(404)),
            ("/messages/coding", Err(404)),
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
            ("DELETE /mcp HTTP/1.1\r\nHost: localhost".to_owned(), Ok(RequestKind::Delete)),
            ("GET /sse HTTP/1.1\r\nHost: localhost".to_owned(), Ok(RequestKind::Events)),
            ("GET /sse HTTP/1.1\r\nHost: evil.example".to_owned(), Err(403)),
            ("GET /sse HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example".to_owned(), Err(403)),
            (format!("POST /sse HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(405)),
            ("HEAD /sse HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("DELETE /sse HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("GET /messages HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            (
                "POST /messages?sessionId=1 HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json".to_owned(),
                Ok(RequestKind::Message),
            ),
            ("POST /messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain".to_owned(), Err(415)),
            (format!("POST /messages HTTP/1.1\r\nHost: localhost\r\nOrigin: null\r\n{json}"), Err(403)),
        ] {
            assert_eq!(admit(&lines), expected, "{lines}");
        }
    }

    #[test]
    fn a_plain_route_takes_post_alone() {
        let json = "Content-Type: application/json\r\nAccept: application/json, text/event-stream";
        for (lines, expected) in [
            (format!("POST / HTTP/1.1\r\nHost: localhost\r\n{json}"), Ok(RequestKind::Plain(plain::PlainRoute::Any))),
            (
                "POST /tools/call?x HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json".to_owned(),
                Ok(RequestKind::Plain(plain::PlainRoute::Method("tools/call"))),
            ),
            (format!("POST /tools/call HTTP/1.1\r\nHost: evil.example\r\n{json}"), Err(403)),
            (
                format!("POST /tools/call HTTP/1.1\r\nHost: localhost\r\nOrigin: https://evil.example\r\n{json}"),
                Err(403),
            ),
            (format!("POST /tools/call/ HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            (format!("POST /tools HTTP/1.1\r\nHost: localhost\r\n{json}"), Err(404)),
            ("POST /tools/call HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain".to_owned(), Err(415)),
            (
                "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nAccept: text/html".to_owned(),
                Err(406),
            ),
            ("GET / HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
            ("DELETE /tools/list HTTP/1.1\r\nHost: localhost".to_owned(), Err(405)),
        ] {
            assert_eq!(admit(&lines), expected, "{lines}");
        }
    }

    #[cfg(feature = "websocket")]
    #[test]
    fn a_websocket_begins_as_its_rfc_has_it_and_from_no_foreign_page() {
        let whole = |target: &str| {
            format!(
                "GET {target} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n\
                Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13"
            )
        };
        let ws = whole("/ws");
        for (lines, expected) in [
            (ws.clone(), Ok("")),
            (whole("/ws/coding"), Ok("coding")),
            (whole("/ws/other"), Err(404)),
            (whole("/ws/"), Err(404)),
            (ws.replace("websocket", "WebSocket").replace("Upgrade\r\nSec", "upgrade\r\nSec"), Ok("")),
            (format!("{ws}\r\nSec-WebSocket-Protocol: mcp"), Ok("")),
            (format!("{ws}\r\nSec-WebSocket-Protocol: other, mcp"), Ok("")),
            (format!("{ws}\r\nSec-WebSocket-Protocol: other\r\nSec-WebSocket-Protocol: mcp"), Ok("")),
            (format!("{ws}\r\nSec-WebSocket-Protocol: other"), Err(400)),
            (format!("{ws}\r\nSec-WebSocket-Protocol: MCP"), Err(400)),
            (format!("{ws}\r\nOrigin: http://localhost:3000"), Ok("")),
            (format!("{ws}\r\nOrigin: https://app.example"), Ok("")),
            (format!("{ws}\r\nOrigin: https://evil.example"), Err(403)),
            (format!("{ws}\r\nOrigin: null"), Err(403)),
            (format!("{ws}\r\nSec-Fetch-Site: cross-site"), Err(403)),
            (ws.replace("localhost", "evil.example"), Err(403)),
            (ws.replace("Version: 13", "Version: 12"), Err(426)),
            (ws.replace("Sec-WebSocket-Version: 13", "X: y"), Err(426)),
            (ws.replace("Upgrade: websocket", "Upgrade: h2c"), Err(426)),
            (ws.replace("keep-alive, Upgrade", "keep-alive"), Err(426)),
            (ws.replace("HTTP/1.1", "HTTP/1.0"), Err(426)),
            (ws.replace("dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ="), Err(400)),
            (ws.replace("Sec-WebSocket-Key", "X"), Err(400)),
            (format!("{ws}\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), Err(400)),
            (format!("{ws}\r\nContent-Length: 1"), Err(400)),
            (ws.replace("GET", "POST"), Err(405)),
            ("GET /ws HTTP/1.1\r\nHost: localhost".to_owned(), Err(426)),
        ] {
            let found = admitted(&lines);
            let kinds = found.map(|admitted| (admitted.kind, &*admitted.view.patterns.name));
            assert_eq!(kinds, expected.map(|view| (RequestKind::WebSocket, view)), "{lines}");
        }
        // Elsewhere nothing becomes one.
        assert_eq!(admit(&whole("/mcp")), Ok(RequestKind::Get));
    }
}
