//! Telling a secret from a setting: by the prefixes that issuers give them, by the name of the variable, or by looking
//! random. A guess: what it misses is not refused, and what it takes for one can be written as `env:` or `file:`. Also what
//! a token may be made of.

/// What issued tokens begin with, and with how many characters at least.
const PREFIXES: [(&str, usize); 26] = [
    ("sk-", 20),
    ("sk_live_", 16),
    ("sk_test_", 16),
    ("rk_live_", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("ghu_", 20),
    ("ghs_", 20),
    ("ghr_", 20),
    ("github_pat_", 20),
    ("glpat-", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("xapp-", 16),
    ("AKIA", 20),
    ("ASIA", 20),
    ("AIza", 30),
    ("ya29.", 20),
    ("eyJ", 30),
    ("hf_", 20),
    ("npm_", 20),
    ("pypi-", 20),
    ("ntn_", 20),
    ("tvly-", 16),
    ("Bearer ", 16),
    ("-----BEGIN ", 20),
];
/// Names of variables that hold secrets end like this.
const NAMES: [&str; 8] = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "ACCESS_KEY", "PRIVATE_KEY"];
/// Shorter texts are not judged by how random they look.
const RANDOM_BYTES_MIN: usize = 24;
/// Bits per character from which letters and digits look random: words and paths stay below 4.
const RANDOM_BITS: f64 = 4.0;
/// Hexadecimal digits carry at most four bits.
const RANDOM_HEX_BITS: f64 = 3.0;

/// Whether a text is a bearer token that clients can show.
///
/// # Errors
/// What is wrong with it.
pub fn check_token(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(())
    } else {
        Err("it holds blanks or characters beyond ASCII")
    }
}

/// Why a value looks like a secret, if it does.
pub(crate) fn suspect(value: &str) -> Option<&'static str> {
    if PREFIXES.iter().any(|(prefix, length)| value.starts_with(prefix) && value.len() >= *length) {
        return Some("it begins like an issued token");
    }
    looks_random(value).then_some("it looks random")
}

/// Why a variable's value looks like a secret, if it does.
pub(crate) fn suspect_variable(name: &str, value: &str) -> Option<&'static str> {
    let name = name.to_ascii_uppercase();
    let named = NAMES.iter().any(|ending| name.ends_with(ending));
    // A path or nothing at all under such a name is a setting.
    if named && !value.is_empty() && !value.starts_with(['/', '.', '~']) {
        return Some("its variable is named like one");
    }
    suspect(value)
}

fn looks_random(value: &str) -> bool {
    let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=' | b'_' | b'-');
    let has = |class: fn(&u8) -> bool| value.as_bytes().iter().any(class);
    if value.len() < RANDOM_BYTES_MIN || !value.bytes().all(alphabet) || !has(u8::is_ascii_digit) {
        return false;
    }
    let hex = value.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase) && !value.starts_with('/');
    (hex && bits(value) >= RANDOM_HEX_BITS) || (mixed && bits(value) >= RANDOM_BITS)
}

/// The entropy of the characters of a text, in bits per character.
fn bits(text: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in text.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let total: u32 = counts.iter().sum();
    let share = |count: &u32| f64::from(*count) / f64::from(total);
    counts.iter().filter(|count| **count > 0).map(share).map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issued_tokens_and_random_texts_are_suspect() {
        for value in [
            "sk-proj-4f9aXk2mPq8sVt3wYz61",
            "ghp_0123456789abcdefghijABCDEFGHIJ012345",
            "AKIAIOSFODNN7EXAMPLE",
            "9f86d081884c7d659a2feaa0c55ad015",
            "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
            "-----BEGIN PRIVATE KEY-----",
        ] {
            assert!(suspect(value).is_some(), "{value}");
        }
    }

    #[test]
    fn settings_are_not() {
        for value in [
            "",
            "info",
            "/var/lib/memory/data.json",
            "/Users/Someone/Projects2/Some-Thing/Data",
            "https://mcp.example.com/v1/endpoint",
            "@modelcontextprotocol/server-filesystem@2026.8.31",
            "2026-11-21T10:13:25Z",
            "sk-learn",
            "00000000000000000000000000000000",
            "my-very-long-but-readable-setting-name-42",
            "123e4567-e89b-12d3-a456-426614174000",
        ] {
            assert_eq!(suspect(value), None, "{value}");
        }
    }

    #[test]
    fn a_variable_named_like_a_secret_is_suspect_unless_it_holds_a_path() {
        assert!(suspect_variable("WEATHER_API_KEY", "hunter2").is_some());
        assert!(suspect_variable("db_password", "x").is_some());
        assert_eq!(suspect_variable("SSH_PRIVATE_KEY", "/run/secrets/key"), None);
        assert_eq!(suspect_variable("GITHUB_TOKEN", ""), None);
        assert_eq!(suspect_variable("TOKEN_LIMIT", "4096"), None);
    }
}
