//! What the adapter's memory gives to a WGSL kernel that only reads: the ceiling for decode.

use std::time::Instant;

use super::{
    context::Context,
    pipelines::Form,
    recorder::{Binding, Recorder},
    storage,
    words::Words,
};
use crate::error::Result;

/// Bytes that are read, beyond any cache.
const BYTES: usize = 64 << 20;
/// Lanes of a workgroup, vec4 that a lane reads, and the kernel's STRIDE.
const FORMS: [(u32, u32, u32); 4] = [(64, 64, 1), (64, 256, 0), (256, 64, 1), (16, 1024, 0)];
const REPEATS: usize = 5;

/// Bytes per second of the fastest form in its fastest run.
pub(super) fn measure(ctx: &Context) -> Result<f64> {
    let words = storage(ctx, BYTES)?;
    let out = Words::Buffer(storage(ctx, BYTES / 16)?);
    let piece: Vec<u8> = (0..1 << 20).map(|i: u32| (i.wrapping_mul(0x9e37_79b9) >> 24) as u8).collect();
    for at in (0..BYTES).step_by(piece.len()) {
        ctx.queue.write_buffer(&words, at as u64, &piece);
        ctx.queue.submit([]);
        ctx.wait()?;
    }
    let mut recorder = Recorder::new(ctx);
    let mut fastest = f64::INFINITY;
    for (workgroup, words_per_lane, stride) in FORMS {
        let form = Form { workgroup, ..Form::plain("read_bandwidth") }
            .with(&[("STRIDE", stride), ("WORDS_PER_LANE", words_per_lane)]);
        let groups = [BYTES as u32 / 16 / workgroup / words_per_lane, 1, 1];
        let bindings = [Binding::buffer(0, &words), Binding::words(1, &out)];
        for _ in 0..=REPEATS {
            let start = Instant::now();
            recorder.record(ctx, form, &[], &bindings, groups);
            recorder.read(ctx, &out, &mut [])?;
            fastest = fastest.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(BYTES as f64 / fastest)
}
