//! When the child of a stdio backend is started, and when it is ended or left alone.

use crate::constant::constant;
use crate::decode::{Choice, words};
use crate::rule::Within;
use crate::topology::{Millis, TIMEOUT};

pub(super) const IDLE: Within<Millis> = Within { noun: "idle time", range: Millis(1)..=Millis(24 * 3_600_000) };
pub(super) const START_TIMEOUT: Within<Millis> = Within { noun: "start timeout", ..TIMEOUT };
pub(super) const RESTARTS: Within<usize> = Within { noun: "number of restarts", range: 0..=1000 };

/// When a child is started for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the gateway.
    Eager,
    /// With its first call.
    Lazy,
}

constant! {
    /// When a child is started, and when it is ended or left alone.
    #[derive(Default)]
    pub struct Life {
        /// Only a call starts it.
        pub lazy: bool,
        /// It is ended after so many milliseconds without a call.
        pub idle_ms: Option<u64>,
        /// How many milliseconds it has to come up.
        pub start_timeout_ms: u64,
        /// How often in a row it is started again before only a call does.
        pub restarts: u64,
    }
}

// === impl Start ===

impl Start {
    const WORDS: [Choice<Self>; 2] =
        [("eager", Self::Eager, "With the gateway."), ("lazy", Self::Lazy, "With its first call, which waits for it.")];
}

words!(Start: "`eager` or `lazy`");
