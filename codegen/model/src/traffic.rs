//! How calls are spread over the endpoints of a backend, how many there may be at once, and what is done when they fail:
//! what a topology says of it, and what the engine is given.

mod balance;
mod hedge;
mod team;

use std::fmt;
use std::ops::RangeInclusive;

use crate::constant::constant;
use crate::decode::{Choice, Decode, Key, Spot, Told, parsed, record, word, words_schema, wrong_type};
use crate::diagnostic::{Code, Problems, quoted};
use crate::json::token;
use crate::plan::{Backend, Text};
use crate::rule::{Rule, Within, text_schema};
use crate::topology::Millis;
use crate::yaml::{Node, Value};

pub use balance::{Balance, BalanceSettings, HashKey, HashSettings, HeaderSettings, KeySettings};
pub use hedge::{Hedge, HedgeSettings};
pub use team::{Member, MemberSettings, Team, TeamSettings, Weighted};

/// The most endpoints that a backend may have: each has a bit of 64.
pub const ENDPOINTS_MAX: usize = 64;

const DAY: Millis = Millis(24 * 3_600_000);
pub(crate) const WEIGHT: Within<usize> = Within { noun: "weight", range: 1..=1000 };
/// The same where a gateway that runs may leave it to others.
pub(crate) const SHARE: Within<usize> = Within { noun: "weight", range: 0..=1000 };
pub(crate) const SLOW_START: Within<Millis> = Within { noun: "slow start", range: Millis(100)..=DAY };
const CALLS: Within<usize> = Within { noun: "number of calls", range: 1..=65_536 };
const QUEUE: Within<usize> = Within { noun: "length of the queue", range: 0..=65_536 };
const QUEUE_TIMEOUT: Within<Millis> = Within { noun: "queue timeout", range: Millis(1)..=Millis(600_000) };
const FAILURES: Within<usize> = Within { noun: "number of failures", range: 1..=1000 };
const WINDOW: Within<Millis> = Within { noun: "window", range: Millis(100)..=DAY };
const OPEN: Within<Millis> = Within { noun: "time that a circuit stays open", range: Millis(100)..=DAY };
const TRIALS: Within<usize> = Within { noun: "number of trials", range: 1..=1000 };
const INTERVAL: Within<Millis> = Within { noun: "interval", range: Millis(100)..=Millis(3_600_000) };
const PATIENCE: Within<Millis> = Within { noun: "timeout", range: Millis(10)..=Millis(60_000) };
const STATUS: Within<usize> = Within { noun: "status", range: 200..=599 };
const ATTEMPTS: Within<usize> = Within { noun: "number of attempts", range: 1..=10 };

record! {
    /// How many calls there may be at once.
    default struct ConcurrencySettings: "concurrency settings" {
        /// So many calls are under way at once.
        max: usize where CALLS = 4096,
        /// So many more wait for their turn; further ones are refused.
        queue: usize where QUEUE = 1024,
        /// A call that waited so long for its turn is refused.
        queue_timeout: Millis where QUEUE_TIMEOUT = Millis(1000),
    }
}

record! {
    /// When an endpoint that fails is left alone, and when it is tried again.
    default struct BreakerSettings: "circuit breaker settings" {
        /// So many failures within the window open the circuit, unless there were more answers in that time.
        failures: usize where FAILURES = 5,
        /// How long a failure counts.
        window: Millis where WINDOW = Millis(30_000),
        /// For how long no call is sent then.
        open: Millis where OPEN = Millis(10_000),
        /// So many trials are under way at once after that; as many answers close the circuit, a failure opens it again.
        half_open: usize where TRIALS = 3,
    }
}

record! {
    /// When a call that failed is made again. It never is where it may have been executed, unless that does no harm.
    default struct RetrySettings: "retry settings" {
        /// How often a call is made at most, the first time included.
        attempts: usize where ATTEMPTS = 2,
        /// How long to wait before it is made again at an endpoint that it was made at: doubled each time.
        backoff: Span = Span { first: Millis(50), longest: Millis(1000) },
        /// How many of all calls may be made again.
        budget: Percent = Percent(20),
    }
}

record! {
    /// How an endpoint is asked whether it is well.
    default struct HealthSettings: "health settings" {
        /// How often it is asked.
        interval: Millis where INTERVAL = Millis(10_000),
        /// An answer that takes longer is none.
        timeout: Millis where PATIENCE = Millis(2000),
        /// So many answers in a row make an endpoint healthy that was not.
        healthy: usize where TRIALS = 2,
        /// So many in a row that are missing or wrong make one unhealthy.
        unhealthy: usize where TRIALS = 3,
        /// Asks by a plain request of HTTP, instead of `ping` or `server/discover`.
        http: Option<HttpProbeSettings> = None,
    }
}

record! {
    /// A plain request of HTTP that shows whether an endpoint is well.
    struct HttpProbeSettings: "an HTTP probe" {
        /// Its path on the host of the endpoint, such as `/health`.
        path: String where PROBE_PATH | { "/".to_owned() },
        /// The status of the answer.
        status: usize where STATUS = 200,
    }
}

constant! {
    /// How an endpoint is asked whether it is well.
    pub struct HealthCheck {
        /// How often, in milliseconds.
        pub interval_ms: u64,
        /// For how long an answer is waited for, in milliseconds.
        pub timeout_ms: u64,
        /// So many answers in a row make it healthy.
        pub healthy: u32,
        /// So many that are missing make it unhealthy.
        pub unhealthy: u32,
        /// A plain request instead of one of MCP.
        pub http: Option<HttpProbe>,
    }
}

constant! {
    /// A plain request of HTTP that shows whether an endpoint is well.
    pub struct HttpProbe {
        /// With its leading slash.
        pub path: Text,
        /// The status of the answer.
        pub status: u16,
    }
}

/// The path of a request.
pub(crate) struct ProbePath;

const PROBE_PATH: ProbePath = ProbePath;

constant! {
    /// How many calls there may be at once.
    #[derive(Copy)]
    pub struct Concurrency {
        /// So many calls are under way at once.
        pub max: u32,
        /// So many more wait.
        pub queue: u32,
        /// For so long in milliseconds.
        pub queue_timeout_ms: u64,
    }
}

constant! {
    /// When an endpoint that fails is left alone.
    #[derive(Copy)]
    pub struct CircuitBreaker {
        /// So many failures within the window open the circuit.
        pub failures: u32,
        /// In milliseconds.
        pub window_ms: u64,
        /// For how long no call is sent then, in milliseconds.
        pub open_ms: u64,
        /// So many trials after that.
        pub half_open: u32,
    }
}

constant! {
    /// When a call that failed is made again.
    #[derive(Copy)]
    pub struct Retry {
        /// How often it is made at most, the first time included.
        pub attempts: u32,
        /// Before the second time, in milliseconds.
        pub first_ms: u64,
        /// Before any further time at most, in milliseconds.
        pub longest_ms: u64,
        /// How many calls of a hundred may be made again.
        pub budget_percent: u32,
    }
}

/// Settings that may be turned off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Optional<T> {
    /// As written.
    On(T),
    /// `off`.
    Off,
}

/// From a first span of time to the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first.
    pub first: Millis,
    /// The longest.
    pub longest: Millis,
}

/// So many of a hundred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Percent(pub u32);

/// All of this for one backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// How many calls there may be at once.
    pub concurrency: Concurrency,
    /// When a call that failed is made again, if ever.
    pub retry: Option<Retry>,
    /// When a call that only reads is made a second time, if ever.
    pub hedge: Option<Hedge>,
    /// When an endpoint is left alone because it fails, if ever.
    pub circuit_breaker: Option<CircuitBreaker>,
    /// How an endpoint is asked whether it is well, if it is.
    pub health: Option<HealthCheck>,
}

/// A number within its rule as the engine has it. What is out of range has been reported.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

// === impl ConcurrencySettings ===

impl ConcurrencySettings {
    pub(crate) fn planned(&self) -> Concurrency {
        Concurrency { max: narrow(self.max), queue: narrow(self.queue), queue_timeout_ms: self.queue_timeout.0 }
    }
}

// === impl BreakerSettings ===

impl BreakerSettings {
    pub(crate) fn planned(&self) -> CircuitBreaker {
        CircuitBreaker {
            failures: narrow(self.failures),
            window_ms: self.window.0,
            open_ms: self.open.0,
            half_open: narrow(self.half_open),
        }
    }
}

// === impl RetrySettings ===

impl RetrySettings {
    pub(crate) fn planned(&self) -> Retry {
        Retry {
            attempts: narrow(self.attempts),
            first_ms: self.backoff.first.0,
            longest_ms: self.backoff.longest.0,
            budget_percent: self.budget.0,
        }
    }
}

// === impl HealthSettings ===

impl HealthSettings {
    pub(crate) fn planned(&self) -> HealthCheck {
        HealthCheck {
            interval_ms: self.interval.0,
            timeout_ms: self.timeout.0,
            healthy: narrow(self.healthy),
            unhealthy: narrow(self.unhealthy),
            http: self.http.as_ref().map(|probe| HttpProbe {
                path: probe.path.clone().into(),
                status: u16::try_from(probe.status).unwrap_or(u16::MAX),
            }),
        }
    }
}

// === impl Backend ===

impl Backend {
    /// What its calls go by.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        let &Self { concurrency, retry, hedge, circuit_breaker, .. } = self;
        Traffic { concurrency, retry, hedge, circuit_breaker, health: self.health.clone() }
    }
}

// === impl Concurrency ===

impl fmt::Display for Concurrency {
    /// As settings are written; so are those that follow.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { max, queue, queue_timeout_ms } = self;
        write!(f, "{{ max: {max}, queue: {queue}, queue_timeout: {} }}", Millis(*queue_timeout_ms))
    }
}

// === impl CircuitBreaker ===

impl fmt::Display for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { failures, window_ms, open_ms, half_open } = self;
        let (window, open) = (Millis(*window_ms), Millis(*open_ms));
        write!(f, "{{ failures: {failures}, window: {window}, open: {open}, half_open: {half_open} }}")
    }
}

// === impl Retry ===

impl fmt::Display for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempts, first_ms, longest_ms, budget_percent } = self;
        let (first, longest) = (Millis(*first_ms), Millis(*longest_ms));
        write!(f, "{{ attempts: {attempts}, backoff: {first}..{longest}, budget: {budget_percent}% }}")
    }
}

// === impl HealthCheck ===

impl fmt::Display for HealthCheck {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (interval, timeout) = (Millis(self.interval_ms), Millis(self.timeout_ms));
        let Self { healthy, unhealthy, .. } = self;
        write!(f, "{{ interval: {interval}, timeout: {timeout}, healthy: {healthy}, unhealthy: {unhealthy}")?;
        if let Some(HttpProbe { path, status }) = &self.http {
            write!(f, ", http: {{ path: {}, status: {status} }}", token(path))?;
        }
        f.write_str(" }")
    }
}

// === impl ProbePath ===

impl Rule<String> for ProbePath {
    fn check(&self, value: &String, node: &Node, problems: &mut Problems) {
        let is_path = value.starts_with('/') && value.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        if !is_path {
            problems
                .error(Code::InvalidValue, node.place, format!("path {} is none of a request", quoted(value)))
                .help("write a path that begins with `/`, without blanks and `#`: `/health`");
        }
    }

    fn schema(&self, _of_type: String) -> String {
        text_schema("^/[!-\"$-~]*$", "a path begins with `/` and has no blanks and no `#`")
    }
}

// === impl Optional ===

impl<T> Optional<T> {
    const WORDS: [Choice<()>; 1] = [("off", (), "Not at all.")];

    /// What is written, unless it is `off`.
    pub fn on(&self) -> Option<&T> {
        match self {
            Self::On(settings) => Some(settings),
            Self::Off => None,
        }
    }
}

impl<T: Decode> Decode for Optional<T> {
    const EXPECTED: &'static str = "`off` or a mapping";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        match &node.value {
            Value::String(_) => word(node, Self::EXPECTED, &Self::WORDS, problems).map(|()| Self::Off),
            Value::Mapping(_) => T::decode(node, problems).map(Self::On),
            _ => {
                wrong_type(node, Self::EXPECTED, problems);
                None
            }
        }
    }

    fn schema() -> String {
        format!(r#"{{"anyOf":[{},{}]}}"#, words_schema(&Self::WORDS), T::schema())
    }

    fn keys() -> &'static [Key] {
        T::keys()
    }

    fn tell(&self, spot: &Spot<'_>, told: &mut Told) {
        match self {
            Self::On(own) => own.tell(spot, told),
            Self::Off => told.add(spot, token("off")),
        }
    }
}

// === impl Span ===

impl Span {
    const HELP: &'static str = "two durations and two points between them: `50ms..1s`";

    fn parse(text: &str) -> Option<Self> {
        let (first, longest) = text.split_once("..")?;
        let (first, longest) = (Millis::parse(first)?, Millis::parse(longest)?);
        (first.0 > 0 && first <= longest && longest <= Millis(60_000)).then_some(Self { first, longest })
    }
}

impl Decode for Span {
    const EXPECTED: &'static str = "a span of delays up to a minute such as `50ms..1s`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, Self::EXPECTED, Self::parse, Self::HELP, problems)
    }

    fn schema() -> String {
        text_schema(r"^[0-9]+(h|m|s|ms)\.\.[0-9]+(h|m|s|ms)$", &format!("not {}", Self::EXPECTED))
    }

    fn written(&self) -> Option<String> {
        Some(token(&format!("{}..{}", self.first, self.longest)))
    }
}

// === impl Percent ===

impl Percent {
    const RANGE: RangeInclusive<u32> = 0..=100;

    fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_suffix('%')?;
        let number = digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
        Self::RANGE.contains(&number).then_some(Self(number))
    }
}

impl Decode for Percent {
    const EXPECTED: &'static str = "a share from `0%` to `100%`";

    fn decode(node: &Node, problems: &mut Problems) -> Option<Self> {
        parsed(node, Self::EXPECTED, Self::parse, "shares are a whole number and the sign: `20%`", problems)
    }

    fn schema() -> String {
        text_schema("^0*(100|[0-9]{1,2})%$", &format!("not {}", Self::EXPECTED))
    }

    fn written(&self) -> Option<String> {
        Some(token(&format!("{}%", self.0)))
    }
}
