//! The real SmolLM2-135M-Instruct Q4_1 against transformers' reference, on both backends.

use std::sync::{Arc, LazyLock};

use halfbyte::{
    Activations, BackendChoice, BackendOptions, Event, Gguf, LogitRows, Message, Model, RenderOptions,
    SamplerConfig, Session, SessionOptions, Tokenizer,
};
use halfbyte_tests::agreement::{arg_max, log_sum_exp, std_dev};
use halfbyte_tests::fixtures::{SmolLm2, smollm2};

/// In standard deviations of a row of logits: f32 sums in another order; see `golden.rs`. The
/// reference is rounded to 1e-4, which is 3e-5 of the deviation.
const TOLERANCE: f64 = 1e-3;
/// Relative, of the perplexity.
const PERPLEXITY_TOLERANCE: f64 = 5e-3;

/// Relative, of the perplexity with int8 activations.
const INT8_PERPLEXITY_TOLERANCE: f64 = 1e-2;

static CPU: LazyLock<Arc<Model>> = LazyLock::new(|| open(BackendChoice::Cpu, Activations::F32));
static GPU: LazyLock<Arc<Model>> = LazyLock::new(|| open(BackendChoice::Gpu, Activations::F32));

fn open(choice: BackendChoice, activations: Activations) -> Arc<Model> {
    Model::open(smollm2(), BackendOptions { choice, activations }).unwrap()
}

fn check_logits(model: &Model) {
    let mut worst: f64 = 0.0;
    for case in SmolLm2::load().cases {
        let mut kv = model.new_kv_cache(128).unwrap();
        let mut logits = Vec::new();
        model.forward(&case.ids, &mut kv, LogitRows::Last, &mut logits).unwrap();
        for step in 0..case.greedy.len() {
            if step > 0 {
                model.forward(&[case.greedy[step - 1]], &mut kv, LogitRows::Last, &mut logits).unwrap();
            }
            let deviation = std_dev(&logits);
            let top = case.top5_ids[step].iter().zip(case.top5_logits[step]);
            let differences = top.map(|(id, want)| (f64::from(logits[*id]) - want).abs());
            let difference = differences.fold((log_sum_exp(&logits) - case.logsumexp[step]).abs(), f64::max);
            worst = worst.max(difference / deviation);
            let margin = case.top5_logits[step][0] - case.top5_logits[step][1];
            if margin > 2.0 * TOLERANCE * deviation {
                assert_eq!(arg_max(&logits), case.top5_ids[step][0], "step {step}");
            }
        }
    }
    println!("{}: {worst:.1e} standard deviations", model.device().backend);
    assert!(worst < TOLERANCE, "{worst:.2e}");
}

fn check_perplexity(model: &Model) {
    let text = SmolLm2::load().text_nll;
    let nll = negative_log_likelihood(model, &text.ids);
    check_mean(model, &nll, PERPLEXITY_TOLERANCE);
    // Far below the bound on the mean: every single token must agree too.
    let worst = nll.iter().zip(&text.nll).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst < 0.02, "a token's log-likelihood is off by {worst}");
}

/// Of each token after the first.
fn negative_log_likelihood(model: &Model, ids: &[u32]) -> Vec<f64> {
    let mut kv = model.new_kv_cache(ids.len()).unwrap();
    let (mut logits, mut nll) = (Vec::new(), Vec::new());
    for (i, chunk) in ids.chunks(Model::BATCH).enumerate() {
        model.forward(chunk, &mut kv, LogitRows::All, &mut logits).unwrap();
        let rows = logits.chunks_exact(model.config().n_vocab);
        let next = &ids[i * Model::BATCH + 1..];
        nll.extend(rows.zip(next).map(|(row, next)| log_sum_exp(row) - f64::from(row[*next as usize])));
    }
    nll
}

fn check_mean(model: &Model, nll: &[f64], tolerance: f64) {
    let text = SmolLm2::load().text_nll;
    assert_eq!(nll.len(), text.nll.len());
    let perplexity = (nll.iter().sum::<f64>() / nll.len() as f64).exp();
    let features = model.device().features.join(", ");
    println!("{}, {features}: perplexity {perplexity:.4}, reference {:.4}", model.device().backend, text.ppl);
    assert!((perplexity / text.ppl - 1.0).abs() < tolerance);
}

#[test]
fn cpu_logits_match_the_reference() {
    check_logits(&CPU);
}

#[test]
fn gpu_logits_match_the_reference() {
    check_logits(&GPU);
}

#[test]
fn cpu_perplexity_matches_the_reference() {
    check_perplexity(&CPU);
}

#[test]
fn gpu_perplexity_matches_the_reference() {
    check_perplexity(&GPU);
}

#[test]
fn perplexity_with_int8_activations_is_near_the_reference() {
    for choice in [BackendChoice::Cpu, BackendChoice::Gpu] {
        let model = open(choice, Activations::Int8);
        let nll = negative_log_likelihood(&model, &SmolLm2::load().text_nll.ids);
        check_mean(&model, &nll, INT8_PERPLEXITY_TOLERANCE);
    }
}

#[test]
fn prompts_render_and_tokenize_as_the_reference() {
    let gguf = Gguf::open(smollm2()).unwrap();
    let tokenizer = Tokenizer::from_gguf(&gguf).unwrap();
    let template = halfbyte::ChatTemplate::from_gguf(&gguf).unwrap().unwrap();
    for case in SmolLm2::load().cases {
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
