//! The content of results: which blocks there are, and what stands in each. The walk is over a result that was scanned
//! before; what a client may read of it is not decided here.

use std::borrow::Cow;

use super::envelope::{Cut, CutFinder};
use super::json::{Cursor, Fault, Kind, Members, Span, Value};
use super::method::CallKind;

/// A block of content, or the contents of a resource. Of a member that stands twice the last one counts, as it does for
/// most readers.
#[derive(Clone, Copy, Debug, Default)]
pub struct Block {
    /// The whole object, with its braces.
    pub span: Span,
    /// `type`
    pub kind: Option<Value>,
    /// `uri`
    pub uri: Option<Value>,
    /// `name`
    pub name: Option<Value>,
    /// `title`
    pub title: Option<Value>,
    /// `description`
    pub description: Option<Value>,
    /// `mimeType`
    pub mime_type: Option<Value>,
    /// `size`
    pub size: Option<Value>,
    /// `data`
    pub data: Option<Value>,
    /// `resource`
    pub resource: Option<Value>,
    /// `annotations`
    pub annotations: Option<Value>,
    /// `_meta`
    pub meta: Option<Value>,
}

/// What the result of a tool has beside its blocks.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// `content`, whatever it is.
    pub content: Option<Value>,
    /// `structuredContent`, and where it stands as a member; as often as it does.
    pub structured: Vec<(Value, Cut)>,
}

/// Walks through the result of such a call, which is an object, and shows each of its blocks: those of `content` of a tool,
/// of the messages of a prompt, and the `contents` of a resource.
pub fn walk(source: &[u8], result: Value, kind: CallKind, each: &mut dyn FnMut(&Block)) -> Outline {
    let Some(cursor) = Cursor::new(result.span.of(source)) else { return Outline::default() };
    let mut walk = Walk { cursor, start: result.span.start, each };
    // It was scanned before: there is nothing left to go wrong.
    walk.result(kind).unwrap_or_default()
}

struct Walk<'a, 'e> {
    cursor: Cursor<'a>,
    /// Where in the message the cursor's source begins.
    start: u32,
    each: &'e mut dyn FnMut(&Block),
}

// === impl Walk ===

impl<'a> Walk<'a, '_> {
    fn result(&mut self, kind: CallKind) -> Result<Outline, Fault> {
        let mut content = None;
        let (mut structured, mut cuts, mut finder) = (Vec::new(), Vec::new(), CutFinder::default());
        self.object(&mut |walk, key, members| {
            finder.key(&mut cuts, members);
            match (kind, key) {
                (CallKind::Tool, b"content") => content = Some(walk.array(&mut |walk| walk.block().map(drop))?),
                (CallKind::Tool, b"structuredContent") => {
                    structured.push(walk.value()?);
                    cuts.push(None);
                    finder.value(&mut cuts, structured.len() - 1, members, walk.cursor.offset());
                }
                (CallKind::Prompt, b"messages") => drop(walk.array(&mut |walk| walk.message().map(drop))?),
                (CallKind::Resource, b"contents") => drop(walk.array(&mut |walk| walk.block().map(drop))?),
                _ => drop(walk.value()?),
            }
            Ok(())
        })?;
        let start = self.start;
        let within = |cut: Cut| Cut { span: within(start, cut.span), comma: start + cut.comma, ..cut };
        let structured = structured.into_iter().zip(cuts.into_iter().flatten().map(within)).collect();
        Ok(Outline { content, structured })
    }

    fn message(&mut self) -> Result<Value, Fault> {
        self.object(&mut |walk, key, _| match key {
            b"content" => walk.block().map(drop),
            _ => walk.value().map(drop),
        })
    }

    fn block(&mut self) -> Result<Value, Fault> {
        let mut block = Block::default();
        let value = self.object(&mut |walk, key, _| {
            let value = walk.value()?;
            let member = match key {
                b"type" => &mut block.kind,
                b"uri" => &mut block.uri,
                b"name" => &mut block.name,
                b"title" => &mut block.title,
                b"description" => &mut block.description,
                b"mimeType" => &mut block.mime_type,
                b"size" => &mut block.size,
                b"data" => &mut block.data,
                b"resource" => &mut block.resource,
                b"annotations" => &mut block.annotations,
                b"_meta" => &mut block.meta,
                _ => return Ok(()),
            };
            *member = Some(value);
            Ok(())
        })?;
        if value.kind == Kind::Object {
            (self.each)(&Block { span: value.span, ..block });
        }
        Ok(value)
    }

    /// Takes a value whole.
    fn value(&mut self) -> Result<Value, Fault> {
        let value = self.cursor.value()?;
        Ok(Value { span: within(self.start, value.span), ..value })
    }

    /// Takes a value. Where it is an array, `element` is called to take each of its elements.
    fn array(&mut self, element: &mut dyn FnMut(&mut Self) -> Result<(), Fault>) -> Result<Value, Fault> {
        if self.cursor.peek() != Some(b'[') {
            return self.value();
        }
        let start = self.cursor.offset();
        let mut elements = self.cursor.open_array()?;
        while elements.next(&mut self.cursor)? {
            element(self)?;
        }
        Ok(self.closed(Kind::Array, start))
    }

    /// Takes a value. Where it is an object, `member` is called behind each key to take the member's value.
    fn object(&mut self, member: &mut Member<'a, '_>) -> Result<Value, Fault> {
        if self.cursor.peek() != Some(b'{') {
            return self.value();
        }
        let start = self.cursor.offset();
        let mut members = self.cursor.open()?;
        while members.next(&mut self.cursor)? {
            let key = match members.escaped {
                // What is no text is no key that is looked for.
                true => Cow::Owned(members.decoded_key(&self.cursor).unwrap_or_default().into_bytes()),
                false => Cow::Borrowed(members.key),
            };
            member(self, &key, &members)?;
        }
        Ok(self.closed(Kind::Object, start))
    }

    fn closed(&self, kind: Kind, start: u32) -> Value {
        Value { kind, span: within(self.start, self.cursor.span_from(start)), escaped: false }
    }
}

/// What is called behind each key of an object.
type Member<'a, 'm> = dyn FnMut(&mut Walk<'a, '_>, &[u8], &Members<'a>) -> Result<(), Fault> + 'm;

fn within(start: u32, span: Span) -> Span {
    Span { start: start + span.start, end: start + span.end }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mcp::envelope;

    /// The blocks of a result, and its outline, as written.
    fn walked(result: &str, kind: CallKind) -> (Vec<String>, Option<String>, Vec<String>) {
        let source = format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#);
        let source = source.as_bytes();
        let text = |span: Span| String::from_utf8_lossy(span.of(source)).into_owned();
        let value = envelope::outgoing(source).expect("a message").result.expect("a result");
        let mut blocks = Vec::new();
        let outline = walk(source, value, kind, &mut |block| {
            let kind = block.kind.map(|kind| text(kind.span)).unwrap_or_default();
            blocks.push(format!("{kind} {}", text(block.span)));
        });
        let structured = outline.structured.iter().map(|(value, _)| text(value.span)).collect();
        (blocks, outline.content.map(|content| text(content.span)), structured)
    }

    #[test]
    fn the_blocks_of_each_kind_of_result_are_found_where_they_stand() {
        for (kind, result, expected) in [
            (
                CallKind::Tool,
                r#"{"content":[ {"type":"text"} , {"a":[1,{}]} ,7]}"#,
                &[r#""text" {"type":"text"}"#, r#" {"a":[1,{}]}"#][..],
            ),
            (CallKind::Tool, r#"{"\u0063ontent":[{"typ\u0065":"x"}]}"#, &[r#""x" {"typ\u0065":"x"}"#]),
            (CallKind::Tool, r#"{"content":[{"type":"a","type":"b"}]}"#, &[r#""b" {"type":"a","type":"b"}"#]),
            (CallKind::Tool, r#"{"content":[{"\ud800":"no","type":"x"}]}"#, &[r#""x" {"\ud800":"no","type":"x"}"#]),
            (CallKind::Tool, r#"{"content":{"type":"no"}}"#, &[]),
            (CallKind::Tool, r#"{"messages":[{"content":{"type":"no"}}],"structuredContent":{"content":[{}]}}"#, &[]),
            (
                CallKind::Prompt,
                r#"{"messages":[{"role":"user","content":{"type":"a"}},{"content":{}},1]}"#,
                &[r#""a" {"type":"a"}"#, " {}"],
            ),
            (CallKind::Prompt, r#"{"content":[{"type":"no"}]}"#, &[]),
            (CallKind::Resource, r#"{"contents":[{"uri":"x"}]}"#, &[r#" {"uri":"x"}"#]),
            (CallKind::Completion, r#"{"content":[{"type":"no"}]}"#, &[]),
        ] {
            assert_eq!(walked(result, kind).0, expected, "{result}");
        }
    }

    #[test]
    fn the_outline_says_what_else_a_tool_answered() {
        let found = walked(r#"{"structuredContent":1,"content":[{}], "structuredContent" : [2] }"#, CallKind::Tool);
        assert_eq!((found.1.as_deref(), found.2), (Some("[{}]"), vec!["1".to_owned(), "[2]".to_owned()]));
        assert_eq!(walked(r#"{"x":1}"#, CallKind::Tool).1, None);
    }
}
