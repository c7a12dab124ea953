//! Tokens, and what is kept beside them.

use super::*;

static WHOLE: View = View::bare("", 1);
static OTHER: View = View::bare("other", 2);

const KEY: SealKey = [7; 32];

fn sessions() -> Sessions {
    Sessions::new(&[KEY])
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
    let foreign = Sessions::of_this_process().expect("random bits");
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
