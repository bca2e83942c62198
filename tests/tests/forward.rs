//! The forward pass of a tiny model: the GPU's intermediates against the CPU's in layer order, and what
//! must not change the logits: running again, cutting the prompt into pieces, going back, a neighbour.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;

use halfbyte::backend::{
    Backend,
    cpu::Cpu,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::{Error, Gguf, KvCache, LogitRows, Model};
use halfbyte_tests::agreement::nmse;
use halfbyte_tests::fixtures;
use halfbyte_tests::random::Random;
use halfbyte_tests::taps::{self, Intermediate, first_divergence};

const FILE: &str = "tiny/llama-s.Q4_1.gguf";

/// One model of each architecture, with its number of layers.
const FILES: [(&str, usize); 7] = [
    (FILE, 3),
    ("tiny/qwen2-s.Q4_0.gguf", 2),
    ("tiny/qwen3-s.Q4_0.gguf", 3),
    ("tiny/gemma2-s.Q4_0.gguf", 4),
    ("tiny/gemma3-s.Q4_0.gguf", 7),
    ("tiny/phi3-s.Q4_0.gguf", 2),
    ("tiny/phi3-longrope-s.Q4_0.gguf", 2),
];

/// Largest NMSE between two orders of the same f32 sums. An op is off by 1e-13 to 1e-12 of its own; random
/// weights make more of the error that comes in, up to 2e-10 in three layers. One wrong bit of a weight
/// or position makes it 1e-6 and more.
const BOUND: f64 = 1e-8;

type Open = fn() -> Box<dyn Backend>;

fn open_cpu() -> Box<dyn Backend> {
    Box::new(Cpu::new())
}

fn open_gpu() -> Box<dyn Backend> {
    Box::new(Gpu::open().unwrap())
}

fn open_gpu_without_subgroups() -> Box<dyn Backend> {
    Box::new(Gpu::open_with(GpuOptions { subgroups: false, ..Default::default() }).unwrap())
}

const BACKENDS: [Open; 3] = [open_cpu, open_gpu, open_gpu_without_subgroups];

fn load(open: Open) -> Arc<Model> {
    load_file(FILE, open)
}

fn load_file(file: &str, open: Open) -> Arc<Model> {
    Model::load(Gguf::open(fixtures::path(file)).unwrap(), open()).unwrap()
}

/// Ids for a prompt of `n` tokens.
fn prompt(n: usize) -> Vec<u32> {
    let mut random = Random::new(20);
    (0..n).map(|_| random.below(320) as u32).collect()
}

/// The logits of all tokens, which enter the cache in pieces of `sizes`.
fn logits_of(model: &Model, kv: &mut KvCache, mut tokens: &[u32], sizes: &[usize]) -> Vec<f32> {
    let (mut all, mut rows) = (Vec::new(), Vec::new());
    for size in sizes {
        let piece = tokens.split_off(..*size).unwrap();
        model.forward(piece, kv, LogitRows::All, &mut rows).unwrap();
        all.extend_from_slice(&rows);
    }
    assert!(tokens.is_empty());
    all
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// The intermediates of a prompt and of one token after it.
fn intermediates(model: &Model) -> Vec<Intermediate> {
    let tokens = prompt(42);
    let mut kv = model.new_kv_cache(64).unwrap();
    let mut seen = taps::record(model, &tokens[..41], &mut kv).unwrap();
    seen.extend(taps::record(model, &tokens[41..], &mut kv).unwrap());
    seen
}

#[test]
fn no_intermediate_diverges() {
    for (file, n_layers) in FILES {
        let reference = intermediates(&load_file(file, open_cpu));
        // Embedding, five of each layer, and logits: 41 rows in six pieces, then one.
        assert_eq!(reference.len(), 2 * (1 + n_layers * 5) + 6 + 1, "{file}");
        for open in [open_gpu as Open, open_gpu_without_subgroups] {
            let model = load_file(file, open);
            let tested = intermediates(&model);
            for ((name, values), (_, reference)) in tested.iter().zip(&reference) {
                println!("{file} {:24} {:.1e}", name, nmse(values, reference));
            }
            let divergence = first_divergence(&tested, &reference, BOUND);
            assert_eq!(divergence, None, "{file} on {:?}", model.device());
        }
    }
}

#[test]
fn a_changed_weight_is_found_where_it_enters() {
    let sound = intermediates(&load(open_cpu));
    for (tensor, name) in [
        ("blk.0.attn_norm.weight", "layer.0.qkv"),
        ("blk.1.attn_k.weight", "layer.1.qkv"),
        ("blk.1.attn_output.weight", "layer.1.attn_out"),
        ("blk.2.ffn_norm.weight", "layer.2.gate_up"),
        ("blk.0.ffn_up.weight", "layer.0.gate_up"),
        ("blk.2.ffn_down.weight", "layer.2.ffn_out"),
        ("rope_freqs.weight", "layer.0.attention"),
        ("output_norm.weight", "logits"),
    ] {
        let model = Model::load(with_changed(tensor), open_cpu()).unwrap();
        let found = first_divergence(&intermediates(&model), &sound, BOUND).unwrap();
        assert_eq!(found.name, name, "{tensor} was changed, NMSE {:.1e}", found.nmse);
    }
}

/// The model with one bit of a tensor changed: in a float's or a half's exponent.
fn with_changed(tensor: &str) -> Gguf {
    let mut file = fs::read(fixtures::path(FILE)).unwrap();
    let gguf = Gguf::from_bytes(file.clone()).unwrap();
    let view = gguf.tensor(tensor).unwrap();
    let at = file.windows(view.bytes().len()).position(|w| w == view.bytes()).unwrap();
    let exponent = at + if view.rows() == 1 { 2 } else { 1 };
    file[exponent] ^= if view.rows() == 1 { 0x80 } else { 0x04 };
    Gguf::from_bytes(file).unwrap()
}

#[test]
fn one_changed_value_is_found() {
    let sound = intermediates(&load(open_cpu));
    let at = |name: &str| sound.iter().position(|(n, _)| n == name).unwrap();
    for name in ["embedding", "layer.1.attention", "layer.2.ffn_out", "logits"] {
        let mut changed = sound.clone();
        changed[at(name)].1[7] += 1.0;
        changed[at("logits")].1[7] += 1.0;
        assert_eq!(first_divergence(&changed, &sound, BOUND).unwrap().name, name);
        changed[at(name)].1[7] = f32::NAN;
        assert_eq!(first_divergence(&changed, &sound, BOUND).unwrap().name, name);
    }
    assert_eq!(first_divergence(&sound[..3], &sound, BOUND).unwrap().name, sound[3].0);
    assert_eq!(first_divergence(&sound, &sound, 0.0), None);
}

#[test]
fn a_second_run_gives_the_same_bits() {
    for open in BACKENDS {
        let model = load(open);
        let run = |model: &Model| {
            let mut kv = model.new_kv_cache(64).unwrap();
            bits(&logits_of(model, &mut kv, &prompt(50), &[17, 1, 1, 31]))
        };
        let first = run(&model);
        assert_eq!(first, run(&model), "{:?}", model.device());
        assert_eq!(first, run(&load(open)), "loaded twice on {:?}", model.device());
    }
}

#[test]
fn pieces_of_a_prompt_give_the_logits_of_the_whole() {
    let tokens = prompt(128);
    for open in BACKENDS {
        let model = load(open);
        let logits = |sizes: &[usize]| {
            let mut kv = model.new_kv_cache(128).unwrap();
            logits_of(&model, &mut kv, &tokens, sizes)
        };
        let whole = logits(&[128]);
        for sizes in [&[1; 128][..], &[64, 64], &[1, 8, 7, 9, 103], &[127, 1]] {
            let error = nmse(&logits(sizes), &whole);
            assert!(error <= BOUND, "{} pieces on {:?}: {error:.1e}", sizes.len(), model.device());
            println!("{} pieces on {}: {error:.1e}", sizes.len(), model.device().backend);
        }
    }
}

#[test]
fn rows_of_logits_are_those_asked_for() {
    let tokens = prompt(19);
    for open in BACKENDS {
        let model = load(open);
        let logits = |rows: LogitRows| {
            let mut kv = model.new_kv_cache(32).unwrap();
            let mut logits = vec![1.0; 3];
            model.forward(&tokens, &mut kv, rows, &mut logits).unwrap();
            assert_eq!(kv.len(), tokens.len());
            logits
        };
        let all = logits(LogitRows::All);
        assert_eq!(all.len(), 19 * 320);
        assert!(nmse(&logits(LogitRows::Last), &all[18 * 320..]) <= BOUND);
        assert!(logits(LogitRows::None).is_empty());
    }
}

#[test]
fn going_back_leaves_no_trace() {
    let (start, one_way, another) = (prompt(70), [5, 6, 7, 8, 9], [200, 201, 202]);
    for open in BACKENDS {
        let model = load(open);
        let mut kv = model.new_kv_cache(128).unwrap();
        logits_of(&model, &mut kv, &start, &[70]);
        let first = logits_of(&model, &mut kv, &one_way, &[1, 4]);
        kv.truncate(70);
        let other = logits_of(&model, &mut kv, &another, &[3]);
        kv.truncate(70);
        let again = logits_of(&model, &mut kv, &one_way, &[1, 4]);
        assert_eq!(bits(&first), bits(&again), "{:?}", model.device());
        assert!(nmse(&other, &first[..other.len()]) > BOUND, "the logits do not depend on the tokens");
    }
}

#[test]
fn two_conversations_do_not_mix() {
    let (a, b) = (prompt(40), prompt(80).split_off(40));
    for open in BACKENDS {
        let model = load(open);
        let alone =
            |tokens: &[u32]| logits_of(&model, &mut model.new_kv_cache(64).unwrap(), tokens, &[20, 20]);
        let (alone_a, alone_b) = (alone(&a), alone(&b));
        let [mut kv_a, mut kv_b] = [64, 48].map(|n| model.new_kv_cache(n).unwrap());
        let mut taking_turns = (Vec::new(), Vec::new());
        for part in [0..20, 20..40] {
            taking_turns.0.extend(logits_of(&model, &mut kv_a, &a[part.clone()], &[20]));
            taking_turns.1.extend(logits_of(&model, &mut kv_b, &b[part], &[20]));
        }
        assert_eq!(bits(&taking_turns.0), bits(&alone_a), "{:?}", model.device());
        assert_eq!(bits(&taking_turns.1), bits(&alone_b), "{:?}", model.device());
    }
}

#[test]
fn a_full_context_is_an_error_that_changes_nothing() {
    let tokens = prompt(16);
    for open in BACKENDS {
        let model = load(open);
        let smooth = logits_of(&model, &mut model.new_kv_cache(16).unwrap(), &tokens, &[10, 6]);

        let mut kv = model.new_kv_cache(16).unwrap();
        let mut logits = logits_of(&model, &mut kv, &tokens[..10], &[10]);
        let full = model.forward(&tokens[..7], &mut kv, LogitRows::Last, &mut Vec::new());
        assert!(matches!(full, Err(Error::ContextFull { needed: 17, capacity: 16 })), "{full:?}");
        assert_eq!(kv.len(), 10);
        logits.extend(logits_of(&model, &mut kv, &tokens[10..], &[6]));
        assert_eq!(bits(&logits), bits(&smooth), "{:?}", model.device());
        let full = model.forward(&tokens[..1], &mut kv, LogitRows::Last, &mut Vec::new());
        assert!(matches!(full, Err(Error::ContextFull { needed: 17, capacity: 16 })), "{full:?}");
    }
}

#[test]
fn impossible_tokens_are_an_error_that_changes_nothing() {
    let model = load(open_cpu);
    let mut kv = model.new_kv_cache(512).unwrap();
    logits_of(&model, &mut kv, &[1, 2, 3], &[3]);
    for (tokens, says) in [
        (vec![319, 320], "token 320 is outside the vocabulary of 320"),
        (vec![u32::MAX], "token 4294967295 is outside the vocabulary of 320"),
        (vec![0; 129], "1 to 128 tokens, not 129"),
        (vec![], "1 to 128 tokens, not 0"),
    ] {
        match model.forward(&tokens, &mut kv, LogitRows::Last, &mut Vec::new()) {
            Err(Error::InvalidArgument(text)) => assert!(text.contains(says), "{text}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(kv.len(), 3);
    }
    for capacity in [0, 513] {
        assert!(matches!(model.new_kv_cache(capacity), Err(Error::InvalidArgument(_))));
    }
}
