//! How names of tools and prompts are exposed, and how patterns match them. URIs of resources have rules of
//! their own, in [`crate::uri_prefix`].
//!
//! Model interfaces take `[A-Za-z0-9_-]`, often at most 64 characters: what does not fit keeps its head and gets a
//! digest, so that it stays one name for one tool and the same in every build.

use crate::digest;
use crate::topology::Names;

/// The longest name that many clients take.
pub(crate) const LENGTH_MAX: usize = 64;
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
    match names {
        Names::None => own.to_owned(),
        Names::Prefixed(prefixed) => fit(prefix(names, backend) + own, prefixed.max_length),
    }
}

/// A name as clients take it: as it is, or else shortened.
#[must_use]
pub fn fit(name: String, length_max: usize) -> String {
    if is_exposable(&name, length_max) { name } else { shortened(&name, length_max) }
}

/// Whether clients take a name as it is.
#[must_use]
pub fn is_exposable(name: &str, length_max: usize) -> bool {
    (1..=length_max).contains(&name.len()) && name.chars().all(is_exposable_char)
}

/// Whether `pattern` matches the whole of `name`: `*` stands for any run of characters, also none. The time it takes
/// grows with the length of both together.
#[must_use]
pub fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, inner)) = pattern.split_once('*') else { return pattern == name };
    // What the head and the tail take is taken; of the rest every piece may take the first place where it stands, since
    // that leaves most to the next.
    let (inner, tail) = inner.rsplit_once('*').unwrap_or(("", inner));
    let rest = name.strip_prefix(head).and_then(|rest| rest.strip_suffix(tail));
    let mut pieces = inner.split('*');
    rest.is_some_and(|rest| pieces.try_fold(rest, |rest, piece| rest.split_once(piece).map(|found| found.1)).is_some())
}

/// A name that both patterns match; `None` when there is none.
#[must_use]
pub(crate) fn common(one: &str, other: &str) -> Option<String> {
    let (Some((head, inner)), Some((other_head, other_inner))) = (one.split_once('*'), other.split_once('*')) else {
        let (exact, pattern) = if one.contains('*') { (other, one) } else { (one, other) };
        return matches(pattern, exact).then(|| exact.to_owned());
    };
    let (inner, tail) = inner.rsplit_once('*').unwrap_or(("", inner));
    let (other_inner, other_tail) = other_inner.rsplit_once('*').unwrap_or(("", other_inner));
    let head = longer(head, other_head, |long, short| long.starts_with(short))?;
    let tail = longer(tail, other_tail, |long, short| long.ends_with(short))?;
    // Both have a star behind the head: it takes what the other one's pieces need.
    let pieces = [inner, other_inner].concat().replace('*', "");
    // People expect the shortest: head and tail may share characters where nothing stands between them.
    let shared = |length: &usize| {
        *length == 0 || (pieces.is_empty() && tail.is_char_boundary(*length) && head.ends_with(&tail[..*length]))
    };
    let mut names = (0..=head.len().min(tail.len()))
        .rev()
        .filter(shared)
        .map(|length| [head, pieces.as_str(), &tail[length..]].concat());
    names.find(|name| matches(one, name) && matches(other, name))
}

/// The longer of two texts, when `holds` of it and the shorter one.
fn longer<'t>(one: &'t str, other: &'t str, holds: fn(&str, &str) -> bool) -> Option<&'t str> {
    let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
    holds(long, short).then_some(long)
}

/// Whether a URI can come of a template (RFC 6570): it has the template's literal parts in order, and something in the
/// place of every expression; nothing may be in the place of one with an operator that brings its own first character,
/// such as `{?page}`, which is often left out. By the letter each may expand to nothing, when its variables are
/// undefined; of `{id}` and `{+path}` that is not taken, so that a template leaves the URI it begins with to others.
/// Which values the expressions take is the backend's to judge.
#[must_use]
pub fn fills(template: &str, uri: &str) -> bool {
    let mut parts = template.split('{');
    let Some(mut rest) = uri.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        let Some((expression, literal)) = part.split_once('}') else { return false };
        let chars_min = usize::from(!expression.starts_with(['?', '&', ';', '.', '/', '#']));
        let after_expression = match parts.peek() {
            None => rest.strip_suffix(literal).filter(|value| value.len() >= chars_min).map(|_| ""),
            Some(_) => {
                let mut ends = rest.char_indices().map(|(at, _)| at).chain([rest.len()]).skip(chars_min);
                ends.find_map(|at| rest[at..].strip_prefix(literal))
            }
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
        let (half, whole) = ("a".repeat(200_000), "a".repeat(400_000));
        assert!(!matches(&format!("*{half}b*"), &whole), "a piece that nearly stands everywhere");
    }

    #[test]
    fn two_patterns_overlap_where_a_name_matches_both() {
        let table = [
            ("a*", "b*", None),
            ("*a", "*b", None),
            ("a*", "*b", Some("ab")),
            ("math__*", "*__search", Some("math__search")),
            ("a*b", "*c*", Some("acb")),
            ("*a*", "*b*", Some("ab")),
            ("ab*", "a*c", Some("abc")),
            ("a*", "ab", Some("ab")),
            ("ac", "ab", None),
            ("é*", "*é", Some("é")),
            ("aba*", "*ba", Some("aba")),
            ("a*a", "*a*a", Some("aaa")),
        ];
        for (one, other, expected) in table {
            assert_eq!(common(one, other).as_deref(), expected, "{one} {other}");
            assert_eq!(common(other, one).is_some(), expected.is_some(), "{other} {one}");
        }
    }

    /// The same decided by trying every pair of positions.
    fn matches_naively(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', rest @ ..] => (0..=name.len()).any(|taken| matches_naively(rest, &name[taken..])),
            [first, rest @ ..] => name.first() == Some(first) && matches_naively(rest, &name[1..]),
        }
    }

    fn overlap_naively(one: &[char], other: &[char]) -> bool {
        match (one, other) {
            ([], []) => true,
            (['*', rest @ ..], _) if overlap_naively(rest, other) => true,
            (_, ['*', rest @ ..]) if overlap_naively(one, rest) => true,
            (['*', ..], [_, rest @ ..]) if other[0] != '*' => overlap_naively(one, rest),
            ([_, rest @ ..], ['*', ..]) if one[0] != '*' => overlap_naively(rest, other),
            ([a, one @ ..], [b, other @ ..]) if a == b => overlap_naively(one, other),
            _ => false,
        }
    }

    proptest::proptest! {
        #[test]
        fn matching_and_overlapping_are_exact(one in "[ab*]{0,6}", other in "[ab*]{0,6}", name in "[ab]{0,6}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            proptest::prop_assert_eq!(matches(&one, &name), matches_naively(&chars(&one), &chars(&name)));
            let found = common(&one, &other);
            proptest::prop_assert_eq!(found.is_some(), overlap_naively(&chars(&one), &chars(&other)));
            proptest::prop_assert!(found.is_none_or(|name| matches(&one, &name) && matches(&other, &name)));
        }
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
            ("data://x{?page}", "data://x", true),
            ("data://x{?page}", "data://x?page=2", true),
            ("data://x{?page}", "data://", false),
            ("data://{id}{?page}", "data://7", true),
            ("data://{id}{?page}", "data://", false),
            ("data://{id}{/part}{#at}", "data://7", true),
            ("data://{id}{.kind}/raw", "data://7/raw", true),
            ("data://{id}{;a}/x{&b}", "data://7/x", true),
            ("file://{+path}", "file://", false),
            ("file://{+path}", "file:///a/b", true),
            ("data://größe{?page}{&more}", "data://größe", true),
        ] {
            assert_eq!(fills(template, uri), expected, "{template} {uri}");
        }
    }
}
