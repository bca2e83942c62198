//! The rotary embedding (RoFormer, arXiv:2104.09864) and the ways to stretch it over longer contexts.

use std::f32::consts::TAU;

/// Frequencies and size of the rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the frequencies.
    pub base: f32,
    /// Positions are divided by this: linear scaling.
    pub factor: f32,
    /// Cosine and sine are multiplied by this.
    pub attn_factor: f32,
    /// Positions that the model was trained for before it was stretched. Models with two sets of
    /// factors use the long one in a context beyond.
    pub original_ctx: usize,
    /// Scales high frequencies less than low ones.
    pub yarn: Option<Yarn>,
}

/// The ramp of YaRN (arXiv:2309.00071): frequencies with more than `beta_fast` turns in the original
/// context stay, those with fewer than `beta_slow` are divided by the factor.
#[derive(Clone, Debug, PartialEq)]
pub struct Yarn {
    /// Turns from which a frequency stays.
    pub beta_fast: f32,
    /// Turns up to which a frequency is scaled in full.
    pub beta_slow: f32,
}

impl Rope {
    /// Without scaling.
    pub fn plain(base: f32) -> Rope {
        Rope { base, factor: 1.0, attn_factor: 1.0, original_ctx: usize::MAX, yarn: None }
    }

    /// Radians per position, `[rope_dim / 2]`; each is divided by its entry of `factors`, 1 where
    /// there is none.
    pub fn frequencies(&self, rope_dim: usize, factors: &[f32]) -> Vec<f32> {
        let scaled = |i: usize| {
            let exponent = (2 * i) as f32 / rope_dim as f32;
            let frequency = 1.0 / self.base.powf(exponent);
            let share = self.yarn.as_ref().map_or(1.0, |yarn| self.scaled_share(yarn, i, rope_dim));
            frequency / self.factor * share + frequency * (1.0 - share)
        };
        (0..rope_dim / 2).map(|i| scaled(i) / factors.get(i).copied().unwrap_or(1.0)).collect()
    }

    /// How much of frequency `i` is scaled, 0 to 1.
    fn scaled_share(&self, yarn: &Yarn, i: usize, rope_dim: usize) -> f32 {
        // The index of the frequency that makes this many turns in the original context.
        let index = |turns: f32| {
            rope_dim as f32 * (self.original_ctx as f32 / (turns * TAU)).ln() / (2.0 * self.base.ln())
        };
        let low = index(yarn.beta_fast).floor().max(0.0);
        let high = index(yarn.beta_slow).ceil().min((rope_dim - 1) as f32);
        ((i as f32 - low) / (high - low).max(0.001)).clamp(0.0, 1.0)
    }

    /// Cosine and sine of each pair at the positions of a context, `[n_ctx, rope_dim / 2, 2]`.
    pub fn turns(&self, rope_dim: usize, n_ctx: usize, factors: &[f32]) -> Vec<f32> {
        let frequencies = self.frequencies(rope_dim, factors);
        let size = match self.yarn {
            Some(_) => self.attn_factor * (1.0 + 0.1 * self.factor.max(1.0).ln()),
            None => self.attn_factor,
        };
        (0..n_ctx)
            .flat_map(|position| frequencies.iter().map(move |f| position as f32 * f))
            .flat_map(|angle| [size * angle.cos(), size * angle.sin()])
            .collect()
    }
}
