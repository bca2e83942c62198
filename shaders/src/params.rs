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

    /// `rms_norm`: `out[t] (+)= x[first_token + t] / rms(x[first_token + t]) * weight`.
    RmsNormParams {
        /// Rows to normalise.
        n_tokens: u32,
        /// Columns of a row.
        n_cols: u32,
        /// First row of `x` that is read; `out` starts at row 0.
        first_token: u32,
        /// Added to the mean square.
        eps: f32,
        /// 1: add to what `out` holds (the residual stream); 0: overwrite.
        accumulate: u32,
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

    /// `quantize`: rows of activations as integers, in blocks of 32 with a scale of their own:
    /// `scale = max |x| / 127` of the block, `q = round(x / scale)`. `matmul_int8` multiplies with them.
    QuantizeParams {
        /// Rows of `x` and `out`.
        n_tokens: u32,
        /// Columns, a multiple of 32.
        n_cols: u32,
        /// First row of `x` that is read; `out` starts at row 0.
        first_token: u32,
        /// Added to the mean square where `x` is normalised on the way in.
        eps: f32,
    }

    /// `rope_kv`: takes the key and value heads of `qkv` into the cache, at the positions
    /// `pos..pos + n_tokens`, and the query heads into `queries` `[n_tokens, n_heads, head_dim]`. Heads go
    /// through what the flags say, in this order: the bias is added (`has_bias`); queries and keys are
    /// normalised as by `rms_norm` over the head (`has_norm`), and rotated.
    /// `heads` holds the norm of the queries and of the keys, `[2, head_dim]`, then the bias of a row.
    /// Rotary embedding as in RoFormer (arXiv:2104.09864); `rope` holds cosine and sine of each pair.
    /// Position `i` stands in slot `i % n_slots` of the cache `[n_kv_heads, n_slots, head_dim]`.
    RopeKvParams {
        /// Rows of `qkv` `[n_tokens, (n_heads + 2 n_kv_heads) head_dim]`.
        n_tokens: u32,
        /// Position of the first row.
        pos: u32,
        /// Query heads.
        n_heads: u32,
        /// Key and value heads.
        n_kv_heads: u32,
        /// Elements of a head, a multiple of 4.
        head_dim: u32,
        /// Positions the cache holds.
        n_slots: u32,
        /// Elements of a head that are rotated, the first ones; a multiple of 4, and of 8 with `halves`.
        rope_dim: u32,
        /// 1: element `i` and `i + rope_dim / 2` are a pair (GPT-NeoX); 0: neighbours are.
        halves: u32,
        /// 1: queries and keys are normalised.
        has_norm: u32,
        /// 1: rows of `qkv` have a bias.
        has_bias: u32,
        /// Added to the mean square of a head.
        eps: f32,
    }

    /// `attention`: causal softmax attention of `queries` over the cache. `rope_attention` takes `qkv` and
    /// does `rope_kv` first.
    AttentionParams {
        /// Rows of `queries` and `out` `[n_tokens, n_heads, head_dim]`.
        n_tokens: u32,
        /// Position of the first row; row `t` sees positions up to `pos + t`.
        pos: u32,
        /// Query heads.
        n_heads: u32,
        /// Key and value heads; each serves `n_heads / n_kv_heads` query heads.
        n_kv_heads: u32,
        /// Elements of a head.
        head_dim: u32,
        /// Positions the cache `[n_kv_heads, n_slots, head_dim]` holds, as in `rope_kv`; at least
        /// those that the rows see together.
        n_slots: u32,
        /// As in `rope_kv`, for `rope_attention`.
        rope_dim: u32,
        /// As in `rope_kv`, for `rope_attention`.
        halves: u32,
        /// As in `rope_kv`, for `rope_attention`.
        has_norm: u32,
        /// As in `rope_kv`, for `rope_attention`.
        has_bias: u32,
        /// As in `rope_kv`, for `rope_attention`.
        eps: f32,
        /// Factor on the scores.
        scale: f32,
        /// Positions that a row sees at most, its own included.
        window: u32,
        /// Scores become `softcap * tanh(score / softcap)`; 0: they stay.
        softcap: f32,
    }

    /// `silu_mul`: `out[t, i] = silu(gate_up[t, i]) * gate_up[t, n_ff + i]`.
    SiluMulParams {
        /// Rows.
        n_tokens: u32,
        /// Columns of `out`; `gate_up` has twice as many.
        n_ff: u32,
    }

    /// `gelu_mul`: `out[t, i] = gelu(gate_up[t, i]) * gate_up[t, n_ff + i]`, with the tanh form of
    /// GELU (arXiv:1606.08415): `gelu(x) = x * sigmoid(2 sqrt(2 / pi) (x + 0.044715 x^3))`.
    GeluMulParams {
        /// Rows.
        n_tokens: u32,
        /// Columns of `out`; `gate_up` has twice as many.
        n_ff: u32,
    }

    /// `softcap`: `x[i] = cap * tanh(x[i] / cap)`, in place.
    SoftcapParams {
        /// Elements.
        n: u32,
        /// The bound that no element exceeds.
        cap: f32,
    }
}

impl MatmulParams {
    /// The norm in front of a matmul that normalises its input.
    pub fn rms_norm(&self) -> RmsNormParams {
        let MatmulParams { n_tokens, n_cols, first_token, eps, .. } = *self;
        RmsNormParams { n_tokens, n_cols, first_token, eps, accumulate: 0 }
    }

    /// The quantising in front of a matmul with int8 activations.
    pub fn quantize(&self) -> QuantizeParams {
        let MatmulParams { n_tokens, n_cols, first_token, eps, .. } = *self;
        QuantizeParams { n_tokens, n_cols, first_token, eps }
    }

    /// The gating in front of a matmul that gates its input.
    pub fn silu_mul(&self) -> SiluMulParams {
        SiluMulParams { n_tokens: self.n_tokens, n_ff: self.n_cols }
    }

    /// The same with the other activation.
    pub fn gelu_mul(&self) -> GeluMulParams {
        GeluMulParams { n_tokens: self.n_tokens, n_ff: self.n_cols }
    }
}

impl AttentionParams {
    /// The writing of the cache in front of attention.
    pub fn rope_kv(&self) -> RopeKvParams {
        RopeKvParams {
            n_tokens: self.n_tokens,
            pos: self.pos,
            n_heads: self.n_heads,
            n_kv_heads: self.n_kv_heads,
            head_dim: self.head_dim,
            n_slots: self.n_slots,
            rope_dim: self.rope_dim,
            halves: self.halves,
            has_norm: self.has_norm,
            has_bias: self.has_bias,
            eps: self.eps,
        }
    }
}
