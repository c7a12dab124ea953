//! Arguments that a tool wants to see as headers too: whether what a client sends says the same in both places
//! (MCP 2026-07-28, custom headers from tool parameters, server validation). Headers for servers are written elsewhere.

use super::Post;
use super::error::Refusal;
use crate::catalog::Era;
use crate::catalog::plan::ParamHeader;
use crate::mcp::json::Value;
use crate::mcp::{header, path};

/// Holds the arguments of a call against the headers that came with it; where none can come, only whether every reader
/// takes the arguments for the same.
pub(super) fn check<'a>(post: &Post<'_>, era: Era, wanted: &[ParamHeader]) -> Result<(), Refusal<'a>> {
    let head = post.carrier.head().filter(|_| era == Era::Modern);
    for param in wanted {
        let value = match post.message.arguments {
            Some(arguments) => path::find(post.body, arguments, &param.path).map_err(|path::Ambiguous| {
                Refusal::InvalidParams(format!("`{}` is ambiguous", argument(param)).into())
            })?,
            None => None,
        };
        if let Some(head) = head {
            let fields = head.passed_on.iter().filter(|(name, _)| header::is_param(name, &param.header));
            agree(post.body, param, value, fields.map(|(_, field)| *field))?;
        }
    }
    Ok(())
}

/// An argument that has a field is said by exactly one, any other by none.
fn agree<'a, 'f>(
    source: &[u8],
    param: &ParamHeader,
    value: Option<Value>,
    mut fields: impl Iterator<Item = &'f [u8]>,
) -> Result<(), Refusal<'a>> {
    let mismatch =
        |what: &str| Err(Refusal::HeaderMismatch(format!("header `Mcp-Param-{}` {what}", param.header).into()));
    let differs = || mismatch(&format!("differs from `{}`", argument(param)));
    let value = value.filter(|value| header::argument(source, *value).is_some());
    let (field, value) = match (fields.next(), value) {
        (None, None) => return Ok(()),
        (None, Some(_)) => return mismatch("is missing"),
        (Some(_), None) => return differs(),
        (Some(field), Some(value)) => (field, value),
    };
    if fields.next().is_some() {
        return mismatch("stands there more than once");
    }
    match header::decode(field) {
        None => mismatch("is malformed"),
        Some(said) if header::says(&said, source, value) => Ok(()),
        Some(_) => differs(),
    }
}

/// Where an argument stands in a message.
fn argument(param: &ParamHeader) -> String {
    format!("params.arguments.{}", param.path.join("."))
}
