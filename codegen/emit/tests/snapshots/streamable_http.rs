// generated from topologies/streamable_http.yaml (sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08); do not edit

/// The topology `streamable_http`.
#[derive(Clone, Copy, Debug)]
pub struct Compiled;
/// The transport that every backend uses. A server reached by Streamable HTTP.
pub type Upstream = ::only1mcp::upstream::streamable_http::StreamableHttp;
impl ::only1mcp::catalog::Topology for Compiled {
    type Upstream = Upstream;
    type Balance = ::only1mcp::upstream::balance::Only;
    const SPEC: &'static ::only1mcp::catalog::Spec = &SPEC;
    const SETTINGS: &'static str = "[{\"path\":\"name\",\"value\":\"streamable_http\",\"line\":1}]";
    const SOURCES: [&'static str; 2] = [
        include_str!(concat!(env!("OUT_DIR"), "/topology.yaml")),
        include_str!(concat!(env!("OUT_DIR"), "/lock.json")),
    ];
    #[inline]
    fn tool(name: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        TOOL_BY_NAME.get(name)
    }
    fn prompt(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        None
    }
    fn resource(_: &str) -> Option<&'static ::only1mcp::catalog::Entry> {
        None
    }
    fn backend(name: &str) -> Option<u16> {
        BACKEND_BY_NAME.get(name).copied()
    }
}
static SPEC: ::only1mcp::catalog::Spec = ::only1mcp::catalog::Spec {
    name: "streamable_http",
    topology_digest: "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    lock_digest: "",
    listen: ::only1mcp::catalog::plan::Listen {
        address: ::only1mcp::catalog::plan::Reference::Literal(
            ::std::borrow::Cow::Borrowed("127.0.0.1:8080"),
        ),
        tls: None,
        path: ::std::borrow::Cow::Borrowed("/mcp"),
        origins: ::std::borrow::Cow::Borrowed(
            &[::std::borrow::Cow::Borrowed("https://app.example.com")],
        ),
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
    wildcards: &[
        ::only1mcp::catalog::plan::WildcardRoute {
            subject: ::only1mcp::catalog::plan::Subject::Tools,
            pattern: ::std::borrow::Cow::Borrowed("weather__*"),
            backend: 0,
            team: None,
            prefixes: ::std::borrow::Cow::Borrowed(
                &[::std::borrow::Cow::Borrowed("weather__")],
            ),
            deny: ::std::borrow::Cow::Borrowed(
                &[::std::borrow::Cow::Borrowed("delete_*")],
            ),
        },
    ],
    templates: &[],
    tools: &TOOLS,
    prompts: &PROMPTS,
    resources: &RESOURCES,
    tool_headers: &[
        ::only1mcp::catalog::plan::ToolHeaders {
            backend: 0,
            tool: ::std::borrow::Cow::Borrowed("get-forecast"),
            headers: ::std::borrow::Cow::Borrowed(
                &[
                    ::only1mcp::catalog::plan::ParamHeader {
                        header: ::std::borrow::Cow::Borrowed("Region"),
                        path: ::std::borrow::Cow::Borrowed(
                            &[
                                ::std::borrow::Cow::Borrowed("filter"),
                                ::std::borrow::Cow::Borrowed("region"),
                            ],
                        ),
                    },
                ],
            ),
        },
    ],
    task_tools: &[],
    items: include_bytes!(concat!(env!("OUT_DIR"), "/items.json")),
    whole: ::only1mcp::catalog::View {
        patterns: ::only1mcp::catalog::plan::View {
            name: ::std::borrow::Cow::Borrowed(""),
            include: ::std::borrow::Cow::Borrowed(&[::std::borrow::Cow::Borrowed("*")]),
            exclude: ::std::borrow::Cow::Borrowed(&[]),
        },
        bit: 1,
        tokens: 12,
        initialize: [
            "{\"protocolVersion\":\"2024-11-05\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-03-26\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-06-18\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
            "{\"protocolVersion\":\"2025-11-25\",\"capabilities\":{\"logging\":{},\"tools\":{}},\"serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}",
        ],
        discover: "{\"resultType\":\"complete\",\"supportedVersions\":[\"2026-07-28\"],\"capabilities\":{\"tools\":{}},\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
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
    offers_prompts: false,
    offers_resources: false,
};
static TOOLS: [::only1mcp::catalog::Entry; 1] = [
    ::only1mcp::catalog::Entry {
        name: "forecast",
        upstream: "get-forecast",
        views: 1,
        fallbacks: &[],
        backend: 0,
        team: None,
        origin: 0,
        shortened: true,
        read_only: true,
        idempotent: false,
        has_headers: true,
    },
];
static TOOL_BY_NAME: ::only1mcp::catalog::NameTable<
    [u32; 4],
    [::only1mcp::catalog::Entry; 3],
> = ::only1mcp::catalog::NameTable {
    seed: 16287231350648472473,
    pilots: [2952411558, 2952411558, 2952411558, 2952411558],
    slots: ::only1mcp::catalog::table::arrange(&TOOLS, &[0, 0, 0]),
};
static PROMPTS: [::only1mcp::catalog::Entry; 0] = [];
static RESOURCES: [::only1mcp::catalog::Entry; 0] = [];
static BACKENDS: [::only1mcp::catalog::plan::Backend; 1] = [
    ::only1mcp::catalog::plan::Backend {
        name: ::std::borrow::Cow::Borrowed("weather"),
        transport: ::only1mcp::catalog::plan::Transport::StreamableHttp(::only1mcp::catalog::plan::StreamableHttp {
            endpoints: ::std::borrow::Cow::Borrowed(
                &[
                    ::only1mcp::catalog::plan::Endpoint {
                        url: ::only1mcp::catalog::plan::Reference::Env(
                            ::std::borrow::Cow::Borrowed("WEATHER_URL"),
                        ),
                        weight: 1,
                    },
                ],
            ),
            ca: Some(
                ::only1mcp::catalog::plan::Reference::File(
                    ::std::borrow::Cow::Borrowed("ca.pem"),
                ),
            ),
            connect_timeout_ms: Some(2000),
            http: ::only1mcp::catalog::plan::HttpVersion::Two,
            credentials: ::only1mcp::catalog::plan::Credentials {
                headers: ::std::borrow::Cow::Borrowed(
                    &[
                        ::only1mcp::catalog::plan::Header {
                            name: ::std::borrow::Cow::Borrowed("X-Api-Key"),
                            value: ::only1mcp::catalog::plan::Reference::Env(
                                ::std::borrow::Cow::Borrowed("API_KEY"),
                            ),
                        },
                    ],
                ),
                auth: Some(
                    ::only1mcp::catalog::plan::Auth::Basic(::only1mcp::catalog::plan::Basic {
                        username: ::only1mcp::catalog::plan::Reference::Literal(
                            ::std::borrow::Cow::Borrowed("ops"),
                        ),
                        password: ::only1mcp::catalog::plan::Reference::File(
                            ::std::borrow::Cow::Borrowed("/run/secrets/password"),
                        ),
                    }),
                ),
            },
            proxy: Some(::only1mcp::catalog::plan::Proxy {
                url: ::only1mcp::catalog::plan::Reference::Literal(
                    ::std::borrow::Cow::Borrowed("http://proxy.internal:3128"),
                ),
                auth: Some(
                    ::only1mcp::catalog::plan::Auth::Bearer(
                        ::only1mcp::catalog::plan::Reference::Env(
                            ::std::borrow::Cow::Borrowed("PROXY_TOKEN"),
                        ),
                    ),
                ),
            }),
        }),
        era: Some(::only1mcp::catalog::Era::Modern),
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
    entries: &[("weather", 0)],
};
static TOOLS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"tools\":[",
        items: (0, 90),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static TOOLS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"tools\":[",
        items: (91, 142),
        cuts: (0, &[]),
        tail: "],\"ttlMs\":300000,\"cacheScope\":\"public\",\"_meta\":{\"io.modelcontextprotocol/serverInfo\":{\"name\":\"only1mcp\",\"version\":\"0.0.0\"}}}",
    },
];
static PROMPTS_PAGES_LEGACY: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"prompts\":[",
        items: (0, 0),
        cuts: (0, &[]),
        tail: "]}",
    },
];
static PROMPTS_PAGES_MODERN: [::only1mcp::catalog::Page; 1] = [
    ::only1mcp::catalog::Page {
        cursor: "",
        head: "{\"resultType\":\"complete\",\"prompts\":[",
        items: (0, 0),
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
