//! The real Gemma 3 270M Q4_K_M against transformers' reference, on both backends: five weight types,
//! layers with a window of 512, two rotary bases, a vocabulary of 262,144.

use std::sync::{Arc, LazyLock};

use halfbyte::backend::gpu::{Gpu, GpuOptions};
use halfbyte::{Activations, BackendChoice, BackendOptions, Gguf, Model, Tokenizer};
use halfbyte_tests::fixtures::gemma3;
use halfbyte_tests::reference::Reference;

/// In standard deviations of a row of logits. Both sides compute the tanh form of GELU, which is the
/// model's own, and all else in f32, so only the order of sums differs; see `golden.rs`.
const TOLERANCE: f64 = 1e-3;
/// Relative, of the perplexity.
const PERPLEXITY_TOLERANCE: f64 = 5e-3;
/// In nats. Far below the bound on the mean: every single token must agree too.
const TOKEN_TOLERANCE: f64 = 0.02;
/// What many phone GPUs bind at most.
const BINDING: u64 = 128 << 20;

static REFERENCE: LazyLock<Reference> = LazyLock::new(|| Reference::load("gemma3-270m.json"));

fn on(choice: BackendChoice) -> Arc<Model> {
    Model::open(gemma3(), BackendOptions { choice, activations: Activations::F32 }).unwrap()
}

/// The weights in buffers that a phone can bind.
fn in_small_buffers() -> Arc<Model> {
    let options = GpuOptions { textures: false, max_binding_bytes: BINDING, ..Default::default() };
    let gpu = Gpu::open_with(options).unwrap();
    Model::load(Gguf::open(gemma3()).unwrap(), Box::new(gpu)).unwrap()
}

fn check(model: &Model) {
    REFERENCE.check_logits(model, TOLERANCE);
    REFERENCE.check_perplexity(model, PERPLEXITY_TOLERANCE, TOKEN_TOLERANCE);
}

#[test]
fn cpu_matches_the_reference() {
    check(&on(BackendChoice::Cpu));
}

#[test]
fn gpu_matches_the_reference() {
    check(&on(BackendChoice::Gpu));
}

#[test]
fn gpu_with_a_split_embedding_matches_the_reference() {
    let gguf = Gguf::open(gemma3()).unwrap();
    let embedding = gguf.tensor("token_embd.weight").unwrap();
    assert!(embedding.bytes().len() as u64 > BINDING, "the embedding must not fit one binding");
    check(&in_small_buffers());
}

#[test]
fn prompts_tokenize_as_the_reference() {
    let tokenizer = Tokenizer::from_gguf(&Gguf::open(gemma3()).unwrap()).unwrap();
    assert!(tokenizer.adds_bos());
    for case in &REFERENCE.cases {
        let ids = [vec![tokenizer.bos().unwrap()], tokenizer.encode(&case.prompt, false).unwrap()].concat();
        assert_eq!(ids, case.ids, "{:?}", case.prompt);
    }
}

/// Layers with a window keep 512 positions and a batch, whatever the context.
#[test]
fn the_cache_of_a_long_context_is_mostly_that_of_the_global_layers() {
    let model = on(BackendChoice::Cpu);
    let c = model.config();
    let slots: Vec<usize> = (0..c.n_layers).map(|layer| c.n_slots(layer, 32_768)).collect();
    let global = slots.iter().filter(|slots| **slots == 32_768).count();
    let windowed = slots.iter().filter(|slots| **slots == 512 + Model::BATCH).count();
    assert_eq!((global, windowed), (3, 15));
}
