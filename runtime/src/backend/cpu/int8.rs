//! Products with int8 activations: `quantize` and the rows of `matmul` that multiply integers. A block of
//! 32 weights meets a block of 32 activations in an exact sum of integers, which is scaled once.

use halfbyte_shaders::params::QuantizeParams;

use super::simd::{Lanes, dispatch};
use crate::quant::{BLOCK, Integers, Quants, WeightType, padded};

/// Tokens whose sums a row of weights goes into at once: their additions overlap.
const TOKEN_TILE: usize = 4; // as `Lanes::sums` takes

/// Activations as integers: `x = scale * quant`, rows of tokens one behind the other.
#[derive(Debug, Default)]
pub struct Quantized {
    /// Blocks of quants.
    pub quants: Vec<[i8; BLOCK]>,
    /// The scale of each block.
    pub scales: Vec<f32>,
    /// The sum of `scale * quant` over the two halves of each block; a token has [`padded`] blocks here.
    pub sums: Vec<[f32; 2]>,
}

/// See [`QuantizeParams`].
pub fn quantize(x: &[f32], p: QuantizeParams) -> Quantized {
    let (n_tokens, n_blocks) = (p.n_tokens as usize, p.n_cols as usize / BLOCK);
    let first = p.first_token as usize * n_blocks;
    let x = &x.as_chunks().0[first..first + n_tokens * n_blocks];
    let mut out = Quantized {
        quants: vec![[0; BLOCK]; x.len()],
        scales: vec![0.0; x.len()],
        sums: vec![[0.0; 2]; n_tokens * padded(n_blocks)],
    };
    quantize_blocks(x, n_blocks, &mut out);
    out
}

#[multiversion::multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma"))]
fn quantize_blocks(x: &[[f32; BLOCK]], n_blocks: usize, out: &mut Quantized) {
    let sums = out.sums.chunks_exact_mut(padded(n_blocks)).flat_map(|sums| &mut sums[..n_blocks]);
    let factors = out.scales.iter_mut().zip(sums);
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
    let (tiles, rest) = sums.as_chunks_mut();
    let n_tiled = tiles.len() * TOKEN_TILE;
    for (i, sums) in tiles.iter_mut().enumerate() {
        *sums = L::sums(tile::<L, TOKEN_TILE, SIGNED, HALVES>(w, x, i * TOKEN_TILE));
    }
    for (i, sum) in rest.iter_mut().enumerate() {
        let [lanes] = tile::<L, 1, SIGNED, HALVES>(w, x, n_tiled + i);
        *sum = lanes.sum();
    }
}

/// A row of weights times `T` tokens from `first` on.
#[inline(always)]
fn tile<L: Lanes, const T: usize, const SIGNED: bool, const HALVES: bool>(
    w: &Integers,
    x: &Quantized,
    first: usize,
) -> [L; T] {
    let n = w.quants.len();
    let quants: [&[[i8; BLOCK]]; T] = std::array::from_fn(|t| &x.quants[(first + t) * n..][..n]);
    let scales: [&[f32]; T] = std::array::from_fn(|t| &x.scales[(first + t) * n..][..n]);
    let mut lanes = [L::zero(); T];
    for (b, (w, scale)) in w.quants.iter().zip(&w.scales).enumerate() {
        let scale = L::scale::<HALVES>(*scale);
        for (t, lanes) in lanes.iter_mut().enumerate() {
            *lanes = lanes.add::<SIGNED>(w, &quants[t][b], scale, scales[t][b]);
        }
    }
    if !SIGNED {
        let offsets = w.offsets.as_flattened().as_chunks().0;
        let n = w.offsets.len();
        for (t, lanes) in lanes.iter_mut().enumerate() {
            let sums = x.sums[(first + t) * n..][..n].as_flattened().as_chunks().0;
            for (offset, sum) in offsets.iter().zip(sums) {
                *lanes = lanes.add_products(offset, sum);
            }
        }
    }
    lanes
}
