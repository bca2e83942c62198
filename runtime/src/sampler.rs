//! Chooses the next token from the logits: a chain of small filters over a list of candidates, then
//! one draw. The filters look at the model's own probabilities; the temperature comes after them, so
//! it never changes which tokens are possible.

use std::cmp::Ordering;

use oorandom::Rand32;

use crate::error::{Error, Result};
use crate::tokenizer::Token;

/// How the next token is chosen. The default suits small chat models.
#[derive(Clone, Debug, PartialEq)]
pub struct SamplerConfig {
    /// Divides the logits before the draw: below 1 prefers likely tokens, 0 takes the likeliest.
    pub temperature: f32,
    /// Keeps this many of the likeliest tokens; 0 keeps all.
    pub top_k: usize,
    /// Keeps the likeliest tokens that together reach this probability; 1 keeps all.
    pub top_p: f32,
    /// Keeps tokens at least this probable relative to the likeliest; 0 keeps all.
    pub min_p: f32,
    /// Makes tokens that were used before less likely; 1 does not.
    pub repetition_penalty: f32,
    /// How many of the last tokens count as used before.
    pub repetition_window: usize,
    /// Where the random numbers begin: the same seed makes the same choices.
    pub seed: u64,
}

impl Default for SamplerConfig {
    fn default() -> SamplerConfig {
        SamplerConfig {
            temperature: 0.6,
            top_k: 40,
            top_p: 0.95,
            min_p: 0.05,
            repetition_penalty: 1.0,
            repetition_window: 64,
            seed: 0,
        }
    }
}

impl SamplerConfig {
    /// The likeliest token each time: no randomness, no penalty.
    pub fn greedy() -> SamplerConfig {
        SamplerConfig { temperature: 0.0, repetition_penalty: 1.0, ..SamplerConfig::default() }
    }

    fn check(&self) -> Result<()> {
        let ranges = [
            (self.temperature >= 0.0 && self.temperature.is_finite(), "temperature must be 0 or more"),
            (self.top_p > 0.0 && self.top_p <= 1.0, "top-p must be above 0 and at most 1"),
            (self.min_p >= 0.0 && self.min_p <= 1.0, "min-p must be from 0 to 1"),
            (
                self.repetition_penalty > 0.0 && self.repetition_penalty.is_finite(),
                "the repetition penalty must be above 0; 1 switches it off",
            ),
        ];
        match ranges.iter().find(|(holds, _)| !holds) {
            Some((_, range)) => Err(Error::InvalidArgument((*range).into())),
            None => Ok(()),
        }
    }
}

/// A token that may still be chosen.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    token: Token,
    logit: f32,
}

/// Draws tokens. Its buffers grow to the size of the vocabulary once.
#[derive(Clone, Debug)]
pub struct Sampler {
    config: SamplerConfig,
    random: Rand32,
    candidates: Vec<Candidate>,
    recent: Vec<Token>,
}

impl Sampler {
    /// A sampler at the beginning of its random numbers.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a setting out of its range.
    pub fn new(config: SamplerConfig) -> Result<Sampler> {
        config.check()?;
        Ok(Sampler { random: Rand32::new(config.seed), config, candidates: Vec::new(), recent: Vec::new() })
    }

    /// The settings.
    pub fn config(&self) -> &SamplerConfig {
        &self.config
    }

    /// Chooses a token. `logits` has one entry per token of the vocabulary and is left penalised;
    /// `history` holds the tokens that a repetition is measured against, oldest first. Logits that are
    /// not finite are never chosen; of equally likely tokens, greedy choice takes the first.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if no logit is finite.
    pub fn sample(&mut self, logits: &mut [f32], history: &[Token]) -> Result<Token> {
        self.penalize_repetition(logits, history);
        if self.config.temperature == 0.0 {
            return likeliest(logits).ok_or_else(no_finite_logit);
        }
        self.candidates.clear();
        self.candidates.extend(candidates(logits));
        top_k(&mut self.candidates, self.config.top_k);
        top_p(&mut self.candidates, self.config.top_p);
        min_p(&mut self.candidates, self.config.min_p);
        let uniform = f64::from(self.random.rand_u32()) / (f64::from(u32::MAX) + 1.0);
        draw(&self.candidates, self.config.temperature, uniform).ok_or_else(no_finite_logit)
    }

    /// Divides positive logits of recent tokens by the penalty and multiplies negative ones, once per
    /// token: CTRL, arXiv:1909.05858, section 4.1, for logits of either sign.
    fn penalize_repetition(&mut self, logits: &mut [f32], history: &[Token]) {
        let penalty = self.config.repetition_penalty;
        if penalty == 1.0 {
            return;
        }
        let begin = history.len().saturating_sub(self.config.repetition_window);
        self.recent.clear();
        self.recent.extend(history.iter().skip(begin));
        self.recent.sort_unstable();
        self.recent.dedup();
        for &token in &self.recent {
            if let Some(logit) = logits.get_mut(token as usize) {
                *logit = if *logit > 0.0 { *logit / penalty } else { *logit * penalty };
            }
        }
    }
}

fn no_finite_logit() -> Error {
    Error::InvalidArgument(
        "none of the model's logits is finite; the model file or the device is faulty".into(),
    )
}

/// The finite logits with their tokens, in the order of the vocabulary.
fn candidates(logits: &[f32]) -> impl Iterator<Item = Candidate> {
    let tokens = (0..=Token::MAX).zip(logits);
    let candidates = tokens.map(|(token, &logit)| Candidate { token, logit });
    candidates.filter(|candidate| candidate.logit.is_finite())
}

/// The first token with the highest finite logit.
fn likeliest(logits: &[f32]) -> Option<Token> {
    let better = |best: Candidate, next: Candidate| {
        if next.logit > best.logit { next } else { best }
    };
    candidates(logits).reduce(better).map(|best| best.token)
}

/// Likelier first; equals in the order of the vocabulary, which makes the order total.
fn by_likelihood(a: &Candidate, b: &Candidate) -> Ordering {
    b.logit.total_cmp(&a.logit).then(a.token.cmp(&b.token))
}

fn highest_logit(candidates: &[Candidate]) -> f32 {
    let logits = candidates.iter().map(|candidate| candidate.logit);
    logits.fold(f32::NEG_INFINITY, f32::max)
}

/// Moves the `n` likeliest to the front and sorts only those.
fn sort_front(candidates: &mut [Candidate], n: usize) {
    if n > 0 && n < candidates.len() {
        candidates.select_nth_unstable_by(n - 1, by_likelihood);
    }
    let n = n.min(candidates.len());
    candidates[..n].sort_unstable_by(by_likelihood);
}

/// Keeps the `k` likeliest (arXiv:1805.04833, section 5.4).
fn top_k(candidates: &mut Vec<Candidate>, k: usize) {
    if k > 0 {
        sort_front(candidates, k);
        candidates.truncate(k);
    }
}

/// Keeps the fewest of the likeliest whose probabilities reach `p` (arXiv:1904.09751, section 3.1).
/// Few are needed as a rule, so they are sorted in growing portions.
fn top_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p >= 1.0 {
        return;
    }
    let highest = highest_logit(candidates);
    let weight = |candidate: &Candidate| f64::from(candidate.logit - highest).exp();
    let mut missing = f64::from(p) * candidates.iter().map(weight).sum::<f64>();
    let (mut kept, mut portion) = (0, 64);
    while missing > 0.0 && kept < candidates.len() {
        let sorted = kept.saturating_add(portion).min(candidates.len());
        sort_front(&mut candidates[kept..], portion);
        while missing > 0.0 && kept < sorted {
            missing -= weight(&candidates[kept]);
            kept += 1;
        }
        portion *= 8;
    }
    candidates.truncate(kept);
}

/// Keeps those at least `p` times as probable as the likeliest (arXiv:2407.01082, section 3).
fn min_p(candidates: &mut Vec<Candidate>, p: f32) {
    if p > 0.0 {
        let lowest = highest_logit(candidates) + p.ln();
        candidates.retain(|candidate| candidate.logit >= lowest);
    }
}

/// The candidate at `uniform` (0 to 1, without 1) of the softmax at `temperature`.
fn draw(candidates: &[Candidate], temperature: f32, uniform: f64) -> Option<Token> {
    let highest = highest_logit(candidates);
    let weight =
        |candidate: &Candidate| (f64::from(candidate.logit - highest) / f64::from(temperature)).exp();
    let mut rest = uniform * candidates.iter().map(weight).sum::<f64>();
    let mut last = None;
    for candidate in candidates {
        let weight = weight(candidate);
        if weight > 0.0 {
            last = Some(candidate.token);
            rest -= weight;
        }
        if rest < 0.0 {
            break;
        }
    }
    last
}
