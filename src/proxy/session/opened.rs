//! The tokens that one worker has opened: a client shows the same one with each request, and pays for the cipher once.
//! Whether what a token says still holds is not decided here.

use std::cell::{RefCell, RefMut};
use std::sync::Arc;

use smallvec::SmallVec;

use super::{Live, Token};
use crate::catalog::View;
use crate::limits;

/// Those of one worker. Only what the seal vouched for gets in.
#[derive(Debug)]
pub(crate) struct OpenedTokens(RefCell<Box<[Pair]>>);

/// Two tokens that have the same place, the one shown last before the other.
type Pair = [Option<Box<OpenedToken>>; 2];

/// A token, with all that it is bound to: shown elsewhere it is another one.
#[derive(Debug)]
pub(super) struct OpenedToken {
    bytes: SmallVec<[u8; 80]>,
    view: &'static View,
    pub(super) says: Token,
    /// What is kept of its session, as of so many changes; `None` before that was looked at.
    pub(super) as_of: Option<u64>,
    pub(super) live: Option<Arc<Live>>,
}

const PAIRS: usize = limits::OPENED_TOKENS_MAX / 2;

// === impl OpenedTokens ===

impl Default for OpenedTokens {
    fn default() -> Self {
        Self(RefCell::new((0..PAIRS).map(|_| [None, None]).collect()))
    }
}

impl OpenedTokens {
    /// What a token says in a view: as it is known here, or as it opens.
    pub(super) fn get(
        &self,
        view: &'static View,
        token: &[u8],
        open: impl FnOnce() -> Option<Token>,
    ) -> Option<RefMut<'_, OpenedToken>> {
        let pairs = self.0.borrow_mut();
        let mut pair = RefMut::filter_map(pairs, |pairs| pairs.get_mut(place(token)?)).ok()?;
        let is_it = |known: &Option<Box<OpenedToken>>| {
            known.as_ref().is_some_and(|known| std::ptr::eq(known.view, view) && is_same(&known.bytes, token))
        };
        if !is_it(&pair[0]) {
            if !is_it(&pair[1]) {
                let (bytes, says) = (SmallVec::from_slice(token), open()?);
                pair[1] = Some(Box::new(OpenedToken { bytes, view, says, as_of: None, live: None }));
            }
            pair.swap(0, 1);
        }
        RefMut::filter_map(pair, |[first, _]| first.as_deref_mut()).ok()
    }
}

/// Where a token may be, by what stands where its nonce does; `None` for one that is too short to have any. A client
/// chooses nothing of that, and learns nothing of where others are.
fn place(token: &[u8]) -> Option<usize> {
    let nonce = token.get(2..)?.first_chunk()?;
    // Fibonacci hashing: the upper bits depend on all of them.
    let spread = u64::from_le_bytes(*nonce).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    usize::try_from(spread >> (u64::BITS - PAIRS.ilog2())).ok()
}

const _: () = assert!(PAIRS.is_power_of_two(), "the upper bits of a product are a place");

/// Whether they are the same, in a time that does not say how much of them is.
fn is_same(known: &[u8], token: &[u8]) -> bool {
    known.len() == token.len() && known.iter().zip(token).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::super::{Session, Sessions};
    use super::*;
    use crate::catalog::Revision;
    use crate::mcp::client::Profile;

    static WHOLE: View = View::bare("", 1);
    static OTHER: View = View::bare("other", 2);

    fn token(number: u64) -> [u8; 74] {
        let mut token = [b'A'; 74];
        token[2..10].copy_from_slice(&number.to_be_bytes());
        token
    }

    fn says() -> Token {
        Token { session: Session::new(Revision::LEGACY, Profile::default()).expect("random bits"), issued: 0 }
    }

    /// Whether it had to be opened.
    fn opens(opened: &OpenedTokens, view: &'static View, token: &[u8]) -> bool {
        let asked = Cell::new(false);
        let found = opened.get(view, token, || {
            asked.set(true);
            Some(says())
        });
        assert!(found.is_some());
        asked.get()
    }

    #[test]
    fn a_token_is_opened_once_where_it_belongs_and_no_other_passes_for_it() {
        let opened = OpenedTokens::default();
        let own = token(7);
        assert!(opens(&opened, &WHOLE, &own) && !opens(&opened, &WHOLE, &own));
        assert!(opened.get(&OTHER, &own, || None).is_none());
        assert!(opened.get(&WHOLE, &own[..73], || None).is_none());
        for index in 0..own.len() {
            let mut changed = own;
            changed[index] ^= 1;
            assert!(opened.get(&WHOLE, &changed, || None).is_none(), "{index}");
        }
        for short in 0..10 {
            assert!(opened.get(&WHOLE, &own[..short], || None).is_none(), "{short}");
        }
        assert!(!opens(&opened, &WHOLE, &own));
    }

    #[test]
    fn what_does_not_open_is_not_kept() {
        let opened = OpenedTokens::default();
        assert!(opened.get(&WHOLE, &token(1), || None).is_none());
        assert!(opened.0.borrow().iter().flatten().all(Option::is_none));
    }

    #[test]
    fn of_three_in_one_place_the_one_shown_least_lately_is_opened_again() {
        let opened = OpenedTokens::default();
        let first = place(&token(0)).expect("long enough");
        let same: Vec<_> = (0..).map(token).filter(|token| place(token) == Some(first)).take(3).collect();
        assert!(opens(&opened, &WHOLE, &same[0]) && opens(&opened, &WHOLE, &same[1]));
        assert!(!opens(&opened, &WHOLE, &same[0]));
        assert!(opens(&opened, &WHOLE, &same[2]));
        assert!(!opens(&opened, &WHOLE, &same[0]) && opens(&opened, &WHOLE, &same[1]));
    }

    #[test]
    fn as_many_tokens_as_may_be_share_the_places_evenly() {
        let (opened, sessions) = (OpenedTokens::default(), Sessions::new(&[[7; 32]]));
        for _ in 0..limits::OPENED_TOKENS_MAX {
            let token = sessions.begin(&WHOLE, Revision::LEGACY, Profile::default()).expect("random bits");
            assert!(opens(&opened, &WHOLE, token.as_bytes()));
        }
        // 73 % at random.
        let kept = opened.0.borrow().iter().flatten().flatten().count();
        assert!(kept > limits::OPENED_TOKENS_MAX * 2 / 3, "{kept}");
    }
}
