use super::*;

fn message(number: u64, body: Body) -> What {
    What::Message(Message { number, ..Message::example(body) }, None)
}

fn text(number: u64) -> What {
    message(number, Body::Text { text: "merhaba".to_owned() })
}

fn note(number: u64) -> What {
    message(number, Body::voice(1, 8_000, 44, vec![0; 64]))
}

/// A queue in which these wait.
fn queue(all: Vec<What>) -> (State, Vec<oneshot::Receiver<Outcome>>) {
    let mut state = State::default();
    let turns = all.into_iter().map(|what| {
        let (done, turn) = oneshot::channel();
        state.queue.push_back(Job { what, named: false, anew: false, done: Some(done) });
        turn
    });
    let turns = turns.collect();
    (state, turns)
}

/// One turn, which ends so; whose it was.
fn take(state: &mut State, outcome: Outcome) -> Option<u64> {
    let (job, _) = state.next().unwrap();
    end(state, outcome);
    job.what.number()
}

/// What is heard now ends so.
fn end(state: &mut State, outcome: Outcome) {
    state.now = None;
    state.done.take().into_iter().for_each(|done| done.send(outcome.clone()).unwrap());
}

#[test]
fn what_is_repeated_in_the_middle_is_over_when_it_has_been_heard_again() {
    let (mut state, mut turns) = queue(vec![note(1), text(2)]);
    state.next().unwrap();
    assert!(state.repeat());
    end(&mut state, Outcome::Stopped);
    assert!(turns[0].try_recv().is_err(), "it is over before it was heard again");
    let (job, _) = state.next().unwrap();
    assert_eq!((job.what.number(), job.named, job.anew), (Some(1), true, true));
    end(&mut state, Outcome::Heard);
    assert_eq!(turns[0].try_recv(), Ok(Outcome::Heard));
    // Nobody waits for what was heard already; what comes next waits on for itself.
    assert!(state.repeat());
    assert!(turns[1].try_recv().is_err());
    assert_eq!(take(&mut state, Outcome::Heard), Some(1));
    assert!(turns[1].try_recv().is_err());
    assert_eq!(take(&mut state, Outcome::Heard), Some(2));
    assert_eq!(turns[1].try_recv(), Ok(Outcome::Heard));
    assert!(!State::default().repeat());
}

#[test]
fn what_more_of_a_text_puts_off_is_over_when_it_has_been_heard() {
    let (mut state, mut turns) = queue(vec![note(2)]);
    state.next().unwrap();
    assert!(!state.more());
    let What::Message(long, _) = text(1) else { unreachable!() };
    state.rest = Some((long, Rest::default()));
    assert!(state.more());
    end(&mut state, Outcome::Stopped);
    assert_eq!(take(&mut state, Outcome::Heard), None);
    assert!(turns[0].try_recv().is_err(), "it is over before it was heard");
    assert_eq!(take(&mut state, Outcome::Heard), Some(2));
    assert_eq!(turns[0].try_recv(), Ok(Outcome::Heard));
}
