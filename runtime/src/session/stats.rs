//! What an answer cost.

use std::time::Duration;

/// Counts and times of the answer in progress, or of the last one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Tokens of the prompt.
    pub prompt_tokens: usize,
    /// Tokens of the prompt that were in the KV cache already.
    pub reused_tokens: usize,
    /// Tokens of the prompt that were evaluated: the others, unless the answer was cancelled early.
    pub prefilled_tokens: usize,
    /// Tokens the model chose, the one that ended its turn included.
    pub generated_tokens: usize,
    /// Those of them that were the thought before the answer, tags included.
    pub thought_tokens: usize,
    /// Time spent on the prompt.
    pub prefill: Duration,
    /// Time spent on the generated tokens but the first, which comes out of the prefill.
    pub decode: Duration,
    /// From the call that started the answer to its first token, the caller's pauses included; zero
    /// until then.
    pub time_to_first_token: Duration,
}

impl Stats {
    /// Prompt tokens evaluated per second; 0 before there is one.
    pub fn prefill_tokens_per_second(&self) -> f64 {
        per_second(self.prefilled_tokens, self.prefill)
    }

    /// Tokens generated per second after the first; 0 before there is one.
    pub fn decode_tokens_per_second(&self) -> f64 {
        per_second(self.generated_tokens.saturating_sub(1), self.decode)
    }
}

fn per_second(tokens: usize, time: Duration) -> f64 {
    if time.is_zero() {
        return 0.0;
    }
    tokens as f64 / time.as_secs_f64()
}
