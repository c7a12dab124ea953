//! From the YAML tree to the types of the schema: all problems of a document are collected, each with its place.
//!
//! The schema itself is [`crate::topology`]; what it means is checked in [`crate::check`].

use std::collections::{HashMap, HashSet};

use crate::diagnostic::{Code, Problem, Problems, quoted};
use crate::json::token;
use crate::rule::Rule;
use crate::yaml::{Node, Place, Value};

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

    /// What takes the place of an item that could not be read, so that the others of its list keep theirs and are
    /// checked. `None`: the whole list cannot be read.
    fn stand_in() -> Option<Self> {
        None
    }
}

/// One key of a record, described where it is defined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Its documentation.
    pub(crate) meaning: &'static str,
    /// [`Decode::EXPECTED`] of its type.
    pub(crate) expected: &'static str,
    /// [`Decode::schema`] of its type.
    pub(crate) schema: fn() -> String,
    /// [`Decode::keys`] of its type.
    pub(crate) keys: fn() -> &'static [Key],
    /// [`Decode::written`] of its default.
    pub(crate) default: fn() -> Option<String>,
    /// Whether it has to be there.
    pub(crate) required: bool,
}

/// Defines a record of the schema once: the type, its keys with their documentation, and how it is read. A key without a
/// default is required; the block behind `|` stands in for one that is absent or could not be read, so that the rest is
/// checked all the same. `default struct` has a default for every key and for the whole. What follows `where` is the
/// [`Rule`] of a key, or a function that writes what else the schema of the whole says.
macro_rules! record {
    ($(#[doc = $doc:literal])+ default struct $Name:ident: $expected:literal $(where $stated:path)? {
        $($(#[doc = $meaning:literal])+ $key:ident: $Type:ty $(where $rule:path)? = $default:expr,)+
    }) => {
        record! {
            $(#[doc = $doc])+
            struct $Name: $expected $(where $stated)? {
                $($(#[doc = $meaning])+ $key: $Type $(where $rule)? = $default,)+
            }
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($key: $default,)+ }
            }
        }
    };
    ($(#[doc = $doc:literal])+ struct $Name:ident: $expected:literal $(where $stated:path)? {
        $($(#[doc = $meaning:literal])+
        $key:ident: $Type:ty $(where $rule:path)? $(| $stand_in:block)? $(= $default:expr)?,)+
    }) => {
        $(#[doc = $doc])+
        #[derive(Clone, Debug, PartialEq)]
        pub struct $Name {
            $($(#[doc = $meaning])+ pub $key: $Type,)+
        }

        impl $Name {
            /// Every key with what it means and takes.
            pub(crate) const KEYS: &'static [$crate::decode::Key] =
                &[$(record!(@key $key concat!($($meaning),+), $Type $(where $rule)? $(= $default)?)),+];
        }

        impl $crate::decode::Decode for $Name {
            const EXPECTED: &'static str = $expected;

            fn decode(
                node: &$crate::yaml::Node,
                problems: &mut $crate::diagnostic::Problems,
            ) -> Option<Self> {
                let record = $crate::decode::Record::open(node, Self::EXPECTED, Self::KEYS, problems)?;
                // Every key is read before the first that failed gives up, so that all problems are found.
                $(let $key = record!(@read record problems $key $Type $(where $rule)? $(| $stand_in)? $(= $default)?);)+
                Some(Self { $($key: $key?,)+ })
            }

            fn keys() -> &'static [$crate::decode::Key] {
                Self::KEYS
            }

            fn stand_in() -> Option<Self> {
                Some(Self { $($key: record!(@stand_in $(| $stand_in)? $(= $default)?)?,)+ })
            }

            fn schema() -> String {
                let stated: &[String] = &[$($stated())?];
                $crate::decode::object_schema(Self::EXPECTED, Self::KEYS, &stated.concat())
            }
        }
    };
    (@key $key:ident $meaning:expr, $Type:ty $(where $rule:path)? = $default:expr) => {
        $crate::decode::Key {
            required: false,
            default: || $crate::decode::Decode::written(&{ let default: $Type = $default; default }),
            ..record!(@key $key $meaning, $Type $(where $rule)?)
        }
    };
    (@key $key:ident $meaning:expr, $Type:ty $(where $rule:path)?) => {
        $crate::decode::Key {
            required: true,
            schema: || $crate::rule::stated::<$Type>(&[$(&$rule)?]),
            ..$crate::decode::Key::new::<$Type>(stringify!($key), $meaning)
        }
    };
    (@read $record:ident $problems:ident $key:ident $Type:ty $(where $rule:path)? = $default:expr) => {
        Some($record.optional::<$Type>(stringify!($key), &[$(&$rule)?], $problems).unwrap_or_else(|| $default))
    };
    (@read $record:ident $problems:ident $key:ident $Type:ty $(where $rule:path)? $(| $stand_in:block)?) => {
        $record.required::<$Type>(stringify!($key), &[$(&$rule)?], $problems)$(.or_else(|| Some($stand_in)))?
    };
    (@stand_in | $stand_in:block) => { Some($stand_in) };
    (@stand_in = $default:expr) => { Some($default) };
    (@stand_in) => { None };
}
pub(crate) use record;

/// What editors call what a message expects: the same without its article.
pub(crate) fn title(expected: &str) -> &str {
    expected.strip_prefix("a ").or_else(|| expected.strip_prefix("an ")).unwrap_or(expected)
}

/// The JSON Schema of a mapping with these keys; `stated` are further members, each with a leading comma.
pub(crate) fn object_schema(expected: &str, keys: &[Key], stated: &str) -> String {
    let title = token(title(expected));
    let properties: Vec<String> = keys.iter().map(Key::schema).collect();
    let required: Vec<String> = keys.iter().filter(|key| key.required).map(|key| token(key.name)).collect();
    let required = match &required[..] {
        [] => String::new(),
        names => format!(r#","required":[{}]"#, names.join(",")),
    };
    let properties = properties.join(",");
    format!(
        r#"{{"title":{title},"type":"object","properties":{{{properties}}}{required},"additionalProperties":false{stated}}}"#
    )
}

/// One of a few words: itself, what it stands for, what it means to the user.
pub(crate) type Choice<T> = (&'static str, T, &'static str);

/// The JSON Schema of one of a few words.
pub(crate) fn words_schema<T>(choices: &[Choice<T>]) -> String {
    let words: Vec<String> = choices.iter().map(|(word, _, _)| token(word)).collect();
    let meanings: Vec<String> = choices.iter().map(|(_, _, meaning)| token(meaning)).collect();
    format!(r#"{{"enum":[{}],"enumDescriptions":[{}]}}"#, words.join(","), meanings.join(","))
}

/// A mapping whose keys are known.
pub(crate) struct Record<'n> {
    entries: &'n [(Node, Node)],
    keys: &'static [Key],
    owner: Place,
}

/// A mapping from names that the user chooses, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Entries<T> {
    entries: Vec<(String, T)>,
    /// Names whose value has a problem of its own: they exist, or every use of them would be another problem.
    refused: Vec<String>,
}

// === impl Key ===

impl Key {
    /// A key that may be left out and has no default.
    pub(crate) const fn new<T: Decode>(name: &'static str, meaning: &'static str) -> Self {
        let (expected, schema, keys) = (T::EXPECTED, T::schema, T::keys);
        Self { name, meaning, expected, schema, keys, default: || None, required: false }
    }

    /// What it takes, with its documentation for editors.
    fn schema(&self) -> String {
        let (name, schema) = (token(self.name), (self.schema)());
        let about = format!(r#""description":{}"#, token(self.meaning.trim()));
        let default = (self.default)().map_or_else(String::new, |default| format!(r#","default":{default}"#));
        // A schema is an object with at least one member.
        format!(r#"{name}:{{{about}{default},{}"#, &schema[1..])
    }

    /// What it means, as the end of a sentence.
    fn phrase(&self) -> String {
        let meaning = self.meaning.trim().trim_end_matches('.');
        let first = meaning.chars().next().map_or(0, char::len_utf8);
        meaning[..first].to_lowercase() + &meaning[first..]
    }
}

// === impl Record ===

impl<'n> Record<'n> {
    /// Reports every key that is not one of `keys`.
    pub(crate) fn open(node: &'n Node, expected: &str, keys: &'static [Key], problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(entries) = &node.value else {
            let problem = wrong_type(node, expected, problems);
            if advice(&node.value, expected).is_none() {
                problem.help(format!("write a mapping with these keys: {}", named(keys)));
            }
            return None;
        };
        for (key, _) in entries {
            match &key.value {
                Value::String(name) if keys.iter().any(|known| known.name == name) => {}
                Value::String(name) => unknown_key(key.place, name, expected, keys, problems),
                _ => {
                    wrong_type(key, "a key", problems);
                }
            }
        }
        Some(Self { entries, keys, owner: node.owner })
    }

    /// The value of a key, if it is there and is right.
    pub(crate) fn optional<T: Decode>(&self, name: &str, rules: &[&dyn Rule<T>], problems: &mut Problems) -> Option<T> {
        let node = self.node(name)?;
        let value = T::decode(node, problems)?;
        // What breaks a rule has its type all the same: the checks that follow find what else is wrong.
        rules.iter().for_each(|rule| Rule::<T>::check(*rule, &value, node, problems));
        Some(value)
    }

    /// The value of a key; reports when it is not there.
    pub(crate) fn required<T: Decode>(&self, name: &str, rules: &[&dyn Rule<T>], problems: &mut Problems) -> Option<T> {
        if self.node(name).is_none() {
            let problem = problems.error(Code::MissingKey, self.owner, format!("missing key `{name}`"));
            if let Some(key) = self.keys.iter().find(|key| key.name == name) {
                problem.help(format!("`{name}` ({}): {}", key.expected, key.phrase()));
            }
        }
        self.optional(name, rules, problems)
    }

    /// Which of the keys are there, in the order of the schema.
    pub(crate) fn present(&self) -> Vec<&'static str> {
        self.keys.iter().map(|key| key.name).filter(|name| self.node(name).is_some()).collect()
    }

    /// Whether the mapping holds nothing at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn node(&self, name: &str) -> Option<&'n Node> {
        self.entries.iter().find(|(key, _)| matches!(&key.value, Value::String(text) if text == name)).map(|e| &e.1)
    }
}

// === impl Entries ===

impl<T> Default for Entries<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), refused: Vec::new() }
    }
}

impl<T> Entries<T> {
    /// The value of a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&T> {
        self.entries.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Names and values in the order of the file.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.entries.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Every name, also of values that were refused.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name).chain(&self.refused).map(String::as_str)
    }
}

impl<T: Decode> Decode for Entries<T> {
    const EXPECTED: &'static str = "a mapping";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        let Value::Mapping(nodes) = &node.value else {
            wrong_type(node, Self::EXPECTED, problems);
            return None;
        };
        within_bounds(node, nodes.len(), problems)?;
        let mut entries = Self::default();
        let mut known = HashSet::new();
        for (key, node) in nodes {
            let Value::String(name) = &key.value else {
                wrong_type(key, "a name", problems);
                continue;
            };
            // A name that stands twice is reported for the whole document.
            if !known.insert(name) {
                continue;
            }
            match T::decode(node, problems) {
                Some(value) => entries.entries.push((name.clone(), value)),
                None => entries.refused.push(name.clone()),
            }
        }
        Some(entries)
    }

    fn schema() -> String {
        format!(r#"{{"type":"object","additionalProperties":{},"maxProperties":{LENGTH_MAX}}}"#, T::schema())
    }
}

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

/// The candidate that was probably meant. Where they are many and long, only the first of them are compared.
#[must_use]
pub fn near_miss<'c>(given: &str, candidates: impl Iterator<Item = &'c str>) -> Option<&'c str> {
    /// Longer names are never mistyped ones: they come from elsewhere.
    const CHARS_MAX: usize = 128;
    /// Of fewer characters any two names are near: only one in another case is meant.
    const CHARS_MIN: usize = 3;
    /// How many pairs of characters are compared.
    const PAIRS_MAX: usize = 4 << 20;
    let length = |text: &str| text.chars().take(CHARS_MAX + 1).count();
    let given_chars = length(given);
    let (mut nearest, mut pairs) = (None, 0);
    for candidate in candidates.filter(|_| given_chars <= CHARS_MAX) {
        let chars = length(candidate);
        let distance_max = chars.div_ceil(3);
        let another_case = || given.eq_ignore_ascii_case(candidate);
        if chars.abs_diff(given_chars) > distance_max || (given_chars.max(chars) < CHARS_MIN && !another_case()) {
            continue;
        }
        pairs += given_chars * chars;
        if pairs > PAIRS_MAX {
            break;
        }
        let distance = strsim::osa_distance(given, candidate);
        if distance <= distance_max && nearest.is_none_or(|(nearest, _)| distance < nearest) {
            nearest = Some((distance, candidate));
        }
    }
    nearest.map(|(_, candidate)| candidate)
}

fn unknown_key(place: Place, name: &str, expected: &str, keys: &[Key], problems: &mut Problems) {
    let message = format!("unknown key {} in {expected}", quoted(name));
    let near = problems.near_miss(Code::UnknownKey, name, keys.iter().map(|key| key.name));
    let problem = problems.error(Code::UnknownKey, place, message);
    match near {
        _ if name == "<<" => problem.help("merge keys are not read: repeat what `<<` would bring in, or use an alias for a whole value"),
        _ if name == "mcpServers" => problem.help(
            "servers stand under `backends`, each with its transport: `name: { transport: { stdio: { command: …, args: […] } } }`",
        ),
        _ if let Some(home) = home(name, keys) => problem.help(format!("`{name}` belongs under `{home}`")),
        Some(near) => problem.meant(near),
        None => problem.help(format!("known keys are {}", named(keys))),
    };
}

fn named(keys: &[Key]) -> String {
    keys.iter().map(|key| format!("`{}`", key.name)).collect::<Vec<_>>().join(", ")
}

/// The keys, joined by points, of the mapping further down that knows a key.
fn home(name: &str, keys: &[Key]) -> Option<String> {
    let direct = keys.iter().find(|key| (key.keys)().iter().any(|inner| inner.name == name));
    let below = || keys.iter().find_map(|key| Some(format!("{}.{}", key.name, home(name, (key.keys)())?)));
    direct.map(|key| key.name.to_owned()).or_else(below)
}

/// Reports every key that stands twice in one mapping, anywhere in a document.
pub(crate) fn duplicate_keys(root: &Node, problems: &mut Problems) {
    duplicates(root, &[], problems);
}

/// As [`duplicate_keys`], below the keys that led here.
fn duplicates<'n>(node: &'n Node, keys: &[&'n str], problems: &mut Problems) {
    match &node.value {
        Value::Sequence(items) => items.iter().for_each(|item| duplicates(item, &[keys, &["-"]].concat(), problems)),
        Value::Mapping(entries) => {
            let mut first = HashMap::new();
            for (key, value) in entries {
                // Keys of other kinds are refused as such.
                let Value::String(name) = &key.value else { continue };
                duplicates(value, &[keys, &[name]].concat(), problems);
                match first.get(name.as_str()) {
                    Some(place) => duplicate(name, keys, (key.place, *place), problems),
                    None => drop(first.insert(name.as_str(), key.place)),
                }
            }
        }
        _ => {}
    }
}

fn duplicate(name: &str, keys: &[&str], (again, first): (Place, Place), problems: &mut Problems) {
    let noun = if keys == ["backends"] { "backend" } else { "key" };
    let message = format!("{noun} {} stands twice", quoted(name));
    let problem = problems.error(Code::DuplicateKey, again, message).label("again here").also(first, "first here");
    match noun {
        "backend" => problem.help(format!("name one of them otherwise, such as {}", quoted(&format!("{name}-2")))),
        _ => problem.help("take one of them out"),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_probably_meant_is_near() {
        for (given, candidates, expected) in [
            ("naem", &["name", "names"][..], Some("name")),
            ("timeot", &["tools", "timeout"], Some("timeout")),
            ("Name", &["name"], Some("name")),
            ("M", &["m"], Some("m")),
            ("", &["m"], None),
            ("x", &["m"], None),
            ("xy", &["x", "xz"], None),
            ("ad", &["add"], Some("add")),
            ("", &["m", "to", "add"], None),
            ("bogus", &["name"], None),
        ] {
            assert_eq!(near_miss(given, candidates.iter().copied()), expected, "{given}");
        }
    }

    #[test]
    fn names_too_long_to_be_mistyped_are_not_compared() {
        let (long, longer) = ("x".repeat(128), "x".repeat(1_000_000));
        assert_eq!(near_miss(&"x".repeat(127), [&*longer, &*long].into_iter()), Some(&*long));
        assert_eq!(near_miss(&longer, [&*longer].into_iter()), None);
    }

    #[test]
    fn of_very_many_candidates_the_first_are_compared() {
        let long = "x".repeat(128);
        let many = std::iter::repeat_n(&*long, 1_000_000);
        let given = format!("y{}", "x".repeat(127));
        assert_eq!(near_miss(&given, many.chain([&*given])), Some(&*long));
    }
}
