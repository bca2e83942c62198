//! Every dimension and constant that the forward pass needs, from a file's metadata alone.

mod architecture;
mod rope;

use architecture::{ARCHITECTURES, Architecture, Window};
pub use rope::{Rope, Yarn};

use crate::{
    backend::Gate,
    error::{Error, Result},
    gguf::Gguf,
    model::Model,
};

/// Largest value that a dimension may have; real models stay far below.
const MAX_DIM: u32 = 1 << 24;

/// The shape of a model and what tells its architecture from others. All counts are in elements.
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
    /// The rotary embedding.
    pub rope: Rope,
    /// That of layers with a window, where it is another.
    pub rope_local: Option<Rope>,
    /// The rotary embedding pairs elements `i` and `i + rope_dim / 2` (GPT-NeoX), not neighbours.
    pub rope_halves: bool,
    /// Every n-th layer is not rotated; 0: all are.
    pub no_rope_every: usize,
    /// Positions that a token sees in layers with a window, its own included.
    pub window: Option<usize>,
    /// Every n-th layer has no window; 0: all have it.
    pub global_every: usize,
    /// Query and key heads are normalised.
    pub head_norm: bool,
    /// What attention and the feed-forward part give is normalised before it is added.
    pub post_norms: bool,
    /// Queries, keys and values are one tensor of the file, gate and up another.
    pub fused_projections: bool,
    /// The activation of the feed-forward part.
    pub gate: Gate,
    /// Factor on the embedding.
    pub embedding_scale: f32,
    /// Factor on the scores of attention.
    pub query_scale: f32,
    /// Bound of the scores of attention; 0: none.
    pub attention_softcap: f32,
    /// Bound of the logits; 0: none.
    pub logit_softcap: f32,
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
        let name = gguf.get_str("general.architecture")?.unwrap_or_default();
        let arch = ARCHITECTURES.iter().find(|a| a.name == name).ok_or_else(|| not_run(name))?;
        let keys = Keys { gguf, architecture: name };
        keys.refuse_experts()?;
        let n_embd = keys.dim("embedding_length", None)?;
        let n_heads = keys.dim("attention.head_count", None)?;
        let head_dim = keys.dim("attention.key_length", Some(n_embd / n_heads))?;
        let n_layers = keys.dim("block_count", None)?;
        let n_ctx_train = keys.dim("context_length", None)?;
        let (window, global_every) = keys.window(arch)?;
        let query_width = if n_layers == arch.wide_query_layers { n_embd / n_heads } else { head_dim };
        let config = ModelConfig {
            architecture: name.to_owned(),
            name: gguf.get_str("general.name")?.unwrap_or_default().to_owned(),
            n_vocab: vocabulary(gguf)?,
            n_ctx_train,
            n_layers,
            n_embd,
            n_ff: keys.dim("feed_forward_length", None)?,
            n_heads,
            n_kv_heads: keys.dim("attention.head_count_kv", Some(n_heads))?,
            head_dim,
            rope_dim: keys.dim("rope.dimension_count", Some(head_dim))?,
            rope: keys.rope(n_ctx_train)?,
            rope_local: match arch.local_rope_base {
                Some(base) => Some(Rope::plain(keys.positive("rope.freq_base_swa", base)?)),
                None => None,
            },
            rope_halves: arch.rope_halves,
            no_rope_every: arch.no_rope_every,
            window,
            global_every,
            head_norm: arch.head_norm,
            post_norms: arch.post_norms,
            fused_projections: arch.fused_projections,
            gate: arch.gate,
            embedding_scale: if arch.scales_embedding { (n_embd as f32).sqrt() } else { 1.0 },
            query_scale: keys.positive("attention.scale", 1.0 / (query_width as f32).sqrt())?,
            attention_softcap: keys.not_negative("attn_logit_softcapping", arch.softcaps[0])?,
            logit_softcap: keys.not_negative("final_logit_softcapping", arch.softcaps[1])?,
            norm_eps: keys.not_negative("attention.layer_norm_rms_epsilon", 1e-5)?,
        };
        config.check()?;
        if keys.dim("attention.value_length", Some(head_dim))? != head_dim {
            return Err(impossible("attention.value_length differs from attention.key_length"));
        }
        Ok(config)
    }

    /// Columns of the fused query, key and value projection.
    pub fn qkv_dim(&self) -> usize {
        (self.n_heads + 2 * self.n_kv_heads) * self.head_dim
    }

    /// Positions that a token sees in a layer, where that is not all.
    pub fn window_of(&self, layer: usize) -> Option<usize> {
        self.window.filter(|_| !is_every(self.global_every, layer))
    }

    /// Whether a layer rotates queries and keys.
    pub fn is_rotated(&self, layer: usize) -> bool {
        !is_every(self.no_rope_every, layer)
    }

    /// Positions that the cache of a layer holds in a context of `n_ctx`: all, or the window of the
    /// first token of a batch and the batch.
    pub fn n_slots(&self, layer: usize, n_ctx: usize) -> usize {
        self.window_of(layer).map_or(n_ctx, |window| n_ctx.min(window.saturating_add(Model::BATCH)))
    }

    /// f32 elements of keys, values and rotations of a context of `n_ctx`.
    pub fn kv_elements(&self, n_ctx: usize) -> usize {
        let slots: usize = (0..self.n_layers).map(|layer| self.n_slots(layer, n_ctx)).sum();
        let tables = 1 + usize::from(self.rope_local.is_some());
        2 * slots * self.n_kv_heads * self.head_dim + tables * n_ctx * self.rope_dim
    }

    fn check(&self) -> Result<()> {
        if !self.n_heads.is_multiple_of(self.n_kv_heads) {
            return Err(impossible("attention.head_count is no multiple of attention.head_count_kv"));
        }
        let pairs = if self.rope_halves { 8 } else { 4 };
        if self.rope_dim > self.head_dim
            || !self.rope_dim.is_multiple_of(pairs)
            || !self.head_dim.is_multiple_of(4)
        {
            return Err(impossible("rope.dimension_count or attention.key_length does not fit a head"));
        }
        if self.n_layers > 1024 || self.n_heads > 1024 || self.head_dim > 1024 {
            return Err(impossible("block_count, attention.head_count or attention.key_length is over 1024"));
        }
        Ok(())
    }
}

/// Whether `layer` is the n-th, the 2n-th and so on; none is where n is 0.
fn is_every(n: usize, layer: usize) -> bool {
    n > 0 && (layer + 1).is_multiple_of(n)
}

fn not_run(architecture: &str) -> Error {
    let names: Vec<&str> = ARCHITECTURES.iter().map(|a| a.name).collect();
    let architecture = architecture.escape_debug();
    Error::Unsupported(format!("architecture `{architecture}` is not run; these are: {}", names.join(", ")))
}

fn impossible(what: &str) -> Error {
    Error::Unsupported(format!("the metadata is impossible: {what}"))
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

    fn float(&self, key: &str, default: f32, is_good: impl Fn(f32) -> bool) -> Result<f32> {
        let key = format!("{}.{key}", self.architecture);
        match self.gguf.get_f32(&key)? {
            Some(value) if !value.is_finite() || !is_good(value) => {
                Err(Error::Unsupported(format!("{key} is {value}")))
            }
            value => Ok(value.unwrap_or(default)),
        }
    }

    fn positive(&self, key: &str, default: f32) -> Result<f32> {
        self.float(key, default, |value| value > 0.0)
    }

    fn not_negative(&self, key: &str, default: f32) -> Result<f32> {
        self.float(key, default, |value| value >= 0.0)
    }

    /// The window, and every how many layers there is none.
    fn window(&self, arch: &Architecture) -> Result<(Option<usize>, usize)> {
        let key = "attention.sliding_window";
        match arch.window {
            Window::Never => Ok((None, 0)),
            Window::AllButEvery(n) => Ok((Some(self.dim(key, None)?), n)),
            Window::Told => match self.gguf.get_u32(&format!("{}.{key}", self.architecture))? {
                None | Some(0) => Ok((None, 0)),
                Some(_) => Ok((Some(self.dim(key, None)?), 0)),
            },
        }
    }

    fn rope(&self, n_ctx_train: usize) -> Result<Rope> {
        let kind = self.gguf.get_str(&format!("{}.rope.scaling.type", self.architecture))?;
        let (factor, yarn) = match kind {
            None | Some("none" | "linear") => (self.positive("rope.scaling.factor", 1.0)?, None),
            Some("longrope") => (1.0, None),
            Some("yarn") => {
                let beta_fast = self.positive("rope.scaling.yarn_beta_fast", 32.0)?;
                let beta_slow = self.positive("rope.scaling.yarn_beta_slow", 1.0)?;
                (self.positive("rope.scaling.factor", 1.0)?, Some(Yarn { beta_fast, beta_slow }))
            }
            Some(other) => {
                return Err(Error::Unsupported(format!(
                    "RoPE scaling `{other}` is not run; linear, yarn, longrope and the factors of \
                     `rope_freqs` are"
                )));
            }
        };
        Ok(Rope {
            base: self.float("rope.freq_base", 10_000.0, |base| base > 1.0)?,
            factor,
            attn_factor: self.positive("rope.scaling.attn_factor", 1.0)?,
            original_ctx: self.dim("rope.scaling.original_context_length", Some(n_ctx_train))?,
            yarn,
        })
    }

    fn refuse_experts(&self) -> Result<()> {
        match self.gguf.get_u32(&format!("{}.expert_count", self.architecture))? {
            None | Some(0) => Ok(()),
            Some(n) => Err(Error::Unsupported(format!(
                "architecture `{}` with a mixture of {n} experts is not run; choose a dense model",
                self.architecture
            ))),
        }
    }
}
