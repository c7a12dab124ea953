//! Small plans, one a feature of the emitter.

use only1mcp_model::plan::{
    Access, AdminListener, Alone, Auth, Backend, Balance, Basic, ClientCapability, Concurrency, Confined, Credentials,
    Endpoint, Exposed, Extension, Header, HttpVersion, Instructions, Life, Listen, Member, ParamHeader, Plan, Program,
    Proxy, Reference, Stated, Stdio, StreamableHttp, Subject, Team, ToolHeaders, Transport, User, Variable, View,
    WildcardRoute,
};
use only1mcp_model::revision::Era;

/// Every plan below.
pub(crate) fn all() -> [Plan; 7] {
    [stdio(), streamable_http(), mixed(), prompts_and_resources(), pages(), views(), alone()]
}

/// One child process with every option.
pub(crate) fn stdio() -> Plan {
    let child = Stdio {
        program: Program::Named("npx".into()),
        args: vec!["-y".into(), "@modelcontextprotocol/server-memory".into()].into(),
        env: vec![
            Variable { name: "MEMORY_FILE_PATH".into(), value: Reference::Literal("/data/memory.json".into()) },
            Variable { name: "TOKEN".into(), value: Reference::Env("MEMORY_TOKEN".into()) },
        ]
        .into(),
        cwd: Some("/data".into()),
        life: Life { lazy: true, idle_ms: Some(600_000), start_timeout_ms: 120_000, restarts: 10 },
        instances: 4,
        sessions: 0,
        sandbox: Some(Confined {
            memory_bytes: 1 << 30,
            file_bytes: Some(1 << 30),
            files: 1024,
            processes: Some(50),
            cpu_seconds: Some(3600),
            access: Some(Access {
                read: vec![Reference::Env("READ".into())].into(),
                write: vec![Reference::Literal("/data".into())].into(),
                connect: vec![443].into(),
            }),
            seccomp: true,
            user: Some(User { uid: 1000, gid: 100 }),
            required: true,
        }),
    };
    let backend = Backend { locked_era: Some(Era::Legacy), ..backend("memory", Transport::Stdio(child)) };
    let tools = vec![tool("memory", "read_graph", 0), tool("memory", "delete_\"all\"", 0)];
    Plan { tools, ..plan("stdio", vec![backend]) }
}

/// One URL, certificates, a route by pattern.
pub(crate) fn streamable_http() -> Plan {
    let url = Reference::Env("WEATHER_URL".into());
    let header = Header { name: "X-Api-Key".into(), value: Reference::Env("API_KEY".into()) };
    let credentials = Credentials {
        headers: vec![header].into(),
        auth: Some(Auth::Basic(Basic {
            username: Reference::Literal("ops".into()),
            password: Reference::File("/run/secrets/password".into()),
        })),
    };
    let ca = Some(Reference::File("ca.pem".into()));
    let proxy = Some(Proxy {
        url: Reference::Literal("http://proxy.internal:3128".into()),
        auth: Some(Auth::Bearer(Reference::Env("PROXY_TOKEN".into()))),
    });
    let endpoints = vec![Endpoint { url, weight: 1 }].into();
    let http =
        StreamableHttp { endpoints, ca, connect_timeout_ms: Some(2_000), http: HttpVersion::Two, credentials, proxy };
    let backend = Backend { era: Some(Era::Modern), ..backend("weather", Transport::StreamableHttp(http)) };
    let forecast = Exposed {
        item: r#"{"name":"forecast","inputSchema":{"type":"object"},"execution":{"taskSupport":"optional"}}"#
            .to_owned(),
        name: "forecast".to_owned(),
        read_only: true,
        ..tool("weather", "get-forecast", 0)
    };
    let route = WildcardRoute {
        subject: Subject::Tools,
        pattern: "weather__*".into(),
        backend: 0,
        team: None,
        prefixes: vec!["weather__".into()].into(),
        deny: vec!["delete_*".into()].into(),
    };
    let mut plan = Plan { tools: vec![forecast], ..plan("streamable_http", vec![backend]) };
    plan.wildcards = vec![route];
    plan.tool_headers = vec![ToolHeaders {
        backend: 0,
        tool: "get-forecast".into(),
        headers: vec![ParamHeader { header: "Region".into(), path: vec!["filter".into(), "region".into()].into() }]
            .into(),
    }];
    plan.listen.origins = vec!["https://app.example.com".into()].into();
    plan
}

/// Both transports, and an admin listener.
pub(crate) fn mixed() -> Plan {
    let child = Stdio { args: vec!["demo".into()].into(), ..Stdio::default() };
    let backends = vec![backend("demo", Transport::Stdio(child)), backend("math", http("http://127.0.0.1:9001/mcp"))];
    let mut plan = Plan { tools: vec![tool("demo", "echo", 0), tool("math", "add", 1)], ..plan("mixed", backends) };
    plan.listen.admin = Some(AdminListener {
        address: Reference::Literal("0.0.0.0:9090".into()),
        token: Some(Reference::Env("ONLY1MCP_ADMIN_TOKEN".into())),
        hosts: vec!["gateway.example.com".into()].into(),
    });
    plan
}

/// Two backends that take the calls of one tool between them.
pub(crate) fn team() -> Plan {
    let backends = ["one", "two"].map(|name| backend(name, http("http://127.0.0.1:9001/mcp"))).to_vec();
    let add = |origin: u16| Exposed { name: "add".to_owned(), team: Some(0), ..tool("", "add", origin) };
    let members = vec![Member { backend: 0, weight: 3 }, Member { backend: 1, weight: 1 }];
    let alone = |name: &str, tools: Vec<Exposed>| Alone { prefix: format!("{name}__"), tools, ..Alone::default() };
    Plan {
        tools: vec![add(0), tool("one", "status", 0)],
        teams: vec![Team { members: members.into(), balance: Balance::LeastConnections }],
        alone: vec![alone("one", vec![]), alone("two", vec![Exposed { backend: 0, ..add(1) }])],
        ..plan("team", backends)
    }
}

/// Everything but tools.
pub(crate) fn prompts_and_resources() -> Plan {
    let exposed = |name: &str, upstream: &str, item: &str| Exposed {
        name: name.to_owned(),
        upstream: upstream.to_owned(),
        own: upstream.to_owned(),
        item: item.to_owned(),
        ..tool("docs", "", 0)
    };
    Plan {
        prompts: vec![exposed("docs__review", "review", r#"{"name":"docs__review","arguments":[]}"#)],
        resources: vec![
            exposed("file:///guide.md", "file:///guide.md", r#"{"uri":"file:///guide.md","name":"Guide"}"#),
            exposed("file:///faq.md", "file:///faq.md", r#"{"uri":"file:///faq.md","name":"FAQ"}"#),
        ],
        templates: vec![
            exposed("file:///{path}", "file:///{path}", r#"{"uriTemplate":"file:///{path}","name":"Any"}"#),
            exposed("file:///a/{path}", "file:///a/{path}", r#"{"uriTemplate":"file:///a/{path}","name":"A"}"#),
        ],
        instructions: vec![Instructions { backend: 0, title: None, text: "docs\nSay \"please\".".to_owned() }],
        ..plan("prompts_and_resources", vec![backend("docs", http("https://docs.example.com/mcp"))])
    }
}

/// Two items a page; the page in the middle differs between the eras.
pub(crate) fn pages() -> Plan {
    let mut tools: Vec<Exposed> = (0..5).map(|index| tool("big", &format!("tool_{index}"), 0)).collect();
    tools[2].item = tools[2].item.replace('}', r#","execution":{"taskSupport":"forbidden"}}"#);
    let mut prompts: Vec<Exposed> = (0..6).map(|index| tool("big", &format!("prompt_{index}"), 0)).collect();
    for prompt in &mut prompts {
        prompt.item = format!(r#"{{"name":"{}"}}"#, prompt.name);
    }
    Plan { tools, prompts, page_items: 2, ..plan("pages", vec![backend("big", http("http://127.0.0.1:9002/"))]) }
}

/// A backend that was locked in this era and declares this beyond what the gateway knows.
pub(crate) fn declaring(
    backend: Backend,
    era: Era,
    extensions: &[&'static str],
    beyond: &[(&'static str, &'static str)],
) -> Backend {
    let extension =
        |name: &'static str, settings: &'static str| Extension { name: name.into(), settings: settings.into() };
    let extensions = extensions.iter().map(|name| extension(name, r#"{"x":1.0}"#)).collect();
    let beyond = beyond.iter().map(|(name, settings)| extension(name, settings)).collect();
    Backend { locked_era: Some(era), extensions, beyond, ..backend }
}

/// Two backends, one of which takes over a call of the other, and views: of one of them, of something of both.
pub(crate) fn views() -> Plan {
    let view = |name: &'static str, include: &[&'static str], exclude: &[&'static str]| {
        let table = |patterns: &[&'static str]| patterns.iter().map(|pattern| (*pattern).into()).collect();
        View { name: name.into(), include: table(include), exclude: table(exclude) }
    };
    let instructions = |backend, text: &str| Instructions { backend, title: None, text: text.to_owned() };
    Plan {
        name: "views".to_owned(),
        tools: vec![
            Exposed { fallbacks: vec![1], ..tool("demo", "echo", 0) },
            tool("math", "add", 1),
            tool("math", "div", 1),
        ],
        instructions: vec![instructions(0, "Echo."), instructions(1, "Count.")],
        views: vec![view("counting", &["math__*"], &[]), view("safe", &["*"], &["*__div", "file:///a/*"])],
        ..Plan { backends: mixed().backends, ..prompts_and_resources() }
    }
}

/// Two backends that are also served alone: one with a tool whose name had to be shortened, one with resources under URIs
/// that lead to the other. Each declares something that the gateway does not know, one in either era.
pub(crate) fn alone() -> Plan {
    let alone = |name: &str| Alone { prefix: format!("{name}__"), ..Alone::default() };
    let shortened = Exposed {
        name: "math__a_b_eb62c1b0".to_owned(),
        item: r#"{"title":"name","name":"math__a_b_eb62c1b0"}"#.to_owned(),
        ..tool("math", "a.b", 1)
    };
    let renamed = Exposed { own: "say".to_owned(), upstream: "echo".to_owned(), ..tool("demo", "say", 0) };
    let Plan { resources, templates, .. } = prompts_and_resources();
    let [demo, math] = <[Backend; 2]>::try_from(mixed().backends).expect("two backends");
    Plan {
        name: "alone".to_owned(),
        tools: vec![renamed, tool("demo", "sum", 0), tool("math", "add", 1), shortened],
        alone: vec![
            alone("demo"),
            Alone {
                offers: (true, true, false),
                resources: resources[..1].to_vec(),
                templates: templates[..1].to_vec(),
                ..alone("math")
            },
        ],
        prompts: vec![Exposed { item: r#"{"name":"demo__review"}"#.to_owned(), ..tool("demo", "review", 0) }],
        page_items: 2,
        ..Plan {
            backends: vec![
                declaring(
                    demo,
                    Era::Legacy,
                    &["io.modelcontextprotocol/ui", "test.example/old"],
                    &[("experimental", r#"{"a":{}}"#)],
                ),
                declaring(
                    math,
                    Era::Modern,
                    &["io.modelcontextprotocol/ui", "test.example/own"],
                    &[("test.example", "true")],
                ),
            ],
            ..prompts_and_resources()
        }
    }
}

fn plan(name: &str, backends: Vec<Backend>) -> Plan {
    Plan {
        name: name.to_owned(),
        topology_digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".to_owned(),
        lock_digest: String::new(),
        sources: only1mcp_model::plan::Sources { topology: format!("name: {name}\n"), lock: None },
        relists: false,
        sessions: only1mcp_model::plan::Sessions { seal_key: None },
        limits: only1mcp_model::plan::Limits::default(),
        coalesce: only1mcp_model::plan::Coalesce::NONE,
        batching: None,
        listen: Listen {
            address: Reference::Literal("127.0.0.1:8080".into()),
            tls: None,
            path: "/mcp".into(),
            origins: vec![].into(),
            hosts: vec![].into(),
            backends: false,
            admin: None,
        },
        backends,
        teams: vec![],
        wildcards: vec![],
        tools: vec![],
        prompts: vec![],
        resources: vec![],
        templates: vec![],
        tool_headers: vec![],
        task_tools: vec![],
        offers: (false, false, false),
        alone: vec![],
        name_bytes_max: 64,
        instructions: vec![],
        views: vec![],
        features: vec![],
        settings: vec![Stated { path: "name".to_owned(), value: format!("\"{name}\""), line: Some(1) }],
        page_items: 1000,
        ttl_ms: 300_000,
    }
}

fn backend(name: &'static str, transport: Transport) -> Backend {
    let client_capabilities = ClientCapability::ALL.as_slice().into();
    Backend {
        name: name.into(),
        transport,
        era: None,
        locked_era: None,
        timeout_ms: 30_000,
        completions: None,
        tells: Vec::new().into(),
        tasks: false,
        extensions: Vec::new().into(),
        beyond: Vec::new().into(),
        client_capabilities,
        rewrites_uris: false,
        balance: Balance::RoundRobin,
        slow_start_ms: None,
        concurrency: Concurrency { max: 4096, queue: 1024, queue_timeout_ms: 1000 },
        retry: None,
        hedge: None,
        circuit_breaker: None,
        health: None,
    }
}

/// Backends with two endpoints each, spread like this.
pub(crate) fn balanced(balances: &[Balance]) -> Plan {
    let endpoint = |url: &str| Endpoint { url: Reference::Literal(url.to_owned().into()), weight: 1 };
    let mut backends = vec![backend("one", http("http://127.0.0.1:9000/"))];
    for (balance, name) in balances.iter().zip(["a", "b", "c"]) {
        let mut several = backend(name, http("http://127.0.0.1:9001/"));
        if let Transport::StreamableHttp(http) = &mut several.transport {
            http.endpoints = vec![endpoint("http://127.0.0.1:9001/"), endpoint("http://127.0.0.1:9002/")].into();
        }
        backends.push(Backend { balance: balance.clone(), ..several });
    }
    plan("balanced", backends)
}

fn http(url: &'static str) -> Transport {
    Transport::StreamableHttp(StreamableHttp {
        endpoints: vec![Endpoint { url: Reference::Literal(url.into()), weight: 1 }].into(),
        ca: None,
        connect_timeout_ms: None,
        http: HttpVersion::Auto,
        credentials: Credentials::default(),
        proxy: None,
    })
}

fn tool(backend_name: &str, upstream: &str, backend: u16) -> Exposed {
    let name = format!("{backend_name}__{upstream}");
    let item = serde_json::json!({ "name": name });
    Exposed {
        name,
        upstream: upstream.to_owned(),
        own: upstream.to_owned(),
        origin: backend,
        backend,
        team: None,
        item: item.to_string(),
        alone: None,
        read_only: false,
        idempotent: false,
        fallbacks: vec![],
    }
}
