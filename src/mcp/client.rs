//! What is known of a client of the legacy era beside the message in hand: which session it speaks in, and what it said
//! it can do when that began. How sessions are kept is not here.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

/// What tells one session from every other: 128 random bits. It is never shown to anybody.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionKey([u8; Self::BYTES]);

/// What of its client a server may ask, by the capabilities that the client declared. Servers of the legacy eras list
/// and allow things by them, so that two clients of different profiles share no session with a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile(u8);

// === impl SessionKey ===

impl SessionKey {
    /// How long it is.
    pub const BYTES: usize = 16;

    /// The key with these bits.
    #[must_use]
    pub const fn new(bits: [u8; Self::BYTES]) -> Self {
        Self(bits)
    }

    /// Its bits.
    #[must_use]
    pub const fn bits(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("SessionKey(_)")
    }
}

// === impl Profile ===

impl Profile {
    /// `roots`: it answers `roots/list`.
    pub const ROOTS: Self = Self(1);
    /// `sampling`: it answers `sampling/createMessage`.
    pub const SAMPLING: Self = Self(1 << 1);
    /// `sampling.tools`: the same with tools.
    pub const SAMPLING_TOOLS: Self = Self(1 << 2);
    /// `sampling.context`: the same with context of servers.
    pub const SAMPLING_CONTEXT: Self = Self(1 << 3);
    /// `elicitation.form`, or `elicitation` without members: it answers `elicitation/create` by a form.
    pub const ELICITATION_FORM: Self = Self(1 << 4);
    /// `elicitation.url`: it opens pages.
    pub const ELICITATION_URL: Self = Self(1 << 5);
    /// `tasks`: it runs what it is asked as tasks.
    pub const TASKS: Self = Self(1 << 6);
    /// Whatever a server may ask a client.
    pub const ASKABLE: Self = Self(Self::TASKS.0 - 1);
    /// Nothing: such a client is asked nothing.
    pub const NONE: Self = Self(0);
    /// Everything.
    pub const ALL: Self = Self((1 << 7) - 1);

    /// Its bits.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// What capabilities come to. One that is no object is none.
    #[must_use]
    pub fn declared(capabilities: &Value) -> Self {
        let named = |path: &str| capabilities.pointer(path).is_some_and(Value::is_object);
        let form = named("/elicitation/form") || named("/elicitation") && !named("/elicitation/url");
        let all = [
            (Self::ROOTS, named("/roots")),
            (Self::SAMPLING, named("/sampling")),
            (Self::SAMPLING_TOOLS, named("/sampling/tools")),
            (Self::SAMPLING_CONTEXT, named("/sampling/context")),
            (Self::ELICITATION_FORM, form),
            (Self::ELICITATION_URL, named("/elicitation/url")),
            (Self::TASKS, named("/tasks")),
        ];
        Self(all.into_iter().filter(|(_, declared)| *declared).fold(0, |bits, (capability, _)| bits | capability.0))
    }

    /// The capabilities, as one that has them declares them. Not `tasks`: the gateway runs none for anybody.
    #[must_use]
    pub fn capabilities(self) -> Cow<'static, str> {
        if self == Self::default() {
            return Cow::Borrowed("{}");
        }
        let group = |name: &str, declared: bool, members: [(&str, Self); 2]| {
            let members =
                members.into_iter().filter(|(_, one)| self.has(*one)).map(|(name, _)| format!("\"{name}\":{{}}"));
            declared.then(|| format!("\"{name}\":{{{}}}", members.collect::<Vec<_>>().join(",")))
        };
        let sampling = [("tools", Self::SAMPLING_TOOLS), ("context", Self::SAMPLING_CONTEXT)];
        let elicitation = [("form", Self::ELICITATION_FORM), ("url", Self::ELICITATION_URL)];
        let elicits = elicitation.iter().any(|(_, one)| self.has(*one));
        let all = [
            self.has(Self::ROOTS).then(|| "\"roots\":{}".to_owned()),
            group("sampling", self.has(Self::SAMPLING), sampling),
            group("elicitation", elicits, elicitation),
        ];
        Cow::Owned(format!("{{{}}}", all.into_iter().flatten().collect::<Vec<_>>().join(",")))
    }

    /// Whether everything of another is in it.
    #[must_use]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// What is in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether a server may make this request of such a client.
    #[must_use]
    pub fn answers(self, method: &str) -> bool {
        match method {
            "roots/list" => self.has(Self::ROOTS),
            "sampling/createMessage" => self.has(Self::SAMPLING),
            "elicitation/create" => self.has(Self::ELICITATION_FORM) || self.has(Self::ELICITATION_URL),
            _ => false,
        }
    }
}

impl From<Profile> for u8 {
    fn from(profile: Profile) -> Self {
        profile.0
    }
}

impl TryFrom<u8> for Profile {
    type Error = u8;

    fn try_from(bits: u8) -> Result<Self, u8> {
        if bits <= Self::ALL.0 { Ok(Self(bits)) } else { Err(bits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_what_was_declared_and_nothing_else() {
        let of = |all: &[Profile]| all.iter().fold(0, |bits, one| bits | u8::from(*one));
        for (capabilities, expected) in [
            ("{}", of(&[])),
            ("null", of(&[])),
            (r#"{"roots":{"listChanged":true},"experimental":{"x":{}}}"#, of(&[Profile::ROOTS])),
            (r#"{"sampling":{}}"#, of(&[Profile::SAMPLING])),
            (r#"{"sampling":{"tools":{}}}"#, of(&[Profile::SAMPLING, Profile::SAMPLING_TOOLS])),
            (r#"{"sampling":{"context":{}}}"#, of(&[Profile::SAMPLING, Profile::SAMPLING_CONTEXT])),
            (r#"{"elicitation":{}}"#, of(&[Profile::ELICITATION_FORM])),
            (r#"{"elicitation":{"form":{}}}"#, of(&[Profile::ELICITATION_FORM])),
            (r#"{"elicitation":{"url":{}}}"#, of(&[Profile::ELICITATION_URL])),
            (
                r#"{"elicitation":{"form":{},"url":{}},"tasks":{}}"#,
                of(&[Profile::ELICITATION_FORM, Profile::ELICITATION_URL, Profile::TASKS]),
            ),
            (r#"{"roots":true,"sampling":[],"elicitation":null}"#, of(&[])),
        ] {
            let profile = Profile::declared(&serde_json::from_str(capabilities).expect("JSON"));
            assert_eq!(u8::from(profile), expected, "{capabilities}");
            assert_eq!(Profile::try_from(expected), Ok(profile));
            let declared = serde_json::from_str(&profile.capabilities()).expect("JSON");
            assert_eq!(u8::from(Profile::declared(&declared)), expected & !u8::from(Profile::TASKS), "{capabilities}");
        }
        assert_eq!(Profile::try_from(1 << 7), Err(1 << 7));
        let both = Profile::try_from(3).expect("a profile");
        assert!(both.has(Profile::ROOTS) && !both.has(Profile::TASKS) && !Profile::ROOTS.has(both));
    }

    #[test]
    fn what_a_server_is_told_is_what_the_client_declared_without_tasks() {
        for (declared, told) in [
            ("{}", "{}"),
            (r#"{"tasks":{}}"#, "{}"),
            (r#"{"roots":{"listChanged":true}}"#, r#"{"roots":{}}"#),
            (r#"{"sampling":{"context":{}},"roots":{}}"#, r#"{"roots":{},"sampling":{"context":{}}}"#),
            (r#"{"sampling":{"tools":{},"context":{}}}"#, r#"{"sampling":{"tools":{},"context":{}}}"#),
            (r#"{"elicitation":{}}"#, r#"{"elicitation":{"form":{}}}"#),
            (r#"{"elicitation":{"url":{}}}"#, r#"{"elicitation":{"url":{}}}"#),
            (
                r#"{"sampling":{},"elicitation":{"url":{},"form":{}}}"#,
                r#"{"sampling":{},"elicitation":{"form":{},"url":{}}}"#,
            ),
        ] {
            let profile = Profile::declared(&serde_json::from_str(declared).expect("JSON"));
            assert_eq!(profile.capabilities(), told, "{declared}");
            let again = Profile::declared(&serde_json::from_str(told).expect("JSON"));
            assert_eq!(again.or(profile.and(Profile::TASKS)), profile, "{declared}");
        }
    }

    #[test]
    fn a_server_may_ask_what_was_declared() {
        let methods = ["roots/list", "sampling/createMessage", "elicitation/create", "ping", "tasks/get"];
        for (profile, expected) in [
            (Profile::NONE, [false; 5]),
            (Profile::ROOTS, [true, false, false, false, false]),
            (Profile::SAMPLING, [false, true, false, false, false]),
            (Profile::ELICITATION_FORM, [false, false, true, false, false]),
            (Profile::ELICITATION_URL, [false, false, true, false, false]),
            (Profile::TASKS, [false; 5]),
        ] {
            assert_eq!(methods.map(|method| profile.answers(method)), expected, "{profile:?}");
        }
    }
}
