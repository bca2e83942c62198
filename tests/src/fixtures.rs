//! The fixtures of `tests/fixtures`, and the real models that the set-up step fetches.

use std::{env, fs, path::PathBuf};

use safetensors::SafeTensors;
use serde::Deserialize;

/// A file below `tests/fixtures`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

/// A tiny model with the reference's logits; see `tests/fixtures/README.md`.
#[derive(Debug, Deserialize)]
pub struct TinyModel {
    /// The GGUF file, below the folder of the manifest.
    pub file: String,
    #[serde(skip)]
    folder: PathBuf,
    /// `general.architecture`.
    pub arch: String,
    /// The weight type, or MIX.
    pub variant: String,
    /// The kind of vocabulary.
    pub tokenizer: String,
    #[serde(rename = "ref")]
    reference: String,
    /// Prompt ids.
    pub prompt: Vec<u32>,
    /// Ids that the reference chose, greedily.
    pub greedy: Vec<u32>,
}

impl TinyModel {
    /// All that are committed.
    pub fn all() -> Vec<TinyModel> {
        TinyModel::in_folder(path("tiny"))
    }

    /// All of the larger set that lies beside the project, empty where it does not.
    pub fn beside() -> Vec<TinyModel> {
        let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/golden/tiny");
        if folder.is_dir() { TinyModel::in_folder(folder) } else { Vec::new() }
    }

    fn in_folder(folder: PathBuf) -> Vec<TinyModel> {
        let text = fs::read_to_string(folder.join("manifest.json")).expect("the manifest of the tiny models");
        let mut models: Vec<TinyModel> = serde_json::from_str(&text).expect("a manifest of tiny models");
        models.iter_mut().for_each(|m| m.folder = folder.clone());
        models
    }

    /// The name of the file alone.
    pub fn name(&self) -> &str {
        self.file.rsplit('/').next().unwrap_or(&self.file)
    }

    /// Where the GGUF file is.
    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.file)
    }

    /// The tokens that the reference saw, and its logits after each, `[tokens, vocabulary]`.
    pub fn reference(&self) -> (Vec<u32>, Vec<f32>) {
        let bytes = fs::read(self.folder.join(&self.reference)).expect("the reference logits");
        let tensors = SafeTensors::deserialize(&bytes).expect("a safetensors file");
        let values = |name: &str| -> Vec<f32> {
            let data = tensors.tensor(name).expect("a tensor of logits").data();
            data.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        };
        let mut logits = values("prompt_logits");
        let n_vocab = logits.len() / self.prompt.len();
        // Step 0 repeats the last row of the prompt; the last greedy token was never fed.
        logits.extend_from_slice(&values("step_logits")[n_vocab..]);
        let tokens = [&self.prompt[..], &self.greedy[..self.greedy.len() - 1]].concat();
        assert_eq!(tokens.len() * n_vocab, logits.len());
        (tokens, logits)
    }
}

/// SmolLM2-135M-Instruct, which `cargo xtask model` fetches; `HALFBYTE_MODEL` names another place.
pub fn smollm2() -> PathBuf {
    fetched("HALFBYTE_MODEL", "SmolLM2-135M-Instruct.Q4_1.gguf", "cargo xtask model")
}

/// Gemma 3 270M, which `cargo xtask model gemma3` fetches; `HALFBYTE_GEMMA3` names another place.
pub fn gemma3() -> PathBuf {
    fetched("HALFBYTE_GEMMA3", "gemma-3-270m-q4_k_m.gguf", "cargo xtask model gemma3")
}

/// A file that `command` keeps in the user's cache folder, or that the environment names.
fn fetched(variable: &str, file_name: &str, command: &str) -> PathBuf {
    let cache = || {
        let home = || env::var_os("HOME").map(|h| PathBuf::from(h).join(".cache"));
        let root = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
        Some(root.join("halfbyte/models").join(file_name))
    };
    let path = env::var_os(variable).map(PathBuf::from).or_else(cache).unwrap_or_default();
    assert!(path.is_file(), "the model {} is missing: run `{command}` first", path.display());
    path
}
