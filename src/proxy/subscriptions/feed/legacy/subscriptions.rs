//! The resources of one session: each is subscribed to once, however many want it, and unsubscribed when nobody does.
//! Nothing here is sent.

use std::collections::{BTreeMap, BTreeSet};

use crate::upstream::Subscription;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    wanted: BTreeSet<Box<str>>,
    resources: BTreeMap<Box<str>, State>,
}

/// How it stands with a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// To be subscribed to.
    Due,
    Asking,
    Taken,
    Refused,
    /// What became of the subscription is not known.
    Unknown,
    /// To be unsubscribed.
    Leaving,
    Unasking,
}

/// What a request came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Taken,
    Refused,
    /// No answer came.
    Unknown,
}

// === impl Subscriptions ===

impl Subscriptions {
    /// From now on these are wanted.
    pub(super) fn want(&mut self, wanted: BTreeSet<Box<str>>) {
        for uri in &wanted {
            let state = self.resources.entry(uri.clone()).or_insert(State::Due);
            // Nobody was told that it is to end.
            if *state == State::Leaving {
                *state = State::Taken;
            }
        }
        self.resources.retain(|uri, state| {
            let kept = wanted.contains(uri);
            if !kept && matches!(state, State::Taken | State::Unknown) {
                *state = State::Leaving;
            }
            kept || !matches!(state, State::Due | State::Refused)
        });
        self.wanted = wanted;
    }

    /// The next request to make, which is under way from now on.
    pub(super) fn begin(&mut self) -> Option<(Box<str>, Subscription)> {
        let due = |state: &State| matches!(state, State::Due | State::Leaving);
        let (uri, state) = self.resources.iter_mut().find(|(_, state)| due(state))?;
        let subscription = if *state == State::Due { Subscription::Begin } else { Subscription::End };
        *state = if *state == State::Due { State::Asking } else { State::Unasking };
        Some((uri.clone(), subscription))
    }

    /// The request that was under way for this one came to something; whether the backend tells of it from now on, and
    /// somebody wants that.
    pub(super) fn answered(&mut self, uri: &str, outcome: Outcome) -> bool {
        let Some(state) = self.resources.get_mut(uri) else { return false };
        let next = match (*state, outcome, self.wanted.contains(uri)) {
            (State::Asking, Outcome::Taken, true) => Some(State::Taken),
            (State::Asking, Outcome::Refused, true) => Some(State::Refused),
            (State::Asking, Outcome::Unknown, true) => Some(State::Unknown),
            (State::Asking, Outcome::Taken | Outcome::Unknown, false) => Some(State::Leaving),
            // Whatever it says, it was told: who wants it again asks again.
            (State::Unasking, _, true) => Some(State::Due),
            (State::Asking | State::Unasking, _, false) => None,
            (state, ..) => Some(state),
        };
        match next {
            Some(next) => *state = next,
            None => drop(self.resources.remove(uri)),
        }
        next == Some(State::Taken)
    }

    /// Those that the backend tells of.
    pub(super) fn taken(&self) -> BTreeSet<Box<str>> {
        let taken = self.resources.iter().filter(|(_, state)| **state == State::Taken);
        taken.map(|(uri, _)| uri.clone()).collect()
    }

    /// Whether of all that is wanted it is known whether the backend tells of it.
    pub(super) fn are_settled(&self) -> bool {
        self.resources.values().all(|state| matches!(state, State::Taken | State::Refused | State::Unknown))
    }

    /// Whether nothing is left to be unsubscribed, and nothing wanted.
    pub(super) fn is_empty(&self) -> bool {
        self.resources.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(uris: &[&str]) -> BTreeSet<Box<str>> {
        uris.iter().map(|uri| (*uri).into()).collect()
    }

    fn begun(subscriptions: &mut Subscriptions) -> Vec<(Subscription, String)> {
        std::iter::from_fn(|| subscriptions.begin()).map(|(uri, subscription)| (subscription, uri.into())).collect()
    }

    #[test]
    fn a_resource_is_subscribed_to_once_and_unsubscribed_when_nobody_wants_it() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(of(&["a", "b"]));
        assert_eq!(begun(&mut subscriptions), [(Subscription::Begin, "a".into()), (Subscription::Begin, "b".into())]);
        assert!(subscriptions.answered("a", Outcome::Taken) && !subscriptions.are_settled());
        assert!(!subscriptions.answered("b", Outcome::Refused) && subscriptions.are_settled());
        assert_eq!(subscriptions.taken(), of(&["a"]));
        subscriptions.want(of(&["a"]));
        subscriptions.want(of(&["a", "b"]));
        // Who had been refused and comes again is asked for again, and nobody else.
        assert_eq!(begun(&mut subscriptions), [(Subscription::Begin, "b".into())]);
        assert!(subscriptions.answered("b", Outcome::Taken));
        subscriptions.want(of(&[]));
        assert_eq!(begun(&mut subscriptions), [(Subscription::End, "a".into()), (Subscription::End, "b".into())]);
        assert!(subscriptions.taken().is_empty() && !subscriptions.is_empty());
        assert!(!subscriptions.answered("a", Outcome::Taken) && !subscriptions.answered("b", Outcome::Unknown));
        assert!(subscriptions.is_empty() && subscriptions.are_settled());
    }

    #[test]
    fn requests_for_one_resource_follow_one_another() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(of(&["a"]));
        assert_eq!(begun(&mut subscriptions).len(), 1);
        // Nobody wants it before it is answered.
        subscriptions.want(of(&[]));
        assert!(begun(&mut subscriptions).is_empty() && !subscriptions.is_empty());
        assert!(!subscriptions.answered("a", Outcome::Taken));
        assert_eq!(begun(&mut subscriptions), [(Subscription::End, "a".into())]);
        subscriptions.want(of(&["a"]));
        assert!(begun(&mut subscriptions).is_empty() && !subscriptions.are_settled());
        assert!(!subscriptions.answered("a", Outcome::Taken));
        assert_eq!(begun(&mut subscriptions), [(Subscription::Begin, "a".into())]);
        assert!(!subscriptions.answered("a", Outcome::Unknown) && subscriptions.are_settled());
        // It may have been taken.
        subscriptions.want(of(&[]));
        assert_eq!(begun(&mut subscriptions), [(Subscription::End, "a".into())]);
    }

    #[test]
    fn who_comes_back_before_the_backend_is_told_finds_all_as_it_was() {
        let mut subscriptions = Subscriptions::default();
        subscriptions.want(of(&["a"]));
        assert_eq!(begun(&mut subscriptions).len(), 1);
        assert!(subscriptions.answered("a", Outcome::Taken));
        subscriptions.want(of(&[]));
        subscriptions.want(of(&["a"]));
        assert!(begun(&mut subscriptions).is_empty());
        assert_eq!(subscriptions.taken(), of(&["a"]));
    }
}
