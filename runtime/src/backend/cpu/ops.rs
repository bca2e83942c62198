//! The CPU twin of every kernel: same name, same params. Written to be read next to the WGSL; the
//! shapes stand at the params.

use multiversion::multiversion;
use rayon::prelude::*;

use super::super::{
    AttentionParams, EmbedParams, GeluMulParams, MatmulParams, RmsNormParams, RopeKvParams, SiluMulParams,
    SoftcapParams,
};
use super::int8;
use crate::{
    gguf::TensorView,
    quant::{Integers, WeightType},
    tokenizer::Token,
};

/// Rows of a weight that one task computes.
const ROWS_PER_TASK: usize = 32;

/// See [`EmbedParams`].
pub fn embed(out: &mut [f32], table: &[TensorView], tokens: &[Token], p: EmbedParams) {
    let n_cols = p.n_cols as usize;
    for (out, &token) in out.chunks_exact_mut(n_cols).zip(&tokens[..p.n_tokens as usize]) {
        let Some(row) = token.checked_sub(p.row_begin).filter(|r| *r < p.n_rows) else {
            continue;
        };
        let Some((ty, bytes)) = find_row(table, row as usize) else {
            continue;
        };
        ty.dequantize(bytes, out);
        out.iter_mut().for_each(|v| *v *= p.scale);
    }
}

/// The type and bytes of a row of stacked tensors.
fn find_row(matrix: &[TensorView], mut row: usize) -> Option<(WeightType, &[u8])> {
    for t in matrix {
        if row < t.rows() {
            let ty = WeightType::of(t).ok()?;
            let n = ty.row_bytes(t.cols());
            return Some((ty, &t.bytes()[row * n..][..n]));
        }
        row -= t.rows();
    }
    None
}

/// See [`RmsNormParams`]. Zhang and Sennrich, arXiv:1910.07467.
pub fn rms_norm(out: &mut [f32], x: &[f32], weight: &[f32], p: RmsNormParams) {
    let n = p.n_cols as usize;
    let x = &x[p.first_token as usize * n..][..p.n_tokens as usize * n];
    for (out, x) in out.chunks_exact_mut(n).zip(x.chunks_exact(n)) {
        let mean = x.iter().map(|v| v * v).sum::<f32>() / n as f32;
        let scale = 1.0 / (mean + p.eps).sqrt();
        for ((o, x), w) in out.iter_mut().zip(x).zip(weight) {
            let v = x * scale * w;
            *o = if p.accumulate == 1 { *o + v } else { v };
        }
    }
}

/// See [`MatmulParams`]. A row of the weight is dequantised once for all tokens.
pub fn matmul(out: &mut [f32], x: &[f32], weight: &[TensorView], p: MatmulParams) {
    let x = rows_of(x, &p);
    let scratch = || vec![0.0; p.n_cols as usize];
    matmul_with(out, weight, p, scratch, |row, ty, bytes, row_bytes, sums| {
        matmul_rows(ty, bytes, row_bytes, x, row, sums);
    });
}

/// [`matmul`] with int8 activations, for the weight types that have integers; f32 for the others.
pub fn matmul_int8(out: &mut [f32], x: &[f32], weight: &[TensorView], p: MatmulParams) {
    let n_cols = p.n_cols as usize;
    let has_integers = |t: &TensorView| WeightType::of(t).is_ok_and(|ty| ty.quants().is_some());
    if !weight.iter().any(has_integers) {
        return matmul(out, x, weight, p);
    }
    let quantized = int8::quantize(x, p.quantize());
    let x = rows_of(x, &p);
    let scratch = || (Integers::new(n_cols), vec![0.0; n_cols]);
    matmul_with(out, weight, p, scratch, |(integers, row), ty, bytes, row_bytes, sums| match ty.quants() {
        Some(_) => int8::matmul_rows(ty, bytes, row_bytes, &quantized, integers, sums),
        None => matmul_rows(ty, bytes, row_bytes, x, row, sums),
    });
}

/// The rows of `x` that a matmul reads.
fn rows_of<'a>(x: &'a [f32], p: &MatmulParams) -> &'a [f32] {
    let n_cols = p.n_cols as usize;
    &x[p.first_token as usize * n_cols..][..p.n_tokens as usize * n_cols]
}

/// A matmul whose tasks of some rows `multiply` does: it takes scratch for a row, which tasks share, the
/// type of the rows, their bytes, the bytes of one and `[rows, n_tokens]` sums to write.
fn matmul_with<S>(
    out: &mut [f32],
    weight: &[TensorView],
    p: MatmulParams,
    scratch: impl Fn() -> S + Sync,
    multiply: impl Fn(&mut S, WeightType, &[u8], usize, &mut [f32]) + Sync,
) {
    let n_tokens = p.n_tokens as usize;
    let mut first = p.row_begin as usize;
    for tensor in weight {
        let Ok(ty) = WeightType::of(tensor) else {
            continue;
        };
        let row_bytes = ty.row_bytes(p.n_cols as usize);
        let mut sums = vec![0.0; tensor.rows() * n_tokens];
        sums.par_chunks_mut(ROWS_PER_TASK * n_tokens)
            .zip(tensor.bytes().par_chunks(ROWS_PER_TASK * row_bytes))
            .for_each_init(&scratch, |scratch, (sums, bytes)| multiply(scratch, ty, bytes, row_bytes, sums));
        for (t, out) in out.chunks_exact_mut(p.out_cols as usize).take(n_tokens).enumerate() {
            let out = &mut out[first..first + tensor.rows()];
            for (o, s) in out.iter_mut().zip(sums[t..].iter().step_by(n_tokens)) {
                *o = if p.accumulate == 1 { *o + s } else { *s };
            }
        }
        first += tensor.rows();
    }
}

/// `sums[r, t]` = row `r` of `bytes` times row `t` of `x`; `row` is scratch for one row.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma"))]
fn matmul_rows(ty: WeightType, bytes: &[u8], row_bytes: usize, x: &[f32], row: &mut [f32], sums: &mut [f32]) {
    let n_tokens = x.len() / row.len();
    for (bytes, sums) in bytes.chunks_exact(row_bytes).zip(sums.chunks_exact_mut(n_tokens)) {
        ty.dequantize(bytes, row);
        for (x, sum) in x.chunks_exact(row.len()).zip(sums) {
            *sum = dot(row, x);
        }
    }
}

/// Dot product in 32 partial sums, so that the compiler can keep them in vector registers.
#[inline(always)]
pub(super) fn dot(a: &[f32], b: &[f32]) -> f32 {
    let (a, a_rest) = a.as_chunks::<32>();
    let (b, b_rest) = b.as_chunks::<32>();
    let mut parts = [0.0f32; 32];
    for (a, b) in a.iter().zip(b) {
        for ((p, a), b) in parts.iter_mut().zip(a).zip(b) {
            *p += a * b;
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| a * b).sum();
    parts.iter().sum::<f32>() + rest
}

/// See [`RopeKvParams`].
pub fn rope_kv(
    queries: &mut [f32],
    k_cache: &mut [f32],
    v_cache: &mut [f32],
    qkv: &[f32],
    rope: &[f32],
    heads: &[f32],
    p: RopeKvParams,
) {
    let (head_dim, rope_dim, n_slots) = (p.head_dim as usize, p.rope_dim as usize, p.n_slots as usize);
    let (n_heads, n_kv_heads) = (p.n_heads as usize, p.n_kv_heads as usize);
    let (norms, bias) = heads.split_at(heads.len().min(2 * head_dim));
    for (t, row) in
        qkv.chunks_exact((n_heads + 2 * n_kv_heads) * head_dim).take(p.n_tokens as usize).enumerate()
    {
        let position = p.pos as usize + t;
        let turns = &rope[position * rope_dim..][..rope_dim];
        for (h, head) in row.chunks_exact(head_dim).enumerate() {
            let kv_at = |kv_head: usize| (kv_head * n_slots + position % n_slots) * head_dim;
            let is_key = h >= n_heads;
            let is_value = h >= n_heads + n_kv_heads;
            let out = match (is_key, is_value) {
                (false, _) => &mut queries[(t * n_heads + h) * head_dim..],
                (true, false) => &mut k_cache[kv_at(h - n_heads)..],
                (true, true) => &mut v_cache[kv_at(h - n_heads - n_kv_heads)..],
            };
            let out = &mut out[..head_dim];
            out.copy_from_slice(head);
            if p.has_bias == 1 {
                out.iter_mut().zip(&bias[h * head_dim..]).for_each(|(o, b)| *o += b);
            }
            if !is_value && p.has_norm == 1 {
                norm_head(out, &norms[usize::from(is_key) * head_dim..], p.eps);
            }
            if !is_value {
                rotate(&mut out[..rope_dim], turns, p.halves == 1);
            }
        }
    }
}

fn norm_head(head: &mut [f32], weight: &[f32], eps: f32) {
    let scale = 1.0 / (head.iter().map(|v| v * v).sum::<f32>() / head.len() as f32 + eps).sqrt();
    head.iter_mut().zip(weight).for_each(|(v, w)| *v *= scale * w);
}

/// Turns each pair of elements by its angle, given as cosine and sine.
fn rotate(head: &mut [f32], turns: &[f32], halves: bool) {
    for (i, [cos, sin]) in turns.as_chunks::<2>().0.iter().enumerate() {
        let [a, b] = if halves { [i, i + head.len() / 2] } else { [2 * i, 2 * i + 1] };
        let (x, y) = (head[a], head[b]);
        head[a] = x * cos - y * sin;
        head[b] = x * sin + y * cos;
    }
}

/// See [`AttentionParams`].
pub fn attention(out: &mut [f32], queries: &[f32], k_cache: &[f32], v_cache: &[f32], p: AttentionParams) {
    let (head_dim, n_heads, n_slots) = (p.head_dim as usize, p.n_heads as usize, p.n_slots as usize);
    let group = n_heads / p.n_kv_heads as usize;
    let n = p.n_tokens as usize * n_heads * head_dim;
    let heads = out[..n].par_chunks_mut(head_dim).zip(queries[..n].par_chunks(head_dim)).enumerate();
    heads.for_each_init(Vec::new, |scores, (i, (out, q))| {
        let (t, h) = (i / n_heads, i % n_heads);
        let end = p.pos as usize + t + 1;
        let begin = end - end.min(p.window as usize);
        let cache = h / group * n_slots * head_dim..(h / group + 1) * n_slots * head_dim;
        let cache = [&k_cache[cache.clone()], &v_cache[cache]];
        attend(out, q, cache, slots(begin, end, n_slots), [p.scale, p.softcap], scores);
    });
}

/// The slots of the positions `begin..end` of a cache, in order: one stretch, or two where they wrap.
fn slots(begin: usize, end: usize, n_slots: usize) -> [std::ops::Range<usize>; 2] {
    let first = begin % n_slots;
    let n = end - begin;
    let unwrapped = n.min(n_slots - first);
    [first..first + unwrapped, 0..n - unwrapped]
}

/// One query head over stretches of positions in the keys and values; `scores` is scratch.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma"))]
fn attend(
    out: &mut [f32],
    q: &[f32],
    [k, v]: [&[f32]; 2],
    stretches: [std::ops::Range<usize>; 2],
    [scale, cap]: [f32; 2],
    scores: &mut Vec<f32>,
) {
    let n = q.len();
    scores.clear();
    for stretch in &stretches {
        for k in k[stretch.start * n..stretch.end * n].chunks_exact(n) {
            let score = dot(q, k) * scale;
            scores.push(if cap > 0.0 { cap * (score / cap).tanh() } else { score });
        }
    }
    let largest = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut total = 0.0;
    for s in scores.iter_mut() {
        *s = (*s - largest).exp();
        total += *s;
    }
    out.fill(0.0);
    let mut scores = scores.iter();
    for stretch in &stretches {
        // The stretch leads, so that no score is taken for a position that is not there.
        for (v, s) in v[stretch.start * n..stretch.end * n].chunks_exact(n).zip(scores.by_ref()) {
            for (o, v) in out.iter_mut().zip(v) {
                *o += s * v;
            }
        }
    }
    out.iter_mut().for_each(|o| *o /= total);
}

/// See [`SiluMulParams`].
pub fn silu_mul(out: &mut [f32], gate_up: &[f32], p: SiluMulParams) {
    let n = p.n_ff as usize;
    let rows = gate_up.chunks_exact(2 * n).take(p.n_tokens as usize);
    for (out, row) in out.chunks_exact_mut(n).zip(rows) {
        let (gate, up) = row.split_at(n);
        for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + (-g).exp()) * u;
        }
    }
}

/// See [`GeluMulParams`].
pub fn gelu_mul(out: &mut [f32], gate_up: &[f32], p: GeluMulParams) {
    let n = p.n_ff as usize;
    let rows = gate_up.chunks_exact(2 * n).take(p.n_tokens as usize);
    for (out, row) in out.chunks_exact_mut(n).zip(rows) {
        let (gate, up) = row.split_at(n);
        for ((o, g), u) in out.iter_mut().zip(gate).zip(up) {
            *o = g / (1.0 + (-TWO_SQRT_2_BY_PI * (g + 0.044715 * g * g * g)).exp()) * u;
        }
    }
}

/// `2 sqrt(2 / pi)`, of the tanh form of GELU.
const TWO_SQRT_2_BY_PI: f32 = 1.595_769;

/// See [`SoftcapParams`].
pub fn softcap(x: &mut [f32], p: SoftcapParams) {
    let x = &mut x[..p.n as usize];
    x.par_chunks_mut(4096).for_each(|x| x.iter_mut().for_each(|v| *v = p.cap * (*v / p.cap).tanh()));
}
