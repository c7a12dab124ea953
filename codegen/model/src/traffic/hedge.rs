//! When a call that only reads is made a second time, because the first is slow to be answered.

use std::fmt;

use super::Percent;
use crate::constant::constant;
use crate::decode::record;
use crate::rule::Within;
use crate::topology::Millis;

const AFTER: Within<Millis> =
    Within { noun: "time until a call is made a second time", range: Millis(1)..=Millis(600_000) };

record! {
    /// When a call that only reads, and is not answered, is made a second time elsewhere. The first answer counts.
    struct HedgeSettings: "hedge settings" {
        /// After so long without an answer.
        after: Millis where AFTER | { Millis(1) },
        /// How many of such calls may be made a second time.
        budget: Percent = Percent(10),
    }
}

constant! {
    /// When a call that only reads is made a second time.
    #[derive(Copy)]
    pub struct Hedge {
        /// After so many milliseconds without an answer.
        pub after_ms: u64,
        /// How many calls of a hundred may be made a second time.
        pub budget_percent: u32,
    }
}

// === impl HedgeSettings ===

impl HedgeSettings {
    pub(crate) fn planned(&self) -> Hedge {
        Hedge { after_ms: self.after.0, budget_percent: self.budget.0 }
    }
}

// === impl Hedge ===

impl fmt::Display for Hedge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { after_ms, budget_percent } = self;
        write!(f, "{{ after: {}, budget: {budget_percent}% }}", Millis(*after_ms))
    }
}
