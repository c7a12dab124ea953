//! The document that describes the interface, OpenAPI 3.1: made of the table of paths, and of the schemas beside this
//! file.

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use super::routes::{BASE, Gives, Operation, Path, ROUTES, Takes, Verb};
use super::told::Told;

/// What bodies and answers look like: one JSON Schema by its name.
const SCHEMAS: &str = include_str!("openapi/schemas.json");

static DOCUMENT: LazyLock<String> = LazyLock::new(|| document().to_string());

pub(super) fn answer() -> Told {
    Told::text("application/json", DOCUMENT.as_str())
}

fn document() -> Value {
    let schemas: Value = serde_json::from_str(SCHEMAS).expect("the file is JSON");
    let mut paths = Map::new();
    for route in &ROUTES {
        let operations: Map<String, Value> =
            route.operations.iter().map(|own| (method(own).to_owned(), operation(route, own, ""))).collect();
        paths.insert(format!("{BASE}{}", route.path), operations.into());
        if let Some(alias) = route.alias {
            let operations: Map<String, Value> =
                route.operations.iter().map(|own| (method(own).to_owned(), operation(route, own, "_alias"))).collect();
            paths.insert(alias.to_owned(), operations.into());
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "only1mcp, administration",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Everyone on the machine of the gateway may read; other machines show the token, and so does \
                            whoever changes something. A path that is not there answers 404, another method 405 with \
                            `Allow`, both as `Error`. HEAD is answered wherever GET is. Members may be added to \
                            every object, and words to every `kind` and `state`.",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn method(operation: &Operation) -> &'static str {
    match operation.verb {
        Verb::Get => "get",
        Verb::Post => "post",
        Verb::Put => "put",
        Verb::Patch => "patch",
        Verb::Delete => "delete",
    }
}

fn operation(route: &Path, operation: &Operation, suffix: &str) -> Value {
    let mut parameters: Vec<Value> = Vec::new();
    if route.is_named() {
        let about = "One segment, percent-encoded.";
        parameters.push(json!({
            "name": "name", "in": "path", "required": true, "description": about, "schema": { "type": "string" },
        }));
    }
    parameters.extend(operation.query.iter().map(|own| {
        let schema: Value = serde_json::from_str(own.schema).expect("a schema is JSON");
        json!({ "name": own.name, "in": "query", "description": own.meaning, "schema": schema })
    }));
    let mut described = json!({
        "operationId": format!("{}{suffix}", operation.id),
        "summary": operation.summary,
        "parameters": parameters,
        "responses": responses(route, operation),
    });
    if let Some(body) = operation.takes {
        let content = match body {
            Takes::Json(schema) => content(schema),
            Takes::Overlay(schema) => {
                let mut content = content(schema);
                content["application/yaml"] = json!({ "schema": { "type": "string" } });
                content
            }
        };
        described["requestBody"] = json!({ "required": true, "content": content });
    }
    if operation.changes {
        described["security"] = json!([{ "token": [] }]);
    }
    described
}

fn responses(route: &Path, operation: &Operation) -> Value {
    let mut responses = Map::new();
    let given = match operation.gives {
        Gives::Json(schema) => content(schema),
        Gives::Text(content_type) => json!({ content_type: { "schema": { "type": "string" } } }),
    };
    for status in [Some(200), operation.also].into_iter().flatten() {
        responses.insert(status.to_string(), json!({ "description": operation.summary, "content": given }));
    }
    for (status, meaning) in refusals(route, operation) {
        responses.insert(status.to_string(), json!({ "description": meaning, "content": content("Error") }));
    }
    responses.into()
}

/// What else an operation may answer.
fn refusals(route: &Path, operation: &Operation) -> Vec<(u16, &'static str)> {
    let mut refusals = vec![
        (400, "The request is not understood."),
        (401, "The token is missing, or is another."),
        (
            403,
            "The request is meant for another host, comes from a page of others, or needs a token that there is none of.",
        ),
        (413, "The body is too long, or none is taken."),
    ];
    let names = ["server", "view"];
    if route.is_named() || operation.query.iter().any(|own| names.contains(&own.name)) {
        refusals.push((404, "There is nothing of that name."));
    }
    if operation.takes.is_some() {
        refusals.push((408, "The body does not come."));
        refusals.push((415, "The body is not said to be of a type that is taken."));
    }
    let of_overlay = matches!(operation.gives, Gives::Json("Outcome"));
    if of_overlay {
        refusals.push((422, "The overlay does not pass its checks, or cannot be read: `diagnostics` says where."));
    }
    if of_overlay || route.path == "/log-level" {
        refusals.push((409, "The gateway is not the one to do it, or there is nothing to do it with."));
    }
    if of_overlay || matches!(operation.gives, Gives::Text(_)) {
        refusals.push((500, "The gateway is at fault."));
    }
    refusals
}

fn content(schema: &str) -> Value {
    json!({ "application/json": { "schema": { "$ref": format!("#/components/schemas/{schema}") } } })
}
