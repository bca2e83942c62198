//! Random weight matrices of every type, as views of a GGUF file in memory.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use half::{bf16, f16};
use halfbyte::gguf::{Gguf, TensorView};
use halfbyte::quant::WeightType;

use crate::gguf_writer::GgufWriter;
use crate::random::Random;

/// The least that random halves reach; smaller ones have few bits or none.
const LEAST: f32 = 1e-6;

/// A matrix of `rows` and `cols` whose weights are about `scale` in size, or somewhat more where the type
/// cannot be that small. Quants and whole scales take every value that their bits can; halves are finite
/// and have both signs.
pub fn random_matrix(
    random: &mut Random,
    ty: WeightType,
    [rows, cols]: [usize; 2],
    scale: f32,
) -> TensorView {
    let n = rows * cols;
    let data = match ty {
        WeightType::F32 => random.values(n, scale).iter().flat_map(|v| v.to_le_bytes()).collect(),
        WeightType::F16 => random.values(n, scale).iter().flat_map(|v| half_bytes(*v)).collect(),
        WeightType::BF16 => {
            random.values(n, scale).iter().flat_map(|v| bf16::from_f32(*v).to_le_bytes()).collect()
        }
        _ => random_blocks(random, ty, n, scale),
    };
    let id = ty.tensor_type() as u32;
    let file = GgufWriter::new().tensor("weight", &[cols as u64, rows as u64], id, data).build();
    Gguf::from_bytes(file).ok().and_then(|gguf| gguf.tensor("weight")).expect("a sound file with one tensor")
}

/// Where the halves of a block are, and by what the largest weight exceeds each.
fn halves(ty: WeightType) -> &'static [(usize, f32)] {
    match ty {
        WeightType::Q4_0 => &[(0, 8.0)],
        WeightType::Q4_1 => &[(0, 8.0), (2, 1.0)],
        WeightType::Q5_0 => &[(0, 16.0)],
        WeightType::Q5_1 => &[(0, 16.0), (2, 1.0)],
        WeightType::Q8_0 => &[(0, 128.0)],
        WeightType::Q2_K => &[(80, 45.0), (82, 15.0)],
        WeightType::Q3_K => &[(108, 128.0)],
        WeightType::Q4_K => &[(0, 945.0), (2, 63.0)],
        WeightType::Q5_K => &[(0, 1953.0), (2, 63.0)],
        WeightType::Q6_K => &[(208, 4096.0)],
        WeightType::IQ4_NL => &[(0, 127.0)],
        WeightType::IQ4_XS => &[(0, 4064.0)],
        WeightType::F32 | WeightType::F16 | WeightType::BF16 | WeightType::MXFP4 => &[],
    }
}

/// `n` weights in blocks of random bytes, but for the halves and the exponents.
fn random_blocks(random: &mut Random, ty: WeightType, n: usize, scale: f32) -> Vec<u8> {
    let mut bytes: Vec<u8> = (0..ty.row_bytes(n)).map(|_| random.bits() as u8).collect();
    for block in bytes.chunks_exact_mut(ty.row_bytes(ty.block())) {
        for (at, largest) in halves(ty) {
            let half = random.value() * (scale / largest).max(LEAST);
            block[*at..*at + 2].copy_from_slice(&half_bytes(half));
        }
        if ty == WeightType::MXFP4 {
            // The largest float is 6 and the exponent's bias 127.
            block[0] = (127.0 + (scale / 6.0).log2()) as u8 - random.below(4) as u8;
        }
    }
    bytes
}

fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}
