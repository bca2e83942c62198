//! The real SmolLM2-135M-Instruct Q4_1 against transformers' reference, on both backends.

use std::sync::{Arc, LazyLock};

use halfbyte::{
    Activations, BackendChoice, BackendOptions, Event, Gguf, Message, Model, RenderOptions, SamplerConfig,
    Session, SessionOptions, Tokenizer,
};
use halfbyte_tests::fixtures::smollm2;
use halfbyte_tests::reference::Reference;

/// In standard deviations of a row of logits: f32 sums in another order; see `golden.rs`. The
/// reference is rounded to 1e-4, which is 3e-5 of the deviation.
const TOLERANCE: f64 = 1e-3;
/// Relative, of the perplexity.
const PERPLEXITY_TOLERANCE: f64 = 5e-3;
/// In nats. Far below the bound on the mean: every single token must agree too.
const TOKEN_TOLERANCE: f64 = 0.02;

/// Relative, of the perplexity with int8 activations.
const INT8_PERPLEXITY_TOLERANCE: f64 = 1e-2;
/// In nats. Eight bits move the likelihood of an unlikely token by some tenths.
const INT8_TOKEN_TOLERANCE: f64 = 1.0;

static CPU: LazyLock<Arc<Model>> = LazyLock::new(|| open(BackendChoice::Cpu, Activations::F32));
static GPU: LazyLock<Arc<Model>> = LazyLock::new(|| open(BackendChoice::Gpu, Activations::F32));

fn open(choice: BackendChoice, activations: Activations) -> Arc<Model> {
    Model::open(smollm2(), BackendOptions { choice, activations }).unwrap()
}

static REFERENCE: LazyLock<Reference> = LazyLock::new(|| Reference::load("smollm2.json"));

#[test]
fn cpu_logits_match_the_reference() {
    REFERENCE.check_logits(&CPU, TOLERANCE);
}

#[test]
fn gpu_logits_match_the_reference() {
    REFERENCE.check_logits(&GPU, TOLERANCE);
}

#[test]
fn cpu_perplexity_matches_the_reference() {
    REFERENCE.check_perplexity(&CPU, PERPLEXITY_TOLERANCE, TOKEN_TOLERANCE);
}

#[test]
fn gpu_perplexity_matches_the_reference() {
    REFERENCE.check_perplexity(&GPU, PERPLEXITY_TOLERANCE, TOKEN_TOLERANCE);
}

#[test]
fn perplexity_with_int8_activations_is_near_the_reference() {
    for choice in [BackendChoice::Cpu, BackendChoice::Gpu] {
        let model = open(choice, Activations::Int8);
        REFERENCE.check_perplexity(&model, INT8_PERPLEXITY_TOLERANCE, INT8_TOKEN_TOLERANCE);
    }
}

#[test]
fn prompts_render_and_tokenize_as_the_reference() {
    let gguf = Gguf::open(smollm2()).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let template = halfbyte::ChatTemplate::from_gguf(&gguf).unwrap().unwrap();
    for case in &REFERENCE.cases {
        let ids = if let Some(messages) = &case.messages {
            let prompt = template.render(messages, &RenderOptions::default()).unwrap();
            assert_eq!(prompt.text(), case.prompt);
            tokenizer.encode_prompt(&prompt).unwrap()
        } else {
            tokenizer.encode(&case.prompt, false).unwrap()
        };
        assert_eq!(ids, case.ids, "{:?}", case.prompt);
    }
}

/// A whole turn on the GPU; the second one prefills only what is new.
#[test]
fn a_second_turn_reuses_the_cache() {
    let greedy = SamplerConfig { temperature: 0.0, repetition_penalty: 1.0, ..Default::default() };
    let options = SessionOptions { sampler: greedy, max_tokens: Some(48), ..Default::default() };
    let mut session = Session::new(Arc::clone(&GPU), options).unwrap();
    let answer = |session: &mut Session, messages: &[Message]| -> String {
        session.start(messages).unwrap();
        let mut out = String::new();
        loop {
            match session.step().unwrap() {
                Event::Text { text, .. } => out += &text,
                Event::Done(_) => return out,
                Event::Prefill { .. } | Event::Thought { .. } => {}
            }
        }
    };
    let mut messages = vec![Message::user("What is the capital of France?")];
    let first = answer(&mut session, &messages);
    assert!(first.contains("Paris"), "{first}");
    let seen = session.stats().prompt_tokens + session.stats().generated_tokens;
    messages.push(Message::assistant(first));
    messages.push(Message::user("And of Italy?"));
    let second = answer(&mut session, &messages);
    assert!(second.contains("Rome"), "{second}");
    let stats = session.stats();
    assert!(stats.reused_tokens + 2 >= seen, "{} of {seen} tokens were reused", stats.reused_tokens);
}
