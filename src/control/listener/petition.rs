//! What a request asks, beside its path and method: a name in the path, what stands behind the `?`, a body of JSON.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Limited};
use hyper::Request;
use hyper::body::Body;
use hyper::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

use super::declined::Declined;
use super::routes::{Operation, Takes};
use crate::limits;

/// What is asked.
#[derive(Debug)]
pub(super) struct Petition {
    name: String,
    query: Vec<(&'static str, String)>,
    body: Bytes,
    /// The body is YAML, not JSON.
    is_yaml: bool,
}

// === impl Petition ===

impl Petition {
    /// What a request to an operation asks; `name` is what stands in its path.
    pub(super) async fn read<B>(operation: &Operation, name: &str, request: Request<B>) -> Result<Self, Declined>
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
    {
        let name = decode(name).ok_or_else(|| Declined::Query("path is not percent-encoded UTF-8".to_owned()))?;
        let query = query(operation, request.uri().query().unwrap_or_default())?;
        let (body, is_yaml) = match operation.takes {
            None if request.body().is_end_stream() => (Bytes::new(), false),
            None => return Err(Declined::Body),
            Some(body) => {
                let is_yaml = is_yaml(body, &request)?;
                (self::body(request).await?, is_yaml)
            }
        };
        Ok(Self { name, query, body, is_yaml })
    }

    /// What stands in the path.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// What is written for a parameter.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// The same, a whole number up to a bound.
    pub(super) fn number(&self, name: &str, most: usize) -> Result<Option<usize>, Declined> {
        let Some(text) = self.parameter(name) else { return Ok(None) };
        let number = text.parse().ok().filter(|number| *number <= most);
        number.map(Some).ok_or_else(|| Declined::Query(format!("`{name}` is not a whole number up to {most}")))
    }

    /// Whether nothing is to be changed.
    pub(super) fn is_dry_run(&self) -> Result<bool, Declined> {
        match self.parameter("dry_run") {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true" | "") => Ok(true),
            Some(_) => Err(Declined::Query("`dry_run` is neither `1` nor `0`".to_owned())),
        }
    }

    /// Whether the body is YAML, and may be no JSON.
    pub(super) fn is_yaml(&self) -> bool {
        self.is_yaml
    }

    /// The body as it came.
    pub(super) fn text(&self) -> Result<&str, Declined> {
        std::str::from_utf8(&self.body).map_err(|_not_text| Declined::Malformed("body is not UTF-8".to_owned()))
    }

    /// The body as what it is to be.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Declined> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!("body is not what is taken here: {error}");
            if error.is_data() {
                Declined::Unexpected(why)
            } else {
                Declined::Malformed(format!("body is no JSON: {error}"))
            }
        })
    }
}

async fn body<B>(request: Request<B>) -> Result<Bytes, Declined>
where
    B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>,
{
    // What says that it is too long is not even begun.
    if request.body().size_hint().lower() > limits::ADMIN_BODY_BYTES_MAX as u64 {
        return Err(Declined::TooLarge);
    }
    let body = Limited::new(request.into_body(), limits::ADMIN_BODY_BYTES_MAX).collect();
    match tokio::time::timeout(limits::ADMIN_BODY_TIMEOUT, body).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<http_body_util::LengthLimitError>() => Err(Declined::TooLarge),
        Ok(Err(_broken)) => Err(Declined::Broken),
        Err(_elapsed) => Err(Declined::TooSlow),
    }
}

/// Whether a body is YAML: it says what it is, and that is one of the types that are taken.
fn is_yaml<B>(body: Takes, request: &Request<B>) -> Result<bool, Declined> {
    let mut types = request.headers().get_all(CONTENT_TYPE).iter();
    let (Some(said), None) = (types.next(), types.next()) else { return Err(Declined::MediaType(body)) };
    let said = said.to_str().unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let is_yaml = said.eq_ignore_ascii_case("application/yaml");
    let is_taken = said.eq_ignore_ascii_case("application/json") || is_yaml && matches!(body, Takes::Overlay(_));
    if is_taken { Ok(is_yaml) } else { Err(Declined::MediaType(body)) }
}

/// The parameters of an operation. Where it has none, nothing is asked by what stands there: collectors add their own.
fn query(operation: &Operation, text: &str) -> Result<Vec<(&'static str, String)>, Declined> {
    let mut query: Vec<(&'static str, String)> = Vec::new();
    if operation.query.is_empty() {
        return Ok(query);
    }
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let decoded = (decode(name), decode(&value.replace('+', " ")));
        let (Some(name), Some(value)) = decoded else {
            return Err(Declined::Query("query is not percent-encoded UTF-8".to_owned()));
        };
        let Some(known) = operation.query.iter().find(|known| known.name == name) else {
            let known: Vec<String> = operation.query.iter().map(|known| format!("`{}`", known.name)).collect();
            let name = crate::telemetry::one_line(name.as_bytes());
            return Err(Declined::Query(format!("parameter `{name}` is unknown: there are {}", known.join(", "))));
        };
        if query.iter().any(|(other, _)| *other == known.name) {
            return Err(Declined::Query(format!("parameter `{}` stands there twice", known.name)));
        }
        query.push((known.name, value));
    }
    Ok(query)
}

/// The text that is percent-encoded so.
fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        if *first == b'%' {
            let (digits, after) = rest.split_at_checked(2)?;
            let digits = std::str::from_utf8(digits).ok().filter(|digits| !digits.starts_with('+'))?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = after;
        } else {
            bytes.push(*first);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn what_is_percent_encoded_is_text() {
        for (text, expected) in [
            ("", Some("")),
            ("plain", Some("plain")),
            ("data%3A%2F%2Fx%20y", Some("data://x y")),
            ("%C3%A9", Some("é")),
            ("%", None),
            ("%2", None),
            ("%+1", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(decode(text).as_deref(), expected, "{text}");
        }
    }
}
