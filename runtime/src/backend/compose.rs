//! The fused ops as what they are made of: the CPU twin of each, and what the GPU does where no kernel
//! fuses them.

use super::{AttentionParams, Backend, Buf, Gate, HeadBufs, KvBufs, MatmulParams};

/// See [`Backend::norm_matmul`].
pub(super) fn norm_matmul<B: Backend + ?Sized>(
    backend: &mut B,
    out: Buf,
    x: Buf,
    norm: Buf,
    weight: Buf,
    scratch: Buf,
    p: MatmulParams,
) {
    backend.rms_norm(scratch, x, norm, p.rms_norm());
    backend.matmul(out, scratch, weight, MatmulParams { first_token: 0, ..p });
}

/// See [`Backend::gated_matmul`].
pub(super) fn gated_matmul<B: Backend + ?Sized>(
    backend: &mut B,
    out: Buf,
    gate_up: Buf,
    weight: Buf,
    scratch: Buf,
    gate: Gate,
    p: MatmulParams,
) {
    match gate {
        Gate::Silu => backend.silu_mul(scratch, gate_up, p.silu_mul()),
        Gate::Gelu => backend.gelu_mul(scratch, gate_up, p.gelu_mul()),
    }
    backend.matmul(out, scratch, weight, p);
}

/// See [`Backend::rope_attention`].
pub(super) fn rope_attention<B: Backend + ?Sized>(
    backend: &mut B,
    out: Buf,
    qkv: Buf,
    kv: KvBufs,
    heads: HeadBufs,
    scratch: Buf,
    p: AttentionParams,
) {
    backend.rope_kv(scratch, qkv, kv, heads, p.rope_kv());
    backend.attention(out, scratch, kv, p);
}
