//! The whole gateway: real sockets, real child processes, servers that a test plays. One module a topic; what they share
//! is in `support`.

mod support;

#[cfg(feature = "admin")]
mod added_admin;
#[cfg(feature = "admin")]
mod added_children;
#[cfg(feature = "admin")]
mod added_health;
#[cfg(feature = "admin")]
mod additions;
mod admin;
#[cfg(feature = "admin")]
mod admin_api;
#[cfg(feature = "admin")]
mod admin_edits;
#[cfg(feature = "admin")]
mod admin_overlay;
mod aggregation;
mod alone;
mod amended_names;
mod amendments;
mod at_most_once;
mod attrition;
mod authoring;
mod batch;
mod batching;
mod beyond;
mod bounds;
mod bridge;
mod cancellation;
mod children;
#[cfg(feature = "admin")]
mod coalescing;
mod command_line;
mod completion;
mod constant_memory;
mod credentials;
mod daemons;
#[cfg(feature = "admin")]
mod dropped;
mod embed;
mod eras;
mod fallback;
mod feeds;
mod followed;
#[cfg(feature = "admin")]
mod hedging;
mod http;
mod http2;
mod http2_backends;
mod inquiries;
mod isolation;
mod jsonrpc;
mod last_words;
mod legacy;
mod legacy_sse;
mod legacy_sse_client;
mod life;
mod lists;
#[cfg(feature = "admin")]
mod load;
mod matrix;
mod modern;
mod overlay;
mod params;
mod parked;
mod peers;
mod per_session;
mod plain;
mod pool;
mod probes;
mod profiles;
mod proxies;
mod questions;
mod quiet;
mod random_kills;
mod regression;
mod relisting;
mod restart;
mod rests;
mod resumption;
mod return_to_stream;
mod revisions;
mod rewritten_uris;
mod sandbox;
mod schemas;
mod session_stream;
mod sessions;
#[cfg(feature = "admin")]
mod status;
mod stdio;
mod stdio_client;
mod stopping;
mod strays;
mod streamable_http;
mod streams;
mod subscriptions;
mod task_bounds;
mod tasks;
#[cfg(feature = "admin")]
mod teams;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod tls_listener;
mod told;
mod topologies;
mod traces;
mod traffic;
mod tuning;
mod unix_socket;
mod views;
mod websocket;
mod websocket_client;
