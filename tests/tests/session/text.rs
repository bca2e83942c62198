//! The text of answers: whole characters, stop strings, and what the sampler is given.

use super::*;

#[test]
fn a_character_is_given_out_whole() {
    let (script, mut session) = scripted(greedy());
    let tokens = encode("é你😀");
    assert_eq!(tokens.len(), 2 + 3 + 4, "the fixture's vocabulary has single bytes for these");
    script.say(&with_end(tokens));
    session.start_tokens(&[1]).unwrap();
    let expected = ["", "é", "", "", "你", "", "", "", "😀", ""];
    assert_eq!(texts(&events(&mut session)), expected);
}

#[test]
fn an_unfinished_character_is_dropped() {
    let (script, mut session) = scripted(SessionOptions { max_tokens: Some(4), ..greedy() });
    script.say(&encode("é你"));
    session.start_tokens(&[1]).unwrap();
    assert_eq!(answer(&mut session), ("é".into(), StopReason::MaxTokens));
}

fn answer_with_stop(text: &str, stop: &[&str]) -> (String, StopReason, Vec<Token>) {
    let stop = stop.iter().map(|text| (*text).into()).collect();
    let (script, mut session) = scripted(SessionOptions { stop, ..greedy() });
    script.say(&with_end(encode(text)));
    session.start_tokens(&[1]).unwrap();
    let (text, reason) = answer(&mut session);
    (text, reason, session.generated().to_vec())
}

#[test]
fn a_stop_string_ends_the_answer_across_tokens() {
    let text = "the light was in the wind";
    for stop in ["was", "ght w", "light", " in", "s i", "wind"] {
        let (answer, reason, generated) = answer_with_stop(text, &[stop]);
        assert_eq!(answer, text[..text.find(stop).unwrap()], "{stop:?}");
        assert_eq!(reason, StopReason::StopString);
        let spoken = model(&Script::default()).tokenizer().decode(&generated);
        assert!(spoken.contains(stop) && text.starts_with(&spoken), "{stop:?}: {spoken:?}");
    }
}

#[test]
fn what_only_begins_like_a_stop_string_is_given_out() {
    for stop in ["was on", "wind.", "windows", "  ", "the lit", "你们"] {
        let (answer, reason, _) = answer_with_stop("the light was in the wind 你", &[stop]);
        assert_eq!(answer, "the light was in the wind 你", "{stop:?}");
        assert_eq!(reason, StopReason::EndOfTurn);
    }
}

#[test]
fn repeated_beginnings_of_a_stop_string_are_followed() {
    assert_eq!(answer_with_stop("aaab!", &["aab"]).0, "a");
    assert_eq!(answer_with_stop("ababac", &["abac"]).0, "ab");
}

#[test]
fn of_several_stop_strings_the_first_in_the_text_counts() {
    assert_eq!(answer_with_stop("the light was in", &["in", "was", "light was"]).0, "the ");
    assert_eq!(answer_with_stop("the light was in", &["xyz", "was"]).0, "the light ");
}

#[test]
fn a_possible_stop_string_is_held_back_until_it_is_decided() {
    let options = SessionOptions { stop: vec!["XYZ".into()], ..greedy() };
    let (script, mut session) = scripted(options);
    script.say(&with_end(encode("aXYbXY")));
    session.start_tokens(&[1]).unwrap();
    let expected = ["a", "", "", "XYb", "", "", "XY"];
    assert_eq!(texts(&events(&mut session)), expected);
}

#[test]
fn after_a_stop_string_the_cache_is_consistent() {
    let options = SessionOptions { stop: vec!["YZ".into()], ..greedy() };
    let (script, mut session) = scripted(options);
    let [x, y, z] = encode("XYZ")[..] else { unreachable!() };
    script.say(&[x, y, z]);
    session.start_tokens(&[1, 2]).unwrap();
    assert_eq!(answer(&mut session), ("X".into(), StopReason::StopString));
    script.say(&[END_OF_TURN]);
    session.start_tokens(&[1, 2, x, 3]).unwrap();
    assert_eq!(answer(&mut session), (String::new(), StopReason::EndOfTurn));
    assert_eq!(session.stats().reused_tokens, 3);
    assert_eq!(script.cache(), [1, 2, x, 3]);
}

#[test]
fn held_back_text_comes_out_at_the_limit() {
    let options = SessionOptions { max_tokens: Some(2), stop: vec!["XYZ".into()], ..greedy() };
    let (script, mut session) = scripted(options);
    script.say(&encode("XY"));
    session.start_tokens(&[1]).unwrap();
    assert_eq!(answer(&mut session), ("XY".into(), StopReason::MaxTokens));
}

#[test]
fn a_seed_reproduces_the_text() {
    let spoken = |seed| {
        let sampler = SamplerConfig { temperature: 1.0, top_k: 0, seed, ..SamplerConfig::default() };
        let options = SessionOptions { max_tokens: Some(40), sampler, ..greedy() };
        let (script, mut session) = scripted(options);
        // All tokens are equally likely, but for the control tokens, which would end the answer.
        let logits: Vec<f32> = (0..N_VOCAB).map(|i| if i < 314 { 1.0 } else { -9.0 }).collect();
        (0..40).for_each(|_| script.say_logits(logits.clone()));
        session.start_tokens(&[1]).unwrap();
        answer(&mut session).0
    };
    assert_eq!(spoken(5), spoken(5));
    assert_ne!(spoken(5), spoken(6));
}

#[test]
fn only_the_answer_counts_as_repetition() {
    let sampler = SamplerConfig { repetition_penalty: 2.0, ..SamplerConfig::greedy() };
    let (script, mut session) = scripted(SessionOptions { sampler, ..greedy() });
    let mut logits = vec![0.0; N_VOCAB];
    (logits[40], logits[41]) = (3.0, 2.0);
    (0..2).for_each(|_| script.say_logits(logits.clone()));
    script.say(&[END_OF_TURN]);
    session.start_tokens(&[40, 40]).unwrap();
    assert_eq!(answer(&mut session).0, "IJ");
}

#[test]
fn a_new_start_forgets_what_was_held_back() {
    let options = SessionOptions { stop: vec!["XYZ".into()], ..greedy() };
    let (script, mut session) = scripted(options);
    script.say(&encode("XY你")[..4]);
    session.start_tokens(&[1]).unwrap();
    for _ in 0..5 {
        session.step().unwrap();
    }
    script.say(&with_end(encode("Z")));
    session.start_tokens(&[2]).unwrap();
    assert_eq!(answer(&mut session), ("Z".into(), StopReason::EndOfTurn));
}
