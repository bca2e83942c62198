//! What loading a model will take, told before it is loaded.

use std::collections::BTreeMap;

use crate::{
    config::ModelConfig,
    error::Result,
    gguf::Gguf,
    model,
    quant::{BLOCK, WeightType},
    weights::{EMBEDDING, OUTPUT},
};

/// Bytes that a model takes on a backend at a context size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Positions of the key and value cache.
    pub n_ctx: usize,
    /// Weights: on the GPU as they are laid out there, on the CPU the mapped file.
    pub weights: u64,
    /// Keys, values and rotations of one conversation.
    pub kv_cache: u64,
    /// Activations of a forward pass.
    pub activations: u64,
    /// Bytes of the weights that one decoded token reads: all of them, but a single row of an
    /// embedding that is not the output matrix too.
    pub read_per_token: u64,
    /// Tensors and bytes in the file by type, e.g. `Q4_1`.
    pub types: BTreeMap<String, (usize, u64)>,
}

impl Plan {
    /// Plans a file for the GPU or the CPU.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) when the model cannot be run at all.
    pub fn new(gguf: &Gguf, on_gpu: bool, n_ctx: usize) -> Result<Plan> {
        let c = ModelConfig::from_gguf(gguf)?;
        let mut types = BTreeMap::new();
        let (mut weights, mut read_per_token) = (0, 0);
        let is_tied = gguf.tensor(OUTPUT).is_none();
        for info in gguf.tensors() {
            let entry: &mut (usize, u64) = types.entry(format!("{:?}", info.ty)).or_default();
            entry.0 += 1;
            entry.1 += info.n_bytes();
            let bytes = match gguf.tensor(&info.name).filter(|t| on_gpu && t.dims().len() > 1) {
                Some(t) if t.cols().is_multiple_of(BLOCK) => {
                    WeightType::of(&t)?.gpu_bytes(t.rows(), t.cols()) as u64
                }
                _ => info.n_bytes(),
            };
            weights += bytes;
            read_per_token += match info.name == EMBEDDING && !is_tied {
                true => bytes / c.n_vocab as u64,
                false => bytes,
            };
        }
        Ok(Plan {
            n_ctx,
            weights,
            kv_cache: (c.kv_elements(n_ctx) * 4) as u64,
            activations: (model::scratch_elements(&c) * 4) as u64,
            read_per_token,
            types,
        })
    }

    /// All bytes together.
    pub fn total(&self) -> u64 {
        self.weights + self.kv_cache + self.activations
    }
}
