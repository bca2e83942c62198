//! The CPU twins against the formulas that their params name, written in f64 as they are read, with no
//! thought of speed. A bug that a kernel and its twin share shows here.

use halfbyte::backend::{
    AttentionParams, Backend, Buf, EmbedParams, MatmulParams, RmsNormParams, RopeKvParams, SiluMulParams,
    cpu::Cpu,
};
use halfbyte::quant::{WeightType, dequantize_tensor};
use halfbyte_tests::{matrices::random_matrix, random::Random};

use super::table::relative_error;

/// f32 against f64: up to 2080 terms of a sum, each off by 6e-8 at most, and exp.
const BOUND: f64 = 1e-12;

fn buffer(cpu: &mut Cpu, values: &[f32]) -> Buf {
    let buf = cpu.alloc(values.len()).unwrap();
    cpu.write(buf, values).unwrap();
    buf
}

/// Compares the start of a buffer with numbers that a formula gave.
fn assert_agrees(cpu: &mut Cpu, buf: Buf, formula: &[f64], what: &str) {
    assert_sums_agree(cpu, buf, formula, 0.0, what);
}

/// The same for sums whose squares are about `typical`, though a single one may cancel to next to nothing.
fn assert_sums_agree(cpu: &mut Cpu, buf: Buf, formula: &[f64], typical: f64, what: &str) {
    let mut values = vec![0.0; formula.len()];
    cpu.read(buf, &mut values).unwrap();
    let formula: Vec<f32> = formula.iter().map(|v| *v as f32).collect();
    let error = relative_error(&values, &formula, typical);
    assert!(error <= BOUND, "{what}: NMSE {error:.1e}");
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}

/// 40 columns are no whole blocks; the CPU takes them where the type has no blocks.
#[test]
fn embed_and_matmul_follow_their_formulas() {
    let random = &mut Random::new(10);
    for ty in WeightType::ALL {
        for (rows, cols) in [(1, 32), (7, 40), (33, 576), (65, 2080)] {
            let cols = usize::next_multiple_of(cols, ty.block());
            let matrix = random_matrix(random, ty, [rows, cols], 1.0);
            let weights = dequantize_tensor(&matrix).unwrap();
            let row = |r: usize| &weights[r * cols..][..cols];
            let cpu = &mut Cpu::new();
            let uploaded = cpu.upload(&[matrix]).unwrap();
            for n_tokens in [1, 3] {
                let tokens: Vec<u32> = (0..n_tokens).map(|_| random.below(rows) as u32).collect();
                let out = buffer(cpu, &random.values(n_tokens * cols, 1.0));
                let [n_rows, n_cols, n] = [rows, cols, n_tokens].map(|n| n as u32);
                let p = EmbedParams { n_tokens: n, n_cols, row_begin: 0, n_rows, scale: 2.5 };
                cpu.embed(out, uploaded, &tokens, p);
                let looked_up = tokens.iter().flat_map(|t| row(*t as usize));
                let formula: Vec<f64> = looked_up.map(|w| 2.5 * f64::from(*w)).collect();
                assert_agrees(cpu, out, &formula, &format!("embed {} {rows} x {cols}", ty.name()));

                let x = random.values(n_tokens * cols, 1.0);
                let residual = random.values(n_tokens * rows, 1.0);
                let (x_buf, out) = (buffer(cpu, &x), buffer(cpu, &residual));
                let p = MatmulParams {
                    n_tokens: n,
                    n_rows,
                    n_cols,
                    row_begin: 0,
                    out_cols: n_rows,
                    accumulate: 1,
                    ..Default::default()
                };
                cpu.matmul(out, x_buf, uploaded, p);
                let sums = x.chunks_exact(cols).flat_map(|x| (0..rows).map(move |r| dot(row(r), x)));
                let formula: Vec<f64> = sums.zip(&residual).map(|(s, r)| s + f64::from(*r)).collect();
                let typical = dot(&weights, &weights) / rows as f64 / 3.0; // x is uniform below 1
                let what = format!("matmul {} {rows} x {cols}", ty.name());
                assert_sums_agree(cpu, out, &formula, typical, &what);
            }
        }
    }
}

#[test]
fn rms_norm_follows_its_formula() {
    let (random, cpu) = (&mut Random::new(11), &mut Cpu::new());
    for (n_cols, eps) in [(1, 1e-6), (33, 1e-5), (576, 0.5)] {
        let (x, weight) = (random.values(5 * n_cols, 0.1), random.values(n_cols, 1.0));
        let [out, x_buf, weight_buf] = [&vec![0.0; 3 * n_cols], &x, &weight].map(|v| buffer(cpu, v));
        cpu.rms_norm(
            out,
            x_buf,
            weight_buf,
            RmsNormParams { n_tokens: 3, n_cols: n_cols as u32, first_token: 2, eps },
        );
        let formula: Vec<f64> = x[2 * n_cols..]
            .chunks_exact(n_cols)
            .flat_map(|x| {
                let rms = (dot(x, x) / n_cols as f64 + f64::from(eps)).sqrt();
                x.iter().zip(&weight).map(move |(x, w)| f64::from(*x) / rms * f64::from(*w))
            })
            .collect();
        assert_agrees(cpu, out, &formula, &format!("rms_norm of {n_cols}, eps {eps}"));
    }
}

#[test]
fn silu_mul_follows_its_formula() {
    let (random, cpu) = (&mut Random::new(12), &mut Cpu::new());
    for scale in [1e-3, 1.0, 20.0] {
        let (n_tokens, n_ff) = (3, 33);
        let gate_up = random.values(n_tokens * 2 * n_ff, scale);
        let [out, gate_up_buf] = [&vec![0.0; n_tokens * n_ff], &gate_up].map(|v| buffer(cpu, v));
        cpu.silu_mul(out, gate_up_buf, SiluMulParams { n_tokens: n_tokens as u32, n_ff: n_ff as u32 });
        let value = |t: usize, i: usize| f64::from(gate_up[t * 2 * n_ff + i]);
        let silu = |g: f64| g / (1.0 + (-g).exp());
        let formula: Vec<f64> = (0..n_tokens * n_ff)
            .map(|i| (i / n_ff, i % n_ff))
            .map(|(t, i)| silu(value(t, i)) * value(t, n_ff + i))
            .collect();
        assert_agrees(cpu, out, &formula, &format!("silu_mul of {scale}"));
    }
}

/// A pair of neighbours is a complex number; position `m` multiplies it by `exp(i m f)`.
#[test]
fn rope_kv_follows_its_formula() {
    let (random, cpu) = (&mut Random::new(13), &mut Cpu::new());
    let [n_tokens, pos, n_heads, n_kv, head_dim, rope_dim, capacity] = [3, 4, 4, 2, 12, 8, 7];
    let row = (n_heads + 2 * n_kv) * head_dim;
    let angle = |position: usize, pair: usize| position as f64 * 0.7f64.powi(pair as i32);
    let turns: Vec<f32> = (0..capacity * rope_dim / 2)
        .map(|i| angle(i / (rope_dim / 2), i % (rope_dim / 2)))
        .flat_map(|a| [a.cos() as f32, a.sin() as f32])
        .collect();
    let before = random.values(n_tokens * row, 1.0);
    let cache = vec![0.0; n_kv * capacity * head_dim];
    let [qkv, k, v, rope] = [&before, &cache, &cache, &turns].map(|values| buffer(cpu, values));
    let [n, pos_, h, kv, hd, rd, cap] =
        [n_tokens, pos, n_heads, n_kv, head_dim, rope_dim, capacity].map(|n| n as u32);
    let p = RopeKvParams {
        n_tokens: n,
        pos: pos_,
        n_heads: h,
        n_kv_heads: kv,
        head_dim: hd,
        rope_dim: rd,
        kv_capacity: cap,
    };
    cpu.rope_kv(qkv, k, v, rope, p);

    let before = |t: usize, head: usize, i: usize| f64::from(before[t * row + head * head_dim + i]);
    let turned = |t: usize, head: usize, i: usize| {
        if i >= rope_dim {
            return before(t, head, i);
        }
        let (re, im) = (before(t, head, i / 2 * 2), before(t, head, i / 2 * 2 + 1));
        let (sin, cos) = angle(pos + t, i / 2).sin_cos();
        if i.is_multiple_of(2) { re * cos - im * sin } else { re * sin + im * cos }
    };
    let (mut queries, mut keys, mut values) = (Vec::new(), vec![0.0; cache.len()], vec![0.0; cache.len()]);
    for t in 0..n_tokens {
        for i in 0..row {
            let (head, i) = (i / head_dim, i % head_dim);
            queries.push(if head < n_heads { turned(t, head, i) } else { before(t, head, i) });
        }
        for head in 0..n_kv {
            for i in 0..head_dim {
                let at = (head * capacity + pos + t) * head_dim + i;
                keys[at] = turned(t, n_heads + head, i);
                values[at] = before(t, n_heads + n_kv + head, i);
            }
        }
    }
    assert_agrees(cpu, qkv, &queries, "rope_kv, queries");
    assert_agrees(cpu, k, &keys, "rope_kv, keys");
    assert_agrees(cpu, v, &values, "rope_kv, values");
}

#[test]
fn attention_follows_its_formula() {
    let (random, cpu) = (&mut Random::new(14), &mut Cpu::new());
    for (pos, n_tokens, [n_heads, n_kv, head_dim]) in
        [(0, 1, [1, 1, 4]), (0, 5, [4, 2, 16]), (65, 3, [6, 2, 20]), (300, 2, [7, 1, 64])]
    {
        let capacity = pos + n_tokens + 2;
        let row = (n_heads + 2 * n_kv) * head_dim;
        let qkv = random.values(n_tokens * row, 4.0);
        let [k, v] = [1.0, 1.0].map(|scale| random.values(n_kv * capacity * head_dim, scale));
        let [qkv_buf, k_buf, v_buf, out] =
            [&qkv, &k, &v, &vec![0.0; n_tokens * n_heads * head_dim]].map(|values| buffer(cpu, values));
        let scale = 1.0 / (head_dim as f32).sqrt();
        let [n, pos_, h, kv, hd, cap] = [n_tokens, pos, n_heads, n_kv, head_dim, capacity].map(|n| n as u32);
        let p = AttentionParams {
            n_tokens: n,
            pos: pos_,
            n_heads: h,
            n_kv_heads: kv,
            head_dim: hd,
            kv_capacity: cap,
            scale,
            rope_dim: 0,
        };
        cpu.attention(out, qkv_buf, k_buf, v_buf, p);

        let mut formula = Vec::new();
        for t in 0..n_tokens {
            for head in 0..n_heads {
                let q = &qkv[t * row + head * head_dim..][..head_dim];
                let kv_head = head * n_kv / n_heads;
                let at = |position: usize| (kv_head * capacity + position) * head_dim;
                let weights: Vec<f64> = (0..=pos + t)
                    .map(|position| (dot(q, &k[at(position)..][..head_dim]) * f64::from(scale)).exp())
                    .collect();
                let total: f64 = weights.iter().sum();
                formula.extend((0..head_dim).map(|i| {
                    let seen = weights.iter().enumerate();
                    seen.map(|(position, w)| w / total * f64::from(v[at(position) + i])).sum::<f64>()
                }));
            }
        }
        assert_agrees(cpu, out, &formula, &format!("attention at {pos}, head {head_dim}"));
    }
}
