//! Mappings whose keys are known, and the macro that defines one. What stands at a key is not here.

use super::{Decode, advice, quoted, title, wrong_type};
use crate::diagnostic::{Code, Problems};
use crate::json::token;
use crate::rule::Rule;
use crate::yaml::{Node, Place, Value};

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

            fn tell(&self, spot: &$crate::decode::Spot<'_>, told: &mut $crate::decode::Told) {
                $($crate::decode::Decode::tell(&self.$key, &spot.key(stringify!($key)), told);)+
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

/// A mapping whose keys are known.
pub(crate) struct Record<'n> {
    entries: &'n [(Node, Node)],
    keys: &'static [Key],
    owner: Place,
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
