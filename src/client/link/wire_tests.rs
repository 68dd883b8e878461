#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may")]

use std::io::Cursor;

use tokio::io::{AsyncWriteExt as _, DuplexStream, ReadBuf, duplex};
use tokio::task::JoinHandle;

use super::*;

/// A connection to something that takes the server's place.
fn connected() -> (Wire, Pushes, JoinHandle<String>, DuplexStream) {
    let (near, far) = duplex(1 << 20);
    let (wire, pushes, run) = wire(near);
    (wire, pushes, tokio::spawn(run), far)
}

/// Answers everything, each after its time; what has none, never.
async fn serve(mut stream: DuplexStream, after: impl Fn(&Verb) -> Option<Duration>) {
    let mut incoming = BytesMut::new();
    let mut due: Vec<(Instant, u32)> = Vec::new();
    loop {
        while let Some(frame) = frame::take(&mut incoming, Limit::FROM_CLIENT).unwrap() {
            let Request { number, verb } = minicbor::decode(&frame.head).unwrap();
            due.extend(after(&verb).map(|after| (Instant::now() + after, number)));
        }
        due.sort();
        let next = due.first().copied();
        tokio::select! {
            read = stream.read_buf(&mut incoming) => match read {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            },
            Some(number) = async {
                let (time, number) = next?;
                tokio::time::sleep_until(time).await;
                Some(number)
            } => {
                due.remove(0);
                tell(&mut stream, &Push::Reply { number, answer: Answer::Done }).await;
            }
        }
    }
}

async fn tell(stream: &mut DuplexStream, push: &Push) {
    let mut bytes = BytesMut::new();
    frame::put(&mut bytes, &to_cbor(push), b"");
    // Whoever does not listen any more has ended the connection.
    let _ = stream.write_all(&bytes).await;
}

/// Something to ask that is no ping.
const ASKED: Verb = Verb::WatchPresence;

#[tokio::test(start_paused = true)]
async fn a_connection_with_a_request_that_is_never_answered_is_given_up() {
    let (wire, _pushes, run, far) = connected();
    // Everything else is answered, so that it is not the silence that ends it.
    tokio::spawn(serve(far, |verb| (*verb == Verb::Ping).then_some(Duration::from_millis(30))));
    let begun = Instant::now();
    assert_eq!(wire.ask(ASKED).await, Err(Denied::Lost));
    let waited = begun.elapsed();
    assert!((Duration::from_secs(240)..=Duration::from_secs(270)).contains(&waited), "{waited:?}");
    assert_eq!(wire.reason(), "the server does not answer what it is asked");
    assert_eq!(run.await.unwrap(), wire.reason());
    assert!(wire.is_closed(), "another one is made");
}

#[tokio::test(start_paused = true)]
async fn answers_that_take_their_time_are_waited_for() {
    let (wire, _pushes, run, far) = connected();
    tokio::spawn(serve(far, |verb| {
        Some(if *verb == Verb::Ping { Duration::from_millis(30) } else { Duration::from_secs(200) })
    }));
    // For an hour, and never without one that is waited for.
    for _ in 0..18 {
        let first = wire.send(ASKED, Bytes::new()).await;
        tokio::time::sleep(Duration::from_secs(100)).await;
        let second = wire.send(ASKED, Bytes::new()).await;
        for reply in [first, second] {
            assert_eq!(reply.await.unwrap(), Ok((Answer::Done, Bytes::new())));
        }
    }
    assert!(!run.is_finished() && !wire.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_connection_without_a_byte_is_given_up_and_an_idle_one_is_not() {
    let (wire, _pushes, run, _far) = connected();
    let begun = Instant::now();
    assert_eq!(run.await.unwrap(), "the server has fallen silent");
    let waited = begun.elapsed();
    assert!((Duration::from_secs(90)..=Duration::from_secs(120)).contains(&waited), "{waited:?}");
    assert!(wire.is_closed());

    let (wire, _pushes, run, far) = connected();
    tokio::spawn(serve(far, |_| Some(Duration::from_millis(30))));
    tokio::time::sleep(Duration::from_secs(24 * 3600)).await;
    assert!(!run.is_finished() && !wire.is_closed());
}

#[tokio::test]
async fn whoever_waits_for_an_answer_hears_why_there_is_none() {
    let goodbyes = [
        (GoodbyeReason::ShuttingDown, "shutting down"),
        (GoodbyeReason::Malformed, "did not understand"),
        (GoodbyeReason::TooLarge, "too large"),
        (GoodbyeReason::TimedOut, "heard nothing for too long"),
        (GoodbyeReason::Replaced, "connected from somewhere else"),
        (GoodbyeReason::OutOfOrder, "out of order"),
        (GoodbyeReason::Limited, "too many connections"),
    ];
    for (reason, says) in goodbyes {
        let (wire, _pushes, _run, mut far) = connected();
        let reply = wire.send(ASKED, Bytes::new()).await;
        tell(&mut far, &Push::Goodbye { reason, retry_after: None }).await;
        assert_eq!(reply.await.unwrap_or(Err(Denied::Lost)), Err(Denied::Lost));
        assert!(wire.reason().contains(says), "{}", wire.reason());
    }
    let (wire, _pushes, _run, mut far) = connected();
    let reply = wire.send(ASKED, Bytes::new()).await;
    far.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
    assert_eq!(reply.await.unwrap_or(Err(Denied::Lost)), Err(Denied::Lost));
    assert!(wire.reason().starts_with("the server sent "), "{}", wire.reason());
    // And so does whoever asks, or waits for the end, afterwards.
    assert_eq!(wire.ask(ASKED).await, Err(Denied::Lost));
    wire.ended().await;
    let (wire, _pushes, run, far) = connected();
    drop(far);
    wire.ended().await;
    assert_eq!(wire.reason(), "the server closed the connection");
    assert_eq!(run.await.unwrap(), wire.reason());
}

/// A stream whose other end has gone, after some last words.
struct Gone(Cursor<Vec<u8>>);

impl AsyncRead for Gone {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl AsyncWrite for Gone {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[tokio::test]
async fn last_words_are_heard_though_nothing_can_be_written_any_more() {
    let mut words = BytesMut::new();
    let push = Push::Goodbye { reason: GoodbyeReason::ShuttingDown, retry_after: None };
    frame::put(&mut words, &to_cbor(&push), b"");
    for (words, says) in [(words.to_vec(), "the server is shutting down"), (Vec::new(), "broken pipe")] {
        let (wire, _pushes, run) = wire(Gone(Cursor::new(words)));
        // Asked before anything is read.
        let reply = wire.send(ASKED, Bytes::new()).await;
        let reason = run.await;
        assert_eq!(reply.await.unwrap_or(Err(Denied::Lost)), Err(Denied::Lost));
        assert_eq!((reason.as_str(), wire.reason()), (says, says.to_owned()));
    }
}

#[test]
fn a_server_has_its_clients_wait_neither_nothing_nor_for_ever() {
    assert_eq!(wait(0), Duration::from_secs(1));
    assert_eq!(wait(5_000), Duration::from_secs(5));
    assert_eq!(wait(u32::MAX), Duration::from_secs(3600));
}

#[tokio::test]
async fn what_is_asked_while_the_connection_ends_is_told_so() {
    let (wire, mut pushes, _run, _far) = connected();
    // Just before it is put into the queue.
    let place = wire.requests.reserve().await.unwrap();
    wire.close();
    assert!(pushes.next().await.is_none());
    let (reply, answer) = oneshot::channel();
    place.send(Outgoing { verb: ASKED, body: Bytes::new(), reply: Some(reply) });
    let told = tokio::time::timeout(Duration::from_secs(10), answer).await.expect("nobody is told anything");
    assert!(told.is_err());
}
