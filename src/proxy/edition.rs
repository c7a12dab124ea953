//! The answer to a call in the words of its client: what came into the protocol after its revision is said otherwise or left
//! out (MCP 2025-03-26, 2025-06-18 and 2026-07-28, changelogs), and URIs bear the name of their backend where the topology
//! says so. Differences of the envelope are in [`super::bridge`].
//!
//! Members that a client does not know are no difference: every revision allows them.

use std::borrow::Cow;

use super::bridge::Caller;
use crate::catalog::plan::Backend;
use crate::catalog::{Era, Revision};
use crate::mcp::content::{self, Block, Outline};
use crate::mcp::envelope::Cut;
use crate::mcp::json::{Kind, Span, Text, Value};
use crate::mcp::method::CallKind;
use crate::mcp::path;
use crate::upstream::Message;

/// What is to change inside a result; every other byte stays.
#[derive(Debug, Default)]
pub(super) struct Edits {
    /// What stands in the place of what. They lie in order, but for the last one.
    pub(super) replaced: Vec<(Span, String)>,
    /// Members of the result that are taken away, in the order in which they stand.
    pub(super) cut: Vec<Cut>,
}

/// Whether a result of a backend of this era may hold what the client does not know, or know otherwise. Decided before
/// anything is looked at: who speaks a newer revision of its backend's era pays nothing.
pub(super) fn may_differ(caller: &Caller<'_>, rewrites: Option<&Backend>, backend: Era) -> bool {
    rewrites.is_some() && caller.kind != CallKind::Completion || differs(caller.revision, backend, caller.kind)
}

const fn differs(revision: Revision, backend: Era, kind: CallKind) -> bool {
    let old = (revision as usize) < LINKS as usize;
    match kind {
        CallKind::Tool => old || matches!((revision.era(), backend), (Era::Legacy, Era::Modern)),
        CallKind::Prompt => old,
        CallKind::Resource | CallKind::Completion | CallKind::Task(_) | CallKind::Beyond => false,
    }
}

/// What has to change in an answer for its client to read it.
pub(super) fn edits(message: &Message<'_>, caller: &Caller<'_>, rewrites: Option<&Backend>) -> Edits {
    if let (Some(backend), Some(data)) = (rewrites, message.head.error_data) {
        return of_error(message.source, data, backend);
    }
    let result = message.head.result.filter(|result| result.kind == Kind::Object);
    match result.filter(|_| may_differ(caller, rewrites, message.era)) {
        Some(result) => of_result(message, result, caller, rewrites),
        None => Edits::default(),
    }
}

/// The first revision with `resource_link` and `structuredContent`.
const LINKS: Revision = Revision::V2025_06_18;
/// The first one with `audio`.
const AUDIO: Revision = Revision::V2025_03_26;

/// Which resource an error is about.
#[cold]
fn of_error(source: &[u8], data: Value, backend: &Backend) -> Edits {
    let uri = path::find(source, data, &["uri"]).ok().flatten();
    let exposed = uri.and_then(|uri| exposed(source, uri, Some(backend)));
    Edits { replaced: exposed.map(in_json).into_iter().collect(), cut: Vec::new() }
}

#[cold]
fn of_result(message: &Message<'_>, result: Value, caller: &Caller<'_>, rewrites: Option<&Backend>) -> Edits {
    let (source, mut edits) = (message.source, Edits::default());
    let outline = content::walk(source, result, caller.kind, &mut |block| {
        let uri = uri_of(source, block, caller.kind).and_then(|uri| exposed(source, uri, rewrites));
        if let Some(text) = said_otherwise(source, block, uri.as_ref().map(|(_, uri)| &**uri), caller.revision) {
            edits.replaced.push((block.span, text_block(source, &text, Some(block))));
        } else {
            edits.replaced.extend(uri.map(in_json));
        }
    });
    if !differs(caller.revision, message.era, caller.kind) {
        return edits;
    }
    let unknown = |value: &Value| caller.revision < LINKS || value.kind != Kind::Object;
    let structured = outline.structured.iter().filter(|(value, _)| unknown(value)).copied().collect();
    without_structure(source, structured, &outline, &mut edits);
    edits
}

/// The URI of what a block, or the contents of a resource, is about.
fn uri_of(source: &[u8], block: &Block, kind: CallKind) -> Option<Value> {
    if kind == CallKind::Resource {
        return block.uri;
    }
    let is = |known| block.kind.and_then(Value::text).is_some_and(|kind| kind.is(source, known));
    match block.resource {
        Some(resource) if is("resource") => path::find(source, resource, &["uri"]).ok().flatten(),
        _ => block.uri.filter(|_| is("resource_link")),
    }
}

/// Where a URI stands that clients know otherwise, and what they know it as.
fn exposed(source: &[u8], uri: Value, rewrites: Option<&Backend>) -> Option<(Span, String)> {
    let own = uri.text()?.decode(source);
    match rewrites?.exposed_uri(&own) {
        Cow::Owned(exposed) => Some((uri.span, exposed)),
        Cow::Borrowed(_) => None,
    }
}

fn in_json((span, text): (Span, String)) -> (Span, String) {
    (span, serde_json::Value::from(text).to_string())
}

/// Takes structured content away. It is text where there is nothing else to read (MCP 2025-06-18, structured content: text
/// says the same beside it).
fn without_structure(source: &[u8], structured: Vec<(Value, Cut)>, outline: &Outline, edits: &mut Edits) {
    let Some((value, cut)) = structured.last().copied() else { return };
    let text = || text_block(source, &String::from_utf8_lossy(value.span.of(source)), None);
    edits.cut = structured.into_iter().map(|(_, cut)| cut).collect();
    match outline.content {
        None => {
            edits.cut.pop();
            let member = Span { start: cut.span.start, end: value.span.end };
            edits.replaced.push((member, format!(r#""content":[{}]"#, text())));
        }
        Some(content) if is_empty_array(source, content) => {
            edits.replaced.push((content.span, format!("[{}]", text())))
        }
        Some(_) => {}
    }
}

fn is_empty_array(source: &[u8], value: Value) -> bool {
    value.kind == Kind::Array && matches!(value.span.of(source), [_, inside @ .., _] if inside.trim_ascii().is_empty())
}

/// The text in the place of a block that a revision does not know. Its client may know its URI otherwise.
fn said_otherwise(source: &[u8], block: &Block, exposed: Option<&str>, revision: Revision) -> Option<String> {
    let kind = block.kind.and_then(Value::text)?;
    let is = |known| kind.is(source, known);
    if revision < LINKS && is("resource_link") {
        let name = [block.title, block.name].into_iter().flatten().find_map(|name| text(source, name));
        let size = block.size.filter(|size| size.kind == Kind::Number);
        let size = size.map(|size| format!("{} bytes", String::from_utf8_lossy(size.span.of(source))));
        let [uri, mime_type, description] =
            [block.uri, block.mime_type, block.description].map(|value| text(source, value?));
        let uri = exposed.map(str::to_owned).or(uri);
        let note = note([Some("resource_link".to_owned()), name, uri, mime_type, size]);
        return Some(description.map_or_else(|| note.clone(), |description| format!("{note} {description}")));
    }
    if revision < AUDIO && is("audio") {
        let data = block.data.and_then(|data| text(source, data));
        let size = data.map(|data| format!("{} bytes", decoded_length(&data)));
        return Some(note([Some("audio".to_owned()), block.mime_type.and_then(|value| text(source, value)), size]));
    }
    None
}

/// How many bytes base64 stands for.
fn decoded_length(base64: &str) -> usize {
    base64.trim_end_matches('=').len() * 3 / 4
}

fn note<const PARTS: usize>(parts: [Option<String>; PARTS]) -> String {
    format!("[{}]", parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

fn text(source: &[u8], value: Value) -> Option<String> {
    value.text().map(|text: Text| text.decode(source).into_owned()).filter(|text| !text.is_empty())
}

/// A block of text, with what is said about the one that it stands for.
fn text_block(source: &[u8], text: &str, instead_of: Option<&Block>) -> String {
    let mut json = format!(r#"{{"type":"text","text":{}"#, serde_json::Value::from(text));
    let kept = instead_of.map_or([None; 2], |block| [block.annotations, block.meta]);
    for (key, value) in ["annotations", "_meta"].into_iter().zip(kept) {
        if let Some(value) = value {
            json += &format!(r#","{key}":{}"#, String::from_utf8_lossy(value.span.of(source)));
        }
    }
    json + "}"
}

#[cfg(test)]
mod tests;
