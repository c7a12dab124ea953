//! What a gateway as a whole takes on at once: what a topology says of it, and what the engine is given. What a single
//! backend takes is elsewhere.

use crate::constant::constant;
use crate::decode::record;
use crate::rule::Within;

const CALLS: Within<usize> = Within { noun: "number of calls", range: 1..=1_000_000 };
const CONNECTION_CALLS: Within<usize> = Within { noun: "number of calls", range: 1..=65_536 };
const CONNECTIONS: Within<usize> = Within { noun: "number of connections", range: 1..=1_000_000 };

record! {
    /// What the gateway takes on at once.
    default struct LimitSettings: "limits" {
        /// How many calls there may be at once, to all backends together.
        in_flight: InFlightSettings = InFlightSettings::default(),
        /// How many connections of clients there may be at once.
        connections: ConnectionSettings = ConnectionSettings::default(),
    }
}

record! {
    /// How many calls there may be at once, to all backends together.
    default struct InFlightSettings: "limits of calls" {
        /// So many calls are under way at once in the whole process; further ones are refused before anything is done for
        /// them.
        max: usize where CALLS = 10_000,
        /// So many calls are under way at once on one connection that carries several; further ones are refused.
        per_connection: usize where CONNECTION_CALLS = 256,
    }
}

record! {
    /// How many connections of clients there may be at once.
    default struct ConnectionSettings: "limits of connections" {
        /// So many are served at once by the whole process; further ones wait until one of them ends.
        max: usize where CONNECTIONS = 10_000,
    }
}

constant! {
    /// What the gateway takes on at once.
    #[derive(Copy)]
    pub struct Limits {
        /// Calls under way in the whole process.
        pub calls_max: u32,
        /// Calls under way on one connection that carries several.
        pub connection_calls_max: u32,
        /// Connections that are served at once.
        pub connections_max: u32,
    }
}

// === impl LimitSettings ===

impl LimitSettings {
    pub(crate) fn planned(&self) -> Limits {
        // What is out of range has been reported.
        let narrow = |number| u32::try_from(number).unwrap_or(u32::MAX);
        Limits {
            calls_max: narrow(self.in_flight.max),
            connection_calls_max: narrow(self.in_flight.per_connection),
            connections_max: narrow(self.connections.max),
        }
    }
}

// === impl Limits ===

impl Default for Limits {
    fn default() -> Self {
        LimitSettings::default().planned()
    }
}
