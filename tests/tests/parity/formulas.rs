//! The CPU twins against the formulas that their params name, written in f64 as they are read, with no
//! thought of speed. A bug that a kernel and its twin share shows here.

use halfbyte::backend::{
    AttentionParams, Backend, Buf, EmbedParams, GeluMulParams, HeadBufs, KvBufs, MatmulParams, RmsNormParams,
    SiluMulParams, SoftcapParams, cpu::Cpu,
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
        let [out, added, x_buf, weight_buf] =
            [&vec![0.0; 3 * n_cols], &vec![2.0; 3 * n_cols], &x, &weight].map(|v| buffer(cpu, v));
        let p = RmsNormParams { n_tokens: 3, n_cols: n_cols as u32, first_token: 2, eps, accumulate: 0 };
        cpu.rms_norm(out, x_buf, weight_buf, p);
        cpu.rms_norm(added, x_buf, weight_buf, RmsNormParams { accumulate: 1, ..p });
        let formula: Vec<f64> = x[2 * n_cols..]
            .chunks_exact(n_cols)
            .flat_map(|x| {
                let rms = (dot(x, x) / n_cols as f64 + f64::from(eps)).sqrt();
                x.iter().zip(&weight).map(move |(x, w)| f64::from(*x) / rms * f64::from(*w))
            })
            .collect();
        assert_agrees(cpu, out, &formula, &format!("rms_norm of {n_cols}, eps {eps}"));
        let formula: Vec<f64> = formula.iter().map(|v| 2.0 + v).collect();
        assert_agrees(cpu, added, &formula, &format!("rms_norm of {n_cols}, eps {eps}, added"));
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

#[test]
fn gelu_mul_and_softcap_follow_their_formulas() {
    let (random, cpu) = (&mut Random::new(19), &mut Cpu::new());
    for scale in [1e-3, 1.0, 20.0] {
        let (n_tokens, n_ff) = (3, 33);
        let gate_up = random.values(n_tokens * 2 * n_ff, scale);
        let [out, gate_up_buf] = [&vec![0.0; n_tokens * n_ff], &gate_up].map(|v| buffer(cpu, v));
        cpu.gelu_mul(out, gate_up_buf, GeluMulParams { n_tokens: n_tokens as u32, n_ff: n_ff as u32 });
        let value = |t: usize, i: usize| f64::from(gate_up[t * 2 * n_ff + i]);
        let gelu = |x: f64| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3));
            0.5 * x * (1.0 + inner.tanh())
        };
        let formula: Vec<f64> = (0..n_tokens * n_ff)
            .map(|i| (i / n_ff, i % n_ff))
            .map(|(t, i)| gelu(value(t, i)) * value(t, n_ff + i))
            .collect();
        assert_agrees(cpu, out, &formula, &format!("gelu_mul of {scale}"));

        let x_buf = buffer(cpu, &gate_up);
        cpu.softcap(x_buf, SoftcapParams { n: gate_up.len() as u32, cap: 5.0 });
        let formula: Vec<f64> = gate_up.iter().map(|x| 5.0 * (f64::from(*x) / 5.0).tanh()).collect();
        assert_agrees(cpu, x_buf, &formula, &format!("softcap of {scale}"));
    }
}

/// The heads of some rows after each step that the params name, in f64.
struct Heads<'a> {
    p: AttentionParams,
    qkv: &'a [f32],
    weights: &'a [f32],
    /// Angle of a pair at a position.
    angle: fn(usize, usize) -> f64,
}

impl Heads<'_> {
    /// With the bias.
    fn biased(&self, t: usize, head: usize) -> Vec<f64> {
        let n = self.p.head_dim as usize;
        let heads = (self.p.n_heads + 2 * self.p.n_kv_heads) as usize;
        let value = |i: usize| {
            let bias = if self.p.has_bias == 1 { self.weights[2 * n + head * n + i] } else { 0.0 };
            f64::from(self.qkv[(t * heads + head) * n + i]) + f64::from(bias)
        };
        (0..n).map(value).collect()
    }

    /// With bias, norm and rotation. A pair is a complex number; position `m` multiplies it by
    /// `exp(i m f)`.
    fn rotated(&self, t: usize, head: usize) -> Vec<f64> {
        let mut values = self.biased(t, head);
        let n = values.len();
        if self.p.has_norm == 1 {
            let square: f64 = values.iter().map(|v| v * v).sum();
            let rms = (square / n as f64 + f64::from(self.p.eps)).sqrt();
            let weights = &self.weights[if head < self.p.n_heads as usize { 0 } else { n }..];
            values.iter_mut().zip(weights).for_each(|(v, w)| *v *= f64::from(*w) / rms);
        }
        let rope_dim = self.p.rope_dim as usize;
        let before = values.clone();
        for pair in 0..rope_dim / 2 {
            let [a, b] =
                if self.p.halves == 1 { [pair, pair + rope_dim / 2] } else { [2 * pair, 2 * pair + 1] };
            let (sin, cos) = (self.angle)(self.p.pos as usize + t, pair).sin_cos();
            values[a] = before[a] * cos - before[b] * sin;
            values[b] = before[a] * sin + before[b] * cos;
        }
        values
    }
}

/// Params that differ in what heads and scores go through: position, tokens, heads, elements of a head,
/// those that are rotated, and the flags in the order of the fields.
fn head_params() -> Vec<AttentionParams> {
    let base = AttentionParams { eps: 1e-3, scale: 0.3, window: u32::MAX, ..Default::default() };
    let of = |pos: u32, n_tokens: u32, [n_heads, n_kv_heads, head_dim]: [u32; 3], p: AttentionParams| {
        let n_slots = (pos + n_tokens).min(p.window.saturating_add(n_tokens - 1)) + 2;
        AttentionParams { pos, n_tokens, n_heads, n_kv_heads, head_dim, n_slots, ..p }
    };
    vec![
        of(0, 1, [1, 1, 4], base),
        of(0, 5, [4, 2, 16], AttentionParams { rope_dim: 8, ..base }),
        of(65, 3, [6, 2, 20], AttentionParams { rope_dim: 16, halves: 1, ..base }),
        of(300, 2, [7, 1, 64], AttentionParams { has_norm: 1, ..base }),
        of(9, 4, [4, 2, 12], AttentionParams { rope_dim: 12, has_bias: 1, ..base }),
        of(33, 3, [2, 1, 32], AttentionParams { softcap: 1.5, ..base }),
        of(50, 1, [2, 2, 8], AttentionParams { window: 1, ..base }),
        of(40, 7, [2, 2, 8], AttentionParams { window: 9, ..base }),
        AttentionParams {
            rope_dim: 24,
            halves: 1,
            has_norm: 1,
            has_bias: 1,
            softcap: 2.0,
            ..of(100, 30, [6, 2, 32], AttentionParams { window: 17, ..base })
        },
    ]
}

#[test]
fn rope_kv_and_attention_follow_their_formulas() {
    let random = &mut Random::new(13);
    for p in head_params() {
        let cpu = &mut Cpu::new();
        let [n_tokens, pos, n_heads, n_kv, head_dim, rope_dim, n_slots] =
            [p.n_tokens, p.pos, p.n_heads, p.n_kv_heads, p.head_dim, p.rope_dim, p.n_slots]
                .map(|n| n as usize);
        let angle = |position: usize, pair: usize| position as f64 * 0.7f64.powi(pair as i32);
        let pairs =
            (0..(pos + n_tokens) * (rope_dim / 2)).map(|i| angle(i / (rope_dim / 2), i % (rope_dim / 2)));
        let turns: Vec<f32> = pairs.flat_map(|a| [a.cos() as f32, a.sin() as f32]).collect();
        let row = (n_heads + 2 * n_kv) * head_dim;
        let qkv = random.values(n_tokens * row, 2.0);
        let weights = random.values(2 * head_dim + row, 1.0);
        let [k_before, v_before] = [1.0, 1.0].map(|scale| random.values(n_kv * n_slots * head_dim, scale));
        let out = vec![0.0; n_tokens * n_heads * head_dim];
        let [qkv_buf, rope, weights_buf, k, v, scratch, out] =
            [&qkv, &turns, &weights, &k_before, &v_before, &out, &out].map(|values| buffer(cpu, values));
        let (kv, heads) = (KvBufs { k, v }, HeadBufs { rope, weights: weights_buf });
        cpu.rope_attention(out, qkv_buf, kv, heads, scratch, p);

        let formula = Heads { p, qkv: &qkv, weights: &weights, angle };
        let [mut keys, mut values] =
            [&k_before, &v_before].map(|v| v.iter().map(|v| f64::from(*v)).collect::<Vec<_>>());
        let at = |head: usize, position: usize| (head * n_slots + position % n_slots) * head_dim;
        for (t, head) in (0..n_tokens).flat_map(|t| (0..n_kv).map(move |head| (t, head))) {
            let at = at(head, pos + t);
            keys[at..at + head_dim].copy_from_slice(&formula.rotated(t, n_heads + head));
            values[at..at + head_dim].copy_from_slice(&formula.biased(t, n_heads + n_kv + head));
        }
        assert_agrees(cpu, k, &keys, &format!("keys of {p:?}"));
        assert_agrees(cpu, v, &values, &format!("values of {p:?}"));

        let mut sums = Vec::new();
        for (t, head) in (0..n_tokens).flat_map(|t| (0..n_heads).map(move |head| (t, head))) {
            let query = formula.rotated(t, head);
            let kv_head = head * n_kv / n_heads;
            let sees = |position: usize| position + (p.window as usize) > pos + t;
            let seen: Vec<(f64, usize)> = (0..=pos + t)
                .filter(|position| sees(*position))
                .map(|position| at(kv_head, position))
                .map(|at| {
                    let key = &keys[at..at + head_dim];
                    let score = query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>() * f64::from(p.scale);
                    let cap = f64::from(p.softcap);
                    (if cap > 0.0 { cap * (score / cap).tanh() } else { score }.exp(), at)
                })
                .collect();
            let total: f64 = seen.iter().map(|(weight, _)| weight).sum();
            sums.extend(
                (0..head_dim)
                    .map(|i| seen.iter().map(|(weight, at)| weight / total * values[at + i]).sum::<f64>()),
            );
        }
        assert_agrees(cpu, out, &sums, &format!("attention of {p:?}"));
    }
}
