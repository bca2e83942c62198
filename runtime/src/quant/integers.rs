//! Weights as the bytes that they are quantised to, for products with int8 activations: a weight is
//! `scale * quant + offset`, with one scale and offset for each half of a block of 32.

use super::{BLOCK, Block, WeightType, blocks};
use super::{
    k_quants::{Q2_K, Q3_K, Q4_K, Q5_K, Q6_K},
    legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0},
};

/// What the quants of a weight type are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quants {
    /// Unsigned, of seven bits at most; the halves of a block have the same scale and offset.
    Blocks,
    /// As `Blocks`, but each half of a block has its own scale and offset.
    Halves,
    /// Signed bytes without an offset.
    Signed,
}

/// A row of weights as integers.
#[derive(Debug, Default)]
pub struct Integers {
    /// Blocks of quants, in the order of the weights.
    pub quants: Vec<[u8; BLOCK]>,
    /// The scale of the two halves of each block.
    pub scales: Vec<[f32; 2]>,
    /// The offset of the two halves of each block; zeros fill it up to [`padded`] blocks.
    pub offsets: Vec<[f32; 2]>,
}

impl Integers {
    /// Room for a row of `n_cols` weights, a multiple of the block.
    pub fn new(n_cols: usize) -> Integers {
        let n = n_cols / BLOCK;
        Integers {
            quants: vec![[0; BLOCK]; n],
            scales: vec![[0.0; 2]; n],
            offsets: vec![[0.0; 2]; padded(n)],
        }
    }
}

/// Blocks that are added up together with `n`, so that the offsets of their halves fill vectors of eight.
pub fn padded(n: usize) -> usize {
    n.next_multiple_of(4)
}

/// Blocks that [`Integers`] can hold.
pub(super) trait Unpack<const N: usize>: Block<N> {
    /// Writes the quants of the blocks of 32 of one block of the file; the slice holds as many.
    fn unpack(&self, quants: &mut [[u8; BLOCK]]);

    /// Writes the scales and offsets.
    fn factors(&self, scales: &mut [[f32; 2]], offsets: &mut [[f32; 2]]);
}

impl WeightType {
    /// What the quants are, of a type whose products with int8 activations are integers; none for a type
    /// that is computed with in f32.
    pub fn quants(self) -> Option<Quants> {
        match self {
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q4_K | Self::Q5_K => {
                Some(Quants::Blocks)
            }
            Self::Q2_K | Self::Q3_K | Self::Q6_K => Some(Quants::Halves),
            Self::Q8_0 => Some(Quants::Signed),
            Self::F32 | Self::F16 | Self::BF16 | Self::IQ4_NL | Self::IQ4_XS | Self::MXFP4 => None,
        }
    }

    /// Unpacks a row of a file into `out`, which has its size. Does nothing for a type without
    /// [`quants`](Self::quants).
    #[inline(always)]
    pub fn unpack(self, bytes: &[u8], out: &mut Integers) {
        match self {
            Self::Q4_0 => unpack_blocks::<_, Q4_0>(bytes, out),
            Self::Q4_1 => unpack_blocks::<_, Q4_1>(bytes, out),
            Self::Q5_0 => unpack_blocks::<_, Q5_0>(bytes, out),
            Self::Q5_1 => unpack_blocks::<_, Q5_1>(bytes, out),
            Self::Q8_0 => unpack_blocks::<_, Q8_0>(bytes, out),
            Self::Q2_K => unpack_blocks::<_, Q2_K>(bytes, out),
            Self::Q3_K => unpack_blocks::<_, Q3_K>(bytes, out),
            Self::Q4_K => unpack_blocks::<_, Q4_K>(bytes, out),
            Self::Q5_K => unpack_blocks::<_, Q5_K>(bytes, out),
            Self::Q6_K => unpack_blocks::<_, Q6_K>(bytes, out),
            Self::F32 | Self::F16 | Self::BF16 | Self::IQ4_NL | Self::IQ4_XS | Self::MXFP4 => {}
        }
    }
}

#[inline(always)]
fn unpack_blocks<const N: usize, B: Unpack<N>>(bytes: &[u8], out: &mut Integers) {
    let n = N / BLOCK;
    let blocks = blocks::<B>(bytes);
    for (block, quants) in blocks.iter().zip(out.quants.chunks_exact_mut(n)) {
        block.unpack(quants);
    }
    let factors = out.scales.chunks_exact_mut(n).zip(out.offsets.chunks_exact_mut(n));
    for (block, (scales, offsets)) in blocks.iter().zip(factors) {
        block.factors(scales, offsets);
    }
}
