//! Values that a child was given and that nobody else may read: taken out of what it writes before that is shown.

/// Shorter values are no secrets: hiding them would only garble what stands around them.
const BYTES_MIN: usize = 4;
/// What stands in place of each.
const MASK: &[u8] = b"***";

/// The values to hide, longest first: one may be part of another.
#[derive(Clone, Debug, Default)]
pub(in crate::upstream) struct Secrets(Vec<Box<[u8]>>);

impl Secrets {
    /// Hides this value from now on; of one with several lines each.
    pub(super) fn add(&mut self, value: &str) {
        let lines = value.lines().map(str::trim).filter(|line| line.len() >= BYTES_MIN);
        self.0.extend(lines.map(|line| line.as_bytes().into()));
        self.0.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    }

    /// The beginning of a text, of about `bytes_max`, without them. One that begins within is hidden whole.
    pub(in crate::upstream) fn hide(&self, text: &[u8], bytes_max: usize) -> Vec<u8> {
        let mut shown = Vec::with_capacity(text.len().min(bytes_max));
        let mut at = 0;
        while at < text.len().min(bytes_max) {
            match self.0.iter().find(|secret| text[at..].starts_with(secret)) {
                Some(secret) => {
                    shown.extend_from_slice(MASK);
                    at += secret.len();
                }
                None => {
                    shown.push(text[at]);
                    at += 1;
                }
            }
        }
        shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_hidden_wherever_they_stand() {
        let mut secrets = Secrets::default();
        ["hunter22", "on", "hunter22-long", "first line\nx\nthird line"].iter().for_each(|value| secrets.add(value));
        for (text, expected) in [
            ("token hunter22 is wrong", "token *** is wrong"),
            ("hunter22-long,hunter22", "***,***"),
            ("on and on", "on and on"),
            ("x: third line", "x: ***"),
        ] {
            assert_eq!(secrets.hide(text.as_bytes(), 1000), expected.as_bytes(), "{text}");
        }
        assert_eq!(secrets.hide(b"123 hunter22 and more", 6), b"123 ***");
    }
}
