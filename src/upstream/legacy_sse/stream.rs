//! The stream: opened, greeted over, read until it ends, and opened again.

use std::cell::Cell;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{Link, reference};
use crate::limits;
use crate::mcp::envelope::Shape;
use crate::mcp::sse;
use crate::upstream::greeting::{self, Collected};
use crate::upstream::http;
use crate::upstream::http::connection::{Connection, Media};
use crate::upstream::multiplex::{Errand, Inbound, Strays};
use crate::upstream::status::{Backoff, Status};
use crate::upstream::verbosity::Verbosity;
use crate::upstream::{Error, Greeting, Kind, Reason};

impl Link {
    /// Keeps a stream open until the gateway stops.
    pub(super) async fn run(self: Rc<Self>, mut errands: mpsc::Receiver<(u64, Errand)>) {
        let mut backoff = Backoff::default();
        for generation in 1.. {
            self.status.send_replace(Status::Starting);
            let mut served = None;
            let error = tokio::select! {
                error = self.serve(generation, &mut errands, &mut served) => error,
                () = self.closing.notified() => break,
            };
            tracing::warn!(backend = self.backend, %error, "stream is gone");
            self.asked.borrow_mut().clear();
            self.calls.lose(generation, |_id| error.clone());
            let delay = backoff.after(served.map_or(Duration::ZERO, |since: Instant| since.elapsed()));
            if !delay.is_zero() {
                self.status.send_replace(Status::Down(error.before_the_call()));
                tokio::select! {
                    () = self.rest(delay) => {}
                    () = self.closing.notified() => break,
                }
            }
        }
        self.status.send_replace(Status::Closed);
    }

    /// Waits before the next attempt; a call that would need the stream shortens it.
    async fn rest(&self, delay: Duration) {
        let (first, _) = limits::RESPAWN_BACKOFF;
        tokio::time::sleep(first.min(delay)).await;
        tokio::select! {
            () = tokio::time::sleep(delay.saturating_sub(first)) => {}
            () = self.wanted.notified() => {}
        }
    }

    /// Opens a stream, greets the server over it, and carries until it ends; says why it did.
    async fn serve(
        self: &Rc<Self>,
        generation: u64,
        errands: &mut mpsc::Receiver<(u64, Errand)>,
        served: &mut Option<Instant>,
    ) -> Error {
        let connection = match patiently(self.open()).await {
            Ok(connection) => connection,
            Err(error) => return error,
        };
        let (tell, told) = oneshot::channel();
        let mut reading = pin!(self.read(generation, connection, tell));
        let told = async { told.await.map_err(|_ended| Error::unavailable("its stream ended")) };
        let endpoint = tokio::select! {
            error = &mut reading => return error,
            endpoint = patiently(told) => endpoint,
        };
        let resolved = endpoint.and_then(|endpoint| {
            reference::resolve(&self.url, &endpoint).map_err(|detail| Error::new(Kind::Protocol, false, detail))
        });
        match resolved {
            Ok(path) => {
                self.post_head.replace(Rc::from(self.client.post_head(&path).into_bytes()));
            }
            Err(error) => return error,
        }
        // From here on the server may ask, and is answered.
        let mut running = pin!(async {
            tokio::select! {
                error = reading => error,
                () = self.run_errands(generation, errands) => Error::unavailable("the gateway stops"),
                () = self.session_over(generation) => Error::lost(true, "it knows the session no more"),
            }
        });
        let greeted = tokio::select! {
            error = &mut running => return error,
            greeted = patiently(self.introduce(generation)) => greeted,
        };
        match greeted {
            Ok(greeting) => {
                tracing::info!(backend = self.backend, revision = %greeting.revision, "backend greeted");
                self.verbosity.replace(Verbosity::new(&greeting));
                self.status.send_replace(Status::Ready { generation, greeting: Arc::new(greeting) });
            }
            Err(error) => return error,
        }
        *served = Some(Instant::now());
        running.await
    }

    /// Asks for a stream.
    async fn open(&self) -> Result<Connection, Error> {
        let endpoint = &self.client.endpoint;
        let own = "accept: text/event-stream\r\ncache-control: no-store\r\n\r\n";
        let request = endpoint.head("GET", &endpoint.path) + own;
        let mut connection = self.client.connection(true).await?;
        let lost = |(_, error)| Error::unavailable(format!("write to {}: {error}", endpoint.authority));
        connection.write(request.as_bytes()).await.map_err(lost)?;
        let response = connection.response().await.map_err(|error| self.client.read_error(error))?;
        match (response.status, response.media) {
            (200, Media::EventStream) => Ok(connection),
            (200, _) => Err(Error::protocol("it answered with something else than an event stream")),
            (status @ (401 | 403), _) => {
                Err(Error::new(Kind::Auth, false, format!("`{}` answered with status {status}", endpoint.shown)))
            }
            (status, _) => {
                let url = &endpoint.shown;
                Err(Error::protocol(format!("`{url}` answered with status {status} and no event stream")))
            }
        }
    }

    /// Reads events until the stream ends; says why it did.
    async fn read(&self, generation: u64, mut connection: Connection, tell: oneshot::Sender<String>) -> Error {
        let mut tell = Some(tell);
        let mut decoder = sse::Decoder::new(limits::EVENT_BYTES_MAX);
        let mut strays = Strays::default();
        loop {
            let mut part = match connection.next_part().await {
                Ok(Some(part)) => part,
                Ok(None) => return Error::lost(true, "its stream ended"),
                Err(error) => return self.client.read_error(error),
            };
            while !part.is_empty() {
                let (taken, event) = match decoder.decode(part) {
                    Ok(decoded) => decoded,
                    Err(error) => return Error::new(Kind::ResponseTooLarge, true, error.to_string()),
                };
                part = &part[taken..];
                match event {
                    Some(event) if event.name == "endpoint" => {
                        // Only the first one counts: where messages go does not change under way.
                        if let Some(tell) = tell.take() {
                            drop(tell.send(String::from_utf8_lossy(event.data).into_owned()));
                        }
                    }
                    Some(event) if event.is_message() => {
                        if let Err(error) = self.sort(generation, event.data, &mut strays) {
                            return error;
                        }
                    }
                    _ => {}
                }
            }
        }
    }

    /// Hands a message to the call that it belongs to.
    fn sort(&self, generation: u64, source: &[u8], strays: &mut Strays) -> Result<(), Error> {
        let head = strays
            .scan((&self.backend, &self.audience.dropped), source)
            .map_err(|error| Error::protocol(error.to_string()))?;
        let Some(head) = head else { return Ok(()) };
        let owner = match head.shape {
            Shape::Request => self.asked.borrow_mut().owner_of_request(source, &head, self.profile),
            _ => self.asked.borrow_mut().owner(source, &head),
        };
        let placed = owner.map(|id| self.calls.push(id, Inbound::new(Bytes::copy_from_slice(source), &head)));
        match placed {
            Some(None) => {}
            // Its id is of this worker: the call is there, and its client does not read.
            Some(Some(_)) if head.shape == Shape::Notification => self.audience.dropped.add(Reason::Unread),
            _ if head.shape == Shape::Request => {
                let nobody = (self.profile, greeting::UNASKED);
                if let Some(reply) = greeting::reply(source, &head, nobody, &self.audience.dropped) {
                    // A server that asks and does not take what it is answered is not answered any more.
                    drop(self.errands.try_send((generation, Errand::new(reply))));
                }
            }
            _ if self.audience.takes(source, &head) => {}
            _ => self.audience.dropped.stray(&self.backend, &head),
        }
        Ok(())
    }

    /// The handshake, answered on the stream.
    async fn introduce(self: &Rc<Self>, generation: u64) -> Result<Greeting, Error> {
        let id = self.ids.mint();
        let mut collected = Collected::default();
        let request = self.request(&greeting::initialize(id, self.profile));
        self.carry(id, generation, &request, &Cell::new(false), &mut collected).await?;
        let refused = |detail| Error::new(Kind::Protocol, false, detail);
        let (source, head) = collected.0.ok_or_else(|| refused("`initialize` was not answered".to_owned()))?;
        let greeting = greeting::initialized(&source, &head).map_err(refused)?;
        self.tell(generation, greeting::INITIALIZED).await?;
        Ok(greeting)
    }

    /// Posts a message that no answer comes to.
    async fn tell(&self, generation: u64, message: &str) -> Result<(), Error> {
        let mut refusal = None;
        let told = async {
            let connection = self.client.send(&self.request(message), &Cell::new(false)).await?;
            self.finish(connection, generation, |error| refusal = Some(error)).await;
            Ok(())
        };
        let late = |_elapsed| Err(Error::unavailable("it takes no messages"));
        tokio::time::timeout(2 * limits::WRITE_TIMEOUT, told).await.unwrap_or_else(late)?;
        refusal.map_or(Ok(()), Err)
    }

    fn request(&self, message: &str) -> Vec<u8> {
        let mut request = self.post_head.borrow().to_vec();
        http::end_head(&mut request, message.len());
        request.extend_from_slice(message.as_bytes());
        request
    }

    /// Posts errands, one after the other; those of earlier streams have lost their point.
    async fn run_errands(&self, generation: u64, errands: &mut mpsc::Receiver<(u64, Errand)>) {
        while let Some((meant, errand)) = errands.recv().await {
            if meant != generation {
                continue;
            }
            let outcome = self.tell(generation, &errand.message).await;
            if let Err(error) = &outcome {
                tracing::warn!(backend = self.backend, %error, "a message could not be posted");
            }
            errand.ended(outcome);
        }
    }

    /// Ready once the server said that it does not know this stream.
    async fn session_over(&self, generation: u64) {
        while self.over.get() != generation {
            self.is_over.notified().await;
        }
    }
}

/// A step of coming up.
async fn patiently<T>(step: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    let late = |_elapsed| Err(Error::unavailable("it answered no greeting in time"));
    tokio::time::timeout(limits::PROBE_TIMEOUT, step).await.unwrap_or_else(late)
}
