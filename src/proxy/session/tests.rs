//! Tokens, and what is kept beside them.

use super::*;

static WHOLE: View = View::bare("", 1);
static OTHER: View = View::bare("other", 2);

const KEY: SealKey = [7; 32];

/// Sessions, as one worker sees them.
struct Seen {
    sessions: Arc<Sessions>,
    opened: OpenedTokens,
}

impl Seen {
    fn new(sessions: Sessions) -> Self {
        Self { sessions: Arc::new(sessions), opened: OpenedTokens::default() }
    }

    /// The same sessions, as another worker sees them.
    fn elsewhere(&self) -> Self {
        Self { sessions: Arc::clone(&self.sessions), opened: OpenedTokens::default() }
    }

    fn find(&self, view: &'static View, token: &[u8]) -> Option<Session> {
        self.sessions.find(&self.opened, view, token)
    }

    fn end(&self, view: &'static View, token: &[u8]) -> Option<SessionKey> {
        self.sessions.end(&self.opened, view, token)
    }
}

impl std::ops::Deref for Seen {
    type Target = Sessions;

    fn deref(&self) -> &Sessions {
        &self.sessions
    }
}

fn sessions() -> Seen {
    Seen::new(Sessions::new(&[KEY]))
}

fn begin(sessions: &Sessions, view: &View) -> Vec<u8> {
    sessions.begin(view, Revision::LEGACY, Profile::ROOTS).expect("random bits").into_bytes()
}

#[test]
fn a_token_is_all_there_is_of_a_session() {
    let before = sessions();
    let (token, other) = (begin(&before, &WHOLE), begin(&before, &WHOLE));
    assert!(token.len() <= 80 && token.is_ascii() && before.live.is_empty());
    let found = before.find(&WHOLE, &token).expect("a session");
    assert_eq!((found.revision, found.profile), (Revision::LEGACY, Profile::ROOTS));
    assert_ne!(found.key, before.find(&WHOLE, &other).expect("a session").key);
    // After a restart, and on another gateway with the same key.
    let after = sessions();
    assert_eq!(after.find(&WHOLE, &token).expect("a session").key, found.key);
    let foreign = Seen::new(Sessions::of_this_process().expect("random bits"));
    assert!(foreign.find(&WHOLE, &token).is_none());
    assert!(before.find(&WHOLE, b"0123456789abcdef0123456789abcdef").is_none());
}

#[test]
fn a_session_is_unknown_to_any_other_view() {
    let sessions = sessions();
    let token = begin(&sessions, &OTHER);
    assert!(sessions.find(&WHOLE, &token).is_none());
    assert_eq!(sessions.end(&WHOLE, &token), None);
    assert!(sessions.find(&OTHER, &token).is_some());
    // Known by now, and still none here.
    assert!(sessions.find(&WHOLE, &token).is_none() && sessions.end(&WHOLE, &token).is_none());
}

#[test]
fn a_token_is_worth_nothing_after_its_time() {
    let sessions = sessions();
    let session = Session::new(Revision::LEGACY, Profile::default()).expect("random bits");
    let age = limits::SESSION_AGE.as_secs();
    for (issued, valid) in [(now(), true), (now() - age + 60, true), (now() - age - 1, false), (0, false)] {
        let token = sessions.token(&WHOLE, &Token { session, issued }).expect("random bits");
        assert_eq!(sessions.find(&WHOLE, token.as_bytes()).is_some(), valid, "{issued}");
    }
}

#[test]
fn a_token_of_the_modern_era_is_none() {
    let sessions = sessions();
    let session = Session::new(Revision::MODERN, Profile::default()).expect("random bits");
    let token = sessions.token(&WHOLE, &Token { session, issued: now() }).expect("random bits");
    assert!(sessions.find(&WHOLE, token.as_bytes()).is_none());
}

#[test]
fn a_session_is_found_until_it_ends() {
    let sessions = sessions();
    let token = begin(&sessions, &WHOLE);
    let key = sessions.find(&WHOLE, &token).expect("a session").key;
    let over = sessions.watch(key);
    assert!(!*over.borrow());
    assert_eq!(sessions.end(&WHOLE, &token), Some(key));
    assert!(*over.borrow());
    assert_eq!(sessions.end(&WHOLE, &token), None);
    assert!(sessions.find(&WHOLE, &token).is_none());
    assert!(sessions.live.is_empty());
    // A stream that was just about to be opened.
    assert!(*sessions.watch(key).borrow() && sessions.live.is_empty());
}

#[test]
fn a_session_that_ended_is_over_on_every_worker_that_knew_its_token() {
    let here = sessions();
    let there = here.elsewhere();
    let (token, other) = (begin(&here, &WHOLE), begin(&here, &WHOLE));
    for worker in [&here, &there, &here, &there] {
        assert!(worker.find(&WHOLE, &token).is_some() && worker.find(&WHOLE, &other).is_some());
    }
    assert!(here.end(&WHOLE, &token).is_some());
    for worker in [&there, &here, &there, &here, &here.elsewhere()] {
        assert!(worker.find(&WHOLE, &token).is_none() && worker.end(&WHOLE, &token).is_none());
        assert!(worker.find(&WHOLE, &other).is_some());
    }
}

#[test]
fn a_token_that_is_known_ends_at_its_time() {
    let sessions = sessions();
    let session = Session::new(Revision::LEGACY, Profile::default()).expect("random bits");
    let token = sessions.token(&WHOLE, &Token { session, issued: now() }).expect("random bits");
    assert!(sessions.find(&WHOLE, token.as_bytes()).is_some());
    let mut known = sessions.opened.get(&WHOLE, token.as_bytes(), || None).expect("known");
    known.says.issued -= limits::SESSION_AGE.as_secs() + 1;
    drop(known);
    assert!(sessions.find(&WHOLE, token.as_bytes()).is_none());
}

#[test]
fn what_is_kept_of_a_session_is_the_same_on_every_worker() {
    let here = sessions();
    let there = here.elsewhere();
    let token = begin(&here, &WHOLE);
    let level = |worker: &Seen| worker.find(&WHOLE, &token).expect("a session").log_level;
    assert_eq!((level(&here), level(&there)), (Level::DEFAULT, Level::DEFAULT));
    let key = there.find(&WHOLE, &token).expect("a session").key;
    for name in ["error", "critical"] {
        let set = Level::parse(name).expect("a level");
        there.set_log_level(key, set);
        assert_eq!((level(&here), level(&there)), (set, set));
    }
    // As when it was idle for long.
    here.remove(key);
    assert_eq!((level(&here), level(&there)), (Level::DEFAULT, Level::DEFAULT));
}

#[test]
fn a_request_shows_that_its_session_is_not_idle() {
    let sessions = sessions();
    let token = begin(&sessions, &WHOLE);
    let key = sessions.find(&WHOLE, &token).expect("a session").key;
    drop(sessions.watch(key));
    for _ in 0..2 {
        let live = Arc::clone(sessions.live.pin().get(&key).expect("there"));
        live.last_used_ms.store(u64::MAX, Ordering::Relaxed);
        assert!(sessions.find(&WHOLE, &token).is_some());
        assert_ne!(live.last_used_ms.load(Ordering::Relaxed), u64::MAX);
    }
}

#[test]
fn a_log_level_is_kept_for_its_session() {
    let sessions = sessions();
    let (token, other) = (begin(&sessions, &WHOLE), begin(&sessions, &WHOLE));
    let level = |token: &[u8]| sessions.find(&WHOLE, token).expect("a session").log_level;
    let error = Level::parse("error").expect("a level");
    sessions.set_log_level(sessions.find(&WHOLE, &token).expect("a session").key, error);
    assert_eq!((level(&token), level(&other)), (error, Level::DEFAULT));
    assert_eq!(sessions.live.len(), 1);
}

#[test]
fn at_the_bound_what_was_idle_longest_is_let_go() {
    let sessions = sessions();
    let tokens: Vec<_> = (0..=limits::SESSIONS_MAX).map(|_| begin(&sessions, &WHOLE)).collect();
    let keys: Vec<_> = tokens.iter().map(|token| sessions.find(&WHOLE, token).expect("a session").key).collect();
    let error = Level::parse("error").expect("a level");
    for (age, key) in keys[..limits::SESSIONS_MAX].iter().enumerate() {
        sessions.set_log_level(*key, error);
        sessions.live.pin().get(key).expect("there").last_used_ms.store(age as u64 + 1, Ordering::Relaxed);
    }
    sessions.set_log_level(keys[limits::SESSIONS_MAX], error);
    assert!(sessions.live.pin().get(&keys[0]).is_none());
    assert!(sessions.live.pin().get(&keys[1]).is_some());
    assert_eq!(sessions.live.len(), limits::SESSIONS_MAX);
    // The session itself stands.
    assert_eq!(sessions.find(&WHOLE, &tokens[0]).expect("a session").log_level, Level::DEFAULT);
}

#[test]
fn what_a_session_hears_of_ends_with_it_and_when_it_was_idle_for_long() {
    let sessions = sessions();
    let token = begin(&sessions, &WHOLE);
    let key = sessions.find(&WHOLE, &token).expect("a session").key;
    let is_over = |hearing: &Hearing| hearing.check("a") == Err(Unsubscribable::Over);
    let hearing = sessions.hearing(key);
    let idle_ms = sessions.now_ms() + millis(limits::SESSION_IDLE) + 60_000;
    let stream = sessions.watch(key);
    sessions.forget_idle(idle_ms);
    assert!(!is_over(&hearing) && Arc::ptr_eq(&hearing, &sessions.hearing(key)));
    drop(stream);
    sessions.forget_idle(idle_ms);
    assert!(is_over(&hearing));
    // The session itself goes on.
    let hearing = sessions.hearing(key);
    assert!(sessions.find(&WHOLE, &token).is_some() && !is_over(&hearing));
    assert_eq!(sessions.end(&WHOLE, &token), Some(key));
    assert!(is_over(&hearing) && is_over(&sessions.hearing(key)) && sessions.live.is_empty());
}
