// generated from topologies/pages.yaml (sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08); do not edit

/// The topology `pages`.
#[derive(Clone, Copy, Debug)]
pub struct Compiled;
/// The transport that every backend uses. A server reached by Streamable HTTP.
pub type Upstream = ::only1mcp::upstream::streamable_http::StreamableHttp;
impl ::only1mcp::catalog::Topology for Compiled {
    type Upstream = Upstream;
    type Balance = ::only1mcp::upstream::balance::Only;
    const SPEC: &'static ::only1mcp::catalog::Spec = &SPEC;
    const SETTINGS: &'static str = "[{\"path\":\"name\",\"value\":\"pages\",\"line\":1}]";
    const SOURCES: [&'static str; 2] = [
        include_str!(concat!(env!("OUT_DIR"), "/topology.yaml")),
        include_str!(concat!(env!("OUT_DIR"), "/lock.json")),
    ];
    #[inline]
    fn tool(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        TOOL_BY_NAME.get(name)
    }
    fn prompt(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        PROMPT_BY_NAME.get(name).copied()
    }
    fn resource(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        None
    }
    fn backend(name: &str) -> Option<u16> {
        BACKEND_BY_NAME.get(name).copied()
    }
}
static SPEC: ::only1mcp::catalog::Spec = ::only1mcp::catalog::Spec {
    name: "pages",
    topology_digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    lock_digest: "",
    listen: ::only1mcp::catalog::plan::Listen {
        address: ::only1mcp::catalog::plan::Reference::Literal(
            ::std::borrow::Cow::Borrowed("127.0.0.1:8080"),
        ),
        tls: None,
        path: ::std::borrow::Cow::Borrowed("/mcp"),
        origins: ::std::borrow::Cow::Borrowed(&[]),
        hosts: ::std::borrow::Cow::Borrowed(&[]),
        backends: false,
        admin: None,
    },
    sessions: ::only1mcp::catalog::plan::Sessions {
        seal_key: None,
    },
    limits: ::only1mcp::catalog::plan::Limits {
        calls_max: 10000,
        connection_calls_max: 256,
        connections_max: 10000,
    },
    coalesce: ::only1mcp::catalog::plan::Coalesce {
        tools: ::std::borrow::Cow::Borrowed(&[]),
        resources: false,
        prompts: false,
    },
    batching: None,
    backends: &BACKENDS,
    teams: &[],
    wildcards: &[],
    templates: &[],
    tools: &TOOLS,
    prompts: &PROMPTS,
    resources: &RESOURCES,
    tool_headers: &[],
    task_tools: &[],
    items: include_bytes!(concat!(env!("OUT_DIR"), "/items.json")),
    whole: ::only1mcp::catalog::View {
        patterns: ::only1mcp::catalog::plan::View {
            name: ::std::borrow::Cow::Borrowed(""),
            include: ::std::borrow::Cow::Borrowed(&[::std::borrow::Cow::Borrowed("*")]),
            exclude: ::std::borrow::Cow::Borrowed(&[]),
        },
        bit: 1,
        tokens: 30,
        initialize: [
            "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{},\"prompts\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
        ],
        discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{},\"prompts\":{}},\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
        declared: ::only1mcp::catalog::Declared {
            completions: false,
            tasks: false,
            task_extension: false,
            beyond: [::core::option::Option::None, ::core::option::Option::None],
        },
        lists: [
            [
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_LEGACY,
                &TOOLS_PAGES_MODERN,
            ],
            [
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_LEGACY,
                &PROMPTS_PAGES_MODERN,
            ],
            [
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_LEGACY,
                &RESOURCES_PAGES_MODERN,
            ],
            [
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_LEGACY,
                &TEMPLATES_PAGES_MODERN,
            ],
        ],
        alone: None,
    },
    views: &[],
    alone: &[],
    name_bytes_max: 64,
    offers_tools: true,
    offers_prompts: true,
    offers_resources: false,
};
static TOOLS: [::only1mcp::catalog::Entry; 5] = [
    ::only1mcp::catalog::Entry {
        name: "big__tool_0",
        upstream: "tool_0",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__tool_1",
        upstream: "tool_1",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__tool_2",
        upstream: "tool_2",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__tool_3",
        upstream: "tool_3",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__tool_4",
        upstream: "tool_4",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static TOOL_BY_NAME: ::only1mcp::catalog::NameTable<
    [u32; 5],
    [::only1mcp::catalog::Entry; 6],
> = ::only1mcp::catalog::NameTable {
    seed: 16287231350648472473,
    pilots: [2952411558, 4213892221, 2952411558, 2952411558, 2952411558],
    slots: ::only1mcp::catalog::table::arrange(&TOOLS, &[0, 3, 1, 2, 4, 0]),
};
static PROMPTS: [::only1mcp::catalog::Entry; 6] = [
    ::only1mcp::catalog::Entry {
        name: "big__prompt_0",
        upstream: "prompt_0",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__prompt_1",
        upstream: "prompt_1",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__prompt_2",
        upstream: "prompt_2",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__prompt_3",
        upstream: "prompt_3",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__prompt_4",
        upstream: "prompt_4",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
    ::only1mcp::catalog::Entry {
        name: "big__prompt_5",
        upstream: "prompt_5",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: false,
        read_only: false,
        idempotent: false,
        has_headers: false,
    },
];
static PROMPT_BY_NAME: ::only1mcp::phf::Map<
    &'static str,
    &'static ::only1mcp::catalog::Entry,
> = ::only1mcp::phf::Map {
    key: 16287231350648472473,
    disps: &[(0, 3), (5, 0)],
    entries: &[
        ("big__prompt_5", &PROMPTS[5]),
        ("big__prompt_3", &PROMPTS[3]),
        ("big__prompt_4", &PROMPTS[4]),
        ("big__prompt_2", &PROMPTS[2]),
        ("big__prompt_1", &PROMPTS[1]),
        ("big__prompt_0", &PROMPTS[0]),
    ],
};
static RESOURCES: [::only1mcp::catalog::Entry; 0] = [];
static BACKENDS: [::only1mcp::catalog::plan::Backend; 1] = [
    ::only1mcp::catalog::plan::Backend {
        name: ::std::borrow::Cow::Borrowed("big"),
        transport: ::only1mcp::catalog::plan::Transport::StreamableHttp(::only1mcp::catalog::plan::StreamableHttp {
            endpoints: ::std::borrow::Cow::Borrowed(
                &[
                    ::only1mcp::catalog::plan::Endpoint {
                        url: ::only1mcp::catalog::plan::Reference::Literal(
                            ::std::borrow::Cow::Borrowed("http://127.0.0.1:9002/"),
                        ),
                        weight: 1,
                    },
                ],
            ),
            ca: None,
            connect_timeout_ms: None,
            http: ::only1mcp::catalog::plan::HttpVersion::Auto,
            credentials: ::only1mcp::catalog::plan::Credentials {
                headers: ::std::borrow::Cow::Borrowed(&[]),
                auth: None,
            },
            proxy: None,
        }),
        era: None,
        locked_era: None,
        timeout_ms: 30000,
        completions: None,
        tells: ::std::borrow::Cow::Borrowed(&[]),
        tasks: false,
        extensions: ::std::borrow::Cow::Borrowed(&[]),
        beyond: ::std::borrow::Cow::Borrowed(&[]),
        client_capabilities: ::std::borrow::Cow::Borrowed(
            &[
                ::only1mcp::catalog::plan::ClientCapability::Roots,
                ::only1mcp::catalog::plan::ClientCapability::Sampling,
                ::only1mcp::catalog::plan::ClientCapability::Elicitation,
            ],
        ),
        rewrites_uris: false,
        balance: ::only1mcp::catalog::plan::Balance::RoundRobin,
        slow_start_ms: None,
        concurrency: ::only1mcp::catalog::plan::Concurrency {
            max: 4096,
            queue: 1024,
            queue_timeout_ms: 1000,
        },
        retry: None,
        hedge: None,
        circuit_breaker: None,
        health: None,
    },
];
static BACKEND_BY_NAME: ::only1mcp::phf::Map<&'static str, u16> = ::only1mcp::phf::Map {
    key: 16287231350648472473,
    disps: &[(0, 0)],
    entries: &[("big", 0)],
};
static TOOLS_PAGES_LEGACY: [::only1mcp::catalog::Page; 3] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 45),
        cuts: (0, &[]),
        tail: "],\"nextCursor\":\"AAAAAAAAAAAAAW3NTS3KpBEr\"}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAW3NTS3KpBEr",
        head: "{\"tools\":[",
        items: (46, 131),
        cuts: (0, &[]),
        tail: "],\"nextCursor\":\"AAAAAAAAAAAAAkcEE3Vw1if8\"}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAkcEE3Vw1if8",
        head: "{\"tools\":[",
        items: (132, 154),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN: [::only1mcp::catalog::Page; 3] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (0, 45),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"nextCursor\":\"AAAAAAAAAAAAAW3NTS3KpBEr\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAW3NTS3KpBEr",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (155, 200),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"nextCursor\":\"AAAAAAAAAAAAAkcEE3Vw1if8\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAAAAAAAAAAAAkcEE3Vw1if8",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (132, 154),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY: [::only1mcp::catalog::Page; 3] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (201, 250),
        cuts: (0, &[]),
        tail: "],\"nextCursor\":\"AAEAAAAAAAAAAeQWQ945Xp7k\"}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAEAAAAAAAAAAeQWQ945Xp7k",
        head: "{\"prompts\":[",
        items: (251, 300),
        cuts: (0, &[]),
        tail: "],\"nextCursor\":\"AAEAAAAAAAAAAt2shVy-pfo0\"}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAEAAAAAAAAAAt2shVy-pfo0",
        head: "{\"prompts\":[",
        items: (301, 350),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN: [::only1mcp::catalog::Page; 3] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (201, 250),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"nextCursor\":\"AAEAAAAAAAAAAeQWQ945Xp7k\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAEAAAAAAAAAAeQWQ945Xp7k",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (251, 300),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"nextCursor\":\"AAEAAAAAAAAAAt2shVy-pfo0\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
    ::only1mcp::catalog::Page {
        cursor: "AAEAAAAAAAAAAt2shVy-pfo0",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (301, 350),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static RESOURCES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resources\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static RESOURCES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resources\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static TEMPLATES_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resourceTemplates\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TEMPLATES_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"resourceTemplates\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
