//! One answer to an administrator: a status, a few fields, a body of JSON or text.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// One answer.
#[derive(Debug)]
pub(super) struct Told(Response<Full<Bytes>>);

// === impl Told ===

impl Told {
    /// `200 OK` with JSON.
    pub(super) fn json(value: &impl Serialize) -> Self {
        match serde_json::to_string(value) {
            Ok(text) => Self::text("application/json", text),
            // No answer has keys that are not text, and none fails by itself.
            Err(error) => {
                tracing::error!(%error, "an answer cannot be written");
                Self::text("application/json", String::new()).of(StatusCode::INTERNAL_SERVER_ERROR)
            }
        }
    }

    /// `200 OK` with a text of this type.
    pub(super) fn text(content_type: &'static str, text: impl Into<Bytes>) -> Self {
        let answer = Self(Response::new(Full::new(text.into())));
        let answer = answer.with(CONTENT_TYPE, HeaderValue::from_static(content_type));
        answer.with(CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// The same with this status.
    pub(super) fn of(mut self, status: StatusCode) -> Self {
        *self.0.status_mut() = status;
        self
    }

    /// The same with this field.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers_mut().insert(name, value);
        self
    }

    pub(super) fn status(&self) -> StatusCode {
        self.0.status()
    }

    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        self.0
    }
}
