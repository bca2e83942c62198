//! int8 activations are what runs when they are asked for, on both backends: a block in which 0.4 rounds to
//! nothing beside 127.

use halfbyte::backend::{Activations, Backend, BackendChoice, BackendOptions, MatmulParams, open};
use halfbyte::quant::{WeightType, dequantize_tensor};
use halfbyte_tests::{matrices::random_matrix, random::Random};

const ROWS: usize = 9;

/// The largest activation of each block is 127, so that steps are 1; the others are 0.4.
fn activations(n_tokens: usize, cols: usize) -> Vec<f32> {
    (0..n_tokens * cols).map(|i| if i % 32 == 5 { 127.0 } else { 0.4 }).collect()
}

/// What the product is where 0.4 stands for `rest`.
fn expected(weights: &[f32], cols: usize, rest: f64) -> Vec<f64> {
    let value = |i: usize| if i % 32 == 5 { 127.0 } else { rest };
    let row = |row: &[f32]| row.iter().enumerate().map(|(i, w)| f64::from(*w) * value(i)).sum();
    weights.chunks_exact(cols).map(row).collect()
}

fn check(backend: &mut dyn Backend, ty: WeightType, n_tokens: usize, rest: f64) {
    let cols = 64usize.next_multiple_of(ty.block());
    let matrix = random_matrix(&mut Random::new(31), ty, [ROWS, cols], 1.0);
    let want = expected(&dequantize_tensor(&matrix).unwrap(), cols, rest);
    let weight = backend.upload(&[matrix]).unwrap();
    let (x, out) = (backend.alloc(n_tokens * cols).unwrap(), backend.alloc(n_tokens * ROWS).unwrap());
    backend.write(x, &activations(n_tokens, cols)).unwrap();
    let p = MatmulParams {
        n_tokens: n_tokens as u32,
        n_rows: ROWS as u32,
        n_cols: cols as u32,
        out_cols: ROWS as u32,
        ..Default::default()
    };
    backend.matmul(out, x, weight, p);
    let mut got = vec![0.0; n_tokens * ROWS];
    backend.read(out, &mut got).unwrap();
    // Products reach some 127 * 8; a rounding is off by 6e-8 of that, and 0.4 for 0 by 1 and more.
    for (got, want) in got.iter().zip(want.iter().cycle()) {
        let name = backend.device().backend;
        assert!((f64::from(*got) - want).abs() < 5e-3, "{name} {ty:?}, {n_tokens} tokens: {got}, not {want}");
    }
}

#[test]
fn activations_are_what_was_asked_for() {
    for choice in [BackendChoice::Cpu, BackendChoice::Gpu] {
        for activations in [Activations::F32, Activations::Int8] {
            let mut backend = open(BackendOptions { choice, activations }).unwrap();
            let name = if activations == Activations::Int8 { "int8 activations" } else { "f32 activations" };
            assert!(backend.device().features.iter().any(|f| f.starts_with(name)), "{:?}", backend.device());
            for ty in WeightType::ALL {
                let is_rounded = activations == Activations::Int8 && ty.quants().is_some();
                for n_tokens in [1, 2, 9] {
                    check(backend.as_mut(), ty, n_tokens, if is_rounded { 0.0 } else { f64::from(0.4f32) });
                }
            }
        }
    }
}
