//! What the gateway answers by itself: refusals, and the compiled bytes of greetings and lists.

use super::error::Refusal;
use super::{Answer, Downstream};
use crate::catalog::{Era, ListKind, Revision, Spec};
use crate::upstream::Gone;

const PREFIX: &[u8] = br#"{"jsonrpc":"2.0","id":"#;
const RESULT: &[u8] = br#","result":"#;

/// Refuses a request. The error bears its id where that could be read.
pub(crate) async fn refuse<D: Downstream>(
    downstream: &D,
    refusal: &Refusal<'_>,
    era: Era,
    id: Option<&[u8]>,
) -> Result<(), Gone> {
    let verdict = refusal.verdict(era);
    let body = verdict.body(id);
    let close = verdict.close;
    downstream.answer(&Answer { status: verdict.status, fields: &verdict.fields, body: &[&body], close }).await
}

/// Answers with a compiled result.
pub(crate) async fn result<D: Downstream>(downstream: &D, id: &[u8], result: &[u8], fields: &str) -> Result<(), Gone> {
    let body: &[&[u8]] = &[PREFIX, id, RESULT, result, b"}"];
    downstream.answer(&Answer { status: 200, fields, body, close: false }).await
}

/// Answers with a page of a list.
pub(crate) async fn list<D: Downstream>(
    downstream: &D,
    spec: &'static Spec,
    kind: ListKind,
    revision: Revision,
    id: &[u8],
    cursor: Option<&str>,
) -> Result<(), Gone> {
    let Some(page) = spec.page(kind, revision, cursor) else {
        let refusal = Refusal::Unknown("cursor", cursor.unwrap_or_default().into());
        return refuse(downstream, &refusal, revision.era(), Some(id)).await;
    };
    let body: &[&[u8]] =
        &[PREFIX, id, RESULT, page.head.as_bytes(), spec.items(page), page.tail.as_bytes(), b"}"];
    downstream.answer(&Answer { status: 200, fields: "", body, close: false }).await
}

/// 202 for a notification that was taken.
pub(crate) async fn accepted<D: Downstream>(downstream: &D) -> Result<(), Gone> {
    downstream.answer(&Answer { status: 202, fields: "", body: &[], close: false }).await
}
