//! The block layouts of weights: how each type is dequantised, and how the GPU lays it out.
//!
//! Layouts follow the GGUF specification's `ggml` types. This file and the `weight_*.wgsl` files are
//! the only places that know them.

use crate::{
    error::{Error, Result},
    gguf::{TensorType, TensorView},
};

/// Weights of one block of every type that the GPU reads, and columns it pads nothing to.
pub const BLOCK: usize = 32;
/// Rows that the GPU layout interleaves.
pub const INTERLEAVE: usize = 32;

/// A weight type that the runtime computes with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WeightType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// Blocks of 32: an f16 scale, 32 nibbles; `d * (q - 8)`.
    Q4_0,
    /// Blocks of 32: an f16 scale and minimum, 32 nibbles; `d * q + m`.
    Q4_1,
    /// Blocks of 32: an f16 scale, 32 signed bytes; `d * q`.
    Q8_0,
}

impl WeightType {
    /// All types, for reports and tests.
    pub const ALL: [WeightType; 5] = [Self::F32, Self::F16, Self::Q4_0, Self::Q4_1, Self::Q8_0];

    /// The type of a tensor.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that names the tensor and its type.
    pub fn of(tensor: &TensorView) -> Result<WeightType> {
        match tensor.ty() {
            TensorType::F32 => Ok(Self::F32),
            TensorType::F16 => Ok(Self::F16),
            TensorType::Q4_0 => Ok(Self::Q4_0),
            TensorType::Q4_1 => Ok(Self::Q4_1),
            TensorType::Q8_0 => Ok(Self::Q8_0),
            other => Err(Error::Unsupported(format!(
                "tensor {} has type {other:?}; F32, F16, Q4_0, Q4_1 and Q8_0 are read",
                tensor.name()
            ))),
        }
    }

    /// The name in file names of kernels, e.g. `q4_0`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Q4_0 => "q4_0",
            Self::Q4_1 => "q4_1",
            Self::Q8_0 => "q8_0",
        }
    }

    /// Bytes that `n` weights of one row take in the file; `n` is a multiple of the block.
    pub fn row_bytes(self, n: usize) -> usize {
        match self {
            Self::F32 => n * 4,
            Self::F16 => n * 2,
            Self::Q4_0 => n / BLOCK * 18,
            Self::Q4_1 => n / BLOCK * 20,
            Self::Q8_0 => n / BLOCK * 34,
        }
    }

    /// Dequantises one row of a file into `out`; `bytes` holds exactly the row.
    #[inline(always)]
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *o = f32::from_le_bytes(*b);
                }
            }
            Self::F16 => {
                for (o, b) in out.iter_mut().zip(bytes.as_chunks::<2>().0) {
                    *o = f16_to_f32(*b);
                }
            }
            Self::Q4_0 => {
                for (b, o) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                    q4_0(b, o);
                }
            }
            Self::Q4_1 => {
                for (b, o) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                    q4_1(b, o);
                }
            }
            Self::Q8_0 => {
                for (b, o) in bytes.as_chunks().0.iter().zip(out.as_chunks_mut().0) {
                    q8_0(b, o);
                }
            }
        }
    }

    /// The constants SUPER, SCALE_WORDS and WORDS of the GPU layout: blocks of a super-block, words of
    /// 16 bytes that its scales take, and words that a block's quants take.
    fn gpu_words(self) -> (usize, usize, usize) {
        match self {
            Self::F32 => (8, 0, 8),
            Self::F16 => (8, 0, 4),
            Self::Q4_0 => (8, 1, 1),
            Self::Q4_1 => (4, 1, 1),
            Self::Q8_0 => (8, 1, 2),
        }
    }

    /// Bytes of `rows` rows of `cols` columns in the GPU layout. Rows are padded to [`INTERLEAVE`].
    pub fn gpu_bytes(self, rows: usize, cols: usize) -> usize {
        let (blocks, (per_super, scale_words, words)) = (cols / BLOCK, self.gpu_words());
        let row_words = blocks.div_ceil(per_super) * scale_words + blocks * words;
        rows.next_multiple_of(INTERLEAVE) * row_words * 16
    }

    /// Repacks up to [`INTERLEAVE`] rows of a file into the layout of `shaders/shared/layout.wgsl`.
    /// `out` has the size of [`gpu_bytes`](Self::gpu_bytes) for these rows; where no row exists it is
    /// left as it is.
    pub fn repack(self, bytes: &[u8], cols: usize, out: &mut [u8]) {
        let (per_super, scale_words, words) = self.gpu_words();
        let block_bytes = self.row_bytes(BLOCK);
        let mut packed = vec![[0; 16]; scale_words + per_super * words];
        for (lane, row) in bytes.chunks_exact(self.row_bytes(cols)).enumerate() {
            let mut at = lane * 16;
            for super_block in row.chunks(per_super * block_bytes) {
                let n_words = scale_words + super_block.len() / block_bytes * words;
                packed.fill([0; 16]);
                self.pack(super_block, &mut packed);
                for word in &packed[..n_words] {
                    out[at..at + 16].copy_from_slice(word);
                    at += INTERLEAVE * 16;
                }
            }
        }
    }

    /// The blocks of one super-block as words of the GPU layout: its scales, then quants of each block.
    fn pack(self, blocks: &[u8], out: &mut [[u8; 16]]) {
        let (_, scale_words, words) = self.gpu_words();
        let head = self.header_bytes();
        let (scales, quants) = out.split_at_mut(scale_words);
        for (k, block) in blocks.chunks_exact(head + words * 16).enumerate() {
            if head > 0 {
                scales.as_flattened_mut()[k * head..][..head].copy_from_slice(&block[..head]);
            }
            quants[k * words..][..words].as_flattened_mut().copy_from_slice(&block[head..]);
        }
    }

    /// Bytes of scales in front of a block's quants.
    fn header_bytes(self) -> usize {
        match self {
            Self::F32 | Self::F16 => 0,
            Self::Q4_0 | Self::Q8_0 => 2,
            Self::Q4_1 => 4,
        }
    }
}

// Functions, not closures: a closure is compiled without the vector instructions of its caller.

#[inline(always)]
fn q4_0([d0, d1, quants @ ..]: &[u8; 18], out: &mut [f32; BLOCK]) {
    let d = f16_to_f32([*d0, *d1]);
    nibbles(quants, out, d, -8.0 * d);
}

#[inline(always)]
fn q4_1([d0, d1, m0, m1, quants @ ..]: &[u8; 20], out: &mut [f32; BLOCK]) {
    nibbles(quants, out, f16_to_f32([*d0, *d1]), f16_to_f32([*m0, *m1]));
}

#[inline(always)]
fn q8_0([d0, d1, quants @ ..]: &[u8; 34], out: &mut [f32; BLOCK]) {
    let d = f16_to_f32([*d0, *d1]);
    for (o, q) in out.iter_mut().zip(quants) {
        *o = d * f32::from(*q as i8);
    }
}

/// `out[i] = q[i] * d + m`, low nibbles first. The hint keeps the compiler from vectorising across
/// blocks instead of within one, which is several times slower.
#[inline(always)]
fn nibbles(quants: &[u8; BLOCK / 2], out: &mut [f32; BLOCK], d: f32, m: f32) {
    let quants = *std::hint::black_box(quants);
    let mut values = [0.0; BLOCK];
    for i in 0..BLOCK / 2 {
        values[i] = f32::from((quants[i] & 15) as i8) * d + m;
    }
    for i in 0..BLOCK / 2 {
        values[BLOCK / 2 + i] = f32::from((quants[i] >> 4) as i8) * d + m;
    }
    *out = values;
}

/// Exact for every half, infinities and NaN included, without the run-time feature check that
/// `half`'s own conversion makes for each value, which cost a quarter of the dequantisation.
#[inline(always)]
fn f16_to_f32(bytes: [u8; 2]) -> f32 {
    let h = u32::from(u16::from_le_bytes(bytes));
    let (sign, rest) = ((h & 0x8000) << 16, (h & 0x7fff) << 13);
    // 2^112 moves the exponent's bias from 15 to 127 and makes subnormals normal.
    let finite = f32::from_bits(rest) * f32::from_bits(0x7780_0000);
    let special = rest | 0x7f80_0000;
    let bits = if rest >= 0x7c00 << 13 { special } else { finite.to_bits() };
    f32::from_bits(bits | sign)
}

/// Dequantises a whole tensor; for the small ones (norms, RoPE factors).
///
/// # Errors
/// [`Error::Unsupported`] for a type that is not read.
pub fn dequantize_tensor(tensor: &TensorView) -> Result<Vec<f32>> {
    let ty = WeightType::of(tensor)?;
    let mut out = vec![0.0; tensor.rows() * tensor.cols()];
    ty.dequantize(tensor.bytes(), &mut out);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use half::f16;

    fn f16_bytes(value: f32) -> [u8; 2] {
        f16::from_f32(value).to_le_bytes()
    }

    #[test]
    fn every_half_converts_as_the_half_crate_does() {
        for bits in 0..=u16::MAX {
            let (ours, theirs) = (f16_to_f32(bits.to_le_bytes()), f16::from_bits(bits).to_f32());
            assert!(ours.to_bits() == theirs.to_bits() || (ours.is_nan() && theirs.is_nan()), "{bits:#06x}");
        }
    }

    #[test]
    fn q4_blocks_by_hand() {
        let mut block = vec![];
        block.extend(f16_bytes(0.5));
        block.extend((0..16).map(|i| i | (15 - i) << 4));
        let mut out = [0.0; 32];
        WeightType::Q4_0.dequantize(&block, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (-4.0, 3.5, 3.5, -4.0));
        block.splice(2..2, f16_bytes(1.0));
        WeightType::Q4_1.dequantize(&block, &mut out);
        assert_eq!((out[0], out[15], out[16], out[31]), (1.0, 8.5, 8.5, 1.0));
    }
}
