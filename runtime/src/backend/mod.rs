//! The seam between the forward pass and what computes it: a closed list of ops on buffers that
//! are named by `Copy` handles. The CPU runs an op when it is called; the GPU records it and
//! submits in [`Backend::read`], the only point that waits and the only one where a fault surfaces.

mod compose;
pub mod cpu;
pub mod gpu;

pub use halfbyte_shaders::params::*;

use crate::{error::Result, gguf::TensorView, tokenizer::Token};

/// A buffer of a [`Backend`]: f32 elements, or a weight matrix. Valid until it is freed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Buf(pub u32);

/// The cache of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KvBufs {
    /// Keys, `[n_kv_heads, n_slots, head_dim]`.
    pub k: Buf,
    /// Values, of the same shape.
    pub v: Buf,
}

/// What the heads of a layer go through; see [`RopeKvParams`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadBufs {
    /// Cosine and sine of each pair, `[positions, rope_dim / 2, 2]`; not read where `rope_dim` is 0.
    pub rope: Buf,
    /// Norms `[2, head_dim]`, then the bias; not read where the params say that there is neither.
    pub weights: Buf,
}

/// The activation of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `silu_mul`.
    Silu,
    /// `gelu_mul`.
    Gelu,
}

/// What a [`Backend`] runs on, for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// `cpu` or `gpu`.
    pub backend: &'static str,
    /// The adapter's or processor's own name.
    pub name: String,
    /// Driver and version, empty on the CPU.
    pub driver: String,
    /// What the kernels use of it, e.g. `subgroups of 8`.
    pub features: Vec<String>,
    /// A processor that computes as a GPU (lavapipe, SwiftShader).
    pub is_software: bool,
}

/// The closed list of ops. Shapes stand at each `…Params`; a buffer must hold at least what the
/// params say. The CPU twin of a kernel has the same name and takes the same params.
pub trait Backend: Send {
    /// What this runs on.
    fn device(&self) -> &Device;

    /// Takes over weights: the rows of all `tensors`, stacked, as one matrix. The CPU keeps the
    /// mapped bytes; the GPU repacks them once and drops the mapped pages.
    ///
    /// # Errors
    /// [`Error::Unsupported`](crate::Error::Unsupported) for a weight type without a kernel,
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) when the device has no room.
    fn upload(&mut self, tensors: &[TensorView]) -> Result<Buf>;

    /// A zeroed buffer of `n_f32` elements. Called at load, never per token.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) when the device has no room.
    fn alloc(&mut self, n_f32: usize) -> Result<Buf>;

    /// The keys or the values of a layer, `[n_kv_heads, n_slots, head_dim]`, zeroed. Called at load, never
    /// per token.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) when the device has no room.
    fn alloc_kv(&mut self, shape: [usize; 3]) -> Result<Buf> {
        self.alloc(shape.iter().product())
    }

    /// Gives a buffer back. The handle must not be used again.
    fn free(&mut self, buf: Buf);

    /// Fills the start of a buffer. Called at load, never per token.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`](crate::Error::InvalidArgument) when `data` does not fit.
    fn write(&mut self, buf: Buf, data: &[f32]) -> Result<()>;

    /// Looks `tokens` up in `table`; see [`EmbedParams`].
    fn embed(&mut self, out: Buf, table: Buf, tokens: &[Token], p: EmbedParams);
    /// See [`RmsNormParams`].
    fn rms_norm(&mut self, out: Buf, x: Buf, weight: Buf, p: RmsNormParams);
    /// See [`MatmulParams`].
    fn matmul(&mut self, out: Buf, x: Buf, weight: Buf, p: MatmulParams);
    /// See [`RopeKvParams`].
    fn rope_kv(&mut self, queries: Buf, qkv: Buf, kv: KvBufs, heads: HeadBufs, p: RopeKvParams);
    /// See [`AttentionParams`].
    fn attention(&mut self, out: Buf, queries: Buf, kv: KvBufs, p: AttentionParams);
    /// See [`SiluMulParams`].
    fn silu_mul(&mut self, out: Buf, gate_up: Buf, p: SiluMulParams);
    /// See [`GeluMulParams`].
    fn gelu_mul(&mut self, out: Buf, gate_up: Buf, p: GeluMulParams);
    /// See [`SoftcapParams`].
    fn softcap(&mut self, x: Buf, p: SoftcapParams);

    /// `matmul` of `x` normalised as by `rms_norm` with `norm` and `p.eps`. `scratch` holds
    /// `p.n_tokens` rows of `x`, which a backend may fill or leave alone.
    fn norm_matmul(&mut self, out: Buf, x: Buf, norm: Buf, weight: Buf, scratch: Buf, p: MatmulParams) {
        compose::norm_matmul(self, out, x, norm, weight, scratch, p);
    }

    /// `matmul` of what `silu_mul` or `gelu_mul` makes of `gate_up`; `p.first_token` is 0. `scratch` is
    /// as for [`norm_matmul`](Self::norm_matmul).
    fn gated_matmul(
        &mut self,
        out: Buf,
        gate_up: Buf,
        weight: Buf,
        scratch: Buf,
        gate: Gate,
        p: MatmulParams,
    ) {
        compose::gated_matmul(self, out, gate_up, weight, scratch, gate, p);
    }

    /// `rope_kv`, then `attention`. `scratch` holds the queries, which a backend may fill or leave alone.
    fn rope_attention(
        &mut self,
        out: Buf,
        qkv: Buf,
        kv: KvBufs,
        heads: HeadBufs,
        scratch: Buf,
        p: AttentionParams,
    ) {
        compose::rope_attention(self, out, qkv, kv, heads, scratch, p);
    }

    /// Runs what was recorded and copies the start of `buf` into `out`. The only sync point.
    ///
    /// # Errors
    /// [`Error::Gpu`](crate::Error::Gpu) or [`Error::OutOfMemory`](crate::Error::OutOfMemory) for
    /// any fault since the last read.
    fn read(&mut self, buf: Buf, out: &mut [f32]) -> Result<()>;
}

/// Which backend to load a model onto.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum BackendChoice {
    /// The GPU where one can be used, else the CPU; the log says why.
    #[default]
    Auto,
    /// The GPU, or an error.
    Gpu,
    /// The CPU.
    Cpu,
}

/// What the activations of a matmul are while they meet the weights; all else is f32.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Activations {
    /// What is faster on the backend.
    #[default]
    Auto,
    /// 32-bit floats: exact up to rounding.
    F32,
    /// Integers of eight bits, with a scale for each block of 32 of a token; see [`QuantizeParams`]. Weight
    /// types that are no integers, such as F16, are computed with in f32 all the same.
    Int8,
}

impl Activations {
    /// For [`Device::features`].
    fn describe(self) -> String {
        match self {
            Activations::Int8 => "int8 activations where weights are integers".into(),
            Activations::F32 | Activations::Auto => "f32 activations".into(),
        }
    }
}

/// How to open a backend; made of a [`BackendChoice`] where that is all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackendOptions {
    /// Which one.
    pub choice: BackendChoice,
    /// The arithmetic of matmuls.
    pub activations: Activations,
}

impl From<BackendChoice> for BackendOptions {
    fn from(choice: BackendChoice) -> BackendOptions {
        BackendOptions { choice, ..Default::default() }
    }
}

/// Opens a backend.
///
/// # Errors
/// [`Error::NoGpu`](crate::Error::NoGpu) when [`BackendChoice::Gpu`] finds none.
pub fn open(options: impl Into<BackendOptions>) -> Result<Box<dyn Backend>> {
    let BackendOptions { choice, activations } = options.into();
    let cpu = || Box::new(cpu::Cpu::with_activations(activations));
    if choice == BackendChoice::Cpu {
        return Ok(cpu());
    }
    match gpu::Gpu::open_with(gpu::GpuOptions { activations, ..Default::default() }) {
        Ok(gpu) => Ok(Box::new(gpu)),
        Err(e) if choice == BackendChoice::Auto => {
            log::warn!("{e}; running on the CPU");
            Ok(cpu())
        }
        Err(e) => Err(e),
    }
}
