use halfbyte::backend::{cpu::*, gpu::*, *};
use halfbyte::*;
use std::time::Instant;
fn main() {
    let a: Vec<String> = std::env::args().collect();
    let gguf = Gguf::open(&a[1]).unwrap();
    let mut b: Box<dyn Backend> =
        if a[2] == "gpu" { Box::new(Gpu::open().unwrap()) } else { Box::new(Cpu::new()) };
    let b = b.as_mut();
    let nt: u32 = a[3].parse().unwrap();
    let x = b.alloc(128 * 4096).unwrap();
    b.write(x, &(0..128 * 4096).map(|i| ((i * 7919) % 1000) as f32 / 1000.0 - 0.5).collect::<Vec<_>>())
        .unwrap();
    let y = b.alloc(128 * 49152 / 4).unwrap();
    let kc = b.alloc(1024 * 192).unwrap();
    let vc = b.alloc(1024 * 192).unwrap();
    let rope = b.alloc(1024 * 64).unwrap();
    let n = b.alloc(576).unwrap();
    let mut time = |name: &str,
                    bytes: f64,
                    flops: f64,
                    b: &mut dyn Backend,
                    f: &mut dyn FnMut(&mut dyn Backend, usize)| {
        let n = &mut 0usize;
        let mut go = |k: usize| {
            for _ in 0..k {
                for i in 0..30 {
                    f(b, i);
                }
                b.read(y, &mut []).unwrap();
            }
            *n = 30 * k;
        };
        go(1);
        let t = Instant::now();
        go(1);
        let k = (std::env::var("SECS").map_or(0.15, |v| v.parse::<f64>().unwrap()) / t.elapsed().as_secs_f64())
            .ceil() as usize;
        let (t, c) = (Instant::now(), cpu());
        go(k);
        let best = t.elapsed().as_secs_f64() / (30 * k) as f64;
        let c = (cpu() - c) / 2.0 / (30 * k) as f64;
        println!(
            "{name:12} wall {:8.1} us  cpu/2 {:8.1} us  {:6.2} GB/s {:6.1} GFLOP/s",
            best * 1e6,
            c * 1e6,
            bytes / best / 1e9,
            flops / best / 1e9
        );
        best
    };
    let t = |s: String| gguf.tensor(&s).unwrap();
    let mut total = 0.0;
    for (name, parts, rows, cols) in [
        ("qkv", vec!["attn_q", "attn_k", "attn_v"], 960u32, 576u32),
        ("attn_out", vec!["attn_output"], 576, 576),
        ("gate_up", vec!["ffn_gate", "ffn_up"], 3072, 576),
        ("down", vec!["ffn_down"], 576, 1536),
    ] {
        let ws: Vec<Buf> = (0..30)
            .map(|l| {
                let v: Vec<_> = parts.iter().map(|p| t(format!("blk.{l}.{p}.weight"))).collect();
                b.upload(&v).unwrap()
            })
            .collect();
        let p = MatmulParams {
            n_tokens: nt,
            n_rows: rows,
            n_cols: cols,
            row_begin: 0,
            out_cols: rows,
            accumulate: 0,
            ..Default::default()
        };
        total += 30.0
            * time(
                name,
                rows as f64 * cols as f64 * 0.625,
                2.0 * rows as f64 * cols as f64 * nt as f64,
                b,
                &mut |b, i| b.matmul(y, x, ws[i], p),
            );
    }
    let e = b.upload(&[t("token_embd.weight".into())]).unwrap();
    let p = MatmulParams {
        n_tokens: 1,
        n_rows: 49152,
        n_cols: 576,
        row_begin: 0,
        out_cols: 49152,
        accumulate: 0,
        ..Default::default()
    };
    total += time("output", 49152.0 * 576.0 * 34.0 / 32.0, 2.0 * 49152.0 * 576.0, b, &mut |b, _| {
        b.matmul(y, x, e, p)
    });
    for pos in [1, 256, 512, 896 - 1] {
        let p = AttentionParams {
            n_tokens: nt,
            pos,
            n_heads: 9,
            n_kv_heads: 3,
            head_dim: 64,
            kv_capacity: 1024,
            scale: 0.1,
            ..Default::default()
        };
        let d = time(&format!("attn {pos}"), 0.0, 0.0, b, &mut |b, _| b.attention(y, x, kc, vc, p));
        if pos == 256 {
            total += 30.0 * d;
        }
    }
    total += 61.0
        * time("rms_norm", 0.0, 0.0, b, &mut |b, _| {
            b.rms_norm(y, x, n, RmsNormParams { n_tokens: nt, n_cols: 576, first_token: 0, eps: 1e-5 })
        });
    total += 30.0
        * time("rope_kv", 0.0, 0.0, b, &mut |b, _| {
            b.rope_kv(
                x,
                kc,
                vc,
                rope,
                RopeKvParams {
                    n_tokens: nt,
                    pos: 0,
                    n_heads: 9,
                    n_kv_heads: 3,
                    head_dim: 64,
                    rope_dim: 64,
                    kv_capacity: 1024,
                },
            )
        });
    total += 30.0
        * time("silu_mul", 0.0, 0.0, b, &mut |b, _| {
            b.silu_mul(y, x, SiluMulParams { n_tokens: nt, n_ff: 1536 })
        });
    println!("sum: {:.2} ms, {:.1} tok/s", total * 1e3, nt as f64 / total);
    if a[2] == "gpu" {
        println!("bandwidth {:.2} GB/s", Gpu::open().unwrap().read_bandwidth().unwrap() / 1e9);
    }
}

fn cpu() -> f64 {
    let s = std::fs::read_to_string("/proc/self/stat").unwrap();
    let f: Vec<&str> = s.rsplit(')').next().unwrap().split_whitespace().collect();
    (f[11].parse::<f64>().unwrap() + f[12].parse::<f64>().unwrap()) / 100.0
}
