//! A loaded model, and the forward pass: one for all architectures, over the closed list of ops.

use std::{
    panic,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use crate::{
    backend::{
        self, AttentionParams, Backend, BackendOptions, Buf, Device, EmbedParams, HeadBufs, MatmulParams,
        RmsNormParams, SoftcapParams,
    },
    chat_template::ChatTemplate,
    config::ModelConfig,
    error::{Error, Result},
    gguf::Gguf,
    kv_cache::{KvCache, SharedBackend},
    tokenizer::{Token, Tokenizer},
    weights::Weights,
};

/// Rows of logits that are computed at a time, to bound their buffer.
const LOGIT_BATCH: usize = 8;

/// Which rows of logits a forward pass returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogitRows {
    /// None: the tokens only enter the cache.
    None,
    /// That of the last token.
    Last,
    /// One row a token.
    All,
}

/// Sees a named intermediate of the forward pass: its name, e.g. `layer.3.attention`, and values.
pub type Tap<'a> = &'a mut dyn FnMut(&str, &[f32]);

/// A model on a backend. Immutable: conversations keep their state in a [`KvCache`] each, and take
/// turns on the backend.
pub struct Model {
    config: ModelConfig,
    tokenizer: Tokenizer,
    chat_template: Option<ChatTemplate>,
    weights: Weights,
    scratch: Scratch,
    device: Device,
    backend: SharedBackend,
}

/// What turns messages into tokens. Independent of the weights, so it is built beside them.
fn text_from_gguf(gguf: &Gguf) -> Result<(Tokenizer, Option<ChatTemplate>)> {
    Ok((Tokenizer::from_gguf(gguf)?, ChatTemplate::from_gguf(gguf)?))
}

impl Model {
    /// Tokens that one forward pass takes at most.
    pub const BATCH: usize = 128;

    /// Maps a GGUF file and loads it onto a backend: a [`BackendChoice`](crate::BackendChoice) or more
    /// options.
    ///
    /// # Errors
    /// Any of [`Error`] that says what is wrong with the file, the model or the device.
    pub fn open(path: impl AsRef<Path>, options: impl Into<BackendOptions>) -> Result<Arc<Model>> {
        let model = Model::load(Gguf::open(path)?, backend::open(options)?)?;
        model.warm_up()?;
        Ok(model)
    }

    /// Loads a file onto a backend.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn load(gguf: Gguf, mut backend: Box<dyn Backend>) -> Result<Arc<Model>> {
        let config = ModelConfig::from_gguf(&gguf)?;
        let (text, weights) = thread::scope(|scope| {
            let text = scope.spawn(|| text_from_gguf(&gguf));
            let weights = Weights::load(&gguf, &config, backend.as_mut());
            (text.join().unwrap_or_else(|panicked| panic::resume_unwind(panicked)), weights)
        });
        let ((tokenizer, chat_template), weights) = (text?, weights?);
        let scratch = Scratch::new(&config, backend.as_mut())?;
        let device = backend.device().clone();
        let backend = Arc::new(Mutex::new(backend));
        Ok(Arc::new(Model { config, tokenizer, chat_template, weights, scratch, device, backend }))
    }

    /// Runs the forms of the forward pass once, so that drivers build their machine code now and
    /// not while a user waits for the first answer.
    fn warm_up(&self) -> Result<()> {
        let n = 2.min(self.config.n_ctx_train);
        let mut kv = self.new_kv_cache(n)?;
        for n in [1, n] {
            kv.truncate(0);
            self.forward(&[0, 0][..n], &mut kv, LogitRows::Last, &mut Vec::new())?;
        }
        Ok(())
    }

    /// The shape of the model.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The tokenizer in the file.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.tokenizer
    }

    /// The chat template in the file, if there is one.
    pub fn chat_template(&self) -> Option<&ChatTemplate> {
        self.chat_template.as_ref()
    }

    /// What the model runs on.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// An empty cache for `capacity` tokens.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] when `capacity` is 0 or beyond what the model was trained for,
    /// [`Error::OutOfMemory`] when the device has no room.
    pub fn new_kv_cache(&self, capacity: usize) -> Result<KvCache> {
        let c = &self.config;
        if !(1..=c.n_ctx_train).contains(&capacity) {
            return Err(Error::InvalidArgument(format!(
                "a context of {capacity} tokens is not possible: this model takes 1 to {}",
                c.n_ctx_train
            )));
        }
        let factors = &self.weights.rope_factors;
        let factors = if capacity > c.rope.original_ctx { &factors.long } else { &factors.short };
        let mut turns = vec![c.rope.turns(c.rope_dim, capacity, factors)];
        turns.extend(c.rope_local.iter().map(|rope| rope.turns(c.rope_dim, capacity, &[])));
        KvCache::new(&self.backend, c, capacity, &turns)
    }

    /// Appends `tokens` to the cache and writes the logits that `rows` asks for into `logits`,
    /// `[rows, n_vocab]`.
    ///
    /// # Errors
    /// [`Error::ContextFull`] and [`Error::InvalidArgument`] leave the cache as it was; a fault of
    /// the device does too, as far as its length goes.
    pub fn forward(
        &self,
        tokens: &[Token],
        kv: &mut KvCache,
        rows: LogitRows,
        logits: &mut Vec<f32>,
    ) -> Result<()> {
        self.forward_tapped(tokens, kv, rows, logits, None)
    }

    /// [`forward`](Self::forward) that shows every intermediate to `tap`, in order. Slow: each is
    /// read back.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    pub fn forward_tapped(
        &self,
        tokens: &[Token],
        kv: &mut KvCache,
        rows: LogitRows,
        logits: &mut Vec<f32>,
        tap: Option<Tap>,
    ) -> Result<()> {
        self.check(tokens, kv)?;
        let mut backend = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pass = Pass {
            model: self,
            backend: backend.as_mut(),
            kv,
            tap,
            n_tokens: tokens.len(),
            copy: Vec::new(),
        };
        pass.embed(tokens)?;
        for i in 0..self.config.n_layers {
            pass.layer(i)?;
        }
        pass.logits(rows, logits)?;
        kv.advance(tokens.len());
        Ok(())
    }

    fn check(&self, tokens: &[Token], kv: &mut KvCache) -> Result<()> {
        if tokens.is_empty() || tokens.len() > Model::BATCH {
            return Err(Error::InvalidArgument(format!(
                "a forward pass takes 1 to {} tokens, not {}",
                Model::BATCH,
                tokens.len()
            )));
        }
        if let Some(t) = tokens.iter().find(|t| **t as usize >= self.config.n_vocab) {
            return Err(Error::InvalidArgument(format!(
                "token {t} is outside the vocabulary of {}",
                self.config.n_vocab
            )));
        }
        kv.reserve(tokens.len())
    }
}

/// Activations of one forward pass, made once; B is [`Model::BATCH`].
struct Scratch {
    hidden: Buf,    // [B, n_embd], the residual stream
    normed: Buf,    // [B, n_embd]
    qkv: Buf,       // [B, qkv_dim]
    queries: Buf,   // [B, n_heads * head_dim]
    attention: Buf, // [B, n_heads * head_dim]
    gate_up: Buf,   // [B, 2 * n_ff]
    activated: Buf, // [B, n_ff]
    logits: Buf,    // [LOGIT_BATCH, n_vocab]
}

impl Scratch {
    fn new(c: &ModelConfig, backend: &mut dyn Backend) -> Result<Scratch> {
        let mut rows = |n: usize| backend.alloc(Model::BATCH * n);
        Ok(Scratch {
            hidden: rows(c.n_embd)?,
            normed: rows(c.n_embd)?,
            qkv: rows(c.qkv_dim())?,
            queries: rows(c.n_heads * c.head_dim)?,
            attention: rows(c.n_heads * c.head_dim)?,
            gate_up: rows(2 * c.n_ff)?,
            activated: rows(c.n_ff)?,
            logits: backend.alloc(LOGIT_BATCH * c.n_vocab)?,
        })
    }
}

/// f32 elements of all activations together, for the plan.
pub(crate) fn scratch_elements(c: &ModelConfig) -> usize {
    let row = 2 * c.n_embd + c.qkv_dim() + 2 * c.n_heads * c.head_dim + 3 * c.n_ff;
    Model::BATCH * row + LOGIT_BATCH * c.n_vocab
}

/// One forward pass under way.
struct Pass<'a, 't> {
    model: &'a Model,
    backend: &'a mut dyn Backend,
    kv: &'a KvCache,
    tap: Option<Tap<'t>>,
    n_tokens: usize,
    copy: Vec<f32>,
}

impl Pass<'_, '_> {
    fn embed(&mut self, tokens: &[Token]) -> Result<()> {
        let (c, s) = (&self.model.config, &self.model.scratch);
        let p = EmbedParams {
            n_tokens: self.n_tokens as u32,
            n_cols: c.n_embd as u32,
            row_begin: 0,
            n_rows: c.n_vocab as u32,
            scale: c.embedding_scale,
        };
        self.backend.embed(s.hidden, self.model.weights.embedding, tokens, p);
        self.tap(None, "embedding", s.hidden, c.n_embd)
    }

    fn layer(&mut self, i: usize) -> Result<()> {
        let w = self.model.weights.layers[i];
        let (c, s) = (&self.model.config, &self.model.scratch);

        // Attention: h += Wo · attend(rope(Wqkv · norm(h)))
        let p = self.matmul_params([c.qkv_dim(), c.n_embd]);
        self.backend.norm_matmul(s.qkv, s.hidden, w.attn_norm, w.qkv, s.normed, p);
        self.tap(Some(i), "qkv", s.qkv, c.qkv_dim())?;
        let (cache, p) = (&self.kv.layers[i], self.attention_params(i));
        let heads = HeadBufs { rope: cache.rope, weights: w.heads };
        self.backend.rope_attention(s.attention, s.qkv, cache.kv, heads, s.queries, p);
        self.tap(Some(i), "attention", s.attention, c.n_heads * c.head_dim)?;
        let (out, p) = self.residual(w.attn_post_norm, [c.n_embd, c.n_heads * c.head_dim]);
        self.backend.matmul(out, s.attention, w.attn_out, p);
        self.post_norm(w.attn_post_norm, p);
        self.tap(Some(i), "attn_out", s.hidden, c.n_embd)?;

        // Feed-forward: h += Wdown · (act(Wgate · norm(h)) * (Wup · norm(h)))
        let p = self.matmul_params([2 * c.n_ff, c.n_embd]);
        self.backend.norm_matmul(s.gate_up, s.hidden, w.ffn_norm, w.gate_up, s.normed, p);
        self.tap(Some(i), "gate_up", s.gate_up, 2 * c.n_ff)?;
        let (out, p) = self.residual(w.ffn_post_norm, [c.n_embd, c.n_ff]);
        self.backend.gated_matmul(out, s.gate_up, w.down, s.activated, c.gate, p);
        self.post_norm(w.ffn_post_norm, p);
        self.tap(Some(i), "ffn_out", s.hidden, c.n_embd)
    }

    /// Where a matmul goes whose rows end in the residual stream: there at once, or by way of its norm.
    fn residual(&self, post_norm: Option<Buf>, shape: [usize; 2]) -> (Buf, MatmulParams) {
        let (s, p) = (&self.model.scratch, self.matmul_params(shape));
        match post_norm {
            Some(_) => (s.normed, p),
            None => (s.hidden, MatmulParams { accumulate: 1, ..p }),
        }
    }

    /// h += norm(rows of the matmul), where there is such a norm.
    fn post_norm(&mut self, norm: Option<Buf>, p: MatmulParams) {
        let s = &self.model.scratch;
        if let Some(norm) = norm {
            let p = RmsNormParams { n_cols: p.n_rows, accumulate: 1, ..p.rms_norm() };
            self.backend.rms_norm(s.hidden, s.normed, norm, p);
        }
    }

    /// Norm and output matrix for the rows that are wanted, a few rows at a time.
    fn logits(&mut self, rows: LogitRows, logits: &mut Vec<f32>) -> Result<()> {
        let (c, s, w) = (&self.model.config, &self.model.scratch, &self.model.weights);
        let first = match rows {
            LogitRows::None => self.n_tokens,
            LogitRows::Last => self.n_tokens - 1,
            LogitRows::All => 0,
        };
        logits.resize((self.n_tokens - first) * c.n_vocab, 0.0);
        for (i, out) in logits.chunks_mut(LOGIT_BATCH * c.n_vocab).enumerate() {
            let n = out.len() / c.n_vocab;
            let p = MatmulParams {
                n_tokens: n as u32,
                first_token: (first + i * LOGIT_BATCH) as u32,
                ..self.matmul_params([c.n_vocab, c.n_embd])
            };
            self.backend.norm_matmul(s.logits, s.hidden, w.output_norm, w.output, s.normed, p);
            if c.logit_softcap > 0.0 {
                self.backend.softcap(s.logits, SoftcapParams { n: out.len() as u32, cap: c.logit_softcap });
            }
            self.backend.read(s.logits, out)?;
            if let Some(tap) = &mut self.tap {
                tap("logits", out);
            }
        }
        match rows {
            LogitRows::None => self.backend.read(s.hidden, &mut []),
            _ => Ok(()),
        }
    }

    /// For all tokens of the pass; `shape` is that of the weight, `[rows, columns]`.
    fn matmul_params(&self, [n_rows, n_cols]: [usize; 2]) -> MatmulParams {
        MatmulParams {
            n_tokens: self.n_tokens as u32,
            n_rows: n_rows as u32,
            n_cols: n_cols as u32,
            out_cols: n_rows as u32,
            eps: self.model.config.norm_eps,
            ..Default::default()
        }
    }

    fn attention_params(&self, layer: usize) -> AttentionParams {
        let (c, cache) = (&self.model.config, &self.kv.layers[layer]);
        AttentionParams {
            n_tokens: self.n_tokens as u32,
            pos: self.kv.len() as u32,
            n_heads: c.n_heads as u32,
            n_kv_heads: c.n_kv_heads as u32,
            head_dim: c.head_dim as u32,
            n_slots: cache.n_slots as u32,
            rope_dim: if c.is_rotated(layer) { c.rope_dim as u32 } else { 0 },
            halves: u32::from(c.rope_halves),
            has_norm: u32::from(c.head_norm),
            has_bias: u32::from(self.model.weights.layers[layer].has_bias),
            eps: c.norm_eps,
            scale: c.query_scale,
            window: c.window_of(layer).map_or(u32::MAX, |window| window as u32),
            softcap: c.attention_softcap,
        }
    }

    /// Shows the rows of a buffer to the tap, if there is one.
    fn tap(&mut self, layer: Option<usize>, part: &str, buf: Buf, cols: usize) -> Result<()> {
        let Some(tap) = &mut self.tap else {
            return Ok(());
        };
        self.copy.resize(self.n_tokens * cols, 0.0);
        self.backend.read(buf, &mut self.copy)?;
        match layer {
            Some(i) => tap(&format!("layer.{i}.{part}"), &self.copy),
            None => tap(part, &self.copy),
        }
        Ok(())
    }
}
