//! What administrators are told, each subject in a file of its own: functions from what is known and what is asked to an
//! answer. The shapes are documented, with every member, in `openapi/schemas.json`; members are only ever added.

pub(super) mod breakers;
pub(super) mod catalog;
pub(super) mod config;
pub(super) mod health;
pub(super) mod levels;
pub(super) mod metrics;
pub(super) mod overlay;
pub(super) mod routing;
pub(super) mod servers;
pub(super) mod sessions;
pub(super) mod system;
pub(super) mod window;
