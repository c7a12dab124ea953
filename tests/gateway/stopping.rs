//! SIGTERM while clients call by every way in: what was sent before it has its one right answer, what comes later has
//! that or none, and the program ends as it should.

use std::cell::Cell;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::rc::Rc;

use futures_util::{SinkExt as _, StreamExt as _};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::task::{JoinHandle, yield_now};
use tokio_tungstenite::tungstenite::Message;

use crate::command_line::Started;
use crate::legacy;
use crate::legacy_sse_client::Stream;
use crate::stdio_client::{Gateway as Lines, call as message, initialize};
use crate::support::client::{Answer, Client, Request, within};
use crate::support::http2::Http2;
use crate::support::scripted::{eventually, signal};
use crate::support::socket::SocketClient;

/// Calls that a client has under way on one connection.
const AT_ONCE: u64 = 4;

/// What is known of one client.
#[derive(Debug, Default)]
struct Course {
    /// The signal is about to be sent: what is sent after this may go without answer.
    told: Cell<bool>,
    answered: Cell<usize>,
}

/// One call, and what it is to be answered with.
struct Call {
    tool: &'static str,
    arguments: String,
    text: String,
}

// === impl Course ===

impl Course {
    fn is_told(&self) -> bool {
        self.told.get()
    }

    /// One call had this answer.
    fn answered(&self, call: &Call, answer: &Value) {
        assert_eq!(answer["result"]["content"][0]["text"], call.text, "{answer}");
        self.answered.set(self.answered.get() + 1);
    }
}

// === impl Call ===

impl Call {
    /// One that is like no other of its client; some take a while.
    fn new(number: u64) -> Self {
        if number.is_multiple_of(2) {
            let arguments = json!({ "own": number }).to_string();
            return Self { tool: "admin__echo", text: arguments.clone(), arguments };
        }
        let milliseconds = number % 97;
        let arguments = json!({ "milliseconds": milliseconds }).to_string();
        Self { tool: "admin__wait", arguments, text: format!("waited {milliseconds} ms") }
    }

    fn request(&self) -> Request {
        Request::call(self.tool, &self.arguments)
    }

    fn message(&self, id: u64) -> String {
        message(&id.to_string(), self.tool, &self.arguments)
    }
}

/// A connection, unless the gateway takes none any more.
async fn connect(address: SocketAddr, course: &Course) -> Option<TcpStream> {
    match within("a connection, or none", TcpStream::connect(address)).await {
        Ok(stream) => {
            stream.set_nodelay(true).ok()?;
            Some(stream)
        }
        Err(error) => {
            assert!(course.is_told(), "{error}");
            None
        }
    }
}

/// The answer to what was sent last on a connection; where it ended without, the call must not have been sent before.
async fn answer(client: &mut Client, course: &Course) -> Option<Answer> {
    let before = !course.is_told();
    let answer = client.answer_if_any().await;
    assert!(answer.is_some() || !before, "a call that was sent before the signal has no answer");
    answer
}

// === the ways in ===

/// HTTP/1.1, on one connection for as long as it goes, or on a new one each time.
async fn http(address: SocketAddr, course: Rc<Course>, keeps: bool, session: Option<String>) {
    let mut kept: Option<Client> = None;
    for number in 0.. {
        let mut client = match kept.take() {
            Some(client) => client,
            None => match connect(address, &course).await {
                Some(stream) => Client::over(stream),
                None => return,
            },
        };
        let call = Call::new(number);
        let request = match &session {
            None => call.request(),
            Some(session) => {
                let params = format!(r#"{{"name":"{}","arguments":{}}}"#, call.tool, call.arguments);
                Request::legacy(session, legacy::message("tools/call", &params))
            }
        };
        client.write(&request.bytes()).await;
        let Some(answer) = answer(&mut client, &course).await else { continue };
        course.answered(&call, &answer.message());
        kept = Some(client).filter(|_| keeps && answer.field("connection") != Some("close"));
    }
}

/// HTTP/2, several streams at once on one connection.
async fn http2(address: SocketAddr, course: Rc<Course>) {
    let mut number = 0;
    while let Some(stream) = connect(address, &course).await {
        let mut client = Http2::over(stream).await;
        let mut ended = false;
        while !ended {
            let mut asked = Vec::new();
            for _ in 0..AT_ONCE {
                let call = Call::new(number);
                number += 1;
                match client.ask(&call.request(), true).await {
                    Ok(request) => asked.push((call, request)),
                    Err(_no_more) => ended = true,
                }
            }
            // Whoever owns the connection writes now, which is before anybody else is told.
            for _ in 0..2 {
                yield_now().await;
            }
            let before = !course.is_told();
            for (call, request) in asked {
                match request.answer().await {
                    Ok(answer) => course.answered(&call, &answer.message()),
                    Err(error) => {
                        assert!(!before, "a call that was sent before the signal has no answer: {error}");
                        ended = true;
                    }
                }
            }
        }
        if course.is_told() {
            return;
        }
    }
}

/// WebSocket, several calls at once.
async fn socket(address: SocketAddr, course: Rc<Course>) {
    let mut client = SocketClient::connect(address, "/ws").await;
    let mut number = 0;
    loop {
        let mut open = HashMap::new();
        for _ in 0..AT_ONCE {
            let call = Call::new(number);
            let said = client.0.send(Message::text(call.message(number))).await;
            open.insert(number, (call, said.is_ok() && !course.is_told()));
            number += 1;
        }
        while !open.is_empty() {
            match within("a message or the end", client.0.next()).await {
                Some(Ok(Message::Text(text))) => {
                    let heard: Value = serde_json::from_str(&text).expect("JSON");
                    let (call, _) = heard["id"].as_u64().and_then(|id| open.remove(&id)).expect("one answer a call");
                    course.answered(&call, &heard);
                }
                Some(Ok(Message::Ping(_))) => {}
                _end => {
                    let lost: Vec<_> = open.iter().filter(|(_, (_, before))| *before).map(|(id, _)| id).collect();
                    assert!(lost.is_empty(), "calls that were sent before the signal have no answer: {lost:?}");
                    return;
                }
            }
        }
    }
}

/// HTTP+SSE: whatever is accepted is answered, whenever it was sent.
async fn events(address: SocketAddr, course: Rc<Course>) {
    let mut stream = Stream::open(address).await;
    stream.say(&initialize("2025-11-25")).await;
    stream.hear().await;
    let mut number = 1;
    loop {
        let mut open = HashMap::new();
        for _ in 0..AT_ONCE {
            let call = Call::new(number);
            let posted = match connect(address, &course).await {
                Some(post) => {
                    let mut client = Client::over(post);
                    let params = format!(r#"{{"name":"{}","arguments":{}}}"#, call.tool, call.arguments);
                    let body = crate::stdio_client::request(&number.to_string(), "tools/call", &params);
                    client.write(&stream.request(&body).bytes()).await;
                    answer(&mut client, &course).await
                }
                None => None,
            };
            match posted.map(|answer| answer.status) {
                Some(202) => drop(open.insert(number, call)),
                refused => assert!(course.is_told() && [None, Some(404)].contains(&refused), "{refused:?}"),
            }
            number += 1;
        }
        let is_last = open.is_empty();
        while !open.is_empty() {
            let heard = stream.events.message().await;
            let heard = heard.unwrap_or_else(|| unreachable!("accepted and not answered: {:?}", open.keys()));
            let call = heard["id"].as_u64().and_then(|id| open.remove(&id)).expect("one answer a call");
            course.answered(&call, &heard);
        }
        if is_last {
            return;
        }
    }
}

/// Starts a client.
fn client<F: Future<Output = ()> + 'static>(way: impl FnOnce(Rc<Course>) -> F) -> (Rc<Course>, JoinHandle<()>) {
    let course = Rc::<Course>::default();
    (Rc::clone(&course), tokio::task::spawn_local(way(course)))
}

#[tokio::test]
async fn what_was_sent_before_the_signal_is_answered_whichever_way_it_came() {
    tokio::task::LocalSet::new().run_until(all_ways()).await;
}

async fn all_ways() {
    let mut gateway = Started::new(0);
    let address = gateway.address();
    let session = legacy::session(address).await;
    let mut clients = Vec::new();
    for _ in 0..2 {
        let session = session.clone();
        clients.extend([
            client(|course| http(address, course, false, None)),
            client(|course| http(address, course, true, None)),
            client(|course| http(address, course, true, Some(session))),
            client(|course| http2(address, course)),
            client(|course| socket(address, course)),
            client(|course| events(address, course)),
        ]);
    }
    let busy = |(course, client): &(Rc<Course>, JoinHandle<()>)| client.is_finished() || course.answered.get() >= 20;
    eventually("calls by every way in", || clients.iter().all(busy)).await;
    for (course, _) in &clients {
        course.told.set(true);
    }
    signal(gateway.pid(), Signal::TERM);
    let code = within("its end", tokio::task::spawn_blocking(move || gateway.ended())).await.expect("it ended");
    for (_, client) in clients {
        within("the end of a client", client).await.expect("its calls went well");
    }
    assert_eq!(code, Some(0));
}

#[tokio::test]
async fn what_a_client_on_pipes_wrote_before_the_signal_is_answered() {
    let mut gateway = Lines::start(&[]);
    let first = gateway.ask(&Call::new(0).message(0)).await;
    assert_eq!(first["id"], 0, "{first}");
    let process = gateway.process().expect("it runs");
    let mut open: HashMap<u64, Call> = (1..=40).map(|number| (number, Call::new(number))).collect();
    let all: String = open.iter().map(|(number, call)| call.message(*number) + "\n").collect();
    gateway.say(all.trim_end()).await;
    signal(process, Signal::TERM);
    while !open.is_empty() {
        let heard = gateway.hear().await;
        let call = heard["id"].as_u64().and_then(|id| open.remove(&id)).expect("one answer a call");
        assert_eq!(heard["result"]["content"][0]["text"], call.text, "{heard}");
    }
    let (rest, code, _) = gateway.close().await;
    assert_eq!((rest, code), (vec![], Some(0)));
}

#[tokio::test]
async fn what_a_client_on_a_socket_wrote_before_the_signal_is_answered() {
    let mut gateway = Started::new(0);
    let mut client = SocketClient::connect(gateway.address(), "/ws").await;
    let first = client.ask(Call::new(0).message(0)).await;
    assert_eq!(first["id"], 0, "{first}");
    let mut open: HashMap<u64, Call> = (1..=40).map(|number| (number, Call::new(number))).collect();
    for number in 1..=40 {
        let call = &open[&number];
        client.0.feed(Message::text(call.message(number))).await.expect("it stands");
    }
    client.0.flush().await.expect("it reads");
    signal(gateway.pid(), Signal::TERM);
    while !open.is_empty() {
        let heard = client.hear().await;
        let call = heard["id"].as_u64().and_then(|id| open.remove(&id)).expect("one answer a call");
        assert_eq!(heard["result"]["content"][0]["text"], call.text, "{heard}");
    }
    assert_eq!(client.code().await, 1001);
    drop(client);
    let code = within("its end", tokio::task::spawn_blocking(move || gateway.ended())).await.expect("it ended");
    assert_eq!(code, Some(0));
}
