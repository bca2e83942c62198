//! `chat`: one question, a conversation on a pipe, and Ctrl-C.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use halfbyte::{BackendChoice, Event, Message, Model, SamplerConfig, Session, SessionOptions, StopReason};

use serde_json::{Value, json};

use crate::{Folder, Run, command, endless, run, tiny, with_template, without_format, without_template};

const OPTIONS: [&str; 6] = ["--backend", "cpu", "--temperature", "0", "--max-tokens", "16"];

fn chat(args: &[&str]) -> Run {
    run(&[&["chat", &tiny()], args, &OPTIONS].concat())
}

/// A conversation in this process: the answers to `questions`.
fn expected(system: Option<&str>, questions: &[&str]) -> Vec<String> {
    let model = Model::open(tiny(), BackendChoice::Cpu).unwrap();
    let options = SessionOptions {
        sampler: SamplerConfig::greedy(),
        max_tokens: Some(16),
        ..SessionOptions::default()
    };
    let mut session = Session::new(model, options).unwrap();
    let mut messages: Vec<Message> = system.map(Message::system).into_iter().collect();
    let mut answers = Vec::new();
    for question in questions {
        messages.push(Message::user(*question));
        session.start(&messages).unwrap();
        let mut answer = String::new();
        loop {
            match session.step().unwrap() {
                Event::Text { text, .. } => answer += &text,
                Event::Prefill { .. } | Event::Thought { .. } => {}
                Event::Done(reason) => break assert_eq!(reason, StopReason::MaxTokens),
            }
        }
        messages.push(Message::assistant(&answer));
        answers.push(answer);
    }
    answers
}

#[test]
fn a_question_is_answered_on_standard_output() {
    let run = chat(&["Who counts the ships?"]);
    let answers = expected(None, &["Who counts the ships?"]);
    assert_eq!((run.code, run.stdout), (0, format!("{}\n", answers[0])));
    assert!(run.stderr.starts_with("running on the CPU: "), "{}", run.stderr);
    assert_eq!(run.stderr.lines().count(), 1, "speed is for those who watch: {}", run.stderr);
}

#[test]
fn json_has_the_answer_and_its_costs() {
    let run = chat(&["Why?", "--json", "--system", "Be brief."]);
    let answer = run.json();
    assert_eq!(answer["answer"], expected(Some("Be brief."), &["Why?"])[0].as_str());
    assert_eq!(answer["stop"], "max_tokens");
    assert_eq!(answer["stats"]["generated_tokens"], 16);
    assert_eq!(answer["device"]["backend"], "cpu");
}

#[test]
fn each_line_of_a_pipe_is_a_turn() {
    let child = spawn(&[&["chat", &tiny(), "--verbose"], &OPTIONS[..]].concat());
    let output = talk(child, "Hello\n\nAnd now?\r\n/new\nHello");
    let turns = expected(None, &["Hello", "And now?"]);
    assert_eq!(output.stdout, format!("{}\n{}\n{}\n", turns[0], turns[1], turns[0]));
    let speeds: Vec<&str> = output.stderr.lines().skip(1).collect();
    assert_eq!((output.code, speeds.len()), (0, 3), "{}", output.stderr);
    assert!(
        speeds[1].contains("were known already"),
        "the second turn reads only what is new: {}",
        speeds[1]
    );
}

#[test]
fn exit_ends_a_conversation() {
    let child = spawn(&[&["chat", &tiny()], &OPTIONS[..]].concat());
    let output = talk(child, "/exit\nHello\n");
    assert_eq!((output.code, output.stdout.as_str()), (0, ""));
}

#[test]
fn a_model_without_a_template_chats_with_the_built_in_one() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", without_template());
    let run = run(&[&["chat", &model, "Who counts the ships?"], &OPTIONS[..]].concat());
    let answers = expected(None, &["Who counts the ships?"]);
    assert_eq!((run.code, run.stdout), (0, format!("{}\n", answers[0])));
    let said = "this model file has no chat template: the built-in one for ChatML is used";
    assert_eq!(run.stderr.lines().nth(1), Some(said));
    assert_eq!(run.stderr.lines().count(), 2, "{}", run.stderr);
}

#[test]
fn a_model_that_cannot_chat_continues_the_text_and_says_so() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", without_format());
    let chatted = run(&[&["chat", &model, "the keeper"], &OPTIONS[..]].concat());
    let continued = run(&[&["run", &model, "--prompt", "the keeper"], &OPTIONS[..]].concat());
    assert_eq!((chatted.code, &chatted.stdout), (0, &continued.stdout));
    let said = "this model file has no chat template: messages are a plain text that it continues";
    assert_eq!(chatted.stderr.lines().nth(1), Some(said), "{}", chatted.stderr);
    assert_eq!(continued.stderr, "", "a plain text is what `run` is for");
}

/// What the templates of models do that always think: the prompt opens the thought.
const THINKS: &str = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content.split('</think>')[-1] }}\
                      <|im_end|>\n{% endfor %}<|im_start|>assistant\n<think>\n";

#[test]
fn a_thought_is_no_part_of_the_answer() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", with_template(THINKS));
    let messages = folder.write("messages.json", r#"[{"role": "user", "content": "Why?"}]"#);
    let chatted = run(&[&["chat", &model, "Why?", "--json"], &OPTIONS[..]].concat()).json();
    let ran = run(&[&["run", &model, "--messages", &messages, "--json"], &OPTIONS[..]].concat()).json();
    let thought = chatted["thought"].as_str().unwrap();
    assert!(!thought.is_empty());
    assert_eq!((&chatted["answer"], &chatted["stats"]["thought_tokens"]), (&json!(""), &json!(16)));
    assert_eq!((&ran["thought"], &ran["text"]), (&json!(thought), &json!("")));

    let shown = run(&[&["chat", &model, "Why?", "--thinking", "on"], &OPTIONS[..]].concat());
    assert_eq!((shown.code, shown.stdout.as_str()), (0, "\n"));
    assert!(shown.stderr.contains("the thought took all tokens"), "{}", shown.stderr);
    assert!(!shown.stderr.contains(thought), "it is for a terminal only: {}", shown.stderr);
}

#[test]
fn inspect_tells_how_a_model_chats() {
    let folder = Folder::new();
    for (bytes, said, json) in [
        (
            with_template(THINKS),
            "the template in the file\n  it thinks before it answers\n",
            json!({"built_in_template": null, "thought_tags": ["<think>", "</think>"], "can_switch_thinking": false}),
        ),
        (
            without_template(),
            "the built-in one for ChatML is used\n  it does not think before it answers\n",
            json!({"built_in_template": "ChatML", "thought_tags": null, "can_switch_thinking": false}),
        ),
        (without_format(), "messages are a plain text", Value::Null),
    ] {
        let model = folder.write("model.gguf", bytes);
        assert!(run(&["inspect", &model]).stdout.contains(said), "{said}");
        assert_eq!(run(&["inspect", &model, "--json"]).json()["chat"], json);
    }
}

#[test]
fn a_plain_model_has_no_thought() {
    let answer = chat(&["Why?", "--json", "--thinking", "off"]).json();
    assert_eq!(answer["thought"], Value::Null);
    assert_eq!(answer["stats"]["thought_tokens"], 0);
}

#[test]
fn thinking_that_cannot_be_switched_is_an_error() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", with_template(THINKS));
    let off = run(&[&["chat", &model, "Why?", "--thinking", "off"], &OPTIONS[..]].concat());
    assert_eq!((off.code, off.stdout.as_str()), (1, ""));
    assert!(off.stderr.contains("error: the model always thinks before it answers"), "{}", off.stderr);
    let on = chat(&["Why?", "--thinking", "on"]);
    assert_eq!(on.code, 1);
    assert!(on.stderr.contains("error: the model does not think before it answers"), "{}", on.stderr);
    let text = run(&["run", &tiny(), "--prompt", "Hi", "--thinking", "off"]);
    assert_eq!(text.code, 2, "a text has no switch: {}", text.stderr);
}

#[test]
fn a_conversation_that_does_not_fit_fails_with_a_way_out() {
    let run = chat(&["Hello, this is a long question", "--ctx", "8"]);
    assert_eq!((run.code, run.stdout.as_str()), (1, ""));
    assert!(run.stderr.contains("error: context is full"), "{}", run.stderr);
    assert!(!run.stderr.contains("long question"), "{}", run.stderr);
}

#[cfg(unix)]
#[test]
fn ctrl_c_stops_the_answer_and_then_the_program() {
    let folder = Folder::new();
    let model = folder.write("endless.gguf", endless());
    let args = ["chat", &model, "--backend", "cpu", "--temperature", "0", "--ctx", "100000", "--verbose"];
    let mut child = spawn(&args);
    let mut questions = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap());
    let mut reports = BufReader::new(child.stderr.take().unwrap());
    let mut report = || {
        let mut line = String::new();
        reports.read_line(&mut line).unwrap();
        line
    };
    assert!(report().starts_with("running on"));

    for _ in 0..2 {
        questions.write_all(b"Hello\n").unwrap();
        let mut first = [0];
        answers.read_exact(&mut first).unwrap();
        assert_eq!(&first, b"!");
        interrupt(&child);
        let mut answer = String::new();
        answers.read_line(&mut answer).unwrap();
        assert!(answer.len() < 50_000 && answer.trim_end().chars().all(|c| c == '!'), "{}", answer.len());
        assert!(report().contains("written at"), "the answer ended and the program went on");
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(0), "at the prompt it ends the program");
}

#[cfg(unix)]
#[test]
fn ctrl_c_leaves_a_single_answer_undone() {
    let folder = Folder::new();
    let model = folder.write("endless.gguf", endless());
    let args = ["run", &model, "--prompt", "Hello", "--backend", "cpu", "--temperature", "0"];
    let mut child = spawn(&[&args[..], &["--ctx", "100000"]].concat());
    child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    interrupt(&child);
    let output = Run::new(child.wait_with_output().unwrap());
    assert_eq!((output.code, output.stderr.as_str()), (1, "error: cancelled\n"));
    assert!(output.stdout.ends_with("!\n"));
}

fn spawn(args: &[&str]) -> Child {
    let mut command = command(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().unwrap()
}

/// Sends all of standard input and waits for the end.
fn talk(mut child: Child, input: &str) -> Run {
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    Run::new(child.wait_with_output().unwrap())
}

#[cfg(unix)]
fn interrupt(child: &Child) {
    let id = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(sent.success());
}
