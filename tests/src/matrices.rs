//! Random weight matrices of every type, as views of a GGUF file in memory.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use half::f16;
use halfbyte::gguf::{Gguf, TensorView};
use halfbyte::quant::{BLOCK, WeightType};

use crate::gguf_writer::{GgufWriter, tensor_type};
use crate::random::Random;

/// A matrix of `rows` and `cols` whose weights are about `scale` in size. Quants take every value that
/// their bits can; scales have both signs.
pub fn random_matrix(
    random: &mut Random,
    ty: WeightType,
    [rows, cols]: [usize; 2],
    scale: f32,
) -> TensorView {
    let values = |random: &mut Random| random.values(rows * cols, scale);
    let blocks = rows * cols / BLOCK;
    let (id, data) = match ty {
        WeightType::F32 => (tensor_type::F32, values(random).iter().flat_map(|v| v.to_le_bytes()).collect()),
        WeightType::F16 => (tensor_type::F16, values(random).iter().flat_map(|v| half_bytes(*v)).collect()),
        WeightType::Q4_0 => (tensor_type::Q4_0, random_blocks(random, blocks, &[scale / 8.0], 16)),
        WeightType::Q4_1 => (tensor_type::Q4_1, random_blocks(random, blocks, &[scale / 8.0, scale], 16)),
        WeightType::Q8_0 => (tensor_type::Q8_0, random_blocks(random, blocks, &[scale / 128.0], 32)),
    };
    let file = GgufWriter::new().tensor("weight", &[cols as u64, rows as u64], id, data).build();
    Gguf::from_bytes(file).ok().and_then(|gguf| gguf.tensor("weight")).expect("a sound file with one tensor")
}

/// Blocks of one random half for each of `heads`, up to its size, and `n_bytes` random bytes.
fn random_blocks(random: &mut Random, n_blocks: usize, heads: &[f32], n_bytes: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..n_blocks {
        for head in heads {
            bytes.extend(half_bytes(random.value() * head));
        }
        bytes.extend((0..n_bytes).map(|_| random.bits() as u8));
    }
    bytes
}

fn half_bytes(value: f32) -> [u8; 2] {
    f16::from_f32(value).to_le_bytes()
}
