//! How much the gateway logs, told and changed while it runs.

use serde::Deserialize;
use serde_json::json;

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::told::Told;
use crate::telemetry::{self, LevelFilter};

const NOT_OWN: Declined =
    Declined::Conflict("log is not the gateway's own: the program that embeds it says how much is logged");

/// The body of a change.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewLevel {
    level: Logged,
}

/// From what severity on lines are logged.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Logged {
    Off,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

pub(in super::super) fn level(_: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    telemetry::log_level().map(told).ok_or(NOT_OWN)
}

pub(in super::super) fn set(_: &Endpoints, asked: &Petition) -> Result<Told, Declined> {
    let NewLevel { level } = asked.json()?;
    let before = telemetry::log_level().ok_or(NOT_OWN)?;
    let level = LevelFilter::from(level);
    if !telemetry::set_log_level(level) {
        return Err(NOT_OWN);
    }
    tracing::info!(%level, %before, "log level is changed");
    Ok(told(level))
}

fn told(level: LevelFilter) -> Told {
    Told::json(&json!({ "level": level.to_string() }))
}

impl From<Logged> for LevelFilter {
    fn from(level: Logged) -> Self {
        match level {
            Logged::Off => Self::OFF,
            Logged::Error => Self::ERROR,
            Logged::Warn => Self::WARN,
            Logged::Info => Self::INFO,
            Logged::Debug => Self::DEBUG,
            Logged::Trace => Self::TRACE,
        }
    }
}
