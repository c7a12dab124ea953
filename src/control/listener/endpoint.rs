//! The way of a request through the control plane: who asks → what is there → which method → may that be changed → what is
//! asked → the answer.

use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Body;
use hyper::{Request, Response, StatusCode};

use super::access::Access;
use super::declined::Declined;
use super::facts::Facts;
use super::metrics::{Metrics, Requests};
use super::petition::Petition;
use super::routes;
use super::told::Told;

/// Every endpoint and who may ask it.
#[derive(Debug)]
pub(super) struct Endpoints {
    access: Access,
    pub(super) facts: Arc<Facts>,
    pub(super) metrics: Metrics,
    requests: Arc<Requests>,
}

// === impl Endpoints ===

impl Endpoints {
    pub(super) fn new(access: Access, facts: Facts) -> Self {
        let (facts, requests) = (Arc::new(facts), Arc::default());
        Self { access, metrics: Metrics::new(&facts, &requests), facts, requests }
    }

    /// Answers one request.
    pub(super) async fn answer<B>(self: &Arc<Self>, peer: IpAddr, request: Request<B>) -> Response<Full<Bytes>>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let answer = self.take(peer, request).await.unwrap_or_else(|refusal| refusal.answer());
        self.requests.count(answer.status());
        answer.into_response()
    }

    /// Counts a request whose head was refused before it came here.
    pub(super) fn unread(&self, error: &hyper::Error) {
        if error.is_parse_too_large() {
            self.requests.count(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE);
        } else if error.is_parse() {
            self.requests.count(StatusCode::BAD_REQUEST);
        }
    }

    async fn take<B>(self: &Arc<Self>, peer: IpAddr, request: Request<B>) -> Result<Told, Declined>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        self.access.check(peer, &request)?;
        // Of its own, because what is read of the request outlives its head.
        let path = request.uri().path().to_owned();
        let (route, name) = routes::find(&path).ok_or(Declined::NoPath)?;
        let operation = route.operation(request.method()).ok_or_else(|| Declined::Method(route.allowed()))?;
        if operation.changes {
            self.access.check_change(&request)?;
        }
        let asked = Petition::read(operation, name, request).await?;
        if !operation.changes {
            return (operation.answer)(self, &asked);
        }
        // It may wait for backends that are asked what they offer: others are answered meanwhile.
        let own = Arc::clone(self);
        let changed = tokio::task::spawn_blocking(move || (operation.answer)(&own, &asked)).await;
        changed.unwrap_or(Err(Declined::Internal("change ended by itself")))
    }
}
