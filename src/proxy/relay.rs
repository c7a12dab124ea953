//! The way of a backend's messages to the client of a call.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use super::bridge::{self, Caller};
use super::edition;
use super::interview::{self, Answered, InputRequest, InputRequired};
use super::parked::Desk;
use super::session::{Inquiry, Questions, wire_id};
use super::tasks::{self, Origin, TaskIds};
use super::teams::state::{self, Marks};
use super::{Answer, Downstream, Shared};
use crate::catalog::Era;
use crate::catalog::plan::Backend;
use crate::clock::Deadline;
use crate::limits;
use crate::mcp::client::Profile;
use crate::mcp::envelope::{self, Id};
use crate::mcp::json::Span;
use crate::mcp::parts;
use crate::mcp::splice::Splice;
use crate::upstream::{Error, Gone, Kind, Message, Relay};

/// Writes to one client what belongs to its call.
#[derive(Debug)]
pub(crate) struct ClientRelay<'a, D> {
    caller: &'a Caller<'a>,
    /// The backend whose name the URIs in the answer bear, if they do.
    rewrites: Option<&'static Backend>,
    downstream: &'a D,
    deadline: &'a Deadline,
    timeout: Duration,
    began: Instant,
    left: Rc<Cell<bool>>,
    told: bool,
    answered: bool,
    questions: &'a Questions,
    tasks: &'a TaskIds,
    /// Who has the call.
    origin: Origin,
    /// What that may ask of clients.
    asks: Profile,
    /// Others could get the call that answers what it asks: the client is told to whom that belongs.
    marks: Marks,
    /// What a legacy backend asks, by the ids that it gave. Only few do.
    inquiry: Option<Box<Inquiry<'a, Box<[u8]>>>>,
    /// The result by which a modern backend asks.
    required: Option<Box<[u8]>>,
    /// The answer by which a modern backend refuses the headers of the call. Only the first one is kept back.
    refusal: HeaderRefusal,
    /// What is done where a legacy backend begins a task.
    begins: Begins,
    /// The task that the gateway follows for the client, as its backend knows it.
    follows: Option<Box<str>>,
}

/// Whether a backend has refused the headers of a call.
#[derive(Debug, Default)]
enum HeaderRefusal {
    #[default]
    No,
    Now(Box<[u8]>),
    Before,
}

/// What becomes of the answer by which a legacy backend begins a task.
#[derive(Debug)]
enum Begins {
    /// The client reads it.
    Told,
    /// The gateway follows the task.
    Expected,
    /// It does so: this one.
    Begun(String),
}

impl<'a, D: Downstream> ClientRelay<'a, D> {
    pub(crate) fn new(
        (caller, rewrites): (&'a Caller<'a>, Option<&'static Backend>),
        downstream: &'a D,
        deadline: &'a Deadline,
        timeout: Duration,
        shared: &'a Shared,
        origin: Origin,
    ) -> Self {
        let (questions, tasks) = (&shared.sessions.questions, &shared.tasks);
        let (began, left) = (Instant::now(), Rc::default());
        let (told, answered, marks, asks, inquiry, required) = (false, false, Marks::None, Profile::NONE, None, None);
        let refusal = HeaderRefusal::No;
        Self {
            caller,
            rewrites,
            downstream,
            deadline,
            timeout,
            began,
            left,
            told,
            answered,
            questions,
            tasks,
            origin,
            asks,
            marks,
            inquiry,
            required,
            refusal,
            begins: Begins::Told,
            follows: None,
        }
    }

    /// Whether a message that came on what calls share is about a task that is not this call's.
    fn is_of_another(&self, message: &Message<'_>) -> bool {
        let named = TaskIds::named(message);
        named.is_some_and(|named| match &self.follows {
            Some(own) => **own != *named,
            None => self.tasks.of(self.caller).as_deref() != Some(&*named),
        })
    }

    /// The backend is to begin a task, which the gateway follows.
    pub(crate) fn expect_task(&mut self) {
        self.begins = Begins::Expected;
    }

    /// The task that it has begun; from now on there is all the time that a call has.
    pub(crate) fn take_task(&mut self) -> Option<(String, Option<u16>)> {
        let Begins::Begun(task) = std::mem::replace(&mut self.begins, Begins::Told) else { return None };
        self.follows = Some(task.as_str().into());
        self.timeout = limits::CALL_MAX;
        self.rearm();
        Some((task, self.origin.child))
    }

    pub(crate) fn downstream(&self) -> &'a D {
        self.downstream
    }

    /// Another backend has the call from now on, which may ask this of clients; and which of its states are marked.
    pub(crate) fn turn_to(&mut self, backend: &'static str, asks: Profile, marks: Marks) {
        (self.origin.backend, self.origin.child, self.asks, self.marks) = (backend, None, asks, marks);
        self.begins = Begins::Told;
    }

    /// What of this client the backend may ask.
    fn profile(&self) -> Profile {
        self.caller.profile.and(self.asks)
    }

    /// When the call came.
    pub(crate) fn began(&self) -> Instant {
        self.began
    }

    /// How long the call has taken so far.
    pub(crate) fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    pub(crate) fn accepts_stream(&self) -> bool {
        self.caller.accepts_stream
    }

    /// After which time without an answer the client's stream begins.
    pub(crate) fn quiet(&self) -> Duration {
        self.caller.quiet
    }

    /// Set when the client went away and its call goes on.
    pub(crate) fn left(&self) -> Rc<Cell<bool>> {
        Rc::clone(&self.left)
    }

    /// Whether the client is there no more, as far as can be known by now.
    pub(crate) async fn is_left(&self) -> bool {
        self.left.get() || poll_fn(|cx| Poll::Ready(self.downstream.poll_left(cx).is_ready())).await
    }

    /// Whether the client was told something of what became of its call: another backend would tell it anew, and
    /// progress must not go back (MCP 2026-07-28, progress). Comments on the stream tell nothing.
    pub(crate) fn told(&self) -> bool {
        self.told
    }

    /// The result by which the backend asked for input of the client, instead of an answer.
    pub(crate) fn take_required(&mut self) -> Option<Box<[u8]>> {
        self.required.take()
    }

    /// The answer by which the backend refused the headers of the call, the first time that one did.
    pub(crate) fn take_refusal(&mut self) -> Option<Box<[u8]>> {
        match &mut self.refusal {
            HeaderRefusal::Now(answer) => {
                let answer = std::mem::take(answer);
                self.refusal = HeaderRefusal::Before;
                Some(answer)
            }
            HeaderRefusal::No | HeaderRefusal::Before => None,
        }
    }

    /// Writes that answer to the client after all.
    pub(crate) async fn refuse(&mut self, answer: &[u8]) -> Result<(), Error> {
        let head = envelope::outgoing(answer).map_err(|_scanned_before| Error::protocol("its answer is no message"))?;
        self.answer(Message { source: answer, head: &head, era: Era::Modern }).await
    }

    /// Ends a call of several clients whose backend asks them something: each makes its own.
    fn go_apart(&self) -> Result<(), Error> {
        match self.caller.apart {
            Some(apart) => {
                apart.set(true);
                Err(Error::client_gone())
            }
            None => Ok(()),
        }
    }

    /// Whether the client can be asked anything.
    fn can_ask(&self) -> bool {
        self.caller.era == Era::Legacy && self.caller.accepts_stream && !self.left.get()
    }

    /// From now on the backend has its time again, or the client all that is left.
    fn rearm(&self) {
        let left = limits::CALL_MAX.saturating_sub(self.elapsed());
        let asks = self.inquiry.as_ref().is_some_and(|inquiry| inquiry.is_open())
            || self.caller.desk.is_some_and(Desk::is_asking);
        self.deadline.set(if asks { left } else { self.timeout.min(left) });
    }

    /// Writes to the client what it has to read for its call to go on.
    async fn tell(&mut self, message: &[&[u8]]) -> Result<(), Error> {
        self.told = true;
        // As of a part of an answer: how long the client takes to read is not the backend's time.
        self.deadline.clear();
        match self.downstream.event(message).await {
            // A legacy client that left has not cancelled: its call goes on.
            Err(Gone) if self.caller.era == Era::Legacy => self.left.set(true),
            written => written?,
        }
        Ok(())
    }

    /// Tells the client that nobody waits any more for what it was asked.
    async fn withdraw(&mut self, of: impl Fn(&Box<[u8]>) -> bool) -> Result<(), Error> {
        let numbers = self.inquiry.as_mut().map(|inquiry| inquiry.withdraw(of)).unwrap_or_default();
        for number in numbers {
            let message = format!(
                r#"{{"jsonrpc":"2.0","method":"notifications/cancelled","params":{{"requestId":{}}}}}"#,
                wire_id(number)
            );
            self.tell(&[message.as_bytes()]).await?;
        }
        Ok(())
    }

    /// Puts to the client what a modern backend requires. What comes out are the members of `params` with which the call
    /// is to be made again; nothing where the client refused, and has its answer.
    pub(crate) async fn interview(&mut self, required: &[u8]) -> Result<Option<String>, Error> {
        let required = InputRequired::read(required)?;
        let requests = &required.input_requests;
        if !requests.is_empty() {
            self.go_apart()?;
        }
        let Some(session) = self.caller.session.filter(|_| self.can_ask() || requests.is_empty()) else {
            return Err(Error::protocol("it asks for input of a client that cannot be asked"));
        };
        if !requests.values().all(|request| request.may_be_asked(self.profile())) {
            return Err(Error::protocol("it asks for input that nobody declared to give"));
        }
        let mut inquiry = self.questions.inquire(session);
        for (key, request) in requests {
            let number =
                inquiry.ask(key).ok_or_else(|| Error::protocol("it asks for more input at once than may be"))?;
            self.tell(&[request.question(number).as_bytes()]).await?;
            if self.left.get() {
                // Nobody was asked: nobody will answer.
                return Err(Error::client_gone());
            }
        }
        self.deadline.set(limits::CALL_MAX.saturating_sub(self.elapsed()));
        let (mut responses, mut length) = (BTreeMap::new(), 0);
        while inquiry.is_open() {
            let (key, answer) = inquiry.next().await;
            let response = match (interview::answered(&answer)?, requests.get(key).and_then(InputRequest::declined)) {
                (Answered::Result(result), _) => String::from_utf8_lossy(result).into_owned(),
                (Answered::Error(_), Some(declined)) => declined.to_owned(),
                (Answered::Error(error), None) => {
                    self.answered = true;
                    let parts: &[&[u8]] = &[br#"{"jsonrpc":"2.0","id":"#, self.caller.id, br#","error":"#, error, b"}"];
                    self.tell(parts).await?;
                    self.downstream.finish().await?;
                    return Ok(None);
                }
            };
            length += response.len();
            if length > limits::BODY_BYTES_MAX {
                let detail = format!("its client's answers are longer than {} bytes", limits::BODY_BYTES_MAX);
                return Err(Error::new(Kind::Overloaded, true, detail));
            }
            responses.insert(key.clone(), response.into());
        }
        self.rearm();
        Ok(Some(required.members(&responses)))
    }

    /// Writes to the client what its call comes to.
    async fn respond(&mut self, status: u16, body: &[&[u8]]) -> Result<(), Error> {
        if self.inquiry.is_some() && !self.left.get() {
            self.withdraw(|_| true).await?;
        }
        self.answered = true;
        if self.left.get() {
            return Err(Error::client_gone());
        }
        // The backend is done: how long the client takes to read is the downstream's to bound.
        self.deadline.clear();
        if self.downstream.streaming() {
            self.downstream.event(body).await?;
            return Ok(self.downstream.finish().await?);
        }
        Ok(self.downstream.answer(&Answer { status, fields: "", body, close: false }).await?)
    }

    /// Whether a backend began to answer, be its client there to read it or not.
    pub(crate) fn answered(&self) -> bool {
        self.answered
    }
}

impl<D: Downstream> Relay for ClientRelay<'_, D> {
    fn taken_by(&mut self, child: u16) {
        self.origin.child = Some(child);
    }

    async fn notification(&mut self, message: Message<'_>) -> Result<(), Error> {
        if let (Some(desk), Some(id)) = (self.caller.desk, bridge::cancelled(&message)) {
            desk.withdraw(id);
        } else if let (Some(_), Some(id)) = (&self.inquiry, bridge::cancelled(&message)) {
            self.withdraw(|theirs| **theirs == *id).await?;
        } else if self.caller.accepts_stream
            && !self.left.get()
            && !(tasks::is_about(self.caller) && self.is_of_another(&message))
            // One that names no task as its client may is none for it.
            && let Ok(ids) = self.tasks.edits(&message, self.caller, self.origin)
            && let Some(mut splice) = bridge::notification(&message, self.caller)
        {
            ids.iter().for_each(|(span, id)| splice.replace(*span, id.as_bytes()));
            self.tell(&slices(&splice)).await?;
        }
        // A call that reports progress is alive; it still ends at `CALL_MAX`.
        self.rearm();
        Ok(())
    }

    async fn request(&mut self, message: Message<'_>) -> Result<bool, Error> {
        let (Id::Number(span) | Id::String(span)) = message.head.id else { return Ok(false) };
        if self.is_of_another(&message) {
            return Ok(false);
        }
        if interview::may_ask(self.profile(), &message) {
            self.go_apart()?;
        }
        if let Some(desk) = self.caller.desk {
            let asked = interview::may_ask(self.profile(), &message) && desk.ask(span.of(message.source), &message);
            self.told |= asked;
            self.rearm();
            return Ok(asked);
        }
        let Some(session) = self.caller.session.filter(|_| self.can_ask()) else { return Ok(false) };
        if !interview::may_ask(self.profile(), &message) {
            return Ok(false);
        }
        let theirs: Box<[u8]> = span.of(message.source).into();
        let inquiry = self.inquiry.get_or_insert_with(|| Box::new(self.questions.inquire(session)));
        let Some(number) = inquiry.ask(theirs.clone()) else { return Ok(false) };
        let id = wire_id(number);
        let ids = self.tasks.edits(&message, self.caller, self.origin)?;
        let mut splice = Splice::new(message.source);
        splice.replace(span, id.as_bytes());
        ids.iter().for_each(|(span, id)| splice.replace(*span, id.as_bytes()));
        self.tell(&slices(&splice)).await?;
        if self.left.get() {
            self.withdraw(|other| *other == theirs).await?;
            self.rearm();
            return Ok(false);
        }
        self.rearm();
        Ok(true)
    }

    async fn reply(&mut self) -> String {
        if let Some(desk) = self.caller.desk {
            let reply = desk.reply().await;
            self.rearm();
            return reply;
        }
        let Some(inquiry) = &mut self.inquiry else { return std::future::pending().await };
        let (theirs, answer) = inquiry.next().await;
        self.rearm();
        self.tasks.restored(interview::reply(&theirs, &answer), self.caller)
    }

    async fn answer(&mut self, message: Message<'_>) -> Result<(), Error> {
        if self.caller.era == Era::Legacy
            && !self.caller.head.resumes
            && bridge::requires_input(&message, self.caller.kind)
        {
            self.required = message.head.result.map(|result| result.span.of(message.source).into());
            return Ok(());
        }
        if matches!(self.refusal, HeaderRefusal::No) && bridge::refuses_headers(&message, self.caller.kind) {
            self.refusal = HeaderRefusal::Now(message.source.into());
            return Ok(());
        }
        if matches!(self.begins, Begins::Expected)
            && let Some(task) = tasks::begun(&message)
        {
            self.begins = Begins::Begun(task);
            return Ok(());
        }
        if self.asks != Profile::ASKABLE && self.caller.era == Era::Modern {
            interview::check(&message, self.caller.kind, self.asks)?;
        }
        if let Some(pages) = interview::pages(&message, self.caller, self.profile()) {
            return self.respond(200, &[pages.as_bytes()]).await;
        }
        let ids = self.tasks.edits(&message, self.caller, self.origin)?;
        let marked = state::marked(self.marks, &message, self.caller, self.origin.backend);
        let edits = edition::edits(&message, self.caller, self.rewrites);
        let (mut splice, status) = bridge::answer(&message, self.caller, &edits)?;
        ids.iter().for_each(|(span, id)| splice.replace(*span, id.as_bytes()));
        if let Some((span, state)) = &marked {
            splice.replace(*span, state.as_bytes());
        }
        self.respond(status, &slices(&splice)).await
    }

    fn takes_parts(&self, era: Era) -> bool {
        let may_be_marked = self.marks == Marks::All && state::may_mark(self.caller);
        // What may change inside has to be there whole, and a stream that began carries whole messages.
        era == self.caller.era
            && !edition::may_differ(self.caller, self.rewrites, era)
            && !tasks::changes_results(self.caller)
            && !may_be_marked
            && self.downstream.takes_parts()
            && !self.downstream.streaming()
            && !self.left.get()
    }

    async fn begin(&mut self, before: &[u8], length: u64, minted: usize) -> Result<(), Error> {
        let head = parts::opening(before).map_err(|_scanned_before| Error::protocol("its answer has no beginning"))?;
        let mut splice = Splice::new(before);
        if let Id::Number(span) | Id::String(span) = head.id {
            splice.replace(span, self.caller.id);
        }
        self.answered = true;
        self.deadline.clear();
        let length = (length + self.caller.id.len() as u64).saturating_sub(minted as u64);
        self.downstream.begin(length, &slices(&splice)).await?;
        self.deadline.set(self.timeout);
        Ok(())
    }

    async fn part(&mut self, part: &[u8]) -> Result<(), Error> {
        // The deadline is for a backend that says nothing, not for a client that reads slowly.
        self.deadline.clear();
        self.downstream.part(&[part]).await?;
        self.deadline.set(self.timeout.min(limits::CALL_MAX.saturating_sub(self.elapsed())));
        Ok(())
    }

    async fn end(&mut self, after: &[u8], id: Option<Span>) -> Result<(), Error> {
        let mut splice = Splice::new(after);
        if let Some(span) = id {
            splice.replace(span, self.caller.id);
        }
        self.deadline.clear();
        Ok(self.downstream.part(&slices(&splice)).await?)
    }
}

fn slices<'a>(splice: &Splice<'a>) -> SmallVec<[&'a [u8]; 16]> {
    let mut slices = SmallVec::new();
    splice.slices(|slice| slices.push(slice));
    slices
}
