//! The tiny models against PyTorch's logits: every architecture and weight type, on every backend, and
//! the forms of the GPU that are not the default.
//!
//! `cargo test --release --test golden -- --nocapture` prints the table.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use halfbyte::backend::{
    Activations::{self, F32, Int8},
    Backend,
    cpu::Cpu,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::{Gguf, LogitRows, Model};
use halfbyte_tests::agreement::{kl_divergence, max_difference, std_dev};
use halfbyte_tests::fixtures::TinyModel;

/// In standard deviations of the logits. Both sides compute in f32; they differ in the order of sums
/// (up to 704 terms), in exp and in tanh, which moves a logit by some 1e-5 of its deviation, and by 1e-4
/// where soft-caps and more layers stand in between. A wrong scale, nibble order, window or rotation moves
/// it by 1e-1 and more.
const TOLERANCE: f64 = 1e-3;

/// In nats, of the mean over all tokens: eight bits for an activation are a rounding of up to 1/254 of the
/// largest of 32, which moves a logit by some 1e-2 to 1e-1 of its deviation.
const INT8_TOLERANCE: f64 = 0.05;

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

/// The logits of the prompt in one batch, then of one token at a time, and the reference's.
fn logits(tiny: &TinyModel, backend: Box<dyn Backend>) -> (Vec<f32>, Vec<f32>) {
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
    assert_eq!(logits.len(), reference.len());
    (logits, reference)
}

/// Largest deviation of a logit, in standard deviations of the logits.
fn deviation(tiny: &TinyModel, backend: Box<dyn Backend>) -> f64 {
    let (logits, reference) = logits(tiny, backend);
    max_difference(&logits, &reference) / std_dev(&reference)
}

/// Mean divergence of the tokens' distributions from the reference's.
fn divergence(tiny: &TinyModel, backend: Box<dyn Backend>) -> f64 {
    let (logits, reference) = logits(tiny, backend);
    let (tokens, _) = tiny.reference();
    let n_vocab = logits.len() / tokens.len();
    let rows = logits.chunks_exact(n_vocab).zip(reference.chunks_exact(n_vocab));
    rows.map(|(row, reference)| kl_divergence(row, reference)).sum::<f64>() / tokens.len() as f64
}

fn check(title: &str, models: Vec<TinyModel>, open: impl Fn() -> Box<dyn Backend>) {
    check_by(
        title,
        "largest deviation of a logit, in standard deviations of the logits",
        TOLERANCE,
        models,
        |m| deviation(m, open()),
    );
}

fn check_int8(title: &str, models: Vec<TinyModel>, open: impl Fn() -> Box<dyn Backend>) {
    check_by(title, "mean KL divergence", INT8_TOLERANCE, models, |m| divergence(m, open()));
}

fn check_by(
    title: &str,
    measure: &str,
    tolerance: f64,
    models: Vec<TinyModel>,
    error: impl Fn(&TinyModel) -> f64,
) {
    let mut table = format!("{title}: {measure}\n");
    let mut failed = 0;
    for tiny in models {
        let error = error(&tiny);
        let agrees = error < tolerance;
        failed += usize::from(!agrees);
        let mark = if agrees { "" } else { "FAILED" };
        table += &format!("{:8} {:6} {:28} {error:.1e} {mark}\n", tiny.arch, tiny.variant, tiny.name());
    }
    println!("{table}");
    assert_eq!(failed, 0, "models are over their tolerance:\n{table}");
}

/// Of the GPU, with these activations.
fn activations(activations: Activations) -> GpuOptions {
    GpuOptions { activations, ..Default::default() }
}

#[test]
fn cpu_matches_the_reference() {
    check("CPU", all(), || Box::new(Cpu::with_activations(F32)));
}

#[test]
fn gpu_matches_the_reference() {
    check("GPU", all(), || Box::new(Gpu::open_with(activations(F32)).unwrap()));
}

#[test]
fn gpu_without_subgroups_matches_the_reference() {
    let options = GpuOptions { subgroups: false, ..activations(F32) };
    check("GPU without subgroups", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_without_64_bit_loads_matches_the_reference() {
    let options = GpuOptions { int64: false, ..activations(F32) };
    check("GPU without 64-bit loads", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_with_split_weights_matches_the_reference() {
    let options = GpuOptions { max_binding_bytes: 64 << 10, ..activations(F32) };
    check("GPU with split weights", one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn cpu_with_int8_activations_is_near_the_reference() {
    check_int8("CPU, int8 activations", all(), || Box::new(Cpu::with_activations(Int8)));
}

#[test]
fn gpu_with_int8_activations_is_near_the_reference() {
    check_int8("GPU, int8 activations", all(), || Box::new(Gpu::open_with(activations(Int8)).unwrap()));
}

#[test]
fn gpu_with_int8_activations_and_without_subgroups_is_near_the_reference() {
    let options = GpuOptions { subgroups: false, ..activations(Int8) };
    let title = "GPU without subgroups, int8 activations";
    check_int8(title, one_of_each(), || Box::new(Gpu::open_with(options).unwrap()));
}
