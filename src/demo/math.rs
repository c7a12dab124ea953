//! The `math` demo server: arithmetic that is exact as long as it fits an `i64`, and `f64` beyond.

use serde::Deserialize;
use serde_json::{Map, Number, Value, json};

use super::offer::{
    Contents, ContentsBody, Offer, Outcome, ProcessStatus, ToolCall, ToolResult, arguments_as, prompt_result, read_only,
};

/// Integers up to here are exact in an `f64`.
const EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub(super) struct Math;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operands {
    a: Number,
    b: Number,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Operand {
    a: Number,
}

#[derive(Clone, Copy)]
enum Quantity {
    Integer(i64),
    Real(f64),
}

impl Offer for Math {
    fn instructions(&self) -> &'static str {
        "Arithmetic on numbers. Integers are exact within 64 bits."
    }

    fn tools(&self) -> Vec<Value> {
        vec![
            tool("add", "Add", "The sum of a and b.", &["a", "b"]),
            tool("subtract", "Subtract", "The difference of a and b.", &["a", "b"]),
            tool("multiply", "Multiply", "The product of a and b.", &["a", "b"]),
            tool("divide", "Divide", "The quotient of a and b, which must not be zero.", &["a", "b"]),
            tool("power", "Power", "a to the power of b.", &["a", "b"]),
            tool("sqrt", "Square root", "The square root of a, which must not be negative.", &["a"]),
        ]
    }

    fn prompts(&self) -> Vec<Value> {
        vec![json!({
            "name": "explain_calculation",
            "title": "Explain a calculation",
            "description": "Asks for a calculation to be explained step by step.",
            "arguments": [{ "name": "expression", "description": "What to calculate, such as 2 + 40.", "required": true }],
        })]
    }

    fn resources(&self) -> Vec<Value> {
        let constant = |name: &str, title: &str, description: &str| {
            json!({
                "uri": format!("math://constants/{name}"),
                "name": name,
                "title": title,
                "description": description,
                "mimeType": "text/plain",
            })
        };
        vec![
            constant("pi", "Pi", "The ratio of a circle's circumference to its diameter."),
            constant("e", "Euler's number", "The base of the natural logarithm."),
        ]
    }

    fn call(&self, call: &ToolCall<'_>) -> Option<Outcome> {
        let result = match call.name {
            "add" => call.run(|Operands { a, b }| arithmetic(&a, &b, i64::checked_add, |a, b| a + b)),
            "subtract" => call.run(|Operands { a, b }| arithmetic(&a, &b, i64::checked_sub, |a, b| a - b)),
            "multiply" => call.run(|Operands { a, b }| arithmetic(&a, &b, i64::checked_mul, |a, b| a * b)),
            "divide" => call.run(|Operands { a, b }| divide(&a, &b)),
            "power" => call.run(|Operands { a, b }| arithmetic(&a, &b, exact_power, f64::powf)),
            "sqrt" => call.run(|Operand { a }| square_root(&a)),
            _ => return None,
        };
        Some(result.into())
    }

    fn prompt(&self, name: &str, arguments: Map<String, Value>) -> Option<Result<Value, String>> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Explain {
            expression: String,
        }
        (name == "explain_calculation").then(|| {
            let Explain { expression } = arguments_as(arguments)?;
            let text = format!("Calculate {expression} with the tools at hand and explain every step.");
            Ok(prompt_result("A calculation, step by step", &[json!({ "type": "text", "text": text })]))
        })
    }

    fn read(&self, uri: &str, _: &ProcessStatus) -> Option<Contents> {
        let constant = match uri.strip_prefix("math://constants/")? {
            "pi" => std::f64::consts::PI,
            "e" => std::f64::consts::E,
            _ => return None,
        };
        let body = ContentsBody::Text(constant.to_string());
        Some(Contents { mime_type: "text/plain", body, volatile: false })
    }
}

fn tool(name: &str, title: &str, description: &str, operands: &[&str]) -> Value {
    let properties: Map<_, _> = operands
        .iter()
        .map(|&name| (name.to_owned(), json!({ "type": "number", "description": "An operand." })))
        .collect();
    json!({
        "name": name,
        "title": title,
        "description": description,
        "inputSchema": {
            "type": "object",
            "properties": properties,
            "required": operands,
            "additionalProperties": false,
        },
        "outputSchema": {
            "type": "object",
            "properties": { "result": { "type": "number", "description": "The outcome." } },
            "required": ["result"],
        },
        "annotations": read_only(),
    })
}

/// `exact` if both are integers and it has an answer, else `real`.
fn arithmetic(
    a: &Number,
    b: &Number,
    exact: impl Fn(i64, i64) -> Option<i64>,
    real: impl Fn(f64, f64) -> f64,
) -> Result<ToolResult, String> {
    let (a, b) = (Quantity::from(a), Quantity::from(b));
    let exact = match (a, b) {
        (Quantity::Integer(a), Quantity::Integer(b)) => exact(a, b),
        _ => None,
    };
    exact.map_or_else(|| Quantity::Real(real(a.real(), b.real())), Quantity::Integer).into_result()
}

fn divide(a: &Number, b: &Number) -> Result<ToolResult, String> {
    if Quantity::from(b).real() == 0.0 {
        return Err("division by zero".into());
    }
    let exact = |a: i64, b: i64| (a.checked_rem(b)? == 0).then_some(a / b);
    arithmetic(a, b, exact, |a, b| a / b)
}

fn exact_power(base: i64, exponent: i64) -> Option<i64> {
    base.checked_pow(u32::try_from(exponent).ok()?)
}

fn square_root(a: &Number) -> Result<ToolResult, String> {
    let a = Quantity::from(a);
    if a.real() < 0.0 {
        return Err("square root of a negative number".into());
    }
    let exact = match a {
        Quantity::Integer(square) => square.checked_isqrt().filter(|root| root * root == square),
        Quantity::Real(_) => None,
    };
    exact.map_or_else(|| Quantity::Real(a.real().sqrt()), Quantity::Integer).into_result()
}

// === impl Quantity ===

impl From<&Number> for Quantity {
    fn from(number: &Number) -> Self {
        // A number of JSON text is always finite as `f64`.
        number.as_i64().map_or_else(|| Self::Real(number.as_f64().unwrap_or(f64::NAN)), Self::Integer)
    }
}

impl Quantity {
    fn real(self) -> f64 {
        match self {
            Self::Integer(integer) => integer as f64,
            Self::Real(real) => real,
        }
    }

    fn into_result(self) -> Result<ToolResult, String> {
        let number = match self {
            Self::Integer(integer) => Number::from(integer),
            Self::Real(real) if real.is_nan() => return Err("result is not a real number".into()),
            Self::Real(real) if real.is_infinite() => return Err("result is out of range".into()),
            Self::Real(real) => json_number(real)?,
        };
        Ok(ToolResult::structured(number.to_string(), json!({ "result": number })))
    }
}

/// A whole number is written as one: 3, not 3.0.
fn json_number(real: f64) -> Result<Number, String> {
    if real.fract() == 0.0 && real.abs() <= EXACT_MAX {
        #[expect(clippy::cast_possible_truncation, reason = "whole and within the exact range")]
        return Ok(Number::from(real as i64));
    }
    Number::from_f64(real).ok_or_else(|| "result is out of range".into())
}
