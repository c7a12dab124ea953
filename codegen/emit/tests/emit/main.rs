//! The generated code: one small committed snapshot a feature, and what holds for every plan. `BLESS=1` rewrites the
//! snapshots.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod plans;

use std::collections::HashSet;
use std::{env, fs, path::Path};

use only1mcp_emit::{Emitted, Error, Items, Module, emit, module};
use only1mcp_model::plan::{Balance, Changing, HashKey, Plan, Subject, View, WildcardRoute};
use only1mcp_model::revision::Era;
use only1mcp_model::transport::{KINDS, Kind};
use only1mcp_model::{Features, Source, load};
use proc_macro2::{Ident, Span, TokenStream, TokenTree};
use serde_json::{Value, json};

fn emitted(plan: &Plan) -> Emitted {
    emit(plan, &Ident::new("Compiled", Span::call_site()), Items::File).unwrap()
}

#[track_caller]
fn snapshot(name: &str, plan: &Plan) {
    let Module { code, items, .. } = module(plan, &format!("topologies/{name}.yaml")).unwrap();
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let versioned = format!(r#"\"version\":\"{}\""#, env!("CARGO_PKG_VERSION"));
    assert!(code.contains(&versioned), "{name}.rs does not name the gateway's version");
    for (file, actual) in [
        (format!("{name}.rs"), code.replace(&versioned, r#"\"version\":\"0.0.0\""#).into_bytes()),
        (format!("{name}.items.json"), items),
    ] {
        let path = directory.join(file);
        if env::var_os("BLESS").is_some() {
            fs::write(&path, &actual).unwrap();
        }
        let expect = fs::read(&path).unwrap_or_default();
        let (actual, expect) = (String::from_utf8_lossy(&actual), String::from_utf8_lossy(&expect));
        for (number, (actual, expect)) in actual.lines().zip(expect.lines()).enumerate() {
            assert_eq!(actual, expect, "{}:{}; BLESS=1 accepts it", path.display(), number + 1);
        }
        assert!(actual == expect, "{} differs in length; BLESS=1 accepts it", path.display());
    }
}

#[test]
fn one_transport_becomes_an_alias() {
    snapshot("stdio", &plans::stdio());
    snapshot("streamable_http", &plans::streamable_http());
}

#[test]
fn two_transports_become_a_closed_enum() {
    snapshot("mixed", &plans::mixed());
}

#[test]
fn exactly_the_strategies_of_backends_with_several_endpoints_are_named() {
    let hash = Balance::ConsistentHash(HashKey::Tool);
    for (balances, expected) in [
        (&[][..], "balance::Only;"),
        (&[Balance::Random, Balance::Random], "balance::Random;"),
        (
            &[hash, Balance::LeastConnections, Balance::RoundRobin],
            "balance::Either<::only1mcp::upstream::balance::Either<::only1mcp::upstream::balance::RoundRobin,\
             ::only1mcp::upstream::balance::LeastConnections>,::only1mcp::upstream::balance::ConsistentHash>;",
        ),
    ] {
        let code = emitted(&plans::balanced(balances)).tokens.to_string().replace(' ', "");
        let named = format!("typeBalance=::only1mcp::upstream::{expected}");
        assert!(code.contains(&named), "{named} for {balances:?}");
    }
}

#[test]
fn a_route_to_several_backends_is_a_team_and_its_strategy_is_named() {
    let code = emitted(&plans::team()).tokens.to_string().replace(' ', "");
    for expected in [
        "typeBalance=::only1mcp::upstream::balance::LeastConnections;",
        "teams:&[::only1mcp::catalog::plan::Team{members:::std::borrow::Cow::Borrowed(&[\
         ::only1mcp::catalog::plan::Member{backend:0,weight:3},::only1mcp::catalog::plan::Member{backend:1,weight:1}]),\
         balance:::only1mcp::catalog::plan::Balance::LeastConnections}],",
        "backend:0,team:Some(0),origin:0,",
        // What is known by its own name, or to clients as another's, its backend alone finds as well.
        "backend:0,prefix:\"one__\",tools:&[(\"add\",\"add\")],prompts:&[],",
        "backend:1,prefix:\"two__\",tools:&[(\"add\",\"add\")],prompts:&[],",
    ] {
        assert!(code.contains(expected), "{expected} in {code}");
    }
}

#[test]
fn the_headers_that_are_keys_are_named_once_and_only_where_there_are_some() {
    let header = |name: &'static str| Balance::ConsistentHash(HashKey::Header(name.into()));
    for (balances, expected) in [
        (&[header("x-tenant"), header("x-region"), header("x-tenant")][..], Some(r#"&["x-region","x-tenant"];"#)),
        (&[Balance::Random], None),
    ] {
        let code = emitted(&plans::balanced(balances)).tokens.to_string().replace(' ', "");
        let named = code.split_once("constKEY_HEADERS:&'static[&'staticstr]=").map(|(_, rest)| rest);
        assert_eq!(named.is_some(), expected.is_some(), "{code}");
        assert!(expected.is_none_or(|expected| named.is_some_and(|named| named.starts_with(expected))), "{code}");
    }
}

#[test]
fn prompts_resources_and_templates_become_phf_maps_and_lists() {
    snapshot("prompts_and_resources", &plans::prompts_and_resources());
}

#[test]
fn pages_have_cursors_and_eras_share_the_pages_that_are_equal() {
    snapshot("pages", &plans::pages());
}

#[test]
fn every_transport_has_a_fixture_and_is_dispatched_to() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../model/tests/fixtures/pass");
    let mut dispatched = HashSet::new();
    for path in fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()) {
        if path.extension().is_none_or(|end| end != "yaml") {
            continue;
        }
        let topology = Source { path: path.display().to_string(), text: fs::read_to_string(&path).unwrap() };
        let (plan, _warnings) = load(&topology, None, &Features::all()).unwrap();
        let code = module(&plan, &topology.path).unwrap().code;
        for Kind { key, link, .. } in KINDS {
            if code.contains(&format!("::only1mcp::upstream::{key}::{link}")) {
                dispatched.insert(*link);
            }
        }
    }
    assert_eq!(dispatched, KINDS.iter().map(|kind| kind.link).collect());
}

#[test]
fn views_have_bits_greetings_and_pages_of_their_own() {
    snapshot("views", &plans::views());
}

#[test]
fn a_backend_alone_has_greetings_and_pages_of_its_own_and_no_table() {
    snapshot("alone", &plans::alone());
}

#[test]
fn backends_alone_share_the_items_of_the_catalog_but_for_names_that_were_shortened() {
    let mut plan = plans::alone();
    let alone = std::mem::take(&mut plan.alone);
    let catalog = emitted(&plan).items.len();
    plan.alone = alone;
    let shortened = r#",{"name":"add"},{"title":"name","name":"a.b"}"#.len();
    assert_eq!(emitted(&plan).items.len(), catalog + shortened);
    plan.tools.truncate(3);
    plan.page_items = 1000;
    let all = emitted(&plan).items;
    plan.alone.clear();
    assert_eq!(emitted(&plan).items, all);
}

#[test]
fn a_view_that_is_part_of_a_page_adds_no_bytes() {
    let mut plan = plans::pages();
    plan.page_items = 5;
    let items = emitted(&plan).items;
    let view = |include: &[&'static str]| View {
        name: "part".into(),
        include: include.iter().map(|pattern| (*pattern).into()).collect(),
        exclude: vec![].into(),
    };
    plan.views = vec![view(&["big__tool_1", "big__tool_2", "big__tool_3"]), view(&["*"])];
    assert_eq!(emitted(&plan).items, items);
    let listed = |name: &str| {
        let result = pages(&emitted(&plan), name)[0].result.clone();
        result["tools"].as_array().unwrap().iter().map(|tool| tool["name"].to_string()).collect::<Vec<_>>()
    };
    for era in ["LEGACY", "MODERN"] {
        let expected = [r#""big__tool_1""#, r#""big__tool_2""#, r#""big__tool_3""#];
        assert_eq!(listed(&format!("TOOLS_PAGES_{era}_VIEW_0")), expected);
    }
    plan.views = vec![view(&["big__tool_1", "big__tool_3"])];
    assert!(emitted(&plan).items.len() > items.len(), "a gap in the run makes another run");
}

#[test]
fn nothing_is_dispatched_through_a_vtable() {
    fn idents(tokens: TokenStream, seen: &mut HashSet<String>) {
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => drop(seen.insert(ident.to_string())),
                TokenTree::Group(group) => idents(group.stream(), seen),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }
    for plan in plans::all() {
        let mut seen = HashSet::new();
        idents(emitted(&plan).tokens, &mut seen);
        assert!(seen.contains("Upstream"));
        for word in ["dyn", "Box", "Arc", "unsafe", "match", "if"] {
            assert!(!seen.contains(word), "`{word}` in the code of {}", plan.name);
        }
    }
}

#[test]
fn the_same_plan_gives_the_same_code() {
    let (first, second) = (emitted(&plans::mixed()), emitted(&plans::mixed()));
    assert_eq!(first.tokens.to_string(), second.tokens.to_string());
    assert_eq!(first.items, second.items);
}

#[test]
fn inline_items_are_the_bytes_of_the_file() {
    let Emitted { tokens, items } =
        emit(&plans::mixed(), &Ident::new("Mixed", Span::call_site()), Items::Inline).unwrap();
    let file: syn::File = syn::parse2(tokens).unwrap();
    let code = prettyplease::unparse(&file);
    assert!(!code.contains("include_bytes"));
    let inline = syn::LitByteStr::new(&items, Span::call_site());
    assert!(code.contains(&quote::quote!(#inline).to_string()));
}

/// One page of the generated code.
struct Page {
    cursor: String,
    result: Value,
    raw_items: String,
}

/// The pages of the static `name`, read back from the tokens.
fn pages(emitted: &Emitted, name: &str) -> Vec<Page> {
    let file: syn::File = syn::parse2(emitted.tokens.clone()).unwrap();
    let item = file.items.iter().find_map(|item| match item {
        syn::Item::Static(item) if item.ident == name => Some(&*item.expr),
        _ => None,
    });
    let Some(syn::Expr::Array(array)) = item else { panic!("no static {name}") };
    array.elems.iter().map(|page| read(page, &emitted.items)).collect()
}

fn read(page: &syn::Expr, items: &[u8]) -> Page {
    let [cursor, head, range, tail] = ["cursor", "head", "items", "tail"].map(|name| field(page, name));
    let text = |expr: &syn::Expr| match expr {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => text.value(),
        _ => panic!("a string"),
    };
    let number = |expr: &syn::Expr| match expr {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Int(number), .. }) => number.base10_parse::<usize>().unwrap(),
        _ => panic!("a number"),
    };
    let syn::Expr::Tuple(range) = range else { panic!("a range") };
    let items = std::str::from_utf8(&items[number(&range.elems[0])..number(&range.elems[1])]).unwrap();
    let result = serde_json::from_str(&format!("{}{items}{}", text(head), text(tail))).unwrap();
    Page { cursor: text(cursor), result, raw_items: items.to_owned() }
}

#[test]
fn list_pages_are_json_and_hold_every_item_once() {
    for plan in plans::all() {
        let emitted = emitted(&plan);
        for (list, member, items) in [
            ("TOOLS", "tools", &plan.tools),
            ("PROMPTS", "prompts", &plan.prompts),
            ("RESOURCES", "resources", &plan.resources),
            ("TEMPLATES", "resourceTemplates", &plan.templates),
        ] {
            let name = if member.starts_with("resource") { ["uri", "uriTemplate"] } else { ["name", "name"] };
            for era in ["LEGACY", "MODERN"] {
                let pages = pages(&emitted, &format!("{list}_PAGES_{era}"));
                let listed = pages.iter().flat_map(|page| page.result[member].as_array().unwrap());
                let listed: Vec<_> =
                    listed.map(|item| item[name[0]].as_str().or(item[name[1]].as_str()).unwrap()).collect();
                assert_eq!(listed, items.iter().map(|item| &*item.name).collect::<Vec<_>>(), "{list} {era}");
                assert!(!pages.is_empty());
            }
        }
    }
}

#[test]
fn each_page_names_the_cursor_of_the_next_and_no_cursor_occurs_twice() {
    let emitted = emitted(&plans::pages());
    let mut seen = HashSet::new();
    for list in ["TOOLS", "PROMPTS"] {
        for era in ["LEGACY", "MODERN"] {
            let pages = pages(&emitted, &format!("{list}_PAGES_{era}"));
            assert_eq!(pages.len(), 3);
            assert_eq!(pages[0].cursor, "");
            for pair in pages.windows(2) {
                assert_eq!(pair[0].result["nextCursor"], *pair[1].cursor);
                assert!(pair[1].cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
                assert!(seen.insert((era, pair[1].cursor.clone())), "{}", pair[1].cursor);
            }
            assert_eq!(pages[2].result.get("nextCursor"), None);
        }
    }
}

#[test]
fn a_cursor_is_of_no_use_once_its_list_has_changed() {
    let cursor = |plan: &Plan| pages(&emitted(plan), "TOOLS_PAGES_LEGACY")[1].cursor.clone();
    let before = plans::pages();
    let mut renamed = before.clone();
    renamed.tools[4].item = renamed.tools[4].item.replace("tool_4", "tool_x");
    let mut cut = before.clone();
    cut.page_items += 1;
    let mut slower = before.clone();
    slower.backends[0].timeout_ms += 1;
    assert_ne!(cursor(&before), cursor(&renamed));
    assert_ne!(cursor(&before), cursor(&cut));
    assert_eq!(cursor(&before), cursor(&slower));
}

#[test]
fn results_of_lists_have_the_shape_of_their_era() {
    let emitted = emitted(&plans::streamable_http());
    let legacy = &pages(&emitted, "TOOLS_PAGES_LEGACY")[0].result;
    let modern = &pages(&emitted, "TOOLS_PAGES_MODERN")[0].result;
    assert_eq!(legacy.as_object().unwrap().keys().collect::<Vec<_>>(), ["tools"]);
    assert_eq!(modern["resultType"], "complete");
    assert_eq!(modern["ttlMs"], 300_000);
    assert_eq!(modern["cacheScope"], "public");
    assert_eq!(modern["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "only1mcp");
}

#[test]
fn each_era_gets_the_members_it_knows_and_the_rest_byte_for_byte() {
    let check = |item: &str, legacy: &str, modern: &str| {
        let mut plan = plans::streamable_http();
        plan.tools.truncate(1);
        plan.tools[0].item = item.to_owned();
        let emitted = emitted(&plan);
        assert_eq!(pages(&emitted, "TOOLS_PAGES_LEGACY")[0].raw_items, legacy);
        assert_eq!(pages(&emitted, "TOOLS_PAGES_MODERN")[0].raw_items, modern);
        assert_eq!(emitted.items.len(), if legacy == modern { legacy.len() } else { legacy.len() + 1 + modern.len() });
    };
    let same = |item: &str| check(item, item, item);
    same(r#"{"name":"a","inputSchema":{"maximum":1.0,"default":1.50,"title":"\u00e9\/"},"x":[ ]}"#);
    same(r#"{"name":"a","outputSchema":{"properties":{},"type":"object"}}"#);
    check(
        r#"{"name":"a","execution":{"taskSupport":"optional"},"z":1.0}"#,
        r#"{"name":"a","execution":{"taskSupport":"optional"},"z":1.0}"#,
        r#"{"name":"a","z":1.0}"#,
    );
    for schema in [r#"{"type":"array"}"#, r#"{"type":["object","null"]}"#, "{}", "true"] {
        let item = format!(r#"{{"name":"a","outputSchema":{schema},"z":"\u007a"}}"#);
        check(&item, r#"{"name":"a","z":"\u007a"}"#, &item);
    }
    // Nothing but properties has to be an object, and those of properties need not.
    for key in ["inputSchema", "outputSchema"] {
        let schemas = |any: &str, none: &str| {
            let inner = r#""items":true,"properties":{"d":true}"#;
            let properties = format!(r#""a":{any},"b":{none},"true":{{ {inner} }}"#);
            format!(
                r#"{{"{key}":{{"type":"object","additionalProperties":false,"properties":{{{properties}}}}},"z":1.0}}"#
            )
        };
        let item = schemas("true", "false");
        check(&item, &schemas("{}", r#"{"not":{}}"#), &item);
    }
    same(r#"{"name":"a","inputSchema":{"type":"object","properties":[true]},"properties":{"x":true}}"#);
}

fn field<'s>(item: &'s syn::Expr, name: &str) -> &'s syn::Expr {
    let syn::Expr::Struct(item) = item else { panic!("a struct") };
    let named = |value: &&syn::FieldValue| matches!(&value.member, syn::Member::Named(member) if member == name);
    &item.fields.iter().find(named).unwrap().expr
}

/// The strings of one field of the whole catalog in `SPEC`, or of the view with this index.
fn greetings_of(plan: &Plan, view: Option<usize>, name: &str) -> Vec<Value> {
    let file: syn::File = syn::parse2(emitted(plan).tokens).unwrap();
    let spec = file.items.iter().find_map(|item| match item {
        syn::Item::Static(item) if item.ident == "SPEC" => Some(&*item.expr),
        _ => None,
    });
    let spec = spec.unwrap();
    let view = match (view, field(spec, "views")) {
        (None, _) => field(spec, "whole"),
        (Some(index), syn::Expr::Reference(views)) => match &*views.expr {
            syn::Expr::Array(views) => &views.elems[index],
            _ => panic!("an array"),
        },
        _ => panic!("a reference"),
    };
    let value = field(view, name);
    let texts = match value {
        syn::Expr::Array(array) => array.elems.iter().collect(),
        text => vec![text],
    };
    let parse = |text: &syn::Expr| match text {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => serde_json::from_str(&text.value()).unwrap(),
        _ => panic!("a string"),
    };
    texts.into_iter().map(parse).collect()
}

fn greetings(plan: &Plan, name: &str) -> Vec<Value> {
    greetings_of(plan, None, name)
}

#[test]
fn the_greetings_of_a_view_speak_of_what_it_shows() {
    let plan = plans::views();
    let counting = &greetings_of(&plan, Some(0), "discover")[0];
    assert_eq!(counting["capabilities"], serde_json::json!({ "tools": {} }));
    assert_eq!(counting["instructions"], "Count.");
    let safe = &greetings_of(&plan, Some(1), "initialize")[3];
    assert_eq!(safe["protocolVersion"], "2025-11-25");
    assert_eq!(safe["capabilities"], serde_json::json!({ "logging": {}, "tools": {}, "prompts": {}, "resources": {} }));
    assert_eq!(safe["instructions"], "Echo.\n\nCount.");
    assert_eq!(greetings(&plan, "discover")[0]["instructions"], "Echo.\n\nCount.");
}

#[test]
fn what_the_gateway_does_not_know_is_declared_where_one_backend_declares_it() {
    let mut plan = plans::views();
    for backend in &mut plan.backends {
        let name = backend.name.to_string();
        *backend = plans::declaring(backend.clone(), Era::Modern, &["test.example/own"], &[("test.example", "[1.0]")]);
        backend.extensions.to_mut().retain(|_| name == "math");
    }
    let modern = |plan: &Plan, view| greetings_of(plan, view, "discover")[0]["capabilities"].clone();
    // The first view shows something of one of them alone.
    let expected = json!({ "tools": {}, "extensions": { "test.example/own": { "x": 1.0 } }, "test.example": [1.0] });
    assert_eq!(modern(&plan, Some(0)), expected);
    for view in [None, Some(1)] {
        assert_eq!(modern(&plan, view), json!({ "tools": {}, "prompts": {}, "resources": {} }), "{view:?}");
    }
    let legacy = greetings_of(&plan, Some(0), "initialize");
    assert!(legacy.iter().all(|result| result["capabilities"] == json!({ "logging": {}, "tools": {} })), "{legacy:?}");
    plan.backends[0].beyond = vec![].into();
    assert_eq!(modern(&plan, None)["test.example"], json!([1.0]));
}

#[test]
fn every_legacy_revision_has_its_own_initialize_result() {
    let results = greetings(&plans::prompts_and_resources(), "initialize");
    let versions: Vec<_> = results.iter().map(|result| &result["protocolVersion"]).collect();
    assert_eq!(versions, ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]);
    for result in &results {
        assert_eq!(result["serverInfo"]["name"], "only1mcp");
        assert_eq!(result["instructions"], "docs\nSay \"please\".");
        assert_eq!(result["capabilities"], serde_json::json!({ "logging": {}, "prompts": {}, "resources": {} }));
    }
}

#[test]
fn discovery_names_modern_revisions_only() {
    let plan = plans::prompts_and_resources();
    let [result] = &*greetings(&plan, "discover") else { panic!("one result") };
    assert_eq!(result["supportedVersions"], serde_json::json!(["2026-07-28"]));
    assert_eq!(result["resultType"], "complete");
    assert_eq!(result["ttlMs"], plan.ttl_ms);
    assert_eq!(result["cacheScope"], "public");
    assert_eq!(result["capabilities"], serde_json::json!({ "prompts": {}, "resources": {} }));
    assert_eq!(result["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "only1mcp");
}

#[test]
fn a_capability_is_declared_when_it_is_listed_declared_by_a_backend_or_routed_by_pattern() {
    let capabilities = |plan: &Plan| greetings(plan, "discover")[0]["capabilities"].to_string();
    let mut plan = plans::stdio();
    (plan.tools, plan.offers) = (vec![], (false, false, false));
    assert_eq!(capabilities(&plan), "{}");
    plan.offers.1 = true;
    assert_eq!(capabilities(&plan), r#"{"prompts":{}}"#);
    plan.wildcards.push(WildcardRoute {
        subject: Subject::Resources,
        pattern: "data://*".into(),
        backend: 0,
        team: None,
        prefixes: vec![].into(),
        deny: vec![].into(),
    });
    assert_eq!(capabilities(&plan), r#"{"prompts":{},"resources":{}}"#);
    plan.tools = plans::stdio().tools;
    assert_eq!(capabilities(&plan), r#"{"prompts":{},"resources":{},"tools":{}}"#);
}

#[test]
fn completions_are_declared_where_something_leads_to_who_completes_and_the_revision_has_a_word_for_it() {
    let declares = |result: &Value| result["capabilities"]["completions"].is_object();
    let declared = |plan: &Plan| {
        let all = [greetings(plan, "initialize"), greetings(plan, "discover")].concat();
        all.iter().map(declares).collect::<Vec<_>>()
    };
    let mut plan = plans::prompts_and_resources();
    assert_eq!(declared(&plan), [false; 5]);
    plan.backends[0].completions = Some(false);
    assert_eq!(declared(&plan), [false; 5]);
    plan.backends[0].completions = Some(true);
    assert_eq!(declared(&plan), [false, true, true, true, true]);
    // Of the views the first shows nothing but tools.
    let of_views = |plan: &Plan| [0, 1].map(|view| declares(&greetings_of(plan, Some(view), "discover")[0]));
    let mut plan = plans::views();
    plan.backends[0].completions = Some(true);
    assert_eq!(of_views(&plan), [false, true]);
    // A route by pattern may lead there from every view.
    plan.wildcards.push(WildcardRoute {
        subject: Subject::Prompts,
        pattern: "more__*".into(),
        backend: 0,
        team: None,
        prefixes: vec![].into(),
        deny: vec![].into(),
    });
    assert_eq!(of_views(&plan), [true; 2]);
}

#[test]
fn what_backends_tell_is_declared_to_clients_of_both_eras() {
    let told = |result: &Value| result["capabilities"].clone();
    let mut plan = plans::prompts_and_resources();
    plan.backends[0].tells = vec![Changing::Prompts, Changing::Resources, Changing::Contents, Changing::Tools].into();
    let resources = json!({ "listChanged": true, "subscribe": true });
    // It has no tools.
    let mut expected = json!({ "prompts": { "listChanged": true }, "resources": resources });
    assert_eq!(told(&greetings(&plan, "discover")[0]), expected);
    // Here the gateway keeps a level for each session.
    expected["logging"] = json!({});
    let legacy = greetings(&plan, "initialize");
    assert!(legacy.len() == 4 && legacy.iter().all(|result| told(result) == expected), "{legacy:?}");
    // Of the views the first shows nothing but tools.
    let mut plan = plans::views();
    plan.backends[1].tells = vec![Changing::Tools].into();
    plan.backends[0].tells = vec![Changing::Contents].into();
    let of_view = |view| told(&greetings_of(&plan, Some(view), "discover")[0]);
    assert_eq!(of_view(0), json!({ "tools": { "listChanged": true } }));
    assert_eq!(of_view(1)["resources"], json!({ "subscribe": true }));
    assert_eq!(told(&greetings_of(&plan, Some(1), "initialize")[0])["resources"], json!({ "subscribe": true }));
}

#[test]
fn what_has_no_code_is_an_error_that_names_it() {
    let refuse = |spoil: fn(&mut Plan)| {
        let mut plan = plans::prompts_and_resources();
        spoil(&mut plan);
        let error = emit(&plan, &Ident::new("Compiled", Span::call_site()), Items::File).unwrap_err();
        assert!(!matches!(error, Error::Syntax(_)));
        error.to_string()
    };
    assert_eq!(
        refuse(|plan| plan.prompts.push(plan.prompts[0].clone())),
        "prompt `docs__review` is in the catalog twice"
    );
    assert_eq!(
        refuse(|plan| plan.resources.push(plan.resources[0].clone())),
        "resource `file:///guide.md` is in the catalog twice"
    );
    assert_eq!(refuse(|plan| plan.backends.push(plan.backends[0].clone())), "backend `docs` is in the catalog twice");
    assert_eq!(
        refuse(|plan| plan.prompts[0].item = "[]".to_owned()),
        "list item of `docs__review` is not a JSON object"
    );
    assert_eq!(
        refuse(|plan| {
            let view =
                |index| View { name: format!("v{index}").into(), include: vec![].into(), exclude: vec![].into() };
            plan.views = (0..64).map(view).collect();
        }),
        "view `v63` is one of more than 63"
    );
    assert_eq!(refuse(|plan| plan.backends.clear()), "topology `prompts_and_resources` has no backend");
}
