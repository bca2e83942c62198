//! The ops on rows and elements: `rms_norm`, `silu_mul`, `gelu_mul`, `softcap`.

use halfbyte::backend::{GeluMulParams, RmsNormParams, SiluMulParams, SoftcapParams};
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
                for accumulate in [0, 1] {
                    let before = random.values(n_tokens * n_cols + GUARD, 1.0);
                    let out = table.buffer(&before);
                    let p = RmsNormParams {
                        n_tokens: n_tokens as u32,
                        n_cols: n_cols as u32,
                        first_token: first as u32,
                        eps: 1e-5,
                        accumulate,
                    };
                    table.run(|backend, i| backend.rms_norm(out[i], x[i], weight[i], p));
                    let class = if accumulate == 1 { "added" } else { class };
                    let shape = format_args!("{n_tokens} x {n_cols} from token {first}");
                    table.compare(("rms_norm", class), shape, out, &before, 0.0, |i| i < n_tokens * n_cols);
                    table.free([out]);
                }
                table.free([x]);
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

pub(crate) fn gelu_mul(table: &mut Table) {
    let random = &mut Random::new(17);
    for n_ff in [32, 64, 96, 160, 576, 1536] {
        for n_tokens in [1, 2, 7, 9, 127, 128] {
            for (class, scale) in SIZES {
                let gate_up = table.buffer(&random.values(n_tokens * 2 * n_ff, scale));
                let before = random.values(n_tokens * n_ff + GUARD, 1.0);
                let out = table.buffer(&before);
                let p = GeluMulParams { n_tokens: n_tokens as u32, n_ff: n_ff as u32 };
                table.run(|backend, i| backend.gelu_mul(out[i], gate_up[i], p));
                let shape = format_args!("{n_tokens} x {n_ff}");
                table.compare(("gelu_mul", class), shape, out, &before, 0.0, |i| i < n_tokens * n_ff);
                table.free([gate_up, out]);
            }
        }
    }
}

/// The last size is more than one lane an element.
pub(crate) fn softcap(table: &mut Table) {
    let random = &mut Random::new(18);
    for n in [1, 63, 64, 65, 2049, 70_001] {
        for (class, scale) in [("", 60.0), ("flat", 1.0), ("sharp", 1e5)] {
            let before = random.values(n + GUARD, scale);
            let x = table.buffer(&before);
            table.run(|backend, i| backend.softcap(x[i], SoftcapParams { n: n as u32, cap: 30.0 }));
            // The error goes by the cap, not by the element.
            table.compare(("softcap", class), n, x, &before, 1.0, |i| i < n);
            table.free([x]);
        }
    }
}
