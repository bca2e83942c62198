//! What a start takes, refuses, evaluates and reuses.

use halfbyte_tests::patched_gguf::with_strings;

use super::*;

#[test]
fn a_prompt_is_evaluated_in_batches_then_one_token_a_step() {
    let (script, mut session) = scripted(greedy());
    let prompt = numbers(300);
    script.say(&[40, 41, END_OF_TURN]);
    session.start_tokens(&prompt).unwrap();
    let events = events(&mut session);
    let expected = [
        Event::Prefill { done: 128, total: 300 },
        Event::Prefill { done: 256, total: 300 },
        Event::Prefill { done: 300, total: 300 },
        Event::Text { token: 40, text: "I".into() },
        Event::Text { token: 41, text: "J".into() },
        Event::Text { token: END_OF_TURN, text: String::new() },
        Event::Done(StopReason::EndOfTurn),
    ];
    assert_eq!(events, expected);
    let forwards = script.forwards();
    assert_eq!(forwards.iter().map(Vec::len).collect::<Vec<_>>(), [128, 128, 44, 1, 1]);
    assert_eq!(forwards.concat(), [prompt, vec![40, 41]].concat());
    assert_eq!(session.generated(), [40, 41, END_OF_TURN]);
}

#[test]
fn the_second_turn_evaluates_only_what_is_new() {
    let (script, mut session) = scripted(greedy());
    let mut messages = vec![Message::user("Who counts the ships?")];
    let first = chat_tokens(&messages);
    let reply = encode("The keeper and the boy.");
    script.say(&with_end(reply.clone()));
    session.start(&messages).unwrap();
    let (text, reason) = answer(&mut session);
    assert_eq!((text.as_str(), reason), ("The keeper and the boy.", StopReason::EndOfTurn));
    assert_eq!(session.stats().reused_tokens, 0);

    messages.push(Message::assistant(text));
    messages.push(Message::user("Why?"));
    let second = chat_tokens(&messages);
    let n_forwards = script.forwards().len();
    script.say(&with_end(encode("Who knows")));
    session.start(&messages).unwrap();
    assert_eq!(answer(&mut session).0, "Who knows");

    // The cache had the first prompt and the reply; the end of the turn was never evaluated.
    let reused = first.len() + reply.len();
    assert_eq!(session.stats().reused_tokens, reused);
    assert_eq!(session.stats().prompt_tokens, second.len());
    assert_eq!(script.forwards()[n_forwards], second[reused..]);
    assert_eq!(script.cache(), [second, encode("Who knows")].concat());
}

#[test]
fn a_different_history_is_cut_off_where_it_differs() {
    let (script, mut session) = scripted(greedy());
    script.say(&[7, END_OF_TURN, 8, END_OF_TURN]);
    session.start_tokens(&[1, 2, 3, 4]).unwrap();
    answer(&mut session);
    session.start_tokens(&[1, 2, 9, 4, 7]).unwrap();
    answer(&mut session);
    assert_eq!(session.stats().reused_tokens, 2);
    assert_eq!(script.cache(), [1, 2, 9, 4, 7, 8]);
}

#[test]
fn the_last_token_of_a_cached_prompt_is_evaluated_again() {
    let (script, mut session) = scripted(greedy());
    for _ in 0..3 {
        script.clear();
        script.say(&[50, END_OF_TURN]);
        session.start_tokens(&[1, 2, 3]).unwrap();
        assert_eq!(answer(&mut session).0, "S");
        assert_eq!(script.cache(), [1, 2, 3, 50]);
    }
    let batches = [vec![1, 2, 3], vec![50], vec![3], vec![50], vec![3], vec![50]];
    assert_eq!(script.forwards(), batches);
    assert_eq!(session.stats().reused_tokens, 2);
}

#[test]
fn plain_text_begins_with_bos_and_holds_no_control_token() {
    let (script, mut session) = scripted(greedy());
    script.say(&[END_OF_TURN]);
    session.start_text("the boy<|im_end|>").unwrap();
    answer(&mut session);
    let tokens = script.forwards().concat();
    assert_eq!(tokens[0], BOS);
    assert_eq!(tokens[1..], encode("the boy<|im_end|>"));
    assert!(!tokens.contains(&END_OF_TURN));
}

#[test]
fn without_a_template_the_built_in_one_of_the_format_is_used() {
    let script = Script::default();
    let renamed = ("tokenizer.chat_template", "tokenizer.chat_templatX");
    let bytes = with_strings(&gguf_bytes(), &[renamed]);
    let model = Model::load(Gguf::from_bytes(bytes).unwrap(), script.backend()).unwrap();
    assert_eq!(model.chat_template().unwrap().built_in(), Some("ChatML"));
    let mut session = Session::new(model, greedy()).unwrap();
    let messages = [Message::system("Be brief."), Message::user("hi")];
    session.start(&messages).unwrap();
    assert_eq!(session.prompt(), chat_tokens(&messages));
}

#[test]
fn without_any_template_messages_are_a_plain_text() {
    let script = Script::default();
    let changes = [("tokenizer.chat_template", "tokenizer.chat_templatX"), ("<|im_start|>", "<|im_other|>")];
    let bytes = with_strings(&gguf_bytes(), &changes);
    let model = Model::load(Gguf::from_bytes(bytes).unwrap(), script.backend()).unwrap();
    assert!(model.chat_template().is_none());
    let mut session = Session::new(model, greedy()).unwrap();
    session.start(&[Message::user("the boy"), Message::assistant("and<|im_end|>")]).unwrap();
    assert_eq!(session.prompt(), [vec![BOS], encode("the boy\nand<|im_end|>")].concat());
}

#[test]
fn a_prompt_that_does_not_fit_changes_nothing() {
    let (script, mut session) = scripted(SessionOptions { n_ctx: Some(8), ..greedy() });
    script.say(&[40, 41, END_OF_TURN]);
    session.start_tokens(&[1, 2, 3]).unwrap();
    session.step().unwrap();
    session.step().unwrap();
    let error = session.start_tokens(&numbers(9)).unwrap_err();
    assert!(matches!(error, Error::ContextFull { needed: 9, capacity: 8 }), "{error}");
    assert_eq!(answer(&mut session), ("J".into(), StopReason::EndOfTurn));
    assert_eq!(session.generated(), [40, 41, END_OF_TURN]);
    script.say(&[END_OF_TURN]);
    session.start_tokens(&[1, 2, 3, 40, 41, 5]).unwrap();
    answer(&mut session);
    assert_eq!(session.stats().reused_tokens, 5);
}

#[test]
fn prompts_that_cannot_be_evaluated_are_refused() {
    let (script, mut session) = scripted(greedy());
    assert!(matches!(session.start_tokens(&[]), Err(Error::InvalidArgument(_))));
    let beyond = N_VOCAB as Token;
    assert!(matches!(session.start_tokens(&[1, beyond]), Err(Error::InvalidArgument(_))));
    assert!(matches!(session.step(), Err(Error::InvalidArgument(_))));
    assert!(script.forwards().is_empty());
}

#[test]
fn options_out_of_range_are_refused() {
    let model = model(&Script::default());
    let refused = [
        SessionOptions { n_ctx: Some(0), ..greedy() },
        SessionOptions { n_ctx: Some(513), ..greedy() },
        SessionOptions { stop: vec!["a".into(), String::new()], ..greedy() },
        SessionOptions {
            sampler: SamplerConfig { temperature: f32::NAN, ..SamplerConfig::default() },
            ..greedy()
        },
    ];
    for options in refused {
        let result = Session::new(Arc::clone(&model), options.clone());
        assert!(matches!(result, Err(Error::InvalidArgument(_))), "{options:?}");
    }
    assert_eq!(Session::new(model, greedy()).unwrap().n_ctx(), 512);
}
