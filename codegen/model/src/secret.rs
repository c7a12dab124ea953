//! Telling a secret from a setting: by the prefixes that issuers give them, by the name of the variable or option, by
//! where it stands in a URL, or by looking random. A guess: what it misses is not refused, and what it takes for one can
//! be written as `env:` or `file:`.
//!
//! Also what a token may be made of. What is done about a secret is not decided here.

/// What issued tokens begin with, and with how many characters at least.
const PREFIXES: [(&str, usize); 25] = [
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
    ("-----BEGIN ", 20),
];
/// Names of variables that hold secrets end like this.
const NAMES: [&str; 10] = [
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "API_KEY",
    "APIKEY",
    "ACCESS_KEY",
    "PRIVATE_KEY",
    "SECRET_KEY",
    "AUTHORIZATION",
];
/// As [`NAMES`], of variables that may as well count something: under these a number is a setting.
const TOKENS: [&str; 1] = ["TOKEN"];
/// The last word of names of variables that hold secrets, too short to be looked for within a word.
const LAST_WORDS: [&str; 3] = ["PAT", "PASS", "PWD"];
/// What switches something, whatever it is called.
const SWITCHES: [&str; 12] =
    ["true", "false", "yes", "no", "on", "off", "none", "null", "auto", "default", "required", "optional"];
/// How an `Authorization` header begins, before the secret.
const SCHEMES: [&str; 3] = ["Bearer ", "Basic ", "Token "];
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
    let bearer = value.strip_prefix("Bearer ").filter(|token| token.len() >= 9 && !is_placeholder(token));
    if bearer.is_some() || is_issued(value) {
        return Some("it begins like an issued token");
    }
    suspect_url(value).or_else(|| looks_random(value).then_some("it looks random"))
}

/// Why a variable's value looks like a secret, if it does.
pub(crate) fn suspect_variable(name: &str, value: &str) -> Option<&'static str> {
    if is_named(name) && !is_setting(name, value) {
        return Some("its name is that of a secret");
    }
    suspect(value)
}

/// Why an argument looks like a secret, if it does, given the one before it.
pub(crate) fn suspect_argument(before: Option<&str>, argument: &str) -> Option<&'static str> {
    let option = before.filter(|before| before.starts_with('-') && !argument.starts_with('-'));
    let (name, value) = assigned(argument).unwrap_or((option.unwrap_or_default(), argument));
    let scheme = SCHEMES.iter().find_map(|scheme| value.strip_prefix(scheme));
    let bare = scheme.unwrap_or(value);
    let placeholder = is_placeholder(bare) || bare.starts_with("env:") || bare.starts_with("file:");
    if is_named(name) && !is_setting(name, value) && !placeholder {
        return Some("what stands before it names one");
    }
    suspect(value)
}

/// Why a URL holds a secret, if it does: a password before its host, or a secret in its query.
pub(crate) fn suspect_url(url: &str) -> Option<&'static str> {
    let (_, query) = url.split_once("://").map(|(_, rest)| rest.split_once('?').unwrap_or((rest, "")))?;
    let password = user_info(url).map(|user| user.split_once(':').map_or(user, |(_, password)| password));
    let named = user_info(url).is_some_and(|user| user.contains(':'));
    if password
        .is_some_and(|password| !is_placeholder(password) && (is_issued(password) || (named && !password.is_empty())))
    {
        return Some("a password stands before the host");
    }
    let secret = |pair: &str| suspect_argument(None, pair).is_some();
    query.split(['&', '#']).any(secret).then_some("a secret stands in the query")
}

/// Whether a secret stands somewhere in a text, or a user in a URL: nothing to show in a message.
pub(crate) fn is_confidential(text: &str) -> bool {
    let words = || text.split(|c: char| c.is_whitespace() || "\"'`,".contains(c));
    suspect_argument(None, text).is_some()
        || words().any(|word| user_info(word).is_some() || suspect_argument(None, word).is_some())
}

/// The user and password of a URL, as far as there are any.
fn user_info(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    authority.rsplit_once('@').map(|(user, _)| user)
}

/// The name and the value of `--name=VALUE`, `NAME=VALUE` and `Name: VALUE`.
fn assigned(argument: &str) -> Option<(&str, &str)> {
    let (name, value) = argument.split_at_checked(argument.find(['=', ':'])?)?;
    let word = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    (word && !name.is_empty() && !value.starts_with("://")).then(|| (name, value[1..].trim_start()))
}

/// Whether a variable, an option or a header is named like one that holds a secret.
fn is_named(name: &str) -> bool {
    let name = name.trim_start_matches('-').to_ascii_uppercase().replace('-', "_");
    NAMES.iter().chain(&TOKENS).any(|ending| name.ends_with(ending))
        || LAST_WORDS.iter().any(|word| name.rsplit('_').next() == Some(word))
}

/// Whether a value under the name of a secret is none: nothing, a path, a switch, or a number where it counts something.
fn is_setting(name: &str, value: &str) -> bool {
    /// Longer numbers count nothing.
    const DIGITS_MAX: usize = 9;
    let counts = TOKENS.iter().any(|ending| name.to_ascii_uppercase().ends_with(ending));
    let number = value.len() <= DIGITS_MAX && value.bytes().all(|byte| byte.is_ascii_digit());
    value.is_empty()
        || value.starts_with(['/', '.', '~'])
        || SWITCHES.iter().any(|switch| value.eq_ignore_ascii_case(switch))
        || (counts && number)
}

/// Whether a value stands for another that is filled in later, such as `${TOKEN}` or `<token>`.
fn is_placeholder(value: &str) -> bool {
    value.starts_with(['$', '<', '{', '%'])
}

fn is_issued(value: &str) -> bool {
    PREFIXES.iter().any(|(prefix, length)| value.starts_with(prefix) && value.len() >= *length)
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
    fn a_variable_named_like_a_secret_is_suspect_unless_it_holds_a_setting() {
        for (name, value) in [
            ("WEATHER_API_KEY", "hunter2"),
            ("db_password", "x"),
            ("API_KEY", "12345678"),
            ("GH_PAT", "abc"),
            ("PASSPHRASE", "abc"),
            ("MYSQL_PASS", "root"),
            ("BOT_TOKEN", "123456789012"),
            ("DATABASE_URL", "postgres://u:pw@h/db"),
            ("HEADER", "Bearer abcdefghijklmnop"),
        ] {
            assert!(suspect_variable(name, value).is_some(), "{name}={value}");
        }
        for (name, value) in [
            ("SSH_PRIVATE_KEY", "/run/secrets/key"),
            ("GITHUB_TOKEN", ""),
            ("TOKEN_LIMIT", "4096"),
            ("MAX_TOKEN", "4096"),
            ("USE_TOKEN", "true"),
            ("REQUIRE_PASSWORD", "False"),
            ("PATH", "/bin"),
            ("COMPAT", "1"),
            ("DATABASE_URL", "postgresql://localhost:5432/mydb"),
            ("REDIS_URL", "redis://cache@localhost:6379"),
            ("AUTH_HEADER", "Bearer ${AUTH_TOKEN}"),
            ("MEMORY_FILE_PATH", "/data/memory.json"),
            ("SLACK_TEAM_ID", "T01234567"),
            ("SLACK_CHANNEL_IDS", "C01234567, C76543210"),
            ("AWS_REGION", "eu-central-1"),
            ("KEYCLOAK_REALM", "master"),
        ] {
            assert_eq!(suspect_variable(name, value), None, "{name}={value}");
        }
    }

    #[test]
    fn arguments_are_suspect_for_what_stands_before_them() {
        for (before, argument) in [
            ("--token", "hunter2"),
            ("", "--password=abc"),
            ("-e", "API_KEY=abc"),
            ("-H", "Authorization: Bearer abcdefghij0123456789"),
            ("--header", "Authorization:Basic dXNlcjpwdw=="),
            ("--header", "X-Api-Key: abc"),
            ("", "--access-token=sntryu_abc"),
            ("", "postgresql://user:password@host/db"),
            ("", "https://ghp_0123456789abcdefghijABCDEFGHIJ012345@github.com/a/b"),
            ("", "https://mcp.example.com/mcp/?exampleApiKey=abc"),
        ] {
            assert!(suspect_argument(Some(before), argument).is_some(), "{before} {argument}");
        }
        for (before, argument) in [
            ("-y", "@modelcontextprotocol/server-filesystem"),
            ("-y", "mcp-remote@0.1.29"),
            ("--header", "Authorization: Bearer ${AUTH_TOKEN}"),
            ("--header", "Authorization:${AUTH_HEADER}"),
            ("--token", "--verbose"),
            ("--password", "env:NOT_READ_HERE"),
            ("", "--token=<your token>"),
            ("-e", "GITHUB_PERSONAL_ACCESS_TOKEN"),
            ("--max-tokens", "4096"),
            ("--max-token", "4096"),
            ("--require-password", "true"),
            ("--private-key", "~/.ssh/id_rsa"),
            ("--from", "git+https://github.com/oraios/serena"),
            ("--from", "git+ssh://git@github.com/a/b"),
            ("", "postgresql://localhost/mydb"),
            ("", "postgresql://${USER}:${PASSWORD}@localhost/mydb"),
            ("", "https://mcp.example.com/sse?version=2&token=${TOKEN}"),
            ("-i", "ghcr.io/github/github-mcp-server"),
            ("--mount", "type=bind,src=/Users/username/Desktop,dst=/projects/Desktop"),
            ("--storage-state", "path/to/storage.json"),
        ] {
            assert_eq!(suspect_argument(Some(before), argument), None, "{before} {argument}");
        }
    }

    #[test]
    fn a_text_is_confidential_wherever_its_secret_stands() {
        for text in [
            "API_KEY=ghp_0123456789abcdefghijABCDEFGHIJ012345 npx",
            "curl -H 'Authorization: Bearer 0123456789abcdefghijABCDEFGHIJ012345'",
            "see https://bob@example.com/mcp",
        ] {
            assert!(is_confidential(text), "{text}");
        }
        for text in ["npx -y server --verbose", "https://example.com/mcp", "memory__*", "me@example.com"] {
            assert!(!is_confidential(text), "{text}");
        }
    }
}
