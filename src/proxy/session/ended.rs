//! Which sessions were ended before their time. Only the gateway that was told knows it: another one with the same keys
//! goes on taking their tokens, and so does this one after a restart.

use crate::limits;
use crate::mcp::client::SessionKey;

/// Sessions that are over, until their tokens are worth nothing anyway.
#[derive(Debug, Default)]
pub(super) struct Ended {
    /// By their keys: when their tokens end, in seconds since 1970.
    until: papaya::HashMap<SessionKey, u64>,
}

impl Ended {
    /// Adds one. At the bound, the half whose tokens end first is forgotten.
    pub(super) fn add(&self, session: SessionKey, until: u64) {
        let all = self.until.pin();
        if all.len() >= limits::ENDED_SESSIONS_MAX {
            let mut ends: Vec<u64> = all.values().copied().collect();
            let mut surplus = ends.len() / 2;
            let last = *ends.select_nth_unstable(surplus.saturating_sub(1)).1;
            // Of those that end in the same second, as many as it takes.
            all.retain(|_, until| {
                let goes = *until <= last && surplus > 0;
                surplus -= usize::from(goes);
                !goes
            });
        }
        all.insert(session, until);
    }

    /// Whether this one is over.
    pub(super) fn has(&self, session: &SessionKey) -> bool {
        self.until.pin().contains_key(session)
    }

    /// How many are known.
    #[cfg(feature = "admin")]
    pub(super) fn len(&self) -> usize {
        self.until.len()
    }

    /// Forgets those whose tokens have ended.
    pub(super) fn sweep(&self, now: u64) {
        self.until.pin().retain(|_, until| *until >= now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: usize) -> SessionKey {
        SessionKey::new((number as u128).to_be_bytes())
    }

    #[test]
    fn one_that_ended_is_known_until_its_token_ends() {
        let ended = Ended::default();
        ended.add(key(1), 10);
        ended.add(key(2), 20);
        ended.sweep(10);
        assert!(ended.has(&key(1)) && ended.has(&key(2)) && !ended.has(&key(3)));
        ended.sweep(11);
        assert!(!ended.has(&key(1)) && ended.has(&key(2)));
    }

    #[test]
    fn at_the_bound_those_that_end_first_are_forgotten() {
        let (ended, last) = (Ended::default(), limits::ENDED_SESSIONS_MAX);
        (0..=last).for_each(|number| ended.add(key(number), number as u64));
        assert_eq!(ended.until.len(), last - last / 2 + 1);
        assert!(!ended.has(&key(0)) && !ended.has(&key(last / 2 - 1)));
        assert!(ended.has(&key(last / 2)) && ended.has(&key(last)));
    }

    #[test]
    fn of_those_that_end_at_once_half_is_forgotten() {
        let (ended, last) = (Ended::default(), limits::ENDED_SESSIONS_MAX);
        (0..=last).for_each(|number| ended.add(key(number), 7));
        assert_eq!(ended.until.len(), last - last / 2 + 1);
        assert!(ended.has(&key(last)));
    }
}
