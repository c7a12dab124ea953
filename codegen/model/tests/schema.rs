//! The schema that is committed for editors is the one that the types define.
//!
//! `BLESS=1 cargo test -p only1mcp-model --test schema` writes it anew.

use std::fs;
use std::path::Path;

use only1mcp_model::schema;

#[test]
fn the_committed_schema_is_current() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies/topology.schema.json");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, schema::topology()).expect("the directory can be written");
    }
    let committed = fs::read_to_string(&path).expect("the schema is part of the tree");
    assert!(committed == schema::topology(), "topologies/topology.schema.json is not what the types define");
}

#[test]
fn every_topology_of_the_tree_names_the_schema_to_editors() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../topologies");
    let paths = fs::read_dir(directory).expect("the directory is part of the tree").flatten().map(|entry| entry.path());
    let topologies: Vec<_> = paths.filter(|path| path.extension().is_some_and(|end| end == "yaml")).collect();
    assert!(topologies.len() > 3, "{topologies:?}");
    for path in topologies {
        let text = fs::read_to_string(&path).expect("a text");
        assert!(text.starts_with("# yaml-language-server: $schema=./topology.schema.json\n"), "{}", path.display());
    }
}

#[test]
fn a_schema_is_json_that_knows_every_key_with_its_documentation() {
    for text in [schema::topology(), schema::overlay()] {
        let schema: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        documented(&schema["properties"]);
    }
    let schema: serde_json::Value = serde_json::from_str(&schema::topology()).expect("JSON");
    assert_eq!(schema["required"], serde_json::json!(["name", "backends"]));
    let backend = &schema["properties"]["backends"]["additionalProperties"];
    assert_eq!(backend["properties"]["transport"]["allOf"], serde_json::json!([{ "maxProperties": 1 }]));
    assert_eq!(schema["properties"]["defaults"]["properties"]["timeout"]["default"], "30s");
}

fn documented(properties: &serde_json::Value) {
    for (key, schema) in properties.as_object().expect("keys") {
        assert!(schema["description"].as_str().is_some_and(|text| text.ends_with('.')), "`{key}` is documented");
        if schema["properties"].is_object() {
            documented(&schema["properties"]);
        }
    }
}
