//! Sessions on a scripted backend: what they evaluate, what they keep and how answers end. The model
//! file gives the tokenizer and the template only.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod endings;
mod prompts;
mod text;
mod thoughts;

use std::path::Path;
use std::sync::Arc;

use halfbyte::{
    Error, Event, Gguf, Message, Model, RenderOptions, SamplerConfig, Session, SessionOptions, StopReason,
    Token,
};
use halfbyte_tests::scripted_backend::Script;

/// Tokens of the fixture's vocabulary.
const N_VOCAB: usize = 320;
const END_OF_TURN: Token = 316;
const BOS: Token = 317;

const FIXTURE: &str = "fixtures/tiny/llama-s.Q4_0.gguf";

fn gguf_bytes() -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join(FIXTURE)).unwrap()
}

fn model(script: &Script) -> Arc<Model> {
    Model::load(Gguf::from_bytes(gguf_bytes()).unwrap(), script.backend()).unwrap()
}

fn greedy() -> SessionOptions {
    SessionOptions { sampler: SamplerConfig::greedy(), ..SessionOptions::default() }
}

/// A script and a session that follows it.
fn scripted(options: SessionOptions) -> (Script, Session) {
    let script = Script::default();
    let session = Session::new(model(&script), options).unwrap();
    (script, session)
}

fn encode(text: &str) -> Vec<Token> {
    model(&Script::default()).tokenizer().encode(text, false).unwrap()
}

fn chat_tokens(messages: &[Message]) -> Vec<Token> {
    let model = model(&Script::default());
    let prompt = model.chat_template().unwrap().render(messages, &RenderOptions::default()).unwrap();
    model.tokenizer().encode_prompt(&prompt).unwrap()
}

/// Any tokens, different at every position.
fn numbers(n: usize) -> Vec<Token> {
    (0..n as Token).map(|i| i % 300).collect()
}

/// All steps of an answer up to the first that is done.
fn events(session: &mut Session) -> Vec<Event> {
    let mut events = Vec::new();
    while !matches!(events.last(), Some(Event::Done(_))) {
        events.push(session.step().unwrap());
    }
    events
}

fn texts(events: &[Event]) -> Vec<&str> {
    let texts = events.iter().filter_map(|event| match event {
        Event::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// The whole answer and why it ended.
fn answer(session: &mut Session) -> (String, StopReason) {
    let events = events(session);
    let Some(Event::Done(reason)) = events.last() else { unreachable!() };
    (texts(&events).concat(), *reason)
}

fn with_end(mut tokens: Vec<Token>) -> Vec<Token> {
    tokens.push(END_OF_TURN);
    tokens
}
