//! What tells one architecture from another: the metadata that is read and refused, and those parts that
//! the golden models do not reach.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::fs;

use halfbyte::backend::cpu::Cpu;
use halfbyte::config::{ModelConfig, Rope, Yarn};
use halfbyte::{Error, Gguf, Model, Plan};
use halfbyte_tests::agreement::nmse;
use halfbyte_tests::fixtures;
use halfbyte_tests::gguf_writer::{GgufWriter, tensor_type, value_type};
use halfbyte_tests::taps::{self, Intermediate};

/// A value of the metadata.
#[derive(Clone, Copy, Debug)]
enum Value {
    U32(u32),
    F32(f32),
    Str(&'static str),
    Absent,
}
use Value::{Absent, F32, Str, U32};

/// The configuration of a file with sound metadata, but for `changes`; keys are without the prefix.
fn config(architecture: &str, changes: &[(&str, Value)]) -> Result<ModelConfig, Error> {
    let sound = [
        ("context_length", U32(1024)),
        ("block_count", U32(12)),
        ("embedding_length", U32(256)),
        ("feed_forward_length", U32(512)),
        ("attention.head_count", U32(8)),
        ("attention.head_count_kv", U32(2)),
        ("attention.key_length", U32(64)),
        ("attention.value_length", U32(64)),
        ("attention.sliding_window", U32(128)),
    ];
    let kept = sound.iter().filter(|(key, _)| changes.iter().all(|(changed, _)| changed != key));
    let mut file = GgufWriter::new().str("general.architecture", architecture);
    for (key, value) in kept.chain(changes) {
        let key = &format!("{architecture}.{key}");
        file = match *value {
            U32(v) => file.u32(key, v),
            F32(v) => file.f32(key, v),
            Str(v) => file.str(key, v),
            Absent => file,
        };
    }
    let file = file.tensor("token_embd.weight", &[256, 2], tensor_type::F32, vec![0; 2048]);
    ModelConfig::from_gguf(&Gguf::from_bytes(file.build()).unwrap())
}

fn refusal(architecture: &str, changes: &[(&str, Value)]) -> String {
    match config(architecture, changes) {
        Err(Error::Unsupported(text)) => text,
        other => panic!("{architecture} {changes:?}: {other:?}"),
    }
}

#[test]
fn an_architecture_that_is_not_run_is_named() {
    for name in ["dream", "qwen3moe", "olmoe", ""] {
        let text = refusal(name, &[]);
        assert!(text.contains(&format!("`{name}`")), "{text}");
        assert!(text.contains("llama, smollm3, qwen2, qwen3, gemma2, gemma3, phi3"), "{text}");
    }
    assert!(refusal("llama", &[("expert_count", U32(8))]).contains("a mixture of 8 experts"));
}

#[test]
fn each_architecture_has_its_layers() {
    let windows = |name: &str| -> Vec<bool> {
        let c = config(name, &[]).unwrap();
        (0..12).map(|i| c.window_of(i) == Some(128)).collect()
    };
    for name in ["llama", "smollm3", "qwen2", "qwen3"] {
        assert_eq!(windows(name), [false; 12], "{name}");
    }
    assert_eq!(windows("phi3"), [true; 12]);
    assert_eq!(windows("gemma2"), [[true, false]; 6].concat());
    assert_eq!(windows("gemma3"), [[true, true, true, true, true, false]; 2].concat());

    let rotated = |name: &str| -> Vec<bool> {
        let c = config(name, &[]).unwrap();
        (0..12).map(|i| c.is_rotated(i)).collect()
    };
    assert_eq!(rotated("smollm3"), [[true, true, true, false]; 3].concat());
    assert_eq!(rotated("gemma3"), [true; 12]);
}

#[test]
fn scales_and_soft_caps_come_from_the_file_or_the_architecture() {
    let gemma2 = config("gemma2", &[]).unwrap();
    assert_eq!([gemma2.attention_softcap, gemma2.logit_softcap], [50.0, 30.0]);
    assert_eq!([gemma2.embedding_scale, gemma2.query_scale], [16.0, 0.125]);
    let told = [("attn_logit_softcapping", F32(10.0)), ("final_logit_softcapping", F32(0.0))];
    let told = config("gemma2", &told).unwrap();
    assert_eq!([told.attention_softcap, told.logit_softcap], [10.0, 0.0]);
    // The 27B models scale scores by the width over the heads, here 32.
    for (name, layers) in [("gemma2", 46), ("gemma3", 62)] {
        let large = config(name, &[("block_count", U32(layers))]).unwrap();
        assert_eq!(large.query_scale, 1.0 / 32f32.sqrt());
    }
    let scaled = config("qwen3", &[("attention.scale", F32(0.5))]).unwrap();
    assert_eq!(scaled.query_scale, 0.5);

    let linear = [
        ("rope.freq_base", F32(1e6)),
        ("rope.scaling.type", Str("linear")),
        ("rope.scaling.factor", F32(8.0)),
    ];
    let gemma3 = config("gemma3", &linear).unwrap();
    assert_eq!([gemma3.rope.base, gemma3.rope.factor], [1e6, 8.0]);
    assert_eq!(gemma3.rope_local, Some(Rope::plain(10_000.0)));
    assert_eq!([gemma3.attention_softcap, gemma3.logit_softcap], [0.0, 0.0]);

    let partial = config("phi3", &[("rope.dimension_count", U32(48))]).unwrap();
    assert_eq!(partial.rope_dim, 48);
    assert_eq!(config("phi3", &[("attention.sliding_window", U32(0))]).unwrap().window, None);
    assert_eq!(config("phi3", &[("attention.sliding_window", Absent)]).unwrap().window, None);
}

#[test]
fn impossible_metadata_is_refused() {
    for (name, key, value) in [
        ("llama", "block_count", Absent),
        ("llama", "block_count", U32(0)),
        ("llama", "block_count", U32(1025)),
        ("llama", "embedding_length", Absent),
        ("llama", "embedding_length", U32(u32::MAX)),
        ("llama", "feed_forward_length", Absent),
        ("llama", "context_length", Absent),
        ("llama", "attention.head_count", U32(0)),
        ("llama", "attention.head_count", U32(7)),
        ("llama", "attention.head_count_kv", U32(3)),
        ("llama", "attention.key_length", U32(63)),
        ("llama", "attention.value_length", U32(32)),
        ("llama", "rope.dimension_count", U32(0)),
        ("llama", "rope.dimension_count", U32(68)),
        ("llama", "rope.dimension_count", U32(6)),
        ("qwen2", "rope.dimension_count", U32(12)),
        ("llama", "rope.freq_base", F32(f32::NAN)),
        ("llama", "rope.freq_base", F32(1.0)),
        ("llama", "rope.freq_base", F32(-1e4)),
        ("llama", "rope.scaling.factor", F32(0.0)),
        ("llama", "rope.scaling.factor", F32(f32::INFINITY)),
        ("llama", "rope.scaling.type", Str("dynamic")),
        ("llama", "rope.scaling.attn_factor", F32(f32::NAN)),
        ("llama", "rope.scaling.original_context_length", U32(0)),
        ("llama", "attention.layer_norm_rms_epsilon", F32(-1e-5)),
        ("llama", "attention.layer_norm_rms_epsilon", F32(f32::NAN)),
        ("qwen3", "attention.scale", F32(0.0)),
        ("gemma2", "attention.sliding_window", U32(0)),
        ("gemma2", "attention.sliding_window", Absent),
        ("gemma2", "attn_logit_softcapping", F32(f32::NAN)),
        ("gemma2", "final_logit_softcapping", F32(-30.0)),
        ("gemma3", "attention.sliding_window", U32(u32::MAX)),
        ("gemma3", "rope.freq_base_swa", F32(0.0)),
        ("phi3", "attention.sliding_window", U32(u32::MAX)),
    ] {
        let text = refusal(name, &[(key, value)]);
        let named =
            text.contains(key) || text.contains("the metadata is impossible") || text.contains("RoPE");
        assert!(named, "{name} {key} {value:?}: {text}");
    }
    for key in ["yarn_beta_fast", "yarn_beta_slow"] {
        let key = &format!("rope.scaling.{key}");
        let text = refusal("qwen2", &[("rope.scaling.type", Str("yarn")), (key, F32(f32::NAN))]);
        assert!(text.contains(key), "{text}");
    }
    // A value of another type is an error of the file.
    assert!(matches!(config("phi3", &[("attention.sliding_window", Str("wide"))]), Err(Error::Gguf(_))));
}

/// The numbers are those of `_compute_yarn_parameters` of transformers 5.23, run on NumPy in f32.
#[test]
fn yarn_has_the_frequencies_of_the_reference() {
    let rope = |base, factor, original_ctx, beta_fast, beta_slow| Rope {
        base,
        factor,
        original_ctx,
        attn_factor: 1.0,
        yarn: Some(Yarn { beta_fast, beta_slow }),
    };
    let wide: [f64; 16] = [
        1.000_000_00e0,
        5.623_413_32e-1,
        3.162_277_64e-1,
        1.778_279_39e-1,
        1.000_000_01e-1,
        5.623_412_88e-2,
        2.823_462_34e-2,
        1.397_219_58e-2,
        6.785_714_07e-3,
        3.213_379_07e-3,
        1.468_200_47e-3,
        6.350_998_30e-4,
        2.500_000_12e-4,
        1.405_853_25e-4,
        7.905_694_66e-5,
        4.445_698_51e-5,
    ];
    let narrow: [f64; 8] = [
        1.000_000_00e0,
        1.259_614_53e-1,
        1.317_615_81e-2,
        7.029_266_56e-4,
        1.250_000_06e-4,
        2.222_849_25e-5,
        3.952_846_78e-6,
        7.029_266_84e-7,
    ];
    for (rope, rope_dim, frequencies, size) in [
        (rope(1e4, 4.0, 4096, 32.0, 1.0), 32, &wide[..], 1.138_629_4),
        (rope(1e6, 8.0, 512, 16.0, 2.0), 16, &narrow[..], 1.207_944_2),
    ] {
        for (ours, reference) in rope.frequencies(rope_dim, &[]).iter().zip(frequencies) {
            assert!((f64::from(*ours) / reference - 1.0).abs() < 1e-6, "{ours} is not {reference}");
        }
        let turns = rope.turns(rope_dim, 2, &[]);
        assert_eq!(turns.len(), 2 * rope_dim);
        assert!((turns[0] - size).abs() < 1e-6, "the cosine of nothing is {}", turns[0]);
        assert!((turns[rope_dim + 1] - size * 1f32.sin()).abs() < 1e-6);
    }
}

#[test]
fn yarn_is_read_from_the_file() {
    let keys = [
        ("rope.scaling.type", Str("yarn")),
        ("rope.scaling.factor", F32(4.0)),
        ("rope.scaling.original_context_length", U32(256)),
    ];
    let rope = config("qwen2", &keys).unwrap().rope;
    assert_eq!((rope.factor, rope.original_ctx), (4.0, 256));
    assert_eq!(rope.yarn, Some(Yarn { beta_fast: 32.0, beta_slow: 1.0 }));
}

/// A file of the tiny set.
fn tiny(name: &str) -> Vec<u8> {
    fs::read(fixtures::path("tiny").join(name)).unwrap()
}

/// The file with another number at a key.
fn with_u32(mut file: Vec<u8>, key: &str, value: u32) -> Vec<u8> {
    let entry = [key.as_bytes(), &value_type::U32.to_le_bytes()].concat();
    let at = file.windows(entry.len()).position(|w| w == entry).unwrap() + entry.len();
    file[at..at + 4].copy_from_slice(&value.to_le_bytes());
    file
}

fn intermediates(file: Vec<u8>, tokens: &[u32], n_ctx: usize) -> Vec<Intermediate> {
    let model = Model::load(Gguf::from_bytes(file).unwrap(), Box::new(Cpu::new())).unwrap();
    taps::record(&model, tokens, &mut model.new_kv_cache(n_ctx).unwrap()).unwrap()
}

fn named<'a>(seen: &'a [Intermediate], name: &str) -> &'a [f32] {
    &seen.iter().find(|(n, _)| n == name).unwrap().1
}

/// A context beyond the original one takes the long factors, the others the short ones.
#[test]
fn longrope_goes_by_the_context() {
    let tokens = [5, 6, 7, 8, 9, 10];
    let run = |n_ctx| intermediates(tiny("phi3-longrope-s.Q4_0.gguf"), &tokens, n_ctx);
    let (short, edge, long) = (run(16), run(256), run(257));
    assert_eq!(named(&short, "logits"), named(&edge, "logits"));
    assert_eq!(named(&short, "layer.0.qkv"), named(&long, "layer.0.qkv"));
    let error = nmse(named(&long, "layer.0.attention"), named(&short, "layer.0.attention"));
    assert!(error > 1e-4, "the factors make no difference: {error:.1e}");
}

/// SmolLM3 is Llama whose fourth layers do not rotate: attention there, computed anew in f64 from the
/// heads, does not know positions.
#[test]
fn every_fourth_layer_of_smollm3_is_not_rotated() {
    const LAYERS: usize = 4;
    let [n_embd, n_heads, n_kv, head_dim] = [96, 6, 2, 16];
    let tokens: Vec<u32> = (20..32).collect();
    let seen = intermediates(smollm3(LAYERS), &tokens, 16);
    for layer in 0..LAYERS {
        let qkv = named(&seen, &format!("layer.{layer}.qkv"));
        let row = (n_heads + 2 * n_kv) * head_dim;
        let head = |t: usize, h: usize| &qkv[t * row + h * head_dim..][..head_dim];
        let mut formula = Vec::new();
        for (t, h) in (0..tokens.len()).flat_map(|t| (0..n_heads).map(move |h| (t, h))) {
            let kv_head = n_heads + h * n_kv / n_heads;
            let score = |s: usize| -> f64 {
                let products = head(t, h).iter().zip(head(s, kv_head)).map(|(a, b)| f64::from(a * b));
                (products.sum::<f64>() / (head_dim as f64).sqrt()).exp()
            };
            let weights: Vec<f64> = (0..=t).map(score).collect();
            let total: f64 = weights.iter().sum();
            let value = |s: usize, i: usize| f64::from(head(s, kv_head + n_kv)[i]);
            formula.extend((0..head_dim).map(|i| {
                (weights.iter().enumerate().map(|(s, w)| w * value(s, i)).sum::<f64>() / total) as f32
            }));
        }
        let error = nmse(named(&seen, &format!("layer.{layer}.attention")), &formula);
        println!("layer {layer}: {error:.1e}");
        assert_eq!(error < 1e-10, layer == 3, "layer {layer}: {error:.1e}");
        assert_eq!(named(&seen, &format!("layer.{layer}.ffn_out")).len(), tokens.len() * n_embd);
    }
}

/// The tiny llama as SmolLM3, with its first layers again behind its last.
fn smollm3(layers: usize) -> Vec<u8> {
    let llama = Gguf::from_bytes(tiny("llama-s.F16.gguf")).unwrap();
    let number = |key: &str| llama.get_u32(&format!("llama.{key}")).unwrap().unwrap();
    let mut file = GgufWriter::new().str("general.architecture", "smollm3");
    for key in [
        "context_length",
        "embedding_length",
        "feed_forward_length",
        "attention.head_count",
        "attention.head_count_kv",
        "attention.key_length",
        "rope.dimension_count",
    ] {
        file = file.u32(&format!("smollm3.{key}"), number(key));
    }
    file = file.u32("smollm3.block_count", layers as u32).f32("smollm3.rope.freq_base", 1e4);
    for key in ["tokenizer.ggml.model", "tokenizer.ggml.pre"] {
        file = file.str(key, llama.get_str(key).unwrap().unwrap());
    }
    for key in ["tokenizer.ggml.tokens", "tokenizer.ggml.merges"] {
        file = file.strs(key, &llama.get_strs(key).unwrap().unwrap());
    }
    let types = llama.get_i32s("tokenizer.ggml.token_type").unwrap().unwrap();
    file = file.i32s("tokenizer.ggml.token_type", &types);
    let n_layers = number("block_count") as usize;
    let of_layer = |name: &str, layer: usize| name.starts_with(&format!("blk.{layer}."));
    for tensor in llama.tensors().iter().filter(|t| !t.name.starts_with("rope")) {
        let view = llama.tensor(&tensor.name).unwrap();
        let ty = if view.dims().len() == 1 { tensor_type::F32 } else { tensor_type::F16 };
        let mut add = |name: &str| {
            file = std::mem::take(&mut file).tensor(name, view.dims(), ty, view.bytes().to_vec());
        };
        add(&tensor.name);
        for layer in n_layers..layers {
            let copied = layer - n_layers;
            if of_layer(&tensor.name, copied) {
                add(&tensor.name.replace(&format!("blk.{copied}."), &format!("blk.{layer}.")));
            }
        }
    }
    file.build()
}

/// The plan counts what is allocated: of a layer with a window, the window and a batch.
#[test]
fn the_plan_knows_the_window() {
    let gguf = Gguf::from_bytes(tiny("gemma3-s.Q4_0.gguf")).unwrap();
    let c = ModelConfig::from_gguf(&gguf).unwrap();
    assert_eq!((c.n_layers, c.window, c.n_kv_heads, c.head_dim), (7, Some(16), 1, 32));
    for n_ctx in [100, 144, 145, 512] {
        let slots = 6 * n_ctx.min(16 + Model::BATCH) + n_ctx;
        // Keys and values, and two tables of rotations; f32.
        let bytes = 4 * (2 * slots * 32 + 2 * n_ctx * 32);
        assert_eq!(Plan::new(&gguf, false, n_ctx).unwrap().kv_cache, bytes as u64);
    }
    let phi3 =
        Gguf::from_bytes(with_u32(tiny("phi3-s.Q4_0.gguf"), "phi3.attention.sliding_window", 16)).unwrap();
    assert_eq!(ModelConfig::from_gguf(&phi3).unwrap().window, Some(16));
}
