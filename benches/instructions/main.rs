//! Instruction counts of the steps every call takes, with the limits that a change must not pass. Each limit stands
//! about 5 % above what was counted when it was set. Needs valgrind and `iai-callgrind-runner`.
#![expect(missing_docs, reason = "the benchmark macros write modules without documentation")]

mod exchange;

use std::hint::black_box;

use exchange::Exchange;
use iai_callgrind::{
    Callgrind, EntryPoint, EventKind, LibraryBenchmarkConfig, library_benchmark, library_benchmark_group, main,
};
use only1mcp::SessionSteps;
use only1mcp::catalog::plan::{Balance, HashKey};
use only1mcp::catalog::{Entry, InForce, ListKind, NameTable, Revision, Spec, Topology};
use only1mcp::mcp::envelope::{self, Id, Incoming, Outgoing};
use only1mcp::mcp::json::ScanError;
use only1mcp::mcp::splice::Splice;
use only1mcp::seal::{Opened, Seal};
use only1mcp::upstream::balance::{ConsistentHash, LeastConnections, Members, RoundRobin, Strategy, WeightedRandom};

type Table = NameTable<Vec<u32>, Vec<Entry>>;

/// A benchmark may not take more instructions than this.
fn at_most(instructions: u64) -> LibraryBenchmarkConfig {
    LibraryBenchmarkConfig::default().tool(Callgrind::default().hard_limits([(EventKind::Ir, instructions)])).clone()
}

// === Scan ===

/// A call as a client of the modern era sends it, with nothing it could leave out but its arguments.
fn small_call() -> &'static [u8] {
    call(r#"{"a":17,"b":25}"#)
}

/// 10 KB of objects with sentences in them, as for a memory server.
fn entities_call() -> &'static [u8] {
    let entity = |number| {
        format!(
            concat!(
                r#"{{"name":"Person number {0}","entityType":"person","observations":["Works on the gateway since "#,
                r#"last spring","Prefers short answers, and tables","Lives in building {0}"],"confidence":0.{0}}}"#
            ),
            number
        )
    };
    call(&format!(r#"{{"entities":[{}]}}"#, (0..53).map(entity).collect::<Vec<_>>().join(",")))
}

/// 9 KB of records in which a token is five bytes long: the worst that is still sensible.
fn records_call() -> &'static [u8] {
    let record = |number| {
        format!(
            r#"{{"id":{number},"title":"Record number {number}","tags":["alpha","beta"],"price":{number}.25,"done":false}}"#
        )
    };
    call(&format!(r#"{{"records":[{}]}}"#, (0..100).map(record).collect::<Vec<_>>().join(",")))
}

/// 10 KB in one string, as a file to write.
fn text_call() -> &'static [u8] {
    call(&format!(r#"{{"path":"notes.txt","content":"{}"}}"#, "All work and no play. ".repeat(465)))
}

/// The same with a line break every 44 bytes.
fn lines_call() -> &'static [u8] {
    call(&format!(
        r#"{{"path":"notes.txt","content":"{}"}}"#,
        "All work and no play makes Jack a dull boy.\\n".repeat(227)
    ))
}

fn call(arguments: &str) -> &'static [u8] {
    format!(
        concat!(
            r#"{{"jsonrpc":"2.0","id":12,"method":"tools/call","params":{{"name":"math__add","arguments":{},"#,
            r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","#,
            r#""io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
        ),
        arguments
    )
    .leak()
    .as_bytes()
}

fn answer() -> &'static [u8] {
    br#"{"jsonrpc":"2.0","id":12,"result":{"resultType":"complete","content":[{"type":"text","text":"42"}]}}"#
}

#[library_benchmark]
#[bench::small(args = (), setup = small_call, config = at_most(2_500))]
#[bench::entities_10_kb(args = (), setup = entities_call, config = at_most(40_000))]
#[bench::records_9_kb(args = (), setup = records_call, config = at_most(77_500))]
#[bench::text_10_kb(args = (), setup = text_call, config = at_most(9_000))]
#[bench::lines_10_kb(args = (), setup = lines_call, config = at_most(18_500))]
fn scan_call(source: &'static [u8]) -> Result<Incoming, ScanError> {
    envelope::incoming(black_box(source))
}

#[library_benchmark]
#[bench::small(args = (), setup = answer, config = at_most(1_700))]
fn scan_answer(source: &'static [u8]) -> Result<Outgoing, ScanError> {
    envelope::outgoing(black_box(source))
}

// === Splice ===

fn scanned_call() -> (&'static [u8], Incoming, Vec<u8>) {
    let source = small_call();
    let message = envelope::incoming(source).expect("a valid call");
    (source, message, Vec::with_capacity(source.len() * 2))
}

// Id and name replaced, as for a stdio backend.
#[library_benchmark]
#[bench::id_and_name(args = (), setup = scanned_call, config = at_most(300))]
fn splice_call((source, message, mut out): (&'static [u8], Incoming, Vec<u8>)) -> Vec<u8> {
    let mut splice = Splice::new(black_box(source));
    if let Id::Number(id) = message.id {
        splice.replace(id, b"4097");
    }
    if let Some(name) = message.name {
        splice.replace(name.span, b"\"add\"");
    }
    splice.write(&mut out);
    out
}

// === Lookup ===

/// A table of so many names as a topology would give them.
fn table(size: usize) -> Table {
    let names: Vec<&'static str> =
        (0..size).map(|number| &*format!("backend-{}__tool_{number}", number % 100).leak()).collect();
    let perfect = only1mcp_emit::perfect(&names).expect("the names differ");
    let entry = |&index: &usize| Entry {
        name: names[index],
        upstream: "tool",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    };
    NameTable { seed: perfect.seed, pilots: perfect.pilots, slots: perfect.slots.iter().map(entry).collect() }
}

fn hit(size: usize) -> (&'static Table, &'static str) {
    (Box::leak(Box::new(table(size))), "backend-7__tool_7")
}

fn miss(size: usize) -> (&'static Table, &'static str) {
    (Box::leak(Box::new(table(size))), "backend-7__tool_x")
}

// The same lookup takes 98 or 104 from build to build: comparing the name depends on where it lies.
#[library_benchmark(config = at_most(109))]
#[bench::hit_10(args = (10), setup = hit)]
#[bench::hit_1_000(args = (1_000), setup = hit)]
#[bench::hit_10_000(args = (10_000), setup = hit)]
#[bench::hit_100_000(args = (100_000), setup = hit)]
#[bench::miss_10(args = (10), setup = miss)]
#[bench::miss_1_000(args = (1_000), setup = miss)]
#[bench::miss_10_000(args = (10_000), setup = miss)]
#[bench::miss_100_000(args = (100_000), setup = miss)]
fn lookup((table, name): (&'static Table, &'static str)) -> Option<&'static Entry> {
    table.get(black_box(name))
}

// === Route ===

only1mcp::topology!(Few = "topologies/default.yaml");
only1mcp::topology!(Many = "topologies/large.yaml");
only1mcp::topology!(Mixed = "topologies/mixed.yaml");

/// From the name in a call to the backend it goes to, as the compiled topology has it. `.ci/dispatch` reads the machine
/// code of what measures this and of `lookup`, too: no call in it goes through a pointer.
fn compiled<T: Topology>(name: &str) -> Option<u16> {
    T::tool(name).map(|entry| entry.backend)
}

#[library_benchmark(config = at_most(94))]
#[bench::hit("math__add")]
#[bench::miss("math__sub")]
fn route_mixed(name: &str) -> Option<u16> {
    compiled::<Mixed>(black_box(name))
}

#[library_benchmark(config = at_most(94))]
#[bench::hit(last_name(Many::SPEC))]
#[bench::miss("billing-us__nothing")]
fn route_many(name: &str) -> Option<u16> {
    compiled::<Many>(black_box(name))
}

// No more than `route_mixed` and what it takes to see that there is none.
#[library_benchmark(config = at_most(104))]
#[bench::hit(args = ("math__add"), setup = asked)]
#[bench::miss(args = ("math__sub"), setup = asked)]
fn route_in_force((catalogs, name): (&'static InForce, &'static str)) -> Option<u16> {
    catalogs.tool::<Mixed>(black_box(name)).map(|entry| entry.backend)
}

fn asked(name: &'static str) -> (&'static InForce, &'static str) {
    (Box::leak(Box::default()), name)
}

fn last_name(spec: &'static Spec) -> &'static str {
    spec.tools.last().expect("it has tools").name
}

/// The same behind a pointer, which is what `.ci/dispatch` has to find.
trait Lookup {
    fn backend(&self, name: &str) -> Option<u16>;
}

impl<T: Topology> Lookup for T {
    fn backend(&self, name: &str) -> Option<u16> {
        compiled::<T>(name)
    }
}

fn behind_a_pointer(few: bool) -> Box<dyn Lookup> {
    if few { Box::new(Few) } else { Box::new(Many) }
}

#[library_benchmark]
#[bench::hit(args = (true), setup = behind_a_pointer)]
fn control_through_a_vtable(lookup: Box<dyn Lookup>) -> Option<u16> {
    black_box(&*lookup).backend(black_box("math__add"))
}

// === List answer ===

// Finds the page and puts the answer together; what the HTTP layer does with the pieces is not part of it.
#[library_benchmark]
#[bench::tools_13(config = at_most(80), args = (Few::SPEC, None))]
#[bench::tools_500_of_3000(config = at_most(80), args = (Many::SPEC, None))]
#[bench::tools_last_page_of_3000(config = at_most(255), args = (Many::SPEC, Some(last_cursor(Many::SPEC))))]
fn list_answer(spec: &'static Spec, cursor: Option<&'static str>) -> usize {
    let page = spec.whole.page(ListKind::Tools, Revision::MODERN, black_box(cursor));
    let pieces = page.and_then(|page| spec.list_answer(page, black_box(b"1234")));
    black_box(pieces).iter().flatten().map(|piece| piece.len()).sum()
}

fn last_cursor(spec: &'static Spec) -> &'static str {
    let pages = spec.whole.lists[ListKind::Tools as usize][Revision::MODERN as usize];
    pages.last().expect("a list has a page").cursor
}

// === Session ===

/// What the token of a session holds, and the view and the client that it is bound to.
const TOKEN: ([u8; 26], [&[u8]; 2]) = ([7; 26], [b"", b""]);

fn sealed() -> (Seal, String) {
    let seal = Seal::new(&[[1; 32]], "session");
    let token = seal.seal(&TOKEN.1, &TOKEN.0).expect("random bits");
    (seal, token)
}

// What a client of the legacy era over HTTP pays for its session once at each worker, and no other client.
#[library_benchmark]
#[bench::own(args = (), setup = sealed, config = at_most(3_000))]
fn open_session((seal, token): (Seal, String)) -> Option<Opened> {
    seal.open(&TOKEN.1, black_box(token.as_bytes()))
}

/// A session in which so many calls were made.
fn session(calls: usize) -> SessionSteps {
    let steps = SessionSteps::begin(&Few::SPEC.whole).expect("random bits");
    assert!((0..calls).all(|_| steps.call(b"1")));
    steps
}

// What each call pays beside what a call without a session takes. The first one opens the token.
#[library_benchmark]
#[bench::first(args = (0), setup = session, config = at_most(6_600))]
#[bench::next(args = (1), setup = session, config = at_most(1_720))]
fn call_in_session(steps: SessionSteps) -> SessionSteps {
    black_box(steps.call(black_box(b"123456")));
    steps
}

// === Balance ===

/// Four endpoints, the last of weight 3 if they are not even.
struct Endpoints {
    even: bool,
}

impl Members for Endpoints {
    fn count(&self) -> usize {
        4
    }

    fn weight(&self, index: usize) -> u32 {
        if index == 3 && !self.even { 3 } else { 1 }
    }

    fn in_flight(&self, index: usize) -> u32 {
        u32::try_from(index).unwrap_or_default()
    }

    fn name(&self, index: usize) -> &str {
        ["http://10.0.0.1/mcp", "http://10.0.0.2/mcp", "http://10.0.0.3/mcp", "http://10.0.0.4/mcp"][index]
    }

    fn edition(&self) -> u32 {
        0
    }
}

/// A strategy that has chosen before.
fn strategy<S: Strategy>(balance: &Balance, even: bool) -> (S, Endpoints) {
    let (strategy, endpoints) = (S::open(balance, 0), Endpoints { even });
    strategy.pick(&endpoints, 0b1111, Some(7));
    (strategy, endpoints)
}

#[library_benchmark]
#[bench::even(args = (&Balance::RoundRobin, true), setup = strategy, config = at_most(95))]
#[bench::by_weight(args = (&Balance::RoundRobin, false), setup = strategy, config = at_most(208))]
fn pick_in_turn((strategy, endpoints): (RoundRobin, Endpoints)) -> (usize, RoundRobin) {
    (strategy.pick(black_box(&endpoints), black_box(0b1111), None), strategy)
}

// Which endpoints come up is chance: this is for the last of them.
#[library_benchmark(config = at_most(160))]
#[bench::of_two(args = (&Balance::LeastConnections, true), setup = strategy)]
fn pick_least((strategy, endpoints): (LeastConnections, Endpoints)) -> (usize, LeastConnections) {
    (strategy.pick(black_box(&endpoints), black_box(0b1111), None), strategy)
}

// The same.
#[library_benchmark(config = at_most(140))]
#[bench::by_weight(args = (&Balance::WeightedRandom, false), setup = strategy)]
fn pick_by_chance((strategy, endpoints): (WeightedRandom, Endpoints)) -> (usize, WeightedRandom) {
    (strategy.pick(black_box(&endpoints), black_box(0b1111), None), strategy)
}

#[library_benchmark(config = at_most(208))]
#[bench::key(args = (&Balance::ConsistentHash(HashKey::Tool), true), setup = strategy)]
fn pick_by_key((strategy, endpoints): (ConsistentHash, Endpoints)) -> (usize, ConsistentHash) {
    let key = Some(black_box(0x1234_5678_9ABC_DEF0));
    (strategy.pick(black_box(&endpoints), black_box(0b1111), key), strategy)
}

// === A call as a whole ===

/// The same for all threads of the process, from its beginning to its end.
fn at_most_in_all(instructions: u64) -> LibraryBenchmarkConfig {
    let limit = [(EventKind::Ir, instructions)];
    LibraryBenchmarkConfig::default()
        .tool(Callgrind::default().entry_point(EntryPoint::None).hard_limits(limit))
        .clone()
}

// From the client's socket to the backend's and back, with what client and backend do themselves. That the gateway starts is in
// it too, and in `none` nothing else. What wakes up when differs a little from run to run.
#[library_benchmark]
#[bench::none(config = at_most_in_all(2_180_000), args = (0))]
#[bench::a_thousand(config = at_most_in_all(53_500_000), args = (1_000))]
fn whole_call(calls: usize) -> Exchange {
    Exchange::begin(calls)
}

library_benchmark_group!(name = steps; benchmarks =
    scan_call, scan_answer, splice_call, lookup, route_mixed, route_many, route_in_force, control_through_a_vtable,
    list_answer, open_session, call_in_session, pick_in_turn, pick_least, pick_by_chance, pick_by_key,
    whole_call);
main!(library_benchmark_groups = steps);
