use super::*;

/// A queue that waits until then for the service to end a piece.
fn waiting(until: Instant) -> (Thread, oneshot::Receiver<Outcome>) {
    let mut thread = Thread::new(mpsc::channel().0, Box::new(|_| {}));
    let (done, outcome) = oneshot::channel();
    thread.link = Link::Open(Catalogue::new(Vec::new()));
    thread.current = Some(Current {
        done: Some(done),
        pieces: VecDeque::new(),
        rest: None,
        until: Some(until),
        begun: true,
        anew: false,
        again: false,
    });
    (thread, outcome)
}

#[test]
fn a_service_that_is_late_is_given_up_but_not_where_nobody_could_look() {
    let now = Instant::now();
    let (mut thread, mut outcome) = waiting(now);
    thread.expire(now + Duration::from_millis(20));
    assert_eq!(outcome.try_recv(), Ok(Outcome::Unavailable(STUCK.to_owned())));

    let (mut thread, mut outcome) = waiting(now);
    let continued = now + Duration::from_secs(60);
    thread.expire(continued);
    assert!(outcome.try_recv().is_err(), "it is given up before it was looked at");
    assert_eq!(thread.deadline(), Some(continued + SEEN));
    // What it had told meanwhile is seen now.
    thread.hear(Report::Ended);
    assert_eq!(thread.deadline(), None);

    let (mut thread, mut outcome) = waiting(now);
    thread.expire(continued);
    thread.expire(continued + SEEN);
    assert_eq!(outcome.try_recv(), Ok(Outcome::Unavailable(STUCK.to_owned())));
}
