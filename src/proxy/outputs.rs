//! What a call comes to that another task makes than the one of its client's connection, on its way there: whole messages.
//! Who waits for them is each caller's to say.

use std::pin::Pin;

use tokio::sync::mpsc;

use super::{Answer, Downstream as _, Erased};
use crate::upstream::Gone;

/// Something to write to the client.
#[derive(Debug)]
pub(super) enum Output {
    Event(Vec<u8>),
    Answer(u16, Vec<u8>),
}

/// Outputs on their way before the backend has to wait. Each may be as long as an answer.
const OUTPUTS_MAX: usize = 1;

/// From who makes the call to who waits for it.
pub(super) fn channel() -> (mpsc::Sender<Output>, mpsc::Receiver<Output>) {
    mpsc::channel(OUTPUTS_MAX)
}

/// Ready once nobody waits for them.
pub(super) fn unread(outputs: &mpsc::Sender<Output>) -> Pin<Box<dyn Future<Output = ()>>> {
    let outputs = outputs.clone();
    Box::pin(async move { outputs.closed().await })
}

/// Writes the answer to the call: on its stream, where that has begun.
pub(super) async fn answer(downstream: &Erased<'_>, status: u16, message: &[u8]) -> Result<(), Gone> {
    let body: &[&[u8]] = &[message];
    if downstream.streaming() {
        downstream.event(body).await?;
        return downstream.finish().await;
    }
    downstream.answer(&Answer { status, fields: "", body, close: false }).await
}
