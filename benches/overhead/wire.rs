//! HTTP/1.1 as the generator and the backend read it: heads by httparse, bodies by length or in chunks. No sockets.

use anyhow::{Context as _, bail, ensure};

/// The longest head either side accepts.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// The most fields in a head.
const FIELDS_MAX: usize = 40;

/// The head of an answer.
#[derive(Debug)]
pub(crate) struct AnswerHead {
    /// The status code.
    pub(crate) status: u16,
    /// Bytes of the head itself.
    pub(crate) bytes: usize,
    /// The body's length; chunked without one.
    pub(crate) length: Option<usize>,
    /// `Mcp-Session-Id`
    pub(crate) session: Option<String>,
}

impl AnswerHead {
    /// Reads a head; `None` while it is incomplete.
    pub(crate) fn parse(buffer: &[u8]) -> anyhow::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut answer = httparse::Response::new(&mut fields);
        let httparse::Status::Complete(bytes) = answer.parse(buffer)? else {
            ensure!(buffer.len() < HEAD_BYTES_MAX, "the head of the answer is too long");
            return Ok(None);
        };
        let mut head = Self { status: answer.code.unwrap_or(0), bytes, length: None, session: None };
        let mut chunked = false;
        for field in answer.headers.iter() {
            if field.name.eq_ignore_ascii_case("content-length") {
                head.length = Some(number(field.value)?);
            } else if field.name.eq_ignore_ascii_case("transfer-encoding") {
                chunked = field.value.eq_ignore_ascii_case(b"chunked");
            } else if field.name.eq_ignore_ascii_case("mcp-session-id") {
                head.session = Some(String::from_utf8(field.value.to_vec())?);
            }
        }
        ensure!(
            chunked != head.length.is_some() || head.status == 202 || head.status == 204,
            "the answer has no length"
        );
        if !chunked && head.length.is_none() {
            head.length = Some(0);
        }
        Ok(Some(head))
    }
}

/// Takes a chunked body apart as it arrives.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    body: Vec<u8>,
    next: usize,
}

impl Chunks {
    /// Reads on in `buffer`, which starts at the first chunk and only grows between calls. `true` when the body is
    /// complete.
    pub(crate) fn advance(&mut self, buffer: &[u8]) -> anyhow::Result<bool> {
        loop {
            let rest = buffer.get(self.next..).unwrap_or_default();
            let (line, size) = match httparse::parse_chunk_size(rest) {
                Ok(httparse::Status::Complete(found)) => found,
                Ok(httparse::Status::Partial) => return Ok(false),
                Err(_) => bail!("the answer has a broken chunk"),
            };
            let size = usize::try_from(size)?;
            let Some(data) = rest.get(line..line + size) else { return Ok(false) };
            let Some(end) = rest.get(line + size..line + size + 2) else { return Ok(false) };
            ensure!(end == b"\r\n", "a chunk of the answer is longer than announced, or trailers follow");
            if size == 0 {
                ensure!(rest.len() == line + 2, "bytes follow the answer");
                return Ok(true);
            }
            self.body.extend_from_slice(data);
            self.next += line + size + 2;
        }
    }

    /// What arrived so far.
    pub(crate) fn body(&self) -> &[u8] {
        &self.body
    }
}

/// The head of a request, as far as the backend looks at it.
#[derive(Debug)]
pub(crate) struct RequestHead<'a> {
    /// The HTTP method.
    pub(crate) method: &'a str,
    /// Bytes of the head itself.
    pub(crate) bytes: usize,
    /// The body's length.
    pub(crate) length: usize,
    /// `MCP-Protocol-Version`
    pub(crate) version: Option<&'a [u8]>,
    /// `Mcp-Session-Id`
    pub(crate) session: Option<&'a [u8]>,
    /// `Mcp-Method`
    pub(crate) mcp_method: Option<&'a [u8]>,
    /// `Mcp-Name`
    pub(crate) mcp_name: Option<&'a [u8]>,
}

impl<'a> RequestHead<'a> {
    /// Reads a head; `None` while it is incomplete.
    pub(crate) fn parse(buffer: &'a [u8]) -> anyhow::Result<Option<Self>> {
        let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
        let mut request = httparse::Request::new(&mut fields);
        let httparse::Status::Complete(bytes) = request.parse(buffer)? else {
            ensure!(buffer.len() < HEAD_BYTES_MAX, "the head of the request is too long");
            return Ok(None);
        };
        let method = request.method.context("a complete head has a method")?;
        let mut head =
            Self { method, bytes, length: 0, version: None, session: None, mcp_method: None, mcp_name: None };
        for field in request.headers.iter() {
            // By length first: most fields are none of these.
            let slot = match field.name.len() {
                14 if field.name.eq_ignore_ascii_case("content-length") => {
                    head.length = number(field.value)?;
                    continue;
                }
                14 if field.name.eq_ignore_ascii_case("mcp-session-id") => &mut head.session,
                20 if field.name.eq_ignore_ascii_case("mcp-protocol-version") => &mut head.version,
                10 if field.name.eq_ignore_ascii_case("mcp-method") => &mut head.mcp_method,
                8 if field.name.eq_ignore_ascii_case("mcp-name") => &mut head.mcp_name,
                17 if field.name.eq_ignore_ascii_case("transfer-encoding") => {
                    bail!("chunked requests are not read here")
                }
                _ => continue,
            };
            *slot = Some(field.value);
        }
        Ok(Some(head))
    }
}

fn number(digits: &[u8]) -> anyhow::Result<usize> {
    Ok(std::str::from_utf8(digits)?.trim().parse()?)
}
