//! What is set otherwise than compiled while the gateway runs: by the file of the overlay, whatever becomes of it, and by
//! whoever holds the gateway.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use only1mcp::upstream::State;
use only1mcp::{By, Gateway, OverlayError, OverlayStore, Reload, Running, StartError};
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::process::Signal;
use tokio::sync::mpsc;

use crate::admin::samples;
use crate::command_line::Started;
use crate::support::client::within;
use crate::support::ledger::Directory;
use crate::support::program::run;
use crate::support::scripted::{
    Children, Outcome, Servers, UNHURRIED, WithChildren, assert_serves, call, call_with, eventually, is_alive, signal,
};
use crate::support::server::{Server, Step, json_answer, modern, text_body};

/// How many overlays come under load, unless this variable says it.
const OVERLAYS: (&str, usize) = ("ONLY1MCP_OVERLAYS", 100);
const DISABLED: &str = "backends: { odd: { disabled: true } }\n";

/// A gateway with the file of an overlay, in a directory of its own.
struct Tuned {
    gateway: Running,
    path: PathBuf,
    _directory: Directory,
    _servers: [Server; 2],
}

impl Tuned {
    /// One whose file says this.
    fn start(text: &str) -> Self {
        Self::start_at(text, "overlay.yaml", |_| {})
    }

    /// The same at this path below its directory, which is made ready before.
    fn start_at(text: &str, path: &str, ready: impl FnOnce(&Directory)) -> Self {
        let directory = Directory::new();
        let path = directory.path(path);
        ready(&directory);
        if !text.is_empty() {
            fs::write(&path, text).expect("a file");
        }
        let echo = || Server::start(modern(|call| vec![json_answer(200, &text_body(&call.id(), call.argument()))]));
        let servers = [echo(), echo()];
        let builder = Gateway::<Servers>::builder().workers(2).overlay_file(&path).admin_address("127.0.0.1:0");
        let builder = builder.reference("ODD_URL", servers[0].url()).reference("GOOD_URL", servers[1].url());
        Self { gateway: builder.start().expect("the gateway starts"), path, _directory: directory, _servers: servers }
    }

    fn store(&self) -> &Arc<OverlayStore> {
        self.gateway.overlay()
    }

    fn address(&self) -> SocketAddr {
        self.gateway.address()
    }

    /// As editors do it: nobody reads a part of it.
    fn write(&self, text: impl AsRef<[u8]>) {
        let beside = self.path.with_extension("new");
        fs::write(&beside, text).expect("a file");
        fs::rename(&beside, &self.path).expect("it takes the other's place");
    }

    /// Waits until as many files were taken, or not.
    async fn reloaded(&self, reload: Reload, count: u64) {
        eventually(&format!("{reload:?} {count}"), || self.store().reloads(reload) >= count).await;
        assert_eq!(self.store().reloads(reload), count, "{reload:?}");
    }

    /// Whether `odd` is disabled; its calls tell.
    async fn is_disabled(&self) -> bool {
        assert_serves(self.address(), "good").await;
        match call(self.address(), "odd__echo", "x").await {
            Outcome::Text(text) => text != "x",
            outcome => outcome == unavailable(),
        }
    }
}

fn unavailable() -> Outcome {
    Outcome::failed("upstream_unavailable", false)
}

/// Waits until a backend refuses calls.
async fn refuses(gateway: SocketAddr, tool: &str) {
    within("the backend refuses calls", async { while call(gateway, tool, "x").await != unavailable() {} }).await;
}

// === what is in force ===

#[tokio::test]
async fn what_is_written_to_the_file_is_in_force_soon_after() {
    let tuned = Tuned::start("{}\n");
    assert!(!tuned.is_disabled().await);
    // In place, and in one write: it is longer than what it covers.
    let file = File::options().write(true).open(&tuned.path);
    file.and_then(|mut file| file.write_all(DISABLED.as_bytes())).expect("a file");
    refuses(tuned.address(), "odd__echo").await;
    assert_eq!((tuned.store().current().generation, tuned.store().current().by), (1, By::File));
    tuned.write("backends: { odd: { timeout: 500ms } }\n");
    assert_serves(tuned.address(), "odd").await;
    let admin = tuned.gateway.admin_address().expect("an admin listener");
    let reloads = |result: &str| format!("only1mcp_config_reloads_total{{result=\"{result}\"}}");
    // What is in force is counted after that.
    let counted = async {
        loop {
            let samples = samples(admin).await;
            if samples.get(&reloads("applied")) != Some(&1.0) {
                return samples;
            }
        }
    };
    let samples = within("both are counted", counted).await;
    let count = |result: &str| samples.get(&reloads(result)).copied();
    assert_eq!([count("applied"), count("unchanged"), count("rejected")], [Some(2.0), Some(0.0), Some(0.0)]);
    let taken = samples["only1mcp_config_last_reload_success_timestamp_seconds"];
    assert!(taken >= samples["only1mcp_start_time_seconds"] && taken < 1e11, "{taken}");
}

#[tokio::test]
async fn a_timeout_is_that_of_the_next_call() {
    let silent = || Server::start(modern(|_| vec![Step::Pause(std::time::Duration::from_secs(600))]));
    let (odd, good) = (silent(), silent());
    let builder = Gateway::<Servers>::builder().workers(1);
    let builder = builder.reference("ODD_URL", odd.url()).reference("GOOD_URL", good.url());
    let gateway = builder.start().expect("the gateway starts");
    gateway.overlay().apply("backends: { good: { timeout: 10ms } }").expect("a sound overlay");
    // Unless it is set, a call may take 30 s, which is longer than anybody waits here.
    let outcome = within("the call ends", call(gateway.address(), "good__echo", "x")).await;
    assert_eq!(outcome, Outcome::failed("upstream_timeout", true));
}

#[tokio::test]
async fn a_backend_that_is_disabled_finishes_its_calls_and_its_child_ends() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    let (address, child) = (rig.address(), rig.ledger.spawned()[0]);
    rig.gateway.overlay().apply(UNHURRIED).expect("a sound overlay");
    let last = tokio::spawn(async move { call(address, "odd__held", "x").await });
    eventually("the call at the child", || rig.ledger.after("read").iter().any(|line| line.contains("held"))).await;
    rig.gateway.overlay().apply(DISABLED).expect("a sound overlay");
    assert_eq!(call(address, "odd__echo", "x").await, unavailable());
    assert!(is_alive(child));
    rig.ledger.note(format_args!("go on"));
    assert_eq!(last.await.expect("a call"), Outcome::Text("held".to_owned()));
    eventually("the end of the child", || !is_alive(child)).await;
    assert_eq!(rig.vitals("odd").state, State::Down);
    assert_serves(address, "good").await;
    rig.gateway.overlay().apply("{}").expect("a sound overlay");
    // It comes up by itself, as at the start: no call is needed for that.
    eventually("another child", || rig.vitals("odd").state == State::Ready).await;
    assert_serves(address, "odd").await;
    assert_eq!(rig.ledger.spawned().len(), 2);
}

#[tokio::test]
async fn a_backend_that_is_drained_takes_no_new_calls_and_is_kept_up() {
    let rig = WithChildren::start("plain");
    assert_serves(rig.address(), "odd").await;
    rig.gateway.overlay().apply("backends: { odd: { drain: true } }").expect("a sound overlay");
    assert_eq!(call(rig.address(), "odd__echo", "x").await, unavailable());
    rig.gateway.overlay().apply("{}").expect("a sound overlay");
    assert_eq!(call(rig.address(), "odd__echo", "x").await, Outcome::Text("x".to_owned()));
    assert_eq!(rig.ledger.spawned().len(), 1);
}

#[tokio::test]
async fn a_backend_that_was_disabled_at_the_start_is_started_once_it_is_not() {
    let directory = Directory::new();
    let path = directory.path("overlay.yaml");
    fs::write(&path, DISABLED).expect("a file");
    let rig = WithChildren::start_as::<Children>("plain", |builder| builder.overlay_file(&path));
    assert_serves(rig.address(), "good").await;
    assert_eq!(call(rig.address(), "odd__echo", "x").await, unavailable());
    assert!(rig.ledger.spawned().is_empty());
    fs::write(&path, "{}").expect("a file");
    assert_serves(rig.address(), "odd").await;
    assert_eq!(rig.ledger.spawned().len(), 1);
}

#[tokio::test]
async fn what_a_disabled_backend_is_reached_with_need_not_be_there() {
    let good = Server::start(modern(|call| vec![json_answer(200, &text_body(&call.id(), call.argument()))]));
    let builder = || Gateway::<Servers>::builder().workers(2).reference("GOOD_URL", good.url());
    let unset = builder().start();
    assert!(matches!(unset, Err(StartError::Open(_))), "{unset:?}");
    let directory = Directory::new();
    let path = directory.path("overlay.yaml");
    fs::write(&path, DISABLED).expect("a file");
    let gateway = builder().overlay_file(&path).start().expect("it is not needed");
    assert_serves(gateway.address(), "good").await;
    // Nor does it do harm when it is needed.
    gateway.overlay().apply("{}").expect("a sound overlay");
    assert_eq!(call(gateway.address(), "odd__echo", "x").await, unavailable());
    assert_serves(gateway.address(), "good").await;
}

#[tokio::test]
async fn overlays_that_come_under_load_lose_no_call() {
    let texts = [
        "backends: { good: { timeout: 50s }, odd: { timeout: 60s, disabled: true } }",
        "backends: { good: { timeout: 60s }, odd: { timeout: 60s } }",
    ];
    let tuned = Arc::new(Tuned::start(texts[1]));
    let (over, (told, mut calls)) = (Arc::new(AtomicBool::new(false)), mpsc::channel(1));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (tuned, over, told) = (Arc::clone(&tuned), Arc::clone(&over), told.clone());
            tokio::spawn(async move {
                for number in 0.. {
                    let own = format!("{client}-{number}");
                    assert_eq!(call(tuned.address(), "good__echo", &own).await, Outcome::Text(own));
                    // Of the other one, a call is answered or refused, and nothing else.
                    let other = call(tuned.address(), "odd__echo", "x").await;
                    assert!([unavailable(), Outcome::Text("x".to_owned())].contains(&other), "{other:?}");
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    // Full most of the time: it says that there was one more.
                    let _told = told.try_send(());
                }
            })
        })
        .collect();
    let (variable, usual) = OVERLAYS;
    let overlays = std::env::var(variable).map_or(usual, |text| text.parse().expect("a number"));
    for turn in 0..overlays {
        tuned.store().apply(texts[turn % 2]).expect("a sound overlay");
        within("calls meanwhile", calls.recv()).await.expect("a call");
    }
    over.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.expect("every call went well");
    }
    assert_eq!(tuned.store().current().generation, overlays as u64);
    assert_eq!(tuned.store().earlier(), only1mcp::limits::OVERLAYS_KEPT);
}

// === the file, whatever becomes of it ===

#[tokio::test]
async fn a_file_that_is_no_overlay_changes_nothing_and_is_counted_once() {
    let tuned = Tuned::start(DISABLED);
    let huge = format!("{DISABLED}# {}\n", "x".repeat(1 << 20));
    let cases: [(&[u8], &str); 7] = [
        (b"", "nothing where an overlay belongs"),
        (b"backends: { odd: { disabled: tr", "text is not YAML"),
        (b"backends: { od: {} }", "unknown backend `od`"),
        (b"backends: { odd: { disable: false } }", "did you mean `disabled`?"),
        (b"backends: { odd: { timeout: 0s } }", "timeout"),
        (huge.as_bytes(), "more than 1048576 bytes"),
        (b"\xff\xfe", "not UTF-8"),
    ];
    for (turn, (bytes, why)) in (1..).zip(cases) {
        tuned.write(bytes);
        tuned.reloaded(Reload::Rejected, turn).await;
        let rejected = tuned.store().rejected().expect("it says why");
        let shown = match &*rejected.error {
            OverlayError::Refused { file, problems } => only1mcp_model::diagnostic::render(problems, file, false),
            error => error.to_string(),
        };
        assert!(shown.contains(why), "{why}: {shown}");
    }
    // A directory takes its place, at no time of which nothing stands there.
    let beside = tuned.path.with_extension("new");
    fs::create_dir(&beside).expect("a directory");
    renameat_with(CWD, &beside, CWD, &tuned.path, RenameFlags::EXCHANGE).expect("they change places");
    tuned.reloaded(Reload::Rejected, 8).await;
    assert_eq!((tuned.store().current().generation, tuned.is_disabled().await), (0, true));
    fs::remove_dir(&tuned.path).expect("it is empty");
    tuned.write("{}");
    assert_serves(tuned.address(), "odd").await;
    assert!(tuned.store().rejected().is_none());
}

#[tokio::test]
async fn a_file_that_is_deleted_leaves_what_is_compiled_and_may_come_back() {
    let tuned = Tuned::start(DISABLED);
    fs::remove_file(&tuned.path).expect("it is there");
    assert_serves(tuned.address(), "odd").await;
    tuned.write(DISABLED);
    refuses(tuned.address(), "odd__echo").await;
    tuned.reloaded(Reload::Applied, 2).await;
}

#[tokio::test]
async fn a_directory_that_vanishes_changes_nothing_and_its_successor_is_watched() {
    let ready = |directory: &Directory| fs::create_dir(directory.path("own")).expect("a directory");
    let tuned = Tuned::start_at(DISABLED, "own/overlay.yaml", ready);
    let directory = tuned.path.parent().map(Path::to_owned).expect("a directory");
    fs::rename(&directory, directory.with_extension("away")).expect("it is moved");
    tuned.reloaded(Reload::Rejected, 1).await;
    assert!(tuned.is_disabled().await);
    fs::create_dir(&directory).expect("another one");
    tuned.write("{}");
    assert_serves(tuned.address(), "odd").await;
    tuned.write(DISABLED);
    refuses(tuned.address(), "odd__echo").await;
}

#[tokio::test]
async fn a_file_behind_links_that_are_turned_is_followed() {
    // As Kubernetes mounts a ConfigMap.
    let version = |directory: &Directory, name: &str, text: &str| {
        fs::create_dir(directory.path(name)).expect("a directory");
        fs::write(directory.path(name).join("overlay.yaml"), text).expect("a file");
    };
    let ready = |directory: &Directory| {
        version(directory, "..1", DISABLED);
        version(directory, "..2", "{}\n");
        version(directory, "..3", "backends: { odd: { disable: true } }\n");
        symlink("..1", directory.path("..data")).expect("a link");
        symlink("..data/overlay.yaml", directory.path("overlay.yaml")).expect("a link");
    };
    let tuned = Tuned::start_at("", "overlay.yaml", ready);
    let directory = tuned.path.parent().expect("a directory");
    let turn = |to: &str| {
        symlink(to, directory.join("..data_tmp")).expect("a link");
        fs::rename(directory.join("..data_tmp"), directory.join("..data")).expect("it is turned");
    };
    assert!(tuned.is_disabled().await);
    turn("..2");
    assert_serves(tuned.address(), "odd").await;
    turn("..3");
    tuned.reloaded(Reload::Rejected, 1).await;
    assert_serves(tuned.address(), "odd").await;
    turn("..1");
    refuses(tuned.address(), "odd__echo").await;
    // One that leads nowhere is not one that was deleted.
    turn("..4");
    tuned.reloaded(Reload::Rejected, 2).await;
    assert!(tuned.is_disabled().await);
}

#[tokio::test]
async fn a_file_that_is_replaced_all_the_time_is_read_all_the_same() {
    let tuned = Tuned::start("{}\n");
    let over = Arc::new(AtomicBool::new(false));
    let (path, until) = (tuned.path.clone(), Arc::clone(&over));
    let writer = std::thread::spawn(move || {
        for number in 1.. {
            let beside = path.with_extension("new");
            fs::write(&beside, format!("# {number}\n{DISABLED}")).expect("a file");
            fs::rename(&beside, &path).expect("it takes the other's place");
            if until.load(Ordering::Relaxed) {
                return number;
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        0
    });
    refuses(tuned.address(), "odd__echo").await;
    // It is not read each time either.
    let early = tuned.store().reloads(Reload::Applied);
    over.store(true, Ordering::Relaxed);
    let written = writer.join().expect("it wrote");
    assert!(early <= written / 2, "{early} of {written}");
    eventually("the last one", || tuned.store().current().text == format!("# {written}\n{DISABLED}")).await;
}

// === edits ===

#[tokio::test]
async fn an_edit_stands_in_the_file_and_is_taken_once() {
    let tuned = Tuned::start("# by hand\n{}\n");
    let store = tuned.store();
    let refused = store.apply("backends: { od: {} }").expect_err("no such backend");
    assert!(matches!(refused, OverlayError::Refused { .. }), "{refused}");
    assert_eq!(store.check(DISABLED).expect("a sound overlay").backends.iter().count(), 1);
    assert_eq!(fs::read_to_string(&tuned.path).expect("a file"), "# by hand\n{}\n");
    assert!(matches!(store.rollback(), Err(OverlayError::NoEarlier)));

    let published = store.apply(DISABLED).expect("a sound overlay");
    assert_eq!((published.generation, published.by), (1, By::Edit));
    assert_eq!(fs::read_to_string(&tuned.path).expect("a file"), DISABLED);
    assert!(tuned.is_disabled().await);
    // What comes next from the file is the next overlay: the edit did not come once more.
    tuned.write("backends: { odd: { timeout: 2s } }\n");
    assert_serves(tuned.address(), "odd").await;
    tuned.reloaded(Reload::Applied, 1).await;
    assert_eq!(store.current().generation, 2);

    for (generation, text) in [(3, DISABLED), (4, "# by hand\n{}\n")] {
        let published = store.rollback().expect("there is one before");
        assert_eq!((published.generation, published.by, &*published.text), (generation, By::Rollback, text));
        assert_eq!(fs::read_to_string(&tuned.path).expect("a file"), text);
        assert_eq!(tuned.is_disabled().await, generation == 3);
    }
    assert!(matches!(store.rollback(), Err(OverlayError::NoEarlier)));
    assert_eq!(store.reload(), Reload::Unchanged);
}

#[tokio::test]
async fn an_edit_that_cannot_be_written_changes_nothing() {
    let ready = |directory: &Directory| fs::create_dir(directory.path("own")).expect("a directory");
    let tuned = Tuned::start_at("{}", "own/overlay.yaml", ready);
    fs::remove_dir_all(tuned.path.parent().expect("a directory")).expect("it goes");
    let unwritten = tuned.store().apply(DISABLED).expect_err("there is no directory");
    assert!(matches!(unwritten, OverlayError::Unwritten { .. }), "{unwritten}");
    assert_eq!(tuned.store().current().generation, 0);
    assert!(!tuned.is_disabled().await);
}

// === the program ===

#[tokio::test]
async fn a_program_does_not_start_with_an_overlay_that_is_none() {
    let directory = Directory::new();
    let path = directory.path("overlay.yaml");
    fs::write(&path, "backends: { mth: { timeout: 5s } }\n").expect("a file");
    let path = path.to_str().expect("paths of tests are text");
    let ran = run(&["start", "--port", "0", "--overlay", path]);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("did you mean `math`?") && ran.stderr.contains("overlay.yaml:1:13"), "{}", ran.stderr);
    let ran = run(&["start", "--port", "0", "--overlay", &format!("{path}.absent")]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot be read"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_program_takes_the_overlay_of_its_user_and_reads_it_anew_on_a_signal() {
    let directory = Directory::new();
    let home = directory.path("only1mcp");
    let mut program = Started::of(|command| {
        command.args(["--port", "0", "--admin-port", "0"]).env("XDG_CONFIG_HOME", home.parent().expect("a directory"))
    });
    let (address, admin) = (program.address(), program.admin_address());
    let sum = r#"{"a":1,"b":2}"#;
    let arguments = serde_json::from_str(sum).expect("JSON");
    assert_eq!(call_with(address, "math__add", &arguments).await, Outcome::Text("3".to_owned()));
    fs::create_dir(&home).expect("a directory");
    fs::write(home.join("overlay.yaml"), "backends: { math: { disabled: true } }\n").expect("a file");
    refuses(address, "math__add").await;
    signal(program.pid(), Signal::HUP);
    within("it is read anew", async {
        while samples(admin).await.get("only1mcp_config_reloads_total{result=\"unchanged\"}") != Some(&1.0) {}
    })
    .await;
    assert_eq!(call_with(address, "math__add", &arguments).await, unavailable());
}

#[test]
fn what_an_overlay_changes_is_shown_and_becomes_a_part_of_the_topology() {
    let directory = Directory::new();
    let text = |path: &Path| path.to_str().expect("paths of tests are text").to_owned();
    let (overlay, topology) = (directory.path("overlay.yaml"), directory.path("own.yaml"));
    fs::write(&overlay, "backends: { math: { timeout: 5s, drain: true }, data: {} }\n").expect("a file");
    fs::copy("topologies/default.yaml", &topology).expect("a copy");
    let (overlay, path) = (text(&overlay), text(&topology));

    let diff = run(&["overlay", "diff", &overlay]);
    assert_eq!(
        (diff.code, &*diff.stdout),
        (Some(4), "math.timeout  30s -> 5s\nmath.drain    false -> true\n"),
        "{diff:?}"
    );
    let json: serde_json::Value =
        serde_json::from_str(&run(&["overlay", "diff", "--json", &overlay]).stdout).expect("JSON");
    assert_eq!(json["changes"][0]["setting"], "timeout");
    assert_eq!((&json["changes"][0]["compiled"], &json["changes"][0]["overlay"]), (&"30s".into(), &"5s".into()));

    let before = fs::read_to_string(&topology).expect("a file");
    let shown = run(&["overlay", "promote", &overlay, "--topology", &path]);
    assert_eq!(shown.code, Some(0), "{shown:?}");
    assert!(shown.stdout.contains("timeout: 5s") && shown.stdout.starts_with(&path), "{}", shown.stdout);
    assert!(shown.stderr.contains("math.drain: false -> true") && shown.stderr.contains("--write"), "{}", shown.stderr);
    assert_eq!(fs::read_to_string(&topology).expect("a file"), before);
    assert_eq!(run(&["overlay", "promote", &overlay, "--topology", &path, "--write"]).code, Some(0));
    let after = fs::read_to_string(&topology).expect("a file");
    assert_eq!(after.matches("timeout: 5s").count(), 1, "{after}");
    assert_eq!(
        after.lines().filter(|line| line.contains('#')).count(),
        before.lines().filter(|line| line.contains('#')).count()
    );
    let again = run(&["overlay", "promote", &overlay, "--topology", &path]);
    assert!(again.stdout.is_empty() && again.stderr.contains("has all of it"), "{again:?}");
}

#[test]
fn an_overlay_that_is_none_is_no_difference() {
    let directory = Directory::new();
    let path = directory.path("overlay.yaml");
    fs::write(&path, "backends: { mth: {} }\n").expect("a file");
    let path = path.to_str().expect("paths of tests are text");
    assert_eq!(run(&["overlay", "diff", path]).code, Some(3));
    fs::write(path, "{}\n").expect("a file");
    assert_eq!(run(&["overlay", "diff", path]).code, Some(0));
}

// === a crash ===

/// Where the gateway that is killed keeps its overlay.
const KEPT_AT: &str = "OVERLAY_KEPT_AT";

/// The overlays that it goes to and fro between, long enough for a write to take a while.
fn long(turn: u64) -> String {
    format!("backends: {{ odd: {{ timeout: {}s }} }}\n# {}", turn % 2 + 1, "x".repeat(200_000))
}

fn gateway_with(path: &Path) -> Running {
    let builder = Gateway::<Servers>::builder().workers(1).overlay_file(path);
    let builder =
        builder.reference("ODD_URL", "http://127.0.0.1:9/mcp").reference("GOOD_URL", "http://127.0.0.1:9/mcp");
    builder.start().expect("the gateway starts")
}

#[tokio::test]
async fn a_gateway_that_is_killed_while_it_writes_leaves_a_whole_overlay() {
    let directory = Directory::new();
    let path = directory.path("overlay.yaml");
    fs::write(&path, long(0)).expect("a file");
    for turn in 0..12 {
        let mut gateway = std::process::Command::new(std::env::current_exe().expect("this binary has a path"));
        gateway.args(["overlay::gateway_to_be_killed", "--exact", "--ignored"]).env(KEPT_AT, &path);
        let nowhere = std::process::Stdio::null;
        let mut gateway = gateway.stdout(nowhere()).stderr(nowhere()).spawn().expect("this binary starts");
        let before = fs::metadata(&path).expect("a file").modified().expect("a time");
        let is_written = || fs::metadata(&path).is_ok_and(|own| own.modified().is_ok_and(|at| at != before));
        eventually("a write", is_written).await;
        // It writes one after the other: wherever this finds it.
        std::thread::sleep(std::time::Duration::from_micros(turn * 1_300));
        signal(gateway.id(), Signal::KILL);
        gateway.wait().expect("it ended");
        let text = fs::read_to_string(&path).expect("a file");
        assert!([long(0), long(1)].contains(&text), "{} bytes", text.len());
        assert_eq!(gateway_with(&path).overlay().current().text, text);
    }
    // A later gateway has written in spite of what those left behind.
    gateway_with(&path).overlay().apply("{}").expect("it is written");
    assert_eq!(fs::read_to_string(&path).expect("a file"), "{}");
}

#[test]
#[ignore = "a role of this binary: another test starts it and kills it"]
fn gateway_to_be_killed() {
    let Some(path) = std::env::var_os(KEPT_AT) else { return };
    let gateway = gateway_with(Path::new(&path));
    for turn in 1.. {
        gateway.overlay().apply(&long(turn)).expect("it is written");
    }
}
