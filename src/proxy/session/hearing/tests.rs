//! Subscriptions, streams, and what is told on them.

use std::cell::RefCell;
use std::task::{Context, Poll};

use tokio::sync::oneshot::error::TryRecvError;

use super::super::super::{Answer, Left};
use super::*;

/// A client that takes so many messages.
struct Reads {
    room: usize,
    read: RefCell<Vec<String>>,
}

impl Downstream for Reads {
    async fn answer(&self, _answer: &Answer<'_>) -> Result<(), Gone> {
        Err(Gone)
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        let mut read = self.read.borrow_mut();
        if read.len() >= self.room {
            return Err(Gone);
        }
        read.push(String::from_utf8(message.concat()).expect("UTF-8"));
        Ok(())
    }

    fn poll_left(&self, _cx: &mut Context<'_>) -> Poll<Left> {
        Poll::Pending
    }
}

fn updated(uris: &[&str]) -> Filter {
    Filter { resource_subscriptions: uris.iter().map(|uri| (*uri).into()).collect(), ..Filter::default() }
}

fn tools() -> Filter {
    Filter { tools_list_changed: true, ..Filter::default() }
}

/// What is to be told on a stream now; `None` where nothing is.
fn told(outlet: &mut Outlet) -> Option<Telling> {
    let mut next = None;
    // The first turn may say that it carries.
    for _ in 0..2 {
        if let Some(Turn::Tell(telling)) = outlet.turn() {
            next = Some(telling);
        }
    }
    next
}

async fn read(telling: Telling, room: usize) -> (bool, Vec<String>) {
    let client = Reads { room, read: RefCell::default() };
    let written = telling.write(&client).await.is_ok();
    (written, client.read.into_inner())
}

#[tokio::test]
async fn of_many_changes_a_session_hears_once_and_of_what_it_is_subscribed_to() {
    let hearing = Arc::<Hearing>::default();
    let mut outlet = hearing.open(Window::new(None));
    let kept = hearing.subscribe("a").expect("room");
    for _ in 0..10 {
        hearing.add(&tools());
        hearing.add(&updated(&["a", "b"]));
    }
    let (written, messages) = read(told(&mut outlet).expect("changes"), 9).await;
    let list = r#"{"jsonrpc":"2.0","method":"notifications/tools/list_changed","params":{}}"#;
    let resource = r#"{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"a"}}"#;
    assert_eq!((written, messages), (true, vec![list.to_owned(), resource.to_owned()]));
    hearing.add(&updated(&["b"]));
    hearing.add(&updated(&["a"]));
    hearing.unsubscribe("a");
    assert!(told(&mut outlet).is_none());
    drop(kept);
}

#[tokio::test]
async fn what_was_not_written_is_told_on_the_next_stream() {
    let hearing = Arc::<Hearing>::default();
    hearing.add(&tools());
    let mut outlet = hearing.open(Window::new(None));
    let telling = told(&mut outlet).expect("a change from before");
    assert_eq!(read(telling, 0).await, (false, Vec::new()));
    drop(outlet);
    let mut outlet = hearing.open(Window::new(None));
    // As when a connection is dropped in the midst of a write.
    drop(told(&mut outlet).expect("the same"));
    assert_eq!(read(told(&mut outlet).expect("the same"), 9).await.1.len(), 1);
    assert!(told(&mut outlet).is_none());
}

#[tokio::test]
async fn a_session_is_told_on_the_stream_that_was_opened_last() {
    let hearing = Arc::<Hearing>::default();
    let mut first = hearing.open(Window::new(None));
    assert!(matches!(first.next().await, Turn::Carries(true)));
    let mut second = hearing.open(Window::new(None));
    assert!(matches!(first.next().await, Turn::Carries(false)));
    assert!(matches!(second.next().await, Turn::Carries(true)));
    hearing.add(&tools());
    assert!(told(&mut first).is_none());
    assert!(matches!(second.next().await, Turn::Tell(_dropped)));
    drop(second);
    assert!(matches!(first.next().await, Turn::Carries(true)));
    assert!(matches!(first.next().await, Turn::Tell(_)));
}

#[test]
fn a_subscription_is_held_until_it_ends() {
    let hearing = Hearing::default();
    let (mut first, mut second) = (hearing.subscribe("a").expect("room"), hearing.subscribe("b").expect("room"));
    assert_eq!(hearing.subscribe("a").err(), Some(Unsubscribable::Subscribed));
    hearing.unsubscribe("c");
    assert_eq!((first.try_recv(), second.try_recv()), (Err(TryRecvError::Empty), Err(TryRecvError::Empty)));
    hearing.unsubscribe("a");
    assert_eq!((first.try_recv(), second.try_recv()), (Err(TryRecvError::Closed), Err(TryRecvError::Empty)));
    hearing.end();
    assert_eq!(second.try_recv(), Err(TryRecvError::Closed));
    assert_eq!(hearing.subscribe("a").err(), Some(Unsubscribable::Over));
}

#[test]
fn a_session_is_subscribed_to_no_more_than_it_may() {
    let hearing = Hearing::default();
    let all: Vec<_> = (0..limits::LISTENER_URIS_MAX).map(|index| hearing.subscribe(&index.to_string())).collect();
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(hearing.check("x"), Err(Unsubscribable::Full));
    assert_eq!(hearing.check("0"), Err(Unsubscribable::Subscribed));
    hearing.unsubscribe("0");
    assert_eq!(hearing.check("x"), Ok(()));
}
