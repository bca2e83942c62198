//! How answers end: by themselves, at a limit, cancelled or in a fault.

use std::thread;

use super::*;

#[test]
fn done_stays_done() {
    let (script, mut session) = scripted(greedy());
    script.say(&[END_OF_TURN]);
    session.start_tokens(&[1]).unwrap();
    assert_eq!(answer(&mut session), (String::new(), StopReason::EndOfTurn));
    assert_eq!(session.step().unwrap(), Event::Done(StopReason::EndOfTurn));
    session.cancel_handle().cancel();
    assert_eq!(session.step().unwrap(), Event::Done(StopReason::EndOfTurn));
    assert_eq!(script.forwards().len(), 1);
}

#[test]
fn a_step_needs_a_start() {
    let (_, mut session) = scripted(greedy());
    assert!(matches!(session.step(), Err(Error::InvalidArgument(_))));
    assert!(session.generated().is_empty());
}

#[test]
fn max_tokens_costs_no_forward_too_many() {
    for max in 0..4 {
        let (script, mut session) = scripted(SessionOptions { max_tokens: Some(max), ..greedy() });
        script.say(&[40; 9]);
        session.start_tokens(&[1, 2]).unwrap();
        assert_eq!(answer(&mut session), ("I".repeat(max), StopReason::MaxTokens));
        assert_eq!(script.forwards().len(), max.max(1));
        assert_eq!(session.generated().len(), max);
    }
}

#[test]
fn without_tokens_to_generate_the_prompt_enters_the_cache() {
    let (script, mut session) = scripted(SessionOptions { max_tokens: Some(0), ..greedy() });
    script.say(&[40]);
    session.start_tokens(&numbers(300)).unwrap();
    assert_eq!(answer(&mut session), (String::new(), StopReason::MaxTokens));
    assert_eq!(script.cache(), numbers(300));
}

#[test]
fn a_limit_can_be_changed() {
    let (script, mut session) = scripted(greedy());
    session.set_max_tokens(Some(2));
    script.say(&[40; 9]);
    session.start_tokens(&[1]).unwrap();
    assert_eq!(answer(&mut session), ("II".into(), StopReason::MaxTokens));
}

#[test]
fn a_full_context_ends_the_answer() {
    for (n_prompt, expected) in [(5, "IIII"), (7, "II"), (8, "I")] {
        let (script, mut session) = scripted(SessionOptions { n_ctx: Some(8), ..greedy() });
        script.say(&[40; 9]);
        session.start_tokens(&numbers(n_prompt)).unwrap();
        assert_eq!(answer(&mut session), (expected.into(), StopReason::ContextFull));
        assert_eq!(script.cache().len(), 8);
    }
}

/// Runs an answer on another thread and cancels it during forward number `n`.
pub fn cancel_during(n: usize, script: &Script, mut session: Session) -> (Session, Vec<Event>) {
    script.hold_at(n);
    let handle = session.cancel_handle();
    let worker = thread::spawn(move || {
        let events = events(&mut session);
        (session, events)
    });
    assert!(script.wait_until_held());
    handle.cancel();
    assert!(handle.is_cancelled());
    script.release();
    worker.join().unwrap()
}

#[test]
fn cancelling_a_prefill_keeps_what_was_evaluated() {
    let (script, mut session) = scripted(greedy());
    let prompt = numbers(300);
    session.start_tokens(&prompt).unwrap();
    let (mut session, events) = cancel_during(1, &script, session);
    let expected = [
        Event::Prefill { done: 128, total: 300 },
        Event::Prefill { done: 256, total: 300 },
        Event::Done(StopReason::Cancelled),
    ];
    assert_eq!(events, expected);
    assert_eq!(session.stats().prefilled_tokens, 256);

    script.say(&[40, END_OF_TURN]);
    session.start_tokens(&prompt).unwrap();
    assert_eq!(answer(&mut session), ("I".into(), StopReason::EndOfTurn));
    assert_eq!(session.stats().reused_tokens, 256);
    assert_eq!(script.forwards()[2], prompt[256..]);
    assert_eq!(script.cache(), [prompt, vec![40]].concat());
}

#[test]
fn cancelling_an_answer_keeps_its_text() {
    let (script, mut session) = scripted(greedy());
    script.say(&[40, 41, 42, 43, 44]);
    session.start_tokens(&[1, 2, 3]).unwrap();
    let (mut session, events) = cancel_during(2, &script, session);
    assert_eq!(texts(&events), ["I", "J", "K"]);
    assert_eq!(events.last(), Some(&Event::Done(StopReason::Cancelled)));
    assert_eq!(session.generated(), [40, 41, 42]);

    script.clear();
    script.say(&[END_OF_TURN]);
    session.start_tokens(&[1, 2, 3, 40, 41, 42]).unwrap();
    assert!(!session.cancel_handle().is_cancelled());
    assert_eq!(answer(&mut session), (String::new(), StopReason::EndOfTurn));
    assert_eq!(session.stats().reused_tokens, 5);
    assert_eq!(script.cache(), [1, 2, 3, 40, 41, 42]);
}

#[test]
fn cancelling_gives_out_what_was_held_back() {
    let (script, mut session) = scripted(SessionOptions { stop: vec!["JK".into()], ..greedy() });
    script.say(&[40, 41]);
    session.start_tokens(&[1]).unwrap();
    for _ in 0..3 {
        session.step().unwrap();
    }
    assert_eq!(session.generated(), [40, 41]);
    session.cancel_handle().cancel();
    let expected = [Event::Text { token: 41, text: "J".into() }, Event::Done(StopReason::Cancelled)];
    assert_eq!(events(&mut session), expected);
}

#[test]
fn a_fault_leaves_a_session_that_can_be_started_again() {
    for faulty in 0..5 {
        let (script, mut session) = scripted(greedy());
        let prompt = numbers(300);
        script.say(&[40, 41, 42]);
        script.fail_at(faulty);
        session.start_tokens(&prompt).unwrap();
        let error = loop {
            match session.step() {
                Ok(event) => assert!(!matches!(event, Event::Done(_))),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Gpu(_)), "{error}");
        assert!(matches!(session.step(), Err(Error::InvalidArgument(_))));

        script.clear();
        script.say(&[40, 41, END_OF_TURN]);
        session.start_tokens(&prompt).unwrap();
        assert_eq!(answer(&mut session), ("IJ".into(), StopReason::EndOfTurn));
        assert_eq!(session.stats().reused_tokens, 0, "nothing from before a fault is trusted");
        assert_eq!(script.cache(), [prompt, vec![40, 41]].concat());
    }
}

#[test]
fn logits_that_are_not_finite_are_an_error() {
    let (script, mut session) = scripted(greedy());
    script.say_logits(vec![f32::NAN; N_VOCAB]);
    session.start_tokens(&[1, 2]).unwrap();
    session.step().unwrap();
    assert!(matches!(session.step(), Err(Error::InvalidArgument(_))));
    script.say(&[40, END_OF_TURN]);
    session.start_tokens(&[1, 2]).unwrap();
    assert_eq!(answer(&mut session).0, "I");
    assert_eq!(script.cache(), [1, 2, 40]);
}

#[test]
fn stats_count_what_happened() {
    let (script, mut session) = scripted(greedy());
    assert_eq!(session.stats().prefill_tokens_per_second(), 0.0);
    assert_eq!(session.stats().decode_tokens_per_second(), 0.0);
    script.say(&[40, 41, 42, END_OF_TURN]);
    session.start_tokens(&numbers(200)).unwrap();
    answer(&mut session);
    let stats = session.stats();
    assert_eq!((stats.prompt_tokens, stats.prefilled_tokens), (200, 200));
    assert_eq!((stats.reused_tokens, stats.generated_tokens), (0, 4));
    assert!(stats.time_to_first_token >= stats.prefill);
    let rate = 3.0 / stats.decode.as_secs_f64();
    assert!((stats.decode_tokens_per_second() / rate - 1.0).abs() < 1e-9);
}
