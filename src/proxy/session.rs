//! Sessions of legacy clients: which revision was agreed on, and whether the session still stands.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use only1mcp_model::revision::{Era, Revision};
use tokio::sync::watch;

use crate::catalog::View;
use crate::limits;
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::method::Level;

/// The sessions of one gateway, shared by its workers: a client's requests may reach any of them.
#[derive(Debug)]
pub(crate) struct Sessions {
    started: Instant,
    by_id: papaya::HashMap<SessionId, Arc<Session>>,
}

/// What a client holds: 128 random bits in hex.
pub(crate) type SessionId = [u8; 32];

/// One session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) revision: Revision,
    /// What its client said it can do.
    pub(crate) profile: Profile,
    /// What it was begun in.
    view: &'static View,
    /// Set when the client ended it: its streams end too.
    over: watch::Sender<bool>,
    last_used_ms: AtomicU64,
    /// Of `logging/setLevel`.
    log_level: AtomicU8,
}

/// What one connection that carries messages agreed on: at most one session, which ends with it.
#[derive(Debug, Default)]
pub(crate) struct Agreement(RefCell<Option<Arc<Session>>>);

// === impl Agreement ===

impl Agreement {
    /// The session that was begun on it.
    pub(crate) fn session(&self) -> Option<Arc<Session>> {
        self.0.borrow().clone()
    }

    /// The era of what is said on it, as far as that is known.
    pub(crate) fn era(&self) -> Era {
        if self.0.borrow().is_some() { Era::Legacy } else { Era::Modern }
    }

    /// Begins one, in place of the one before.
    pub(crate) fn begin(&self, view: &'static View, revision: Revision, profile: Profile) -> std::io::Result<()> {
        self.0.replace(Some(Arc::new(Session::new(view, revision, profile, 0)?)));
        Ok(())
    }
}

// === impl Sessions ===

impl Default for Sessions {
    fn default() -> Self {
        Self { started: Instant::now(), by_id: papaya::HashMap::new() }
    }
}

impl Sessions {
    /// Begins one. At the bound, the one idle longest ends.
    pub(crate) fn begin(
        &self,
        view: &'static View,
        revision: Revision,
        profile: Profile,
    ) -> std::io::Result<SessionId> {
        let id = random_id()?;
        let session = Session::new(view, revision, profile, self.now_ms())?;
        let sessions = self.by_id.pin();
        if sessions.len() >= limits::SESSIONS_MAX {
            self.make_room();
        }
        sessions.insert(id, Arc::new(session));
        Ok(id)
    }

    /// The session of a view with this id, which counts as used now.
    pub(crate) fn find(&self, view: &'static View, id: &[u8]) -> Option<Arc<Session>> {
        let id = SessionId::try_from(id).ok()?;
        let sessions = self.by_id.pin();
        let session = sessions.get(&id).filter(|session| std::ptr::eq(view, session.view))?;
        session.last_used_ms.store(self.now_ms(), Ordering::Relaxed);
        Some(Arc::clone(session))
    }

    /// Ends one of a view; `false` when it has none with this id.
    pub(crate) fn end(&self, view: &'static View, id: &[u8]) -> bool {
        let Ok(id) = SessionId::try_from(id) else { return false };
        let own = self.by_id.pin().get(&id).is_some_and(|session| std::ptr::eq(view, session.view));
        own && self.remove(&id)
    }

    fn remove(&self, id: &SessionId) -> bool {
        let sessions = self.by_id.pin();
        let ended = sessions.remove(id);
        ended.map(|session| session.over.send_replace(true)).is_some()
    }

    /// Ends those idle for longer than [`limits::SESSION_IDLE`]. One with an open stream is not idle.
    pub(crate) fn sweep(&self) {
        let idle_max = u64::try_from(limits::SESSION_IDLE.as_millis()).unwrap_or(u64::MAX);
        let now_ms = self.now_ms();
        self.by_id.pin().retain(|_, session| {
            let idle_ms = now_ms.saturating_sub(session.last_used_ms.load(Ordering::Relaxed));
            session.over.receiver_count() > 0 || idle_ms <= idle_max
        });
    }

    fn make_room(&self) {
        self.sweep();
        let sessions = self.by_id.pin();
        if sessions.len() < limits::SESSIONS_MAX {
            return;
        }
        // One with an open stream is not idle, unless all have one.
        let idle = sessions.iter().min_by_key(|(_, session)| {
            (session.over.receiver_count() > 0, session.last_used_ms.load(Ordering::Relaxed))
        });
        if let Some((id, _)) = idle {
            self.remove(id);
        }
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

// === impl Session ===

impl Session {
    fn new(view: &'static View, revision: Revision, profile: Profile, now_ms: u64) -> std::io::Result<Self> {
        Ok(Self {
            key: SessionKey::new(random_bits()?),
            revision,
            profile,
            view,
            over: watch::Sender::new(false),
            last_used_ms: AtomicU64::new(now_ms),
            log_level: AtomicU8::new(Level::DEFAULT.into()),
        })
    }

    /// The least severity of log messages that the client wants.
    pub(crate) fn log_level(&self) -> Level {
        Level::try_from(self.log_level.load(Ordering::Relaxed)).unwrap_or(Level::DEFAULT)
    }

    /// From now on, that.
    pub(crate) fn set_log_level(&self, level: Level) {
        self.log_level.store(level.into(), Ordering::Relaxed);
    }

    /// Ready once the session is over.
    pub(crate) fn watch(&self) -> watch::Receiver<bool> {
        self.over.subscribe()
    }
}

/// An id that nobody guesses.
pub(super) fn random_id() -> std::io::Result<SessionId> {
    let bits = random_bits()?;
    let mut id = [0; 32];
    for (pair, byte) in id.chunks_exact_mut(2).zip(bits) {
        pair.copy_from_slice(&[hex(byte >> 4), hex(byte & 0xf)]);
    }
    Ok(id)
}

fn random_bits() -> std::io::Result<[u8; 16]> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    Ok(bits)
}

fn hex(digit: u8) -> u8 {
    if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
}

#[cfg(test)]
mod tests {
    use super::*;

    static WHOLE: View = View::bare("", 1);
    static OTHER: View = View::bare("other", 2);

    #[test]
    fn a_session_is_found_until_it_ends() {
        let sessions = Sessions::default();
        let id = sessions.begin(&WHOLE, Revision::LEGACY, Profile::default()).expect("random bits");
        assert_eq!(sessions.find(&WHOLE, &id).map(|session| session.revision), Some(Revision::LEGACY));
        assert!(sessions.find(&WHOLE, b"too short").is_none());
        let over = sessions.find(&WHOLE, &id).expect("still there").watch();
        assert!(sessions.end(&WHOLE, &id));
        assert!(*over.borrow());
        assert!(!sessions.end(&WHOLE, &id));
        assert!(sessions.find(&WHOLE, &id).is_none());
    }

    #[test]
    fn at_the_bound_the_session_idle_longest_ends() {
        let sessions = Sessions::default();
        let ids: Vec<_> = (0..limits::SESSIONS_MAX)
            .map(|_| sessions.begin(&WHOLE, Revision::LEGACY, Profile::default()).expect("random bits"))
            .collect();
        for (age, id) in ids.iter().enumerate() {
            sessions.by_id.pin().get(id).expect("there").last_used_ms.store(age as u64 + 1, Ordering::Relaxed);
        }
        sessions.begin(&WHOLE, Revision::LEGACY, Profile::default()).expect("random bits");
        assert!(sessions.by_id.pin().get(&ids[0]).is_none());
        assert!(sessions.by_id.pin().get(&ids[1]).is_some());
        assert_eq!(sessions.by_id.len(), limits::SESSIONS_MAX);
    }

    #[test]
    fn a_session_is_unknown_to_any_other_view() {
        let sessions = Sessions::default();
        let id = sessions.begin(&OTHER, Revision::LEGACY, Profile::default()).expect("random bits");
        assert!(sessions.find(&WHOLE, &id).is_none());
        assert!(!sessions.end(&WHOLE, &id));
        assert!(sessions.find(&OTHER, &id).is_some());
    }
}
