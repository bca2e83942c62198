//! The GPU backend, through wgpu. Ops are recorded and submitted together in
//! [`read`](Backend::read): one submit a token. Pipelines and bind groups are made when an op first
//! meets its buffers and reused from then on.

mod bandwidth;
mod context;
mod forms;
mod matmul;
mod matrix;
mod pipelines;
mod recorder;
mod uniforms;
mod words;

use super::{
    Activations, AttentionParams, Backend, Buf, Device, EmbedParams, Gate, GeluMulParams, HeadBufs, KvBufs,
    MatmulParams, RmsNormParams, RopeKvParams, SiluMulParams, SoftcapParams, compose,
};
use crate::{
    error::{Error, Result},
    gguf::TensorView,
    quant::BLOCK,
    tokenizer::Token,
};
use context::Context;
use forms::Input;
use matmul::{Batch, Operands, QUANTIZED_BLOCK_BYTES, Quantized};
use matrix::Chunk;
use pipelines::Form;
use recorder::{Binding, Recorder};
use words::Words;

/// The buffer of token ids; those of other buffers count up from here.
const TOKENS_ID: u32 = 0;

/// Lanes that `rope_kv` gives to a head; the constant LANES of the kernel.
const ROPE_KV_LANES: u32 = 8;
/// Workgroups of `softcap` at most, whose lanes take several elements each then.
const SOFTCAP_GROUPS: u32 = 1024;

/// How to open the GPU; the default is right except in tests.
#[derive(Clone, Copy, Debug)]
pub struct GpuOptions {
    /// Use subgroups where the adapter has them.
    pub subgroups: bool,
    /// Load 64-bit words where the adapter has them.
    pub int64: bool,
    /// Keep weights, batches of activations and the cache in textures where that is faster.
    pub textures: bool,
    /// The arithmetic of matmuls; [`Activations::Auto`] is f32.
    pub activations: Activations,
    /// Bytes of weights that one buffer or texture may hold, at most what the adapter allows.
    pub max_binding_bytes: u64,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            subgroups: true,
            int64: true,
            textures: true,
            activations: Activations::Auto,
            max_binding_bytes: u64::MAX,
        }
    }
}

/// What a [`Buf`] stands for.
enum Slot {
    Free,
    F32 { id: u32, words: Words },
    Matrix { id: u32, chunks: Vec<Chunk> },
}

/// Runs ops on a GPU.
pub struct Gpu {
    ctx: Context,
    recorder: Recorder,
    slots: Vec<Slot>,
    next_id: u32,
    tokens: wgpu::Buffer,
    /// What a matmul of many tokens reads its activations from, where it reads textures.
    batch: Option<Batch>,
    /// Where `quantize` writes, if it is used.
    quantized: Option<Quantized>,
    max_binding: u64,
}

impl Gpu {
    /// Opens the best adapter.
    ///
    /// # Errors
    /// [`Error::NoGpu`] when there is none that can be used.
    pub fn open() -> Result<Gpu> {
        Gpu::open_with(GpuOptions::default())
    }

    /// Opens the best adapter with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(options: GpuOptions) -> Result<Gpu> {
        let ctx = Context::open(options)?;
        let tokens = storage(&ctx, crate::Model::BATCH * 4)?;
        let recorder = Recorder::new(&ctx);
        Ok(Gpu {
            max_binding: options.max_binding_bytes,
            batch: None,
            quantized: None,
            slots: Vec::new(),
            next_id: TOKENS_ID + 1,
            ctx,
            recorder,
            tokens,
        })
    }

    /// Measures what the adapter's memory gives to a WGSL kernel that only reads, in bytes per
    /// second; the best of the ways to read that were tried.
    ///
    /// # Errors
    /// [`Error::Gpu`] and [`Error::OutOfMemory`] as for any work.
    pub fn read_bandwidth(&mut self) -> Result<f64> {
        bandwidth::measure(&self.ctx)
    }

    fn insert(&mut self, slot: Slot) -> Buf {
        let free = self.slots.iter().position(|s| matches!(s, Slot::Free));
        let at = free.unwrap_or_else(|| {
            self.slots.push(Slot::Free);
            self.slots.len() - 1
        });
        self.slots[at] = slot;
        Buf(at as u32)
    }

    fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// Whether a cache is a texture.
    fn is_texture(&self, buf: Buf) -> bool {
        matches!(self.slots.get(buf.0 as usize), Some(Slot::F32 { words: Words::Texture { .. }, .. }))
    }

    /// Records one dispatch over f32 buffers.
    fn record<const N: usize>(&mut self, form: Form, params: &[u8], bufs: [Buf; N], groups: [u32; 3]) {
        let mut bindings = [Binding::buffer(TOKENS_ID, &self.tokens); N];
        for (binding, buf) in bindings.iter_mut().zip(bufs) {
            match self.slots.get(buf.0 as usize) {
                Some(Slot::F32 { id, words }) => *binding = Binding::words(*id, words),
                _ => return self.recorder.fail(unknown_buffer(buf)),
            }
        }
        self.recorder.record(&self.ctx, form, params, &bindings, groups);
    }

    /// Records a matmul whose weights meet `input`, made of `x` and, where it is normalised, `norm`. The
    /// matrix takes such an input: see [`takes_input`](Self::takes_input).
    fn record_matmul(&mut self, out: Buf, x: Buf, norm: Buf, weight: Buf, input: Input, p: MatmulParams) {
        let slot = |buf: Buf| self.slots.get(buf.0 as usize);
        let slots = (slot(out), slot(x), slot(norm), slot(weight));
        let (
            Some(Slot::F32 { id: out_id, words: out }),
            Some(Slot::F32 { id: x_id, words: x }),
            Some(Slot::F32 { id: norm_id, words: norm }),
            Some(Slot::Matrix { id, chunks }),
        ) = slots
        else {
            return self.recorder.fail(unknown_buffer(weight));
        };
        let operands = Operands {
            x: (*x_id, x),
            norm: Binding::words(*norm_id, norm),
            weight: (*id, chunks),
            out: Binding::words(*out_id, out),
            batch: self.batch.as_ref(),
            quantized: self.quantized.as_ref(),
        };
        operands.record(&self.ctx, &mut self.recorder, input, p);
    }

    /// Whether the matmul prepares its input on the way, so that no op has to do so before: that of one
    /// token does, and quantising does.
    fn takes_input(&self, weight: Buf, p: &MatmulParams) -> bool {
        let is_int8 = |chunk: &Chunk| forms::takes_int8(&self.ctx, chunk.ty);
        forms::is_matvec(&self.ctx, p)
            || matches!(self.slots.get(weight.0 as usize),
                Some(Slot::Matrix { chunks, .. }) if chunks.iter().all(is_int8))
    }

    /// Makes room for a batch of activations of `n_cols` columns, where matmuls read them from a texture or
    /// quantise them.
    fn reserve_batch(&mut self, n_cols: usize) -> Result<()> {
        let bytes = crate::Model::BATCH * n_cols * 4;
        let has_room = self.batch.as_ref().is_some_and(|a| a.bytes >= bytes);
        if self.ctx.textures && !has_room {
            let words = Words::new(&self.ctx, bytes)?;
            if let Some(old) = self.batch.take() {
                self.recorder.forget(old.id..old.id + 1);
            }
            self.batch = Some(Batch { id: self.new_id(), bytes, words });
        }
        let bytes = crate::Model::BATCH * n_cols.div_ceil(BLOCK) * QUANTIZED_BLOCK_BYTES;
        let has_room = self.quantized.as_ref().is_some_and(|q| q.words.bytes() >= bytes as u64);
        if self.ctx.int8 && !has_room {
            let words = Words::Buffer(storage(&self.ctx, bytes)?);
            if let Some(old) = self.quantized.take() {
                self.recorder.forget(old.id..old.id + 1);
            }
            self.quantized = Some(Quantized { id: self.new_id(), words });
        }
        Ok(())
    }
}

impl Backend for Gpu {
    fn device(&self) -> &Device {
        &self.ctx.info
    }

    fn upload(&mut self, tensors: &[TensorView]) -> Result<Buf> {
        self.reserve_batch(tensors.iter().map(TensorView::cols).max().unwrap_or(0))?;
        let chunks = matrix::upload(&self.ctx, tensors, self.max_binding)?;
        let id = self.next_id;
        self.next_id += chunks.len() as u32;
        Ok(self.insert(Slot::Matrix { id, chunks }))
    }

    fn alloc(&mut self, n_f32: usize) -> Result<Buf> {
        let bytes = n_f32 as u64 * 4;
        let limit = self.ctx.device.limits().max_storage_buffer_binding_size;
        if bytes > limit {
            return Err(Error::OutOfMemory(format!(
                "a buffer of {} MB is over this GPU's limit of {} MB; use a smaller context",
                bytes >> 20,
                limit >> 20
            )));
        }
        let words = Words::Buffer(storage(&self.ctx, n_f32 * 4)?);
        let id = self.new_id();
        Ok(self.insert(Slot::F32 { id, words }))
    }

    fn alloc_kv(&mut self, shape: [usize; 3]) -> Result<Buf> {
        let bytes = shape.iter().product::<usize>() * 4;
        if !forms::cache_is_texture(&self.ctx, shape[2] as u32) || bytes as u64 > Words::max_bytes(&self.ctx)
        {
            return self.alloc(bytes / 4);
        }
        let words = Words::new(&self.ctx, bytes)?;
        let id = self.new_id();
        Ok(self.insert(Slot::F32 { id, words }))
    }

    fn free(&mut self, buf: Buf) {
        let Some(slot) = self.slots.get_mut(buf.0 as usize) else {
            return;
        };
        match std::mem::replace(slot, Slot::Free) {
            Slot::Free => {}
            Slot::F32 { id, .. } => self.recorder.forget(id..id + 1),
            Slot::Matrix { id, chunks } => self.recorder.forget(id..id + chunks.len() as u32),
        }
    }

    fn write(&mut self, buf: Buf, data: &[f32]) -> Result<()> {
        match self.slots.get(buf.0 as usize) {
            Some(Slot::F32 { words, .. }) if words.bytes() >= data.len() as u64 * 4 => {
                words.write(&self.ctx, 0, bytemuck::cast_slice(data));
                self.ctx.queue.submit([]);
                self.ctx.wait()
            }
            _ => Err(Error::InvalidArgument(format!("{} elements do not fit into the buffer", data.len()))),
        }
    }

    fn embed(&mut self, out: Buf, table: Buf, tokens: &[Token], p: EmbedParams) {
        self.ctx.queue.write_buffer(&self.tokens, 0, bytemuck::cast_slice(tokens));
        let slots = (self.slots.get(out.0 as usize), self.slots.get(table.0 as usize));
        let (Some(Slot::F32 { id: out_id, words: out }), Some(Slot::Matrix { id, chunks })) = slots else {
            return self.recorder.fail(unknown_buffer(table));
        };
        for (chunk, id) in chunks.iter().zip(*id..) {
            let p = EmbedParams { row_begin: chunk.row_begin, n_rows: chunk.n_rows, ..p };
            let form = forms::embed(&self.ctx, chunk.ty);
            let bindings = [
                Binding::words(id, &chunk.words),
                Binding::buffer(TOKENS_ID, &self.tokens),
                Binding::words(*out_id, out),
            ];
            let lanes = p.n_tokens * (p.n_cols / 32);
            self.recorder.record(
                &self.ctx,
                form,
                bytemuck::bytes_of(&p),
                &bindings,
                [lanes.div_ceil(64), 1, 1],
            );
        }
    }

    fn rms_norm(&mut self, out: Buf, x: Buf, weight: Buf, p: RmsNormParams) {
        let groups = [p.n_tokens, 1, 1];
        let form = forms::rms_norm(&self.ctx);
        self.record(form, bytemuck::bytes_of(&p), [x, weight, out], groups);
    }

    fn matmul(&mut self, out: Buf, x: Buf, weight: Buf, p: MatmulParams) {
        self.record_matmul(out, x, x, weight, Input::Plain, p);
    }

    fn norm_matmul(&mut self, out: Buf, x: Buf, norm: Buf, weight: Buf, scratch: Buf, p: MatmulParams) {
        if self.takes_input(weight, &p) {
            return self.record_matmul(out, x, norm, weight, Input::Normed, p);
        }
        compose::norm_matmul(self, out, x, norm, weight, scratch, p);
    }

    fn gated_matmul(
        &mut self,
        out: Buf,
        gate_up: Buf,
        weight: Buf,
        scratch: Buf,
        gate: Gate,
        p: MatmulParams,
    ) {
        if self.takes_input(weight, &p) {
            return self.record_matmul(out, gate_up, gate_up, weight, Input::gated(gate), p);
        }
        compose::gated_matmul(self, out, gate_up, weight, scratch, gate, p);
    }

    fn rope_kv(&mut self, queries: Buf, qkv: Buf, kv: KvBufs, heads: HeadBufs, p: RopeKvParams) {
        let lanes = p.n_tokens * (p.n_heads + 2 * p.n_kv_heads) * ROPE_KV_LANES;
        let bufs = [qkv, kv.k, kv.v, heads.rope, heads.weights, queries];
        let kernel = if self.is_texture(kv.k) { "rope_kv_texture" } else { "rope_kv" };
        self.record(Form::plain(kernel), bytemuck::bytes_of(&p), bufs, [lanes.div_ceil(64), 1, 1]);
    }

    fn attention(&mut self, out: Buf, queries: Buf, kv: KvBufs, p: AttentionParams) {
        let tiled = forms::attention(&self.ctx, &p, self.is_texture(kv.k));
        let groups = [p.n_heads / tiled.x, p.n_tokens.div_ceil(tiled.y), 1];
        self.record(tiled.form, bytemuck::bytes_of(&p), [queries, kv.k, kv.v, out], groups);
    }

    fn rope_attention(
        &mut self,
        out: Buf,
        qkv: Buf,
        kv: KvBufs,
        heads: HeadBufs,
        scratch: Buf,
        p: AttentionParams,
    ) {
        match forms::rope_attention(&self.ctx, &p, self.is_texture(kv.k)) {
            Some(tiled) => {
                let groups = [p.n_heads / tiled.x, 1, 1];
                let bufs = [qkv, kv.k, kv.v, out, heads.rope, heads.weights];
                self.record(tiled.form, bytemuck::bytes_of(&p), bufs, groups);
            }
            None => compose::rope_attention(self, out, qkv, kv, heads, scratch, p),
        }
    }

    fn silu_mul(&mut self, out: Buf, gate_up: Buf, p: SiluMulParams) {
        let groups = [(p.n_tokens * p.n_ff / 4).div_ceil(64), 1, 1];
        self.record(Form::plain("silu_mul"), bytemuck::bytes_of(&p), [gate_up, out], groups);
    }

    fn gelu_mul(&mut self, out: Buf, gate_up: Buf, p: GeluMulParams) {
        let groups = [(p.n_tokens * p.n_ff / 4).div_ceil(64), 1, 1];
        self.record(Form::plain("gelu_mul"), bytemuck::bytes_of(&p), [gate_up, out], groups);
    }

    fn softcap(&mut self, x: Buf, p: SoftcapParams) {
        let groups = [p.n.div_ceil(64).min(SOFTCAP_GROUPS), 1, 1];
        self.record(Form::plain("softcap"), bytemuck::bytes_of(&p), [x], groups);
    }

    fn read(&mut self, buf: Buf, out: &mut [f32]) -> Result<()> {
        match self.slots.get(buf.0 as usize) {
            Some(Slot::F32 { words, .. }) if words.bytes() >= out.len() as u64 * 4 => {
                self.recorder.read(&self.ctx, words, bytemuck::cast_slice_mut(out))
            }
            _ => Err(unknown_buffer(buf)),
        }
    }
}

fn unknown_buffer(buf: Buf) -> Error {
    Error::InvalidArgument(format!("buffer {} is not what the op takes, or too small", buf.0))
}

/// A zeroed storage buffer.
fn storage(ctx: &Context, bytes: usize) -> Result<wgpu::Buffer> {
    let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST | wgpu::BufferUsages::COPY_SRC;
    let buffer = ctx.device.create_buffer(&wgpu::BufferDescriptor {
        label: None,
        size: bytes.max(16).next_multiple_of(16) as u64,
        usage,
        mapped_at_creation: false,
    });
    ctx.check()?;
    Ok(buffer)
}
