//! JSON-RPC batches, which MCP 2025-03-26 has and no other revision: each message is served as if it had come alone, side
//! by side with the others, and the answers leave as one array.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use serde_json::value::RawValue;

use super::erased::Erased;
use super::error::Refusal;
use super::{Answer, Carrier, Downstream, Left, Post, Worker, answer, id, legacy, respond, unreadable};
use crate::catalog::{Era, Revision, Topology, View};
use crate::limits;
use crate::mcp::envelope::{self, Incoming, Shape};
use crate::upstream::{self, Gone};

/// The messages of a batch, in a session that may have one.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    view: &'static View,
    carrier: Carrier<'a>,
    messages: Vec<&'a RawValue>,
}

/// Where the answer to one message goes.
struct Place<'a> {
    downstream: &'a Erased<'a>,
    answer: RefCell<Vec<u8>>,
    /// How many bytes all answers may still take.
    left_bytes: &'a Cell<usize>,
    id: Option<&'a [u8]>,
}

// === impl Batch ===

impl<'a> Batch<'a> {
    /// The batch that a body is; `None` where it is none, or comes in a session of another revision.
    pub(crate) fn of<T: Topology>(
        worker: &Worker<T>,
        view: &'static View,
        carrier: Carrier<'a>,
        body: &'a [u8],
    ) -> Option<Self> {
        let messages: Vec<&RawValue> = serde_json::from_slice(body).ok()?;
        let revision = legacy::revision(worker, view, carrier)?;
        (revision == Revision::V2025_03_26).then_some(Self { view, carrier, messages })
    }

    /// Answers it: the answers in the order of their requests, or nothing where nothing was asked.
    pub(crate) async fn serve<T: Topology>(&self, worker: &Worker<T>, downstream: &Erased<'_>) -> Result<(), Gone> {
        let refused = match self.messages.len() {
            0 => Some(Refusal::InvalidRequest("batch is empty".into())),
            1..=limits::BATCH_MESSAGES_MAX => None,
            _ => {
                let text = format!("batch has more than {} messages", limits::BATCH_MESSAGES_MAX);
                Some(Refusal::InvalidRequest(text.into()))
            }
        };
        if let Some(refusal) = refused {
            // No single message is at fault: it is the request that is refused.
            return respond::refuse(downstream, &refusal, Era::Modern, None).await;
        }
        let left_bytes = Cell::new(limits::ANSWER_BYTES_MAX);
        let scanned = self.messages.iter().map(|message| envelope::incoming(message.get().as_bytes()));
        let scanned: Vec<_> = scanned.collect();
        let place = |(message, scanned): (&&'a RawValue, &Result<Incoming, _>)| {
            let id = scanned.as_ref().ok().and_then(|scanned| id(scanned.id, message.get().as_bytes()).ok());
            Place { downstream, answer: RefCell::default(), left_bytes: &left_bytes, id }
        };
        let places: Vec<Place<'_>> = self.messages.iter().zip(&scanned).map(place).collect();
        let exchanges = self.messages.iter().zip(&scanned).zip(&places);
        let mut exchanges: Vec<_> = exchanges
            .map(|((message, scanned), place)| {
                let body = message.get().as_bytes();
                Some(Box::pin(async move {
                    match scanned {
                        Ok(message) => self.one(worker, (body, message), &Erased::new(place), place.id).await,
                        Err(error) => unreadable(*error, body, &Erased::new(place)).await,
                    }
                }))
            })
            .collect();
        poll_fn(|cx| poll_all(&mut exchanges, cx)).await?;
        drop(exchanges);
        let answers: Vec<Vec<u8>> = places.into_iter().map(|place| place.answer.into_inner()).collect();
        let answers: Vec<&[u8]> = answers.iter().map(Vec::as_slice).filter(|answer| !answer.is_empty()).collect();
        if answers.is_empty() {
            return respond::accepted(downstream).await;
        }
        let body = [b"[", &answers.join(&b","[..])[..], b"]"];
        downstream.answer(&Answer { status: 200, fields: "", body: &body, close: false }).await
    }

    async fn one<T: Topology>(
        &self,
        worker: &Worker<T>,
        (body, message): (&[u8], &Incoming),
        place: &Erased<'_>,
        id: Option<&[u8]>,
    ) -> Result<(), Gone> {
        // MCP 2025-03-26, lifecycle: there is no session to have batches in before it is answered.
        if message.method.is_some_and(|method| method.is(body, "initialize")) && message.shape == Shape::Request {
            let refusal = Refusal::InvalidRequest("`initialize` must not be part of a batch".into());
            return respond::refuse(place, &refusal, Era::Legacy, id).await;
        }
        let post = Post::new(self.view, self.carrier, body, message);
        answer(worker, &post, false, place).await
    }
}

/// Ready once all are, or one finds its client gone.
fn poll_all<F: Future<Output = Result<(), Gone>>>(
    all: &mut [Option<Pin<Box<F>>>],
    cx: &mut Context<'_>,
) -> Poll<Result<(), Gone>> {
    let mut pending = false;
    for slot in all {
        match slot.as_mut().map(|one| one.as_mut().poll(cx)) {
            Some(Poll::Ready(Ok(()))) => *slot = None,
            Some(Poll::Ready(Err(Gone))) => return Poll::Ready(Err(Gone)),
            Some(Poll::Pending) => pending = true,
            None => {}
        }
    }
    if pending { Poll::Pending } else { Poll::Ready(Ok(())) }
}

// === impl Place ===

impl Downstream for Place<'_> {
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        let length = answer.body.iter().map(|slice| slice.len()).sum();
        let body = match self.left_bytes.get().checked_sub(length) {
            Some(left) => {
                self.left_bytes.set(left);
                answer.body.concat()
            }
            None => {
                let detail = format!("answers to a batch are longer than {} bytes", limits::ANSWER_BYTES_MAX);
                let error = upstream::Error::new(upstream::Kind::ResponseTooLarge, true, detail);
                Refusal::Upstream("batch", &error).verdict(Era::Legacy).body(self.id)
            }
        };
        self.answer.replace(body);
        Ok(())
    }

    async fn event(&self, _message: &[&[u8]]) -> Result<(), Gone> {
        // An array has no room for what is no answer.
        Err(Gone)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.downstream.poll_left(cx)
    }
}
