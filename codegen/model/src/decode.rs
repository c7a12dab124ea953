//! From the YAML tree to the types of the schema: all problems of a document are collected, each with its place.
//!
//! The schema itself is [`crate::topology`]; what it means is checked in [`crate::check`].

mod duplicates;
mod entries;
mod near_miss;
mod record;
mod told;

use crate::diagnostic::{Code, Problem, Problems, quoted};
use crate::json::token;
use crate::yaml::{Node, Value};

pub(crate) use duplicates::duplicate_keys;
pub use entries::Entries;
pub use near_miss::near_miss;
pub(crate) use record::{Key, Record, object_schema, record};
pub(crate) use told::{Spot, Told};

/// How many entries a list, or a mapping from names, may have.
const LENGTH_MAX: usize = 1024;

/// How durations are written.
pub(crate) const DURATION: &str = "durations are a whole number and a unit: `50ms`, `30s`, `5m`, `2h`";

/// What can be read from a node. `None` means that the problem is reported.
pub(crate) trait Decode: Sized {
    /// What a message says was expected, with its article.
    const EXPECTED: &'static str;

    /// Reads a node.
    fn decode(node: &Node, problems: &mut Problems) -> Option<Self>;

    /// The JSON Schema of what it is read from.
    fn schema() -> String;

    /// The keys of the mapping, or of each item of the list, that it is read from; none where the user chooses them.
    fn keys() -> &'static [Key] {
        &[]
    }

    /// How a topology would write it, as JSON; `None` where a default needs no mention.
    fn written(&self) -> Option<String> {
        None
    }

    /// Tells every setting of it, those that nobody wrote as well.
    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        if let Some(written) = self.written() {
            told.add(spot, written);
        }
    }

    /// What takes the place of an item that could not be read, so that the others of its list keep theirs and are
    /// checked. `None`: the whole list cannot be read.
    fn stand_in() -> Option<Self> {
        None
    }
}

/// What editors call what a message expects: the same without its article.
pub(crate) fn title(expected: &str) -> &str {
    expected.strip_prefix("a ").or_else(|| expected.strip_prefix("an ")).unwrap_or(expected)
}

/// One of a few words: itself, what it stands for, what it means to the user.
pub(crate) type Choice<T> = (&'static str, T, &'static str);

/// The JSON Schema of one of a few words.
pub(crate) fn words_schema<T>(choices: &[Choice<T>]) -> String {
    let words: Vec<String> = choices.iter().map(|(word, _, _)| token(word)).collect();
    let meanings: Vec<String> = choices.iter().map(|(_, _, meaning)| token(meaning)).collect();
    format!(r#"{{"enum":[{}],"enumDescriptions":[{}]}}"#, words.join(","), meanings.join(","))
}

/// Reads a type as one of its `WORDS`.
macro_rules! words {
    ($Name:ident: $expected:literal) => {
        impl $crate::decode::Decode for $Name {
            const EXPECTED: &'static str = $expected;

            fn decode(node: &$crate::yaml::Node, problems: &mut $crate::diagnostic::Problems) -> Option<Self> {
                $crate::decode::word(node, Self::EXPECTED, &Self::WORDS, problems)
            }

            fn schema() -> String {
                $crate::decode::words_schema(&Self::WORDS)
            }

            fn written(&self) -> Option<String> {
                let mut words = Self::WORDS.iter().filter(|(_, choice, _)| choice == self);
                words.next().map(|(word, _, _)| $crate::json::token(word))
            }
        }
    };
}
pub(crate) use words;

impl<T: Decode> Decode for Vec<T> {
    const EXPECTED: &'static str = "a list";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Sequence(items) = &node.value else {
            wrong_type(node, Self::EXPECTED, problems);
            return None;
        };
        within_bounds(node, items.len(), problems)?;
        // To leave out a bad item would shift the positions of the others.
        let items: Vec<Option<T>> = items.iter().map(|item| T::decode(item, problems).or_else(T::stand_in)).collect();
        items.into_iter().collect()
    }

    fn schema() -> String {
        format!(r#"{{"type":"array","items":{},"maxItems":{LENGTH_MAX}}}"#, T::schema())
    }

    fn keys() -> &'static [Key] {
        T::keys()
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        let written: Option<Vec<String>> = self.iter().map(T::written).collect();
        match written {
            Some(items) => told.add(spot, format!("[{}]", items.join(","))),
            None => self.iter().enumerate().for_each(|(index, item)| item.tell(&spot.item(index), told)),
        }
    }
}

fn within_bounds(node: &Node, length: usize, problems: &mut Problems) -> Option<()> {
    if length > LENGTH_MAX {
        let message = format!("{length} entries are over the limit of {LENGTH_MAX}");
        problems.error(Code::OverBounds, node.owner, message);
    }
    (length <= LENGTH_MAX).then_some(())
}

impl<T: Decode> Decode for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        T::decode(node, problems).map(Some)
    }

    fn schema() -> String {
        T::schema()
    }

    fn keys() -> &'static [Key] {
        T::keys()
    }

    fn written(&self) -> Option<String> {
        self.as_ref().and_then(T::written)
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        if let Some(own) = self {
            own.tell(spot, told);
        }
    }
}

impl Decode for String {
    const EXPECTED: &'static str = "text";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        text(node, Self::EXPECTED, problems).map(str::to_owned)
    }

    fn schema() -> String {
        r#"{"type":"string"}"#.to_owned()
    }

    fn written(&self) -> Option<String> {
        Some(token(self))
    }

    fn stand_in() -> Option<Self> {
        Some(Self::new())
    }
}

impl Decode for usize {
    const EXPECTED: &'static str = "a whole number";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Int(value) = node.value else {
            wrong_type(node, Self::EXPECTED, problems);
            return None;
        };
        let number = Self::try_from(value).ok();
        if number.is_none() {
            problems.error(Code::InvalidValue, node.place, format!("number `{value}` is out of range"));
        }
        number
    }

    fn schema() -> String {
        r#"{"type":"integer","minimum":0}"#.to_owned()
    }

    fn written(&self) -> Option<String> {
        Some(self.to_string())
    }
}

/// The text of a node, which must be text.
pub(crate) fn text<'n>(node: &'n Node, expected: &str, problems: &mut Problems) -> Option<&'n str> {
    match &node.value {
        Value::String(text) => Some(text),
        _ => {
            wrong_type(node, expected, problems);
            None
        }
    }
}

/// One of a few words, each with what it stands for.
pub(crate) fn word<T: Copy>(node: &Node, expected: &str, choices: &[Choice<T>], problems: &mut Problems) -> Option<T> {
    let found = text(node, expected, problems)?;
    if let Some((_, value, _)) = choices.iter().find(|(word, _, _)| *word == found) {
        return Some(*value);
    }
    let message = format!("{} is not {expected}", quoted(found));
    let near = problems.near_miss(Code::InvalidValue, found, choices.iter().map(|(word, _, _)| *word));
    let problem = problems.error(Code::InvalidValue, node.place, message);
    if let Some(near) = near {
        problem.meant(near);
    }
    None
}

/// What a form of its own says, be it that YAML took it for a number.
pub(crate) fn parsed<T>(
    node: &Node,
    expected: &str,
    parse: impl FnOnce(&str) -> Option<T>,
    help: &str,
    problems: &mut Problems,
) -> Option<T> {
    let found = match &node.value {
        Value::String(found) => found.clone(),
        Value::Int(number) => number.to_string(),
        _ => {
            wrong_type(node, expected, problems);
            return None;
        }
    };
    let value = parse(&found);
    if value.is_none() {
        problems.error(Code::InvalidValue, node.place, format!("{} is not {expected}", quoted(&found))).help(help);
    }
    value
}

/// Reports a node of another type than expected.
pub(crate) fn wrong_type<'p>(node: &Node, expected: &str, problems: &'p mut Problems) -> &'p mut Problem {
    let found = match &node.value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(value) => format!("boolean `{value}`"),
        Value::Int(value) => format!("number `{value}`"),
        // With its point: that is what is wrong with it where a whole number belongs.
        Value::Float(value) => format!("number `{value:?}`"),
        Value::String(value) => format!("text {}", quoted(value)),
        Value::Sequence(_) => "a list".to_owned(),
        Value::Mapping(_) => "a mapping".to_owned(),
    };
    // Nothing stands where nothing is: point at the key.
    let place = if matches!(node.value, Value::Null) { node.owner } else { node.place };
    let is_one = ["a ", "an ", "the ", "text", "`"].iter().any(|start| expected.starts_with(start));
    let verb = if is_one { "belongs" } else { "belong" };
    let problem = problems.error(Code::WrongType, place, format!("{found} where {expected} {verb}"));
    if let Some(advice) = advice(&node.value, expected) {
        problem.help(advice);
    }
    problem
}

/// What to write where something of another type stands.
fn advice(found: &Value, expected: &str) -> Option<&'static str> {
    let scalar = matches!(found, Value::Bool(_) | Value::Int(_) | Value::Float(_));
    Some(match expected {
        "a name" | "a key" if scalar || matches!(found, Value::Null) => "quote it if text is meant",
        expected if expected.starts_with("text") => match found {
            Value::Null => "write a value, or take the key out; quote it if this is meant as text",
            _ if scalar => "quote it if text is meant",
            _ => return None,
        },
        expected if expected.starts_with("a duration") => DURATION,
        "a topology" => "a topology begins with `name:` and `backends:`",
        "a backend" => "write at least how to reach it: `{ transport: { stdio: { command: … } } }`",
        "a transport" => "write which one and its settings, such as `{ stdio: { command: … } }`",
        "an endpoint" => "write `{ url: \"http://…\" }`",
        "a route" => "write `{ tools: \"name_*\", to: backend }`",
        "a list" => "write a list in brackets: `[one, two]`",
        "a mapping" => "write names with a colon and what belongs to them: `name: …`",
        "a whole number" => "write digits only: no quotes, no point, no exponent",
        expected if matches!(found, Value::Null) && !expected.contains('`') => "write `{}` where nothing is to be set",
        _ => return None,
    })
}
