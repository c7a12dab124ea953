//! Every bound of the gateway in one place, with what happens at it.

use std::time::Duration;

/// A request body: above it 413 before the rest is read.
pub const BODY_BYTES_MAX: usize = 4 << 20;
/// The head of a request (request line and fields): above it 431.
pub const HEAD_BYTES_MAX: usize = 64 << 10;
/// Fields of a request or response head: above it 431 (or `upstream_protocol_error`).
pub const FIELDS_MAX: usize = 100;
/// The request target: above it 414.
pub const TARGET_BYTES_MAX: usize = 8 << 10;
/// An id as written: above it the id is invalid.
pub const ID_BYTES_MAX: usize = 256;
/// A tool or prompt name: above it no pattern is tried, so a name that no list holds is unknown.
pub const NAME_BYTES_MAX: usize = 1 << 10;
/// A resource URI: above it no pattern or template is tried.
pub const URI_BYTES_MAX: usize = 8 << 10;
/// One answer of a backend (JSON body): above it `upstream_response_too_large`.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// One line of a stdio backend: above it the child is ended.
pub const LINE_BYTES_MAX: usize = 16 << 20;
/// One event of a backend's stream, which may be an answer: above it `upstream_response_too_large`; a stream that many calls
/// share ends with it.
pub const EVENT_BYTES_MAX: usize = ANSWER_BYTES_MAX;
/// Lines of a child, or events of a shared stream, that are not JSON before it is ended.
pub const BANNER_LINES_MAX: u32 = 100;
/// Last lines of a child's stderr that are kept; each is cut at 512 bytes.
pub const STDERR_LINES_KEPT: usize = 20;
/// Of those, as many as fit are told with the error of a child that ended.
pub const STDERR_BYTES_TOLD: usize = 1 << 10;
/// What a backend says on a channel that calls share, and does not say of which, is nobody's for this long after a call
/// there was given up, unless that is answered.
pub const ABANDONED_FOR: Duration = Duration::from_secs(60);
/// Of so many calls on one channel that were given up it is known which are answered: of more of them, only time tells.
pub const ABANDONED_MAX: usize = 64;
/// Messages a call may have waiting for its client: above it notifications are dropped; the answer never is.
pub const CALL_MESSAGES_MAX: usize = 64;
/// The same in bytes: a client that does not read must not have a long queue of long ones.
pub const CALL_BYTES_MAX: usize = 1 << 20;
/// Calls waiting for a stdio backend, or a connection of HTTP/2, to take them: above it `overloaded`. Cancellations and replies that wait to be posted to
/// a backend over HTTP: above it they are dropped, and a call whose client's answer is among them ends.
pub const BACKEND_QUEUE_MAX: usize = 1024;
/// Calls in flight on one child, or on one stream that many calls share: above it `overloaded`.
pub const BACKEND_CALLS_MAX: usize = 4096;
/// Profiles of clients that have a session of their own with a legacy backend that is reached by a URL, for each worker:
/// clients of a further one share the session of those that can do nothing.
pub const PROFILES_MAX: usize = 8;
/// The same of those that have a child of their own, for the whole gateway.
pub const PROFILE_CHILDREN_MAX: usize = 4;
/// What is kept for one profile is ended after so long without a call, unless the topology says otherwise.
pub const PROFILE_IDLE: Duration = Duration::from_secs(600);
/// Idle upstream connections kept per worker and endpoint.
pub const IDLE_CONNECTIONS_MAX: usize = 256;
/// Calls under way on one connection of HTTP/2 to a backend, where the backend does not allow fewer: above it the next ones
/// wait, as long as they may last, up to [`BACKEND_QUEUE_MAX`] of them.
pub const UPSTREAM_STREAMS_MAX: u32 = 100;
/// What a backend may send of one answer on such a connection before any of it is passed on.
pub const UPSTREAM_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// The same of all of them together: so much that clients who do not read hold up nobody else's answer.
pub const UPSTREAM_WINDOW_BYTES: u32 = UPSTREAM_STREAMS_MAX * UPSTREAM_STREAM_WINDOW_BYTES;
/// Answers of HTTP/2 that broke a rule, for each connection to a backend: above it the connection ends.
pub const UPSTREAM_BROKEN_MAX: usize = 1024;
/// Connections of clients of a demo server: above it new ones wait in the accept queue. Those of a gateway are what its
/// topology says.
pub const CONNECTIONS_MAX: usize = 10_000;
/// TLS handshakes under way per worker: above it those that begin wait for their turn.
pub const HANDSHAKES_MAX: usize = 256;
/// A client has this long for its TLS handshake, with its turn.
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Requests under way on one connection of HTTP/2, unless the topology has fewer: above it further ones are refused with
/// `REFUSED_STREAM`.
pub const HTTP2_STREAMS_MAX: u32 = 100;
/// Bodies that such a connection sends at once, in bytes: above it the request is refused with `REFUSED_STREAM`.
pub const HTTP2_BODIES_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;
/// What a client may send on such a connection before any of it is taken.
pub const HTTP2_WINDOW_BYTES: u32 = 1 << 20;
/// The same for one request.
pub const HTTP2_STREAM_WINDOW_BYTES: u32 = 256 << 10;
/// What of an answer waits on such a connection for its client to read, for each request: above it the rest waits where it
/// comes from.
pub const HTTP2_ANSWER_BYTES_MAX: usize = 64 << 10;
/// Requests that a client of HTTP/2 took back before anybody looked at them: above it the connection ends with
/// `ENHANCE_YOUR_CALM`.
pub const HTTP2_TAKEN_BACK_MAX: usize = 20;
/// Requests of HTTP/2 that broke a rule, for each connection: above it the same.
pub const HTTP2_BROKEN_MAX: usize = 1024;
/// Catalogs that overlays make of the compiled one while the process runs, each counted once however often it is in force:
/// they are kept for good. An overlay that would make one more is refused until the gateway is started anew.
pub const AMENDMENTS_MAX: usize = 1024;
/// Bytes that these may come to together; the same.
pub const AMENDMENTS_BYTES_MAX: usize = 256 << 20;
/// Backends that an overlay may add.
pub const ADDED_BACKENDS_MAX: usize = 64;
/// Backends that overlays may add while the process runs, one after the other: one over Streamable HTTP that comes back as it
/// was is none more, and one over another transport is.
pub const ADDED_BACKENDS_EVER_MAX: usize = 256;
/// The same, of this build.
#[must_use]
pub const fn added_ever() -> usize {
    if cfg!(feature = "amendments") { ADDED_BACKENDS_EVER_MAX } else { 0 }
}
/// How long an overlay is not in force yet because a backend that it adds does not say what it offers. Then the overlay is
/// in force without what that has.
pub const LISTING_TIMEOUT: Duration = Duration::from_secs(10);
/// After how long such a backend is asked again, from the first to the longest.
pub const LISTING_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// Admin connections: above it new ones wait in the accept queue.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// The head of an admin request: above it 431.
pub const ADMIN_HEAD_BYTES_MAX: usize = 16 << 10;
/// The body of an admin request, for those that take one: above it 413.
pub const ADMIN_BODY_BYTES_MAX: usize = 1 << 20;
/// How long that body may take to come: after it 408.
pub const ADMIN_BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Items in one admin answer that lists something; the next ones are asked for by their offset.
pub const ADMIN_PAGE_ITEMS_MAX: usize = 10_000;
/// An admin connection is let go after this: one whose client does not read keeps no place for good.
pub const ADMIN_CONNECTION_LIFE: Duration = Duration::from_secs(300);
/// How long the answer in hand has when an admin connection is let go.
pub const ADMIN_GRACE: Duration = Duration::from_secs(2);
/// Calls in flight on the lines that are passed on to another gateway: above it `overloaded`. On those that are served here,
/// and on WebSockets, the topology says how many.
pub const CONNECTION_CALLS_MAX: usize = 256;
/// Bytes of requests in flight on such a connection and of answers that its client has not read: above it the same.
pub const CONNECTION_BYTES_MAX: usize = 32 << 20;
/// Messages in a batch of MCP 2025-03-26: above it the batch is refused.
pub const BATCH_MESSAGES_MAX: usize = 32;
/// Messages waiting for the client of such a connection to read: above it whoever has one more waits.
pub const CONNECTION_MESSAGES_MAX: usize = 16;
/// Streams of HTTP+SSE towards clients: above it 503.
pub const EVENT_STREAMS_MAX: usize = 10_000;
/// Messages posted to such a stream that it has not taken yet: above it 503.
pub const POSTED_MESSAGES_MAX: usize = 256;
/// The same in bytes.
pub const POSTED_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;
/// Pings of the other side of a WebSocket within [`KEEP_ALIVE`]: above it the connection is closed.
pub const PINGS_MAX: u32 = 100;
/// Legacy sessions over HTTP of which something is kept, a log level, subscriptions or an open stream: above it what is kept of the one
/// idle longest is let go.
pub const SESSIONS_MAX: usize = 10_000;
/// What is kept of a legacy session without requests or streams is let go after this.
pub const SESSION_IDLE: Duration = Duration::from_secs(30 * 60);
/// The token of a legacy session over HTTP is worth nothing after this: its client begins another one.
pub const SESSION_AGE: Duration = Duration::from_secs(7 * 24 * 3600);
/// Tokens of sessions that each worker keeps open: above it one is opened anew with each request that comes after two
/// others which have the same place.
pub const OPENED_TOKENS_MAX: usize = 2048;
/// Sessions that were ended before that: above it the half that would end first is forgotten, and their tokens are taken
/// again.
pub const ENDED_SESSIONS_MAX: usize = 65_536;
/// A client has this long to send a head once it began.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// A client has this long to send a body.
pub const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A client, or a child, has this long to take more of a write; a child that does not is ended and started anew.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(60);
/// An idle keep-alive connection is closed after this.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(75);
/// An idle upstream connection is not reused after this.
pub const UPSTREAM_IDLE: Duration = Duration::from_secs(20);
/// A connection to a backend has this long to come up, unless its topology says otherwise.
pub const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A quiet stream carries a comment, and a WebSocket a ping, this often; one whose other side is silent for two is let go.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// No call lives longer, whatever progress it reports.
pub const CALL_MAX: Duration = Duration::from_secs(600);
/// How long a backend has to say which era it speaks, before it is greeted in the other one.
pub const PROBE_TIMEOUT: Duration = Duration::from_secs(10);
/// How long what is behind a WebSocket has to come up.
pub const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Delay before a child that ended is started, or a shared stream opened, again: grows fourfold from the first to the second, which makes six starts
/// in the first minute at most.
pub const RESPAWN_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(60));
/// Delay before a WebSocket that ended is made again: grows fourfold from the first to the second. A server that is back
/// is to be found soon, and an attempt costs it little.
pub const RECONNECT_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));
/// How long a child has after its stdin closed, and again after SIGTERM.
pub const CHILD_GRACE: Duration = Duration::from_secs(2);
/// Calls that go on with something begun, an answer to a question or a request about a task, find a place also where as many
/// calls are under way as may be: beyond those a quarter as many, and so many at least. Above it they are shed like others.
pub const RESUMING_CALLS_MIN: u32 = 16;
/// Calls of legacy sessions over HTTP in flight on one worker, and so to be cancelled: above it `overloaded`.
pub const SESSION_CALLS_MAX: usize = 65_536;
/// Cancellations that one worker has yet to hear of from the others: above it those who tell it wait.
pub const CANCELLATIONS_WAITING_MAX: usize = 64;
/// What the backend of a call may ask its client at once, no longer together than an answer: above it a question is refused.
pub const CALL_QUESTIONS_MAX: usize = 16;
/// What backends may ask all clients at once: above it the same.
pub const QUESTIONS_MAX: usize = 10_000;
/// How often the backend of one call may ask for input before it answers: above it the call fails.
pub const INPUT_ROUNDS_MAX: u32 = 10;
/// Between two rounds in which the backend asks for nothing but to be called again: so much longer with each.
pub const INPUT_PAUSE: Duration = Duration::from_millis(20);
/// Calls that are made once for several clients and are under way at once: above it each makes its own.
pub const COALESCED_CALLS_MAX: usize = 4096;
/// Clients that wait for one of them: above it the next one makes its own.
pub const COALESCED_CLIENTS_MAX: usize = 1024;
/// The parameters of such a call: above it the same.
pub const COALESCED_BYTES_MAX: usize = 16 << 10;
/// Calls that wait for their clients to come back with what was asked: above it the next one fails as `overloaded`.
pub const PARKED_CALLS_MAX: usize = 4096;
/// What they keep in memory, all together: the messages of their clients, what was asked, and answers that wait. Above it the same;
/// an answer that comes too early is dropped.
pub const PARKED_BYTES_MAX: usize = 64 << 20;
/// How long each of them waits.
pub const PARKED_FOR: Duration = Duration::from_secs(300);
/// The id that a server gives a task: longer ones cannot be passed on, for clients repeat them in a field.
pub const TASK_ID_BYTES_MAX: usize = 256;
/// Calls about tasks that other workers have yet to hand to the one that knows the task: above it `overloaded`.
pub const ERRANDS_WAITING_MAX: usize = 256;
/// Clients of one worker that listen for changes: above it `overloaded`. A stream of a legacy session above it is told of
/// no lists.
pub const LISTENERS_MAX: usize = 4096;
/// Resources, and tasks, that one of them may listen for, or a legacy session may be subscribed to: above it the request is invalid.
pub const LISTENER_URIS_MAX: usize = 256;
/// What is kept for one of them of what servers say of its tasks until it reads that: above it the subscription ends.
pub const LISTENER_TASK_BYTES_MAX: usize = 1 << 20;
/// Subscriptions of legacy sessions that one worker keeps: above it `overloaded`.
pub const SUBSCRIPTIONS_MAX: usize = 4096;
/// Resources, and tasks, of one backend that all of them together may listen for: those of a further client are not
/// acknowledged.
pub const FEED_URIS_MAX: usize = 4096;
/// Requests to one legacy backend for its resources to be told of, or no more, that are under way at once: above it the next ones wait.
pub const SUBSCRIPTIONS_AT_ONCE: usize = 16;
/// How long backends have to acknowledge what a client listens for: it is acknowledged without the late ones then.
pub const ACKNOWLEDGE_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a legacy server has to refuse the stream of a session: it counts as open then, also without an answer.
pub const STREAM_REFUSED_WITHIN: Duration = Duration::from_secs(1);
/// A call of a session of 2025-11-25 that is not answered after this begins its stream: from then on its client can come
/// back to it.
pub const STREAM_AFTER: Duration = Duration::from_millis(50);
/// How long a client of such a session waits before it comes back to a stream that ended.
pub const RETRY: Duration = Duration::from_secs(1);
/// Streams of calls that clients may come back to: above it a quarter of those that are over is forgotten, and where none
/// is over a new one has no event ids.
pub const REPLAY_STREAMS_MAX: usize = 4096;
/// Events kept of such a stream: above it the oldest is forgotten.
pub const REPLAY_STREAM_EVENTS_MAX: usize = 256;
/// The same in bytes; the largest answer fits.
pub const REPLAY_STREAM_BYTES_MAX: usize = ANSWER_BYTES_MAX + (1 << 20);
/// The same of all streams: above it the events of the stream that stood still for the longest are forgotten.
pub const REPLAY_BYTES_MAX: usize = 64 << 20;
/// A stream that is over is forgotten after this.
pub const REPLAY_AGE: Duration = Duration::from_secs(300);
/// For how long an endpoint is left alone at most that asks for it (`Retry-After`): a server that errs there, or whoever
/// answers in its place, takes it out for no longer.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);
/// After how long whoever found no place for a call may come back (`Retry-After`). When there is one nobody knows, but calls
/// end all the time: it is the shortest that the field can say.
pub const FULL_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Overlays that were in force and can be gone back to: above it the oldest is forgotten.
pub const OVERLAYS_KEPT: usize = 10;
/// How long calls in flight have when the gateway stops.
pub const DRAIN_GRACE: Duration = Duration::from_secs(10);
/// How long what clients sent before they could know may take to arrive once the gateway stops, since they were last heard.
pub const LAST_CALL: Duration = Duration::from_millis(100);
/// The same for those who go on to send, where nothing tells them that the gateway stops.
pub const LAST_CALLS: Duration = Duration::from_secs(1);
/// Pages followed when a backend's list is read.
pub const LIST_PAGES_MAX: usize = 100;
/// Tools that one worker knows the headers of from their server, because those of the lock were refused: of a further one the
/// refusal is the answer.
pub const RELISTED_TOOLS_MAX: usize = 1024;
/// How long that is so for a tool whose server was asked without avail.
pub const RELIST_PAUSE: Duration = Duration::from_secs(5);
/// Items read from a backend's list.
pub const LIST_ITEMS_MAX: usize = 10_000;
