//! Request and response heads: parsed by httparse, then held to RFC 9112 where httparse is lenient.

use super::Framing;
use crate::limits;

/// Lines of `Accept` that are read.
const ACCEPT_LINES: usize = 4;
/// Lines of `Sec-WebSocket-Protocol` that are read.
const PROTOCOL_LINES: usize = 4;

/// What parsing a buffer gave.
#[derive(Debug)]
pub(crate) enum Parsed<T> {
    /// A head, and how many bytes it took.
    Head(T, usize),
    /// More bytes are needed.
    Partial,
}

/// Why a head is refused. The connection is closed after the answer, since its framing cannot be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HeadError {
    /// 400
    #[error("malformed head: {0}")]
    Malformed(&'static str),
    /// 414
    #[error("request target is longer than {} bytes", limits::TARGET_BYTES_MAX)]
    TargetTooLong,
    /// 431
    #[error("head is larger than {} bytes or {} fields", limits::HEAD_BYTES_MAX, limits::FIELDS_MAX)]
    TooLarge,
    /// 501
    #[error("transfer coding is not `chunked`")]
    TransferCoding,
    /// 505
    #[error("protocol version is neither HTTP/1.1 nor HTTP/1.0")]
    Version,
    /// 417
    #[error("expectation is not `100-continue`")]
    Expectation,
}

/// A request method the gateway tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// POST
    Post,
    /// GET
    Get,
    /// HEAD
    Head,
    /// DELETE
    Delete,
    /// OPTIONS
    Options,
    /// Any other.
    Other,
}

/// A field that decides something: its value, and how often it stood there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Field<'a> {
    /// The first value, without surrounding white space.
    pub value: &'a [u8],
    /// How many times the field occurs.
    pub count: u32,
}

/// The head of a request, borrowed from the buffer it was read into.
#[derive(Debug)]
pub(crate) struct RequestHead<'a> {
    /// Its method.
    pub method: Method,
    /// The target: path and query.
    pub target: &'a str,
    /// Whether the connection stays open after the answer.
    pub keep_alive: bool,
    /// HTTP/1.0: no chunked answers.
    pub http10: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// `Expect: 100-continue`
    pub expects_continue: bool,
    /// `Upgrade` names a protocol other than h2c.
    pub upgrade: bool,
    /// What it says of a WebSocket that is to begin.
    pub websocket: WebSocketFields<'a>,
    /// `Host`
    pub host: Field<'a>,
    /// `Origin`
    pub origin: Field<'a>,
    /// `Sec-Fetch-Site`
    pub fetch_site: Field<'a>,
    /// `Content-Type`
    pub content_type: Field<'a>,
    /// `Content-Encoding`
    pub content_encoding: Field<'a>,
    /// `Accept`, its first lines: they are one list.
    pub accept: [&'a [u8]; ACCEPT_LINES],
    /// `MCP-Protocol-Version`
    pub protocol_version: Field<'a>,
    /// `Mcp-Method`
    pub mcp_method: Field<'a>,
    /// `Mcp-Name`
    pub mcp_name: Field<'a>,
    /// `Mcp-Session-Id`
    pub session_id: Field<'a>,
    /// `Last-Event-ID`
    pub last_event_id: Field<'a>,
    /// What servers over HTTP get as it came, as name and value: `Mcp-Param-*`, and the context of a trace.
    pub passed_on: Vec<(&'a str, &'a [u8])>,
    /// Fields that the topology names, in lower case: of each that is there, its first value.
    pub kept: Vec<(&'static str, &'a [u8])>,
    /// Which these are.
    names: &'static [&'static str],
}

/// The fields of a request that is to become a WebSocket (RFC 6455, section 4.1).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WebSocketFields<'a> {
    /// `Upgrade` names `websocket`, and `Connection` names `Upgrade`.
    pub upgrade: bool,
    /// `Sec-WebSocket-Key`
    pub key: Field<'a>,
    /// `Sec-WebSocket-Version`
    pub version: Field<'a>,
    /// `Sec-WebSocket-Protocol`, its first lines: they are one list.
    pub protocols: [&'a [u8]; PROTOCOL_LINES],
}

/// The head of a response, borrowed from the buffer it was read into.
#[derive(Debug)]
pub(crate) struct ResponseHead<'a> {
    /// Its status.
    pub status: u16,
    /// Whether the connection stays open after the body.
    pub keep_alive: bool,
    /// How the body is framed.
    pub framing: Framing,
    /// `Content-Type`
    pub content_type: Field<'a>,
    /// `Content-Encoding`
    pub content_encoding: Field<'a>,
    /// `Mcp-Session-Id`
    pub session_id: Field<'a>,
    /// `Retry-After`
    pub retry_after: Field<'a>,
    /// What it says of a WebSocket that begins.
    pub websocket: WebSocketAnswer<'a>,
}

/// The fields of a response with which a connection becomes a WebSocket (RFC 6455, section 4.2.2).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WebSocketAnswer<'a> {
    /// `Upgrade` names `websocket`, and `Connection` names `Upgrade`.
    pub upgrade: bool,
    /// `Sec-WebSocket-Accept`
    pub accept: Field<'a>,
    /// `Sec-WebSocket-Protocol`
    pub protocol: Field<'a>,
    /// `Sec-WebSocket-Extensions`
    pub extensions: Field<'a>,
}

/// Fields that frame a message or manage its connection, of either direction.
#[derive(Default)]
struct Connection<'a> {
    content_length: Field<'a>,
    transfer_encoding: Field<'a>,
    close: bool,
    keep_alive: bool,
    upgrade: bool,
}

// === impl Field ===

impl<'a> Field<'a> {
    /// Counts a further field of its name; the first has the value.
    pub(crate) fn add(&mut self, value: &'a [u8]) {
        if self.count == 0 {
            self.value = value.trim_ascii();
        }
        self.count += 1;
    }

    /// The value of a field that occurs exactly once.
    #[must_use]
    pub(crate) fn once(self) -> Option<&'a [u8]> {
        (self.count == 1).then_some(self.value)
    }
}

// === impl RequestHead ===

impl<'a> RequestHead<'a> {
    /// Parses the head at the start of `buffer`; the fields with these names, in lower case, are kept.
    ///
    /// # Errors
    /// The head is malformed or over a limit: answer, then close.
    pub(crate) fn parse(buffer: &'a [u8], names: &'static [&'static str]) -> Result<Parsed<Self>, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; limits::FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let length = match request.parse(buffer) {
            Ok(httparse::Status::Complete(length)) if length <= limits::HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Complete(_)) => return Err(HeadError::TooLarge),
            Ok(httparse::Status::Partial) if buffer.len() < limits::HEAD_BYTES_MAX => {
                return refuse_bare_line_feed(buffer).map(|()| Parsed::Partial);
            }
            Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(httparse::Error::Version) if names_http(buffer) => return Err(HeadError::Version),
            Err(_) => return Err(HeadError::Malformed("not HTTP/1.1")),
        };
        refuse_bare_line_feed(&buffer[..length])?;
        let http10 = request.version == Some(0);
        let line = (request.method.unwrap_or_default(), request.path.unwrap_or_default());
        let mut head = Self::of_line(line, http10, names)?;
        let mut connection = Connection::default();
        for field in request.headers.iter() {
            if !connection.take(field.name, field.value) {
                head.take(field.name, field.value)?;
            }
        }
        head.finish(&connection)?;
        Ok(Parsed::Head(head, length))
    }

    /// The head of a request of HTTP/2 (RFC 9113, section 8.3.1), held to the same rules. Whether it has a body is known
    /// from its frames.
    ///
    /// # Errors
    /// The head is malformed or over a limit: answer.
    #[cfg(feature = "http2")]
    pub(crate) fn of_http2(
        (method, authority, target): (&str, Option<&'a str>, &'a str),
        fields: impl Iterator<Item = (&'a str, &'a [u8])>,
        has_body: bool,
        names: &'static [&'static str],
    ) -> Result<Self, HeadError> {
        let mut head = Self::of_line((method, target), false, names)?;
        let mut connection = Connection::default();
        for (count, (name, value)) in fields.enumerate() {
            if count >= limits::FIELDS_MAX {
                return Err(HeadError::TooLarge);
            }
            if !connection.take(name, value) {
                head.take(name, value)?;
            }
        }
        if let Some(authority) = authority {
            // Whoever reads one of them and whoever reads the other would not serve the same site.
            if head.host.count > 0 && !head.host.value.eq_ignore_ascii_case(authority.as_bytes()) {
                return Err(HeadError::Malformed("`Host` is not `:authority`"));
            }
            if authority.contains('@') {
                return Err(HeadError::Malformed("`:authority` has user information"));
            }
            head.host = Field { value: authority.as_bytes(), count: head.host.count.max(1) };
            head.keep("host", authority.as_bytes());
        }
        head.finish(&connection)?;
        if has_body && head.framing == Framing::None {
            head.framing = Framing::UntilClose;
        }
        Ok(head)
    }

    /// A head of which nothing but the first line is known.
    fn of_line((name, path): (&str, &'a str), http10: bool, names: &'static [&'static str]) -> Result<Self, HeadError> {
        Ok(Self {
            method: method(name),
            target: target(path)?,
            keep_alive: !http10,
            http10,
            framing: Framing::None,
            expects_continue: false,
            upgrade: false,
            websocket: WebSocketFields::default(),
            host: Field::default(),
            origin: Field::default(),
            fetch_site: Field::default(),
            content_type: Field::default(),
            content_encoding: Field::default(),
            accept: [b""; ACCEPT_LINES],
            protocol_version: Field::default(),
            mcp_method: Field::default(),
            mcp_name: Field::default(),
            session_id: Field::default(),
            last_event_id: Field::default(),
            passed_on: Vec::new(),
            kept: Vec::new(),
            names,
        })
    }

    /// Keeps a field that is to be, unless there was one of its name.
    fn keep(&mut self, name: &str, value: &'a [u8]) {
        let wanted = self.names.iter().find(|wanted| wanted.eq_ignore_ascii_case(name));
        if let Some(name) = wanted.filter(|name| !self.kept.iter().any(|(kept, _)| kept == *name)) {
            self.kept.push((name, value.trim_ascii()));
        }
    }

    fn take(&mut self, name: &'a str, value: &'a [u8]) -> Result<(), HeadError> {
        if !self.names.is_empty() {
            self.keep(name, value);
        }
        // By length first: most fields of most clients are none of these.
        let slot = match name.len() {
            4 if name.eq_ignore_ascii_case("host") => &mut self.host,
            6 if name.eq_ignore_ascii_case("accept") => {
                if let Some(line) = self.accept.iter_mut().find(|line| line.is_empty()) {
                    *line = value;
                }
                return Ok(());
            }
            6 if name.eq_ignore_ascii_case("origin") => &mut self.origin,
            6 if name.eq_ignore_ascii_case("expect") => {
                if !value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(HeadError::Expectation);
                }
                self.expects_continue = true;
                return Ok(());
            }
            7 if name.eq_ignore_ascii_case("upgrade") => {
                self.upgrade |= !value.eq_ignore_ascii_case(b"h2c");
                self.websocket.upgrade |= list(value).any(|name| name.eq_ignore_ascii_case(b"websocket"));
                return Ok(());
            }
            8 if name.eq_ignore_ascii_case("mcp-name") => &mut self.mcp_name,
            10 if name.eq_ignore_ascii_case("mcp-method") => &mut self.mcp_method,
            12 if name.eq_ignore_ascii_case("content-type") => &mut self.content_type,
            13 if name.eq_ignore_ascii_case("last-event-id") => &mut self.last_event_id,
            14 if name.eq_ignore_ascii_case("mcp-session-id") => &mut self.session_id,
            14 if name.eq_ignore_ascii_case("sec-fetch-site") => &mut self.fetch_site,
            16 if name.eq_ignore_ascii_case("content-encoding") => &mut self.content_encoding,
            17 if name.eq_ignore_ascii_case("sec-websocket-key") => &mut self.websocket.key,
            20 if name.eq_ignore_ascii_case("mcp-protocol-version") => &mut self.protocol_version,
            21 if name.eq_ignore_ascii_case("sec-websocket-version") => &mut self.websocket.version,
            22 if name.eq_ignore_ascii_case("sec-websocket-protocol") => {
                if let Some(line) = self.websocket.protocols.iter_mut().find(|line| line.is_empty()) {
                    *line = value;
                }
                return Ok(());
            }
            7.. if is_passed_on(name) => {
                self.passed_on.push((name, value.trim_ascii()));
                return Ok(());
            }
            _ => return Ok(()),
        };
        slot.add(value);
        Ok(())
    }

    /// RFC 9112 §3.2 (Host), §6.1 and §6.3 (framing).
    fn finish(&mut self, connection: &Connection<'_>) -> Result<(), HeadError> {
        let host_ok = match self.host.count {
            0 => self.http10,
            1 => !self.host.value.is_empty() && !self.host.value.contains(&b','),
            _ => false,
        };
        if !host_ok {
            return Err(HeadError::Malformed("`Host` must stand there once, with one value"));
        }
        if self.http10 && connection.transfer_encoding.count > 0 {
            return Err(HeadError::Malformed("`Transfer-Encoding` in HTTP/1.0"));
        }
        self.framing = connection.framing()?.unwrap_or(Framing::None);
        self.keep_alive = (!self.http10 || connection.keep_alive) && !connection.close;
        self.websocket.upgrade &= connection.upgrade && !self.http10;
        Ok(())
    }
}

/// Whether a field is one that servers get as it came: `Mcp-Param-*`, and the context of a trace (W3C Trace Context and
/// Baggage).
fn is_passed_on(name: &str) -> bool {
    let traces = match name.len() {
        7 => "baggage",
        10 => "tracestate",
        11 => "traceparent",
        _ => "",
    };
    let is_param = || name.as_bytes().get(..10).is_some_and(|prefix| prefix.eq_ignore_ascii_case(b"mcp-param-"));
    name.eq_ignore_ascii_case(traces) || is_param()
}

// === impl ResponseHead ===

impl<'a> ResponseHead<'a> {
    /// Parses the head at the start of `buffer`.
    ///
    /// # Errors
    /// The head is malformed or over a limit: the connection is of no more use.
    pub(crate) fn parse(buffer: &'a [u8]) -> Result<Parsed<Self>, HeadError> {
        let mut fields = [httparse::EMPTY_HEADER; limits::FIELDS_MAX];
        let mut response = httparse::Response::new(&mut fields);
        let length = match response.parse(buffer) {
            Ok(httparse::Status::Complete(length)) if length <= limits::HEAD_BYTES_MAX => length,
            Ok(httparse::Status::Partial) if buffer.len() < limits::HEAD_BYTES_MAX => return Ok(Parsed::Partial),
            Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err(HeadError::TooLarge),
            Err(httparse::Error::Version) => return Err(HeadError::Version),
            Err(_) => return Err(HeadError::Malformed("not HTTP/1.1")),
        };
        let status = response.code.unwrap_or_default();
        let http10 = response.version == Some(0);
        let mut head = Self {
            status,
            keep_alive: !http10,
            framing: Framing::UntilClose,
            content_type: Field::default(),
            content_encoding: Field::default(),
            session_id: Field::default(),
            retry_after: Field::default(),
            websocket: WebSocketAnswer::default(),
        };
        let mut connection = Connection::default();
        for field in response.headers.iter() {
            if connection.take(field.name, field.value) {
                continue;
            }
            let slot = match field.name.len() {
                11 if field.name.eq_ignore_ascii_case("retry-after") => &mut head.retry_after,
                12 if field.name.eq_ignore_ascii_case("content-type") => &mut head.content_type,
                14 if field.name.eq_ignore_ascii_case("mcp-session-id") => &mut head.session_id,
                16 if field.name.eq_ignore_ascii_case("content-encoding") => &mut head.content_encoding,
                7 if field.name.eq_ignore_ascii_case("upgrade") => {
                    head.websocket.upgrade |= field.value.eq_ignore_ascii_case(b"websocket");
                    continue;
                }
                20 if field.name.eq_ignore_ascii_case("sec-websocket-accept") => &mut head.websocket.accept,
                22 if field.name.eq_ignore_ascii_case("sec-websocket-protocol") => &mut head.websocket.protocol,
                24 if field.name.eq_ignore_ascii_case("sec-websocket-extensions") => &mut head.websocket.extensions,
                _ => continue,
            };
            slot.add(field.value);
        }
        let framing = connection.framing()?;
        head.websocket.upgrade &= connection.upgrade;
        head.keep_alive = (!http10 || connection.keep_alive) && !connection.close && framing.is_some();
        head.framing = match status {
            100..=199 | 204 | 304 => Framing::None,
            _ => framing.unwrap_or(Framing::UntilClose),
        };
        Ok(Parsed::Head(head, length))
    }
}

// === impl Connection ===

impl<'a> Connection<'a> {
    /// Whether the field was one of these.
    fn take(&mut self, name: &str, value: &'a [u8]) -> bool {
        match name.len() {
            14 if name.eq_ignore_ascii_case("content-length") => self.content_length.add(value),
            17 if name.eq_ignore_ascii_case("transfer-encoding") => self.transfer_encoding.add(value),
            10 if name.eq_ignore_ascii_case("connection") => {
                for option in list(value) {
                    self.close |= option.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= option.eq_ignore_ascii_case(b"keep-alive");
                    self.upgrade |= option.eq_ignore_ascii_case(b"upgrade");
                }
            }
            _ => return false,
        }
        true
    }

    /// RFC 9112 §6.3, without its leniency: a message that could be framed in two ways is refused.
    fn framing(&self) -> Result<Option<Framing>, HeadError> {
        match (self.content_length.count, self.transfer_encoding.count) {
            (0, 0) => Ok(None),
            (1, 0) => {
                let digits = self.content_length.value;
                if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
                    return Err(HeadError::Malformed("`Content-Length` is not a number"));
                }
                // All digits, so the one way to fail is a length beyond 64 bits.
                let length = std::str::from_utf8(digits)
                    .ok()
                    .and_then(|digits| digits.parse::<u64>().ok())
                    .ok_or(HeadError::Malformed("`Content-Length` is out of range"))?;
                Ok(Some(Framing::Length(length)))
            }
            (0, 1) if self.transfer_encoding.value.eq_ignore_ascii_case(b"chunked") => Ok(Some(Framing::Chunked)),
            (0, 1) if self.transfer_encoding.value.to_ascii_lowercase().ends_with(b"chunked") => {
                Err(HeadError::TransferCoding)
            }
            (0, 1) => Err(HeadError::Malformed("`Transfer-Encoding` does not end in `chunked`")),
            (0, _) => Err(HeadError::Malformed("`Transfer-Encoding` stands there twice")),
            (_, 0) => Err(HeadError::Malformed("`Content-Length` stands there twice")),
            (_, _) => Err(HeadError::Malformed("`Content-Length` beside `Transfer-Encoding`")),
        }
    }
}

/// The members of a list in one line.
pub(crate) fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
}

fn method(name: &str) -> Method {
    match name {
        "POST" => Method::Post,
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "DELETE" => Method::Delete,
        "OPTIONS" => Method::Options,
        _ => Method::Other,
    }
}

/// RFC 9112 §3.2.1: only the origin form. An absolute form could name another host than `Host` does.
fn target(target: &str) -> Result<&str, HeadError> {
    if target.len() > limits::TARGET_BYTES_MAX {
        return Err(HeadError::TargetTooLong);
    }
    let visible = target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#');
    if target.starts_with('/') && visible { Ok(target) } else { Err(HeadError::Malformed("request target")) }
}

/// Whether the first line ends in a version of HTTP, or begins to: other protocols have first lines too.
fn names_http(buffer: &[u8]) -> bool {
    let line = buffer.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    line.rsplit(|byte| *byte == b' ').next().is_some_and(|version| version.starts_with(b"HTTP/"))
}

/// httparse accepts a bare line feed as a line end; parsers behind us may not see the same lines (RFC 9112 §2.2).
fn refuse_bare_line_feed(head: &[u8]) -> Result<(), HeadError> {
    let bare = memchr::memchr_iter(b'\n', head).any(|at| at == 0 || head[at - 1] != b'\r');
    if bare { Err(HeadError::Malformed("line feed without carriage return")) } else { Ok(()) }
}

#[cfg(test)]
mod tests;
