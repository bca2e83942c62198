//! The key and value cache of one conversation: bookkeeping here, the elements on the backend.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    backend::{Backend, Buf},
    error::{Error, Result},
};

/// A backend that a model and its caches share.
pub(crate) type SharedBackend = Arc<Mutex<Box<dyn Backend>>>;

/// Keys and values of the tokens that a model has seen, `[n_kv_heads, capacity, head_dim]` f32 a
/// layer, and the table of rotations for its positions. Freed when it is dropped.
pub struct KvCache {
    pub(crate) layers: Vec<(Buf, Buf)>,
    pub(crate) rope: Buf,
    len: usize,
    capacity: usize,
    backend: SharedBackend,
}

impl KvCache {
    /// `elements` is what one position takes in one of the `2 * n_layers` buffers; `rope` is the
    /// filled table, `[capacity, rope_dim]`.
    pub(crate) fn new(
        backend: &SharedBackend,
        n_layers: usize,
        elements: usize,
        capacity: usize,
        rope: &[f32],
    ) -> Result<KvCache> {
        let mut cache = KvCache {
            layers: Vec::with_capacity(n_layers),
            rope: Buf(u32::MAX),
            len: 0,
            capacity,
            backend: Arc::clone(backend),
        };
        let mut b = backend.lock().unwrap_or_else(PoisonError::into_inner);
        cache.rope = b.alloc(rope.len())?;
        b.write(cache.rope, rope)?;
        for _ in 0..n_layers {
            cache.layers.push((b.alloc(elements * capacity)?, b.alloc(elements * capacity)?));
        }
        drop(b);
        Ok(cache)
    }

    /// Tokens in the cache.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no token is in the cache.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Tokens that fit.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Forgets all tokens after the first `len`.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// Checks that `n` more tokens fit.
    pub(crate) fn reserve(&self, n: usize) -> Result<()> {
        match self.len + n <= self.capacity {
            true => Ok(()),
            false => Err(Error::ContextFull { needed: self.len + n, capacity: self.capacity }),
        }
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.len += n;
    }
}

impl Drop for KvCache {
    fn drop(&mut self) {
        let mut b = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        b.free(self.rope);
        for (k, v) in self.layers.drain(..) {
            b.free(k);
            b.free(v);
        }
    }
}
