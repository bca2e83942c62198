//! Products with int8 activations: `quantize` and the rows of `matmul` that multiply integers. A block of
//! 32 weights meets a block of 32 activations in an exact sum of integers, which is scaled once.

use halfbyte_shaders::params::QuantizeParams;

use super::ops::dot;
use super::simd::{Lanes, dispatch};
use crate::quant::{BLOCK, Integers, Quants, WeightType};

/// Tokens whose sums a row of weights goes into at once: their additions overlap.
const TOKEN_TILE: usize = 4;

/// Activations as integers: `x = scale * quant`, rows of tokens one behind the other.
#[derive(Debug, Default)]
pub struct Quantized {
    /// Blocks of quants.
    pub quants: Vec<[i8; BLOCK]>,
    /// The scale of each block.
    pub scales: Vec<f32>,
    /// The sum of `scale * quant` over the two halves of each block.
    pub sums: Vec<[f32; 2]>,
}

/// See [`QuantizeParams`].
pub fn quantize(x: &[f32], p: QuantizeParams) -> Quantized {
    let n_cols = p.n_cols as usize;
    let x = &x[p.first_token as usize * n_cols..][..p.n_tokens as usize * n_cols];
    let x = x.as_chunks::<BLOCK>().0;
    let mut out = Quantized {
        quants: vec![[0; BLOCK]; x.len()],
        scales: vec![0.0; x.len()],
        sums: vec![[0.0; 2]; x.len()],
    };
    quantize_blocks(x, &mut out);
    out
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma"))]
fn quantize_blocks(x: &[[f32; BLOCK]], out: &mut Quantized) {
    let factors = out.scales.iter_mut().zip(&mut out.sums);
    for ((x, quants), (scale, sums)) in x.iter().zip(&mut out.quants).zip(factors) {
        let mut largest = 0.0f32;
        for v in x {
            largest = largest.max(v.abs());
        }
        *scale = largest / 127.0;
        let inverse = if largest > 0.0 { 127.0 / largest } else { 0.0 };
        for (q, v) in quants.iter_mut().zip(x) {
            *q = (v * inverse).round_ties_even() as i8;
        }
        let (halves, _) = quants.as_chunks::<{ BLOCK / 2 }>();
        for (sum, half) in sums.iter_mut().zip(halves) {
            *sum = *scale * half.iter().map(|q| i32::from(*q)).sum::<i32>() as f32;
        }
    }
}

/// `sums[r, t]` = row `r` of `bytes` times token `t` of `x`; `row` is scratch for one row, which is
/// unpacked once for all tokens.
pub(super) fn matmul_rows(
    ty: WeightType,
    bytes: &[u8],
    row_bytes: usize,
    x: &Quantized,
    row: &mut Integers,
    sums: &mut [f32],
) {
    dispatch(Rows { ty, bytes, row_bytes, x, row, sums });
}

/// What [`matmul_rows`] does, for a processor that is chosen at run time.
pub(super) struct Rows<'a> {
    ty: WeightType,
    bytes: &'a [u8],
    row_bytes: usize,
    x: &'a Quantized,
    row: &'a mut Integers,
    sums: &'a mut [f32],
}

impl Rows<'_> {
    /// Multiplies, with the instructions that `L` stands for.
    #[inline(always)]
    pub(super) fn run<L: Lanes>(self) {
        let n_tokens = self.x.scales.len() / self.row.scales.len();
        let Some(quants) = self.ty.quants() else {
            return;
        };
        for (bytes, sums) in self.bytes.chunks_exact(self.row_bytes).zip(self.sums.chunks_exact_mut(n_tokens))
        {
            self.ty.unpack(bytes, self.row);
            match quants {
                Quants::Blocks => products::<L, false, false>(self.row, self.x, sums),
                Quants::Halves => products::<L, false, true>(self.row, self.x, sums),
                Quants::Signed => products::<L, true, false>(self.row, self.x, sums),
            }
        }
    }
}

/// A row of weights times every token.
#[inline(always)]
fn products<L: Lanes, const SIGNED: bool, const HALVES: bool>(w: &Integers, x: &Quantized, sums: &mut [f32]) {
    let n_tiled = sums.len() / TOKEN_TILE * TOKEN_TILE;
    for (i, sums) in sums[..n_tiled].as_chunks_mut().0.iter_mut().enumerate() {
        tile::<L, TOKEN_TILE, SIGNED, HALVES>(w, x, i * TOKEN_TILE, sums);
    }
    for (i, sums) in sums[n_tiled..].as_chunks_mut().0.iter_mut().enumerate() {
        tile::<L, 1, SIGNED, HALVES>(w, x, n_tiled + i, sums);
    }
}

/// A row of weights times `T` tokens from `first` on.
#[inline(always)]
fn tile<L: Lanes, const T: usize, const SIGNED: bool, const HALVES: bool>(
    w: &Integers,
    x: &Quantized,
    first: usize,
    sums: &mut [f32; T],
) {
    let n = w.quants.len();
    let quants: [&[[i8; BLOCK]]; T] = std::array::from_fn(|t| &x.quants[(first + t) * n..][..n]);
    let scales: [&[f32]; T] = std::array::from_fn(|t| &x.scales[(first + t) * n..][..n]);
    let mut lanes = [L::zero(); T];
    for (b, (w, factor)) in w.quants.iter().zip(&w.scales[..n]).enumerate() {
        for t in 0..T {
            let x_scale = scales[t][b];
            lanes[t] = lanes[t].add::<SIGNED, HALVES>(w, &quants[t][b], factor.map(|f| f * x_scale));
        }
    }
    for t in 0..T {
        sums[t] = lanes[t].sum();
        if !SIGNED {
            let x_sums = &x.sums[(first + t) * n..][..n];
            sums[t] += dot(w.offsets.as_flattened(), x_sums.as_flattened());
        }
    }
}
