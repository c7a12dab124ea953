//! What clients post to streams that are theirs: a post may reach another worker than its stream, and is carried over
//! by the stream's id. What the messages say is not looked at here.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::error::Refusal;
use super::session::random_bits;
use crate::limits;

/// The mailboxes of one gateway, shared by its workers.
#[derive(Debug, Default)]
pub(crate) struct Mailboxes {
    by_id: papaya::HashMap<StreamId, Slot>,
}

/// What a stream is called: 128 random bits in hex.
type StreamId = [u8; 32];

/// Where posts go in.
#[derive(Debug)]
struct Slot {
    posts: mpsc::Sender<Posted>,
    /// As many permits as bytes may wait.
    room: Arc<Semaphore>,
}

/// A message, with the room that it takes for as long as it waits.
type Posted = (Bytes, OwnedSemaphorePermit);

/// The mailbox of one stream; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Mailbox<'a> {
    of: &'a Mailboxes,
    id: StreamId,
    posts: mpsc::Receiver<Posted>,
}

// === impl Mailboxes ===

impl Mailboxes {
    /// A new one, under an id that nobody guesses.
    ///
    /// # Errors
    /// There are as many as may be, or no random bits.
    pub(crate) fn open(&self) -> Result<Mailbox<'_>, Refusal<'static>> {
        let boxes = self.by_id.pin();
        if boxes.len() >= limits::EVENT_STREAMS_MAX {
            return Err(Refusal::Busy("as many event streams are open as may be"));
        }
        let id = stream_id().map_err(|error| {
            tracing::error!(%error, "no random bits for a stream");
            Refusal::Internal
        })?;
        let (sender, posts) = mpsc::channel(limits::POSTED_MESSAGES_MAX);
        boxes.insert(id, Slot { posts: sender, room: Arc::new(Semaphore::new(limits::POSTED_BYTES_MAX)) });
        Ok(Mailbox { of: self, id, posts })
    }

    /// Puts a message into the mailbox with this id.
    ///
    /// # Errors
    /// Nobody has it, or it is full.
    pub(crate) fn post(&self, id: &[u8], message: &[u8]) -> Result<(), Refusal<'static>> {
        const FULL: Refusal<'_> = Refusal::Busy("messages to this stream wait already");
        let id = StreamId::try_from(id).map_err(|_another_length| Refusal::StreamUnknown)?;
        let boxes = self.by_id.pin();
        let slot = boxes.get(&id).ok_or(Refusal::StreamUnknown)?;
        let bytes = u32::try_from(message.len()).map_err(|_too_long| FULL)?;
        let room = Arc::clone(&slot.room).try_acquire_many_owned(bytes).map_err(|_taken| FULL)?;
        slot.posts.try_send((Bytes::copy_from_slice(message), room)).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => FULL,
            mpsc::error::TrySendError::Closed(_) => Refusal::StreamUnknown,
        })
    }
}

// === impl Mailbox ===

impl Mailbox<'_> {
    /// Its id, in hex.
    pub(crate) fn id(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.id)
    }

    /// The next message; `None` once it is closed and empty.
    pub(crate) async fn next(&mut self) -> Option<Bytes> {
        self.posts.recv().await.map(|(message, _room)| message)
    }

    /// Takes no more; what it holds stays.
    pub(crate) fn close(&mut self) {
        self.posts.close();
    }
}

impl Drop for Mailbox<'_> {
    fn drop(&mut self) {
        self.of.by_id.pin().remove(&self.id);
    }
}

/// An id that nobody guesses.
fn stream_id() -> std::io::Result<StreamId> {
    let bits = u128::from_be_bytes(random_bits()?);
    let mut id = StreamId::default();
    id.copy_from_slice(format!("{bits:032x}").as_bytes());
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(outcome: Result<(), Refusal<'_>>) -> Option<u16> {
        outcome.err().map(|refusal| refusal.verdict(only1mcp_model::revision::Era::Modern).status)
    }

    #[tokio::test]
    async fn what_is_posted_arrives_for_as_long_as_the_mailbox_is_there() {
        let boxes = Mailboxes::default();
        let mut own = boxes.open().expect("random bits");
        let id = own.id().into_owned();
        assert_eq!(status(boxes.post(id.as_bytes(), b"first")), None);
        assert_eq!(status(boxes.post(b"another", b"x")), Some(404));
        assert_eq!(status(boxes.post(&[b'0'; 32], b"x")), Some(404));
        own.close();
        assert_eq!(status(boxes.post(id.as_bytes(), b"second")), Some(404));
        assert_eq!(own.next().await.as_deref(), Some(&b"first"[..]));
        assert_eq!(own.next().await, None);
        drop(own);
        assert_eq!(status(boxes.post(id.as_bytes(), b"third")), Some(404));
        assert_eq!(boxes.by_id.len(), 0);
    }

    #[tokio::test]
    async fn a_mailbox_is_full_by_count_and_by_bytes_and_has_room_again_once_taken() {
        let boxes = Mailboxes::default();
        let (mut many, mut large) = (boxes.open().expect("random bits"), boxes.open().expect("random bits"));
        let id = many.id().into_owned();
        for _ in 0..limits::POSTED_MESSAGES_MAX {
            assert_eq!(status(boxes.post(id.as_bytes(), b"x")), None);
        }
        assert_eq!(status(boxes.post(id.as_bytes(), b"x")), Some(503));
        assert!(many.next().await.is_some());
        assert_eq!(status(boxes.post(id.as_bytes(), b"x")), None);

        let (id, body) = (large.id().into_owned(), vec![b' '; limits::BODY_BYTES_MAX]);
        for expected in [None, None, Some(503)] {
            assert_eq!(status(boxes.post(id.as_bytes(), &body)), expected);
        }
        assert!(large.next().await.is_some());
        assert_eq!(status(boxes.post(id.as_bytes(), &body)), None);
    }
}
