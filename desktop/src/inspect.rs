//! `halfbyte inspect`: what is in a file, and what loading it would take. Loads nothing.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use halfbyte::backend::Gate;
use halfbyte::gguf::MetadataValue;
use halfbyte::{ChatTemplate, Gguf, ModelConfig, Plan, Tokenizer};
use serde_json::{Map, Value, json};

use crate::failure::Failure;
use crate::options::count;
use crate::report;

/// Context sizes that are planned for, as far as the model allows, and its own.
const SIZES: [usize; 3] = [512, 2048, 4096];
/// Elements of an array that are shown.
const SHOWN: usize = 5;
/// Characters of a value that are shown on a line.
const WIDTH: usize = 100;

const EXAMPLES: &str = "\
Examples:
  halfbyte inspect model.gguf
  halfbyte inspect model.gguf --ctx 8192
  halfbyte inspect model.gguf --json | jq .metadata

Works for every sound GGUF file, also one that Halfbyte cannot run; it says then what is missing.";

/// Show what is in a model file and the memory it will take
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    /// The model file, in GGUF format
    model: PathBuf,

    /// Plan for this many tokens [default: several sizes]
    #[arg(long, value_name = "N", value_parser = count)]
    ctx: Option<usize>,

    /// Print everything as JSON; of long arrays the length and the first elements
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) fn inspect(args: &Args) -> Result<(), Failure> {
    let gguf = Gguf::open(&args.model)?;
    let runnable = Runnable::new(&gguf, args.ctx);
    if let (Ok(runnable), Some(n_ctx)) = (&runnable, args.ctx)
        && n_ctx > runnable.config.n_ctx_train
    {
        return Err(Failure::new(format!(
            "a context of {n_ctx} tokens is not possible: this model takes 1 to {}",
            runnable.config.n_ctx_train
        )));
    }
    match args.json {
        true => report::output_json(&to_json(&gguf, &runnable)),
        false => report::output(&to_text(&gguf, &runnable)),
    }
}

/// What is known of a model that can be run.
struct Runnable {
    config: ModelConfig,
    /// For the GPU and for the CPU, at each context size.
    plans: Vec<(&'static str, Plan)>,
}

impl Runnable {
    fn new(gguf: &Gguf, n_ctx: Option<usize>) -> halfbyte::Result<Runnable> {
        let config = ModelConfig::from_gguf(gguf)?;
        Tokenizer::from_gguf(gguf)?;
        let sizes = match n_ctx {
            Some(n_ctx) => vec![n_ctx],
            None => context_sizes(config.n_ctx_train),
        };
        let mut plans = Vec::new();
        for (name, on_gpu) in [("gpu", true), ("cpu", false)] {
            for &n_ctx in &sizes {
                plans.push((name, Plan::new(gguf, on_gpu, n_ctx)?));
            }
        }
        Ok(Runnable { config, plans })
    }
}

fn context_sizes(most: usize) -> Vec<usize> {
    let mut sizes = SIZES.to_vec();
    sizes.retain(|&size| size < most);
    sizes.push(most);
    sizes
}

fn to_text(gguf: &Gguf, runnable: &halfbyte::Result<Runnable>) -> String {
    let mut text = format!(
        "GGUF version {}, {}, {} tensors\n",
        gguf.version(),
        report::megabytes(gguf.file_len()),
        gguf.tensors().len()
    );
    text += "\nMetadata\n";
    for (key, value) in gguf.metadata() {
        let _ = writeln!(text, "  {} = {}", report::one_line(key), brief(value));
    }
    text += "\nTensor types\n";
    for (name, (n, bytes)) in tensor_types(gguf) {
        let _ = writeln!(text, "  {name:8} {n:6} tensors {:>12}", report::megabytes(bytes));
    }
    match runnable {
        Ok(runnable) => text + &shape(&runnable.config) + &chat(gguf) + &plan_table(&runnable.plans),
        Err(error) => format!("{text}\nThis model cannot be run: {error}\n"),
    }
}

fn shape(c: &ModelConfig) -> String {
    let mut text = format!(
        "\nShape\n  \
         architecture {}, {} layers, width {}, feed-forward width {} ({})\n  \
         attention heads of {}: {} for queries, {} for keys and values\n",
        report::one_line(&c.architecture),
        c.n_layers,
        c.n_embd,
        c.n_ff,
        match c.gate {
            Gate::Silu => "SiLU",
            Gate::Gelu => "GELU",
        },
        c.head_dim,
        c.n_heads,
        c.n_kv_heads,
    );
    let _ = writeln!(text, "  RoPE over {} elements of a head, base {}{}", c.rope_dim, c.rope.base, rope(c));
    if let Some(window) = c.window {
        let _ =
            writeln!(text, "  {} of {} layers see the last {window} tokens only", n_windowed(c), c.n_layers);
    }
    if c.attention_softcap > 0.0 {
        let _ = writeln!(text, "  attention scores bounded by {} (soft-cap)", c.attention_softcap);
    }
    if c.logit_softcap > 0.0 {
        let _ = writeln!(text, "  logits bounded by {} (soft-cap)", c.logit_softcap);
    }
    let _ = writeln!(text, "  vocabulary of {}, trained for {} tokens of context", c.n_vocab, c.n_ctx_train);
    text
}

/// How the rotary embedding departs from the plain one.
fn rope(c: &ModelConfig) -> String {
    let mut text = String::new();
    if c.rope.factor != 1.0 {
        let way = if c.rope.yarn.is_some() { "YaRN" } else { "linear" };
        let _ = write!(text, ", {way} scaling by {}", c.rope.factor);
    }
    if let Some(local) = &c.rope_local {
        let _ = write!(text, "; base {} in layers with a window", local.base);
    }
    let plain = (0..c.n_layers).filter(|layer| !c.is_rotated(*layer)).count();
    if plain > 0 {
        let _ = write!(text, "; none in {plain} of {} layers", c.n_layers);
    }
    text
}

/// Layers that see a window only.
fn n_windowed(c: &ModelConfig) -> usize {
    (0..c.n_layers).filter(|layer| c.window_of(*layer).is_some()).count()
}

/// How the model chats.
fn chat(gguf: &Gguf) -> String {
    let template = match ChatTemplate::from_gguf(gguf) {
        Ok(template) => template,
        Err(error) => return format!("\nChat\n  not possible: {error}\n"),
    };
    let Some(template) = template else {
        return "\nChat\n  without a template: messages are a plain text that it continues\n".into();
    };
    let from = match template.built_in() {
        None => "the template in the file".into(),
        Some(name) => format!("the file has no template: the built-in one for {name} is used"),
    };
    let thinking = match (template.thought_tags(), template.can_switch_thinking()) {
        (None, false) => "it does not think before it answers",
        (None, true) => "thinking can be switched, but the thought is not told from the answer",
        (Some(_), false) => "it thinks before it answers",
        (Some(_), true) => "it thinks before it answers, which can be switched",
    };
    format!("\nChat\n  {from}\n  {thinking}\n")
}

fn chat_json(gguf: &Gguf) -> Option<Value> {
    let template = ChatTemplate::from_gguf(gguf).ok().flatten()?;
    Some(json!({
        "built_in_template": template.built_in(),
        "thought_tags": template.thought_tags().map(|tags| [tags.open, tags.close]),
        "can_switch_thinking": template.can_switch_thinking(),
    }))
}

fn plan_table(plans: &[(&'static str, Plan)]) -> String {
    let mut text = String::from(
        "\nMemory\n  \
         on   context      weights     KV cache  activations     together\n",
    );
    for (name, plan) in plans {
        let _ = writeln!(
            text,
            "  {name} {:>9} {:>12} {:>12} {:>12} {:>12}",
            plan.n_ctx,
            report::megabytes(plan.weights),
            report::megabytes(plan.kv_cache),
            report::megabytes(plan.activations),
            report::megabytes(plan.total())
        );
    }
    text + "  gpu: weights, KV cache and activations are buffers of the GPU; the weights are\n  \
            repacked once and the pages of the file are given back.\n  \
            cpu: the weights stay in the mapped file; KV cache and activations are in memory.\n"
}

fn to_json(gguf: &Gguf, runnable: &halfbyte::Result<Runnable>) -> Value {
    let metadata: Map<String, Value> =
        gguf.metadata().map(|(key, value)| (key.into(), metadata_json(value))).collect();
    let types: Map<String, Value> = tensor_types(gguf)
        .into_iter()
        .map(|(name, (n, bytes))| (name, json!({ "tensors": n, "bytes": bytes })))
        .collect();
    let runnable_json = runnable.as_ref().ok();
    json!({
        "version": gguf.version(),
        "file_bytes": gguf.file_len(),
        "tensors": gguf.tensors().len(),
        "tensor_types": types,
        "is_runnable": runnable.is_ok(),
        "reason": runnable.as_ref().err().map(ToString::to_string),
        "shape": runnable_json.map(|r| shape_json(&r.config)),
        "chat": chat_json(gguf),
        "plans": runnable_json.map(|r| r.plans.iter().map(plan_json).collect::<Vec<_>>()),
        "metadata": metadata,
    })
}

fn shape_json(c: &ModelConfig) -> Value {
    json!({
        "architecture": c.architecture,
        "name": c.name,
        "n_vocab": c.n_vocab,
        "n_ctx_train": c.n_ctx_train,
        "n_layers": c.n_layers,
        "n_embd": c.n_embd,
        "n_ff": c.n_ff,
        "n_heads": c.n_heads,
        "n_kv_heads": c.n_kv_heads,
        "head_dim": c.head_dim,
        "rope_dim": c.rope_dim,
        "rope_base": c.rope.base,
        "rope_scale": c.rope.factor,
        "rope_base_in_windows": c.rope_local.as_ref().map(|rope| rope.base),
        "window": c.window,
        "n_windowed_layers": n_windowed(c),
        "attention_softcap": c.attention_softcap,
        "logit_softcap": c.logit_softcap,
        "norm_eps": c.norm_eps,
    })
}

fn plan_json((backend, plan): &(&'static str, Plan)) -> Value {
    json!({
        "backend": backend,
        "ctx": plan.n_ctx,
        "weights_bytes": plan.weights,
        "kv_cache_bytes": plan.kv_cache,
        "activations_bytes": plan.activations,
        "total_bytes": plan.total(),
        "bytes_read_per_token": plan.read_per_token,
    })
}

/// Tensors and bytes by type.
fn tensor_types(gguf: &Gguf) -> BTreeMap<String, (usize, u64)> {
    let mut types = BTreeMap::new();
    for info in gguf.tensors() {
        let entry: &mut (usize, u64) = types.entry(info.ty.to_string()).or_default();
        entry.0 += 1;
        entry.1 += info.n_bytes();
    }
    types
}

/// A value on a line.
fn brief(value: &MetadataValue) -> String {
    let text = match value {
        MetadataValue::String(text) => text.clone(),
        MetadataValue::Array(array) => {
            let shown: Vec<String> = array.values.iter().take(SHOWN).map(brief).collect();
            let more = if array.values.len() > SHOWN { ", …" } else { "" };
            let list = shown.join(", ");
            return format!("{} × {}: [{list}{more}]", array.values.len(), array.element_type);
        }
        MetadataValue::F32(number) => format!("{number:?}"),
        other => metadata_json(other).to_string(),
    };
    let line = report::one_line(&text);
    match line.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}… ({} characters)", &line[..end], text.chars().count()),
        None => line,
    }
}

fn metadata_json(value: &MetadataValue) -> Value {
    match value {
        MetadataValue::U8(n) => json!(n),
        MetadataValue::I8(n) => json!(n),
        MetadataValue::U16(n) => json!(n),
        MetadataValue::I16(n) => json!(n),
        MetadataValue::U32(n) => json!(n),
        MetadataValue::I32(n) => json!(n),
        MetadataValue::U64(n) => json!(n),
        MetadataValue::I64(n) => json!(n),
        MetadataValue::F32(n) => json!(n),
        MetadataValue::F64(n) => json!(n),
        MetadataValue::Bool(b) => json!(b),
        MetadataValue::String(text) => json!(text),
        MetadataValue::Array(array) if array.values.len() > SHOWN => json!({
            "type": array.element_type.to_string(),
            "count": array.values.len(),
            "first": array.values.iter().take(SHOWN).map(metadata_json).collect::<Vec<_>>(),
        }),
        MetadataValue::Array(array) => array.values.iter().map(metadata_json).collect(),
    }
}
