//! What transformers made of a real model, and how far ours is from it; see `tests/fixtures/README.md`.

use std::fs;

use halfbyte::{LogitRows, Model};
use serde::Deserialize;

use crate::agreement::{arg_max, log_sum_exp, std_dev};
use crate::fixtures::path;

/// Reference data for a real model.
#[derive(Debug, Deserialize)]
pub struct Reference {
    /// Prompts with what the reference made of them.
    pub cases: Vec<Case>,
    /// A stretch of a novel.
    pub text_nll: TextNll,
}

/// One prompt and its greedy continuation.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// The messages of a chat.
    pub messages: Option<Vec<halfbyte::Message>>,
    /// The prompt as text.
    pub prompt: String,
    /// The prompt as ids.
    pub ids: Vec<u32>,
    /// What the reference generated.
    pub greedy: Vec<u32>,
    /// Ids of the five largest logits of each step, in order.
    pub top5_ids: Vec<[usize; 5]>,
    /// Those logits.
    pub top5_logits: Vec<[f64; 5]>,
    /// Logarithm of the sum of the exponentials of all logits of each step.
    pub logsumexp: Vec<f64>,
}

/// Ids of a text and the negative log-likelihood of each after the first.
#[derive(Debug, Deserialize)]
pub struct TextNll {
    /// The text as ids.
    pub ids: Vec<u32>,
    /// Natural logarithm, one less than `ids`.
    pub nll: Vec<f64>,
    /// Perplexity of the text.
    pub ppl: f64,
}

impl Reference {
    /// A committed reference.
    pub fn load(name: &str) -> Reference {
        let text = fs::read_to_string(path(name)).expect("the reference of the real model");
        serde_json::from_str(&text).expect("a reference of the real model")
    }

    /// Compares the five largest logits and the log-sum-exp of every step of every prompt, fed what the
    /// reference chose. `tolerance` is in standard deviations of a row of logits; the likeliest token must
    /// be the reference's where its margin leaves no doubt.
    pub fn check_logits(&self, model: &Model, tolerance: f64) {
        let mut worst: f64 = 0.0;
        for case in &self.cases {
            let mut kv = model.new_kv_cache(case.ids.len() + case.greedy.len()).expect("a cache");
            let mut logits = Vec::new();
            for step in 0..case.greedy.len() {
                let tokens = if step == 0 { &case.ids[..] } else { &case.greedy[step - 1..step] };
                model.forward(tokens, &mut kv, LogitRows::Last, &mut logits).expect("logits");
                let deviation = std_dev(&logits);
                worst = worst.max(case.difference(step, &logits) / deviation);
                let margin = case.top5_logits[step][0] - case.top5_logits[step][1];
                if margin > 2.0 * tolerance * deviation {
                    assert_eq!(arg_max(&logits), case.top5_ids[step][0], "step {step}");
                }
            }
        }
        println!("{}: {worst:.1e} standard deviations", model.device().backend);
        assert!(worst < tolerance, "{worst:.2e}");
    }

    /// Compares the likelihood of a text: its perplexity, within `tolerance` of the whole, and that of
    /// each token, within `token_tolerance` nats.
    pub fn check_perplexity(&self, model: &Model, tolerance: f64, token_tolerance: f64) {
        let text = &self.text_nll;
        let mut kv = model.new_kv_cache(text.ids.len()).expect("a cache");
        let (mut logits, mut nll) = (Vec::new(), Vec::new());
        for (i, chunk) in text.ids.chunks(Model::BATCH).enumerate() {
            model.forward(chunk, &mut kv, LogitRows::All, &mut logits).expect("logits");
            let rows = logits.chunks_exact(model.config().n_vocab);
            let next = &text.ids[i * Model::BATCH + 1..];
            nll.extend(rows.zip(next).map(|(row, next)| log_sum_exp(row) - f64::from(row[*next as usize])));
        }
        assert_eq!(nll.len(), text.nll.len());
        let perplexity = (nll.iter().sum::<f64>() / nll.len() as f64).exp();
        let worst = nll.iter().zip(&text.nll).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!(
            "{}: perplexity {perplexity:.4}, reference {:.4}; a token is off by {worst:.1e} at most",
            model.device().backend,
            text.ppl
        );
        assert!((perplexity / text.ppl - 1.0).abs() < tolerance);
        assert!(worst < token_tolerance, "a token's log-likelihood is off by {worst}");
    }
}

impl Case {
    /// The largest difference of a row of `logits` from what is known of that of the reference.
    fn difference(&self, step: usize, logits: &[f32]) -> f64 {
        let top = self.top5_ids[step].iter().zip(self.top5_logits[step]);
        let differences = top.map(|(id, want)| (f64::from(logits[*id]) - want).abs());
        differences.fold((log_sum_exp(logits) - self.logsumexp[step]).abs(), f64::max)
    }
}
