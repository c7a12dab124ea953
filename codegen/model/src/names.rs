//! How names of tools and prompts are exposed, and how patterns match them. Resource URIs are exposed as they are.
//!
//! Model interfaces take `[A-Za-z0-9_-]`, often at most 64 characters: what does not fit keeps its head and gets a
//! digest, so that it stays one name for one tool and the same in every build.

use crate::digest;
use crate::topology::Names;

/// `_` and eight digits of the digest.
const SUFFIX_BYTES: usize = 9;

/// What stands before the own name of a backend's tool.
#[must_use]
pub fn prefix(names: &Names, backend: &str) -> String {
    match names {
        Names::None => String::new(),
        Names::Prefixed(prefixed) => format!("{backend}{}", prefixed.separator),
    }
}

/// The name that clients use for a backend's tool or prompt.
#[must_use]
pub fn expose(names: &Names, backend: &str, own: &str) -> String {
    let name = prefix(names, backend) + own;
    match names {
        Names::None => name,
        Names::Prefixed(prefixed) if is_exposable(&name, prefixed.max_length) => name,
        Names::Prefixed(prefixed) => shortened(&name, prefixed.max_length),
    }
}

/// Whether clients take a name as it is.
#[must_use]
pub fn is_exposable(name: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&name.len()) && name.chars().all(is_exposable_char)
}

/// Whether `pattern` matches the whole of `name`: `*` stands for any run of characters, also none.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n) = (0, 0);
    // Where the last star stood and up to where it has matched: only the last one ever needs to take more.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, n));
            p += 1;
        } else if pattern.get(p) == Some(&name[n]) {
            p += 1;
            n += 1;
        } else if let Some((at, taken)) = star {
            star = Some((at, taken + 1));
            p = at + 1;
            n = taken + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// Whether a URI can come of a template (RFC 6570): it has the template's literal parts in order, and something in the
/// place of every expression. Which values the expressions take is the backend's to judge.
#[must_use]
pub fn fills(template: &str, uri: &str) -> bool {
    let mut parts = template.split('{');
    let Some(mut rest) = uri.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let Some((_expression, literal)) = part.split_once('}') else { return false };
        let after_expression = match parts.peek() {
            None => rest.strip_suffix(literal).filter(|value| !value.is_empty()).map(|_| ""),
            Some(_) => rest.char_indices().skip(1).find_map(|(at, _)| rest[at..].strip_prefix(literal)),
        };
        let Some(after_expression) = after_expression else { return false };
        rest = after_expression;
    }
    rest.is_empty()
}

/// What a template begins with, up to its first expression. The longest is tried first, so that the most specific
/// template goes before those it begins with.
#[must_use]
pub fn literal_part(template: &str) -> &str {
    template.split('{').next().unwrap_or_default()
}

fn shortened(name: &str, length_max: usize) -> String {
    let head = name.chars().map(|c| if is_exposable_char(c) { c } else { '_' });
    let head: String = head.take(length_max.saturating_sub(SUFFIX_BYTES)).collect();
    format!("{head}_{}", &digest::hex(name.as_bytes())[..SUFFIX_BYTES - 1])
}

fn is_exposable_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Prefixed;

    fn exposed(own: &str) -> String {
        expose(&Names::Prefixed(Prefixed { max_length: 20, ..Prefixed::default() }), "math", own)
    }

    #[test]
    fn a_name_that_fits_is_only_prefixed() {
        assert_eq!(exposed("add"), "math__add");
        assert_eq!(exposed("abcdefghijklmn"), "math__abcdefghijklmn");
    }

    #[test]
    fn a_long_or_illegal_name_keeps_its_head_and_gets_a_digest() {
        assert_eq!(exposed("abcdefghijklmno"), "math__abcde_c01e89fd");
        assert_eq!(exposed("a.b"), "math__a_b_eb62c1b0");
        assert_ne!(exposed("a.b"), exposed("a/b"), "names that differ only in what is replaced stay apart");
        assert!(exposed("größe😀größe😀größe").len() == 20);
    }

    #[test]
    fn a_transparent_backend_keeps_its_names() {
        assert_eq!(expose(&Names::None, "math", "a.b/c"), "a.b/c");
    }

    #[test]
    fn a_star_stands_for_any_run_of_characters() {
        let table = [
            ("*", "", true),
            ("*", "anything", true),
            ("a", "a", true),
            ("a", "ab", false),
            ("", "a", false),
            ("a*", "a", true),
            ("a*c", "abbc", true),
            ("a*c", "abcb", false),
            ("*a*b", "aab", true),
            ("*a*b", "aba", false),
            ("data://*", "data://x/y", true),
            ("data://*", "date://x", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn a_pattern_of_many_stars_is_matched_in_bounded_time() {
        let pattern = "a*".repeat(2000) + "b";
        assert!(!matches(&pattern, &"a".repeat(10_000)));
    }

    #[test]
    fn a_template_matches_what_it_can_expand_to() {
        for (template, uri, expected) in [
            ("data://tables/{table}", "data://tables/planets", true),
            ("data://tables/{table}", "data://tables/", false),
            ("data://tables/{table}/rows/{row}", "data://tables/planets/rows/3", true),
            ("data://tables/{table}/rows/{row}", "data://tables/planets", false),
            ("data://tables/{table}/rows", "data://tables/planets/rows", true),
            ("data://tables/{table}/rows", "data://tables/planets/rows/3", false),
            ("test://template/{id}/data", "test://template/123/data", true),
            ("file:///{path}", "http://evil/", false),
            ("plain://x", "plain://x", true),
            ("plain://x", "plain://xy", false),
            ("broken://{x", "broken://y", false),
        ] {
            assert_eq!(fills(template, uri), expected, "{template} {uri}");
        }
    }
}
