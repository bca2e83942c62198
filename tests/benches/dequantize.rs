//! Times how fast a core dequantises rows of every weight type:
//! `cargo bench -p halfbyte-tests --bench dequantize`.
//!
//! A row of the table names the type, the bytes of the file and the weights that one core takes a second,
//! and the bytes in relation to Q4_1. Rows come from memory and their values stay in the cache, as in a
//! product with an activation.

#![allow(missing_docs, reason = "a program")]

use std::{hint::black_box, time::Instant};

use halfbyte::quant::WeightType;
use halfbyte_tests::{matrices::random_matrix, random::Random};
use multiversion::multiversion;

/// Columns of a row.
const COLS: usize = 2048;
/// Bytes of rows, more than a cache holds.
const COLD: usize = 64 << 20;
/// Runs of which the fastest counts.
const RUNS: usize = 9;

fn main() {
    let speeds = WeightType::ALL.map(bytes_per_second);
    let q4_1 = speeds[WeightType::ALL.iter().position(|ty| *ty == WeightType::Q4_1).unwrap_or(0)];
    for (ty, speed) in WeightType::ALL.into_iter().zip(speeds) {
        let weights = speed * COLS as f64 / ty.row_bytes(COLS) as f64;
        let (name, share) = (ty.name(), speed / q4_1);
        println!("{name:8} {:6.2} GB/s {:6.2} G weights/s {share:6.2} of q4_1", speed / 1e9, weights / 1e9);
    }
}

fn bytes_per_second(ty: WeightType) -> f64 {
    let matrix = random_matrix(&mut Random::new(1), ty, [COLD / ty.row_bytes(COLS), COLS], 1.0);
    let mut row = vec![0.0; COLS];
    let seconds = (0..RUNS).map(|_| {
        let clock = Instant::now();
        dequantize(ty, matrix.bytes(), &mut row);
        clock.elapsed().as_secs_f64()
    });
    matrix.bytes().len() as f64 / seconds.fold(f64::INFINITY, f64::min)
}

/// As the product of a weight does it, with the vector instructions that the processor has.
#[multiversion(targets("x86_64+avx512f+avx512bw+avx512vl", "x86_64+avx2+fma"))]
fn dequantize(ty: WeightType, bytes: &[u8], row: &mut [f32]) {
    for bytes in bytes.chunks_exact(ty.row_bytes(COLS)) {
        ty.dequantize(bytes, row);
        black_box(&mut *row);
    }
}
