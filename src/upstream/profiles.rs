//! What a legacy backend is told of the clients on whose behalf it is called, and what a worker keeps for each profile of
//! them: a session, a connection. A modern backend is told with each message.
//!
//! **Invariant:** what one profile of clients has with a legacy backend, no other has, but for that of no capabilities.

use std::borrow::Cow;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
use std::cell::RefCell;
use std::collections::BTreeMap;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
use std::rc::Rc;

use serde_json::value::RawValue;

use super::{Call, plan};
use crate::catalog::Era;
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
use crate::limits;
use crate::mcp::client::Profile;

const SAMPLING: Profile = Profile::SAMPLING.or(Profile::SAMPLING_TOOLS).or(Profile::SAMPLING_CONTEXT);
const ELICITATION: Profile = Profile::ELICITATION_FORM.or(Profile::ELICITATION_URL);

/// What a backend may ask of clients, by its topology.
pub(crate) fn asks(backend: &plan::Backend) -> Profile {
    backend.client_capabilities.iter().fold(Profile::NONE, |asks, capability| {
        asks.or(match capability {
            plan::ClientCapability::Roots => Profile::ROOTS,
            plan::ClientCapability::Sampling => SAMPLING,
            plan::ClientCapability::Elicitation => ELICITATION,
        })
    })
}

/// Whether clients may be asked something by such a backend.
#[cfg(feature = "transport-stdio")]
pub(super) fn may_differ(backend: &plan::Backend) -> bool {
    asks(backend) != Profile::NONE
}

/// What a modern backend is told of the modern client of a call, where that is less than the client says.
pub(super) fn withheld(call: &Call<'_>) -> Option<String> {
    if call.asks == Profile::ASKABLE {
        return None;
    }
    let declared = call.head.meta?.client_capabilities?.span.of(call.source);
    let mut members: BTreeMap<Cow<'_, str>, &RawValue> = serde_json::from_slice(declared).ok()?;
    let groups = [("roots", Profile::ROOTS), ("sampling", SAMPLING), ("elicitation", ELICITATION)];
    for (name, _) in groups.into_iter().filter(|(_, group)| !call.asks.has(*group)) {
        members.remove(name);
    }
    serde_json::to_string(&members).ok()
}

/// What a legacy backend is told of the client of a call, of what it may ask.
pub(super) fn of(call: &Call<'_>) -> Profile {
    if call.asks == Profile::NONE {
        return Profile::NONE;
    }
    call.asks.and(match call.era {
        Era::Legacy => call.profile,
        Era::Modern => with_the_message(call),
    })
}

/// What a modern client says of itself, with each message.
fn with_the_message(call: &Call<'_>) -> Profile {
    let capabilities = call.head.meta.and_then(|meta| meta.client_capabilities);
    match capabilities.map(|capabilities| capabilities.span.of(call.source)) {
        None | Some(b"{}") => Profile::NONE,
        Some(capabilities) => {
            serde_json::from_slice(capabilities).map_or(Profile::NONE, |capabilities| Profile::declared(&capabilities))
        }
    }
}

/// What a worker keeps for each profile with one backend: made when it is first needed, and for as many as
/// [`limits::PROFILES_MAX`] beside that of no capabilities, which then serves all others.
#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
#[derive(Debug)]
pub(super) struct ByProfile<T> {
    none: Rc<T>,
    others: RefCell<Vec<(Profile, Rc<T>)>>,
}

// === impl ByProfile ===

#[cfg(any(feature = "transport-http", feature = "transport-sse", feature = "transport-ws"))]
impl<T> ByProfile<T> {
    /// What there is for no capabilities, and nothing else.
    pub(super) fn new(none: Rc<T>) -> Self {
        Self { none, others: RefCell::default() }
    }

    /// What there is for no capabilities.
    pub(super) fn none(&self) -> &Rc<T> {
        &self.none
    }

    /// What there is for a profile, or else what `make` makes for it.
    pub(super) fn of<E>(&self, profile: Profile, make: impl FnOnce() -> Result<Rc<T>, E>) -> Result<Rc<T>, E> {
        if profile == Profile::NONE {
            return Ok(Rc::clone(&self.none));
        }
        let mut others = self.others.borrow_mut();
        if let Some((_, kept)) = others.iter().find(|(other, _)| *other == profile) {
            return Ok(Rc::clone(kept));
        }
        if others.len() >= limits::PROFILES_MAX {
            return Ok(Rc::clone(&self.none));
        }
        let made = make()?;
        others.push((profile, Rc::clone(&made)));
        Ok(made)
    }

    /// All there is.
    pub(super) fn all(&self) -> Vec<Rc<T>> {
        let others = self.others.borrow();
        std::iter::once(&self.none).chain(others.iter().map(|(_, kept)| kept)).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use super::*;
    use crate::mcp::envelope;

    #[test]
    fn each_profile_has_its_own_up_to_the_bound_and_none_makes_way() {
        let made = Cell::new(0);
        let kept = ByProfile::new(Rc::new(0));
        let of = |bits: u8| {
            let make = || {
                made.set(made.get() + 1);
                Ok::<_, Infallible>(Rc::new(made.get()))
            };
            *kept.of(Profile::try_from(bits).expect("a profile"), make).unwrap_or_else(|never| match never {})
        };
        assert_eq!([0, 1, 2, 1, 2, 0].map(of), [0, 1, 2, 1, 2, 0]);
        let bound = u8::try_from(limits::PROFILES_MAX).expect("few");
        assert_eq!((3..=bound).map(of).last(), Some(bound.into()));
        assert_eq!([bound + 1, bound + 2, bound, 1].map(of), [0, 0, bound.into(), 1]);
        assert_eq!(kept.all().len(), limits::PROFILES_MAX + 1);
    }

    #[test]
    fn a_modern_client_says_with_the_message_what_it_can_do() {
        for (capabilities, expected) in [
            ("{}", Profile::NONE),
            ("{ }", Profile::NONE),
            (r#"{"roots":{}}"#, Profile::ROOTS),
            (r#"{"elicitation":{"url":{}},"tasks":{}}"#, Profile::ELICITATION_URL.or(Profile::TASKS)),
        ] {
            let source = format!(
                r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{{"_meta":{{"io.modelcontextprotocol/clientCapabilities":{capabilities}}}}}}}"#
            );
            let head = envelope::incoming(source.as_bytes()).expect("a message");
            let call = Call::own(source.as_bytes(), &head, "tools/call", Era::Modern);
            assert_eq!(with_the_message(&call), expected, "{capabilities}");
        }
    }
}
