//! Thoughts: told from the answer by the model's own tags, and left out of the history as the chat
//! template demands. The templates are those of `fixtures/templates`.

use halfbyte_tests::fixtures;
use halfbyte_tests::patched_gguf::with_strings;

use super::endings::cancel_during;
use super::*;

/// What the tags are in the vocabulary of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Tags {
    /// Text of several tokens.
    Text,
    /// A user-defined token each, spelled as text.
    UserDefined,
    /// A control token each, without text.
    Control,
}

const ALL_TAGS: [Tags; 3] = [Tags::Text, Tags::UserDefined, Tags::Control];

/// The fixture with one of the real templates and tags of one kind.
fn thinking_model(template: &str, tags: Tags, script: &Script) -> Arc<Model> {
    let path = fixtures::path(&format!("templates/{template}.jinja"));
    let template = std::fs::read_to_string(path).unwrap();
    let tokens: &[_] = match tags {
        Tags::Text => &[],
        _ => &[("<|reserved_0|>", "</think>"), ("<|pad|>", "<think>")],
    };
    let bytes = with_template(&template, tokens);
    let bytes = if tags == Tags::UserDefined { with_user_defined(bytes) } else { bytes };
    Model::load(Gguf::from_bytes(bytes).unwrap(), script.backend()).unwrap()
}

/// The fixture with another template and other spellings of tokens.
fn with_template(template: &str, tokens: &[(&str, &str)]) -> Vec<u8> {
    let gguf = Gguf::from_bytes(gguf_bytes()).unwrap();
    let own = gguf.get_str("tokenizer.chat_template").unwrap().unwrap();
    with_strings(&gguf_bytes(), &[&[(own, template)], tokens].concat())
}

/// Makes user-defined tokens of the last two, which are control tokens.
fn with_user_defined(mut bytes: Vec<u8>) -> Vec<u8> {
    // The types of the last six tokens, after that of a normal one.
    let types = |last: i32| [1, 3, 3, 3, 3, last, last].map(i32::to_le_bytes).concat();
    let at = bytes.windows(28).position(|window| window == types(3)).unwrap();
    bytes[at..at + 28].copy_from_slice(&types(4));
    bytes
}

fn thinking(template: &str, tags: Tags, options: SessionOptions) -> (Script, Arc<Model>, Session) {
    let script = Script::default();
    let model = thinking_model(template, tags, &script);
    let session = Session::new(Arc::clone(&model), options).unwrap();
    (script, model, session)
}

fn thoughts(events: &[Event]) -> String {
    let thoughts = events.iter().filter_map(|event| match event {
        Event::Thought { text, .. } => Some(text.as_str()),
        _ => None,
    });
    thoughts.collect()
}

/// Thought, answer, and why it ended, when the model says `said` after a prompt.
fn parts(session: &mut Session) -> (String, String, StopReason) {
    let events = events(session);
    let Some(Event::Done(reason)) = events.last() else { unreachable!() };
    (thoughts(&events), texts(&events).concat(), *reason)
}

fn parts_of(said: &str, tags: Tags, options: SessionOptions) -> (String, String, StopReason) {
    let (script, model, mut session) = thinking("qwen3", tags, options);
    script.say(&with_end(model.tokenizer().encode(said, tags == Tags::Control).unwrap()));
    session.start(&[Message::user("Hi")]).unwrap();
    parts(&mut session)
}

#[test]
fn thought_and_answer_are_told_apart() {
    for (said, thought, answer) in [
        ("<think>\nAha.\n</think>\n\nYes.", "Aha.", "Yes."),
        ("\n <think>Aha.</think>Yes.", "Aha.", "Yes."),
        ("<think>\n\n</think>\n\nYes.", "", "Yes."),
        ("<think></think>", "", ""),
        ("<think>a\n\n b\n</think>\n  Yes\n", "a\n\n b", "  Yes\n"),
        ("<think>你</think>é", "你", "é"),
        // Without a thought.
        ("Yes.", "", "Yes."),
        ("\n Yes.", "", "\n Yes."),
        // Tags where none count.
        ("Use <think> and </think>.", "", "Use <think> and </think>."),
        ("</think>", "", "</think>"),
        ("<think>a</think>b<think>c</think>", "a", "b<think>c</think>"),
        ("<think>a<think>b</think>", "a<think>b", ""),
        // What only looks like one.
        ("<thin air>", "", "<thin air>"),
        ("<think", "", "<think"),
        ("\n<", "", "\n<"),
        ("<think>a </thin </ b</think>c", "a </thin </ b", "c"),
        ("<think>a\n\n</thi\n</think>c", "a\n\n</thi", "c"),
        // A thought that does not come to an end.
        ("<think>\n", "", ""),
        ("<think>Aha.\n\n", "Aha.", ""),
        ("<think>Aha.\n</think", "Aha.\n</think", ""),
    ] {
        for tags in ALL_TAGS {
            let expected = (thought.into(), answer.into(), StopReason::EndOfTurn);
            assert_eq!(parts_of(said, tags, greedy()), expected, "{said:?} with {tags:?}");
        }
    }
}

#[test]
fn a_model_whose_template_knows_no_thought_has_none() {
    let (script, mut session) = scripted(greedy());
    let said = "<think>\nbold\n</think>\n is a tag of mine.";
    script.say(&with_end(encode(said)));
    session.start(&[Message::user("Hi")]).unwrap();
    assert_eq!(answer(&mut session).0, said);
    assert_eq!(session.stats().thought_tokens, 0);
}

#[test]
fn each_token_has_its_event() {
    let (script, model, mut session) = thinking("qwen3", Tags::UserDefined, greedy());
    let said = model.tokenizer().encode("<think>\nab\n</think>\n\nc", false).unwrap();
    let [open, line, a, b, _, close, _, _, c] = said[..] else { panic!("{said:?}") };
    script.say(&with_end(said));
    session.start(&[Message::user("Hi")]).unwrap();
    let events = events(&mut session);
    let thought = |token, text: &str| Event::Thought { token, text: text.into() };
    let text = |token, text: &str| Event::Text { token, text: text.into() };
    let expected = [
        thought(open, ""),
        thought(line, ""),
        thought(a, "a"),
        thought(b, "b"),
        thought(line, ""),
        thought(close, ""),
        text(line, ""),
        text(line, ""),
        text(c, "c"),
        text(END_OF_TURN, ""),
        Event::Done(StopReason::EndOfTurn),
    ];
    assert_eq!(events[1..], expected, "after the prompt");
    assert_eq!(session.stats().thought_tokens, 6);
    assert_eq!(session.stats().generated_tokens, 10);
}

#[test]
fn a_token_that_ends_the_thought_and_begins_the_answer_comes_twice() {
    let template = "{{ messages[0].content }}{# </think> #}";
    let bytes = with_user_defined(with_template(template, &[("<|pad|>", "nk>\nYes")]));
    let script = Script::default();
    let model = Model::load(Gguf::from_bytes(bytes).unwrap(), script.backend()).unwrap();
    let mut session = Session::new(model, greedy()).unwrap();
    let last = N_VOCAB as Token - 1;
    script.say(&[encode("<think>a</thi"), vec![last, END_OF_TURN]].concat());
    session.start(&[Message::user("Hi")]).unwrap();
    let events = events(&mut session);
    let expected = [
        Event::Thought { token: last, text: String::new() },
        Event::Text { token: last, text: "Yes".into() },
        Event::Text { token: END_OF_TURN, text: String::new() },
        Event::Done(StopReason::EndOfTurn),
    ];
    assert_eq!(events[events.len() - 4..], expected);
    assert_eq!(thoughts(&events), "a");
    assert_eq!(session.reply(), Message::assistant("Yes"));
}

#[test]
fn a_prompt_can_open_the_thought() {
    for tags in ALL_TAGS {
        let (script, model, mut session) = thinking("deepseek-r1", tags, greedy());
        let said = "Aha.\n</think>\n\nYes, <think>.";
        script.say(&with_end(model.tokenizer().encode(said, tags == Tags::Control).unwrap()));
        session.start(&[Message::user("Hi")]).unwrap();
        let expected = ("Aha.".into(), "Yes, <think>.".into(), StopReason::EndOfTurn);
        assert_eq!(parts(&mut session), expected, "{tags:?}");
    }
}

#[test]
fn thinking_can_be_switched_where_the_template_has_a_switch() {
    for template in ["qwen3", "smollm3"] {
        let options = SessionOptions { thinking: Some(false), ..greedy() };
        let (script, model, mut session) = thinking(template, Tags::UserDefined, options);
        let messages = [Message::system("Be brief."), Message::user("Hi")];
        let prompt = |session: &mut Session| {
            script.clear();
            script.say(&with_end(encode("Yes.")));
            session.start(&messages).unwrap();
            assert_eq!(parts(session), (String::new(), "Yes.".into(), StopReason::EndOfTurn));
            assert_eq!(session.stats().thought_tokens, 0);
            session.prompt().to_vec()
        };
        let ends_with =
            |prompt: &[Token], text: &str| prompt.ends_with(&model.tokenizer().encode(text, true).unwrap());
        assert!(ends_with(&prompt(&mut session), "<think>\n\n</think>\n") || template == "qwen3");
        assert!(ends_with(&prompt(&mut session), "<think>\n\n</think>\n\n") || template == "smollm3");
        for thinking in [Some(true), None] {
            session.set_thinking(thinking).unwrap();
            assert!(ends_with(&prompt(&mut session), "<|im_start|>assistant\n"), "{template} {thinking:?}");
        }
    }
}

#[test]
fn thinking_that_cannot_be_switched_is_refused() {
    let (_, model, mut session) = thinking("deepseek-r1", Tags::UserDefined, greedy());
    let plain = super::model(&Script::default());
    for (model, thinking, is_fine) in
        [(&model, true, true), (&model, false, false), (&plain, true, false), (&plain, false, true)]
    {
        let options = SessionOptions { thinking: Some(thinking), ..greedy() };
        match Session::new(Arc::clone(model), options) {
            Ok(_) => assert!(is_fine, "{thinking}"),
            Err(error) => assert!(matches!(error, Error::InvalidArgument(_)) && !is_fine, "{error}"),
        }
    }
    assert!(session.set_thinking(Some(false)).is_err());
    session.set_thinking(None).unwrap();
}

#[test]
fn stop_strings_are_looked_for_in_the_answer_only() {
    let with_stop = |stop: &str| SessionOptions { stop: vec![stop.into()], ..greedy() };
    for (said, stop, thought, answer, reason) in [
        ("<think>a.b</think>c.d", ".", "a.b", "c", StopReason::StopString),
        ("<think>a.b</think>c", ".", "a.b", "c", StopReason::EndOfTurn),
        ("<think>ab</think>cd", "bc", "ab", "cd", StopReason::EndOfTurn),
        ("<think>ab</think>cd", "</think>", "ab", "cd", StopReason::EndOfTurn),
        ("<think>\n\n</think>\n\nc\n\nd", "\n\n", "", "c", StopReason::StopString),
        ("<thin air>", "<th", "", "", StopReason::StopString),
        ("<th", "<t", "", "", StopReason::StopString),
    ] {
        for tags in ALL_TAGS {
            let expected = (thought.into(), answer.into(), reason);
            assert_eq!(parts_of(said, tags, with_stop(stop)), expected, "{said:?} to {stop:?} with {tags:?}");
        }
    }
}

/// The conversation `messages` and the tokens of its prompt.
fn prompt_of(model: &Model, messages: &[Message]) -> Vec<Token> {
    let prompt = model.chat_template().unwrap().render(messages, &RenderOptions::default()).unwrap();
    model.tokenizer().encode_prompt(&prompt).unwrap()
}

#[test]
fn the_next_turn_does_not_have_the_thought() {
    for template in ["qwen3", "smollm3", "deepseek-r1"] {
        let (script, model, mut session) = thinking(template, Tags::UserDefined, greedy());
        let encode = |text: &str| model.tokenizer().encode(text, false).unwrap();
        let mut messages = vec![Message::system("Be brief."), Message::user("Hi")];
        let first = prompt_of(&model, &messages);
        // The templates of Qwen3 and SmolLM3 leave it to the model to open its thought.
        let open = if template == "deepseek-r1" { "" } else { "<think>\n" };
        let said = encode(&format!("{open}A sailor?\n</think>\n\nAhoy."));
        script.say(&with_end(said.clone()));
        session.start(&messages).unwrap();
        assert_eq!(parts(&mut session), ("A sailor?".into(), "Ahoy.".into(), StopReason::EndOfTurn));
        assert_eq!(script.cache(), [first.clone(), said].concat());
        let reply = session.reply();
        assert_eq!(reply.content.as_deref(), Some("Ahoy."));
        let kept = (template == "qwen3").then_some("A sailor?");
        assert_eq!(reply.reasoning_content.as_deref(), kept, "only Qwen3's template takes it");

        messages.extend([reply, Message::user("Why?")]);
        let second = prompt_of(&model, &messages);
        let text = model.tokenizer().decode(&second);
        assert!(!text.contains("sailor") && text.contains("Ahoy."), "{text}");
        script.say(&with_end(encode("Because.")));
        session.start(&messages).unwrap();
        events(&mut session);
        // The prompt ends where the answer begins, but for the tag that DeepSeek's opens.
        let opened = if template == "deepseek-r1" { encode("<think>\n").len() } else { 0 };
        assert_eq!(session.stats().reused_tokens, first.len() - opened, "{template}");
        assert_eq!(script.cache(), [second, encode("Because.")].concat(), "{template}");
    }
}

#[test]
fn within_a_turn_of_tools_the_thought_is_reused() {
    let (script, model, mut session) = thinking("qwen3", Tags::UserDefined, greedy());
    let encode = |text: &str| model.tokenizer().encode(text, false).unwrap();
    let mut messages = vec![Message::user("Tide?")];
    let first = prompt_of(&model, &messages);
    let said = encode("<think>\nI look.\n</think>\n\nLook.");
    script.say(&with_end(said.clone()));
    session.start(&messages).unwrap();
    events(&mut session);
    messages.extend([session.reply(), Message::tool("7")]);
    script.say(&with_end(encode("At 7.")));
    session.start(&messages).unwrap();
    assert_eq!(parts(&mut session).1, "At 7.");
    assert_eq!(
        session.stats().reused_tokens,
        first.len() + said.len(),
        "Qwen3 sees it until the next question"
    );
}

#[test]
fn cancelling_within_a_thought_keeps_it_apart() {
    let (script, model, mut session) = thinking("qwen3", Tags::UserDefined, greedy());
    let encode = |text: &str| model.tokenizer().encode(text, false).unwrap();
    let mut messages = vec![Message::user("Hi")];
    script.say(&encode("<think>\nIJ</thK"));
    session.start(&messages).unwrap();
    // The prompt is forward 0; the tag that only began is held back when the last is under way.
    let (mut session, events) = cancel_during(7, &script, session);
    assert_eq!((thoughts(&events).as_str(), texts(&events).concat().as_str()), ("IJ</th", ""));
    assert_eq!(events.last(), Some(&Event::Done(StopReason::Cancelled)));
    let reply = session.reply();
    assert_eq!((reply.content.as_deref(), reply.reasoning_content.as_deref()), (Some(""), Some("IJ</th")));

    messages.extend([reply, Message::user("Why?")]);
    script.clear();
    script.say(&with_end(encode("Because.")));
    session.start(&messages).unwrap();
    assert_eq!(parts(&mut session), (String::new(), "Because.".into(), StopReason::EndOfTurn));
    assert_eq!(script.cache(), [prompt_of(&model, &messages), encode("Because.")].concat());
}

#[test]
fn a_context_that_is_full_within_a_thought_leaves_room_for_the_next_turn() {
    let (script, model, mut session) = thinking("qwen3", Tags::UserDefined, greedy());
    let mut messages = vec![Message::user("Hi")];
    let first = prompt_of(&model, &messages);
    drop(session);
    let options = SessionOptions { n_ctx: Some(first.len() + 60), ..greedy() };
    session = Session::new(Arc::clone(&model), options).unwrap();
    let encode = |text: &str| model.tokenizer().encode(text, false).unwrap();
    script.say(&encode(&format!("<think>{}", "x".repeat(200))));
    session.start(&messages).unwrap();
    let (thought, text, reason) = parts(&mut session);
    assert_eq!((text.as_str(), reason), ("", StopReason::ContextFull));
    assert_eq!(thought, "x".repeat(60), "60 and one more, which need not be evaluated, less the tag");
    assert_eq!(session.stats().thought_tokens, 61);

    messages.extend([session.reply(), Message::user("Why?")]);
    script.clear();
    script.say(&with_end(encode("So.")));
    session.start(&messages).unwrap();
    assert_eq!(parts(&mut session), (String::new(), "So.".into(), StopReason::EndOfTurn));
    assert_eq!(session.stats().reused_tokens, first.len());
    assert_eq!(script.cache(), [prompt_of(&model, &messages), encode("So.")].concat());
}

#[test]
fn a_limit_within_a_thought_gives_out_what_was_held_back() {
    let options = SessionOptions { max_tokens: Some(4), ..greedy() };
    let expected = ("a</".into(), String::new(), StopReason::MaxTokens);
    assert_eq!(parts_of("<think>a</thi", Tags::Control, options), expected);
}

#[test]
fn a_new_start_forgets_an_unfinished_thought() {
    let (script, model, mut session) = thinking("qwen3", Tags::Text, greedy());
    let said = model.tokenizer().encode("<think>a</th", false).unwrap();
    script.say(&said);
    session.start(&[Message::user("Hi")]).unwrap();
    while session.generated().len() < said.len() {
        session.step().unwrap();
    }
    script.say(&with_end(encode("ink>b")));
    session.start(&[Message::user("Hi")]).unwrap();
    assert_eq!(parts(&mut session), (String::new(), "ink>b".into(), StopReason::EndOfTurn));
    assert_eq!(session.reply(), Message::assistant("ink>b"));
    assert_eq!(session.stats().thought_tokens, 0);
}

#[test]
fn tools_are_told_to_the_model() {
    let tools = serde_json::json!([{"type": "function", "function": {"name": "tide"}}]);
    let options = SessionOptions { tools: Some(tools.clone()), ..greedy() };
    let script = Script::default();
    let model = thinking_model("qwen3", Tags::Text, &script);
    let prompt = model
        .chat_template()
        .unwrap()
        .render(&[Message::user("Hi")], &RenderOptions { tools: Some(tools), ..RenderOptions::default() })
        .unwrap();
    assert!(prompt.text().contains("\"tide\""));
    let expected = model.tokenizer().encode_prompt(&prompt).unwrap();
    let mut session = Session::new(model, SessionOptions { n_ctx: Some(512), ..options }).unwrap();
    match session.start(&[Message::user("Hi")]) {
        Ok(()) => assert_eq!(session.prompt(), expected),
        Err(error) => assert!(matches!(error, Error::ContextFull { needed, .. } if needed == expected.len())),
    }
}
