//! Every dimension and constant that the forward pass needs, from a file's metadata alone.

use crate::{
    error::{Error, Result},
    gguf::Gguf,
};

/// Architectures that are run.
const ARCHITECTURES: &[&str] = &["llama"];
/// Largest value that a dimension may have; real models stay far below.
const MAX_DIM: u32 = 1 << 24;

/// The shape of a model. All counts are in elements.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// `general.architecture`.
    pub architecture: String,
    /// `general.name`, empty where the file has none.
    pub name: String,
    /// Rows of the embedding and of the output matrix.
    pub n_vocab: usize,
    /// Positions the model was trained for.
    pub n_ctx_train: usize,
    /// Layers.
    pub n_layers: usize,
    /// Width of the hidden state.
    pub n_embd: usize,
    /// Width of the feed-forward layer.
    pub n_ff: usize,
    /// Query heads.
    pub n_heads: usize,
    /// Key and value heads; divides `n_heads`.
    pub n_kv_heads: usize,
    /// Elements of a head.
    pub head_dim: usize,
    /// Elements of a head that the rotary embedding turns.
    pub rope_dim: usize,
    /// Base of the rotary frequencies.
    pub rope_base: f32,
    /// Linear scaling: positions are divided by this.
    pub rope_scale: f32,
    /// Added to the mean square in every norm.
    pub norm_eps: f32,
}

impl ModelConfig {
    /// Reads and checks the metadata of a file.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an architecture or feature that is not run, and for a dimension
    /// that is missing or impossible.
    pub fn from_gguf(gguf: &Gguf) -> Result<ModelConfig> {
        let architecture = gguf.get_str("general.architecture")?.unwrap_or_default().to_owned();
        if !ARCHITECTURES.contains(&architecture.as_str()) {
            return Err(Error::Unsupported(format!(
                "architecture `{architecture}` is not run; these are: {}",
                ARCHITECTURES.join(", ")
            )));
        }
        let keys = Keys { gguf, architecture: &architecture };
        keys.refuse_experts()?;
        let n_embd = keys.dim("embedding_length", None)?;
        let n_heads = keys.dim("attention.head_count", None)?;
        let head_dim = keys.dim("attention.key_length", Some(n_embd / n_heads))?;
        let config = ModelConfig {
            name: gguf.get_str("general.name")?.unwrap_or_default().to_owned(),
            n_vocab: vocabulary(gguf)?,
            n_ctx_train: keys.dim("context_length", None)?,
            n_layers: keys.dim("block_count", None)?,
            n_embd,
            n_ff: keys.dim("feed_forward_length", None)?,
            n_heads,
            n_kv_heads: keys.dim("attention.head_count_kv", Some(n_heads))?,
            head_dim,
            rope_dim: keys.dim("rope.dimension_count", Some(head_dim))?,
            rope_base: keys.float("rope.freq_base", 10_000.0)?,
            rope_scale: keys.rope_scale()?,
            norm_eps: keys.float("attention.layer_norm_rms_epsilon", 1e-5)?,
            architecture,
        };
        config.check()?;
        Ok(config)
    }

    /// Columns of the fused query, key and value projection.
    pub fn qkv_dim(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
    }

    /// f32 elements that one position takes in the key and value caches of all layers.
    pub fn kv_elements_per_position(&self) -> usize {
        2 * self.n_layers * self.n_kv_heads * self.head_dim
    }

    /// The rotary frequencies, radians per position, `[rope_dim / 2]`; `factors` divides each
    /// (the `rope_freqs` tensor of Llama 3).
    pub fn rope_frequencies(&self, factors: Option<&[f32]>) -> Vec<f32> {
        (0..self.rope_dim / 2)
            .map(|i| {
                let exponent = (2 * i) as f32 / self.rope_dim as f32;
                let factor = factors.and_then(|f| f.get(i)).copied().unwrap_or(1.0);
                1.0 / self.rope_base.powf(exponent) / factor / self.rope_scale
            })
            .collect()
    }

    fn check(&self) -> Result<()> {
        let bad = |what: &str| Err(Error::Unsupported(format!("the metadata is impossible: {what}")));
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return bad("attention.head_count is no multiple of attention.head_count_kv");
        }
        if self.rope_dim > self.head_dim
            || !self.rope_dim.is_multiple_of(2)
            || !self.head_dim.is_multiple_of(4)
        {
            return bad("rope.dimension_count or attention.key_length does not fit a head");
        }
        if !(self.norm_eps >= 0.0 && self.rope_base > 0.0 && self.rope_scale > 0.0) {
            return bad("a norm epsilon, RoPE base or RoPE scale is out of range");
        }
        if self.n_layers > 1024 || self.n_heads > 1024 || self.head_dim > 1024 {
            return bad("block_count, attention.head_count or attention.key_length is over 1024");
        }
        Ok(())
    }
}

/// Rows of the embedding, which the tokenizer's vocabulary may not exceed.
fn vocabulary(gguf: &Gguf) -> Result<usize> {
    let embedding = gguf
        .tensors()
        .iter()
        .find(|t| t.name == crate::weights::EMBEDDING)
        .ok_or_else(|| Error::Unsupported("the file has no token embedding".into()))?;
    match embedding.dims.as_slice() {
        [_, rows] if *rows <= u64::from(MAX_DIM) => Ok(*rows as usize),
        dims => Err(Error::Unsupported(format!("the token embedding has the shape {dims:?}"))),
    }
}

/// Metadata keys behind the architecture's prefix.
struct Keys<'a> {
    gguf: &'a Gguf,
    architecture: &'a str,
}

impl Keys<'_> {
    fn dim(&self, key: &str, default: Option<usize>) -> Result<usize> {
        let key = format!("{}.{key}", self.architecture);
        match (self.gguf.get_u32(&key)?, default) {
            (Some(n), _) if (1..=MAX_DIM).contains(&n) => Ok(n as usize),
            (None, Some(n)) if n > 0 => Ok(n),
            (Some(n), _) => Err(Error::Unsupported(format!("{key} is {n}"))),
            (None, _) => Err(Error::Unsupported(format!("{key} is missing"))),
        }
    }

    fn float(&self, key: &str, default: f32) -> Result<f32> {
        Ok(self.gguf.get_f32(&format!("{}.{key}", self.architecture))?.unwrap_or(default))
    }

    fn rope_scale(&self) -> Result<f32> {
        let kind = self.gguf.get_str(&format!("{}.rope.scaling.type", self.architecture))?;
        match kind {
            None | Some("none" | "linear") => self.float("rope.scaling.factor", 1.0),
            Some(other) => Err(Error::Unsupported(format!(
                "RoPE scaling `{other}` is not run; linear and the factors of `rope_freqs` are"
            ))),
        }
    }

    fn refuse_experts(&self) -> Result<()> {
        match self.gguf.get_u32(&format!("{}.expert_count", self.architecture))? {
            None | Some(0) => Ok(()),
            Some(n) => Err(Error::Unsupported(format!("a mixture of {n} experts is not run"))),
        }
    }
}
