//! What decides where a call goes that is to find the same place again.

use only1mcp_model::hash::hash64;

use super::{Members, indices};
use crate::mcp::client::SessionKey;
use crate::mcp::envelope::Incoming;
use crate::mcp::path;
use crate::upstream::plan::HashKey;

/// What a call has of that.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keys<'a> {
    /// The client's message.
    pub(crate) source: &'a [u8],
    /// Where its parts stand.
    pub(crate) head: &'a Incoming,
    /// The name or URI that it is about, as the backend knows it.
    pub(crate) name: Option<&'a str>,
    /// The session of a legacy client.
    pub(crate) session: Option<SessionKey>,
    /// What of its headers is a key.
    pub(crate) header_keys: &'a [HeaderKey],
}

/// A header of a client's request as a key: all that is kept of its value is what decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeaderKey {
    /// In lower case.
    name: &'static str,
    key: u64,
}

/// Those of one request.
pub(crate) type HeaderKeys = Box<[HeaderKey]>;

/// Where the calls that are to find the same place go.
const SEED: u64 = 0x656E_6470_6F69_6E74;

// === impl HeaderKey ===

impl HeaderKey {
    /// That of a header with this name, in lower case, and value.
    pub(crate) fn of(name: &'static str, value: &[u8]) -> Self {
        Self { name, key: hash64(SEED, value) }
    }

    /// Its name and key, for whoever tells requests apart.
    pub(crate) fn bits(&self) -> [u8; 16] {
        let name = hash64(SEED, self.name.as_bytes());
        (u128::from(name) << 64 | u128::from(self.key)).to_ne_bytes()
    }
}

// === impl Keys ===

impl Keys<'_> {
    /// The key of a call by what a topology names; `None` where it has none.
    pub(crate) fn find(&self, key: &HashKey) -> Option<u64> {
        match key {
            HashKey::Session => self.session.map(|session| hash64(SEED, session.bits())),
            HashKey::Tool => self.name.map(|name| hash64(SEED, name.as_bytes())),
            HashKey::Argument(keys) => {
                let found = path::find(self.source, self.head.arguments?, keys).ok()??;
                Some(hash64(SEED, found.span.of(self.source)))
            }
            HashKey::Header(name) => self.header_keys.iter().find(|own| own.name == name).map(|own| own.key),
        }
    }
}

/// The place, of those whose bits are set, where what a legacy server keeps for a session is: whichever comes out first for
/// both by its weight (weighted rendezvous hashing). No other session moves when a place is gone, and where a weight changes
/// none moves but to that place or away from it.
pub(crate) fn of_session(session: SessionKey, among: u64, members: &impl Members) -> usize {
    let key = hash64(SEED, session.bits());
    let rank = |index: usize| {
        let hash = hash64(key, members.name(index).as_bytes());
        // Above 0 and below 1, both of which have no logarithm to divide by; 52 bits and a half are exact.
        let share = ((hash >> 12) as f64 + 0.5) / (1_u64 << 52) as f64;
        (-f64::from(members.weight(index)) / share.ln(), hash)
    };
    let ranks = indices(among).map(|index| (rank(index), index));
    let first = ranks.max_by(|((left, one), _), ((right, other), _)| left.total_cmp(right).then(one.cmp(other)));
    first.map_or(0, |(_, index)| index)
}
