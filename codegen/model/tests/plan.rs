//! What topologies amount to: the plan that the emitter and the engine take.

use std::fs;
use std::path::Path;

use only1mcp_model::plan::{
    AdminListener, Alone, Balance, Batching, CircuitBreaker, Coalesce, CoalescedTool, Concurrency, Exposed, HashKey,
    HealthCheck, Hedge, HttpProbe, Limits, ParamHeader, Plan, Program, Reference, Retry, Size, Subject, ToolHeaders,
    Transport, visible,
};
use only1mcp_model::revision::Era;
use only1mcp_model::tokens::tokens;
use only1mcp_model::{Features, Source, load, lock_path};

fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/fixtures/pass/{name}.yaml"));
    let source =
        |path: &Path| Source { path: name.to_owned(), text: fs::read_to_string(path).expect("fixtures are text") };
    let lock = Some(lock_path(&path)).filter(|lock| lock.exists()).map(|lock| source(&lock));
    load(&source(&path), lock.as_ref(), &Features::all()).expect("the fixture is accepted").0
}

/// The exposed name, the backend's own, and where it leads.
fn names<'p>(plan: &'p Plan, list: &'p [Exposed]) -> Vec<(&'p str, &'p str, &'p str)> {
    let backend = |exposed: &Exposed| &*plan.backends[usize::from(exposed.backend)].name;
    list.iter().map(|exposed| (exposed.name.as_str(), exposed.upstream.as_str(), backend(exposed))).collect()
}

/// The settings of a topology as lines.
fn settings(text: &str) -> Vec<String> {
    let source = Source { path: "t.yaml".to_owned(), text: text.to_owned() };
    let plan = load(&source, None, &Features::all()).expect("a good topology").0;
    let line = |line: Option<usize>| line.map_or_else(|| "default".to_owned(), |line| format!("line {line}"));
    plan.settings.iter().map(|own| format!("{} = {} ({})", own.path, own.value, line(own.line))).collect()
}

#[test]
fn every_setting_is_told_with_its_line_also_those_that_nobody_wrote() {
    let told = settings("name: small\nbackends:\n  math:\n    transport: { stdio: { command: self } }\n");
    let stdio = "backends.math.transport.stdio";
    let expected = [
        "name = \"small\" (line 1)".to_owned(),
        "listen.mcp.address = \"127.0.0.1:8080\" (default)".to_owned(),
        "listen.mcp.path = \"/mcp\" (default)".to_owned(),
        "listen.mcp.origins = [] (default)".to_owned(),
        "listen.mcp.hosts = [] (default)".to_owned(),
        "listen.mcp.backends = true (default)".to_owned(),
        "names.separator = \"__\" (default)".to_owned(),
        "names.max_length = 64 (default)".to_owned(),
        "defaults.timeout = \"30s\" (default)".to_owned(),
        "defaults.concurrency.max = 4096 (default)".to_owned(),
        "defaults.concurrency.queue = 1024 (default)".to_owned(),
        "defaults.concurrency.queue_timeout = \"1s\" (default)".to_owned(),
        "defaults.retry.attempts = 2 (default)".to_owned(),
        "defaults.retry.backoff = \"50ms..1s\" (default)".to_owned(),
        "defaults.retry.budget = \"20%\" (default)".to_owned(),
        "defaults.hedge = \"off\" (default)".to_owned(),
        "defaults.circuit_breaker.failures = 5 (default)".to_owned(),
        "defaults.circuit_breaker.window = \"30s\" (default)".to_owned(),
        "defaults.circuit_breaker.open = \"10s\" (default)".to_owned(),
        "defaults.circuit_breaker.half_open = 3 (default)".to_owned(),
        "defaults.health = \"off\" (default)".to_owned(),
        "limits.in_flight.max = 10000 (default)".to_owned(),
        "limits.in_flight.per_connection = 256 (default)".to_owned(),
        "limits.connections.max = 10000 (default)".to_owned(),
        "coalesce.tools = [] (default)".to_owned(),
        "coalesce.resources = false (default)".to_owned(),
        "coalesce.prompts = false (default)".to_owned(),
        "catalog.page_items = 500 (default)".to_owned(),
        "catalog.ttl = \"5m\" (default)".to_owned(),
        format!("{stdio}.command = \"self\" (line 4)"),
        format!("{stdio}.args = [] (default)"),
        format!("{stdio}.env = {{}} (default)"),
        format!("{stdio}.start = \"eager\" (default)"),
        format!("{stdio}.start_timeout = \"2m\" (default)"),
        format!("{stdio}.restarts = 10 (default)"),
        format!("{stdio}.instances = \"shared\" (default)"),
        format!("{stdio}.sandbox.profile = \"default\" (default)"),
        format!("{stdio}.sandbox.read = [] (default)"),
        format!("{stdio}.sandbox.write = [] (default)"),
        format!("{stdio}.sandbox.connect = [] (default)"),
        format!("{stdio}.sandbox.files = 1024 (default)"),
        format!("{stdio}.sandbox.required = false (default)"),
        "backends.math.endpoints = [] (default)".to_owned(),
        "backends.math.era = \"auto\" (default)".to_owned(),
        "backends.math.client_capabilities = [\"roots\",\"sampling\",\"elicitation\"] (default)".to_owned(),
        "backends.math.tools.deny = [] (default)".to_owned(),
        "backends.math.tools.rename = {} (default)".to_owned(),
        "backends.math.resources.uris = \"keep\" (default)".to_owned(),
        "backends.math.fallback = [] (default)".to_owned(),
        "routes = [] (default)".to_owned(),
        "views = {} (default)".to_owned(),
        "allow = [] (default)".to_owned(),
    ];
    assert_eq!(told, expected);
}

#[test]
fn settings_are_told_as_they_are_written() {
    let told = settings(concat!(
        "name: small\nnames: none\ndefaults: { timeout: 60s }\nallow: [E0204]\nbackends:\n  math:\n",
        "    transport:\n      stdio:\n        command: x\n        args: [-y, x]\n",
        "        env: { PLAIN: text, API_KEY: env:KEY }\n        sandbox: strict\n        instances: { pool: 2 }\n",
        "    timeout: 5s\n",
        "views:\n  all:\n    include: [\"*\"]\n    budget: 2k tokens\n",
    ));
    for expected in [
        "names = \"none\" (line 2)",
        "defaults.timeout = \"1m\" (line 3)",
        "allow = [\"E0204\"] (line 4)",
        "backends.math.transport.stdio.env.PLAIN = \"text\" (line 11)",
        "backends.math.transport.stdio.env.API_KEY = \"env:KEY\" (line 11)",
        "backends.math.transport.stdio.sandbox = \"strict\" (line 12)",
        "backends.math.transport.stdio.instances = {\"pool\":2} (line 13)",
        "backends.math.timeout = \"5s\" (line 14)",
        "views.all.budget = \"2000 tokens\" (line 18)",
    ] {
        assert!(told.iter().any(|line| line == expected), "{expected}:\n{}", told.join("\n"));
    }
}

#[test]
fn defaults_are_filled_in() {
    let plan = plan("minimal");
    assert_eq!(plan.listen.address, Reference::Literal("127.0.0.1:8080".into()));
    assert_eq!((&*plan.listen.path, plan.page_items, plan.ttl_ms), ("/mcp", 500, 300_000));
    let math = &plan.backends[0];
    assert_eq!((math.timeout_ms, math.era, math.locked_era), (30_000, None, Some(Era::Legacy)));
    let Transport::Stdio(stdio) = &math.transport else { panic!("a child") };
    assert_eq!(stdio.program, Program::Current);
    assert_eq!(plan.topology_digest.len(), 64);
    assert_eq!(plan.lock_digest.len(), 64);
}

#[test]
fn how_calls_are_spread_and_made_again_is_of_the_backend_or_of_the_defaults() {
    let backends = plan("traffic").backends;
    let [weather, users, tenants, turns, child] = &backends[..] else { panic!("five backends") };
    let header = HashKey::Header("x-tenant".into());
    assert_eq!(tenants.balance, Balance::ConsistentHash(header));
    let weights: Vec<u32> = weather.transport.endpoints().iter().map(|endpoint| endpoint.weight).collect();
    assert_eq!(
        (weights, &weather.balance, weather.slow_start_ms),
        (vec![3, 1], &Balance::LeastConnections, Some(30_000))
    );
    assert_eq!(weather.concurrency, Concurrency { max: 8, queue: 16, queue_timeout_ms: 250 });
    assert_eq!(weather.retry, Some(Retry { attempts: 3, first_ms: 50, longest_ms: 1000, budget_percent: 10 }));
    assert_eq!(weather.circuit_breaker, None);
    let key = HashKey::Argument(vec!["user".into(), "id".into()].into());
    assert_eq!((&users.balance, users.retry), (&Balance::ConsistentHash(key), None));
    assert_eq!(users.concurrency, Concurrency { max: 256, queue: 0, queue_timeout_ms: 1000 });
    let breaker = CircuitBreaker { failures: 3, window_ms: 30_000, open_ms: 10_000, half_open: 3 };
    assert_eq!((&turns.balance, turns.circuit_breaker), (&Balance::RoundRobin, Some(breaker)));
    let http = Some(HttpProbe { path: "/health?deep=1".into(), status: 204 });
    let check = HealthCheck { interval_ms: 5000, timeout_ms: 2000, healthy: 2, unhealthy: 3, http };
    assert_eq!(weather.health.as_ref(), Some(&check));
    assert_eq!(users.health, Some(HealthCheck { interval_ms: 10_000, http: None, ..check }));
    // Switched off, and of a child there is nothing to ask.
    assert_eq!((&turns.health, &child.health), (&None, &None));
    assert!(child.transport.endpoints().is_empty());
    assert_eq!(child.circuit_breaker.map(|breaker| (breaker.failures, breaker.half_open)), Some((10, 1)));
}

#[test]
fn calls_are_made_a_second_time_where_the_backend_or_the_defaults_say_so() {
    let backends = plan("hedge").backends;
    let hedges: Vec<_> = backends.iter().map(|backend| backend.hedge).collect();
    let hedge = |after_ms, budget_percent| Some(Hedge { after_ms, budget_percent });
    assert_eq!(hedges, [hedge(200, 10), hedge(1500, 5), None]);
    assert!(plan("traffic").backends.iter().all(|backend| backend.hedge.is_none()));
}

#[test]
fn what_the_gateway_takes_on_is_written_or_what_most_are_content_with() {
    let stated = Limits { calls_max: 1, connection_calls_max: 65_536, connections_max: 1_000_000 };
    assert_eq!(plan("traffic").limits, stated);
    let usual = Limits { calls_max: 10_000, connection_calls_max: 256, connections_max: 10_000 };
    assert_eq!((plan("minimal").limits, Limits::default()), (usual, usual));
    let batching = Some(Batching { window_ms: 60_000, max: 10 });
    assert_eq!((plan("traffic").batching, plan("minimal").batching), (batching, None));
}

#[test]
fn calls_of_tools_that_only_read_become_one_where_the_topology_says_so() {
    let coalesce = plan("coalesce").coalesce;
    assert_eq!(coalesce.tools[..], [CoalescedTool { backend: 0, tool: "add".into() }]);
    assert!(coalesce.has_tool(0, "add") && !coalesce.has_tool(0, "mul") && !coalesce.has_tool(1, "add"));
    assert!(coalesce.any() && coalesce.resources && !coalesce.prompts);
    assert_eq!(plan("minimal").coalesce, Coalesce::NONE);
    assert!(!Coalesce::NONE.any());
    // Of a tool of several backends, whichever of them has the call; one of them has another that does more than read.
    let tools = [0, 1].map(|backend| CoalescedTool { backend, tool: "math_add".into() });
    assert_eq!(plan("team").coalesce.tools[..], tools);
}

#[test]
fn whether_a_backend_completes_is_what_its_lock_can_say() {
    let completes = |name: &str| {
        let backends = plan(name).backends;
        backends.iter().map(|backend| (backend.name.to_string(), backend.completions)).collect::<Vec<_>>()
    };
    // 2024-11-05 has no word for it.
    assert_eq!(completes("transparent"), [("everything".to_owned(), None)]);
    assert_eq!(completes("param_header")[0], ("modern".to_owned(), Some(false)));
    let unlocked = completes("no_lock");
    assert!(!unlocked.is_empty() && unlocked.iter().all(|(_, completions)| completions.is_none()), "{unlocked:?}");
}

#[test]
fn an_item_keeps_its_bytes_but_for_the_exposed_name() {
    let plan = plan("minimal");
    let expected = concat!(
        r#"{"name":"math__add","title":"Add","description":"Adds two numbers: 1 \u00e9 \/ 2","inputSchema":"#,
        r#"{"type":"object","properties":{"a":{"type":"number","maximum":1.0},"b":{"type":"number","maximum":1e400}},"#,
        r#""required":["a","b"]},"annotations":{"readOnlyHint":true,"idempotentHint":true},"x-unknown":[1.0,2,{}]}"#,
    );
    assert_eq!(plan.tools[0].item, expected);
    assert_eq!(
        plan.tools[1].item,
        r#"{"inputSchema":{"type":"object"},"name":"math__mul","description":"Multiplies"}"#
    );
    let hints: Vec<(bool, bool)> = plan.tools.iter().map(|tool| (tool.read_only, tool.idempotent)).collect();
    assert_eq!(hints, [(true, true), (false, false)]);
}

#[test]
fn renames_denials_and_routes_decide_what_is_exposed_and_where_it_leads() {
    let plan = plan("full");
    assert_eq!(
        names(&plan, &plan.tools),
        [
            ("math--sum", "add", "math"),
            ("math--mul", "mul", "data"),
            ("data--get", "get", "data"),
            ("data--mul", "mul", "data")
        ]
    );
    assert_eq!(names(&plan, &plan.prompts), [("data--greet", "greet", "data")]);
    assert_eq!(
        names(&plan, &plan.resources),
        [("data://one", "data://one", "data"), ("data://two", "data://two", "data")]
    );
    assert_eq!(names(&plan, &plan.templates), [("data://{id}", "data://{id}", "data")]);
    assert_eq!(plan.offers, (true, true, true));
}

#[test]
fn routes_for_names_that_no_catalog_holds_go_exact_names_first() {
    let plan = plan("full");
    let routes: Vec<_> =
        plan.wildcards.iter().map(|r| (r.subject, &*r.pattern, r.backend, r.prefixes.concat())).collect();
    assert_eq!(
        routes,
        [
            (Subject::Prompts, "unlisted", 1, "data--".to_owned()),
            (Subject::Tools, "math--*", 0, "math--".to_owned()),
            (Subject::Resources, "data://*", 1, String::new()),
        ]
    );
}

#[test]
fn what_a_route_sends_to_several_backends_is_there_once_under_its_own_name() {
    let plan = plan("team");
    assert_eq!(
        names(&plan, &plan.tools),
        [
            ("math_add", "math_add", "math-a"),
            ("math_div", "math_div", "math-a"),
            ("math-a__status", "status", "math-a"),
            ("spare__math_add", "math_add", "spare"),
            ("spare__math_div", "math_div", "spare"),
        ]
    );
    assert_eq!(names(&plan, &plan.prompts), [("greet", "greet", "math-b")]);
    assert_eq!(names(&plan, &plan.resources), [("data://x", "data://x", "math-a")]);
    let teams: Vec<Vec<(u16, u32)>> =
        plan.teams.iter().map(|team| team.members.iter().map(|own| (own.backend, own.weight)).collect()).collect();
    assert_eq!(teams, [vec![(0, 3), (1, 1)], vec![(1, 1), (0, 1)], vec![(0, 1), (1, 1)]]);
    let of = |items: &[Exposed]| items.iter().map(|item| item.team).collect::<Vec<_>>();
    assert_eq!(of(&plan.tools), [Some(0), Some(0), None, None, None]);
    assert_eq!((of(&plan.prompts), of(&plan.resources)), (vec![Some(1)], vec![Some(2)]));
    // Who takes calls anyway takes none over.
    assert!(plan.tools[..2].iter().all(|tool| tool.fallbacks == [2]), "{:?}", plan.tools);
    // Only one of them says that it reads.
    assert!(plan.tools[0].read_only && !plan.tools[1].read_only);
    let alone = |of: fn(&Alone) -> &Vec<Exposed>| {
        plan.alone.iter().map(|own| of(own).iter().map(|item| &*item.upstream).collect()).collect::<Vec<Vec<&str>>>()
    };
    assert_eq!(alone(|own| &own.tools), [vec![], vec!["math_add", "math_div"], vec![]]);
    assert_eq!(alone(|own| &own.prompts), [vec!["greet"], vec![], vec![]]);
    assert_eq!(*plan.wildcards[0].prefixes, ["math-a__", "math-b__"]);
    assert_eq!(*plan.wildcards[0].deny, ["status"]);
}

#[test]
fn of_two_routes_for_one_name_the_first_wins() {
    let plan = plan("first_route");
    assert!(names(&plan, &plan.tools).contains(&("math--mul", "mul", "data")));
}

#[test]
fn there_is_an_admin_listener_where_one_is_written() {
    assert_eq!(plan("minimal").listen.admin, None);
    let expected = AdminListener {
        address: Reference::Literal("0.0.0.0:9090".into()),
        token: Some(Reference::Env("ONLY1MCP_ADMIN_TOKEN".into())),
        hosts: vec!["gateway.example.com".into()].into(),
    };
    assert_eq!(plan("admin").listen.admin, Some(expected));
}

#[test]
fn instructions_stand_under_the_name_of_their_backend() {
    let expected = "# math\n\nUse add for sums.\n\n# data\n\nRead data first.";
    assert_eq!(plan("full").instructions(None).as_deref(), Some(expected));
    assert_eq!(plan("no_lock").instructions(None), None);
}

#[test]
fn a_view_shows_what_it_includes_and_does_not_exclude() {
    let plan = plan("views");
    let [coding, reading] = &plan.views[..] else { panic!("two views") };
    let shown = |items: &[Exposed], view| visible(items, Some(view)).map(|item| item.name.clone()).collect::<Vec<_>>();
    assert_eq!(shown(&plan.tools, coding), ["memory__read_graph", "memory__search_nodes"]);
    assert_eq!(shown(&plan.prompts, coding), ["data__review"]);
    assert_eq!(shown(&plan.resources, coding), [""; 0]);
    assert_eq!(shown(&plan.resources, reading), ["data://one", "data://two"]);
    assert_eq!(shown(&plan.templates, reading), ["data://tables/{table}"]);
    assert_eq!(plan.listen.view_path(&coding.name), "/mcp/coding");
}

#[test]
fn the_size_of_a_view_counts_what_it_shows() {
    let plan = plan("views");
    let [coding, reading] = &plan.views[..] else { panic!("two views") };
    let tokens = plan.tools.iter().map(tokens).collect::<Vec<_>>();
    assert_eq!(
        plan.size(None),
        Size { tools: 4, prompts: 1, resources: 2, templates: 1, tokens: tokens.iter().sum::<usize>() }
    );
    let expected = Size { tools: 2, prompts: 1, tokens: tokens[1] + tokens[2], ..Size::default() };
    assert_eq!(plan.size(Some(coding)), expected);
    assert_eq!(plan.size(Some(reading)), Size { resources: 2, templates: 1, ..Size::default() });
}

#[test]
fn a_view_has_the_instructions_of_the_backends_it_shows_something_of() {
    let plan = plan("views");
    let [coding, reading] = &plan.views[..] else { panic!("two views") };
    let (memory, data) = ("# memory\n\nSearch before you read.", "# data\n\nTables are read as resources.");
    assert_eq!(plan.instructions(Some(reading)).as_deref(), Some(data));
    assert_eq!(plan.instructions(Some(coding)), Some(format!("{memory}\n\n{data}")));
    assert_eq!(plan.instructions(None), plan.instructions(Some(coding)));
}

#[test]
fn a_fallback_takes_over_what_it_has_under_the_same_upstream_name_and_does_not_deny() {
    let plan = plan("fallback");
    let fallbacks = |items: &[Exposed], name: &str| {
        let item = items.iter().find(|item| item.name == name).expect("it is exposed");
        item.fallbacks.iter().map(|index| plan.backends[usize::from(*index)].name.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(fallbacks(&plan.tools, "search__find"), ["search-old", "mirror"]);
    assert_eq!(fallbacks(&plan.tools, "search__index"), ["search-old"]);
    assert_eq!(fallbacks(&plan.prompts, "search__review"), ["search-old", "mirror"]);
    assert_eq!(fallbacks(&plan.resources, "docs://one"), ["search-old"]);
    assert_eq!(fallbacks(&plan.templates, "docs://{id}"), ["search-old"]);
    assert_eq!(fallbacks(&plan.tools, "search-old__seek"), [""; 0]);
}

#[test]
fn a_transparent_backend_is_exposed_as_it_is() {
    let plan = plan("transparent");
    assert_eq!(names(&plan, &plan.tools), [("get.Sum/1", "get.Sum/1", "everything")]);
    assert_eq!(plan.tools[0].item, r#"{"name":"get.Sum/1","inputSchema":{}}"#);
}

#[test]
fn a_tool_that_asks_for_headers_it_may_not_have_is_exposed_only_where_there_are_none() {
    let plan = plan("param_header");
    let exposed: Vec<&str> = plan.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(exposed, ["modern__good", "legacy__price", "child__price"]);
    // Nobody repeats the arguments of those that ask for what they may not have.
    let wanted = |tool: &ToolHeaders| {
        let header = |param: &ParamHeader| format!("{}={}", param.header, param.path.join("."));
        let headers: Vec<String> = tool.headers.iter().map(header).collect();
        (plan.backends[usize::from(tool.backend)].name.to_string(), tool.tool.to_string(), headers.join(" "))
    };
    let wanted: Vec<_> = plan.tool_headers.iter().map(wanted).collect();
    assert_eq!(wanted, [("modern".to_owned(), "good".to_owned(), "Region=region".to_owned())]);
}

#[test]
fn names_that_clients_do_not_take_are_shortened_in_the_item_too() {
    let plan = plan("shortened");
    for tool in &plan.tools {
        assert!(tool.name.len() <= 48 && tool.item.starts_with(&format!(r#"{{"name":"{}""#, tool.name)), "{tool:?}");
    }
    assert_eq!(plan.tools[0].upstream, "read.file");
    assert!(plan.tools[0].name.starts_with("files__read_file_"));
}

#[test]
fn of_resources_with_one_uri_the_routed_backend_s_own_is_kept() {
    let plan = plan("routed_resources");
    let expected = [("data://routed", "data://routed", "two"), ("data://shared", "data://shared", "two")];
    assert_eq!(names(&plan, &plan.resources), expected);
}

#[test]
fn references_stay_references() {
    let plan = plan("environment");
    assert_eq!(plan.listen.address, Reference::Env("ADDRESS".into()));
    let Transport::StreamableHttp(http) = &plan.backends[0].transport else { panic!("reached by HTTP") };
    assert_eq!(http.endpoints[0].url, Reference::Env("DATA_URL".into()));
    assert_eq!(plan.backends[0].locked_era, Some(Era::Modern));
}

#[test]
fn a_topology_of_five_hundred_backends_is_one_like_any_other() {
    let backend = |number: usize| {
        format!(
            "  server-{number}: {{ transport: {{ stdio: {{ command: self, args: [demo-server, \"{number}\"] }} }} }}\n"
        )
    };
    let route = |number: usize| format!("  - {{ tools: \"server-{number}__*\", to: server-{number} }}\n");
    let backends: String = (0..500).map(backend).collect();
    let routes: String = (0..500).map(route).collect();
    let text = format!("name: five-hundred\nbackends:\n{backends}routes:\n{routes}");
    let source = Source { path: "five-hundred.yaml".to_owned(), text };
    let (plan, warnings) = load(&source, None, &Features::all()).expect("nothing is wrong with it");
    assert_eq!((plan.backends.len(), plan.wildcards.len()), (500, 500));
    assert_eq!(*plan.wildcards[499].prefixes, ["server-499__"]);
    let codes: Vec<&str> = warnings.iter().map(|found| found.code.as_str()).collect();
    assert_eq!(codes, ["E0501"]);
}
