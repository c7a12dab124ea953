//! Where a parked call and its client leave things for each other: what the backend asks, until somebody comes for it; what
//! the client says, until the backend has it.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use only1mcp_model::SERVER_INFO;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::super::error::Refusal;
use super::super::outputs::{self, Output};
use super::super::{Answer, Downstream, Left};
use super::{Asked, Comeback, Parked, Stay, without_page_id};
use crate::catalog::Era;
use crate::clock::Deadline;
use crate::limits;
use crate::upstream::{Gone, Message};

/// See the module.
pub(in super::super) struct Desk<'a> {
    of: &'a Parked,
    asked: Asked,
    /// How long the message is that the call keeps.
    kept: usize,
    id: &'a [u8],
    /// Whoever waits for what comes now; nobody while the call is parked.
    attendant: RefCell<Option<mpsc::Sender<Output>>>,
    /// Ready once that one is gone.
    gone: RefCell<Option<Leaving>>,
    comebacks: RefCell<mpsc::Receiver<Comeback>>,
    comeback: mpsc::Sender<Comeback>,
    /// What the backend wants to know and was not answered.
    questions: RefCell<Vec<Question>>,
    minted: Cell<u32>,
    /// When the client is to be told of those that it was not told of.
    due: Cell<Option<Instant>>,
    replies: RefCell<VecDeque<String>>,
    /// What the call has for as long as it is parked.
    stay: RefCell<Option<Stay>>,
    /// Until when it may.
    deadline: Deadline,
    /// Nobody is waited for any more.
    over: Cell<bool>,
}

type Leaving = Pin<Box<dyn Future<Output = ()>>>;

#[derive(Debug)]
struct Question {
    key: String,
    /// The id that the backend gave it.
    theirs: Box<[u8]>,
    method: String,
    params: String,
}

/// Backends that ask for several things do so at once: what comes within this is asked together.
const TOGETHER: Duration = Duration::from_millis(5);

impl std::fmt::Debug for Desk<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("questions", &self.questions).finish_non_exhaustive()
    }
}

// === impl Desk ===

impl<'a> Desk<'a> {
    pub(super) fn new(
        of: &'a Parked,
        (asked, kept): (Asked, usize),
        id: &'a [u8],
        outputs: mpsc::Sender<Output>,
        deadline: Deadline,
    ) -> Self {
        let (comeback, comebacks) = mpsc::channel(1);
        let desk = Self {
            of,
            asked,
            kept,
            id,
            attendant: RefCell::default(),
            gone: RefCell::default(),
            comebacks: RefCell::new(comebacks),
            comeback,
            questions: RefCell::default(),
            minted: Cell::default(),
            due: Cell::default(),
            replies: RefCell::default(),
            stay: RefCell::default(),
            deadline,
            over: Cell::new(false),
        };
        desk.attended_by(outputs);
        desk
    }

    /// Takes what the backend asks; `false` when it asks for too much at once.
    pub(in super::super) fn ask(&self, theirs: &[u8], message: &Message<'_>) -> bool {
        let mut questions = self.questions.borrow_mut();
        if questions.len() >= limits::CALL_QUESTIONS_MAX {
            return false;
        }
        let Message { source, head, .. } = *message;
        let method = head.method.map(|method| method.decode(source).into_owned()).unwrap_or_default();
        let params = head.params.map_or(&b"{}"[..], |params| params.span.of(source));
        let params = without_page_id(&String::from_utf8_lossy(params)).unwrap_or_else(|| "{}".to_owned());
        if bytes(&questions) + params.len() > limits::ANSWER_BYTES_MAX {
            return false;
        }
        self.minted.set(self.minted.get() + 1);
        let key = format!("input-{}", self.minted.get());
        questions.push(Question { key, theirs: theirs.into(), method, params });
        self.due.set(self.due.get().or_else(|| Some(Instant::now() + TOGETHER)));
        true
    }

    /// The backend takes back what it asked.
    pub(in super::super) fn withdraw(&self, theirs: &[u8]) {
        self.questions.borrow_mut().retain(|question| *question.theirs != *theirs);
        if !self.is_asking() {
            self.due.set(None);
        }
    }

    /// Whether the backend waits for the client.
    pub(in super::super) fn is_asking(&self) -> bool {
        !self.questions.borrow().is_empty()
    }

    /// The next answer for the backend. Pending while there is none. Cancel safe.
    pub(in super::super) async fn reply(&self) -> String {
        loop {
            let reply = self.replies.borrow_mut().pop_front();
            if let Some(reply) = reply {
                return reply;
            }
            if self.is_parked() {
                // What was asked since, the client hears when it is back.
                match self.come_back().await {
                    Some(comeback) => self.take(comeback),
                    None => self.give_up(),
                }
            } else if let Some(due) = self.due.get() {
                tokio::time::sleep_until(due).await;
                self.tell().await;
            } else {
                std::future::pending::<()>().await;
            }
        }
    }

    fn is_parked(&self) -> bool {
        self.stay.borrow().is_some()
    }

    /// Answers the client with what the backend asks, and parks the call. Cancel safe: nothing changes before there is
    /// room for the answer.
    async fn tell(&self) {
        let attendant = self.attendant.borrow().clone();
        let Some(attendant) = attendant else { return self.give_up() };
        let Ok(place) = attendant.reserve_owned().await else { return self.give_up() };
        self.due.set(None);
        let stay = self.of.park(&self.asked, &self.comeback, self.kept + bytes(&self.questions.borrow()));
        let answer = match &stay {
            Some(stay) => Output::Answer(200, self.required(&stay.state())),
            None => {
                let verdict = Refusal::Unparked.verdict(Era::Modern);
                Output::Answer(verdict.status, verdict.body(Some(self.id)))
            }
        };
        let parked = stay.is_some();
        self.stay.replace(stay);
        self.deadline.set(limits::PARKED_FOR);
        drop(place.send(answer));
        self.attendant.take();
        self.gone.take();
        if !parked {
            self.give_up();
        }
    }

    /// The answer that asks.
    fn required(&self, state: &str) -> Vec<u8> {
        let questions = self.questions.borrow();
        let questions: Vec<String> = questions
            .iter()
            .map(|Question { key, method, params, .. }| {
                let method = serde_json::Value::from(&**method);
                format!(r#""{key}":{{"method":{method},"params":{params}}}"#)
            })
            .collect();
        let result = format!(
            r#"{{"resultType":"input_required","inputRequests":{{{}}},"requestState":"{state}","_meta":{{{SERVER_INFO}}}}}"#,
            questions.join(",")
        );
        [br#"{"jsonrpc":"2.0","id":"#, self.id, br#","result":"#, result.as_bytes(), b"}"].concat()
    }

    /// The client, once it is back; `None` when it took too long.
    async fn come_back(&self) -> Option<Comeback> {
        std::future::poll_fn(|cx| {
            if let Poll::Ready(comeback) = self.comebacks.borrow_mut().poll_recv(cx) {
                return Poll::Ready(comeback);
            }
            self.deadline.poll(cx).map(|()| None)
        })
        .await
    }

    /// Takes what the client says. What it leaves out is asked once more.
    fn take(&self, mut comeback: Comeback) {
        self.stay.take();
        let mut replies = self.replies.borrow_mut();
        self.questions.borrow_mut().retain(|question| match comeback.responses.remove(&question.key) {
            Some(result) => {
                replies.push_back(question.reply(&format!(r#""result":{result}"#)));
                false
            }
            None => true,
        });
        drop(replies);
        self.attended_by(comeback.outputs);
        self.due.set(self.is_asking().then(Instant::now));
    }

    /// Nobody will come back: the backend is told so, as a client would, and has a moment to make the best of it.
    fn give_up(&self) {
        self.over.set(true);
        self.due.set(None);
        self.stay.take();
        let questions = self.questions.take();
        self.replies.borrow_mut().extend(questions.iter().map(|question| question.reply(question.unanswered())));
    }

    /// From now on, what comes is for this one.
    fn attended_by(&self, outputs: mpsc::Sender<Output>) {
        self.gone.replace(Some(outputs::unread(&outputs)));
        self.attendant.replace(Some(outputs));
    }

    async fn put(&self, output: Output) -> Result<(), Gone> {
        let attendant = self.attendant.borrow().clone();
        match attendant {
            Some(attendant) => attendant.send(output).await.map_err(|_closed| Gone),
            None => Err(Gone),
        }
    }
}

impl Downstream for Desk<'_> {
    /// The last thing that is said. It waits for a client that is to come back.
    async fn answer(&self, answer: &Answer<'_>) -> Result<(), Gone> {
        self.questions.take();
        self.due.set(None);
        if self.is_parked() {
            let length = answer.body.iter().map(|piece| piece.len()).sum();
            if !self.stay.borrow_mut().as_mut().is_some_and(|stay| stay.keep(length)) {
                tracing::warn!(length, "an answer was dropped that there is no room for until its client is back");
                return Err(Gone);
            }
            let comeback = self.come_back().await.ok_or(Gone)?;
            self.take(comeback);
        }
        self.put(Output::Answer(answer.status, answer.body.concat())).await
    }

    async fn event(&self, message: &[&[u8]]) -> Result<(), Gone> {
        // While nobody is there, progress is of no use to anybody.
        if self.is_parked() { Ok(()) } else { self.put(Output::Event(message.concat())).await }
    }

    fn poll_left(&self, cx: &mut Context<'_>) -> Poll<Left> {
        if self.over.get() && self.replies.borrow().is_empty() {
            return Poll::Ready(Left::Cancelled);
        }
        match &mut *self.gone.borrow_mut() {
            Some(gone) => gone.as_mut().poll(cx).map(|()| Left::Cancelled),
            None => Poll::Pending,
        }
    }
}

// === impl Question ===

impl Question {
    fn reply(&self, outcome: &str) -> String {
        format!(r#"{{"jsonrpc":"2.0","id":{},{outcome}}}"#, String::from_utf8_lossy(&self.theirs))
    }

    /// What stands in for an answer that will not come.
    fn unanswered(&self) -> &'static str {
        match &*self.method {
            "elicitation/create" => r#""result":{"action":"cancel"}"#,
            "roots/list" => r#""result":{"roots":[]}"#,
            _ => r#""error":{"code":-1,"message":"the client did not come back"}"#,
        }
    }
}

/// How long questions are, all together.
fn bytes(questions: &[Question]) -> usize {
    questions.iter().map(|question| question.params.len()).sum()
}

#[cfg(test)]
mod tests;
