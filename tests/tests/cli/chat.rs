//! `chat`: one question, a conversation on a pipe, and Ctrl-C.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Stdio};

use halfbyte::{BackendChoice, Event, Message, Model, SamplerConfig, Session, SessionOptions, StopReason};

use crate::{Folder, Run, command, endless, patched, run, tiny};

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
                Event::Prefill { .. } => {}
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
fn a_model_without_a_template_says_what_to_do() {
    let folder = Folder::new();
    let model = folder.write("model.gguf", patched(b"tokenizer.chat_template", b"tokenizer.chat_templatX"));
    let refused = run(&["chat", &model, "Hello", "--backend", "cpu"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("has no chat template"), "{}", refused.stderr);
    assert!(refused.stderr.contains("halfbyte run MODEL --prompt TEXT"), "{}", refused.stderr);
    let ran = run(&["run", &model, "--prompt", "Hello", "--backend", "cpu", "--max-tokens", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
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
