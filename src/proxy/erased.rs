//! Any downstream behind a pointer. The data plane is compiled for each kind of downstream that it is given: for the one
//! on the straight path, which costs nothing there, and once more for this, which all others go through.

use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Answer, Downstream, Left};
use crate::upstream::Gone;

/// A downstream whose kind is known at run time alone.
pub(crate) struct Erased<'a>(&'a dyn Object);

type Written<'f> = Pin<Box<dyn Future<Output = Result<(), Gone>> + 'f>>;

/// [`Downstream`] with futures that have a size.
trait Object {
    fn answer<'f>(&'f self, answer: &'f Answer<'_>) -> Written<'f>;
    fn begin<'f>(&'f self, length: u64, parts: &'f [&[u8]]) -> Written<'f>;
    fn part<'f>(&'f self, parts: &'f [&[u8]]) -> Written<'f>;
    fn event<'f>(&'f self, message: &'f [&[u8]]) -> Written<'f>;
    fn raw<'f>(&'f self, events: &'f [u8]) -> Written<'f>;
    fn keep_alive(&self) -> Written<'_>;
    fn finish(&self) -> Written<'_>;
    fn streaming(&self) -> bool;
    fn takes_parts(&self) -> bool;
    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left>;
}

impl<'a> Erased<'a> {
    pub(crate) fn new(downstream: &'a impl Downstream) -> Self {
        Self(downstream)
    }
}

impl Downstream for Erased<'_> {
    const DETACHED: bool = true;

    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.0.answer(answer).await
    }

    async fn begin(&self, length: u64, parts: &[&[u8]]) -> Result<(), Gone> {
        self.0.begin(length, parts).await
    }

    async fn part(&self, parts: &[&[u8]]) -> Result<(), Gone> {
        self.0.part(parts).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        self.0.event(message).await
    }

    async fn raw(&self, events: &[u8]) -> Result<(), Gone> {
        self.0.raw(events).await
    }

    async fn keep_alive(&self) -> Result<(), Gone> {
        self.0.keep_alive().await
    }

    async fn finish(&self) -> Result<(), Gone> {
        self.0.finish().await
    }

    fn streaming(&self) -> bool {
        self.0.streaming()
    }

    fn takes_parts(&self) -> bool {
        self.0.takes_parts()
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        self.0.poll_left(cx)
    }
}

impl<D: Downstream> Object for D {
    fn answer<'f>(&'f self, answer: &'f Answer<'_>) -> Written<'f> {
        Box::pin(Downstream::answer(self, answer))
    }

    fn begin<'f>(&'f self, length: u64, parts: &'f [&[u8]]) -> Written<'f> {
        Box::pin(Downstream::begin(self, length, parts))
    }

    fn part<'f>(&'f self, parts: &'f [&[u8]]) -> Written<'f> {
        Box::pin(Downstream::part(self, parts))
    }

    fn event<'f>(&'f self, message: &'f [&[u8]]) -> Written<'f> {
        Box::pin(Downstream::event(self, message))
    }

    fn raw<'f>(&'f self, events: &'f [u8]) -> Written<'f> {
        Box::pin(Downstream::raw(self, events))
    }

    fn keep_alive(&self) -> Written<'_> {
        Box::pin(Downstream::keep_alive(self))
    }

    fn finish(&self) -> Written<'_> {
        Box::pin(Downstream::finish(self))
    }

    fn streaming(&self) -> bool {
        Downstream::streaming(self)
    }

    fn takes_parts(&self) -> bool {
        Downstream::takes_parts(self)
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        Downstream::poll_left(self, cx)
    }
}
