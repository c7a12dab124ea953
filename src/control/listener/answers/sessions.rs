//! How much is kept of sessions of clients. A session is what its token says, which nobody but its client has: there is
//! no list of them, and nothing here names one.

use serde_json::json;

use super::super::declined::Declined;
use super::super::endpoint::Endpoints;
use super::super::petition::Petition;
use super::super::told::Told;
use crate::limits;
use crate::proxy::Holdings;

pub(in super::super) fn sessions(endpoints: &Endpoints, _: &Petition) -> Result<Told, Declined> {
    let Holdings { live, ended, replays, questions, parked } = endpoints.facts.shared.holdings();
    let held = |held: usize, most: usize| json!({ "held": held, "most": most });
    Ok(Told::json(&json!({
        "live": held(live, limits::SESSIONS_MAX),
        "ended": held(ended, limits::ENDED_SESSIONS_MAX),
        "replayable_streams": held(replays, limits::REPLAY_STREAMS_MAX),
        "open_questions": held(questions, limits::QUESTIONS_MAX),
        "parked_calls": held(parked, limits::PARKED_CALLS_MAX),
    })))
}
