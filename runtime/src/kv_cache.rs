//! The key and value cache of one conversation: bookkeeping here, the elements on the backend.

use std::sync::{Arc, Mutex, PoisonError};

use crate::{
    backend::{Backend, Buf, KvBufs},
    config::ModelConfig,
    error::{Error, Result},
};

/// A backend that a model and its caches share.
pub(crate) type SharedBackend = Arc<Mutex<Box<dyn Backend>>>;

/// The keys and values of one layer, `[n_kv_heads, n_slots, head_dim]` f32 each, and the rotations of its
/// positions.
pub(crate) struct LayerCache {
    pub kv: KvBufs,
    pub n_slots: usize,
    pub rope: Buf,
}

/// Keys and values of the tokens that a model has seen. Layers with a window hold the last positions
/// only, as a ring. Freed when it is dropped.
pub struct KvCache {
    pub(crate) layers: Vec<LayerCache>,
    /// One, or two where layers with a window have their own.
    ropes: Vec<Buf>,
    len: usize,
    capacity: usize,
    /// Positions that a token sees in layers with a window, and those that their rings hold.
    ring: Option<[usize; 2]>,
    /// Positions that were written since the cache was empty, those included that were truncated.
    written: usize,
    backend: SharedBackend,
}

impl KvCache {
    /// `turns` are the rotations of `capacity` positions: of all layers, or of layers without and with
    /// a window.
    pub(crate) fn new(
        backend: &SharedBackend,
        c: &ModelConfig,
        capacity: usize,
        turns: &[Vec<f32>],
    ) -> Result<KvCache> {
        let windowed = (0..c.n_layers).find(|i| c.window_of(*i).is_some());
        let mut cache = KvCache {
            layers: Vec::with_capacity(c.n_layers),
            ropes: Vec::with_capacity(turns.len()),
            len: 0,
            capacity,
            ring: windowed.and_then(|i| Some([c.window_of(i)?, c.n_slots(i, capacity)])),
            written: 0,
            backend: Arc::clone(backend),
        };
        let mut b = backend.lock().unwrap_or_else(PoisonError::into_inner);
        let filled = cache.fill(b.as_mut(), c, turns);
        drop(b);
        filled?;
        Ok(cache)
    }

    fn fill(&mut self, b: &mut dyn Backend, c: &ModelConfig, turns: &[Vec<f32>]) -> Result<()> {
        for turns in turns {
            let rope = b.alloc(turns.len())?;
            self.ropes.push(rope);
            b.write(rope, turns)?;
        }
        for i in 0..c.n_layers {
            let n_slots = c.n_slots(i, self.capacity);
            let shape = [c.n_kv_heads, n_slots, c.head_dim];
            let rope = match c.window_of(i) {
                Some(_) => self.ropes.last(),
                None => self.ropes.first(),
            };
            let rope = rope.copied().unwrap_or(Buf(u32::MAX));
            let k = b.alloc_kv(shape)?;
            // Known before the second allocation may fail, so that the first is freed then.
            self.layers.push(LayerCache { kv: KvBufs { k, v: Buf(u32::MAX) }, n_slots, rope });
            let v = b.alloc_kv(shape)?;
            self.layers[i].kv.v = v;
        }
        Ok(())
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

    /// Forgets all tokens after the first `len`, or all of them: layers with a window hold the last
    /// positions only, and going back beyond those means to start again. [`len`](Self::len) tells.
    pub fn truncate(&mut self, len: usize) {
        let holds = |[window, n_slots]: [usize; 2]| {
            let needed = (len + 1).saturating_sub(window);
            needed >= self.written.saturating_sub(n_slots)
        };
        if len >= self.len {
            return;
        }
        self.len = if self.ring.is_none_or(holds) { len } else { 0 };
        if self.len == 0 {
            self.written = 0;
        }
    }

    /// Makes room for `n` more tokens.
    pub(crate) fn reserve(&mut self, n: usize) -> Result<()> {
        if self.len + n > self.capacity {
            return Err(Error::ContextFull { needed: self.len + n, capacity: self.capacity });
        }
        self.written = self.written.max(self.len + n);
        Ok(())
    }

    pub(crate) fn advance(&mut self, n: usize) {
        self.len += n;
    }
}

impl Drop for KvCache {
    fn drop(&mut self) {
        let mut b = self.backend.lock().unwrap_or_else(PoisonError::into_inner);
        for rope in self.ropes.drain(..) {
            b.free(rope);
        }
        for layer in self.layers.drain(..) {
            b.free(layer.kv.k);
            b.free(layer.kv.v);
        }
    }
}
