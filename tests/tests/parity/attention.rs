//! `attention`, and `rope_attention` that rotates and writes the cache first, over head sizes, groups of query heads, and positions around the tiles of a kernel.

use halfbyte::backend::AttentionParams;
use halfbyte_tests::random::Random;

use super::table::Table;

/// Elements behind the end of what the op may write.
const GUARD: usize = 37;
/// Elements of a head, query heads to a key and value head, key and value heads. Each pair of the first
/// two may be kernels of their own that the driver compiles, some for seconds, so there are few.
const HEADS: [[usize; 3]; 9] = [
    [16, 3, 2],
    [32, 8, 1],
    [64, 1, 2],
    [64, 3, 3],
    [64, 7, 1],
    [80, 2, 2],
    [96, 2, 1],
    [128, 2, 2],
    [256, 1, 1],
];
/// Position of the first token: around the tiles of 8 and 64 positions.
const POSITIONS: [usize; 8] = [0, 1, 7, 8, 63, 64, 65, 300];

/// What the inputs look like.
#[derive(Clone, Copy)]
struct Sizes {
    name: &'static str,
    query: f32,
    key: f32,
    value: f32,
}

const PLAIN: Sizes = Sizes { name: "", query: 5.0, key: 1.0, value: 1.0 };
/// Of what else the numbers may be; sharp scores reach 100, whose exponential is beyond f32.
const OTHERS: [Sizes; 4] = [
    Sizes { name: ", sharp", query: 60.0, key: 1.0, value: 1.0 },
    Sizes { name: ", flat", query: 1e-4, key: 1e-4, value: 1.0 },
    Sizes { name: ", size 1e4", query: 1e-4, key: 1e4, value: 1e4 },
    Sizes { name: ", size 1e-4", query: 1e4, key: 1e-4, value: 1e-4 },
];

pub(crate) fn attention(table: &mut Table) {
    let random = &mut Random::new(9);
    for heads in HEADS {
        for pos in POSITIONS {
            for n_tokens in [1, 2, 9] {
                // The last positions of the cache, and positions with room behind them.
                let room = (pos + n_tokens) % 2 * 5;
                check(table, random, heads, [pos, n_tokens, pos + n_tokens + room], PLAIN);
            }
        }
        for (pos, n_tokens) in [(0, 17), (0, 127), (0, 128), (172, 128)] {
            check(table, random, heads, [pos, n_tokens, 300], PLAIN);
        }
        for sizes in OTHERS {
            for (pos, n_tokens) in [(0, 1), (64, 1), (60, 17)] {
                check(table, random, heads, [pos, n_tokens, 100], sizes);
            }
        }
    }
}

pub(crate) fn rope_attention(table: &mut Table) {
    let random = &mut Random::new(16);
    for heads in HEADS {
        let head_dim = heads[0];
        for pos in POSITIONS {
            for (n_tokens, rope_dim) in [(1, head_dim), (1, head_dim / 2), (1, 2), (2, head_dim), (9, 8)] {
                let room = (pos + rope_dim) % 4 / 2 * 5;
                check_rope_attention(table, random, heads, [pos, n_tokens, pos + n_tokens + room], rope_dim);
            }
        }
    }
}

fn check(
    table: &mut Table,
    random: &mut Random,
    [head_dim, group, n_kv_heads]: [usize; 3],
    [pos, n_tokens, capacity]: [usize; 3],
    sizes: Sizes,
) {
    let n_heads = group * n_kv_heads;
    // Keys and values in `qkv` are in the cache already; the op has no use for them.
    let qkv = table.buffer(&random.values(n_tokens * (n_heads + 2 * n_kv_heads) * head_dim, sizes.query));
    let mut cache = |scale: f32| -> Vec<f32> {
        let mut values = random.values(n_kv_heads * capacity * head_dim, scale);
        for (i, position) in values.chunks_exact_mut(head_dim).enumerate() {
            if i % capacity >= pos + n_tokens {
                // What a longer conversation left there must not be seen.
                position.fill(1e4 * scale);
            }
        }
        values
    };
    let (k, v) = (cache(sizes.key), cache(sizes.value));
    let [k, v] = [&k, &v].map(|values| table.buffer(values));
    let before = random.values(n_tokens * n_heads * head_dim + GUARD, sizes.value);
    let out = table.buffer(&before);
    let p = AttentionParams {
        n_tokens: n_tokens as u32,
        pos: pos as u32,
        n_heads: n_heads as u32,
        n_kv_heads: n_kv_heads as u32,
        head_dim: head_dim as u32,
        kv_capacity: capacity as u32,
        scale: 1.0 / (head_dim as f32).sqrt(),
        rope_dim: 0,
    };
    table.run(|backend, i| backend.attention(out[i], qkv[i], k[i], v[i], p));

    let class = format!("{head_dim} x {group}{}", sizes.name);
    let shape = format_args!("{n_kv_heads} kv heads, {n_tokens} tokens at {pos} of {capacity}");
    table.compare(("attention", &class), shape, out, &before, 0.0, |i| i < n_tokens * n_heads * head_dim);
    table.free([qkv, k, v, out]);
}

fn check_rope_attention(
    table: &mut Table,
    random: &mut Random,
    [head_dim, group, n_kv_heads]: [usize; 3],
    [pos, n_tokens, capacity]: [usize; 3],
    rope_dim: usize,
) {
    let n_heads = group * n_kv_heads;
    let angles = random.values(capacity * rope_dim / 2, 3.2);
    let turns: Vec<f32> = angles.iter().flat_map(|a| [a.cos(), a.sin()]).collect();
    let row = (n_heads + 2 * n_kv_heads) * head_dim;
    let qkv = table.buffer(&random.values(n_tokens * row, 2.0));
    let k_before = random.values(n_kv_heads * capacity * head_dim, 2.0);
    let v_before = random.values(n_kv_heads * capacity * head_dim, 2.0);
    let before = random.values(n_tokens * n_heads * head_dim + GUARD, 1.0);
    let [rope, k, v, out] = [&turns, &k_before, &v_before, &before].map(|values| table.buffer(values));
    let p = AttentionParams {
        n_tokens: n_tokens as u32,
        pos: pos as u32,
        n_heads: n_heads as u32,
        n_kv_heads: n_kv_heads as u32,
        head_dim: head_dim as u32,
        kv_capacity: capacity as u32,
        scale: 1.0 / (head_dim as f32).sqrt(),
        rope_dim: rope_dim as u32,
    };
    table.run(|backend, i| backend.rope_attention(out[i], qkv[i], (k[i], v[i]), rope[i], p));

    let class = format!("{head_dim} x {group}");
    let shape =
        format_args!("{n_kv_heads} kv heads, {rope_dim} turned, {n_tokens} tokens at {pos} of {capacity}");
    let in_cache = |i: usize| (pos..pos + n_tokens).contains(&(i / head_dim % capacity));
    table.compare(("rope_kv", "keys, fused"), shape, k, &k_before, 0.0, in_cache);
    table.compare(("rope_kv", "values, fused"), shape, v, &v_before, 0.0, in_cache);
    let in_out = |i: usize| i < n_tokens * n_heads * head_dim;
    table.compare(("rope_attention", &class), shape, out, &before, 0.0, in_out);
    table.free([qkv, rope, k, v, out]);
}
