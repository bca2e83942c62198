//! The ops without weights but attention: `rms_norm`, `rope_kv`, `silu_mul`.

use halfbyte::backend::{RmsNormParams, RopeKvParams, SiluMulParams};
use halfbyte_tests::random::Random;

use super::table::Table;

/// Elements behind the end of what an op may write.
const GUARD: usize = 37;
/// Sizes of activations: the class it belongs to and the scale.
const SIZES: [(&str, f32); 3] = [("", 1.0), ("size 1e4", 1e4), ("size 1e-4", 1e-4)];

pub(crate) fn rms_norm(table: &mut Table) {
    let random = &mut Random::new(6);
    for n_cols in [32, 64, 96, 160, 576, 2080] {
        let weight = table.buffer(&random.values(n_cols, 1.0));
        for (n_tokens, first) in [(1, 0), (1, 16), (2, 1), (7, 0), (9, 3), (128, 0), (127, 1)] {
            for (class, scale) in SIZES {
                let x = table.buffer(&random.values((first + n_tokens) * n_cols, scale));
                let before = random.values(n_tokens * n_cols + GUARD, 1.0);
                let out = table.buffer(&before);
                let p = RmsNormParams {
                    n_tokens: n_tokens as u32,
                    n_cols: n_cols as u32,
                    first_token: first as u32,
                    eps: 1e-5,
                };
                table.run(|backend, i| backend.rms_norm(out[i], x[i], weight[i], p));
                let shape = format_args!("{n_tokens} x {n_cols} from token {first}");
                table.compare(("rms_norm", class), shape, out, &before, 0.0, |i| i < n_tokens * n_cols);
                table.free([x, out]);
            }
        }
        table.free([weight]);
    }
}

pub(crate) fn silu_mul(table: &mut Table) {
    let random = &mut Random::new(7);
    for n_ff in [32, 64, 96, 160, 576, 1536] {
        for n_tokens in [1, 2, 7, 9, 127, 128] {
            for (class, scale) in SIZES {
                let gate_up = table.buffer(&random.values(n_tokens * 2 * n_ff, scale));
                let before = random.values(n_tokens * n_ff + GUARD, 1.0);
                let out = table.buffer(&before);
                let p = SiluMulParams { n_tokens: n_tokens as u32, n_ff: n_ff as u32 };
                table.run(|backend, i| backend.silu_mul(out[i], gate_up[i], p));
                let shape = format_args!("{n_tokens} x {n_ff}");
                table.compare(("silu_mul", class), shape, out, &before, 0.0, |i| i < n_tokens * n_ff);
                table.free([gate_up, out]);
            }
        }
    }
}

/// Query heads, key and value heads, elements of a head, elements that are rotated.
const HEADS: [[usize; 4]; 8] = [
    [1, 1, 16, 16],
    [6, 2, 16, 8],
    [3, 3, 32, 32],
    [9, 3, 64, 64],
    [5, 1, 80, 2],
    [2, 2, 96, 48],
    [7, 1, 128, 128],
    [4, 2, 256, 64],
];

pub(crate) fn rope_kv(table: &mut Table) {
    let random = &mut Random::new(8);
    for heads in HEADS {
        for (pos, n_tokens) in [(0, 1), (1, 1), (0, 2), (7, 9), (8, 1), (64, 17), (0, 128), (300, 128)] {
            // The last positions of the cache, and positions with room behind them.
            for room in [0, 3] {
                check_rope_kv(table, random, heads, [pos, n_tokens, pos + n_tokens + room]);
            }
        }
    }
}

fn check_rope_kv(
    table: &mut Table,
    random: &mut Random,
    [n_heads, n_kv_heads, head_dim, rope_dim]: [usize; 4],
    [pos, n_tokens, capacity]: [usize; 3],
) {
    let row = (n_heads + 2 * n_kv_heads) * head_dim;
    let angles = random.values(capacity * rope_dim / 2, 3.2);
    let turns: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
    let qkv_before = random.values(n_tokens * row + GUARD, 1.0);
    let k_before = random.values(n_kv_heads * capacity * head_dim, 1.0);
    let v_before = random.values(n_kv_heads * capacity * head_dim, 1.0);
    let [rope, qkv, k, v] = [&turns, &qkv_before, &k_before, &v_before].map(|values| table.buffer(values));
    let p = RopeKvParams {
        n_tokens: n_tokens as u32,
        pos: pos as u32,
        n_heads: n_heads as u32,
        n_kv_heads: n_kv_heads as u32,
        head_dim: head_dim as u32,
        rope_dim: rope_dim as u32,
        kv_capacity: capacity as u32,
    };
    table.run(|backend, i| backend.rope_kv(qkv[i], k[i], v[i], rope[i], p));

    let shape = format_args!(
        "heads {n_heads}/{n_kv_heads}, {rope_dim} of {head_dim}, {n_tokens} tokens at {pos} of {capacity}"
    );
    table.compare(("rope_kv", "queries"), shape, qkv, &qkv_before, 0.0, |i| {
        let (token, element) = (i / row, i % row);
        token < n_tokens && element < n_heads * head_dim && element % head_dim < rope_dim
    });
    let in_cache = |i: usize| (pos..pos + n_tokens).contains(&(i / head_dim % capacity));
    table.compare(("rope_kv", "keys"), shape, k, &k_before, 0.0, in_cache);
    table.compare(("rope_kv", "values"), shape, v, &v_before, 0.0, in_cache);
    table.free([rope, qkv, k, v]);
}
