//! What is kept of streams, for whom, and how much of it.

use std::time::Duration;

use super::*;

const OWN: SessionKey = SessionKey::new([1; 16]);
const OTHER: SessionKey = SessionKey::new([2; 16]);

async fn add(replays: &Replays, replay: &Replay, messages: std::ops::RangeInclusive<u32>) {
    for message in messages {
        replays.add(replay, &[message.to_string().as_bytes()]).await;
    }
}

/// The data of events.
fn data(found: &Found) -> Option<Vec<String>> {
    let Found::Events(events) = found else { return None };
    let text = |event: &Bytes| String::from_utf8(event.to_vec()).expect("text");
    let data = |event| text(event).lines().find_map(|line| line.strip_prefix("data: ").map(ToOwned::to_owned));
    Some(events.iter().map(|event| data(event).expect("data")).collect())
}

#[test]
fn an_id_is_the_place_that_it_was_made_of() {
    for id in [EventId::Call(7, 0), EventId::Call(u128::MAX, u64::MAX), EventId::Session(1 << 127)] {
        assert_eq!(EventId::parse(id.to_string().as_bytes()), Some(id));
    }
    let call = EventId::Call(7, 1).to_string();
    for other in [
        "",
        "c",
        "c-1",
        "é",
        &call[1..],
        &call[..34],
        &format!("{call} "),
        &format!("{call}x"),
        &format!("x{}", &call[1..]),
        &format!("c{}", call),
        &call.replace("-1", "--1"),
        &call.replace("-1", "-+1"),
        &call.replace("c0", "c+"),
        &call.replace('c', "s"),
        &call.replace("-1", &format!("-{}0", u64::MAX)),
    ] {
        assert_eq!(EventId::parse(other.as_bytes()), None, "{other}");
    }
}

#[tokio::test]
async fn whoever_comes_back_gets_what_followed_once() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    add(&replays, &replay, 1..=3).await;
    for (after, expected) in [(0, vec!["1", "2", "3"]), (2, vec!["3"])] {
        let mut reader = replays.resume(OWN, replay.id, after).expect("it is there");
        assert_eq!(data(&reader.next().await), Some(expected.into_iter().map(ToOwned::to_owned).collect()));
    }
    // What comes while it reads.
    let mut reader = replays.resume(OWN, replay.id, 3).expect("it is there");
    let (found, ()) = tokio::join!(reader.next(), add(&replays, &replay, 4..=4));
    assert_eq!(data(&found), Some(vec!["4".to_owned()]));
}

#[tokio::test]
async fn a_stream_belongs_to_its_session_and_ends() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    add(&replays, &replay, 1..=2).await;
    assert!(replays.resume(OTHER, replay.id, 0).is_none());
    assert!(replays.resume(OWN, replay.id + 1, 0).is_none());
    assert!(replays.resume(OWN, replay.id, 3).is_none(), "nobody was given that id");
    let mut reader = replays.resume(OWN, replay.id, 2).expect("it goes on");
    replay.end();
    assert_eq!(reader.next().await, Found::End);
    assert!(replays.resume(OWN, replay.id, 2).is_none(), "nothing follows");
    let mut reader = replays.resume(OWN, replay.id, 1).expect("something does");
    assert_eq!(data(&reader.next().await), Some(vec!["2".to_owned()]));
    assert_eq!(reader.next().await, Found::End);
    replays.end(OTHER);
    assert!(replays.resume(OWN, replay.id, 0).is_some());
    replays.end(OWN);
    assert!(replays.resume(OWN, replay.id, 0).is_none());
    assert_eq!(replays.bytes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_latest_of_two_readers_goes_on() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    assert!(!replay.is_taken_over());
    let mut first = replays.resume(OWN, replay.id, 0).expect("it is there");
    assert!(replay.is_taken_over());
    let mut second = replays.resume(OWN, replay.id, 0).expect("it is there");
    assert_eq!(first.next().await, Found::End);
    add(&replays, &replay, 1..=1).await;
    assert_eq!(data(&second.next().await), Some(vec!["1".to_owned()]));
}

#[tokio::test]
async fn at_the_bound_of_a_stream_its_oldest_events_go() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    let last = u32::try_from(limits::REPLAY_STREAM_EVENTS_MAX).expect("it is small") + 2;
    add(&replays, &replay, 1..=last).await;
    let mut reader = replays.resume(OWN, replay.id, 1).expect("it is there");
    let found = data(&reader.next().await).expect("events");
    assert_eq!((found.len(), found[0].as_str()), (limits::REPLAY_STREAM_EVENTS_MAX, "3"));
    drop(reader);
    let large = vec![b'x'; limits::REPLAY_STREAM_BYTES_MAX / 2];
    replays.add(&replay, &[&large]).await;
    replays.add(&replay, &[&large]).await;
    assert_eq!(replay.kept.borrow().events.len(), 1);
    assert!(replays.bytes.load(Ordering::Relaxed) <= limits::REPLAY_STREAM_BYTES_MAX);
}

#[tokio::test]
async fn at_the_bound_of_all_streams_those_that_are_over_go_first() {
    let replays = Replays::default();
    let large = vec![b'x'; limits::REPLAY_STREAM_BYTES_MAX - 1024];
    let count = limits::REPLAY_BYTES_MAX / large.len();
    let mut all = Vec::new();
    for number in 0..=count {
        let replay = replays.open(OWN).expect("room");
        replays.add(&replay, &[&large]).await;
        if number == 1 {
            replay.end();
        }
        all.push(replay);
    }
    assert!(replays.bytes.load(Ordering::Relaxed) <= limits::REPLAY_BYTES_MAX);
    assert!(replays.resume(OWN, all[1].id, 0).is_none(), "the one that is over");
    // The next one by age lost its events, and goes on without.
    let mut reader = replays.resume(OWN, all[0].id, 0).expect("it runs");
    assert_eq!(data(&reader.next().await), Some(vec![]));
    let (found, ()) = tokio::join!(reader.next(), add(&replays, &all[0], 2..=2));
    assert_eq!(data(&found), Some(vec!["2".to_owned()]));
}

#[tokio::test]
async fn there_are_no_more_streams_than_may_be_and_the_oldest_that_are_over_go() {
    let replays = Replays::default();
    let all: Vec<_> = (0..limits::REPLAY_STREAMS_MAX).map(|_| replays.open(OWN).expect("room")).collect();
    assert!(replays.open(OWN).is_none(), "all of them run");
    all[7].end();
    all[3].end();
    assert!(replays.open(OWN).is_some());
    assert!(replays.by_id.pin().get(&all[7].id).is_none());
    assert!(replays.by_id.pin().get(&all[3].id).is_some());
}

#[tokio::test]
async fn a_stream_that_is_over_is_forgotten_after_its_time() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    let long_ago =
        Instant::now().checked_sub(limits::REPLAY_AGE + Duration::from_secs(1)).expect("the machine has run longer");
    add(&replays, &replay, 1..=1).await;
    replay.kept.send_modify(|kept| kept.touched = long_ago);
    replays.sweep();
    assert_eq!(replays.by_id.len(), 1, "it runs");
    replay.end();
    replays.sweep();
    assert_eq!(replays.by_id.len(), 1, "it was over just now");
    replay.kept.send_modify(|kept| kept.touched = long_ago);
    let reader = replays.resume(OWN, replay.id, 0).expect("it is there");
    replay.kept.send_modify(|kept| kept.touched = long_ago);
    replays.sweep();
    assert_eq!(replays.by_id.len(), 1, "somebody reads it");
    drop(reader);
    replay.kept.send_modify(|kept| kept.touched = long_ago);
    replays.sweep();
    assert_eq!((replays.by_id.len(), replays.bytes.load(Ordering::Relaxed)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_takes_nothing_holds_the_call_back_until_it_reads_or_leaves() {
    let replays = Replays::default();
    let replay = replays.open(OWN).expect("room");
    let reader = replays.resume(OWN, replay.id, 0).expect("it is there");
    let half = u32::try_from(limits::REPLAY_STREAM_EVENTS_MAX / 2).expect("it is small");
    add(&replays, &replay, 1..=half).await;
    let mut more = std::pin::pin!(add(&replays, &replay, half + 1..=half + 1));
    assert!(tokio::time::timeout(Duration::from_secs(1), &mut more).await.is_err(), "it is held back");
    drop(reader);
    more.await;
    let mut reader = replays.resume(OWN, replay.id, 0).expect("it is there");
    assert_eq!(data(&reader.next().await).map(|found| found.len()), Some(half as usize + 1));
    let mut more = std::pin::pin!(add(&replays, &replay, half + 2..=half + 2));
    assert!(
        tokio::time::timeout(Duration::from_secs(1), &mut more).await.is_err(),
        "it was given all, and took nothing"
    );
    let (found, ()) = tokio::join!(reader.next(), more);
    assert_eq!(data(&found).map(|found| found.len()), Some(1));
}
