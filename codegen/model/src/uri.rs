//! URIs as patterns judge them, for those who must not be told apart by their spelling. How a URI is passed on, and what
//! patterns mean, is not decided here.
//!
//! A backend that decodes what it is asked for sees one resource behind many spellings (RFC 3986, section 6.2.2). All
//! of them have one form here: escaped where a character is neither unreserved nor `/`, `?`, `#`, with digits in upper
//! case. An escaped `,` and a bare one are one to a backend that decodes, so they are one here. Scheme and authority
//! are compared without regard to case.

use crate::names::{fills, matches};

/// A URI in the form of all its spellings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri {
    text: String,
    /// Where scheme and authority end.
    place: usize,
}

// === impl Uri ===

impl Uri {
    /// The form of a URI.
    #[must_use]
    pub fn new(uri: &str) -> Self {
        Self::of(uri, b"")
    }

    /// The form of a URI, or of what stands for many: these bytes have a meaning in it and stay what they are.
    fn of(uri: &str, meant: &[u8]) -> Self {
        let text = escaped(uri, meant);
        let place = place(&text);
        let (head, tail) = text.split_at(place);
        Self { text: lowered(head) + tail, place }
    }

    /// Whether a pattern matches it, see [`matches()`].
    #[must_use]
    pub fn matches(&self, pattern: &str) -> bool {
        let pattern = escaped(pattern, b"*");
        let (place, rest) = self.text.split_at(self.place);
        // Which part of a pattern meets scheme and authority is not to be seen in it: `*s/x` matches `a://S/x`. A star
        // may meet both.
        let both = |head: &str, tail: &str| matches(&lowered(head), place) && matches(tail, rest);
        (0..=pattern.len()).any(|at| {
            let (head, tail) = pattern.split_at(at);
            both(head, tail) || tail.starts_with('*') && both(&pattern[..=at], tail)
        })
    }

    /// Whether it can come of a template, see [`fills`].
    #[must_use]
    pub fn fills(&self, template: &str) -> bool {
        fills(&Self::of(template, b"{}").text, &self.text)
    }

    /// Whether it says where it leads: nothing in it goes up or stays (`..`, `.`), and no separator hides in an escape.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        let text = self.text.to_ascii_lowercase();
        let (place, rest) = text.split_at(self.place);
        let mut segments = [place, rest].into_iter().flat_map(|part| part.split(['/', '?', '#']));
        !["%2f", "%5c"].iter().any(|hidden| text.contains(hidden))
            && !segments.any(|segment| matches!(segment, "." | ".."))
    }
}

const COLON: &str = "%3A";

/// The text in ASCII, with everything escaped that may be and is not among `meant`.
fn escaped(text: &str, meant: &[u8]) -> String {
    let mut form = String::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, behind @ ..] = rest {
        let escape = (*first == b'%').then(|| behind.split_at_checked(2)).flatten();
        let escape = escape.and_then(|(digits, behind)| Some((digit(digits[0])? << 4 | digit(digits[1])?, behind)));
        let kept = escape.is_none() && (meant.contains(first) || matches!(first, b'/' | b'?' | b'#'));
        let byte;
        (byte, rest) = escape.unwrap_or((*first, behind));
        if kept || byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            form.push(char::from(byte));
        } else {
            form.push('%');
            form.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789ABCDEF"[usize::from(digit)])));
        }
    }
    form
}

/// The text in lower case, but for the digits of its escapes: no letter of a pattern may stand for one of them.
fn lowered(text: &str) -> String {
    let mut digits = 0;
    let mut lower = |c: char| {
        let is_digit = digits > 0;
        digits = if c == '%' { 2 } else { digits - u8::from(is_digit) };
        if is_digit { c } else { c.to_ascii_lowercase() }
    };
    text.chars().map(&mut lower).collect()
}

fn digit(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// Where scheme and authority end in a text whose colons are escaped.
fn place(text: &str) -> usize {
    let separator = |from: usize| text[from..].find(['/', '?', '#']).map_or(text.len(), |at| from + at);
    let Some(scheme) = text[..separator(0)].find(COLON).map(|at| at + COLON.len()) else { return 0 };
    if text[scheme..].starts_with("//") { separator(scheme + 2) } else { scheme }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn spellings_of_one_uri_have_one_form() {
        for (one, other) in [
            ("data://tables/planets", "data://tables/plane%74s"),
            ("data://tables/planets", "DATA://T%61bles/%70lanets"),
            ("data://a/%c3%a4", "data://a/%C3%A4"),
            ("data://a/ä b,c@d:e", "data://a/%c3%a4%20b%2cc%40d%3ae"),
            ("data://a/100%", "data://a/100%25"),
            ("data://a/%4", "data://a/%254"),
            ("urn:A", "URN:A"),
        ] {
            assert_eq!(Uri::new(one), Uri::new(other), "{one} {other}");
        }
        for (one, other) in [
            ("data://a/x", "data://a/X"),
            ("data://a/x/y", "data://a/x%2Fy"),
            ("data://a/x?y", "data://a/x%3Fy"),
            ("data://a/x%25", "data://a/x%2525"),
            ("urn:a", "urn:A"),
            ("a/b:c", "A/b:c"),
        ] {
            assert_ne!(Uri::new(one), Uri::new(other), "{one} {other}");
        }
    }

    #[test]
    fn patterns_and_templates_are_spelled_like_uris() {
        for (uri, pattern, expected) in [
            ("data://tables/plane%74s/1", "data://tables/planets*", true),
            ("data://tables/planets/1", "data://tables/plane%74s*", true),
            ("data://TABLES/planets", "data://Tables/*", true),
            ("data://TABLES/planets", "*Tables/pl*", true),
            ("data://TABLES/planets", "*Tables/PL*", false),
            ("data://SECRET", "*Secret", true),
            ("data://a/SECRET", "*Secret", false),
            ("data://a/x%2Ay", "data://a/x%2ay", true),
            ("data://a/xzy", "data://a/x%2ay", false),
            ("data://a/b", "*", true),
            ("data://a/b", "data*b", true),
            ("data://a/b", "data*c", false),
            ("data://a/b", "*a//a/b", false),
            ("", "*", true),
            ("", "", true),
        ] {
            assert_eq!(Uri::new(uri).matches(pattern), expected, "{uri} {pattern}");
        }
        for (uri, template, expected) in [
            ("data://tables/elements/ro%77s/1", "data://tables/{table}/rows/{row}", true),
            ("data://TABLES/x/rows/1", "data://tables/{table}/rows/{row}", true),
            ("data://tables/x/ROWS/1", "data://tables/{table}/rows/{row}", false),
            ("data://a/%7Bx%7D", "data://a/{x}", true),
            ("data://a/%7Bx%7D", "data://b/{x}", false),
        ] {
            assert_eq!(Uri::new(uri).fills(template), expected, "{uri} {template}");
        }
    }

    #[test]
    fn what_hides_where_it_leads_is_not_plain() {
        for uri in ["data://a/b", "data://a/b..c/...", "data://a/.b/?q=..", "file:///a//b", "urn:x", "data://a/%252F"] {
            assert!(Uri::new(uri).is_plain(), "{uri}");
        }
        for uri in [
            "data://a/../b",
            "data://a/..",
            "data://a/./b",
            "data://a/%2e%2E/b",
            "data://a/.%2e?x",
            "data://../b",
            "file:../b",
            "data://a/b%2fc",
            "data://a%2fb",
            "data://a/b%5Cc",
            r"data://a/b\..\c",
        ] {
            assert!(!Uri::new(uri).is_plain(), "{uri}");
        }
    }

    /// The same URI, some of its characters escaped or, in scheme and authority, of the other case.
    fn respelled(uri: &str, choices: &[u8]) -> String {
        // A scheme of one letter, and an authority where `//` follows.
        let end_of_authority = || uri[4..].find(['/', '?']).map_or(uri.len(), |at| 4 + at);
        let place = if uri[2..].starts_with("//") { end_of_authority() } else { 2 };
        let mut spelled = String::new();
        for ((at, c), choice) in uri.char_indices().zip(choices.iter().cycle()) {
            let swapped = if c.is_ascii_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            let c = if choice & 4 != 0 && at < place { swapped } else { c };
            match choice & 3 {
                0 | 1 if !matches!(c, '/' | '?') => {
                    let mut bytes = [0; 4];
                    for byte in c.encode_utf8(&mut bytes).bytes() {
                        let escape = if choice & 1 == 0 { format!("%{byte:02x}") } else { format!("%{byte:02X}") };
                        spelled.push_str(&escape);
                    }
                }
                _ => spelled.push(c),
            }
        }
        spelled
    }

    proptest! {
        #[test]
        fn every_spelling_gets_the_same_verdict(
            uri in "[Aa]:(//[abB]{0,2})?[/?abB.,ä*]{0,6}",
            pattern in "([Aa]:)?(//)?([/abB.,ä*]|%6[12]|%2[cCaA]){0,6}",
            template in "a:(//[ab]{0,2})?[/abB.]{0,3}\\{x\\}[/ab]{0,2}",
            choices in proptest::collection::vec(any::<u8>(), 1..8),
        ) {
            let other = respelled(&uri, &choices);
            let (one, other) = (Uri::new(&uri), Uri::new(&other));
            prop_assert_eq!(&one, &other);
            prop_assert_eq!(one.matches(&pattern), other.matches(&pattern));
            prop_assert_eq!(one.fills(&template), other.fills(&template));
            prop_assert_eq!(one.is_plain(), other.is_plain());
        }

        #[test]
        fn a_uri_in_its_form_is_matched_as_any_name_is(
            uri in "a%3A//b[/ab]{0,6}", pattern in "(a%3A//)?[/ab*]{0,6}", template in "a%3A//[/ab]{0,3}\\{x\\}[/ab]{0,2}",
        ) {
            prop_assert_eq!(Uri::new(&uri).matches(&pattern), matches(&pattern, &uri));
            prop_assert_eq!(Uri::new(&uri).fills(&template), fills(&template, &uri));
        }
    }
}
