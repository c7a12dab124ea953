//! What the workers count, in the text format of Prometheus. Names and units follow its conventions; labels come from
//! the compiled topology and closed lists only, so that no client can add a series.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, SystemTime};

use hyper::StatusCode;

use prometheus::core::{Collector, Desc};
use prometheus::proto::{Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType};
use prometheus::{Registry, TextEncoder};

use super::facts::Facts;
use crate::control::Reload;
use crate::proxy::{BOUNDS_MICROS, CallCounts, Counts, WINNERS};
use crate::upstream::{Breaking, Group, HealthState, Kind, Reason, Standing};

/// Everything that is measured, ready to be asked.
#[derive(Debug)]
pub(super) struct Metrics(Registry);

/// One name, and what stands under it.
struct Family {
    name: &'static str,
    help: &'static str,
    field_type: MetricType,
}

const BUILD_INFO: Family = Family {
    name: "only1mcp_build_info",
    help: "What this binary was compiled from; always 1",
    field_type: MetricType::GAUGE,
};
const START_TIME: Family = Family {
    name: "only1mcp_start_time_seconds",
    help: "When the gateway began to serve, in seconds since 1970",
    field_type: MetricType::GAUGE,
};
const ACCEPTED: Family = Family {
    name: "only1mcp_client_connections_total",
    help: "Client connections accepted",
    field_type: MetricType::COUNTER,
};
const OPEN: Family = Family {
    name: "only1mcp_client_connections_open",
    help: "Client connections that are open",
    field_type: MetricType::GAUGE,
};
const CALLS: Family = Family {
    name: "only1mcp_calls_total",
    help: "Calls by backend and outcome: answered (whatever the answer says, and whether or not the client stayed \
           for it), or why there was no answer",
    field_type: MetricType::COUNTER,
};
const DURATION: Family = Family {
    name: "only1mcp_call_duration_seconds",
    help: "From the routing of a call until its answer was passed on, or until it had failed",
    field_type: MetricType::HISTOGRAM,
};
const UPSTREAM_DROPPED: Family = Family {
    name: "only1mcp_upstream_dropped_messages_total",
    help: "Messages of backends that nobody got, by why: an answer to no request in flight, a notification about no \
           call in flight, a request that no client could be asked, a notification of a call whose client does not \
           read, or no JSON-RPC message",
    field_type: MetricType::COUNTER,
};
const CLIENT_DROPPED: Family = Family {
    name: "only1mcp_client_dropped_messages_total",
    help: "Messages of clients that nobody got, by why: an answer to no request in flight, a notification that the \
           gateway has no use for, or a call that comes back with a state that is not its own",
    field_type: MetricType::COUNTER,
};
const RELOADS: Family = Family {
    name: "only1mcp_config_reloads_total",
    help: "Files of overlays that were read anew, by what came of it",
    field_type: MetricType::COUNTER,
};
const RELOADED: Family = Family {
    name: "only1mcp_config_last_reload_success_timestamp_seconds",
    help: "When an overlay was taken last, in seconds since 1970; the first is the one that the gateway started with",
    field_type: MetricType::GAUGE,
};
const CALLS_UNDER_WAY: Family = Family {
    name: "only1mcp_calls_under_way",
    help: "Calls of clients under way, to all backends together",
    field_type: MetricType::GAUGE,
};
const SHED: Family = Family {
    name: "only1mcp_calls_shed_total",
    help: "Calls that were refused at once because as many were under way as may be",
    field_type: MetricType::COUNTER,
};
const RETRIES: Family = Family {
    name: "only1mcp_call_retries_total",
    help: "Calls that were made again at their backend after they had failed",
    field_type: MetricType::COUNTER,
};
const HEDGED: Family = Family {
    name: "only1mcp_calls_hedged_total",
    help: "Calls that were made a second time elsewhere because the first had no answer yet, by which of the two answered",
    field_type: MetricType::COUNTER,
};
const COALESCED: Family = Family {
    name: "only1mcp_calls_coalesced_total",
    help: "Calls that were answered with what another one came to, which was like them and under way",
    field_type: MetricType::COUNTER,
};
const UNDER_WAY: Family = Family {
    name: "only1mcp_upstream_calls_under_way",
    help: "Calls under way at each endpoint of a backend",
    field_type: MetricType::GAUGE,
};
const WAITING: Family = Family {
    name: "only1mcp_upstream_calls_waiting",
    help: "Calls that wait until their backend has fewer under way",
    field_type: MetricType::GAUGE,
};
const BREAKER: Family = Family {
    name: "only1mcp_breaker_state",
    help: "What the circuit breaker of an endpoint is at: 1 for that, 0 for what it is not",
    field_type: MetricType::GAUGE,
};
const HEALTH: Family = Family {
    name: "only1mcp_endpoint_health",
    help: "What an endpoint is by its answers to health checks: 1 for that, 0 for what it is not",
    field_type: MetricType::GAUGE,
};
const RESTING: Family = Family {
    name: "only1mcp_endpoint_resting",
    help: "Whether an endpoint gets no calls because it asks to be left alone (Retry-After): 1 while it does",
    field_type: MetricType::GAUGE,
};
const ADMIN_REQUESTS: Family = Family {
    name: "only1mcp_admin_requests_total",
    help: "Requests of administrators and collectors by the status of their answer",
    field_type: MetricType::COUNTER,
};
const FAMILIES: [Family; 21] = [
    BUILD_INFO,
    START_TIME,
    ACCEPTED,
    OPEN,
    CALLS,
    DURATION,
    UPSTREAM_DROPPED,
    CLIENT_DROPPED,
    RELOADS,
    RELOADED,
    CALLS_UNDER_WAY,
    SHED,
    RETRIES,
    HEDGED,
    COALESCED,
    UNDER_WAY,
    WAITING,
    BREAKER,
    HEALTH,
    RESTING,
    ADMIN_REQUESTS,
];

/// The statuses that administrators are answered with.
pub(super) const STATUSES: [StatusCode; 14] = [
    StatusCode::OK,
    StatusCode::BAD_REQUEST,
    StatusCode::UNAUTHORIZED,
    StatusCode::FORBIDDEN,
    StatusCode::NOT_FOUND,
    StatusCode::METHOD_NOT_ALLOWED,
    StatusCode::REQUEST_TIMEOUT,
    StatusCode::CONFLICT,
    StatusCode::PAYLOAD_TOO_LARGE,
    StatusCode::UNSUPPORTED_MEDIA_TYPE,
    StatusCode::UNPROCESSABLE_ENTITY,
    StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
    StatusCode::INTERNAL_SERVER_ERROR,
    StatusCode::SERVICE_UNAVAILABLE,
];

/// How often administrators were answered, by [`STATUSES`].
#[derive(Debug, Default)]
pub(super) struct Requests([AtomicU64; STATUSES.len()]);

/// Adds up what the workers count, whenever it is asked.
struct Sums {
    facts: Arc<Facts>,
    requests: Arc<Requests>,
    descriptions: Vec<Desc>,
}

// === impl Requests ===

impl Requests {
    pub(super) fn count(&self, status: StatusCode) {
        if let Some(index) = STATUSES.iter().position(|known| *known == status) {
            self.0[index].fetch_add(1, Relaxed);
        }
    }
}

// === impl Metrics ===

impl Metrics {
    pub(super) fn new(facts: &Arc<Facts>, requests: &Arc<Requests>) -> Self {
        let registry = Registry::new();
        let descriptions = FAMILIES.iter().map(Family::description).collect();
        let sums = Sums { facts: Arc::clone(facts), requests: Arc::clone(requests), descriptions };
        registry.register(Box::new(sums)).expect("every name is there once");
        Self(registry)
    }

    /// All of them as text.
    pub(super) fn text(&self) -> prometheus::Result<String> {
        TextEncoder::new().encode_to_string(&self.0.gather())
    }
}

// === impl Family ===

impl Family {
    fn description(&self) -> Desc {
        Desc::new(self.name.to_owned(), self.help.to_owned(), Vec::new(), std::collections::HashMap::new())
            .expect("names and texts are constant and valid")
    }

    fn of(&self, metrics: Vec<Metric>) -> MetricFamily {
        let mut family = MetricFamily::default();
        family.set_name(self.name.to_owned());
        family.set_help(self.help.to_owned());
        family.set_field_type(self.field_type);
        family.set_metric(metrics);
        family
    }
}

// === impl Sums ===

impl Collector for Sums {
    fn desc(&self) -> Vec<&Desc> {
        self.descriptions.iter().collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        vec![
            BUILD_INFO.of(vec![self.build()]),
            START_TIME.of(vec![gauge(&[], self.started())]),
            ACCEPTED.of(vec![counter(&[], self.sum(|worker| worker.accepted.read()))]),
            OPEN.of(vec![gauge(&[], float(self.sum(open)))]),
            CALLS.of(self.backends().flat_map(|(name, calls)| self::calls(name, &calls)).collect()),
            DURATION.of(self.backends().map(|(name, calls)| durations(name, &calls)).collect()),
            UPSTREAM_DROPPED.of(self.upstream_dropped()),
            CLIENT_DROPPED.of(vec![
                counter(&[("reason", "answer")], self.sum(|worker| worker.dropped_answers.read())),
                counter(&[("reason", "notification")], self.sum(|worker| worker.dropped_notifications.read())),
                counter(&[("reason", "state")], self.sum(|worker| worker.refused_states.read())),
            ]),
            RELOADS.of(Reload::ALL.into_iter().map(|reload| self.reloads(reload)).collect()),
            RELOADED.of(vec![gauge(&[], self.facts.overlay.taken_seconds())]),
            CALLS_UNDER_WAY.of(vec![gauge(&[], f64::from(self.facts.shared.load.calls()))]),
            SHED.of(vec![counter(&[], self.sum(|worker| worker.shed.read()))]),
            RETRIES.of(self.backends().map(|(name, calls)| retries(name, &calls)).collect()),
            HEDGED.of(self.backends().flat_map(|(name, calls)| hedged(name, &calls)).collect()),
            COALESCED.of(self.backends().map(|(name, calls)| coalesced(name, &calls)).collect()),
            UNDER_WAY.of(self.groups().flat_map(|(name, group)| under_way(name, &group)).collect()),
            WAITING.of(self.groups().map(|(name, group)| waiting(name, &group)).collect()),
            BREAKER.of(self.groups().flat_map(|(name, group)| breakers(name, &group)).collect()),
            HEALTH.of(self.groups().flat_map(|(name, group)| health(name, &group)).collect()),
            RESTING.of(self.groups().flat_map(|(name, group)| resting(name, &group)).collect()),
            ADMIN_REQUESTS.of(self.admin_requests()),
        ]
    }
}

impl Sums {
    fn build(&self) -> Metric {
        let (topology, lock) = (self.facts.topology_digest(), self.facts.lock_digest().unwrap_or_default());
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("topology", self.facts.spec.name),
            ("topology_digest", &topology),
            ("lock_digest", &lock),
        ];
        gauge(&labels, 1.0)
    }

    fn started(&self) -> f64 {
        let started = self.facts.started.0.duration_since(SystemTime::UNIX_EPOCH);
        started.unwrap_or(Duration::ZERO).as_secs_f64()
    }

    fn reloads(&self, reload: Reload) -> Metric {
        counter(&[("result", reload.as_str())], self.facts.overlay.reloads(reload))
    }

    fn sum(&self, of: impl Fn(&Counts) -> u64) -> u64 {
        self.facts.counts.iter().map(|worker| of(worker)).sum()
    }

    fn upstream_dropped(&self) -> Vec<Metric> {
        let facts = &self.facts;
        let backends = facts.backends().filter_map(|(index, backend)| Some((backend, facts.dropped_of(index)?)));
        let backends: Vec<_> = backends.collect();
        let every = backends.iter().flat_map(|backend| Reason::ALL.map(|reason| (backend, reason)));
        let counted = every.map(|((backend, dropped), reason)| {
            counter(&[("backend", &*backend.name), ("reason", reason.as_str())], dropped.read(reason))
        });
        counted.collect()
    }

    /// Every backend with its endpoints.
    fn groups(&self) -> impl Iterator<Item = (&'static str, Arc<Group>)> {
        let groups = self.facts.backends().map(|(index, backend)| (&*backend.name, self.facts.group(index)));
        groups.filter_map(|(name, group)| Some((name, group?)))
    }

    fn admin_requests(&self) -> Vec<Metric> {
        let counts = STATUSES.iter().zip(&self.requests.0);
        counts.map(|(status, count)| counter(&[("code", status.as_str())], count.load(Relaxed))).collect()
    }

    /// Every backend with what each worker counts of it.
    fn backends(&self) -> impl Iterator<Item = (&'static str, Vec<&CallCounts>)> {
        let counts = |index: usize| self.facts.counts.iter().filter_map(move |worker| worker.of(index));
        self.facts.backends().map(move |(index, backend)| (&*backend.name, counts(index).collect()))
    }
}

/// Read in this order, so that a connection that ends meanwhile does not make it less than none.
fn open(worker: &Counts) -> u64 {
    let closed = worker.closed.read();
    worker.accepted.read().saturating_sub(closed)
}

/// Every outcome has a series from the start: what a first count would begin, no rate could show.
fn calls(backend: &'static str, workers: &[&CallCounts]) -> Vec<Metric> {
    let counted = |outcome: &str, count: u64| counter(&[("backend", backend), ("outcome", outcome)], count);
    let answered = counted("answered", workers.iter().map(|worker| worker.answered()).sum());
    let failed = |kind: Kind| counted(kind.as_str(), workers.iter().map(|worker| worker.failed(kind)).sum());
    [answered].into_iter().chain(Kind::ALL.into_iter().map(failed)).collect()
}

fn durations(backend: &'static str, workers: &[&CallCounts]) -> Metric {
    let mut counts = [0; BOUNDS_MICROS.len() + 1];
    for (sum, count) in workers.iter().flat_map(|worker| counts_of(worker)) {
        counts[sum] += count;
    }
    let mut cumulative = 0;
    let bucket = |(bound, count): (u64, u64)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(seconds(bound));
        bucket.set_cumulative_count(cumulative);
        bucket
    };
    let buckets = BOUNDS_MICROS.into_iter().zip(counts).map(bucket).collect();
    let mut histogram = Histogram::default();
    histogram.set_bucket(buckets);
    histogram.set_sample_count(counts.iter().sum());
    histogram.set_sample_sum(seconds(workers.iter().map(|worker| worker.micros()).sum()));
    let mut metric = labelled(&[("backend", backend)]);
    metric.set_histogram(histogram);
    metric
}

fn retries(backend: &'static str, workers: &[&CallCounts]) -> Metric {
    counter(&[("backend", backend)], workers.iter().map(|worker| worker.retries.read()).sum())
}

fn hedged(backend: &'static str, workers: &[&CallCounts]) -> Vec<Metric> {
    let series = |(index, won)| {
        counter(&[("backend", backend), ("won", won)], workers.iter().map(|worker| worker.hedges()[index]).sum())
    };
    WINNERS.into_iter().enumerate().map(series).collect()
}

fn coalesced(backend: &'static str, workers: &[&CallCounts]) -> Metric {
    counter(&[("backend", backend)], workers.iter().map(|worker| worker.coalesced.read()).sum())
}

fn waiting(backend: &'static str, group: &Group) -> Metric {
    gauge(&[("backend", backend)], f64::from(group.waiting()))
}

fn under_way(backend: &'static str, group: &Group) -> Vec<Metric> {
    of_endpoints(backend, group, |standing| f64::from(standing.under_way))
}

fn resting(backend: &'static str, group: &Group) -> Vec<Metric> {
    of_endpoints(backend, group, |standing| f64::from(u8::from(standing.rest.is_some())))
}

fn of_endpoints(backend: &'static str, group: &Group, of: impl Fn(&Standing) -> f64) -> Vec<Metric> {
    let metric = |standing: &Standing| gauge(&[("backend", backend), ("endpoint", &standing.name)], of(standing));
    group.standings().iter().map(metric).collect()
}

fn breakers(backend: &'static str, group: &Group) -> Vec<Metric> {
    let is_at = |standing: &Standing| Some(standing.breaking.as_str()).filter(|_| standing.breaking != Breaking::Off);
    states(backend, group, Breaking::STATES, is_at)
}

fn health(backend: &'static str, group: &Group) -> Vec<Metric> {
    states(backend, group, HealthState::NAMES, |standing| standing.health.map(HealthState::as_str))
}

/// For each endpoint that is at one of these states, which of them that is.
fn states(
    backend: &'static str,
    group: &Group,
    states: [&'static str; 3],
    is_at: impl Fn(&Standing) -> Option<&'static str>,
) -> Vec<Metric> {
    let of_one = |standing: Standing| {
        let now = is_at(&standing);
        let state = |state: &'static str| {
            let is = f64::from(u8::from(now == Some(state)));
            gauge(&[("backend", backend), ("endpoint", &standing.name), ("state", state)], is)
        };
        states.into_iter().filter(|_| now.is_some()).map(state).collect::<Vec<_>>()
    };
    group.standings().into_iter().flat_map(of_one).collect()
}

fn counts_of(worker: &CallCounts) -> impl Iterator<Item = (usize, u64)> {
    worker.durations().enumerate()
}

fn counter(labels: &[(&str, &str)], value: u64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(float(value));
    let mut metric = labelled(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: &[(&str, &str)], value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = labelled(labels);
    metric.set_gauge(gauge);
    metric
}

fn labelled(labels: &[(&str, &str)]) -> Metric {
    let pair = |(name, value): &(&str, &str)| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    let mut metric = Metric::default();
    metric.set_label(labels.iter().map(pair).collect());
    metric
}

fn seconds(micros: u64) -> f64 {
    float(micros) / 1e6
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus knows no other numbers")]
fn float(value: u64) -> f64 {
    value as f64
}
