//! The weights of a model on a backend: the only list of tensor names.

use crate::{
    backend::{Backend, Buf},
    config::ModelConfig,
    error::{Error, Result},
    gguf::{Gguf, TensorView},
    quant::dequantize_tensor,
};

/// The token embedding, which is the output matrix too where the file has no other.
pub(crate) const EMBEDDING: &str = "token_embd.weight";
/// The output matrix, where the file has one of its own.
pub(crate) const OUTPUT: &str = "output.weight";

/// The weights of one layer; a matrix is `[rows, columns]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layer {
    pub attn_norm: Buf, // [n_embd]
    pub qkv: Buf,       // [qkv_dim, n_embd]
    pub heads: Buf,     // [2, head_dim] norms, then the bias [qkv_dim]
    pub has_bias: bool,
    pub attn_out: Buf,               // [n_embd, n_heads * head_dim]
    pub attn_post_norm: Option<Buf>, // [n_embd]
    pub ffn_norm: Buf,               // [n_embd]
    pub gate_up: Buf,                // [2 * n_ff, n_embd]
    pub down: Buf,                   // [n_embd, n_ff]
    pub ffn_post_norm: Option<Buf>,  // [n_embd]
}

/// All weights.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub embedding: Buf, // [n_vocab, n_embd]
    pub layers: Vec<Layer>,
    pub output_norm: Buf, // [n_embd]
    pub output: Buf,      // [n_vocab, n_embd]
    pub rope_factors: RopeFactors,
}

/// What divides the rotary frequencies, `[rope_dim / 2]`, in a context up to the original one and
/// beyond; empty where nothing does.
#[derive(Clone, Debug, Default)]
pub(crate) struct RopeFactors {
    pub short: Vec<f32>,
    pub long: Vec<f32>,
}

impl Weights {
    /// Uploads every weight once; a tied output is the embedding's buffer.
    pub(crate) fn load(gguf: &Gguf, c: &ModelConfig, backend: &mut dyn Backend) -> Result<Weights> {
        let no_heads = backend.alloc(0)?;
        let mut load = Loader { gguf, backend, no_heads };
        let embedding = load.matrix(&[(EMBEDDING.into(), c.n_vocab)], c.n_embd)?;
        let output = match gguf.tensor(OUTPUT) {
            Some(_) => load.matrix(&[(OUTPUT.into(), c.n_vocab)], c.n_embd)?,
            None => embedding,
        };
        let layers = (0..c.n_layers).map(|i| load.layer(i, c)).collect::<Result<_>>()?;
        let output_norm = load.vector("output_norm.weight", c.n_embd)?;
        let rope_factors = load.rope_factors(c)?;
        Ok(Weights { embedding, layers, output_norm, output, rope_factors })
    }
}

struct Loader<'a> {
    gguf: &'a Gguf,
    backend: &'a mut dyn Backend,
    /// Stands for the norms and biases of heads that have none.
    no_heads: Buf,
}

impl Loader<'_> {
    fn layer(&mut self, i: usize, c: &ModelConfig) -> Result<Layer> {
        let name = |part: &str| format!("blk.{i}.{part}.weight");
        let (q, kv) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        let (qkv, gate_up) = match c.fused_projections {
            true => (vec![("attn_qkv", c.qkv_dim())], vec![("ffn_up", 2 * c.n_ff)]),
            false => (
                vec![("attn_q", q), ("attn_k", kv), ("attn_v", kv)],
                vec![("ffn_gate", c.n_ff), ("ffn_up", c.n_ff)],
            ),
        };
        self.refuse_other_bias(i, &qkv)?;
        let (heads, has_bias) = self.heads(i, c, &qkv)?;
        let named =
            |parts: &[(&str, usize)]| -> Vec<_> { parts.iter().map(|(p, n)| (name(p), *n)).collect() };
        let post_norm = |load: &mut Self, part: &str| match c.post_norms {
            true => load.vector(&name(part), c.n_embd).map(Some),
            false => Ok(None),
        };
        Ok(Layer {
            attn_norm: self.vector(&name("attn_norm"), c.n_embd)?,
            qkv: self.matrix(&named(&qkv), c.n_embd)?,
            heads,
            has_bias,
            attn_out: self.matrix(&[(name("attn_output"), c.n_embd)], q)?,
            attn_post_norm: post_norm(self, "post_attention_norm")?,
            ffn_norm: self.vector(&name("ffn_norm"), c.n_embd)?,
            gate_up: self.matrix(&named(&gate_up), c.n_embd)?,
            down: self.matrix(&[(name("ffn_down"), c.n_embd)], c.n_ff)?,
            ffn_post_norm: post_norm(self, "post_ffw_norm")?,
        })
    }

    /// Norms and biases of the heads of a layer, and whether it has biases: of all of `parts`, or none.
    fn heads(&mut self, i: usize, c: &ModelConfig, parts: &[(&str, usize)]) -> Result<(Buf, bool)> {
        let has_bias = parts.iter().any(|(part, _)| self.gguf.tensor(&bias(i, part)).is_some());
        if !has_bias && !c.head_norm {
            return Ok((self.no_heads, false));
        }
        let mut values = vec![0.0; 2 * c.head_dim];
        if c.head_norm {
            for (part, values) in ["attn_q_norm", "attn_k_norm"].iter().zip(values.chunks_mut(c.head_dim)) {
                values.copy_from_slice(&self.values(&format!("blk.{i}.{part}.weight"), c.head_dim)?);
            }
        }
        for (part, n) in parts.iter().filter(|_| has_bias) {
            values.extend(self.values(&bias(i, part), *n)?);
        }
        let buf = self.backend.alloc(values.len())?;
        self.backend.write(buf, &values)?;
        Ok((buf, has_bias))
    }

    fn rope_factors(&self, c: &ModelConfig) -> Result<RopeFactors> {
        let [always, short, long] =
            ["rope_freqs.weight", "rope_factors_short.weight", "rope_factors_long.weight"];
        let has = |name: &str| self.gguf.tensor(name).is_some();
        let factors = |name: &str| {
            let values = self.values(name, c.rope_dim / 2)?;
            match values.iter().all(|v| v.is_finite() && *v > 0.0) {
                true => Ok(values),
                false => {
                    Err(Error::Unsupported(format!("the tensor {name} holds factors that are not positive")))
                }
            }
        };
        if has(always) {
            let factors = factors(always)?;
            return Ok(RopeFactors { short: factors.clone(), long: factors });
        }
        match has(short) || has(long) {
            true => Ok(RopeFactors { short: factors(short)?, long: factors(long)? }),
            false => Ok(RopeFactors::default()),
        }
    }

    /// The rows of the named tensors, `(name, rows)`, as one matrix of `cols` columns.
    fn matrix(&mut self, parts: &[(String, usize)], cols: usize) -> Result<Buf> {
        let tensors = parts
            .iter()
            .map(|(name, rows)| self.tensor(name).and_then(|t| self.checked(t, &[cols, *rows])))
            .collect::<Result<Vec<_>>>()?;
        self.backend.upload(&tensors)
    }

    fn vector(&mut self, name: &str, n: usize) -> Result<Buf> {
        let values = self.values(name, n)?;
        let buf = self.backend.alloc(n)?;
        self.backend.write(buf, &values)?;
        Ok(buf)
    }

    fn values(&self, name: &str, n: usize) -> Result<Vec<f32>> {
        let tensor = self.tensor(name).and_then(|t| self.checked(t, &[n]))?;
        dequantize_tensor(&tensor)
    }

    fn tensor(&self, name: &str) -> Result<TensorView> {
        let missing = || Error::Unsupported(format!("the tensor {name} is missing"));
        self.gguf.tensor(name).ok_or_else(missing)
    }

    fn checked(&self, tensor: TensorView, dims: &[usize]) -> Result<TensorView> {
        if tensor.dims().iter().map(|d| *d as usize).eq(dims.iter().copied()) {
            return Ok(tensor);
        }
        Err(Error::Unsupported(format!(
            "the tensor {} has the shape {:?}; the metadata says {dims:?}",
            tensor.name(),
            tensor.dims()
        )))
    }

    /// Refuses biases but those of `parts`.
    fn refuse_other_bias(&self, layer: usize, parts: &[(&str, usize)]) -> Result<()> {
        let prefix = format!("blk.{layer}.");
        let is_other = |name: &str| {
            let is_bias = name.starts_with(&prefix) && name.ends_with(".bias");
            is_bias && !parts.iter().any(|(part, _)| bias(layer, part) == name)
        };
        match self.gguf.tensors().iter().find(|t| is_other(&t.name)) {
            Some(t) => Err(Error::Unsupported(format!("the bias {} is not run", t.name))),
            None => Ok(()),
        }
    }
}

fn bias(layer: usize, part: &str) -> String {
    format!("blk.{layer}.{part}.bias")
}
