//! What a value must be beside having its type: written with its key, asked of every file, and stated in the schema.
//!
//! What depends on other values, or takes more than a pattern to say, is checked in [`crate::check`].

use std::fmt::Display;
use std::ops::RangeInclusive;

use crate::decode::{Decode, Entries};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::plan::Reference;
use crate::topology::Millis;
use crate::yaml::{Node, Place, Value};

/// A rule about values of a type.
///
/// **Invariant:** what the schema of a rule refuses, its check reports. Not the other way round: not all can be stated.
pub(crate) trait Rule<T> {
    /// Reports where a value is not as the rule says.
    fn check(&self, value: &T, node: &Node, problems: &mut Problems);

    /// The JSON Schema of what the rule allows, given that of the type.
    fn schema(&self, of_type: String) -> String;
}

/// A text of a few characters.
pub(crate) struct Word {
    /// What messages call it.
    pub(crate) noun: &'static str,
    /// The code of what is none.
    pub(crate) code: Code,
    /// What it is made of; ASCII only.
    pub(crate) letters: &'static [RangeInclusive<char>],
    /// The letters, as a message says them.
    pub(crate) said: &'static str,
    /// Whether it may begin with a digit.
    pub(crate) digit_first: bool,
    /// How long it may be.
    pub(crate) chars_max: Option<usize>,
}

/// A text that holds something.
pub(crate) struct Filled {
    /// What messages call it.
    pub(crate) noun: &'static str,
}

/// A value that is read from a file when the gateway starts.
pub(crate) struct InFile {
    /// What messages call it, with its verb.
    pub(crate) said: &'static str,
}

/// A number or duration between two bounds.
pub(crate) struct Within<T> {
    /// What messages call it.
    pub(crate) noun: &'static str,
    /// The bounds.
    pub(crate) range: RangeInclusive<T>,
}

/// A mapping whose names are words.
pub(crate) struct Keyed {
    /// What each name is.
    pub(crate) name: Word,
    /// The message where there is none; `None` allows that.
    pub(crate) empty: Option<&'static str>,
    /// An entry as editors propose it, as JSON.
    pub(crate) snippet: fn() -> Option<String>,
}

/// The JSON Schema of a type under rules.
pub(crate) fn stated<T: Decode>(rules: &[&dyn Rule<T>]) -> String {
    rules.iter().fold(T::schema(), |schema, rule| Rule::<T>::schema(*rule, schema))
}

/// A JSON Schema with further members, each with a leading comma.
fn with_members(schema: &str, members: &str) -> String {
    let open = schema.strip_suffix('}').expect("a schema is an object with at least one member");
    format!("{open}{members}}}")
}

/// The members for a text that has to match.
fn pattern(pattern: &str, message: &str) -> String {
    format!(r#""pattern":{},"patternErrorMessage":{}"#, token(pattern), token(message))
}

/// The JSON Schema of a text that has to match.
pub(crate) fn text_schema(expression: &str, message: &str) -> String {
    format!(r#"{{"type":"string",{}}}"#, pattern(expression, message))
}

// === impl Rule ===

impl<T, R: Rule<T>> Rule<Option<T>> for R {
    fn check(&self, value: &Option<T>, node: &Node, problems: &mut Problems) {
        if let Some(value) = value {
            Rule::<T>::check(self, value, node, problems);
        }
    }

    fn schema(&self, of_type: String) -> String {
        Rule::<T>::schema(self, of_type)
    }
}

// === impl Word ===

impl Word {
    /// Whether a text is one.
    pub(crate) fn holds(&self, text: &str) -> bool {
        !text.is_empty()
            && self.chars_max.is_none_or(|max| text.len() <= max)
            && text.chars().all(|letter| self.letters.iter().any(|range| range.contains(&letter)))
            && (self.digit_first || !text.starts_with(|first: char| first.is_ascii_digit()))
    }

    /// The regular expression of one, without anchors.
    pub(crate) fn expression(&self) -> String {
        let first = if self.digit_first { "" } else { "(?![0-9])" };
        let mut class = String::new();
        for letters in self.letters {
            match (letters.start(), letters.end()) {
                (start, end) if start == end => class.push(*start),
                (start, end) => class.extend([*start, '-', *end]),
            }
        }
        let times = self.chars_max.map_or_else(|| "+".to_owned(), |max| format!("{{1,{max}}}"));
        format!("{first}[{class}]{times}")
    }

    pub(crate) fn report(&self, text: &str, place: Place, problems: &mut Problems) {
        if !self.holds(text) {
            let message = format!("{} {} is not {}", self.noun, quoted(text), self.expected());
            problems.error(self.code, place, message).label(self.flaw(text));
        }
    }

    /// What keeps a text from being one.
    fn flaw(&self, text: &str) -> String {
        let allowed = |letter: char| self.letters.iter().any(|range| range.contains(&letter));
        let length = text.chars().count();
        match text.chars().find(|letter| !allowed(*letter)) {
            Some(upper) if upper.is_ascii_uppercase() => format!("`{upper}` is in upper case"),
            Some(letter) if letter.is_ascii() => format!("`{}` is none of these", letter.escape_debug()),
            Some(letter) => format!("`{}` (U+{:04X}) is none of these", letter.escape_debug(), u32::from(letter)),
            None if text.is_empty() => "is empty".to_owned(),
            None => match self.chars_max {
                Some(max) if length > max => format!("has {length} characters, {} too many", length - max),
                _ => "begins with a digit".to_owned(),
            },
        }
    }

    fn expected(&self) -> String {
        self.chars_max.map_or_else(|| self.said.to_owned(), |max| format!("1 to {max} {}", self.said))
    }

    fn stated(&self) -> String {
        pattern(&format!("^{}$", self.expression()), &format!("{} is not {}", self.noun, self.expected()))
    }
}

impl Rule<String> for Word {
    fn check(&self, value: &String, node: &Node, problems: &mut Problems) {
        self.report(value, node.place, problems);
    }

    fn schema(&self, of_type: String) -> String {
        with_members(&of_type, &format!(",{}", self.stated()))
    }
}

// === impl InFile ===

impl Rule<Reference> for InFile {
    fn check(&self, value: &Reference, node: &Node, problems: &mut Problems) {
        if matches!(value, Reference::Literal(_) | Reference::Env(_)) {
            let message = format!("{} read from a file", self.said);
            problems.error(Code::InvalidValue, node.place, message).label("write `file:PATH`");
        }
    }

    fn schema(&self, _of_type: String) -> String {
        text_schema(r"^file:[\s\S]", &format!("{} read from a file: write `file:PATH`", self.said))
    }
}

// === impl Filled ===

impl Rule<String> for Filled {
    fn check(&self, value: &String, node: &Node, problems: &mut Problems) {
        if value.is_empty() {
            problems.error(Code::InvalidValue, node.place, format!("{} is empty", self.noun));
        } else if value.contains('\0') {
            problems.error(Code::InvalidValue, node.place, format!("{} holds a zero byte", self.noun));
        }
    }

    fn schema(&self, of_type: String) -> String {
        with_members(&of_type, r#","minLength":1"#)
    }
}

// === impl Within ===

impl<T: PartialOrd> Within<T> {
    fn report(&self, value: &T, shown: impl Fn(&T) -> String, node: &Node, problems: &mut Problems) {
        if !self.range.contains(value) {
            let written = match &node.value {
                Value::String(text) => quoted(text),
                _ => shown(value),
            };
            let message = format!("{} {written} is not {}", self.noun, self.expected(shown));
            problems.error(Code::InvalidValue, node.place, message);
        }
    }

    fn expected(&self, shown: impl Fn(&T) -> String) -> String {
        format!("between {} and {}", shown(self.range.start()), shown(self.range.end()))
    }
}

fn quote(value: &impl Display) -> String {
    quoted(&value.to_string())
}

impl Rule<usize> for Within<usize> {
    fn check(&self, value: &usize, node: &Node, problems: &mut Problems) {
        self.report(value, usize::to_string, node, problems);
    }

    fn schema(&self, _of_type: String) -> String {
        format!(r#"{{"type":"integer","minimum":{},"maximum":{}}}"#, self.range.start(), self.range.end())
    }
}

impl Rule<Millis> for Within<Millis> {
    fn check(&self, value: &Millis, node: &Node, problems: &mut Problems) {
        self.report(value, quote, node, problems);
    }

    fn schema(&self, _of_type: String) -> String {
        let message = format!("{} is not a duration {}", self.noun, self.expected(quote));
        text_schema(&Millis::expression(Some(&self.range)), &message)
    }
}

/// The regular expressions of the decimal numbers from 1 to another, without leading zeros.
pub(crate) fn numbers_to(most: u64) -> Vec<String> {
    let digits = most.to_string();
    // What agrees with the greatest number up to a digit that is less: everything goes from there on.
    let below = digits.char_indices().filter_map(|(at, digit)| {
        let rest = "[0-9]".repeat(digits.len() - at - 1);
        let least = if at == 0 { '1' } else { '0' };
        let last = char::from_u32(u32::from(digit) - 1).filter(|last| *last >= least)?;
        Some(format!("{}[{least}-{last}]{rest}", &digits[..at]))
    });
    let shorter = match digits.len() {
        1 => None,
        2 => Some("[1-9]".to_owned()),
        length => Some(format!("[1-9][0-9]{{0,{}}}", length - 2)),
    };
    if most == 0 { Vec::new() } else { shorter.into_iter().chain(below).chain([digits.clone()]).collect() }
}

// === impl Keyed ===

impl<T> Rule<Entries<T>> for Keyed {
    fn check(&self, value: &Entries<T>, node: &Node, problems: &mut Problems) {
        let Value::Mapping(nodes) = &node.value else { return };
        for (key, _) in nodes {
            if let Value::String(name) = &key.value {
                self.name.report(name, key.place, problems);
            }
        }
        if let Some(message) = self.empty.filter(|_| value.names().next().is_none()) {
            problems.error(Code::InvalidValue, node.owner, message);
        }
    }

    fn schema(&self, of_type: String) -> String {
        let names = format!(r#","propertyNames":{{"title":{},{}}}"#, token(self.name.noun), self.name.stated());
        let least = if self.empty.is_some() { r#","minProperties":1"# } else { "" };
        let snippet = (self.snippet)().map(|entry| {
            let label = token(&format!("new {}", self.name.noun));
            format!(r#","defaultSnippets":[{{"label":{label},"body":{{"${{1:name}}":{entry}}}}}]"#)
        });
        with_members(&of_type, &format!("{names}{least}{}", snippet.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::string::string_regex;

    use super::*;

    fn word() -> Word {
        Word {
            noun: "name",
            code: Code::InvalidName,
            letters: &['a'..='z', '0'..='9', '-'..='-'],
            said: "letters",
            digit_first: false,
            chars_max: Some(4),
        }
    }

    #[test]
    fn a_word_is_of_its_letters_and_no_longer_than_it_may() {
        for (text, expected) in
            [("a", true), ("a-0z", true), ("", false), ("abcde", false), ("0a", false), ("aB", false), ("é", false)]
        {
            assert_eq!(word().holds(text), expected, "{text}");
        }
        assert_eq!(word().expression(), "(?![0-9])[a-z0-9-]{1,4}");
        assert_eq!(Word { digit_first: true, chars_max: None, ..word() }.expression(), "[a-z0-9-]+");
    }

    #[test]
    fn the_expression_of_numbers_holds_each_up_to_the_greatest() {
        assert_eq!(numbers_to(0), [""; 0]);
        assert_eq!(numbers_to(1), ["1"]);
        assert_eq!(numbers_to(24), ["[1-9]", "[1-1][0-9]", "2[0-3]", "24"]);
        assert_eq!(numbers_to(600), ["[1-9][0-9]{0,1}", "[1-5][0-9][0-9]", "600"]);
    }

    /// A range, and a text that its expression matches.
    fn duration_within() -> impl Strategy<Value = (Millis, String)> {
        let most = prop_oneof![1..200_u64, Just(600_000), Just(86_400_000), 1..u64::MAX / 2];
        most.prop_flat_map(|most| {
            let expression = Millis::expression(Some(&(Millis(1)..=Millis(most))));
            let inner = expression.trim_start_matches('^').trim_end_matches('$').replace("0*", "0{0,3}");
            (Just(Millis(most)), string_regex(&inner).expect("an expression"))
        })
    }

    proptest! {
        #[test]
        fn what_the_expression_of_a_range_matches_is_within((most, text) in duration_within()) {
            let millis = Millis::parse(&text);
            prop_assert!(millis.is_some_and(|millis| Millis(1) <= millis && millis <= most), "{text} up to {most}");
        }

        #[test]
        fn the_greatest_number_of_a_range_is_among_its_expressions(most in 1_u64..) {
            prop_assert_eq!(numbers_to(most).pop(), Some(most.to_string()));
        }
    }
}
