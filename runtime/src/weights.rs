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
    pub attn_out: Buf,  // [n_embd, n_heads * head_dim]
    pub ffn_norm: Buf,  // [n_embd]
    pub gate_up: Buf,   // [2 * n_ff, n_embd]
    pub down: Buf,      // [n_embd, n_ff]
}

/// All weights.
#[derive(Clone, Debug)]
pub(crate) struct Weights {
    pub embedding: Buf, // [n_vocab, n_embd]
    pub layers: Vec<Layer>,
    pub output_norm: Buf,               // [n_embd]
    pub output: Buf,                    // [n_vocab, n_embd]
    pub rope_factors: Option<Vec<f32>>, // [rope_dim / 2]
}

impl Weights {
    /// Uploads every weight once; a tied output is the embedding's buffer.
    pub(crate) fn load(gguf: &Gguf, c: &ModelConfig, backend: &mut dyn Backend) -> Result<Weights> {
        let mut load = Loader { gguf, backend };
        let embedding = load.matrix(&[(EMBEDDING.into(), c.n_vocab)], c.n_embd)?;
        let output = match gguf.tensor(OUTPUT) {
            Some(_) => load.matrix(&[(OUTPUT.into(), c.n_vocab)], c.n_embd)?,
            None => embedding,
        };
        let layers = (0..c.n_layers).map(|i| load.layer(i, c)).collect::<Result<_>>()?;
        let output_norm = load.vector("output_norm.weight", c.n_embd)?;
        let rope_factors = match gguf.tensor("rope_freqs.weight") {
            Some(t) => Some(load.checked(t, &[c.rope_dim / 2]).and_then(|t| dequantize_tensor(&t))?),
            None => None,
        };
        Ok(Weights { embedding, layers, output_norm, output, rope_factors })
    }
}

struct Loader<'a> {
    gguf: &'a Gguf,
    backend: &'a mut dyn Backend,
}

impl Loader<'_> {
    fn layer(&mut self, i: usize, c: &ModelConfig) -> Result<Layer> {
        let name = |part: &str| format!("blk.{i}.{part}.weight");
        let (q, kv) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        self.refuse_bias(i)?;
        Ok(Layer {
            attn_norm: self.vector(&name("attn_norm"), c.n_embd)?,
            qkv: self.matrix(&[(name("attn_q"), q), (name("attn_k"), kv), (name("attn_v"), kv)], c.n_embd)?,
            attn_out: self.matrix(&[(name("attn_output"), c.n_embd)], q)?,
            ffn_norm: self.vector(&name("ffn_norm"), c.n_embd)?,
            gate_up: self.matrix(&[(name("ffn_gate"), c.n_ff), (name("ffn_up"), c.n_ff)], c.n_embd)?,
            down: self.matrix(&[(name("ffn_down"), c.n_embd)], c.n_ff)?,
        })
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
        let tensor = self.tensor(name).and_then(|t| self.checked(t, &[n]))?;
        let values = dequantize_tensor(&tensor)?;
        let buf = self.backend.alloc(n)?;
        self.backend.write(buf, &values)?;
        Ok(buf)
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

    fn refuse_bias(&self, layer: usize) -> Result<()> {
        let prefix = format!("blk.{layer}.");
        match self.gguf.tensors().iter().find(|t| t.name.starts_with(&prefix) && t.name.ends_with(".bias")) {
            Some(t) => Err(Error::Unsupported(format!("the bias {} is not run", t.name))),
            None => Ok(()),
        }
    }
}
