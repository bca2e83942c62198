//! The parameter struct of every op: one definition for the WGSL kernel (as its uniform), the CPU
//! twin and the caller. Field names, order and types equal the WGSL struct of the same name, which
//! the tests of this crate check with naga.
//!
//! Shapes are row-major, the last dimension varies fastest. Counts are in elements (f32) unless a
//! field says otherwise.

use bytemuck::{Pod, Zeroable};

macro_rules! params {
    ($($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $ty:ty,)* })*) => {
        $($(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        impl $name {
            /// The names of the fields, in memory order.
            pub const FIELDS: &'static [&'static str] = &[$(stringify!($field)),*];
        })*
    };
}

params! {
    /// `embed`: rows of the embedding matrix, one per token: `out[t] = scale * table[token[t]]`.
    EmbedParams {
        /// Tokens to look up.
        n_tokens: u32,
        /// Columns of the table, the width of the hidden state.
        n_cols: u32,
        /// First row of the table that this call holds; a backend that splits tables sets it.
        row_begin: u32,
        /// Rows of the table that this call holds; tokens outside them are left untouched.
        n_rows: u32,
        /// Factor on every element.
        scale: f32,
    }

    /// `rms_norm`: `out[t] = x[first_token + t] / rms(x[first_token + t]) * weight`.
    RmsNormParams {
        /// Rows to normalise.
        n_tokens: u32,
        /// Columns of a row.
        n_cols: u32,
        /// First row of `x` that is read; `out` starts at row 0.
        first_token: u32,
        /// Added to the mean square.
        eps: f32,
    }

    /// `matmul`: `out[t, row_begin + r] (+)= sum_k weight[r, k] * x[first_token + t, k]`.
    MatmulParams {
        /// Rows of `x` and `out`.
        n_tokens: u32,
        /// Rows of the weight that this call holds.
        n_rows: u32,
        /// Columns of the weight and of `x`.
        n_cols: u32,
        /// First column of `out` that this call writes.
        row_begin: u32,
        /// Columns of `out`.
        out_cols: u32,
        /// 1: add to what `out` holds (the residual stream); 0: overwrite.
        accumulate: u32,
        /// First row of `x` that is read; `out` starts at row 0.
        first_token: u32,
        /// Added to the mean square where `x` is normalised on the way in.
        eps: f32,
    }

    /// `rope_kv`: rotates the query heads of `qkv` in place, and writes the rotated key heads and
    /// the value heads into the cache at `pos..pos + n_tokens`.
    /// Rotary embedding as in RoFormer (arXiv:2104.09864), on adjacent pairs.
    RopeKvParams {
        /// Rows of `qkv` `[n_tokens, (n_heads + 2 n_kv_heads) head_dim]`.
        n_tokens: u32,
        /// Position of the first row.
        pos: u32,
        /// Query heads.
        n_heads: u32,
        /// Key and value heads.
        n_kv_heads: u32,
        /// Elements of a head.
        head_dim: u32,
        /// Elements of a head that are rotated; the rest is copied.
        rope_dim: u32,
        /// Positions the cache `[n_kv_heads, kv_capacity, head_dim]` holds.
        kv_capacity: u32,
    }

    /// `attention`: causal softmax attention of the query heads in `qkv` over the cache.
    AttentionParams {
        /// Rows of `qkv` and `out` `[n_tokens, n_heads * head_dim]`.
        n_tokens: u32,
        /// Position of the first row; row `t` sees positions `0..=pos + t`.
        pos: u32,
        /// Query heads.
        n_heads: u32,
        /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
        n_kv_heads: u32,
        /// Elements of a head.
        head_dim: u32,
        /// Positions the cache `[n_kv_heads, kv_capacity, head_dim]` holds.
        kv_capacity: u32,
        /// Factor on the scores.
        scale: f32,
        /// Elements of a head that are rotated, where attention rotates too.
        rope_dim: u32,
    }

    /// `silu_mul`: `out[t, i] = silu(gate_up[t, i]) * gate_up[t, n_ff + i]`.
    SiluMulParams {
        /// Rows.
        n_tokens: u32,
        /// Columns of `out`; `gate_up` has twice as many.
        n_ff: u32,
    }
}

impl MatmulParams {
    /// The norm in front of a matmul that normalises its input.
    pub fn rms_norm(&self) -> RmsNormParams {
        let MatmulParams { n_tokens, n_cols, first_token, eps, .. } = *self;
        RmsNormParams { n_tokens, n_cols, first_token, eps }
    }

    /// The gating in front of a matmul that gates its input.
    pub fn silu_mul(&self) -> SiluMulParams {
        SiluMulParams { n_tokens: self.n_tokens, n_ff: self.n_cols }
    }
}

impl AttentionParams {
    /// The rotation in front of attention.
    pub fn rope_kv(&self) -> RopeKvParams {
        let AttentionParams { n_tokens, pos, n_heads, n_kv_heads, head_dim, rope_dim, kv_capacity, .. } =
            *self;
        RopeKvParams { n_tokens, pos, n_heads, n_kv_heads, head_dim, rope_dim, kv_capacity }
    }
}
