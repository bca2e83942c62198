//! The tiny models against PyTorch's logits, on every backend and GPU form.

use halfbyte::backend::{
    Backend,
    cpu::Cpu,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::{Gguf, LogitRows, Model};
use halfbyte_tests::agreement::{max_difference, std_dev};
use halfbyte_tests::fixtures::{self, TinyModel};

/// In standard deviations of the logits. Both sides compute in f32; they differ in the order of sums
/// (up to 704 terms) and in exp, which moves a logit by some 1e-5 of its deviation. A wrong scale,
/// nibble order or rotation moves it by 1e-1 and more.
const TOLERANCE: f64 = 1e-3;

fn check(open: impl Fn() -> Box<dyn Backend>) {
    let models = TinyModel::all();
    assert_eq!(models.len(), 12, "fixtures are missing");
    let mut worst = (0.0, String::new());
    for tiny in &models {
        let gguf = Gguf::open(fixtures::path("tiny").join(&tiny.file)).unwrap();
        let model = Model::load(gguf, open()).unwrap();
        let (tokens, reference) = tiny.reference();
        let mut kv = model.new_kv_cache(128).unwrap();
        let n_prompt = tiny.prompt.len();

        let (mut logits, mut row) = (Vec::new(), Vec::new());
        model.forward(&tokens[..n_prompt], &mut kv, LogitRows::All, &mut logits).unwrap();
        for token in &tokens[n_prompt..] {
            model.forward(&[*token], &mut kv, LogitRows::Last, &mut row).unwrap();
            logits.extend_from_slice(&row);
        }
        let deviation = max_difference(&logits, &reference) / std_dev(&reference);
        println!("{:28} {:12} {deviation:.1e} standard deviations", tiny.file, model.device().backend);
        if deviation > worst.0 {
            worst = (deviation, tiny.file.clone());
        }
    }
    assert!(worst.0 < TOLERANCE, "{}: {:.2e}", worst.1, worst.0);
}

#[test]
fn cpu_matches_the_reference() {
    check(|| Box::new(Cpu::new()));
}

#[test]
fn gpu_matches_the_reference() {
    check(|| Box::new(Gpu::open().unwrap()));
}

#[test]
fn gpu_without_subgroups_matches_the_reference() {
    let options = GpuOptions { subgroups: false, ..Default::default() };
    check(|| Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_without_64_bit_loads_matches_the_reference() {
    let options = GpuOptions { int64: false, ..Default::default() };
    check(|| Box::new(Gpu::open_with(options).unwrap()));
}

#[test]
fn gpu_with_split_weights_matches_the_reference() {
    let options = GpuOptions { max_binding_bytes: 64 << 10, ..Default::default() };
    check(|| Box::new(Gpu::open_with(options).unwrap()));
}
