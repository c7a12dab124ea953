//! Which of the names that there are was probably meant by one that there is not.

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
