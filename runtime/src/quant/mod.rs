//! The block layouts of weights: how each type is dequantised, and how the GPU lays it out.
//!
//! Layouts follow the GGUF specification's `ggml` types. This folder and the `weight_*.wgsl` files are
//! the only places that know them.

mod bits;
mod codebook;
mod floats;
mod integers;
mod k_quants;
mod legacy;

use bytemuck::Pod;

use crate::{
    error::{Error, Result},
    gguf::{TensorType, TensorView},
};
pub use integers::{Integers, Quants, padded};

use codebook::{IQ4_NL, IQ4_XS, MXFP4};
use k_quants::{Q2_K, Q3_K, Q4_K, Q5_K, Q6_K};
use legacy::{Q4_0, Q4_1, Q5_0, Q5_1, Q8_0};

/// Weights of one block of every type that the GPU reads, and columns it pads nothing to.
pub const BLOCK: usize = 32;
/// Weights of a super-block, eight blocks that share a scale.
const SUPER_BLOCK: usize = 256;
/// Rows that the GPU layout interleaves.
pub const INTERLEAVE: usize = 32;

/// A weight type that the runtime computes with. `q` is a quant of the bits that the name tells, `d` and
/// `m` are halves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the names of the GGUF specification")]
pub enum WeightType {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// The upper halves of 32-bit floats.
    BF16,
    /// Blocks of 32; `d * (q - 8)`.
    Q4_0,
    /// Blocks of 32; `d * q + m`.
    Q4_1,
    /// Blocks of 32; `d * (q - 16)`.
    Q5_0,
    /// Blocks of 32; `d * q + m`.
    Q5_1,
    /// Blocks of 32; `d * q`, q signed.
    Q8_0,
    /// Super-blocks; `d * scale * q - m * min`, scale and min of four bits for 16 weights.
    Q2_K,
    /// Super-blocks; `d * (scale - 32) * (q - 4)`, the scale of six bits for 16 weights.
    Q3_K,
    /// Super-blocks; `d * scale * q - m * min`, scale and min of six bits for 32 weights.
    Q4_K,
    /// Super-blocks; `d * scale * q - m * min`, scale and min of six bits for 32 weights.
    Q5_K,
    /// Super-blocks; `d * scale * (q - 32)`, the scale of eight bits for 16 weights.
    Q6_K,
    /// Blocks of 32; `d * table[q]`.
    IQ4_NL,
    /// Super-blocks; `d * (scale - 32) * table[q]`, the scale of six bits for 32 weights.
    IQ4_XS,
    /// Blocks of 32; `2^(e - 127) * float(q)`, e of eight bits, floats of four.
    MXFP4,
}

/// The numbers of a layout.
struct Format {
    tensor: TensorType,
    name: &'static str,
    /// Weights and bytes of a block in the file.
    block: (usize, usize),
    /// The GPU layout: SUPER, SCALE_BYTES and QUANT_WORDS of the type's `weight_*.wgsl`.
    gpu: (usize, usize, usize),
}

/// A block of `N` weights as it stands in the file.
trait Block<const N: usize>: Pod {
    fn dequantize(&self, out: &mut [f32; N]);

    /// Appends the scales and the quants that a super-block of the GPU layout has.
    fn pack(super_block: &[Self], scales: &mut Vec<u8>, quants: &mut Vec<u8>);
}

impl WeightType {
    /// All types, for reports and tests.
    pub const ALL: [WeightType; 16] = [
        Self::F32,
        Self::F16,
        Self::BF16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2_K,
        Self::Q3_K,
        Self::Q4_K,
        Self::Q5_K,
        Self::Q6_K,
        Self::IQ4_NL,
        Self::IQ4_XS,
        Self::MXFP4,
    ];

    /// The type of a tensor.
    ///
    /// # Errors
    /// [`Error::Unsupported`] that names the tensor, its type and the types that are read.
    pub fn of(tensor: &TensorView) -> Result<WeightType> {
        Self::ALL.into_iter().find(|ty| ty.tensor_type() == tensor.ty()).ok_or_else(|| {
            let read = Self::ALL.map(|ty| ty.tensor_type().to_string()).join(", ");
            Error::Unsupported(format!(
                "tensor {} has type {}; choose a file whose tensors are of {read}",
                tensor.name(),
                tensor.ty()
            ))
        })
    }

    fn format(self) -> Format {
        use TensorType as T;
        let (tensor, name, block, gpu) = match self {
            Self::F32 => (T::F32, "f32", (1, 4), (8, 0, 64)),
            Self::F16 => (T::F16, "f16", (1, 2), (8, 0, 32)),
            Self::BF16 => (T::BF16, "bf16", (1, 2), (8, 0, 32)),
            Self::Q4_0 => (T::Q4_0, "q4_0", (32, 18), (8, 16, 8)),
            Self::Q4_1 => (T::Q4_1, "q4_1", (32, 20), (4, 32, 8)),
            Self::Q5_0 => (T::Q5_0, "q5_0", (32, 22), (8, 48, 8)),
            Self::Q5_1 => (T::Q5_1, "q5_1", (32, 24), (2, 64, 8)),
            Self::Q8_0 => (T::Q8_0, "q8_0", (32, 34), (8, 16, 16)),
            Self::Q2_K => (T::Q2_K, "q2_k", (256, 84), (32, 20, 4)),
            Self::Q3_K => (T::Q3_K, "q3_k", (256, 110), (8, 48, 4)),
            Self::Q4_K => (T::Q4_K, "q4_k", (256, 144), (8, 16, 8)),
            Self::Q5_K => (T::Q5_K, "q5_k", (256, 176), (8, 48, 8)),
            Self::Q6_K => (T::Q6_K, "q6_k", (256, 210), (16, 18, 12)),
            Self::IQ4_NL => (T::IQ4_NL, "iq4_nl", (32, 18), (8, 16, 8)),
            Self::IQ4_XS => (T::IQ4_XS, "iq4_xs", (256, 136), (16, 8, 8)),
            Self::MXFP4 => (T::MXFP4, "mxfp4", (32, 17), (16, 8, 8)),
        };
        Format { tensor, name, block, gpu }
    }

    /// The name in file names of kernels, e.g. `q4_0`.
    pub fn name(self) -> &'static str {
        self.format().name
    }

    /// The type in a GGUF file.
    pub fn tensor_type(self) -> TensorType {
        self.format().tensor
    }

    /// Weights of a block in the file, of which a row has a whole number; 1 where there are no blocks.
    pub fn block(self) -> usize {
        self.format().block.0
    }

    /// Bytes that `n` weights of one row take in the file; `n` is a multiple of the block.
    pub fn row_bytes(self, n: usize) -> usize {
        let (weights, bytes) = self.format().block;
        n / weights * bytes
    }

    /// Dequantises whole rows of a file into `out`; `bytes` holds exactly these.
    #[inline(always)]
    pub fn dequantize(self, bytes: &[u8], out: &mut [f32]) {
        match self {
            Self::F32 => floats::f32(bytes, out),
            Self::F16 => floats::f16(bytes, out),
            Self::BF16 => floats::bf16(bytes, out),
            Self::Q4_0 => dequantize_blocks::<_, Q4_0>(bytes, out),
            Self::Q4_1 => dequantize_blocks::<_, Q4_1>(bytes, out),
            Self::Q5_0 => dequantize_blocks::<_, Q5_0>(bytes, out),
            Self::Q5_1 => dequantize_blocks::<_, Q5_1>(bytes, out),
            Self::Q8_0 => dequantize_blocks::<_, Q8_0>(bytes, out),
            Self::Q2_K => dequantize_blocks::<_, Q2_K>(bytes, out),
            Self::Q3_K => dequantize_blocks::<_, Q3_K>(bytes, out),
            Self::Q4_K => dequantize_blocks::<_, Q4_K>(bytes, out),
            Self::Q5_K => dequantize_blocks::<_, Q5_K>(bytes, out),
            Self::Q6_K => dequantize_blocks::<_, Q6_K>(bytes, out),
            Self::IQ4_NL => dequantize_blocks::<_, IQ4_NL>(bytes, out),
            Self::IQ4_XS => dequantize_blocks::<_, IQ4_XS>(bytes, out),
            Self::MXFP4 => dequantize_blocks::<_, MXFP4>(bytes, out),
        }
    }

    /// Bytes of `rows` rows of `cols` columns in the GPU layout. Rows are padded to [`INTERLEAVE`].
    pub fn gpu_bytes(self, rows: usize, cols: usize) -> usize {
        let (per_super, scale_bytes, quant_words) = self.format().gpu;
        let words = |blocks: usize| (blocks * scale_bytes).div_ceil(128) + blocks * quant_words / 8;
        let blocks = cols / BLOCK;
        let row_words = blocks / per_super * words(per_super) + words(blocks % per_super);
        rows.next_multiple_of(INTERLEAVE) * row_words * 16
    }

    /// Repacks up to [`INTERLEAVE`] rows of a file into the layout of `shaders/shared/layout.wgsl`.
    /// `out` has the size of [`gpu_bytes`](Self::gpu_bytes) for these rows; where no row exists it is
    /// left as it is.
    pub fn repack(self, rows: &[u8], cols: usize, out: &mut [u8]) {
        let super_block = self.row_bytes(self.format().gpu.0 * BLOCK);
        let out = out.as_chunks_mut::<16>().0;
        let (mut scales, mut quants) = (Vec::new(), Vec::new());
        for (lane, row) in rows.chunks_exact(self.row_bytes(cols)).enumerate() {
            let mut words = out.iter_mut().skip(lane).step_by(INTERLEAVE);
            for blocks in row.chunks(super_block) {
                scales.clear();
                quants.clear();
                self.pack(blocks, &mut scales, &mut quants);
                scales.resize(scales.len().next_multiple_of(16), 0);
                let packed = scales.as_chunks().0.iter().chain(quants.as_chunks().0);
                for (word, to) in packed.zip(words.by_ref()) {
                    *to = *word;
                }
            }
        }
    }

    /// Appends the scales and the quants of a super-block of the GPU layout.
    fn pack(self, super_block: &[u8], scales: &mut Vec<u8>, quants: &mut Vec<u8>) {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => quants.extend_from_slice(super_block),
            Self::Q4_0 => Q4_0::pack(blocks(super_block), scales, quants),
            Self::Q4_1 => Q4_1::pack(blocks(super_block), scales, quants),
            Self::Q5_0 => Q5_0::pack(blocks(super_block), scales, quants),
            Self::Q5_1 => Q5_1::pack(blocks(super_block), scales, quants),
            Self::Q8_0 => Q8_0::pack(blocks(super_block), scales, quants),
            Self::Q2_K => Q2_K::pack(blocks(super_block), scales, quants),
            Self::Q3_K => Q3_K::pack(blocks(super_block), scales, quants),
            Self::Q4_K => Q4_K::pack(blocks(super_block), scales, quants),
            Self::Q5_K => Q5_K::pack(blocks(super_block), scales, quants),
            Self::Q6_K => Q6_K::pack(blocks(super_block), scales, quants),
            Self::IQ4_NL => IQ4_NL::pack(blocks(super_block), scales, quants),
            Self::IQ4_XS => IQ4_XS::pack(blocks(super_block), scales, quants),
            Self::MXFP4 => MXFP4::pack(blocks(super_block), scales, quants),
        }
    }
}

/// The blocks of a row; none if `bytes` are no whole blocks.
#[inline(always)]
fn blocks<B: Pod>(bytes: &[u8]) -> &[B] {
    bytemuck::try_cast_slice(bytes).unwrap_or_default()
}

#[inline(always)]
fn dequantize_blocks<const N: usize, B: Block<N>>(bytes: &[u8], out: &mut [f32]) {
    for (block, out) in blocks::<B>(bytes).iter().zip(out.as_chunks_mut().0) {
        block.dequantize(out);
    }
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

    #[test]
    fn the_reader_of_files_knows_the_same_blocks() {
        for ty in WeightType::ALL {
            let n = ty.block() * 3;
            assert_eq!(ty.tensor_type().calculate_size(n as u64), Some(ty.row_bytes(n) as u64), "{ty:?}");
        }
    }

    /// Real matrices have rows of 576 columns or more (SmolLM2-135M has 576, K-quants need 256 a
    /// super-block) and at least as many rows as a head has elements.
    #[test]
    fn the_gpu_takes_at_most_5_percent_more_than_the_file() {
        println!("{:8} {:>12} {:>12} {:>10}", "", "rows x cols", "file", "GPU");
        for ty in WeightType::ALL {
            for (rows, cols) in
                [(64usize, 1024usize), (2048, 2048), (49_152, 576), (32_000, 2880), (1024, 768)]
            {
                if !cols.is_multiple_of(ty.block()) {
                    continue;
                }
                let file = rows * ty.row_bytes(cols);
                let more = ty.gpu_bytes(rows, cols) as f64 / file as f64 - 1.0;
                let shape = format!("{rows} x {cols}");
                println!("{:8} {shape:>12} {file:>12} {:>+9.2} %", ty.name(), 100.0 * more);
                assert!(more <= 0.05, "{ty:?} {shape}: {more}");
            }
        }
    }
}
