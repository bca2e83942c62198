//! Byte-level byte-pair encoding from a file's vocabulary and merges.

use std::collections::HashSet;

use tokenizers::AddedToken;
use tokenizers::models::bpe::{BPE, Vocab};

use crate::error::{Error, Result};
use crate::gguf::Gguf;

use super::missing;
use super::pre_tokenizer::PreTokenizer;
use super::vocabulary::Vocabulary;

/// Builds the merge model over every token but the control tokens.
pub(super) fn build(
    gguf: &Gguf,
    vocabulary: &Vocabulary,
    pre_tokenizer: PreTokenizer,
) -> Result<tokenizers::Tokenizer> {
    // Of two tokens with the same spelling the later one counts.
    let ids: Vocab = vocabulary
        .iter()
        .filter(|&(token, _)| !vocabulary.is_control(token))
        .map(|(token, spelling)| (spelling.to_owned(), token))
        .collect();
    let merges = read_merges(gguf, vocabulary, &ids)?;
    assemble(ids, merges, vocabulary, pre_tokenizer)
        .map_err(|error| Error::Tokenizer(format!("the vocabulary cannot be used: {error}")))
}

fn assemble(
    ids: Vocab,
    merges: Vec<(String, String)>,
    vocabulary: &Vocabulary,
    pre_tokenizer: PreTokenizer,
) -> tokenizers::Result<tokenizers::Tokenizer> {
    let bpe = BPE::builder()
        .vocab_and_merges(ids, merges)
        .ignore_merges(pre_tokenizer.ignores_merges)
        // The cache is a thread-local that outlives the model and would keep the user's words.
        .cache_capacity(0)
        .build()?;
    let mut tokenizer = tokenizers::Tokenizer::new(bpe);
    tokenizer.with_pre_tokenizer(Some(pre_tokenizer.build()?));
    tokenizer.add_tokens(
        vocabulary
            .iter()
            .filter(|&(token, _)| vocabulary.is_user_defined(token))
            .map(|(_, spelling)| AddedToken::from(spelling, false).normalized(false)),
    )?;
    Ok(tokenizer)
}

/// The merges in order of rank. One that makes or takes a control token is left out, so that text
/// cannot turn into one; one that names no token at all is an error.
fn read_merges(gguf: &Gguf, vocabulary: &Vocabulary, ids: &Vocab) -> Result<Vec<(String, String)>> {
    let controls: HashSet<&str> = vocabulary
        .iter()
        .filter(|&(token, _)| vocabulary.is_control(token))
        .map(|(_, spelling)| spelling)
        .collect();
    let lines = gguf.get_strs("tokenizer.ggml.merges")?.ok_or_else(|| missing("tokenizer.ggml.merges"))?;
    let mut merges = Vec::with_capacity(lines.len());
    let mut merged = String::new();
    for (rank, line) in lines.into_iter().enumerate() {
        let (left, right) = split_merge(line).ok_or_else(|| {
            Error::Tokenizer(format!("merge {rank} is not two tokens with a space between"))
        })?;
        merged.clear();
        merged.extend([left, right]);
        let parts = [left, right, &merged];
        if parts.iter().all(|part| ids.contains_key(*part)) {
            merges.push((left.to_owned(), right.to_owned()));
        } else if !parts.iter().any(|part| controls.contains(part)) {
            return Err(Error::Tokenizer(format!(
                "merge {rank} names a token that is not in the vocabulary"
            )));
        }
    }
    Ok(merges)
}

/// The two tokens of a merge; a token may begin with a space, so the first letter never separates.
fn split_merge(line: &str) -> Option<(&str, &str)> {
    let (space, _) = line.char_indices().skip(1).find(|&(_, c)| c == ' ')?;
    let (left, right) = (&line[..space], &line[space + 1..]);
    (!right.is_empty()).then_some((left, right))
}
