//! Layers that see a window keep the last positions in a ring: long conversations, batches, going back.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;
use std::sync::Arc;

use halfbyte::backend::{
    Backend,
    cpu::Cpu,
    gpu::{Gpu, GpuOptions},
};
use halfbyte::{Event, Gguf, KvCache, LogitRows, Model, SamplerConfig, Session, SessionOptions};
use halfbyte_tests::agreement::nmse;
use halfbyte_tests::fixtures;
use halfbyte_tests::random::Random;

/// Positions that a token sees in the layers with a window of all models here.
const WINDOW: usize = 16;
/// Largest NMSE between two orders of the same f32 sums, as in `forward.rs`.
const BOUND: f64 = 1e-8;
const GEMMAS: [&str; 2] = ["gemma2-s.Q4_0.gguf", "gemma3-s.Q4_0.gguf"];

type Open = fn() -> Box<dyn Backend>;

const BACKENDS: [Open; 4] = [
    || Box::new(Cpu::new()),
    || Box::new(Gpu::open().unwrap()),
    || Box::new(Gpu::open_with(GpuOptions { subgroups: false, ..Default::default() }).unwrap()),
    || Box::new(Gpu::open_with(GpuOptions { int64: false, ..Default::default() }).unwrap()),
];

fn load(file: Vec<u8>, open: Open) -> Arc<Model> {
    Model::load(Gguf::from_bytes(file).unwrap(), open()).unwrap()
}

fn tiny(name: &str) -> Vec<u8> {
    fs::read(fixtures::path("tiny").join(name)).unwrap()
}

/// Ids for a prompt of `n` tokens.
fn prompt(n: usize) -> Vec<u32> {
    let mut random = Random::new(21);
    (0..n).map(|_| random.below(300) as u32 + 8).collect()
}

/// The logits of the last token; the tokens enter the cache in pieces of `size`.
fn last_logits(model: &Model, kv: &mut KvCache, tokens: &[u32], size: usize) -> Vec<f32> {
    let mut logits = Vec::new();
    for piece in tokens.chunks(size) {
        model.forward(piece, kv, LogitRows::Last, &mut logits).unwrap();
    }
    logits
}

/// Two layers that see 16 positions each know the last 31 tokens and no position but differences: what
/// came before, and that the ring wrapped three times, makes no difference.
#[test]
fn what_left_the_window_is_forgotten() {
    let mut file = tiny("phi3-s.Q4_0.gguf");
    let key = b"phi3.attention.sliding_window\x04\0\0\0";
    let at = file.windows(key.len()).position(|w| w == key).unwrap() + key.len();
    file[at..at + 4].copy_from_slice(&(WINDOW as u32).to_le_bytes());
    let tokens = prompt(450);
    for open in BACKENDS {
        let model = load(file.clone(), open);
        let fresh = |n: usize, size: usize| {
            let mut kv = model.new_kv_cache(512).unwrap();
            last_logits(&model, &mut kv, &tokens[tokens.len() - n..], size)
        };
        let few = fresh(2 * WINDOW - 1, 64);
        for size in [1, 7, 100, 128] {
            // Angles of position 450 are off by some 450 * 6e-8, which moves a logit by as much.
            let error = nmse(&fresh(450, size), &few);
            println!("{:?}, pieces of {size}: {error:.1e}", model.device().features);
            assert!(error < 1e-6, "pieces of {size} on {:?}: {error:.1e}", model.device());
        }
        let error = nmse(&fresh(2 * WINDOW - 3, 64), &few);
        assert!(error > 1e-6, "tokens in the window make no difference: {error:.1e}");
    }
}

#[test]
fn pieces_of_a_long_prompt_give_the_logits_of_others() {
    let tokens = prompt(300);
    for open in BACKENDS {
        for name in GEMMAS {
            let model = load(tiny(name), open);
            let logits = |size| last_logits(&model, &mut model.new_kv_cache(512).unwrap(), &tokens, size);
            let single = logits(1);
            for size in [5, 64, 127, 128] {
                let error = nmse(&logits(size), &single);
                assert!(error < BOUND, "{name}, pieces of {size} on {:?}: {error:.1e}", model.device());
            }
        }
    }
}

/// Going back keeps what the rings still hold all of, else nothing; either way the same tokens give
/// the same logits.
#[test]
fn going_back_is_right_or_starts_again() {
    let tokens = prompt(320);
    for open in BACKENDS {
        let model = load(tiny("gemma3-s.Q4_0.gguf"), open);
        let whole = last_logits(&model, &mut model.new_kv_cache(512).unwrap(), &tokens[..300], 64);
        // Rings hold 16 + 128 positions. To go on at 300 takes those from 285 on: 320 - 144 is below.
        for (len, back, kept) in [(320, 299, 299), (320, 191, 191), (320, 190, 0), (320, 0, 0), (144, 3, 3)] {
            let mut kv = model.new_kv_cache(512).unwrap();
            last_logits(&model, &mut kv, &tokens[..len], 64);
            kv.truncate(back);
            assert_eq!(kv.len(), kept, "{len} to {back}");
            let from = kv.len();
            let again = last_logits(&model, &mut kv, &tokens[from..300], 64);
            let error = nmse(&again, &whole);
            assert!(error < BOUND, "{len} to {back} on {:?}: {error:.1e}", model.device());
        }
    }
}

/// What was overwritten before an earlier step back is still gone at the next.
#[test]
fn going_back_twice_counts_from_the_farthest() {
    let tokens = prompt(320);
    let model = load(tiny("gemma2-s.Q4_0.gguf"), BACKENDS[0]);
    let mut kv = model.new_kv_cache(512).unwrap();
    last_logits(&model, &mut kv, &tokens, 128);
    kv.truncate(250);
    last_logits(&model, &mut kv, &tokens[250..260], 128);
    kv.truncate(190);
    assert_eq!(kv.len(), 0, "positions from 175 on were needed, those from 176 on are there");
    last_logits(&model, &mut kv, &tokens[..260], 128);
    kv.truncate(190);
    assert_eq!(kv.len(), 190, "a cache that was emptied is as new");
    kv.truncate(200);
    assert_eq!(kv.len(), 190, "truncating does not lengthen");
}

/// A session whose new prompt parts from the old one far back evaluates it again, and answers as a new
/// session does.
#[test]
fn a_session_that_goes_far_back_answers_as_a_new_one() {
    let greedy = SamplerConfig { temperature: 0.0, ..Default::default() };
    let options = || SessionOptions {
        n_ctx: Some(512),
        sampler: greedy.clone(),
        max_tokens: Some(6),
        ..Default::default()
    };
    let answer = |session: &mut Session, tokens: &[u32]| -> (Vec<u32>, usize) {
        session.start_tokens(tokens).unwrap();
        while !matches!(session.step().unwrap(), Event::Done(_)) {}
        (session.generated().to_vec(), session.stats().reused_tokens)
    };
    let long = prompt(300);
    let model = load(tiny("gemma3-s.Q4_0.gguf"), BACKENDS[0]);
    for (shared, reused) in [(299, 299), (200, 200), (60, 0)] {
        let other = [&long[..shared], &[9, 10, 11]].concat();
        let fresh = answer(&mut Session::new(Arc::clone(&model), options()).unwrap(), &other);
        assert_eq!(fresh.1, 0);
        let mut session = Session::new(Arc::clone(&model), options()).unwrap();
        answer(&mut session, &long);
        assert_eq!(answer(&mut session, &other), (fresh.0, reused), "{shared} tokens shared");
    }
}
