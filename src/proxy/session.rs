//! Sessions of legacy clients. A session is what its token says, which the client holds and nobody else can make or read;
//! the gateway keeps no list of them. What it does keep is what no token can hold: the log level, who is to be told that
//! the session is over, which ones are, what they hear of by themselves ([`hearing`]), the [`calls`] in flight, the
//! [`questions`] that wait for an answer, and for a [`replay`] what was said on their streams.

mod calls;
mod ended;
mod hearing;
mod opened;
mod questions;
mod replay;
mod steps;

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};

use only1mcp_model::SealKey;
use only1mcp_model::revision::{Era, Revision};
use tokio::sync::watch;

use crate::catalog::View;
use crate::limits;
use crate::mcp::client::{Profile, SessionKey};
use crate::mcp::method::Level;
use crate::seal::Seal;
use crate::upstream::balance::{HeaderKey, HeaderKeys};
pub(crate) use calls::{Calls, Tie};
use ended::Ended;
pub(crate) use hearing::{Hearing, Outlet, Subscribed, Telling, Turn, Unsubscribable};
use opened::OpenedToken;
pub(crate) use opened::OpenedTokens;
pub(super) use questions::{Inquiry, Questions, wire_id};
use replay::Replays;
pub(super) use replay::{EventId, Found, Reader, Replay};
pub use steps::SessionSteps;

/// The sessions of one gateway, shared by its workers: a client's requests may reach any of them.
#[derive(Debug)]
pub(crate) struct Sessions {
    seal: Seal,
    started: Instant,
    /// Those of which something is kept.
    live: papaya::HashMap<SessionKey, Arc<Live>>,
    ended: Ended,
    /// How often one was added to these two or taken out: as long as that stays, what was found in them holds.
    changes: AtomicU64,
    pub(super) questions: Questions,
    pub(super) replays: Replays,
}

/// One session, as the request in hand knows it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) revision: Revision,
    /// What its client said it can do.
    pub(crate) profile: Profile,
    /// The least severity of log messages that the client wants.
    pub(crate) log_level: Level,
}

/// What is kept of one session.
#[derive(Debug)]
struct Live {
    /// Set when the client ended it: its streams end too.
    over: watch::Sender<bool>,
    last_used_ms: AtomicU64,
    /// Of `logging/setLevel`.
    log_level: AtomicU8,
    hearing: Arc<Hearing>,
}

/// What a token says.
#[derive(Clone, Copy, Debug)]
struct Token {
    session: Session,
    /// In seconds since 1970.
    issued: u64,
}

/// What one connection that carries messages agreed on: at most one session, which ends with it.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    session: Cell<Option<Session>>,
    /// Once somebody asked for it.
    hearing: RefCell<Option<Arc<Hearing>>>,
    /// What its first request said that decides where calls go.
    header_keys: HeaderKeys,
}

/// What the keys that seal tokens of sessions are for.
const PURPOSE: &str = "session";
/// Whose sessions they are, as far as clients are told apart.
const ANONYMOUS: &[u8] = b"";

// === impl Agreement ===

impl Agreement {
    /// Nothing so far, but for keys that stand for every call.
    pub(crate) fn with(header_keys: HeaderKeys) -> Self {
        Self { session: Cell::default(), hearing: RefCell::default(), header_keys }
    }

    /// Those keys.
    pub(super) fn header_keys(&self) -> &[HeaderKey] {
        &self.header_keys
    }

    /// The session that was begun on it.
    pub(crate) fn session(&self) -> Option<Session> {
        self.session.get()
    }

    /// What its session hears of by itself.
    pub(crate) fn hearing(&self) -> Arc<Hearing> {
        Arc::clone(self.hearing.borrow_mut().get_or_insert_default())
    }

    /// The era of what is said on it, as far as that is known.
    pub(crate) fn era(&self) -> Era {
        if self.session.get().is_some() { Era::Legacy } else { Era::Modern }
    }

    /// Begins one, in place of the one before.
    pub(crate) fn begin(&self, revision: Revision, profile: Profile) -> std::io::Result<()> {
        self.session.set(Some(Session::new(revision, profile)?));
        self.end_hearing();
        Ok(())
    }

    /// From now on, log messages from this severity on are wanted.
    pub(crate) fn set_log_level(&self, log_level: Level) {
        self.session.set(self.session.get().map(|session| Session { log_level, ..session }));
    }

    fn end_hearing(&self) {
        if let Some(hearing) = self.hearing.take() {
            hearing.end();
        }
    }
}

impl Drop for Agreement {
    fn drop(&mut self) {
        self.end_hearing();
    }
}

// === impl Sessions ===

impl Sessions {
    /// Those sealed with these keys: by this gateway before, or by another one that has them too.
    pub(crate) fn new(keys: &[SealKey]) -> Self {
        let seal = Seal::new(keys, PURPOSE);
        Self {
            seal,
            started: Instant::now(),
            live: papaya::HashMap::new(),
            ended: Ended::default(),
            changes: AtomicU64::new(0),
            questions: Questions::default(),
            replays: Replays::default(),
        }
    }

    /// Those sealed with a key that nobody else has, and that goes with the process.
    pub(crate) fn of_this_process() -> std::io::Result<Self> {
        Ok(Self::new(&[Seal::random_key()?]))
    }

    /// Begins one at a view: its token.
    pub(crate) fn begin(&self, view: &View, revision: Revision, profile: Profile) -> std::io::Result<String> {
        self.token(view, &Token { session: Session::new(revision, profile)?, issued: now() })
    }

    fn token(&self, view: &View, token: &Token) -> std::io::Result<String> {
        let Token { session: Session { key, revision, profile, log_level: _ }, issued } = token;
        let what = [*revision as u8, u8::from(*profile)];
        self.seal.seal(&context(view), &[&issued.to_be_bytes()[..], key.bits(), &what].concat())
    }

    /// The session of a view that this is the token of.
    pub(crate) fn find(&self, opened: &OpenedTokens, view: &'static View, token: &[u8]) -> Option<Session> {
        self.valid(opened, view, token).map(|token| token.session)
    }

    /// What a token says, as long as it holds.
    fn valid(&self, opened: &OpenedTokens, view: &'static View, token: &[u8]) -> Option<Token> {
        let mut known = opened.get(view, token, || self.open(view, token))?;
        let OpenedToken { says, as_of, live, .. } = &mut *known;
        let Token { mut session, issued } = *says;
        if now().saturating_sub(issued) > limits::SESSION_AGE.as_secs() {
            return None;
        }
        // Read before what it counts: a change that is not seen there is one after this.
        let changes = self.changes.load(Ordering::Acquire);
        if *as_of != Some(changes) {
            if self.ended.has(&session.key) {
                return None;
            }
            *live = self.live.pin().get(&session.key).cloned();
            *as_of = Some(changes);
        }
        if let Some(live) = live {
            live.last_used_ms.store(self.now_ms(), Ordering::Relaxed);
            session.log_level = Level::try_from(live.log_level.load(Ordering::Relaxed)).unwrap_or(Level::DEFAULT);
        }
        Some(Token { session, issued })
    }

    fn open(&self, view: &View, token: &[u8]) -> Option<Token> {
        let plain = self.seal.open(&context(view), token)?;
        let (issued, rest) = plain.split_first_chunk()?;
        let (key, rest) = rest.split_first_chunk()?;
        let &[revision, profile] = rest else { return None };
        let (issued, key) = (u64::from_be_bytes(*issued), SessionKey::new(*key));
        let revision = *Revision::ALL.get(usize::from(revision)).filter(|revision| revision.era() == Era::Legacy)?;
        let profile = Profile::try_from(profile).ok()?;
        Some(Token { session: Session { key, revision, profile, log_level: Level::DEFAULT }, issued })
    }

    /// From now on, log messages from this severity on are wanted.
    pub(crate) fn set_log_level(&self, session: SessionKey, level: Level) {
        self.live(session).log_level.store(level.into(), Ordering::Relaxed);
    }

    /// Ready once the session is over.
    pub(crate) fn watch(&self, session: SessionKey) -> watch::Receiver<bool> {
        let over = self.live(session).over.subscribe();
        // Whoever ended it meanwhile may not have seen that somebody watches.
        if self.ended.has(&session) {
            self.remove(session);
        }
        over
    }

    /// What a session hears of by itself.
    pub(crate) fn hearing(&self, session: SessionKey) -> Arc<Hearing> {
        let hearing = Arc::clone(&self.live(session).hearing);
        if self.ended.has(&session) {
            self.remove(session);
        }
        hearing
    }

    /// Ends one of a view; its calls are in flight still. `None` when the view has none with this token.
    pub(crate) fn end(&self, opened: &OpenedTokens, view: &'static View, token: &[u8]) -> Option<SessionKey> {
        let Token { session, issued } = self.valid(opened, view, token)?;
        self.ended.add(session.key, issued + limits::SESSION_AGE.as_secs());
        self.changed();
        self.remove(session.key);
        self.replays.end(session.key);
        Some(session.key)
    }

    /// What is kept of a session, from now on. At the bound, that of the one idle longest is let go.
    fn live(&self, session: SessionKey) -> Arc<Live> {
        let live = self.live.pin();
        if live.len() >= limits::SESSIONS_MAX && !live.contains_key(&session) {
            self.make_room();
        }
        if let Some(kept) = live.get(&session) {
            return Arc::clone(kept);
        }
        let now_ms = self.now_ms();
        let kept = Arc::clone(live.get_or_insert_with(session, || Arc::new(Live::new(now_ms))));
        self.changed();
        kept
    }

    fn remove(&self, session: SessionKey) {
        let live = self.live.pin();
        if let Some(live) = live.remove(&session) {
            self.changed();
            live.over.send_replace(true);
            live.hearing.end();
        }
    }

    /// One was added to those that are live or ended, or taken out.
    fn changed(&self) {
        self.changes.fetch_add(1, Ordering::Release);
    }

    /// How many are kept: of those that are live, of those that were ended, streams, open questions.
    #[cfg(feature = "admin")]
    pub(super) fn holdings(&self) -> (usize, usize, usize, usize) {
        (self.live.len(), self.ended.len(), self.replays.len(), self.questions.len())
    }

    /// Forgets what is kept of those idle for longer than [`limits::SESSION_IDLE`]. One with an open stream is not idle.
    pub(crate) fn sweep(&self) {
        self.forget_idle(self.now_ms());
        self.changed();
        self.ended.sweep(now());
        self.replays.sweep();
    }

    fn forget_idle(&self, now_ms: u64) {
        let idle_max = millis(limits::SESSION_IDLE);
        self.live.pin().retain(|_, live| {
            let idle_ms = now_ms.saturating_sub(live.last_used_ms.load(Ordering::Relaxed));
            let stays = live.over.receiver_count() > 0 || idle_ms <= idle_max;
            if !stays {
                live.hearing.end();
            }
            stays
        });
    }

    fn make_room(&self) {
        self.sweep();
        let live = self.live.pin();
        if live.len() < limits::SESSIONS_MAX {
            return;
        }
        // One with an open stream is not idle, unless all have one.
        let idle = live
            .iter()
            .min_by_key(|(_, live)| (live.over.receiver_count() > 0, live.last_used_ms.load(Ordering::Relaxed)));
        if let Some((session, _)) = idle {
            self.remove(*session);
        }
    }

    fn now_ms(&self) -> u64 {
        millis(self.started.elapsed())
    }
}

// === impl Session ===

impl Session {
    fn new(revision: Revision, profile: Profile) -> std::io::Result<Self> {
        Ok(Self { key: SessionKey::new(random_bits()?), revision, profile, log_level: Level::DEFAULT })
    }
}

// === impl Live ===

impl Live {
    fn new(now_ms: u64) -> Self {
        let log_level = AtomicU8::new(Level::DEFAULT.into());
        let (over, hearing) = (watch::Sender::new(false), Arc::default());
        Self { over, last_used_ms: AtomicU64::new(now_ms), log_level, hearing }
    }
}

/// What a token is bound to: elsewhere it is none.
fn context(view: &View) -> [&[u8]; 2] {
    [view.patterns.name.as_bytes(), ANONYMOUS]
}

fn now() -> u64 {
    SystemTime::UNIX_EPOCH.elapsed().map_or(0, |since| since.as_secs())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// 128 bits that nobody guesses.
pub(super) fn random_bits() -> std::io::Result<[u8; 16]> {
    let mut bits = [0; 16];
    rustix::rand::getrandom(&mut bits, rustix::rand::GetRandomFlags::empty())?;
    Ok(bits)
}

#[cfg(test)]
mod tests;
