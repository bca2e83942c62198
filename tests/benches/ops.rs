//! Times every op in the shapes of a model's layer, alone: `cargo bench --bench ops --
//! [gpu|cpu] [f32|int8] [FILTER]`.
//!
//! Decode ops walk over several copies of their weights, so that those come from memory and not from a
//! cache, as in a model. A row names the op, what one call takes, the bytes of weights that it reads a
//! second (decode) or the multiply-adds that it does (prefill).

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]
#![allow(missing_docs, reason = "a program")]

use std::time::Instant;

use halfbyte::backend::{
    Activations, AttentionParams, Backend, BackendChoice, BackendOptions, Buf, Gate, HeadBufs, KvBufs,
    MatmulParams, RmsNormParams, SiluMulParams, open,
};
use halfbyte::quant::WeightType;
use halfbyte_tests::{matrices::random_matrix, random::Random};

/// Bytes of weights that a decode op walks over.
const COLD: usize = 96 << 20;
/// Seconds that a row is measured for, at least.
const SECONDS: f64 = 0.3;
/// Runs of which the median counts.
const RUNS: usize = 5;
/// Types that are timed without a filter.
const USUAL: [WeightType; 4] = [WeightType::Q4_0, WeightType::Q4_1, WeightType::Q8_0, WeightType::F16];

/// The shape of a model's layer.
struct Shape {
    name: &'static str,
    n_embd: usize,
    heads: [usize; 3], // query heads, key and value heads, elements of a head
    n_ff: usize,
    n_vocab: usize,
}

const SHAPES: [Shape; 3] = [
    Shape { name: "SmolLM2-135M", n_embd: 576, heads: [9, 3, 64], n_ff: 1536, n_vocab: 49152 },
    Shape { name: "Gemma-3-270M", n_embd: 640, heads: [4, 1, 256], n_ff: 2048, n_vocab: 262_144 },
    Shape { name: "Llama-3.2-1B", n_embd: 2048, heads: [32, 8, 64], n_ff: 8192, n_vocab: 128_256 },
];

struct Bench {
    backend: Box<dyn Backend>,
    filter: String,
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with("--")).collect();
    let choice = match args.first().map(String::as_str) {
        Some("cpu") => BackendChoice::Cpu,
        _ => BackendChoice::Gpu,
    };
    let activations = match args.get(1).map(String::as_str) {
        Some("int8") => Activations::Int8,
        _ => Activations::F32,
    };
    let backend = open(BackendOptions { choice, activations }).unwrap();
    let device = backend.device();
    println!("{}, {}, {}", device.name, device.driver, device.features.join(", "));
    let mut bench = Bench { backend, filter: args.get(2).cloned().unwrap_or_default() };
    for shape in &SHAPES {
        println!("{}", shape.name);
        for ty in WeightType::ALL {
            if !bench.filter.is_empty() || USUAL.contains(&ty) {
                bench.matmuls(shape, ty);
            }
        }
        bench.rows(shape);
        for (pos, n_tokens) in [(128, 1), (512, 1), (4000, 1), (0, 128), (384, 128)] {
            bench.attention(shape, pos, n_tokens);
        }
    }
}

impl Bench {
    fn matmuls(&mut self, shape: &Shape, ty: WeightType) {
        let Shape { n_embd, heads: [n_heads, n_kv_heads, head_dim], n_ff, n_vocab, .. } = *shape;
        let qkv = (n_heads + 2 * n_kv_heads) * head_dim;
        for (name, rows, cols, input) in [
            ("qkv", qkv, n_embd, 1),
            ("attn_out", n_embd, n_heads * head_dim, 0),
            ("gate_up", 2 * n_ff, n_embd, 1),
            ("down", n_embd, n_ff, 2),
            ("output", n_vocab, n_embd, 1),
        ] {
            for n_tokens in [1, 128] {
                let name = format!("{name} {} {rows}x{cols} tokens {n_tokens}", ty.name());
                let is_sound =
                    cols.is_multiple_of(ty.block()) && !(name.starts_with("output") && n_tokens > 1);
                if name.contains(&self.filter) && is_sound {
                    self.matmul(&name, ty, [rows, cols], n_tokens, input);
                }
            }
        }
    }

    fn matmul(&mut self, name: &str, ty: WeightType, [rows, cols]: [usize; 2], n_tokens: usize, input: u32) {
        let random = &mut Random::new(1);
        let bytes = rows * ty.row_bytes(cols);
        let copies = if n_tokens == 1 { COLD.div_ceil(bytes).min(200) } else { 1 };
        let matrix = random_matrix(random, ty, [rows, cols], 1.0);
        let weights: Vec<Buf> =
            (0..copies).map(|_| self.backend.upload(std::slice::from_ref(&matrix)).unwrap()).collect();
        let x = self.buffer(&random.values(n_tokens * cols * 2, 1.0));
        let norm = self.buffer(&random.values(cols, 1.0));
        let scratch = self.backend.alloc(n_tokens * cols).unwrap();
        let out = self.backend.alloc(n_tokens * rows).unwrap();
        let p = MatmulParams {
            n_tokens: n_tokens as u32,
            n_rows: rows as u32,
            n_cols: cols as u32,
            out_cols: rows as u32,
            eps: 1e-5,
            ..Default::default()
        };
        let mut next = 0;
        let seconds = self.time(out, |backend| {
            next = (next + 1) % copies;
            match input {
                0 => backend.matmul(out, x, weights[next], p),
                1 => backend.norm_matmul(out, x, norm, weights[next], scratch, p),
                _ => backend.gated_matmul(out, x, weights[next], scratch, Gate::Silu, p),
            }
        });
        let rate = match n_tokens {
            1 => format!("{:6.2} GB/s", bytes as f64 / seconds / 1e9),
            _ => format!("{:6.1} GFLOP/s", 2.0 * (n_tokens * rows * cols) as f64 / seconds / 1e9),
        };
        println!("  {name:44} {:9.1} µs {rate}", seconds * 1e6);
        for buf in weights.into_iter().chain([x, norm, scratch, out]) {
            self.backend.free(buf);
        }
    }

    /// The ops on rows, for a batch.
    fn rows(&mut self, shape: &Shape) {
        const N_TOKENS: usize = 128;
        let random = &mut Random::new(3);
        let (n_embd, n_ff) = (shape.n_embd, shape.n_ff);
        let x = self.buffer(&random.values(N_TOKENS * 2 * n_ff, 1.0));
        let weight = self.buffer(&random.values(n_embd, 1.0));
        let out = self.backend.alloc(N_TOKENS * n_ff).unwrap();
        let norm = RmsNormParams {
            n_tokens: N_TOKENS as u32,
            n_cols: n_embd as u32,
            eps: 1e-5,
            ..Default::default()
        };
        let gate = SiluMulParams { n_tokens: N_TOKENS as u32, n_ff: n_ff as u32 };
        for name in ["rms_norm", "silu_mul"] {
            if !name.contains(&self.filter) {
                continue;
            }
            let seconds = self.time(out, |backend| match name {
                "rms_norm" => backend.rms_norm(out, x, weight, norm),
                _ => backend.silu_mul(out, x, gate),
            });
            println!("  {name} tokens {N_TOKENS:<29} {:9.1} µs", seconds * 1e6);
        }
        for buf in [x, weight, out] {
            self.backend.free(buf);
        }
    }

    fn attention(&mut self, shape: &Shape, pos: usize, n_tokens: usize) {
        let name = format!("attention tokens {n_tokens} at {pos}");
        if !name.contains(&self.filter) {
            return;
        }
        let random = &mut Random::new(2);
        let [n_heads, n_kv_heads, head_dim] = shape.heads;
        let capacity = pos + n_tokens;
        let qkv = self.buffer(&random.values(n_tokens * (n_heads + 2 * n_kv_heads) * head_dim, 1.0));
        let [k, v] = [(); 2].map(|()| {
            let kv = [n_kv_heads, capacity, head_dim];
            let buf = self.backend.alloc_kv(kv).unwrap();
            self.backend.write(buf, &random.values(kv.iter().product(), 1.0)).unwrap();
            buf
        });
        let rope = self.buffer(&random.values(capacity * head_dim, 1.0));
        let out = self.backend.alloc(n_tokens * n_heads * head_dim).unwrap();
        let queries = self.backend.alloc(n_tokens * n_heads * head_dim).unwrap();
        let p = AttentionParams {
            n_tokens: n_tokens as u32,
            pos: pos as u32,
            n_heads: n_heads as u32,
            n_kv_heads: n_kv_heads as u32,
            head_dim: head_dim as u32,
            n_slots: capacity as u32,
            rope_dim: head_dim as u32,
            scale: 0.125,
            window: u32::MAX,
            ..Default::default()
        };
        let (kv, heads) = (KvBufs { k, v }, HeadBufs { rope, weights: rope });
        let seconds = self.time(out, |backend| backend.rope_attention(out, qkv, kv, heads, queries, p));
        let scores = n_tokens * pos + n_tokens * (n_tokens + 1) / 2;
        let flop = 4.0 * (scores * n_heads * head_dim) as f64;
        println!("  {name:44} {:9.1} µs {:6.1} GFLOP/s", seconds * 1e6, flop / seconds / 1e9);
        for buf in [qkv, k, v, rope, out, queries] {
            self.backend.free(buf);
        }
    }

    fn buffer(&mut self, values: &[f32]) -> Buf {
        let buf = self.backend.alloc(values.len()).unwrap();
        self.backend.write(buf, values).unwrap();
        buf
    }

    /// Seconds of one call of `op`, of which enough are recorded at once that reading `out` is nothing.
    fn time(&mut self, out: Buf, mut op: impl FnMut(&mut dyn Backend)) -> f64 {
        let mut run = |n: usize| {
            let clock = Instant::now();
            for _ in 0..n {
                op(self.backend.as_mut());
            }
            self.backend.read(out, &mut [0.0]).unwrap();
            clock.elapsed().as_secs_f64()
        };
        run(1);
        let n = ((SECONDS / RUNS as f64 / (run(4) / 4.0)) as usize).clamp(2, 1000);
        let mut times: Vec<f64> = (0..RUNS).map(|_| run(n) / n as f64).collect();
        times.sort_by(f64::total_cmp);
        times[RUNS / 2]
    }
}
