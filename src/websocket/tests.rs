//! Keys, and what keeps a socket alive or lets it go. Its messages and closes are tested on the whole gateway.

use tokio::io::{AsyncReadExt as _, duplex};

use super::*;

#[test]
fn a_key_is_answered_as_the_rfc_has_it() {
    assert_eq!(accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn a_key_is_sixteen_bytes_in_base64() {
    assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
    for bad in [&b""[..], b"dGhlIHNhbXBsZSBub25jZQ", b"c2hvcnQ=", b"dGhlIHNhbXBsZSBub25jZQ==="] {
        assert!(!is_key(bad), "{}", bad.escape_ascii());
    }
}

/// How long it takes until nothing is heard of someone who answers so many pings.
async fn silence_after(answers: u32) -> Duration {
    let (ours, theirs) = duplex(1 << 10);
    let socket = Socket::new(ours, Vec::new(), Role::Server, 100).await;
    let mut peer = WebSocketStream::from_raw_socket(theirs, Role::Client, None).await;
    let began = Instant::now();
    let answering = async {
        for _ in 0..answers {
            let ping = poll_fn(|cx| Pin::new(&mut peer).poll_next(cx)).await.expect("a ping").expect("a frame");
            assert!(matches!(ping, Message::Ping(_)), "{ping:?}");
            poll_fn(|cx| Pin::new(&mut peer).poll_flush(cx)).await.expect("room for the answer");
        }
        std::future::pending::<()>().await;
    };
    tokio::select! {
        () = socket.silence() => {}
        message = socket.message() => unreachable!("no message is sent: {message:?}"),
        () = answering => {}
    }
    began.elapsed()
}

#[tokio::test(start_paused = true)]
async fn who_answers_pings_is_kept_and_who_does_not_is_let_go_after_two() {
    assert_eq!(silence_after(0).await, limits::KEEP_ALIVE * 2);
    assert_eq!(silence_after(3).await, limits::KEEP_ALIVE * 5);
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_is_let_go_and_who_reads_slowly_is_not() {
    let message = || Bytes::from(vec![b' '; 10 << 10]);
    let (ours, mut theirs) = duplex(1 << 10);
    let socket = Socket::new(ours, Vec::new(), Role::Server, 100).await;
    let slowly = async {
        let mut part = vec![0; 1 << 10];
        for _ in 0..11 {
            tokio::time::sleep(limits::WRITE_TIMEOUT * 2 / 3).await;
            assert!(theirs.read(&mut part).await.is_ok_and(|count| count > 0));
        }
    };
    let (sent, ()) = tokio::join!(socket.send(message()), slowly);
    assert!(sent.is_ok(), "{sent:?}");
    let began = Instant::now();
    assert!(matches!(socket.send(message()).await, Err(Ending::Lost(why)) if why == "it reads nothing"));
    assert!(began.elapsed() < limits::WRITE_TIMEOUT * 3, "{:?}", began.elapsed());
}
