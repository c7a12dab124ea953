//! What the gateway answers by itself: refusals, and the compiled bytes of greetings and lists.

use super::error::Refusal;
use super::{Answer, Downstream};
use crate::catalog::{Era, ListKind, RESULT_AROUND, Revision, Spec, View};
use crate::upstream::Gone;

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
    let [prefix, middle, end] = RESULT_AROUND;
    let body: &[&[u8]] = &[prefix, id, middle, result, end];
    downstream.answer(&Answer { status: 200, fields, body, close: false }).await
}

/// Answers with a page of a list of a view.
pub(crate) async fn list<D: Downstream>(
    downstream: &D,
    spec: &'static Spec,
    view: &'static View,
    kind: ListKind,
    revision: Revision,
    id: &[u8],
    cursor: Option<&str>,
) -> Result<(), Gone> {
    let Some(page) = view.page(kind, revision, cursor) else {
        let refusal = Refusal::Unknown("cursor", cursor.unwrap_or_default().into());
        return refuse(downstream, &refusal, revision.era(), Some(id)).await;
    };
    let (whole, cut);
    let body: &[&[u8]] = if let Some(answer) = spec.list_answer(page, id) {
        whole = answer;
        &whole
    } else {
        cut = spec.cut_answer(page, id);
        &cut
    };
    downstream.answer(&Answer { status: 200, fields: "", body, close: false }).await
}

/// 202 for a notification that was taken.
pub(crate) async fn accepted<D: Downstream>(downstream: &D) -> Result<(), Gone> {
    downstream.answer(&Answer { status: 202, fields: "", body: &[], close: false }).await
}
