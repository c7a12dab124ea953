//! Methods that are of no revision: a server's own, or those of an extension. They go, as they come, to the one server of
//! the view that declares something that the gateway does not know either, and its answer comes back as it is. Which server
//! that is was compiled (`Declared::beyond`).
//!
//! **Invariant:** such a call is made once, of one server, and in the era of its client: nobody here knows what it does, nor
//! what of it differs between the eras.

use super::bridge::Caller;
use super::error::Refusal;
use super::route::Route;
use super::{Erased, Post, Worker, attended, parked};
use crate::catalog::{Era, Topology};
use crate::mcp::json::{Kind, Span, Text, Value};
use crate::upstream::Gone;

/// Sends such a call on.
pub(super) async fn call<'a, T: Topology>(
    worker: &Worker<T>,
    post: &Post<'a>,
    caller: &Caller<'a>,
    downstream: &Erased<'_>,
) -> Result<Result<(), Gone>, Refusal<'a>> {
    let Some(written) = post.message.method else {
        return Err(Refusal::InvalidRequest("method is not a string".into()));
    };
    let method = written.decode(post.body);
    let [legacy, modern] = post.view.declared.beyond;
    let (own, others) = match caller.era {
        Era::Legacy => (legacy, modern),
        Era::Modern => (modern, legacy),
    };
    let Some(asked) = own.or(others) else { return Err(Refusal::MethodNotFound(method)) };
    // A server may be of another era by now than its lock says.
    if own.is_none() || parked::era(worker, asked).is_some_and(|era| era != caller.era) {
        let name = post.catalog.name_of::<T>(asked);
        return Err(Refusal::OtherEra(method, name));
    }
    if post.message.params.is_some_and(|params| params.kind != Kind::Object) {
        return Err(Refusal::InvalidParams("`params` must be an object".into()));
    }
    let route = Route::to(asked, method.clone());
    let (name, passed_on) = ((quoted(written), &*method), passed_on(post, caller.era));
    Ok(attended::dispatch_detached(worker, caller, name, &route, &passed_on, downstream).await)
}

/// The fields that go along: with an extension, also the one that says what the request is about.
fn passed_on<'a>(post: &Post<'a>, era: Era) -> Vec<(&'a str, &'a [u8])> {
    let name = post.carrier.head().and_then(|head| head.mcp_name.once()).filter(|_| era == Era::Modern);
    name.map(|name| ("mcp-name", name)).into_iter().chain(post.carrier.passed_on().iter().copied()).collect()
}

/// A string with its quotes.
fn quoted(Text { span, escaped }: Text) -> Value {
    Value { kind: Kind::String, span: Span { start: span.start - 1, end: span.end + 1 }, escaped }
}
