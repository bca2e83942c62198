//! Options that several commands share, checked as they are parsed: what can be known to be wrong
//! without a model is wrong usage.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use halfbyte::{
    Activations, BackendChoice, BackendOptions, Message, Model, SamplerConfig, SessionOptions, Token,
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::failure::Failure;
use crate::report;

/// The model and what it runs on.
#[derive(clap::Args)]
pub(crate) struct ModelArgs {
    /// The model file, in GGUF format
    #[arg(value_name = "MODEL")]
    pub path: PathBuf,

    /// What to run on: `auto` takes the GPU, or the CPU where there is none that works
    #[arg(long, value_enum, default_value = "auto")]
    pub backend: BackendName,

    /// Arithmetic of the matrix products: `f32` is exact, `int8` rounds activations to eight bits and is
    /// faster where the processor multiplies bytes; `auto` takes the faster one
    #[arg(long, value_enum, default_value = "auto")]
    pub activations: ActivationsName,
}

impl ModelArgs {
    /// Loads the model.
    pub(crate) fn open(&self) -> Result<Arc<Model>, Failure> {
        let _waiting = report::waiting("loading the model");
        let options = BackendOptions { choice: self.backend.into(), activations: self.activations.into() };
        Ok(Model::open(&self.path, options)?)
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum BackendName {
    Auto,
    Gpu,
    Cpu,
}

impl From<BackendName> for BackendChoice {
    fn from(name: BackendName) -> BackendChoice {
        match name {
            BackendName::Auto => BackendChoice::Auto,
            BackendName::Gpu => BackendChoice::Gpu,
            BackendName::Cpu => BackendChoice::Cpu,
        }
    }
}

#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum ActivationsName {
    Auto,
    F32,
    Int8,
}

impl From<ActivationsName> for Activations {
    fn from(name: ActivationsName) -> Activations {
        match name {
            ActivationsName::Auto => Activations::Auto,
            ActivationsName::F32 => Activations::F32,
            ActivationsName::Int8 => Activations::Int8,
        }
    }
}

/// Something that can be switched.
#[derive(Clone, Copy, ValueEnum)]
pub(crate) enum Switch {
    On,
    Off,
}

impl Switch {
    pub(crate) fn is_on(self) -> bool {
        matches!(self, Switch::On)
    }
}

/// How an answer is made.
#[derive(clap::Args)]
#[command(next_help_heading = "The answer")]
pub(crate) struct AnswerArgs {
    /// Below 1 prefers likely tokens, 0 always takes the likeliest
    #[arg(long, value_name = "T", allow_negative_numbers = true, value_parser = not_negative,
          default_value_t = SamplerConfig::default().temperature)]
    pub temperature: f32,

    /// Choose among this many of the likeliest tokens; 0 for all
    #[arg(long, value_name = "N", default_value_t = SamplerConfig::default().top_k)]
    pub top_k: usize,

    /// Choose among the likeliest tokens that together have this probability
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = positive_probability,
          default_value_t = SamplerConfig::default().top_p)]
    pub top_p: f32,

    /// Choose among tokens at least this probable relative to the likeliest
    #[arg(long, value_name = "P", allow_negative_numbers = true, value_parser = probability,
          default_value_t = SamplerConfig::default().min_p)]
    pub min_p: f32,

    /// Above 1 makes tokens of the last 64 less likely; 1 is off
    #[arg(long, value_name = "R", allow_negative_numbers = true, value_parser = positive_number,
          default_value_t = SamplerConfig::default().repetition_penalty)]
    pub repetition_penalty: f32,

    /// The same seed gives the same answer on the same device [default: another one each time]
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,

    /// Tokens that an answer may have [default: as many as fit]
    #[arg(long, value_name = "N")]
    pub max_tokens: Option<usize>,

    /// A text that ends the answer and is no part of it; may be given several times
    #[arg(long, value_name = "TEXT", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub stop: Vec<String>,

    /// Tokens that prompt and answer may have together; memory grows with it
    /// [default: what the model was trained for, 4096 at most]
    #[arg(long, value_name = "N", value_parser = count)]
    pub ctx: Option<usize>,

    /// Report device and speed on standard error even when that is no terminal
    #[arg(long, short)]
    pub verbose: bool,
}

impl AnswerArgs {
    /// The options of a session, with a seed from the clock if none was given.
    pub(crate) fn session_options(&self) -> SessionOptions {
        SessionOptions {
            n_ctx: self.ctx,
            sampler: SamplerConfig {
                temperature: self.temperature,
                top_k: self.top_k,
                top_p: self.top_p,
                min_p: self.min_p,
                repetition_penalty: self.repetition_penalty,
                seed: self.seed.unwrap_or_else(seed_from_clock),
                ..SamplerConfig::default()
            },
            max_tokens: self.max_tokens,
            stop: self.stop.clone(),
            ..SessionOptions::default()
        }
    }
}

fn seed_from_clock() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_nanos() as u64)
}

/// Token ids on the command line, or `@FILE` for a file of them.
#[derive(Clone)]
pub(crate) enum Ids {
    List(Vec<Token>),
    File(PathBuf),
}

impl Ids {
    /// A parser for clap.
    pub(crate) fn parse(text: &str) -> Result<Ids, String> {
        match text.strip_prefix('@') {
            Some(path) => Ok(Ids::File(path.into())),
            None => parse_ids(text).map(Ids::List),
        }
    }

    /// The ids, read from the file if they are in one.
    pub(crate) fn read(&self) -> Result<Vec<Token>, Failure> {
        match self {
            Ids::List(ids) => Ok(ids.clone()),
            Ids::File(path) => parse_ids(&read_text(path)?)
                .map_err(|reason| Failure::new(format!("{}: {reason}", path.display()))),
        }
    }
}

/// Ids between commas or spaces, with or without the brackets of a JSON array.
fn parse_ids(text: &str) -> Result<Vec<Token>, String> {
    let list = text.trim();
    let inner = list.strip_prefix('[').and_then(|l| l.strip_suffix(']'));
    let words =
        inner.unwrap_or(list).split(|c: char| c == ',' || c.is_whitespace()).filter(|word| !word.is_empty());
    let ids: Result<Vec<Token>, _> = words.map(str::parse).collect();
    match ids {
        Ok(ids) if !ids.is_empty() => Ok(ids),
        _ => Err("token ids are whole numbers with commas between them, such as 1,2,3".into()),
    }
}

/// The messages of a conversation, from a JSON file.
pub(crate) fn read_messages(path: &Path) -> Result<Vec<Message>, Failure> {
    read_json(path, "array of {\"role\": …, \"content\": …}")
}

/// A list of tools, from a JSON file.
pub(crate) fn read_tools(path: &Path) -> Result<Value, Failure> {
    let tools: Vec<Value> = read_json(path, "array of tools")?;
    Ok(tools.into())
}

fn read_json<T: DeserializeOwned>(path: &Path, what: &str) -> Result<T, Failure> {
    // The cause may quote a message, so only its place is passed on.
    serde_json::from_str(&read_text(path)?).map_err(|cause| {
        Failure::new(format!(
            "{} is no JSON {what}: line {}, column {}",
            path.display(),
            cause.line(),
            cause.column()
        ))
    })
}

/// The text of a file; `-` is standard input.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map(|_| text)
    } else {
        std::fs::read_to_string(path)
    };
    text.map_err(|error| Failure::read(path, &error))
}

/// A parser for clap: a whole number of at least 1.
pub(crate) fn count(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("it must be a whole number of at least 1".into()),
    }
}

fn not_negative(text: &str) -> Result<f32, String> {
    number(text, |n| n >= 0.0, "a number of at least 0")
}

fn positive_number(text: &str) -> Result<f32, String> {
    number(text, |n| n > 0.0, "a number above 0")
}

fn probability(text: &str) -> Result<f32, String> {
    number(text, |n| (0.0..=1.0).contains(&n), "a number from 0 to 1")
}

fn positive_probability(text: &str) -> Result<f32, String> {
    let holds = |n| n > 0.0 && n <= 1.0;
    number(text, holds, "a number above 0 and at most 1")
}

fn number(text: &str, holds: impl Fn(f32) -> bool, range: &str) -> Result<f32, String> {
    match text.parse::<f32>() {
        Ok(n) if n.is_finite() && holds(n) => Ok(n),
        _ => Err(format!("it must be {range}")),
    }
}
