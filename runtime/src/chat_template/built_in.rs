//! Templates for chat models whose files have none, chosen by the control tokens in the vocabulary.
//!
//! They know system, user and assistant; tools and switches are the affair of a file's own template.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::gguf::Gguf;
use crate::tokenizer::Vocabulary;

/// A template of this runtime.
pub(super) struct BuiltIn {
    /// What the format is called.
    pub name: &'static str,
    /// The control tokens that tell the format.
    tokens: &'static [&'static str],
    /// `tokenizer.ggml.model`, if that decides too.
    tokenizer: Option<&'static str>,
    /// Jinja.
    pub source: &'static str,
}

/// The first that fits counts: models that were tuned to another format keep the tokens of the model
/// that they were made of. So the formats that others are tuned to come first.
const BUILT_IN: [BuiltIn; 7] = [
    BuiltIn {
        name: "DeepSeek",
        tokens: &["<｜User｜>", "<｜Assistant｜>"],
        tokenizer: None,
        source: include_str!("built_in/deepseek.jinja"),
    },
    BuiltIn {
        name: "ChatML",
        tokens: &["<|im_start|>", "<|im_end|>"],
        tokenizer: None,
        source: include_str!("built_in/chatml.jinja"),
    },
    BuiltIn {
        name: "Llama 3",
        tokens: &["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"],
        tokenizer: None,
        source: include_str!("built_in/llama3.jinja"),
    },
    BuiltIn {
        name: "Gemma",
        tokens: &["<start_of_turn>", "<end_of_turn>"],
        tokenizer: None,
        source: include_str!("built_in/gemma.jinja"),
    },
    BuiltIn {
        name: "Phi-3",
        tokens: &["<|user|>", "<|assistant|>", "<|end|>"],
        tokenizer: None,
        source: include_str!("built_in/phi3.jinja"),
    },
    BuiltIn {
        name: "Mistral (SentencePiece)",
        tokens: &["[INST]", "[/INST]"],
        tokenizer: Some("llama"),
        source: include_str!("built_in/mistral_spm.jinja"),
    },
    BuiltIn {
        name: "Mistral",
        tokens: &["[INST]", "[/INST]"],
        tokenizer: None,
        source: include_str!("built_in/mistral.jinja"),
    },
];

/// The template that fits a file; `None` if nothing in it says that its model can chat.
pub(super) fn find(gguf: &Gguf, vocabulary: &Vocabulary) -> Result<Option<BuiltIn>> {
    let tokenizer = gguf.get_str("tokenizer.ggml.model")?;
    let is_whole =
        |&(token, _): &(_, &str)| vocabulary.is_control(token) || vocabulary.is_user_defined(token);
    let whole: BTreeSet<&str> = vocabulary.iter().filter(is_whole).map(|(_, spelling)| spelling).collect();
    Ok(BUILT_IN.into_iter().find(|built_in| {
        built_in.tokens.iter().all(|token| whole.contains(token))
            && built_in.tokenizer.is_none_or(|name| tokenizer == Some(name))
    }))
}
