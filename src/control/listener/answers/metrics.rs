//! What is counted, as collectors read it.

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::told::Told;

/// Of the text format.
pub(in super::super) const TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(in super::super) fn metrics(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let text = endpoints.metrics.text().map_err(|error| {
        tracing::error!(%error, "metrics cannot be written");
        Declined::Internal("metrics cannot be written")
    })?;
    Ok(Told::text(TYPE, text))
}
