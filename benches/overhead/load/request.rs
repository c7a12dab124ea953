//! Requests, built once and stamped with a new id for every call, and the check of their answers.

use std::io::Write as _;
use std::net::SocketAddr;

use anyhow::{Context as _, ensure};
use memchr::memmem;

use crate::mcp::{Era, LEGACY, MODERN, PATH};
use crate::workload::Ask;

/// Ids have from six to thirteen digits, so that the length of a message differs from call to call.
const DIGITS: std::ops::Range<u32> = 6..14;
const WIDTHS: u64 = 8;

/// One request in every length its id may have.
#[derive(Debug)]
pub(crate) struct Requests {
    stamped: Vec<Stamped>,
}

#[derive(Debug)]
struct Stamped {
    bytes: Vec<u8>,
    id: usize,
    first: u64,
}

impl Requests {
    /// The request that a client of `era` repeats at `address`.
    pub(crate) fn new(
        address: SocketAddr,
        era: Era,
        ask: Ask,
        tool: &str,
        session: Option<&str>,
    ) -> anyhow::Result<Self> {
        let method = match ask {
            Ask::Call(_) => "tools/call",
            Ask::List => "tools/list",
        };
        let mut fields = String::new();
        if era == Era::Modern {
            fields.push_str(&format!("Mcp-Method: {method}\r\n"));
            if let Ask::Call(_) = ask {
                fields.push_str(&format!("Mcp-Name: {tool}\r\n"));
            }
        }
        if let Some(session) = session {
            fields.push_str(&format!("Mcp-Session-Id: {session}\r\n"));
        }
        let end = format!(r#","method":"{method}","params":{{{}}}}}"#, params(era, ask, tool));
        let stamped =
            DIGITS.map(|digits| Stamped::new(address, era, &fields, digits, &end)).collect::<Result<_, _>>()?;
        Ok(Self { stamped })
    }

    /// The request with the id of that serial number. Serial numbers below 7.2 million give different ids.
    pub(crate) fn stamp(&mut self, serial: u64) -> anyhow::Result<(&[u8], u64)> {
        let width = usize::try_from(serial % WIDTHS)?;
        let stamped = self.stamped.get_mut(width).context("there is a request for every width")?;
        let id = stamped.first + serial / WIDTHS % (9 * stamped.first);
        write!(stamped.bytes.get_mut(stamped.id..).context("the id lies in the request")?, "{id}")?;
        Ok((&stamped.bytes, id))
    }
}

impl Stamped {
    fn new(address: SocketAddr, era: Era, fields: &str, digits: u32, end: &str) -> anyhow::Result<Self> {
        let first = 10_u64.pow(digits - 1);
        let start = r#"{"jsonrpc":"2.0","id":"#;
        let body = format!("{start}{first}{end}");
        let bytes = post(address, era, fields, &body);
        let id = bytes.len() - body.len() + start.len();
        Ok(Self { bytes, id, first })
    }
}

/// `initialize` and `notifications/initialized` of a legacy client.
pub(crate) fn handshake(address: SocketAddr) -> Vec<u8> {
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":0,"method":"initialize","params":{{"protocolVersion":"{LEGACY}","capabilities":{{}},"clientInfo":{{"name":"overhead","version":"1.0.0"}}}}}}"#
    );
    post(address, Era::Legacy, "", &body)
}

/// See [`handshake`].
pub(crate) fn initialized(address: SocketAddr, session: &str) -> Vec<u8> {
    let fields = format!("Mcp-Session-Id: {session}\r\n");
    post(address, Era::Legacy, &fields, r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#)
}

fn post(address: SocketAddr, era: Era, fields: &str, body: &str) -> Vec<u8> {
    let version = if era == Era::Modern { MODERN } else { LEGACY };
    format!(
        "POST {PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: {version}\r\n{fields}\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn params(era: Era, ask: Ask, tool: &str) -> String {
    let mut members = Vec::new();
    if let Ask::Call(_) = ask {
        members.push(format!(
            r#""name":"{tool}","arguments":{{"message":"The quick brown fox jumps over the lazy dog, then naps."}}"#
        ));
    }
    if era == Era::Modern {
        members.push(format!(
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientInfo":{{"name":"overhead","version":"1.0.0"}},"io.modelcontextprotocol/clientCapabilities":{{}}}}"#
        ));
    }
    members.join(",")
}

/// Checks answers to one kind of request.
#[derive(Debug)]
pub(crate) struct Check {
    ask: Ask,
    id: memmem::Finder<'static>,
    text: memmem::Finder<'static>,
    /// Length of the first list without its id: the others must have the same.
    list_bytes: Option<usize>,
}

impl Check {
    pub(crate) fn new(ask: Ask) -> Self {
        let id = memmem::Finder::new(br#""id":"#);
        Self { ask, id, text: memmem::Finder::new(br#""text":""#), list_bytes: None }
    }

    /// The answer has that id and the length asked for.
    pub(crate) fn verify(&mut self, body: &[u8], id: u64) -> anyhow::Result<()> {
        let mut expected = [0_u8; 20];
        let mut rest = expected.as_mut_slice();
        write!(rest, "{id}")?;
        let digits = 20 - rest.len();
        let found = self.id.find(body).and_then(|at| body.get(at + 5..)).with_context(|| shown(body))?;
        let after = found.get(digits).is_some_and(|&next| matches!(next, b',' | b'}'));
        ensure!(after && found.get(..digits) == expected.get(..digits), "not the answer to {id}: {}", shown(body));
        match self.ask {
            Ask::Call(bytes) => {
                let text = self.text.find(body).and_then(|at| body.get(at + 8..)).with_context(|| shown(body))?;
                let length = memchr::memchr(b'"', text).with_context(|| shown(body))?;
                ensure!(length == usize::try_from(bytes)?, "a text of {length} bytes instead of {bytes}");
            }
            Ask::List => {
                let length = body.len() - digits;
                ensure!(memmem::find(body, br#""tools":[{"#).is_some(), "not a list: {}", shown(body));
                ensure!(*self.list_bytes.get_or_insert(length) == length, "lists of different lengths");
            }
        }
        Ok(())
    }
}

/// The start of a body, for an error.
pub(crate) fn shown(body: &[u8]) -> String {
    let start = body.get(..300).unwrap_or(body);
    format!("unexpected answer `{}`", String::from_utf8_lossy(start))
}
