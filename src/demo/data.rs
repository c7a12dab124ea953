//! The `data` demo server: queries on the built-in tables, and the tables as resources.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::offer::{
    Completed, Completion, Contents, ContentsBody, NoArguments, Offer, Outcome, ProcessStatus, ToolCall, ToolResult,
    arguments_as, prompt_result, read_only,
};
use super::tables::{self, DemoTable, TABLES};

/// Rows that one query returns, whatever its `limit`.
const ROWS_MAX: usize = 100;

/// A grey gradient of 8 by 8 pixels, so that there is a resource that is not text.
#[rustfmt::skip]
const GRADIENT_PNG: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52, 0x00, 0x00, 0x00, 0x08,
    0x00, 0x00, 0x00, 0x08, 0x08, 0x00, 0x00, 0x00, 0x00, 0xe1, 0x64, 0xe1, 0x57, 0x00, 0x00, 0x00, 0x2a, 0x49, 0x44, 0x41,
    0x54, 0x78, 0xda, 0x63, 0x60, 0x10, 0x54, 0x32, 0x76, 0x09, 0x4d, 0x2b, 0x87, 0xd1, 0x1d, 0x0c, 0x50, 0x7a, 0x26, 0x03,
    0x94, 0x5e, 0xc5, 0x00, 0xa5, 0x77, 0x33, 0x40, 0xe9, 0x33, 0x0c, 0x50, 0xfa, 0x2e, 0x03, 0x94, 0x7e, 0x07, 0x00, 0x50,
    0x55, 0x1d, 0xc1, 0x6f, 0x66, 0x34, 0xe5, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];
const GRADIENT_URI: &str = "data://images/gradient.png";
const ROW_TEMPLATE: &str = "data://tables/{table}/rows/{row}";

pub(super) struct Tables;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfTable {
    table: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    table: String,
    column: Option<String>,
    equals: Option<Value>,
    limit: Option<usize>,
}

impl Offer for Tables {
    fn instructions(&self) -> &'static str {
        "Small tables. Call list_tables, then describe_table, then query."
    }

    fn tools(&self) -> Vec<Value> {
        vec![list_tables_tool(), query_tool(), describe_table_tool()]
    }

    fn prompts(&self) -> Vec<Value> {
        vec![json!({
            "name": "summarize_table",
            "title": "Summarize a table",
            "description": "Asks for a summary of a table, which comes with the prompt.",
            "arguments": [{ "name": "table", "description": "Name of the table.", "required": true }],
        })]
    }

    fn resources(&self) -> Vec<Value> {
        let tables = TABLES.iter().map(|table| {
            json!({
                "uri": table.uri(),
                "name": table.name,
                "title": table.title,
                "description": table.description,
                "mimeType": "application/json",
            })
        });
        let gradient = json!({
            "uri": GRADIENT_URI,
            "name": "gradient.png",
            "title": "Gradient",
            "description": "A grey gradient of 8 by 8 pixels.",
            "mimeType": "image/png",
            "size": GRADIENT_PNG.len(),
        });
        tables.chain([gradient]).collect()
    }

    fn resource_templates(&self) -> Vec<Value> {
        vec![json!({
            "uriTemplate": ROW_TEMPLATE,
            "name": "row",
            "title": "Row of a table",
            "description": "One row as a JSON object; rows count from 0.",
            "mimeType": "application/json",
        })]
    }

    fn call(&self, call: &ToolCall<'_>) -> Option<Outcome> {
        let result = match call.name {
            "list_tables" => call.run(|NoArguments {}| Ok(list_tables())),
            "query" => call.run(query),
            "describe_table" => call.run(|OfTable { table }| Ok(describe_table(known(&table)?))),
            _ => return None,
        };
        Some(result.into())
    }

    fn prompt(&self, name: &str, arguments: Map<String, Value>) -> Option<Result<Value, String>> {
        (name == "summarize_table").then(|| {
            let OfTable { table } = arguments_as(arguments)?;
            let table = known(&table)?;
            let text = format!("Summarize the table `{}` in three sentences.", table.name);
            let resource = json!({ "uri": table.uri(), "mimeType": "application/json", "text": rows_text(table) });
            let content =
                [json!({ "type": "text", "text": text }), json!({ "type": "resource", "resource": resource })];
            Ok(prompt_result("A table to summarize", &content))
        })
    }

    fn completes(&self) -> bool {
        true
    }

    fn values(&self, completion: &Completion<'_>) -> Option<Vec<String>> {
        match completion.of {
            Completed::Prompt("summarize_table") | Completed::Template(ROW_TEMPLATE) => {}
            Completed::Prompt(_) | Completed::Template(_) => return None,
        }
        Some(match (completion.of, completion.argument) {
            (_, "table") => TABLES.iter().map(|table| table.name.to_owned()).collect(),
            (Completed::Template(_), "row") => {
                let table = completion.others.get("table").and_then(Value::as_str).and_then(tables::find);
                (0..table.map_or(0, DemoTable::row_count)).map(|row| row.to_string()).collect()
            }
            _ => Vec::new(),
        })
    }

    fn read(&self, uri: &str, _: &ProcessStatus) -> Option<Contents> {
        if uri == GRADIENT_URI {
            let body = ContentsBody::Bytes(GRADIENT_PNG);
            return Some(Contents { mime_type: "image/png", body, volatile: false });
        }
        let path = uri.strip_prefix("data://tables/")?;
        let text = match path.split_once("/rows/") {
            None => rows_text(tables::find(path)?),
            Some((table, row)) => {
                let mut rows = tables::find(table)?.rows();
                Value::Object(rows.nth(row.parse().ok()?)?).to_string()
            }
        };
        Some(Contents { mime_type: "application/json", body: ContentsBody::Text(text), volatile: false })
    }
}

fn list_tables_tool() -> Value {
    json!({
        "name": "list_tables",
        "title": "List tables",
        "description": "Names, descriptions and sizes of all tables.",
        "inputSchema": { "type": "object", "properties": {}, "additionalProperties": false },
        "outputSchema": {
            "type": "object",
            "properties": {
                "tables": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string" },
                            "description": { "type": "string" },
                            "rows": { "type": "integer" },
                        },
                        "required": ["name", "description", "rows"],
                    },
                },
            },
            "required": ["tables"],
        },
        "annotations": read_only(),
    })
}

fn query_tool() -> Value {
    json!({
        "name": "query",
        "title": "Query a table",
        "description": "Rows of a table, all or those where a column equals a value.",
        "inputSchema": {
            "type": "object",
            "properties": {
                "table": table_schema(),
                "column": { "type": "string", "description": "The column to filter by; needs equals." },
                "equals": { "type": ["string", "number"], "description": "The value that the column must have." },
                "limit": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": ROWS_MAX,
                    "default": ROWS_MAX,
                    "description": "Rows to return at most.",
                },
            },
            "required": ["table"],
            "dependentRequired": { "column": ["equals"], "equals": ["column"] },
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "rows": { "type": "array", "items": { "type": "object" }, "description": "In the table's order." },
                "matched": { "type": "integer", "description": "Rows that match, returned or not." },
            },
            "required": ["rows", "matched"],
        },
        "annotations": read_only(),
    })
}

fn describe_table_tool() -> Value {
    json!({
        "name": "describe_table",
        "title": "Describe a table",
        "description": "The columns of a table.",
        "inputSchema": {
            "type": "object",
            "properties": { "table": table_schema() },
            "required": ["table"],
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": {
                "columns": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "name": { "type": "string" },
                            "type": { "type": "string", "description": "A type of JSON Schema." },
                            "description": { "type": "string" },
                        },
                        "required": ["name", "type", "description"],
                    },
                },
            },
            "required": ["columns"],
        },
        "annotations": read_only(),
    })
}

fn table_schema() -> Value {
    let names: Vec<_> = TABLES.iter().map(|table| table.name).collect();
    json!({ "type": "string", "enum": names, "description": "Name of the table." })
}

fn list_tables() -> ToolResult {
    let tables: Vec<_> = TABLES
        .iter()
        .map(|table| json!({ "name": table.name, "description": table.description, "rows": table.row_count() }))
        .collect();
    as_text_too(json!({ "tables": tables }))
}

fn describe_table(table: &DemoTable) -> ToolResult {
    let columns: Vec<_> = table
        .columns
        .iter()
        .map(|column| json!({ "name": column.name, "type": column.kind, "description": column.description }))
        .collect();
    as_text_too(json!({ "columns": columns }))
}

fn query(query: Query) -> Result<ToolResult, String> {
    let table = known(&query.table)?;
    let limit = query.limit.unwrap_or(ROWS_MAX);
    if !(1..=ROWS_MAX).contains(&limit) {
        return Err(format!("`limit` is not between 1 and {ROWS_MAX}"));
    }
    let filter = match (query.column, query.equals) {
        (None, None) => None,
        (Some(column), Some(value)) if value.is_string() || value.is_number() => Some((column, value)),
        (Some(_), Some(_)) => return Err("`equals` is neither a string nor a number".into()),
        _ => return Err("`column` and `equals` go together".into()),
    };
    if let Some((column, _)) = &filter
        && !table.columns.iter().any(|known| known.name == column)
    {
        return Err(format!("column `{column}` is not in table `{}`", table.name));
    }
    let matches = |row: &Map<String, Value>| {
        filter.as_ref().is_none_or(|(column, value)| row.get(column).is_some_and(|cell| same(cell, value)))
    };
    let mut rows: Vec<_> = table.rows().filter(matches).collect();
    let matched = rows.len();
    rows.truncate(limit);
    Ok(as_text_too(json!({ "rows": rows, "matched": matched })))
}

/// Whether two values are equal, where 1 and 1.0 are.
fn same(cell: &Value, value: &Value) -> bool {
    match (cell.as_f64(), value.as_f64()) {
        (Some(cell), Some(value)) => cell == value,
        _ => cell == value,
    }
}

fn known(name: &str) -> Result<&'static DemoTable, String> {
    tables::find(name).ok_or_else(|| format!("table `{name}` is not known"))
}

fn rows_text(table: &DemoTable) -> String {
    Value::Array(table.rows().map(Value::Object).collect()).to_string()
}

/// For clients that do not read structured content, the same as text.
fn as_text_too(structured: Value) -> ToolResult {
    ToolResult::structured(structured.to_string(), structured)
}
