//! From a message to its answer; knows nothing of how either travels.

use memchr::memmem::{Finder, find};

use crate::mcp::{Era, LEGACY, MODERN, echo_tool};

/// The longest text a tool answers.
pub(super) const TEXT_BYTES_MAX: usize = 4 << 20;
/// How many tools the list holds.
const TOOLS: u32 = 100;

const CONTENT_MODERN: &[u8] = br#","result":{"resultType":"complete","content":[{"type":"text","text":""#;
const CONTENT_LEGACY: &[u8] = br#","result":{"content":[{"type":"text","text":""#;
const CONTENT_END: &[u8] = br#""}],"isError":false}}"#;

/// A request, as far as its answer depends on it.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// The id as it stands in the message; a notification has none.
    pub(super) id: Option<&'a [u8]>,
    /// The method.
    pub(super) method: &'a [u8],
    /// `params.name`
    pub(super) name: Option<&'a [u8]>,
}

/// An answer in parts: `{"jsonrpc":"2.0","id":` id middle, a text of `fill` bytes, end.
#[derive(Debug)]
pub(super) struct Answer<'a> {
    id: &'a [u8],
    middle: &'a [u8],
    /// How many bytes of filler stand between the parts.
    pub(super) fill: usize,
    /// What stands after the filler.
    pub(super) end: &'static [u8],
}

/// Everything the backend can say.
#[derive(Debug)]
pub(super) struct Answers {
    method: Finder<'static>,
    id: Finder<'static>,
    tool: Finder<'static>,
    meta: Finder<'static>,
    discover: Vec<u8>,
    initialize: Vec<u8>,
    list: [Vec<u8>; 2],
}

impl Answers {
    const START: &'static [u8] = br#"{"jsonrpc":"2.0","id":"#;

    pub(super) fn new() -> Self {
        let info = r#"{"name":"echo","version":"1.0.0"}"#;
        let discover = format!(
            r#","result":{{"resultType":"complete","supportedVersions":["{MODERN}"],"capabilities":{{"tools":{{}}}},"ttlMs":60000,"cacheScope":"public","_meta":{{"io.modelcontextprotocol/serverInfo":{info}}}}}"#
        );
        let initialize = format!(
            r#","result":{{"protocolVersion":"{LEGACY}","capabilities":{{"tools":{{}}}},"serverInfo":{info}}}"#
        );
        let tools = tools();
        let modern =
            format!(r#","result":{{"resultType":"complete","tools":[{tools}],"ttlMs":60000,"cacheScope":"public"}}"#);
        let legacy = format!(r#","result":{{"tools":[{tools}]}}"#);
        Self {
            method: Finder::new(br#""method":""#),
            id: Finder::new(br#""id":"#),
            tool: Finder::new(br#""name":"echo_"#),
            meta: Finder::new(br#""io.modelcontextprotocol/protocolVersion":""#),
            discover: discover.into_bytes(),
            initialize: initialize.into_bytes(),
            list: [modern.into_bytes(), legacy.into_bytes()],
        }
    }

    /// Finds the routable parts by their keys alone. Enough here: the generator never writes these keys elsewhere.
    pub(super) fn read<'a>(&self, message: &'a [u8]) -> Option<Question<'a>> {
        let method = until_quote(message, self.method.find(message)? + 10)?;
        let id = self.id.find(message).and_then(|at| value(message, at + 5));
        let name = self.tool.find(message).and_then(|at| until_quote(message, at + 8));
        Some(Question { id, method, name })
    }

    /// In which era a message on a channel without header fields is written.
    pub(super) fn era(&self, message: &[u8]) -> Era {
        if self.meta.find(message).is_some() { Era::Modern } else { Era::Legacy }
    }

    /// The answer to a request; an error object when it asks for what is not here.
    pub(super) fn answer<'a>(&'a self, question: &Question<'a>, era: Era) -> Answer<'a> {
        let id = question.id.unwrap_or(b"null");
        let [modern, legacy] = &self.list;
        let whole = |middle: &'a [u8]| Answer { id, middle, fill: 0, end: b"}" };
        match (question.method, era) {
            (b"tools/call", _) => match question.name.and_then(text_bytes) {
                Some(fill) => {
                    let middle = if era == Era::Modern { CONTENT_MODERN } else { CONTENT_LEGACY };
                    Answer { id, middle, fill, end: CONTENT_END }
                }
                None => whole(br#","error":{"code":-32602,"message":"unknown tool"}"#),
            },
            (b"tools/list", Era::Modern) => whole(modern),
            (b"tools/list", Era::Legacy) => whole(legacy),
            (b"server/discover", Era::Modern) => whole(&self.discover),
            (b"initialize", Era::Legacy) => whole(&self.initialize),
            (b"ping", Era::Legacy) => whole(br#","result":{}"#),
            _ => whole(br#","error":{"code":-32601,"message":"method not found"}"#),
        }
    }
}

impl Answer<'_> {
    /// Bytes of the whole.
    pub(super) fn len(&self) -> usize {
        Answers::START.len() + self.id.len() + self.middle.len() + self.fill + self.end.len()
    }

    /// Whether it is an error object.
    pub(super) fn is_error(&self) -> bool {
        self.middle.starts_with(br#","error""#)
    }

    /// Writes what stands before the filler.
    pub(super) fn write_start(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(Answers::START);
        out.extend_from_slice(self.id);
        out.extend_from_slice(self.middle);
    }
}

/// The size in a tool's name.
fn text_bytes(name: &[u8]) -> Option<usize> {
    let digits = name.strip_prefix(b"echo_")?;
    std::str::from_utf8(digits).ok()?.parse().ok().filter(|&bytes| bytes <= TEXT_BYTES_MAX)
}

fn until_quote(message: &[u8], start: usize) -> Option<&[u8]> {
    let rest = message.get(start..)?;
    rest.get(..memchr::memchr(b'"', rest)?)
}

/// A number or a string without escapes.
fn value(message: &[u8], start: usize) -> Option<&[u8]> {
    let rest = message.get(start..)?.trim_ascii_start();
    let end = match rest.first()? {
        b'"' => memchr::memchr(b'"', rest.get(1..)?)? + 2,
        _ => memchr::memchr2(b',', b'}', rest)?,
    };
    rest.get(..end).map(<[u8]>::trim_ascii_end)
}

/// The list: three tools that are called and small ones that make it as long as a busy server's.
fn tools() -> String {
    let mut names: Vec<String> = [100, 10_240, 1_048_576].map(echo_tool).into();
    names.extend((3..TOOLS).map(echo_tool));
    let tool = |name: &String| {
        format!(
            r#"{{"name":"{name}","description":"Answers a text of a length that its name tells.","inputSchema":{{"type":"object","properties":{{"message":{{"type":"string","description":"Anything; it is not looked at."}}}},"required":["message"]}},"annotations":{{"readOnlyHint":true}}}}"#
        )
    };
    names.iter().map(tool).collect::<Vec<_>>().join(",")
}

/// Whether a message carries the mark of the modern era in its parameters.
pub(super) fn has_meta(message: &[u8]) -> bool {
    find(message, br#""io.modelcontextprotocol/protocolVersion""#).is_some()
}
