//! The state machine beside one that knows its whole history.

use proptest::prelude::*;

use super::*;

const SETTINGS: CircuitBreaker = CircuitBreaker { failures: 3, window_ms: 100, open_ms: 50, half_open: 2 };

/// Something that happens to an endpoint.
#[derive(Clone, Copy, Debug)]
enum Event {
    /// Time passes.
    Pass(u64),
    /// A call is begun, if it may be.
    Begin,
    /// The oldest call is answered.
    Answer,
    /// It fails.
    Fail,
    /// Nobody waits for it any more.
    Leave,
}

/// The same told by its whole history, as the documentation has it.
#[derive(Debug, Default)]
struct Reference {
    now_ms: u64,
    /// Since the breaker closed: when there was a failure (`true`) or an answer.
    history: Vec<(u64, bool)>,
    opened_ms: Option<u64>,
    /// Trials since it is half open: under way, and answered.
    trials: Option<(u32, u32)>,
    /// How often it opened.
    opened: u32,
}

impl Reference {
    fn may_pass(&self) -> bool {
        match (self.opened_ms, self.trials) {
            (_, Some((under_way, _))) => under_way < SETTINGS.half_open,
            (Some(opened), None) => self.now_ms >= opened + SETTINGS.open_ms,
            (None, None) => true,
        }
    }

    fn begin(&mut self) -> Option<Trial> {
        if !self.may_pass() {
            return None;
        }
        if self.opened_ms.is_none() {
            return Some(0);
        }
        let (under_way, answered) = self.trials.unwrap_or_default();
        self.trials = Some((under_way + 1, answered));
        Some(self.opened)
    }

    fn answer(&mut self, trial: Trial) {
        self.history.push((self.now_ms, false));
        let Some((under_way, answered)) = self.trials.filter(|_| trial == self.opened) else { return };
        if answered + 1 == SETTINGS.half_open {
            *self = Self { now_ms: self.now_ms, opened: self.opened, ..Self::default() };
        } else {
            self.trials = Some((under_way - 1, answered + 1));
        }
    }

    fn fail(&mut self, trial: Trial) {
        if self.opened_ms.is_some() {
            if trial == self.opened && self.trials.is_some() {
                self.open();
            }
            return;
        }
        self.history.push((self.now_ms, true));
        let failures = self.history.iter().enumerate().filter(|(_, (_, failed))| *failed);
        let Some((first, (at_ms, _))) = failures.rev().nth(SETTINGS.failures as usize - 1) else { return };
        let answers = self.history[first..].iter().filter(|(_, failed)| !failed).count();
        if self.now_ms - at_ms <= SETTINGS.window_ms && answers <= SETTINGS.failures as usize {
            self.open();
        }
    }

    fn open(&mut self) {
        *self = Self { now_ms: self.now_ms, opened_ms: Some(self.now_ms), opened: self.opened + 1, ..Self::default() };
    }

    fn leave(&mut self, trial: Trial) {
        if let Some((under_way, answered)) = self.trials.filter(|_| trial == self.opened) {
            self.trials = Some((under_way - 1, answered));
        }
    }

    fn is_like(&self, state: State) -> bool {
        match state {
            State::Closed => self.opened_ms.is_none(),
            State::Open { until_ms } => self.trials.is_none() && self.opened_ms == Some(until_ms - SETTINGS.open_ms),
            State::HalfOpen { trials, answered } => self.trials == Some((trials, answered)),
        }
    }
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => (1_u64..40).prop_map(Event::Pass),
        4 => Just(Event::Begin),
        2 => Just(Event::Answer),
        3 => Just(Event::Fail),
        1 => Just(Event::Leave),
    ]
}

proptest! {
    #[test]
    fn it_is_at_what_its_history_says(events in prop::collection::vec(event(), 0..200)) {
        let (mut breaker, mut reference) = (Breaker::new(SETTINGS), Reference::default());
        let (mut answers, mut calls) = (0_u32, VecDeque::new());
        for event in events {
            match event {
                Event::Pass(ms) => reference.now_ms += ms,
                Event::Begin => {
                    prop_assert_eq!(breaker.may_pass(reference.now_ms), reference.may_pass());
                    let passed = breaker.pass(reference.now_ms);
                    prop_assert_eq!(passed, reference.begin());
                    calls.extend(passed);
                }
                Event::Answer | Event::Fail | Event::Leave => {
                    let Some(trial) = calls.pop_front() else { continue };
                    match event {
                        Event::Answer => {
                            answers += 1;
                            breaker.answered(trial);
                            reference.answer(trial);
                        }
                        Event::Fail => {
                            breaker.failed(reference.now_ms, trial, answers);
                            reference.fail(trial);
                        }
                        _ => {
                            breaker.taken_back(trial);
                            reference.leave(trial);
                        }
                    }
                }
            }
            prop_assert!(reference.is_like(breaker.state()), "{:?} {:?}", breaker.state(), reference);
        }
    }
}

#[test]
fn failures_among_more_answers_do_not_open_it() {
    let mut breaker = Breaker::new(SETTINGS);
    for (now_ms, answers) in [(0, 0), (1, 2), (2, 4)] {
        breaker.failed(now_ms, 0, answers);
    }
    assert_eq!(breaker.state(), State::Closed);
    breaker.failed(3, 0, 5);
    assert_eq!(breaker.state(), State::Open { until_ms: 53 });
    assert_eq!((breaker.open_until(), breaker.may_pass(52), breaker.may_pass(53)), (Some(53), false, true));
}

#[test]
fn failures_that_are_too_far_apart_do_not_open_it() {
    let mut breaker = Breaker::new(SETTINGS);
    (0..10).for_each(|failure| breaker.failed(failure * 51, 0, 0));
    assert_eq!(breaker.state(), State::Closed);
}

#[test]
fn half_open_it_lets_a_few_trials_pass_and_one_failure_opens_it_again() {
    let mut breaker = Breaker::new(SETTINGS);
    (0..3).for_each(|now| breaker.failed(now, 0, 0));
    assert_eq!(
        [breaker.pass(10), breaker.pass(52), breaker.pass(52), breaker.pass(52)],
        [None, Some(1), Some(1), None]
    );
    // One that began before it opened.
    breaker.failed(53, 0, 0);
    breaker.taken_back(1);
    assert_eq!(breaker.state(), State::HalfOpen { trials: 1, answered: 0 });
    breaker.failed(54, 1, 0);
    assert_eq!(breaker.state(), State::Open { until_ms: 104 });
    assert_eq!(breaker.pass(104), Some(2));
    // One of the time before says nothing.
    breaker.answered(1);
    breaker.answered(2);
    assert_eq!(breaker.pass(104), Some(2));
    breaker.answered(2);
    assert_eq!((breaker.state(), breaker.pass(104)), (State::Closed, Some(0)));
}
