//! Clients of HTTP/2: one of h2 that keeps all rules, and one that writes the very frames it is given.

use std::collections::VecDeque;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};

use super::client::{Answer, Client, Duplex, Request, within};

/// A connection that keeps the rules.
pub(crate) struct Http2 {
    send: SendRequest<Bytes>,
}

/// A request on its way.
pub(crate) struct Asked {
    response: ResponseFuture,
    /// Where the rest of its body goes, or what takes it back.
    pub(crate) body: SendStream<Bytes>,
}

/// One frame as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

// === impl Http2 ===

impl Http2 {
    /// Begins on this connection.
    pub(crate) async fn over(stream: impl Duplex + 'static) -> Self {
        let (send, connection) = within("the preface", h2::client::handshake(stream)).await.expect("it speaks HTTP/2");
        tokio::spawn(async move {
            // How it ended is seen by whoever waits for an answer.
            let _ended = connection.await;
        });
        Self { send }
    }

    /// Sends a request; without its body, where that is to follow.
    pub(crate) async fn ask(&mut self, request: &Request, whole: bool) -> Result<Asked, h2::Error> {
        let (line, fields, body) = request.parts();
        let mut line = line.split(' ');
        let (method, target) = (line.next().expect("a method"), line.next().expect("a target"));
        let host = fields.iter().find(|(name, _)| name == "Host").map(|(_, value)| String::from_utf8_lossy(value));
        let uri = format!("http://{}{target}", host.unwrap_or("localhost".into()));
        let mut head = http::Request::builder().method(method).uri(uri);
        for (name, value) in fields.iter().filter(|(name, _)| name != "Host") {
            head = head.header(name, &value[..]);
        }
        let head = head.body(()).expect("a request");
        self.send = within("room for a request", self.send.clone().ready()).await?;
        let ends = whole && body.is_empty();
        let (response, mut stream) = self.send.send_request(head, ends)?;
        if whole && !ends {
            stream.send_data(Bytes::copy_from_slice(body), true)?;
        }
        Ok(Asked { response, body: stream })
    }

    /// Sends a whole request and reads the whole answer.
    pub(crate) async fn exchange(&mut self, request: &Request) -> Answer {
        self.ask(request, true).await.expect("the connection stands").answer().await.expect("an answer")
    }
}

// === impl Asked ===

impl Asked {
    /// The head of the answer, and its body.
    pub(crate) async fn head(self) -> Result<(Answer, RecvStream), h2::Error> {
        let (head, body) = within("a head", self.response).await?.into_parts();
        let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
        let fields = head.headers.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
        Ok((Answer { status: head.status.as_u16(), fields, body: Vec::new() }, body))
    }

    pub(crate) async fn answer(self) -> Result<Answer, h2::Error> {
        let (mut answer, mut body) = self.head().await?;
        while let Some(part) = part(&mut body).await? {
            answer.body.extend_from_slice(&part);
        }
        Ok(answer)
    }
}

/// The next part of a body.
pub(crate) async fn part(body: &mut RecvStream) -> Result<Option<Bytes>, h2::Error> {
    let Some(part) = within("a part of the body", body.data()).await else { return Ok(None) };
    let part = part?;
    body.flow_control().release_capacity(part.len())?;
    Ok(Some(part))
}

// === impl Frame ===

impl Frame {
    pub(crate) fn new(kind: u8, flags: u8, stream: u32, payload: impl Into<Vec<u8>>) -> Self {
        Self { kind, flags, stream, payload: payload.into() }
    }

    /// A head that is whole. None of its fields is compressed.
    pub(crate) fn headers(stream: u32, flags: u8, fields: &[(&str, &str)]) -> Self {
        Self::new(HEADERS, END_HEADERS | flags, stream, block(fields))
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let length = u32::try_from(self.payload.len()).expect("a frame").to_be_bytes();
        let head = [&length[1..], &[self.kind, self.flags], &self.stream.to_be_bytes()].concat();
        [head, self.payload.clone()].concat()
    }

    /// The code of an RST_STREAM, or of a GOAWAY.
    pub(crate) fn code(&self) -> u32 {
        let at = if self.kind == GOAWAY { 4 } else { 0 };
        u32::from_be_bytes(self.payload[at..at + 4].try_into().expect("four bytes"))
    }
}

/// Fields as HPACK has them that are in no table (RFC 7541, section 6.2.2).
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        for text in [name, value] {
            integer(text.len(), 7, &mut block);
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// RFC 7541, section 5.1.
fn integer(mut value: usize, bits: u32, out: &mut Vec<u8>) {
    let max = (1 << bits) - 1;
    if value < max {
        return out.push(u8::try_from(value).expect("it fits"));
    }
    out.push(u8::try_from(max).expect("it fits"));
    value -= max;
    while value >= 128 {
        out.push(u8::try_from(value % 128 + 128).expect("it fits"));
        value /= 128;
    }
    out.push(u8::try_from(value).expect("it fits"));
}

/// What every connection begins with: the preface, and settings.
pub(crate) fn opening(settings: &[u8]) -> Vec<u8> {
    [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Frame::new(SETTINGS, 0, 0, settings).bytes()].concat()
}

/// The next frame; `None` at the end of the connection.
pub(crate) async fn frame(client: &mut Client) -> Option<Frame> {
    let head = client.bytes(9).await?;
    let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
    let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
    let payload = client.bytes(usize::try_from(length).expect("32 bits")).await?;
    Some(Frame { kind: head[3], flags: head[4], stream, payload })
}

/// The frames to the end of the connection.
pub(crate) async fn frames(client: &mut Client) -> VecDeque<Frame> {
    let mut frames = VecDeque::new();
    while let Some(frame) = frame(client).await {
        frames.push_back(frame);
    }
    frames
}
