//! What a server reached by a URL is shown with every request: further fields, and who the gateway is.

use super::reach::Reach;
use crate::check::{Check, Form};
use crate::constant::constant;
use crate::decode::record;
use crate::diagnostic::{Code, quoted};
use crate::plan::{Reference, Table, Text};
use crate::rule::{Keyed, Word};
use crate::secret::suspect_variable;
use crate::transport::Recorded;
use crate::yaml::{Step, steps};

/// Longer values are no fields: servers refuse heads of that size.
const VALUE_BYTES_MAX: usize = 8 << 10;
/// Fields that say how a request is framed, what it holds or how its connection is used: the gateway writes them.
const OWN_FIELDS: [&str; 18] = [
    "accept",
    "accept-encoding",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "keep-alive",
    "last-event-id",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
    "via",
    "forwarded",
];
/// How the names of further such fields begin.
const OWN_PREFIXES: [&str; 4] = ["mcp-", "sec-", "proxy-", "x-forwarded-"];

/// The rule for the names of fields (RFC 9110, section 5.6.2).
pub(super) const HEADERS: Keyed = Keyed {
    name: Word {
        noun: "header",
        code: Code::InvalidValue,
        // The hyphen last and the circumflex not first: so they mean themselves in a regular expression.
        letters: &[
            '!'..='!',
            '#'..='\'',
            '*'..='+',
            '.'..='.',
            '0'..='9',
            'A'..='Z',
            '^'..='z',
            '|'..='|',
            '~'..='~',
            '-'..='-',
        ],
        said: "letters, digits and signs such as `-`",
        digit_first: true,
        chars_max: Some(128),
    },
    empty: None,
    snippet: || None,
};

record! {
    /// Who the gateway is towards a server.
    default struct AuthSettings: "credentials" where one_of_them {
        /// A token, shown as `Authorization: Bearer …`: `env:NAME` or `file:PATH`.
        bearer: Option<Reference> = None,
        /// A user and a password, shown as `Authorization: Basic …`.
        basic: Option<BasicSettings> = None,
    }
}

record! {
    /// A user and a password.
    struct BasicSettings: "a user with a password" {
        /// The user: text, `env:NAME` or `file:PATH`.
        username: Reference,
        /// The password: `env:NAME` or `file:PATH`.
        password: Reference,
    }
}

constant! {
    /// What a server is shown with every request.
    #[derive(Default)]
    pub struct Credentials {
        /// Further fields.
        pub headers: Table<Header>,
        /// Who the gateway is.
        pub auth: Option<Auth>,
    }
}

constant! {
    /// One field of every request.
    pub struct Header {
        /// Its name.
        pub name: Text,
        /// Its value.
        pub value: Reference,
    }
}

constant! {
    /// Who the gateway is towards a server.
    pub enum Auth {
        /// Whoever holds this token.
        Bearer(Reference),
        /// A user with a password.
        Basic(Basic),
    }
}

constant! {
    /// A user with a password.
    pub struct Basic {
        /// The user.
        pub username: Reference,
        /// The password.
        pub password: Reference,
    }
}

/// What else the schema says of credentials: one way of them.
fn one_of_them() -> String {
    r#","minProperties":1,"allOf":[{"maxProperties":1}]"#.to_owned()
}

/// Whether a text is the value of a field: it can be sent in one, and arrives as it is.
///
/// # Errors
/// What is wrong with it.
pub fn check_field_value(text: &str) -> Result<(), &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.len() > VALUE_BYTES_MAX {
        return Err("it is longer than 8192 characters");
    }
    if text.starts_with(' ') || text.ends_with(' ') {
        return Err("it begins or ends with a blank, which is lost on the way");
    }
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~')) {
        Ok(())
    } else {
        Err("it holds line ends, other control characters or characters beyond ASCII")
    }
}

/// Whether a text is a user of HTTP's basic authentication (RFC 7617).
///
/// # Errors
/// What is wrong with it.
pub fn check_username(text: &str) -> Result<(), &'static str> {
    if text.contains(':') {
        return Err("a colon would end it");
    }
    check_password(text)
}

/// Whether a text is a password of HTTP's basic authentication (RFC 7617).
///
/// # Errors
/// What is wrong with it.
pub fn check_password(text: &str) -> Result<(), &'static str> {
    match text {
        "" => Err("it is empty"),
        _ if text.len() > VALUE_BYTES_MAX / 4 => Err("it is longer than 2048 bytes"),
        _ if text.contains(char::is_control) => Err("it holds line ends or other control characters"),
        _ => Ok(()),
    }
}

// === impl Reach ===

impl<'a> Reach<'a> {
    /// What the engine is given.
    pub(super) fn credentials(self) -> Credentials {
        let header = |(name, value): (&str, &Reference)| Header { name: name.to_owned().into(), value: value.clone() };
        Credentials { headers: self.headers.iter().map(header).collect(), auth: planned_auth(self.auth) }
    }

    /// The values of them that may be left to the process.
    pub(super) fn credential_references(self) -> impl Iterator<Item = (Vec<Step<'a>>, &'a Reference, Form)> {
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| (steps!["headers", name].to_vec(), value, Form::FieldValue));
        headers.chain(auth_references("auth", self.auth))
    }
}

/// The values under this key that may be left to the process.
pub(super) fn auth_references<'a>(
    key: &'static str,
    auth: Option<&'a AuthSettings>,
) -> impl Iterator<Item = (Vec<Step<'a>>, &'a Reference, Form)> {
    let bearer = auth.and_then(|auth| auth.bearer.as_ref());
    let bearer = bearer.map(|token| (steps![key, "bearer"].to_vec(), token, Form::Token));
    let basic = auth.and_then(|auth| auth.basic.as_ref()).into_iter().flat_map(|basic| {
        [("username", &basic.username, Form::Username), ("password", &basic.password, Form::Password)]
    });
    bearer.into_iter().chain(basic.map(move |(below, value, form)| (steps![key, "basic", below].to_vec(), value, form)))
}

/// What the engine is given of it.
pub(super) fn planned_auth(auth: Option<&AuthSettings>) -> Option<Auth> {
    match auth? {
        AuthSettings { bearer: Some(token), .. } => Some(Auth::Bearer(token.clone())),
        AuthSettings { basic: Some(BasicSettings { username, password }), .. } => {
            Some(Auth::Basic(Basic { username: username.clone(), password: password.clone() }))
        }
        AuthSettings { .. } => None,
    }
}

// === impl Credentials ===

impl Credentials {
    /// What a lock has of them: they decide what the server shows.
    pub(super) fn recorded(&self) -> impl Iterator<Item = (&'static str, Recorded)> {
        let headers = self.headers.iter().map(|header| (header.name.to_string(), header.value.to_string()));
        let auth = match &self.auth {
            None => Vec::new(),
            Some(Auth::Bearer(token)) => vec![("bearer".to_owned(), token.to_string())],
            Some(Auth::Basic(basic)) => vec![
                ("username".to_owned(), basic.username.to_string()),
                ("password".to_owned(), basic.password.to_string()),
            ],
        };
        let maps = [("headers", headers.collect()), ("auth", auth)];
        maps.into_iter()
            .filter(|(_, entries): &(_, Vec<_>)| !entries.is_empty())
            .map(|(key, entries)| (key, Recorded::Map(entries.into_iter().collect())))
    }

    /// What may be left to the process that starts, each with its name in a sentence.
    pub(super) fn references(&self) -> impl Iterator<Item = (String, &Reference)> {
        let headers = self.headers.iter().map(|header| (format!("header `{}`", header.name), &header.value));
        let auth = self.auth.iter().flat_map(Auth::references);
        headers.chain(auth.map(|(noun, reference)| (noun.to_owned(), reference)))
    }
}

// === impl Auth ===

impl Auth {
    /// What may be left to the process that starts, each with what it is.
    pub(super) fn references(&self) -> Vec<(&'static str, &Reference)> {
        match self {
            Self::Bearer(token) => vec![("token", token)],
            Self::Basic(basic) => vec![("username", &basic.username), ("password", &basic.password)],
        }
    }
}

// === impl Check ===

impl Check<'_> {
    /// Every check of what a backend is shown.
    pub(super) fn credentials(&mut self, name: &str, reach: Reach<'_>) {
        let transport = ["backends", name, "transport", reach.key].map(Step::from);
        self.headers(&transport, reach);
        if let Some(auth) = reach.auth {
            self.auth(&transport, "auth", auth);
        }
    }

    /// Every check of who the gateway is, under this key.
    pub(super) fn auth(&mut self, transport: &[Step<'_>], key: &'static str, auth: &AuthSettings) {
        let ways = usize::from(auth.bearer.is_some()) + usize::from(auth.basic.is_some());
        let path = [transport, steps![key]].concat();
        // One that could not be read is a problem of its own.
        if ways != 1 && self.is_sound(&path) {
            let place = self.document.key(&path);
            self.problems
                .error(Code::InvalidValue, place, format!("{ways} ways of credentials where one belongs"))
                .help(format!(
                    "write `{key}: {{ bearer: env:NAME }}` or `{key}: {{ basic: {{ username: …, password: env:NAME }} }}`"
                ));
        }
        let password = auth.basic.as_ref().map(|basic| &basic.password);
        let secrets: [(_, &[Step<'_>], _); 2] =
            [("token", steps!["bearer"], auth.bearer.as_ref()), ("password", steps!["basic", "password"], password)];
        for (noun, below, secret) in secrets {
            if let Some(Reference::Literal(_)) = secret {
                let place = self.document.value(&[&path[..], below].concat());
                self.problems
                    .error(Code::LiteralSecret, place, format!("{noun} in the topology"))
                    .label(format!("a {noun} is never written into a topology"))
                    .help("write `env:NAME`, or `file:PATH`: the gateway reads it when it starts");
            }
        }
        if let Some(Reference::Literal(user)) = auth.basic.as_ref().map(|basic| &basic.username)
            && let Err(why) = check_username(user)
        {
            let path = [&path[..], steps!["basic", "username"]].concat();
            self.invalid(Code::InvalidValue, &path, "username cannot be sent".to_owned(), why);
        }
    }

    fn headers(&mut self, transport: &[Step<'_>], reach: Reach<'_>) {
        let mut known: Vec<&str> = Vec::new();
        for (name, value) in reach.headers.iter() {
            let path = [transport, steps!["headers", name]].concat();
            let lower = name.to_ascii_lowercase();
            let own = OWN_FIELDS.contains(&&*lower) || OWN_PREFIXES.iter().any(|prefix| lower.starts_with(prefix));
            if own {
                let message = format!("header {} is written by the gateway itself", quoted(name));
                let place = self.document.key(&path);
                self.problems.error(Code::InvalidValue, place, message).label("it would stand there twice");
            } else if lower == "authorization" && reach.auth.is_some() {
                let place = self.document.key(&path);
                let other = self.document.key(&[transport, steps!["auth"]].concat());
                self.problems
                    .error(Code::InvalidValue, place, "two values of `Authorization`")
                    .help("leave one of them out")
                    .also(other, "this makes one as well");
            }
            if let Some(first) = known.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                let other = self.document.key(&[transport, steps!["headers", *first]].concat());
                let message = format!("header {} stands there twice", quoted(name));
                let place = self.document.key(&path);
                self.problems
                    .error(Code::InvalidValue, place, message)
                    .label("case makes no difference")
                    .also(other, "first here");
            }
            known.push(name);
            if let Reference::Literal(value) = value {
                self.literal_header(name, value, &path);
            }
        }
    }

    fn literal_header(&mut self, name: &str, value: &str, path: &[Step<'_>]) {
        let place = self.document.value(path);
        if let Some(why) = suspect_variable(name, value) {
            self.problems
                .error(Code::LiteralSecret, place, format!("secret in header {}", quoted(name)))
                .label(why)
                .help("write `env:NAME`, or `file:PATH`: the gateway reads it when it starts");
        } else if let Err(why) = check_field_value(value) {
            self.problems
                .error(Code::InvalidValue, place, format!("value of header {} cannot be sent", quoted(name)))
                .label(why);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_end_a_field_is_no_value_of_one() {
        for value in ["a", "Bearer x y", "!\"#~", &"x".repeat(VALUE_BYTES_MAX)] {
            assert_eq!(check_field_value(value), Ok(()), "{value}");
        }
        for value in
            ["", " a", "a ", "a\r\nx: y", "a\nb", "a\rb", "a\0", "a\tb", "ä", "a\x7f", &"x".repeat(VALUE_BYTES_MAX + 1)]
        {
            assert!(check_field_value(value).is_err(), "{value:?}");
        }
    }

    #[test]
    fn a_user_has_no_colon_and_neither_user_nor_password_a_control_character() {
        assert_eq!((check_username("jö rg"), check_password("a:b c")), (Ok(()), Ok(())));
        for text in ["", "a\nb", "a\0"] {
            assert!(check_username(text).is_err() && check_password(text).is_err(), "{text:?}");
        }
        assert!(check_username("a:b").is_err());
    }
}
