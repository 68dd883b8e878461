#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may")]

use super::*;

#[tokio::test]
async fn what_is_asked_while_the_owner_ends_is_told_so() {
    let (near, far) = UnixStream::pair().unwrap();
    let (calls, queue) = mpsc::channel(16);
    let (gone, locked) = (CancellationToken::new(), CancellationToken::new());
    tokio::spawn(run(near, queue, broadcast::Sender::new(1), gone.clone(), locked.clone()));
    let guest = Guest { calls, gone, locked };
    // Just before it is put into the queue.
    let place = guest.calls.reserve().await.unwrap();
    drop(far);
    guest.gone().await;
    let (reply, answer) = oneshot::channel();
    place.send((Command::Status, Bytes::new(), reply));
    let told = timeout(Duration::from_secs(10), answer).await.expect("nobody is told anything");
    assert!(told.is_err());
}
