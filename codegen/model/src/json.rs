//! JSON token by token: numbers, escapes, key order and unknown members stay as they were written. What is changed is
//! white space, and the few members that are replaced by position.
//!
//! Texts come in as [`RawValue`], so their grammar is already checked; what is checked here is how deep they nest.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::value::RawValue;

use crate::diagnostic::quoted;

/// How deep an item of a list may nest: a message nests at most 128 levels, and a few of them hold the list.
pub(crate) const ITEM_DEPTH_MAX: usize = 120;
/// How deep a lock may nest, which holds items.
pub(crate) const LOCK_DEPTH_MAX: usize = ITEM_DEPTH_MAX + 8;

/// A value whose scalars are the tokens of the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Tree<'a> {
    /// A string with its quotes, a number, `true`, `false` or `null`.
    Scalar(&'a str),
    Array(Vec<Tree<'a>>),
    Object(Vec<Member<'a>>),
}

/// A member of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member<'a> {
    /// Its key as written, with quotes.
    pub(crate) token: &'a str,
    /// Its key, decoded.
    pub(crate) key: Cow<'a, str>,
    pub(crate) value: Tree<'a>,
}

/// Why a text is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TreeError<'a> {
    /// Nested deeper than any schema needs.
    #[error("value nests deeper than {ITEM_DEPTH_MAX} levels")]
    Depth,
    /// Readers of JSON differ in which one they take. The key as written.
    #[error("key {} stands twice", quoted(&unescape(.0).unwrap_or(Cow::Borrowed(.0))))]
    DuplicateKey(&'a str),
}

struct Cursor<'a> {
    rest: &'a str,
    /// How many levels further down there may be.
    levels: usize,
    /// What lies deeper is passed over.
    skims: bool,
}

// === impl Tree ===

impl<'a> Tree<'a> {
    /// Reads a text of at most so many levels.
    pub(crate) fn read(text: &'a RawValue, depth_max: usize) -> Result<Self, TreeError<'a>> {
        Cursor { rest: text.get(), levels: depth_max, skims: false }.value()
    }

    /// Reads so many levels of a text. An array or object that lies deeper is a scalar, as it is written there, and nobody
    /// looks into it.
    pub(crate) fn outline(text: &'a RawValue, levels: usize) -> Result<Self, TreeError<'a>> {
        Cursor { rest: text.get(), levels, skims: true }.value()
    }

    /// The inside of a scalar of an outline.
    pub(crate) fn unfold(&self, depth_max: usize) -> Result<Self, TreeError<'a>> {
        self.inside(depth_max, false)
    }

    /// So many levels of it.
    pub(crate) fn unfold_outline(&self, levels: usize) -> Result<Self, TreeError<'a>> {
        self.inside(levels, true)
    }

    fn inside(&self, levels: usize, skims: bool) -> Result<Self, TreeError<'a>> {
        match self {
            Self::Scalar(token) => Cursor { rest: token, levels, skims }.value(),
            read => Ok(read.clone()),
        }
    }

    /// The member of an object with this key.
    pub(crate) fn member(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.iter().find(|member| member.key == key).map(|member| &member.value),
            _ => None,
        }
    }

    /// The same, to be changed.
    pub(crate) fn member_mut(&mut self, key: &str) -> Option<&mut Self> {
        match self {
            Self::Object(members) => {
                members.iter_mut().find(|member| member.key == key).map(|member| &mut member.value)
            }
            _ => None,
        }
    }

    /// The members of an object; none of anything else.
    pub(crate) fn members(&self) -> &[Member<'a>] {
        match self {
            Self::Object(members) => members,
            _ => &[],
        }
    }

    /// The first token in it that stands somewhere; an empty array or object has none.
    pub(crate) fn first_token(&self) -> Option<&'a str> {
        match self {
            Self::Scalar(token) => Some(token),
            Self::Array(items) => items.iter().find_map(Self::first_token),
            Self::Object(members) => members.first().map(|member| member.token),
        }
    }

    /// The string it is, decoded; `None` for other kinds and for strings that are not Unicode.
    pub(crate) fn string(&self) -> Option<Cow<'a, str>> {
        match self {
            Self::Scalar(token) if token.starts_with('"') => unescape(token),
            _ => None,
        }
    }

    /// Whether it is the token `true`.
    pub(crate) fn is_true(&self) -> bool {
        *self == Self::Scalar("true")
    }

    /// On one line, without white space.
    pub(crate) fn minified(&self) -> String {
        let mut out = String::new();
        self.write(&mut out, None);
        out
    }

    /// Over several lines, each level indented by two spaces more, beginning at `level`; the first line is not indented.
    pub(crate) fn write_pretty(&self, out: &mut String, level: usize) {
        self.write(out, Some(level));
    }

    /// The text whose digest names the value: minified, members sorted by key at every level, tokens as written.
    pub(crate) fn canonical(&self) -> String {
        self.sorted().minified()
    }

    fn sorted(&self) -> Self {
        match self {
            Self::Scalar(token) => Self::Scalar(token),
            Self::Array(items) => Self::Array(items.iter().map(Self::sorted).collect()),
            Self::Object(members) => {
                let mut members: Vec<Member<'a>> =
                    members.iter().map(|member| Member { value: member.value.sorted(), ..member.clone() }).collect();
                members.sort_by(|a, b| a.key.cmp(&b.key));
                Self::Object(members)
            }
        }
    }

    fn write(&self, out: &mut String, level: Option<usize>) {
        let inner = level.map(|level| level + 1);
        let colon = if level.is_some() { ": " } else { ":" };
        match self {
            Self::Scalar(token) => out.push_str(token),
            Self::Array(items) => write_between(out, ['[', ']'], level, items, |out, item| item.write(out, inner)),
            Self::Object(members) => write_between(out, ['{', '}'], level, members, |out, member| {
                out.push_str(member.token);
                out.push_str(colon);
                member.value.write(out, inner);
            }),
        }
    }
}

fn write_between<T>(
    out: &mut String,
    [open, close]: [char; 2],
    level: Option<usize>,
    items: &[T],
    mut write: impl FnMut(&mut String, &T),
) {
    out.push(open);
    for (index, item) in items.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        break_line(out, level.map(|level| level + 1));
        write(out, item);
    }
    if !items.is_empty() {
        break_line(out, level);
    }
    out.push(close);
}

/// Begins a line at a level of indentation; nothing where everything stands on one line.
pub(crate) fn break_line(out: &mut String, level: Option<usize>) {
    if let Some(level) = level {
        out.push('\n');
        out.extend(std::iter::repeat_n("  ", level));
    }
}

/// The string that a token stands for, without memory of its own where nothing is escaped.
fn unescape(token: &str) -> Option<Cow<'_, str>> {
    if token.contains('\\') {
        return serde_json::from_str::<String>(token).ok().map(Cow::Owned);
    }
    token.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).map(Cow::Borrowed)
}

/// A string as a token.
pub(crate) fn token(text: &str) -> String {
    let quoted: String = text.chars().fold(String::from('"'), |mut out, c| {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
        out
    });
    quoted + "\""
}

// === impl Cursor ===

impl<'a> Cursor<'a> {
    fn value(&mut self) -> Result<Tree<'a>, TreeError<'a>> {
        self.skip_space();
        match self.rest.as_bytes().first() {
            Some(b'{') => self.nested(Self::object),
            Some(b'[') => self.nested(Self::array),
            Some(b'"') => Ok(Tree::Scalar(self.string())),
            _ => Ok(Tree::Scalar(self.take(self.rest.find([',', ']', '}', ' ', '\n', '\r', '\t'])))),
        }
    }

    fn nested(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<Tree<'a>, TreeError<'a>>,
    ) -> Result<Tree<'a>, TreeError<'a>> {
        self.levels = match self.levels.checked_sub(1) {
            Some(levels) => levels,
            None if self.skims => return Ok(Tree::Scalar(self.folded())),
            None => return Err(TreeError::Depth),
        };
        self.take(Some(1));
        let tree = read(self);
        self.levels += 1;
        tree
    }

    fn array(&mut self) -> Result<Tree<'a>, TreeError<'a>> {
        let mut items = Vec::new();
        while !self.ends(']') {
            items.push(self.value()?);
            self.skip_comma();
        }
        Ok(Tree::Array(items))
    }

    fn object(&mut self) -> Result<Tree<'a>, TreeError<'a>> {
        let mut members: Vec<Member<'a>> = Vec::new();
        let mut keys = HashSet::new();
        while !self.ends('}') {
            let token = self.string();
            let key = unescape(token).unwrap_or(Cow::Borrowed(token));
            if !keys.insert(key.clone()) {
                return Err(TreeError::DuplicateKey(token));
            }
            self.skip_space();
            self.take(Some(1)); // the colon
            members.push(Member { token, key, value: self.value()? });
            self.skip_comma();
        }
        Ok(Tree::Object(members))
    }

    /// Takes an array or object whole.
    fn folded(&mut self) -> &'a str {
        let (whole, mut depth) = (self.rest, 0_usize);
        loop {
            self.take(self.rest.find(['{', '[', '}', ']', '"']));
            match self.rest.as_bytes().first() {
                Some(b'"') => {
                    self.string();
                    continue;
                }
                Some(b'{' | b'[') => depth += 1,
                _ => depth = depth.saturating_sub(1),
            }
            self.take(Some(1));
            if depth == 0 {
                break;
            }
        }
        &whole[..whole.len() - self.rest.len()]
    }

    /// Whether the collection ends here; takes its end.
    fn ends(&mut self, close: char) -> bool {
        self.skip_space();
        let ends = self.rest.is_empty() || self.rest.starts_with(close);
        if ends {
            self.take(Some(1));
        }
        ends
    }

    fn string(&mut self) -> &'a str {
        let mut escaped = false;
        let end = self.rest.bytes().skip(1).position(|byte| {
            let ends = byte == b'"' && !escaped;
            escaped = byte == b'\\' && !escaped;
            ends
        });
        self.take(end.map(|end| end + 2))
    }

    fn skip_space(&mut self) {
        self.rest = self.rest.trim_start_matches([' ', '\n', '\r', '\t']);
    }

    fn skip_comma(&mut self) {
        self.skip_space();
        self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
    }

    fn take(&mut self, length: Option<usize>) -> &'a str {
        let (taken, rest) = self.rest.split_at(length.unwrap_or(self.rest.len()).min(self.rest.len()));
        self.rest = rest;
        taken
    }
}

#[cfg(test)]
mod tests;
