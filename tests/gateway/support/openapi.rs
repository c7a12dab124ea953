//! The document that describes the admin API, and answers held against it: every member has to be described.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::Value;

use super::client::{Answer, Client, Request};

const PLACE: &str = "mem:///openapi.json";

/// The document as a gateway serves it.
#[derive(Debug)]
pub(crate) struct Document(Value);

// === impl Document ===

impl Document {
    pub(crate) async fn fetch(admin: SocketAddr) -> Self {
        let answer = Client::ask(admin, &Request::bare("GET /api/v1/admin/openapi.json HTTP/1.1")).await;
        assert_eq!(answer.status, 200);
        let mut document = answer.json();
        close(&mut document["components"]["schemas"]);
        Self(document)
    }

    /// Every method and path that it has.
    pub(crate) fn operations(&self) -> BTreeSet<(String, String)> {
        let paths = self.0["paths"].as_object().expect("paths");
        let methods = |path: &String, methods: &Value| -> Vec<(String, String)> {
            let methods = methods.as_object().expect("methods").keys();
            methods.map(|method| (method.clone(), path.clone())).collect()
        };
        paths.iter().flat_map(|(path, own)| methods(path, own)).collect()
    }

    /// Holds an answer against what is said of this status of an operation.
    #[track_caller]
    pub(crate) fn check(&self, method: &str, path: &str, answer: &Answer) {
        let responses = &self.0["paths"][path][method]["responses"];
        let response = &responses[answer.status.to_string()];
        assert!(response.is_object(), "{method} {path}: {} is not described: {}", answer.status, answer.text());
        let content = response["content"].as_object().expect("content");
        let (known, _) = content.iter().next().expect("one type");
        assert_eq!(answer.field("content-type"), Some(known.as_str()), "{method} {path}");
        if known == "application/json" {
            let (method, status) = (method.to_owned(), answer.status);
            let pointer = ["paths", path, &method, "responses", &status.to_string(), "content", known, "schema"];
            self.hold(&pointer, answer);
        }
    }

    /// Holds the answer to what it has no path or no method for against the schema of errors.
    #[track_caller]
    pub(crate) fn check_error(&self, answer: &Answer) {
        self.hold(&["components", "schemas", "Error"], answer);
    }

    #[track_caller]
    fn hold(&self, pointer: &[&str], answer: &Answer) {
        let escaped = |part: &&str| part.replace('~', "~0").replace('/', "~1").replace('{', "%7B").replace('}', "%7D");
        let pointer = pointer.iter().map(escaped).collect::<Vec<_>>().join("/");
        let (mut schemas, mut compiler) = (boon::Schemas::new(), boon::Compiler::new());
        compiler.add_resource(PLACE, self.0.clone()).expect("a document");
        let schema = compiler.compile(&format!("{PLACE}#/{pointer}"), &mut schemas).expect("a schema");
        let told = answer.json();
        let held = schemas.validate(&told, schema);
        assert!(held.is_ok(), "{pointer}: {}\n{}", held.expect_err("it is none"), answer.text());
    }
}

/// Lets objects have no members but those described, where the schema leaves others open for later.
fn close(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if members.get("properties").is_some_and(Value::is_object) && members.contains_key("type") {
                members.entry("additionalProperties").or_insert(Value::Bool(false));
            }
            members.values_mut().for_each(close);
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}
