//! The pass over a message: its top level, and the steps that every level shares. What is looked at below the top level
//! stands in [`super::members`].

use super::{Id, Shape};
use crate::limits::ID_BYTES_MAX;
use crate::mcp::json::{Cursor, Fault, Flaw, Kind, Members, ScanError, ScanErrorKind, Span, Text, Value};

/// What is looked at below the top level, which is the same for both directions.
pub(super) trait Message {
    /// Takes `params`.
    fn params(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault>;
    /// Takes `result`.
    fn result(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault>;
    /// Takes `error`.
    fn error(&mut self, scan: &mut Scan<'_>) -> Result<Value, Fault>;
    /// Takes over the top level.
    fn complete(&mut self, top: Top);
}

/// The top level of a message.
#[derive(Default)]
pub(super) struct Top {
    pub(super) root: Span,
    jsonrpc: Option<Value>,
    pub(super) version_ok: bool,
    pub(super) id: Id,
    method: Option<Value>,
    pub(super) params: Option<Value>,
    pub(super) result: Option<Value>,
    pub(super) error: Option<Value>,
    pub(super) multiline: bool,
}

/// A scan under way.
pub(super) struct Scan<'a> {
    cursor: Cursor<'a>,
    /// Why the source is no message although it is JSON, and where that first showed. Told at the end, because a source
    /// that is not JSON is called that.
    refusal: Option<(ScanErrorKind, u32)>,
    id: Id,
}

/// Scans a whole message into `message`, which is as good as new.
pub(super) fn message(source: &[u8], message: &mut impl Message) -> Result<(), ScanError> {
    let Some(cursor) = Cursor::new(source) else {
        return Err(ScanError { kind: ScanErrorKind::Syntax, at: u32::MAX, id: Id::Absent });
    };
    let mut scan = Scan { cursor, refusal: None, id: Id::Absent };
    let (kind, at) = match (scan.message(message), scan.refusal) {
        (Ok(()), None) => return Ok(()),
        (Ok(()), Some(refusal)) => refusal,
        (Err(fault), _) => (ScanErrorKind::from(fault.flaw), scan.cursor.offset_of(fault)),
    };
    Err(ScanError { kind, at, id: scan.id })
}

// === impl Top ===

impl Top {
    pub(super) fn method(&self) -> Option<Text> {
        self.method.and_then(Value::text)
    }

    pub(super) fn shape(&self) -> Shape {
        match (self.method, self.result, self.error) {
            (Some(method), None, None) if method.kind == Kind::String => {
                if self.id == Id::Absent {
                    Shape::Notification
                } else {
                    Shape::Request
                }
            }
            (None, Some(_), None) | (None, None, Some(_)) => Shape::Response,
            _ => Shape::Invalid,
        }
    }
}

// === impl Scan ===

impl<'a> Scan<'a> {
    fn message(&mut self, message: &mut impl Message) -> Result<(), Fault> {
        if self.cursor.peek() != Some(b'{') {
            return self.not_object();
        }
        let mut top = Top::default();
        let (root, _) = self.object(|scan, key, _| scan.member(key, &mut top, message))?;
        self.cursor.finish()?;
        top.root = root.span;
        top.id = self.id;
        top.multiline = self.cursor.multiline();
        message.complete(top);
        Ok(())
    }

    /// Takes one member of the top level.
    fn member(&mut self, key: &[u8], top: &mut Top, message: &mut impl Message) -> Result<(), Fault> {
        // Comparisons in turn, here and in `members`: a `match` on bytes would compare them one by one.
        if key == b"jsonrpc" {
            self.decided(&mut top.jsonrpc, "jsonrpc")?;
            top.version_ok = top.jsonrpc.and_then(Value::text).is_some_and(|text| text.is(self.source(), "2.0"));
        } else if key == b"id" {
            self.id()?;
        } else if key == b"method" {
            self.decided(&mut top.method, "method")?;
        } else if key == b"params" {
            let value = message.params(self)?;
            self.once(&mut top.params, value, "params");
        } else if key == b"result" {
            let value = message.result(self)?;
            self.once(&mut top.result, value, "result");
        } else if key == b"error" {
            let value = message.error(self)?;
            self.once(&mut top.error, value, "error");
        } else {
            self.skip()?;
        }
        Ok(())
    }

    /// Takes a source that does not begin with `{`.
    #[cold]
    fn not_object(&mut self) -> Result<(), Fault> {
        self.refusal = Some((ScanErrorKind::NotObject, self.cursor.offset()));
        self.cursor.value()?;
        self.cursor.finish()
    }

    /// Takes a value. Where it is an object, `member` is called behind each key to take the member's value. Returns how
    /// many members there were.
    #[inline(always)]
    pub(super) fn object(
        &mut self,
        mut member: impl FnMut(&mut Self, &[u8], &Members<'_>) -> Result<(), Fault>,
    ) -> Result<(Value, u32), Fault> {
        if self.cursor.peek() != Some(b'{') {
            return Ok((self.cursor.value()?, 0));
        }
        let start = self.cursor.offset();
        let mut members = self.cursor.open()?;
        while members.next(&mut self.cursor)? {
            let decoded;
            let name = if members.escaped {
                decoded = members.decoded_key(&self.cursor)?;
                decoded.as_bytes()
            } else {
                members.key
            };
            member(self, name, &members)?;
        }
        let value = Value { kind: Kind::Object, span: self.cursor.span_from(start), escaped: false };
        Ok((value, members.count))
    }

    fn id(&mut self) -> Result<(), Fault> {
        let value = self.cursor.decided()?;
        if self.id != Id::Absent {
            self.duplicate(value, "id");
            self.id = Id::Invalid;
            return Ok(());
        }
        let raw = value.span.of(self.source());
        self.id = match value.kind {
            Kind::Null => Id::Null,
            _ if raw.len() > ID_BYTES_MAX => Id::Invalid,
            Kind::String => Id::String(value.span),
            Kind::Number if is_integer(raw) => Id::Number(value.span),
            _ => Id::Invalid,
        };
        Ok(())
    }

    /// Takes the value of a member that decides something.
    #[inline(always)]
    pub(super) fn decided(&mut self, slot: &mut Option<Value>, name: &'static str) -> Result<(), Fault> {
        let value = self.cursor.decided()?;
        self.once(slot, value, name);
        Ok(())
    }

    /// Takes the value of a member that must not stand twice but is only passed on.
    #[inline(always)]
    pub(super) fn passed(&mut self, slot: &mut Option<Value>, name: &'static str) -> Result<(), Fault> {
        let value = self.cursor.value()?;
        self.once(slot, value, name);
        Ok(())
    }

    /// Takes a value nothing is decided on.
    pub(super) fn value(&mut self) -> Result<Value, Fault> {
        self.cursor.value()
    }

    #[inline(always)]
    pub(super) fn skip(&mut self) -> Result<(), Fault> {
        self.cursor.value().map(|_| ())
    }

    #[inline(always)]
    pub(super) fn once(&mut self, slot: &mut Option<Value>, found: Value, name: &'static str) {
        if slot.is_none() {
            *slot = Some(found);
        } else {
            self.duplicate(found, name);
        }
    }

    #[cold]
    fn duplicate(&mut self, value: Value, name: &'static str) {
        self.refusal.get_or_insert((ScanErrorKind::DuplicateKey(name), value.span.start));
    }

    /// The offset of the next byte.
    pub(super) fn offset(&self) -> u32 {
        self.cursor.offset()
    }

    /// Whether a value is an object without members.
    pub(super) fn is_empty_object(&self, value: Value) -> bool {
        value.kind == Kind::Object
            && matches!(value.span.of(self.source()), [_, inside @ .., _] if inside.trim_ascii().is_empty())
    }

    fn source(&self) -> &'a [u8] {
        self.cursor.source()
    }
}

/// Whether a valid number is an integer as written; `1.0` is, `1e2` is not.
fn is_integer(number: &[u8]) -> bool {
    let whole = number.iter().position(|byte| !matches!(byte, b'0'..=b'9' | b'-')).unwrap_or(number.len());
    match &number[whole..] {
        [] => true,
        [b'.', fraction @ ..] => fraction.iter().all(|&byte| byte == b'0'),
        _ => false,
    }
}

impl From<Flaw> for ScanErrorKind {
    fn from(flaw: Flaw) -> Self {
        match flaw {
            Flaw::Syntax => Self::Syntax,
            Flaw::Depth => Self::Depth,
        }
    }
}
