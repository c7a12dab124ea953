//! `completion/complete` as the demo servers answer it. Which values there are is said by `data`.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::offer::{Completed, Completion, Offer};
use super::rpc::Fault;

/// Values that one answer holds at most (MCP 2025-11-25, completion).
const VALUES_MAX: usize = 100;

#[derive(Deserialize)]
struct Params {
    r#ref: Reference,
    argument: Argument,
    #[serde(default)]
    context: Known,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Template { uri: String },
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

/// What the client knows already.
#[derive(Default, Deserialize)]
struct Known {
    #[serde(default)]
    arguments: Map<String, Value>,
}

/// The known values of an argument that begin as it does.
pub(super) fn complete(offer: &dyn Offer, params: &Map<String, Value>) -> Result<Value, Fault> {
    let params = serde_json::from_value(Value::Object(params.clone()));
    let Params { r#ref, argument, context } = params.map_err(|error| Fault::InvalidParams(error.to_string()))?;
    let (of, unknown) = match &r#ref {
        Reference::Prompt { name } => (Completed::Prompt(name), format!("prompt `{name}` is not known")),
        Reference::Template { uri } => (Completed::Template(uri), format!("resource template `{uri}` is not known")),
    };
    let completion = Completion { of, argument: &argument.name, others: context.arguments };
    let mut values = offer.values(&completion).ok_or(Fault::InvalidParams(unknown))?;
    values.retain(|value| value.starts_with(&argument.value));
    let total = values.len();
    values.truncate(VALUES_MAX);
    Ok(json!({ "completion": { "hasMore": values.len() < total, "values": values, "total": total } }))
}
