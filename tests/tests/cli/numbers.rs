//! The commands that measure and check: `inspect`, `logits`, `perplexity`, `bench`.

use halfbyte::{Activations, BackendChoice, BackendOptions, LogitRows, Model};
use halfbyte_tests::agreement::{log_sum_exp, max_difference, std_dev};
use halfbyte_tests::fixtures::{self, TinyModel};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use crate::{Folder, patched, quiet, run, tiny};

/// Tokens of the vocabulary.
const N_VOCAB: usize = 320;

#[test]
fn inspect_shows_the_plan_before_loading() {
    let file = quiet(&["inspect", &tiny(), "--json"]).json();
    assert_eq!(file["is_runnable"], true);
    assert_eq!(file["shape"]["n_layers"], 3);
    assert_eq!(file["metadata"]["tokenizer.ggml.tokens"]["count"], N_VOCAB);
    assert_eq!(file["metadata"]["tokenizer.ggml.tokens"]["first"], json!(["!", "\"", "#", "$", "%"]));
    // 3 layers of 7 matrices and the embedding; two norms a layer, the last one and the RoPE factors.
    assert_eq!(file["tensor_types"]["Q4_0"]["tensors"], 22);
    assert_eq!(file["tensor_types"]["F32"]["tensors"], 8);
    let plans = file["plans"].as_array().unwrap();
    let places: Vec<_> = plans.iter().map(|p| (p["backend"].as_str().unwrap(), &p["ctx"])).collect();
    assert_eq!(places, [("gpu", &json!(512)), ("cpu", &json!(512))]);
    // Keys and values of 2 heads of 16 in 3 layers, and 16 numbers of rotation, f32, per position.
    assert_eq!(plans[0]["kv_cache_bytes"], 512 * (2 * 3 * 2 * 16 + 16) * 4);
    let sum = |p: &Value| {
        let bytes = |key: &str| p[key].as_u64().unwrap();
        bytes("weights_bytes") + bytes("kv_cache_bytes") + bytes("activations_bytes")
    };
    assert!(plans.iter().all(|plan| plan["total_bytes"] == sum(plan)));
}

#[test]
fn inspect_plans_for_the_context_that_is_asked_for() {
    let plans = &quiet(&["inspect", &tiny(), "--json", "--ctx", "100"]).json()["plans"];
    assert!(plans.as_array().unwrap().iter().all(|plan| plan["ctx"] == 100));
    let text = quiet(&["inspect", &tiny(), "--ctx", "100"]).stdout;
    assert!(text.contains("general.name = tiny-random-llama-s\n"), "{text}");
    assert!(text.contains("\n  cpu       100 "), "{text}");
    let refused = run(&["inspect", &tiny(), "--ctx", "513"]);
    assert_eq!((refused.code, refused.stdout.as_str()), (1, ""));
    assert!(refused.stderr.contains("this model takes 1 to 512"), "{}", refused.stderr);
}

/// Gemma 3: six layers of seven see 16 positions and keep those of a batch beside them.
#[test]
fn layers_with_a_window_take_less_memory() {
    let model = fixtures::path("tiny/gemma3-s.Q4_0.gguf").into_os_string().into_string().unwrap();
    let file = quiet(&["inspect", &model, "--json"]).json();
    let n = |key: &str| file["shape"][key].as_u64().unwrap();
    assert_eq!((n("n_layers"), n("n_windowed_layers"), n("window")), (7, 6, 16));
    let ctx = n("n_ctx_train");
    let slots = 6 * (16 + Model::BATCH as u64) + ctx;
    let elements = 2 * slots * n("n_kv_heads") * n("head_dim") + 2 * ctx * n("rope_dim");
    assert_eq!(file["plans"][0]["kv_cache_bytes"], 4 * elements);

    let args = ["bench", &model, "--prompt-tokens", "8", "--gen-tokens", "2", "--backend", "cpu", "--json"];
    let bench = run(&[&args[..], &["--ctx", &ctx.to_string()]].concat()).json();
    assert_eq!(bench["kv_cache_bytes"], 4 * elements);

    let text = quiet(&["inspect", &model]).stdout;
    assert!(text.contains("\n  6 of 7 layers see the last 16 tokens only\n"), "{text}");
    assert!(text.contains("; base 10000 in layers with a window\n"), "{text}");
}

#[test]
fn inspect_shows_a_model_that_cannot_be_run() {
    let folder = Folder::new();
    let name = |name: &str| [b"general.architecture\x08\0\0\0\x05\0\0\0\0\0\0\0", name.as_bytes()].concat();
    let model = folder.write("model.gguf", patched(&name("llama"), &name("dream")));
    let file = quiet(&["inspect", &model, "--json"]).json();
    assert_eq!((&file["is_runnable"], &file["plans"]), (&json!(false), &Value::Null));
    assert!(file["reason"].as_str().unwrap().contains("architecture `dream`"), "{}", file["reason"]);
    assert!(quiet(&["inspect", &model]).stdout.contains("This model cannot be run: unsupported model"));
}

/// What the references are compared with.
const EXACT: [&str; 2] = ["--activations", "f32"];

/// The `logits` command on `ids`: the values of its file.
fn logits(ids: &[u32], backend: &str) -> Vec<f32> {
    let folder = Folder::new();
    let (list, output) = (list(ids), folder.path("logits.safetensors"));
    let args = ["logits", &tiny(), "--ids", &list, "--backend", backend, "--output", &output];
    assert_eq!(quiet(&[&args[..], &EXACT].concat()).stdout, "");
    let bytes = std::fs::read(output).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(tensors.names(), ["logits"]);
    let tensor = tensors.tensor("logits").unwrap();
    assert_eq!((tensor.dtype(), tensor.shape()), (Dtype::F32, &[ids.len(), N_VOCAB][..]));
    tensor.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
}

fn list(ids: &[u32]) -> String {
    ids.iter().map(u32::to_string).collect::<Vec<_>>().join(",")
}

/// PyTorch's logits: the ids and `[tokens, vocabulary]`.
fn reference() -> (Vec<u32>, Vec<f32>) {
    let models = TinyModel::all();
    models.iter().find(|model| model.file == "llama-s.Q4_0.gguf").unwrap().reference()
}

#[test]
fn logits_are_those_of_the_reference_and_of_the_library() {
    let (ids, expected) = reference();
    for backend in ["cpu", "gpu"] {
        let deviation = max_difference(&logits(&ids, backend), &expected) / std_dev(&expected);
        // Both compute in f32; see the golden tests.
        assert!(deviation < 1e-3, "{backend}: {deviation:.1e}");
    }
    let options = BackendOptions { choice: BackendChoice::Cpu, activations: Activations::F32 };
    let model = Model::open(tiny(), options).unwrap();
    let (mut kv, mut all) = (model.new_kv_cache(ids.len()).unwrap(), Vec::new());
    model.forward(&ids, &mut kv, LogitRows::All, &mut all).unwrap();
    assert_eq!(logits(&ids, "cpu"), all);
}

#[test]
fn logits_go_on_from_batch_to_batch() {
    let ids: Vec<u32> = (0..Model::BATCH as u32 + 3).map(|i| i * 7 % 300).collect();
    let many = logits(&ids, "cpu");
    let few = logits(&ids[..5], "cpu");
    let deviation = max_difference(&many[..few.len()], &few) / std_dev(&few);
    assert!(deviation < 1e-3, "the first rows do not depend on later tokens: {deviation:.1e}");
}

/// The mean negative log-likelihood of all tokens after the first of each chunk.
fn mean_nll(chunks: &[(&[u32], &[f32])]) -> f64 {
    let (mut sum, mut n) = (0.0, 0);
    for (ids, logits) in chunks {
        for (row, &target) in logits.chunks_exact(N_VOCAB).zip(&ids[1..]) {
            sum += log_sum_exp(row) - f64::from(row[target as usize]);
            n += 1;
        }
    }
    sum / f64::from(n)
}

#[test]
fn perplexity_is_that_of_the_reference() {
    let (ids, logits) = reference();
    let expected = mean_nll(&[(&ids, &logits)]);
    for backend in ["cpu", "gpu"] {
        let args = ["perplexity", &tiny(), "--ids", &list(&ids), "--json", "--backend", backend];
        let result = quiet(&[&args[..], &EXACT].concat()).json();
        assert_eq!(result["scored_tokens"], ids.len() - 1);
        let mean = result["mean_nll"].as_f64().unwrap();
        assert!((mean - expected).abs() < 1e-3, "{backend}: {mean} against {expected}");
        assert!((result["perplexity"].as_f64().unwrap() - mean.exp()).abs() < 1e-9 * mean.exp());
    }
}

#[test]
fn perplexity_starts_anew_in_each_chunk() {
    let (ids, _) = reference();
    let ids = &ids[..7];
    let parts: Vec<(&[u32], Vec<f32>)> = ids.chunks(3).map(|ids| (ids, logits(ids, "cpu"))).collect();
    let parts: Vec<(&[u32], &[f32])> = parts.iter().map(|(ids, logits)| (*ids, &logits[..])).collect();
    let expected = mean_nll(&parts);
    let args = ["perplexity", &tiny(), "--ids", &list(ids), "--ctx", "3", "--json", "--backend", "cpu"];
    let result = quiet(&[&args[..], &EXACT].concat()).json();
    assert_eq!(result["scored_tokens"], 4, "2 in each full chunk, none in the last of 1");
    let mean = result["mean_nll"].as_f64().unwrap();
    assert!((mean - expected).abs() < 1e-5, "{mean} against {expected}");
}

#[test]
fn perplexity_of_a_file_is_a_number_on_standard_output() {
    let folder = Folder::new();
    let file = folder.write("text", "the lighthouse keeper counts the ships");
    let args = ["perplexity", &tiny(), "--file", &file, "--backend", "cpu"];
    let run = run(&args);
    let perplexity: f64 = run.stdout.trim_end().parse().unwrap();
    assert!(perplexity > 1.0);
    let json = quiet(&[&args[..], &["--json"]].concat()).json();
    assert!((json["perplexity"].as_f64().unwrap() - perplexity).abs() < 1e-4);
    let n = quiet(&["tokenize", &tiny(), "--file", &file]).stdout.lines().count();
    assert_eq!(json["tokens"], n + 1, "the file asks for its beginning-of-sequence token");
    assert!(run.stderr.contains("tokens scored in chunks of 512"), "{}", run.stderr);
}

#[test]
fn bench_measures() {
    for backend in ["cpu", "gpu"] {
        let args = ["bench", &tiny(), "--prompt-tokens", "150", "--gen-tokens", "5", "--backend", backend];
        let run = run(&[&args[..], &["--json"]].concat());
        assert_eq!(run.code, 0, "{}", run.stderr);
        let result = run.json();
        let positive = |key: &str| assert!(result[key].as_f64() > Some(0.0), "{key}: {}", result[key]);
        for key in [
            "load_seconds",
            "prefill_tokens_per_second",
            "time_to_first_token_seconds",
            "decode_tokens_per_second",
            "bytes_read_per_second",
        ] {
            positive(key);
        }
        assert_eq!(result["ctx"], 155);
        assert_eq!(result["device"]["backend"], backend);
        assert_eq!(result["file_bytes"], std::fs::metadata(tiny()).unwrap().len());
        let bytes = |key: &str| result[key].as_u64().unwrap();
        assert_eq!(bytes("memory_budget_bytes"), bytes("file_bytes") + bytes("kv_cache_bytes") + 150_000_000);
        let (rate, read) = (&result["decode_tokens_per_second"], &result["bytes_read_per_second"]);
        let product = rate.as_f64().unwrap() * bytes("bytes_read_per_token") as f64;
        assert!((read.as_f64().unwrap() / product - 1.0).abs() < 1e-6);
        assert_eq!(result["share_of_read_bandwidth"].as_f64().is_some(), backend == "gpu");
        if cfg!(target_os = "linux") {
            positive("peak_memory_bytes");
        }
    }
}

#[test]
fn bench_prints_a_table() {
    let run = run(&["bench", &tiny(), "--prompt-tokens", "8", "--gen-tokens", "2", "--backend", "cpu"]);
    for word in ["load ", "prefill ", "time to first token ", "decode ", "peak memory ", "memory budget "] {
        assert!(run.stdout.lines().any(|line| line.starts_with(word)), "{word}: {}", run.stdout);
    }
    assert_eq!((run.code, run.stderr.lines().count()), (0, 1), "{}", run.stderr);
}

#[test]
fn activations_are_chosen_and_reported() {
    for backend in ["cpu", "gpu"] {
        for activations in ["f32", "int8"] {
            let args = ["perplexity", &tiny(), "--ids", "1,2,3", "--json", "--backend", backend];
            let result = quiet(&[&args[..], &["--activations", activations]].concat()).json();
            let features = result["device"]["features"].as_array().unwrap();
            let is_named =
                |f: &Value| f.as_str().is_some_and(|f| f.starts_with(&format!("{activations} act")));
            assert!(features.iter().any(is_named), "{features:?}");
        }
    }
}
