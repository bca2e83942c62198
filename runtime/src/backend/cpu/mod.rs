//! The CPU backend: the readable reference, and the fallback when no GPU can be used. Weights stay in
//! the mapped file and are dequantised as they are read; activations are f32, or int8 in matmuls; rows and
//! heads are spread over the processor's threads.

pub mod int8;
pub mod ops;
mod simd;

use super::{
    Activations, AttentionParams, Backend, Buf, Device, EmbedParams, GeluMulParams, HeadBufs, KvBufs,
    MatmulParams, RmsNormParams, RopeKvParams, SiluMulParams, SoftcapParams,
};
use crate::{
    error::{Error, Result},
    gguf::TensorView,
    quant::WeightType,
    tokenizer::Token,
};

/// What a [`Buf`] stands for.
enum Slot {
    Free,
    F32(Vec<f32>),
    Matrix(Vec<TensorView>),
}

/// Runs every op at once, on the caller's thread and the thread pool.
pub struct Cpu {
    slots: Vec<Slot>,
    device: Device,
    activations: Activations,
}

impl Cpu {
    /// A backend without buffers, exact: the reference.
    pub fn new() -> Cpu {
        Cpu::with_activations(Activations::F32)
    }

    /// A backend without buffers; [`Activations::Auto`] is int8, which is faster.
    pub fn with_activations(activations: Activations) -> Cpu {
        let activations = match activations {
            Activations::F32 => Activations::F32,
            Activations::Auto | Activations::Int8 => Activations::Int8,
        };
        let threads = rayon::current_num_threads();
        let device = Device {
            backend: "cpu",
            name: format!("{} ({threads} threads)", std::env::consts::ARCH),
            driver: String::new(),
            features: vec![activations.describe()],
            is_software: false,
        };
        Cpu { slots: Vec::new(), device, activations }
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

    fn f32(&self, buf: Buf) -> &[f32] {
        match self.slots.get(buf.0 as usize) {
            Some(Slot::F32(v)) => v,
            _ => &[],
        }
    }

    fn matrix(&self, buf: Buf) -> &[TensorView] {
        match self.slots.get(buf.0 as usize) {
            Some(Slot::Matrix(m)) => m,
            _ => &[],
        }
    }

    /// Takes a buffer out, to write it while others are read; [`put`](Self::put) brings it back.
    fn take(&mut self, buf: Buf) -> Vec<f32> {
        match self.slots.get_mut(buf.0 as usize) {
            Some(Slot::F32(v)) => std::mem::take(v),
            _ => Vec::new(),
        }
    }

    fn put(&mut self, buf: Buf, v: Vec<f32>) {
        if let Some(slot @ Slot::F32(_)) = self.slots.get_mut(buf.0 as usize) {
            *slot = Slot::F32(v);
        }
    }

    fn write_op(&mut self, buf: Buf, op: impl FnOnce(&Cpu, &mut [f32])) {
        let mut out = self.take(buf);
        op(self, &mut out);
        self.put(buf, out);
    }
}

impl Default for Cpu {
    fn default() -> Self {
        Self::new()
    }
}

impl Backend for Cpu {
    fn device(&self) -> &Device {
        &self.device
    }

    fn upload(&mut self, tensors: &[TensorView]) -> Result<Buf> {
        for t in tensors {
            WeightType::of(t)?;
        }
        Ok(self.insert(Slot::Matrix(tensors.to_vec())))
    }

    fn alloc(&mut self, n_f32: usize) -> Result<Buf> {
        let mut v = Vec::new();
        v.try_reserve_exact(n_f32)
            .map_err(|_| Error::OutOfMemory(format!("{} MB of activations", n_f32 / 250_000)))?;
        v.resize(n_f32, 0.0);
        Ok(self.insert(Slot::F32(v)))
    }

    fn free(&mut self, buf: Buf) {
        if let Some(slot) = self.slots.get_mut(buf.0 as usize) {
            *slot = Slot::Free;
        }
    }

    fn write(&mut self, buf: Buf, data: &[f32]) -> Result<()> {
        match self.slots.get_mut(buf.0 as usize) {
            Some(Slot::F32(v)) if v.len() >= data.len() => {
                v[..data.len()].copy_from_slice(data);
                Ok(())
            }
            _ => Err(Error::InvalidArgument(format!("{} elements do not fit into the buffer", data.len()))),
        }
    }

    fn embed(&mut self, out: Buf, table: Buf, tokens: &[Token], p: EmbedParams) {
        self.write_op(out, |cpu, out| ops::embed(out, cpu.matrix(table), tokens, p));
    }

    fn rms_norm(&mut self, out: Buf, x: Buf, weight: Buf, p: RmsNormParams) {
        self.write_op(out, |cpu, out| ops::rms_norm(out, cpu.f32(x), cpu.f32(weight), p));
    }

    fn matmul(&mut self, out: Buf, x: Buf, weight: Buf, p: MatmulParams) {
        let matmul = match self.activations {
            Activations::Int8 => ops::matmul_int8,
            Activations::F32 | Activations::Auto => ops::matmul,
        };
        self.write_op(out, |cpu, out| matmul(out, cpu.f32(x), cpu.matrix(weight), p));
    }

    fn rope_kv(&mut self, queries: Buf, qkv: Buf, kv: KvBufs, heads: HeadBufs, p: RopeKvParams) {
        let (mut q, mut k, mut v) = (self.take(queries), self.take(kv.k), self.take(kv.v));
        let (rope, weights) = (self.f32(heads.rope), self.f32(heads.weights));
        ops::rope_kv(&mut q, &mut k, &mut v, self.f32(qkv), rope, weights, p);
        self.put(queries, q);
        self.put(kv.k, k);
        self.put(kv.v, v);
    }

    fn attention(&mut self, out: Buf, queries: Buf, kv: KvBufs, p: AttentionParams) {
        self.write_op(out, |cpu, out| {
            ops::attention(out, cpu.f32(queries), cpu.f32(kv.k), cpu.f32(kv.v), p);
        });
    }

    fn silu_mul(&mut self, out: Buf, gate_up: Buf, p: SiluMulParams) {
        self.write_op(out, |cpu, out| ops::silu_mul(out, cpu.f32(gate_up), p));
    }

    fn gelu_mul(&mut self, out: Buf, gate_up: Buf, p: GeluMulParams) {
        self.write_op(out, |cpu, out| ops::gelu_mul(out, cpu.f32(gate_up), p));
    }

    fn softcap(&mut self, x: Buf, p: SoftcapParams) {
        self.write_op(x, |_, x| ops::softcap(x, p));
    }

    fn read(&mut self, buf: Buf, out: &mut [f32]) -> Result<()> {
        match self.f32(buf).get(..out.len()) {
            Some(v) => {
                out.copy_from_slice(v);
                Ok(())
            }
            None => Err(Error::InvalidArgument(format!("the buffer holds no {} elements", out.len()))),
        }
    }
}
