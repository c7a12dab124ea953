//! What a live backend says of itself: greeted and listed through the gateway's own links, within bounds.

use only1mcp_model::lock::{Answers, LeftOut, List, Section};
use serde_json::value::RawValue;

use super::{Call, Collected, Transport, plan};
use crate::catalog::Era;
use crate::limits;
use crate::mcp::json::Value;
use crate::mcp::{envelope, parts};

/// How long one answer may take.
const ANSWER_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);

/// What a backend offers, and what it lists that no section has; or why that is not known.
pub(crate) type Told = Result<(Section, Vec<LeftOut>), String>;

/// Asks a backend, over a link to it, for all of it, and says what it lists and no section has. `tell` hears what it is
/// asked.
///
/// # Errors
/// Why there is none.
pub(crate) async fn contract<U: Transport>(link: &U, backend: &plan::Backend, tell: impl Fn(&'static str)) -> Told {
    let greeting = link.greet().await.map_err(|error| error.detail)?;
    let raw = |text: &[u8]| serde_json::from_slice::<Box<RawValue>>(text).map_err(|error| error.to_string());
    let result = raw(&greeting.result)?;
    let capabilities: Capabilities = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
    let mut lists: [Vec<Box<RawValue>>; 4] = Default::default();
    for (list, pages) in List::ALL.into_iter().zip(&mut lists) {
        if capabilities.offers(list) {
            tell(list.method());
            *pages = all_pages(link, list).await?;
        }
    }
    let [tools, prompts, resources, templates] = &lists;
    let answers = Answers {
        transport: &backend.transport,
        revision: greeting.revision,
        greeting: &result,
        tools,
        prompts,
        resources,
        templates,
    };
    Section::new(&answers).map_err(|error| error.to_string())
}

#[derive(serde::Deserialize)]
struct Capabilities {
    capabilities: serde_json::Map<String, serde_json::Value>,
}

impl Capabilities {
    fn offers(&self, list: List) -> bool {
        let capability = match list {
            List::Tools => "tools",
            List::Prompts => "prompts",
            List::Resources | List::Templates => "resources",
        };
        self.capabilities.contains_key(capability)
    }
}

/// What of a page decides whether there is another.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Paged {
    next_cursor: Option<String>,
    #[serde(default, alias = "tools", alias = "prompts", alias = "resources", alias = "resourceTemplates")]
    items: Vec<serde::de::IgnoredAny>,
}

/// Follows the pages of a list to its end.
async fn all_pages<U: Transport>(link: &U, list: List) -> Result<Vec<Box<RawValue>>, String> {
    let mut pages: Vec<Box<RawValue>> = Vec::new();
    let mut cursors: Vec<String> = Vec::new();
    let (mut bytes, mut items) = (0, 0);
    while pages.len() < limits::LIST_PAGES_MAX {
        let params = cursors
            .last()
            .map(|cursor| serde_json::json!({ "cursor": cursor }))
            .unwrap_or_else(|| serde_json::json!({}));
        let result = match request(link, list.method(), &params).await? {
            Ok(result) => result,
            // Templates came later than resources: a server may have none of the method.
            Err(-32601) if list == List::Templates => return Ok(Vec::new()),
            Err(code) => return Err(format!("`{}` was answered with error {code}", list.method())),
        };
        bytes += result.get().len();
        if bytes > limits::ANSWER_BYTES_MAX {
            return Err(format!("`{}` is longer than {} bytes", list.method(), limits::ANSWER_BYTES_MAX));
        }
        let paged: Paged = serde_json::from_str(result.get()).map_err(|error| error.to_string())?;
        items += paged.items.len();
        if items > limits::LIST_ITEMS_MAX {
            return Err(format!("`{}` has more than {} items", list.method(), limits::LIST_ITEMS_MAX));
        }
        pages.push(result);
        match paged.next_cursor {
            None => return Ok(pages),
            Some(cursor) if cursors.contains(&cursor) => return Err(format!("`{}` repeats a cursor", list.method())),
            Some(cursor) => cursors.push(cursor),
        }
    }
    Err(format!("`{}` has more than {} pages", list.method(), limits::LIST_PAGES_MAX))
}

/// One request to a backend: its result, or the code of its error.
async fn request<U: Transport>(
    link: &U,
    method: &'static str,
    params: &serde_json::Value,
) -> Result<Result<Box<RawValue>, i64>, String> {
    let source = format!(r#"{{"jsonrpc":"2.0","id":0,"method":"{method}","params":{params}}}"#);
    let head = envelope::incoming(source.as_bytes()).map_err(|error| format!("{error:?}"))?;
    let call = Call::own(source.as_bytes(), &head, method, Era::Legacy);
    let mut answer = Collected::default();
    let exchange = link.exchange(&call, &mut answer);
    let exchanged = tokio::time::timeout(ANSWER_TIMEOUT, exchange).await;
    exchanged.map_err(|_elapsed| format!("`{method}` was not answered in time"))?.map_err(|error| error.detail)?;
    let (source, head) = answer.0.ok_or_else(|| format!("`{method}` was not answered"))?;
    let code = |value: Value| serde_json::from_slice(value.span.of(&source)).ok();
    match parts::result(&source, &head) {
        // What nests too deep for a message is left out of a list by itself.
        Some(result) => serde_json::from_slice(result).map(Ok).map_err(|error| error.to_string()),
        None => Ok(Err(head.error_code.and_then(code).unwrap_or_default())),
    }
}

#[cfg(test)]
mod tests {
    use super::Paged;

    #[test]
    fn the_items_of_every_list_are_counted() {
        for member in ["tools", "prompts", "resources", "resourceTemplates"] {
            let page: Paged =
                serde_json::from_str(&format!(r#"{{"{member}":[{{}},{{}}],"nextCursor":"n"}}"#)).expect("a page");
            assert_eq!((page.items.len(), page.next_cursor.as_deref()), (2, Some("n")), "{member}");
        }
    }
}
