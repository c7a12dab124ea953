//! Why a request of an administrator is not answered: each reason with its status, the word that programs go by and the
//! sentence for people. The statuses of answers that are given stand beside the paths, in `routes`.

use hyper::StatusCode;
use hyper::header::{ALLOW, CONNECTION, HeaderName, HeaderValue, WWW_AUTHENTICATE};
use only1mcp_model::diagnostic::{Finding, findings};
use serde_json::json;

use super::access::Denied;
use super::routes::Takes;
use super::told::Told;
use crate::control::OverlayError;
use crate::proxy::Foreign;
use crate::{limits, telemetry};

/// What to write where changes are refused for want of a token.
const TOKEN_HELP: &str = "changes need a token, and none is configured: write `token: env:ONLY1MCP_ADMIN_TOKEN` under \
                          `listen.admin`, or start with `--admin-token env:ONLY1MCP_ADMIN_TOKEN`";

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Declined {
    /// It may not ask, or not for this.
    Denied(Denied),
    /// There is no such path.
    NoPath,
    /// There is such a path, and nothing of this name at it: the noun and the name.
    Nothing(&'static str, String),
    /// The path takes these methods alone.
    Method(String),
    /// What stands behind the `?`, or in the path, is not understood.
    Query(String),
    /// A body where none belongs.
    Body,
    /// A body of more than [`limits::ADMIN_BODY_BYTES_MAX`].
    TooLarge,
    /// A body that is not all there after [`limits::ADMIN_BODY_TIMEOUT`].
    TooSlow,
    /// A body that broke off.
    Broken,
    /// A body that does not say that it is what is taken.
    MediaType(Takes),
    /// A body that is no JSON: why, with line and column.
    Malformed(String),
    /// A body that is JSON, but not what the path takes: why.
    Unexpected(String),
    /// An overlay that is not taken: why, and every problem that it has.
    Overlay(String, Vec<Finding>),
    /// Something of the machine is in the way: what.
    Failed(String),
    /// The gateway is not the one to do it: why.
    Conflict(&'static str),
    /// The gateway's own fault.
    Internal(&'static str),
}

// === impl Declined ===

impl Declined {
    /// The status, the word and the sentence.
    fn parts(&self) -> (StatusCode, &'static str, String) {
        use StatusCode as Status;
        let (status, kind, message): (_, _, &str) = match self {
            Self::Denied(Denied::Malformed) => {
                (Status::BAD_REQUEST, "invalid_request", "request names no host, or several")
            }
            Self::Denied(Denied::Foreign(Foreign::Host)) => {
                (Status::FORBIDDEN, "forbidden", "host is not allowed: name it in `listen.admin.hosts`")
            }
            Self::Denied(Denied::Foreign(Foreign::Origin)) => (Status::FORBIDDEN, "forbidden", "origin is not allowed"),
            Self::Denied(Denied::Token) => {
                (Status::UNAUTHORIZED, "unauthorized", "the token of `listen.admin.token` is needed")
            }
            Self::Denied(Denied::NoToken) => (Status::FORBIDDEN, "no_token_configured", TOKEN_HELP),
            Self::NoPath => (Status::NOT_FOUND, "not_found", "no such path"),
            Self::Nothing(noun, name) => {
                return (Status::NOT_FOUND, "not_found", format!("{noun} `{}` is not there", shown(name)));
            }
            Self::Method(_) => (Status::METHOD_NOT_ALLOWED, "method_not_allowed", "method is not allowed here"),
            Self::Query(why) => (Status::BAD_REQUEST, "invalid_query", why),
            Self::Body => (Status::PAYLOAD_TOO_LARGE, "payload_too_large", "no body is taken here"),
            Self::TooLarge => {
                let message = format!("body is longer than {} bytes", limits::ADMIN_BODY_BYTES_MAX);
                return (Status::PAYLOAD_TOO_LARGE, "payload_too_large", message);
            }
            Self::TooSlow => (Status::REQUEST_TIMEOUT, "timeout", "body did not come in time"),
            Self::Broken => (Status::BAD_REQUEST, "request_aborted", "body broke off"),
            Self::MediaType(takes) => {
                let message = match takes {
                    Takes::Json(_) => "content type is not `application/json`",
                    Takes::Overlay(_) => "content type is neither `application/json` nor `application/yaml`",
                };
                (Status::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", message)
            }
            Self::Malformed(why) => (Status::BAD_REQUEST, "malformed_json", why),
            Self::Unexpected(why) => (Status::BAD_REQUEST, "invalid_body", why),
            Self::Overlay(why, _) => (Status::UNPROCESSABLE_ENTITY, "invalid_overlay", why),
            Self::Failed(why) => (Status::INTERNAL_SERVER_ERROR, "internal", why),
            Self::Conflict(why) => (Status::CONFLICT, "conflict", why),
            Self::Internal(why) => (Status::INTERNAL_SERVER_ERROR, "internal", why),
        };
        (status, kind, message.to_owned())
    }

    /// The sentence.
    pub(super) fn message(&self) -> String {
        self.parts().2
    }

    /// What is wrong with an overlay.
    pub(super) fn findings(&self) -> &[Finding] {
        if let Self::Overlay(_, findings) = self { findings } else { &[] }
    }

    /// The answer that says so.
    pub(super) fn answer(&self) -> Told {
        let (status, kind, message) = self.parts();
        let mut error = json!({ "kind": kind, "message": message });
        if let Self::Overlay(_, findings) = self {
            error["diagnostics"] = json!(findings);
        }
        let answer = Told::json(&json!({ "error": error })).of(status);
        match self {
            Self::Denied(Denied::Token) => {
                answer.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"only1mcp\""))
            }
            Self::Method(allowed) => match HeaderValue::from_str(allowed) {
                Ok(allowed) => answer.with(ALLOW, allowed),
                Err(_words_are_valid) => answer,
            },
            // What of the body is still to come is not read.
            Self::Body | Self::TooLarge | Self::TooSlow | Self::Broken => closed(answer),
            _ => answer,
        }
    }
}

/// The connection is of no use afterwards.
fn closed(answer: Told) -> Told {
    const NAME: HeaderName = CONNECTION;
    answer.with(NAME, HeaderValue::from_static("close"))
}

/// A name of a client in a sentence.
fn shown(name: &str) -> String {
    telemetry::one_line(name.as_bytes())
}

impl From<&OverlayError> for Declined {
    fn from(error: &OverlayError) -> Self {
        let message = telemetry::chain(error.to_string(), error);
        match error {
            OverlayError::Refused { file, problems } => Self::Overlay(message, findings(problems, file)),
            OverlayError::Unreadable { .. } => Self::Overlay(message, Vec::new()),
            OverlayError::Unwritten { .. } | OverlayError::Unmakeable(_) => Self::Failed(message),
            OverlayError::Exhausted => Self::Conflict(
                "gateway keeps as many added servers and catalogs as it may: take some out, or start it anew",
            ),
            OverlayError::NoEarlier => Self::Conflict("no overlay is known that was in force before"),
        }
    }
}

impl From<Denied> for Declined {
    fn from(denied: Denied) -> Self {
        Self::Denied(denied)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_word_of_the_document_and_a_status_that_is_counted() {
        let text = String::new;
        let all = [
            Declined::Denied(Denied::Malformed),
            Declined::Denied(Denied::Foreign(Foreign::Host)),
            Declined::Denied(Denied::Foreign(Foreign::Origin)),
            Declined::Denied(Denied::Token),
            Declined::Denied(Denied::NoToken),
            Declined::NoPath,
            Declined::Nothing("server", text()),
            Declined::Method(text()),
            Declined::Query(text()),
            Declined::Body,
            Declined::TooLarge,
            Declined::TooSlow,
            Declined::Broken,
            Declined::MediaType(Takes::Json("")),
            Declined::Overlay(text(), Vec::new()),
            Declined::Failed(text()),
            Declined::Malformed(text()),
            Declined::Unexpected(text()),
            Declined::Conflict(""),
            Declined::Internal(""),
        ];
        let schemas = include_str!("openapi/schemas.json");
        let schemas: serde_json::Value = serde_json::from_str(schemas).expect("the file is JSON");
        let words: Vec<String> = serde_json::from_value(schemas["ErrorKind"]["enum"].clone()).expect("words");
        let used: BTreeSet<&str> = all.iter().map(|declined| declined.parts().1).collect();
        assert_eq!(used, words.iter().map(String::as_str).collect());
        for declined in all {
            let status = declined.parts().0;
            assert!(super::super::metrics::STATUSES.contains(&status), "{status}");
        }
    }
}
