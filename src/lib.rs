//! only1mcp: a gateway for the Model Context Protocol that is compiled per deployment.
//!
//! One YAML file, the *topology*, names the MCP servers behind the gateway. The build turns it into perfect-hash tables,
//! precomputed catalogs and a transport dispatch monomorphized for exactly the transports in use. `only1mcp` the program
//! is [`cli::run`] for the topology that `build.rs` chose; embedders compile their own with [`topology!`] and start it
//! with [`Gateway::builder`], on a socket of theirs if they like ([`Builder::listener`]): `examples/embed.rs`.
//!
//! # Layers
//!
//! Lower layers never name higher ones: `limits, clock, file, references, seal, telemetry, http1, http2, mcp` and the crate
//! `only1mcp-model` → [`catalog`], `websocket` → [`upstream`] → `proxy` → `downstream` → `control` → [`Gateway`] →
//! [`cli`]. Two names go upwards: [`catalog::Topology`] says which [`upstream::Transport`] dispatches to the backends of
//! the topology, and which [`upstream::balance::Strategy`] chooses among their endpoints. The crate `only1mcp-emit` is named
//! by the commands about topologies, and by what makes another catalog for an overlay, alone.
//!
//! * `mcp`: the protocol's vocabulary without input or output: one scan of a message, splices, events.
//! * `http1`: HTTP/1.1 without input or output, strict where general servers are lenient.
//! * `http2`: what connections of HTTP/2 have in common, towards clients and towards backends.
//! * `websocket`: one message a text frame, over any connection.
//! * [`catalog`]: the compiled tables and the types around them.
//! * [`upstream`]: links to backends; the one place a transport is chosen, at build time.
//! * `proxy`: one request of a client from its head to its answer.
//! * `downstream`: the transports towards clients.
//! * `control`: what workers must not wait for: the overlay and its file, what administrators and collectors of metrics ask.
//!
//! # Features
//!
//! `transport-*`, `http2` and `tls` say what can be reached, `websocket`, `http2` and `tls` how clients may come, `authoring` and
//! `demo` which commands there are, `amendments` whether overlays may make another catalog, `admin` whether there may be a
//! listener for administration and metrics, `topology-NAME` what is compiled into the program. Dependencies can only be
//! dropped by features; a transport that no topology uses is dropped by the linker, since nothing but the generated
//! dispatch (and `authoring` and `amendments`, for any topology and any backend there is) names it.
//!
//! # Threads
//!
//! One worker a core, each a single-threaded runtime with its own listener, connections and counters. A stdio child is
//! shared by nature: it lives on one worker (that of a backend that an overlay adds on a thread of its own, which comes up with the
//! first of these), and the others reach it through bounded channels; so does a client's stream of
//! HTTP+SSE, to which any worker may be told something. A call of a session is known to its worker alone; its client may
//! cancel it by way of any, and one that does not know it tells the others. What it asks about a task of a legacy
//! server goes to the worker whose session with the server has the task. One further thread forks children and does
//! nothing else, one looks after the certificate of a listener over TLS, and one, the control plane, looks after the overlay
//! and serves the admin listener where there is one. Between the gateway and a child in a sandbox stands a process, the keeper, that ends what descends from the child.
//!
//! **Invariant:** bytes that are not spliced cross unchanged: numbers, key order, duplicate and unknown members, escapes.
//! **Invariant:** everything that can grow has a bound in [`limits`].
//! **Invariant:** the workers never wait for the control plane: it reads what they count.
//! **Invariant:** lists and greetings are answered without asking any backend.
//! **Invariant:** where no overlay amends the catalog, that costs a call one load and one comparison.

// A build without some transport is not fenced item by item; one with all of them shows what nothing uses.
#![cfg_attr(
    not(all(
        feature = "transport-stdio",
        feature = "transport-http",
        feature = "transport-sse",
        feature = "transport-ws",
        feature = "websocket"
    )),
    expect(dead_code, reason = "only a transport that is not part of this build uses it")
)]

#[cfg(not(any(feature = "transport-stdio", feature = "transport-http")))]
compile_error!("no transport is on: build with `--features transport-stdio`, `--features transport-http` or both");

// Generated code says `::only1mcp`, also inside this crate.
extern crate self as only1mcp;

pub mod catalog;
pub mod cli;
mod clock;
mod control;
#[cfg(feature = "demo")]
pub mod demo;
mod downstream;
mod file;
mod gateway;
mod http1;
#[cfg(feature = "http2")]
mod http2;
pub mod limits;
pub mod mcp;
mod proxy;
mod references;
pub mod seal;
mod telemetry;
pub mod upstream;
#[cfg(any(feature = "transport-ws", feature = "websocket"))]
mod websocket;

pub use control::{By, OverlayError, OverlayStore, Published, Rejected, Reload};
pub use gateway::{ActivationError, Builder, Gateway, HandoverError, Running, StartError, TlsError};
pub use only1mcp_macros::{Dispatch, topology};
#[doc(hidden)]
pub use phf;
#[doc(hidden)]
pub use proxy::SessionSteps;
pub use references::Unresolved;
