//! The tiny models against PyTorch's logits: every architecture and weight type, on every backend, and
//! the forms of the GPU that are not the default.
//!
//! `cargo test --release --test golden -- --nocapture` prints the table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use halfbyte::backend::{
    Backend,
    cpu::Cpu,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::{Gguf, LogitRows, Model};
use halfbyte_tests::agreement::{max_difference, std_dev};
use halfbyte_tests::fixtures::TinyModel;

/// In standard deviations of the logits. Both sides compute in f32; they differ in the order of sums
/// (up to 704 terms), in exp and in tanh, which moves a logit by some 1e-5 of its deviation, and by 1e-4
/// where soft-caps and more layers stand in between. A wrong scale, nibble order, window or rotation moves
/// it by 1e-1 and more.
const TOLERANCE: f64 = 1e-3;

/// All models that are there: the committed ones, and those of the larger set that are not.
fn all() -> Vec<TinyModel> {
    let mut models = TinyModel::all();
    assert_eq!(models.len(), 18, "fixtures are missing");
    for tiny in TinyModel::beside() {
        if models.iter().all(|m| m.name() != tiny.name()) {
            models.push(tiny);
        }
    }
    models
}

/// One model of each architecture and shape.
fn one_of_each() -> Vec<TinyModel> {
    TinyModel::all().into_iter().filter(|m| m.variant == "Q4_0").collect()
}

/// Largest deviation of the logits of the prompt in one batch, then of one token at a time.
fn deviation(tiny: &TinyModel, backend: Box<dyn Backend>) -> f64 {
    let model = Model::load(Gguf::open(tiny.path()).unwrap(), backend).unwrap();
    let (tokens, reference) = tiny.reference();
    let mut kv = model.new_kv_cache(128).unwrap();
    let n_prompt = tiny.prompt.len();

    let (mut logits, mut row) = (Vec::new(), Vec::new());
    model.forward(&tokens[..n_prompt], &mut kv, LogitRows::All, &mut logits).unwrap();
    for token in &tokens[n_prompt..] {
        model.forward(&[*token], &mut kv, LogitRows::Last, &mut row).unwrap();
        logits.extend_from_slice(&row);
    }
    max_difference(&logits, &reference) / std_dev(&reference)
}

fn check(title: &str, models: Vec<TinyModel>, open: impl Fn() -> Box<dyn Backend>) {
    let mut table = format!("{title}: largest deviation of a logit, in standard deviations of the logits\n");
    let mut failed = 0;
    for tiny in models {
        let deviation = deviation(&tiny, open());
        let agrees = deviation < TOLERANCE;
        failed += usize::from(!agrees);
        let mark = if agrees { "" } else { "FAILED" };
        table += &format!("{:8} {:6} {:28} {deviation:.1e} {mark}\n", tiny.arch, tiny.variant, tiny.name());
    }
    println!("{table}");
    assert_eq!(failed, 0, "models are over their tolerance:\n{table}");
}

#[test]
fn cpu_matches_the_reference() {
    check("CPU", all(), || Box::new(Cpu::new()));
}

#[test]
fn gpu_matches_the_reference() {
    check("GPU", all(), || Box::new(Gpu::open().unwrap()));
}

#[test]
fn gpu_without_subgroups_matches_the_reference() {
    let options = GpuOptions { subgroups: false, ..Default::default() };
    check("GPU without subgroups", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_without_64_bit_loads_matches_the_reference() {
    let options = GpuOptions { int64: false, ..Default::default() };
    check("GPU without 64-bit loads", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_with_split_weights_matches_the_reference() {
    let options = GpuOptions { max_binding_bytes: 64 << 10, ..Default::default() };
    check("GPU with split weights", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}
