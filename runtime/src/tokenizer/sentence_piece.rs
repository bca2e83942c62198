//! SentencePiece vocabularies of the BPE kind: Llama 2, Phi-3, Mistral, Gemma.
//!
//! Neighbouring pieces are merged, the pair whose union has the highest score first and of equal ones
//! the leftmost, until no union is a token. What stays unknown is spelled in byte tokens. The rules
//! are those of `bpe_model.cc` in <https://github.com/google/sentencepiece>. The scores in the file
//! are all that this takes, so building is one pass over the vocabulary: there is no list of merges.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BinaryHeap;

use aho_corasick::{AhoCorasick, MatchKind};

use crate::error::{Error, Result};
use crate::gguf::Gguf;

use super::spellings::Pieces;
use super::vocabulary::{SPACE, Vocabulary};
use super::{Token, missing};

/// The tokens that text is cut into.
pub(super) struct SentencePiece {
    /// Every token that merges may make.
    pieces: Pieces,
    /// By id. The higher, the sooner a merge happens.
    scores: Vec<f32>,
    /// The token of each byte, for characters that are no piece.
    bytes: [Option<Token>; 256],
    unknown: Option<Token>,
    user_defined: UserDefined,
    /// Whether a text begins with a space that is not in it.
    pub(super) adds_space: bool,
}

/// Tokens that are cut out of the text before the merges, the longest at each place.
struct UserDefined {
    matcher: AhoCorasick,
    /// By the number of the matcher's pattern.
    tokens: Vec<Token>,
}

impl SentencePiece {
    /// Reads `tokenizer.ggml.{scores, add_space_prefix}`.
    pub(super) fn new(gguf: &Gguf, vocabulary: &Vocabulary) -> Result<SentencePiece> {
        let scores = read_scores(gguf, vocabulary.len())?;
        Ok(SentencePiece {
            bytes: vocabulary.bytes(),
            unknown: vocabulary.unknown(),
            user_defined: UserDefined::new(vocabulary)?,
            adds_space: gguf.get_bool("tokenizer.ggml.add_space_prefix")?.unwrap_or(true),
            pieces: vocabulary.pieces(),
            scores,
        })
    }

    /// Appends the ids of `text`.
    pub(super) fn encode(&self, text: &str, tokens: &mut Vec<Token>) {
        let text = self.normalized(text);
        let mut done = 0;
        for found in self.user_defined.matcher.find_iter(&*text) {
            self.encode_stretch(&text[done..found.start()], tokens);
            tokens.extend(self.user_defined.tokens.get(found.pattern().as_usize()));
            done = found.end();
        }
        self.encode_stretch(&text[done..], tokens);
    }

    /// Spaces as pieces spell them, and the one in front.
    fn normalized<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut text = match text.contains(' ') {
            true => Cow::Owned(text.replace(' ', SPACE)),
            false => Cow::Borrowed(text),
        };
        if self.adds_space && !text.is_empty() {
            text.to_mut().insert_str(0, SPACE);
        }
        text
    }

    fn encode_stretch(&self, text: &str, tokens: &mut Vec<Token>) {
        let mut merging = Merging::new(self, text);
        while let Some(pair) = merging.pairs.pop() {
            merging.merge(&pair);
        }
        for symbol in merging.symbols.iter().filter(|symbol| symbol.len > 0) {
            match symbol.token {
                Some(token) => tokens.push(token),
                None => self.encode_unknown(&text[symbol.start..symbol.start + symbol.len], tokens),
            }
        }
    }

    /// A character that is no piece: its bytes, else one unknown token for a run of such characters.
    fn encode_unknown(&self, character: &str, tokens: &mut Vec<Token>) {
        let bytes = character.bytes().map(|byte| self.bytes[usize::from(byte)]);
        if let Some(bytes) = bytes.collect::<Option<Vec<Token>>>() {
            tokens.extend(bytes);
        } else if tokens.last() != self.unknown.as_ref() {
            tokens.extend(self.unknown);
        }
    }

    fn score(&self, token: Token) -> f32 {
        self.scores.get(token as usize).copied().unwrap_or(f32::NEG_INFINITY)
    }
}

impl UserDefined {
    fn new(vocabulary: &Vocabulary) -> Result<UserDefined> {
        // Of equal spellings the matcher takes the first; the vocabulary's later one shall count.
        let (tokens, spellings): (Vec<Token>, Vec<String>) = vocabulary
            .iter()
            .rev()
            .filter(|&(token, spelling)| vocabulary.is_user_defined(token) && !spelling.is_empty())
            .map(|(token, spelling)| (token, spelling.replace(' ', SPACE)))
            .unzip();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(spellings)
            .map_err(|error| Error::Tokenizer(format!("too many user-defined tokens: {error}")))?;
        Ok(UserDefined { matcher, tokens })
    }
}

/// No symbol: the end of the chain.
const NONE: usize = usize::MAX;

/// A stretch of the text that merges have not gone beyond; one of length 0 is part of another.
struct Symbol {
    start: usize,
    len: usize,
    previous: usize,
    next: usize,
    /// `None` for a character that is no piece.
    token: Option<Token>,
}

/// Two neighbours whose union is a token.
struct Pair {
    score: f32,
    left: usize,
    right: usize,
    /// Bytes of the union when it was found: another length later means that one has changed.
    len: usize,
    token: Token,
}

/// The chain of symbols of one stretch of text, and the merges that are possible in it.
struct Merging<'a> {
    model: &'a SentencePiece,
    text: &'a str,
    symbols: Vec<Symbol>,
    pairs: BinaryHeap<Pair>,
}

impl<'a> Merging<'a> {
    /// A symbol for each character.
    fn new(model: &'a SentencePiece, text: &'a str) -> Merging<'a> {
        let mut symbols: Vec<Symbol> = text
            .char_indices()
            .enumerate()
            .map(|(index, (start, letter))| Symbol {
                start,
                len: letter.len_utf8(),
                previous: index.checked_sub(1).unwrap_or(NONE),
                next: index + 1,
                token: model.pieces.get(&text[start..start + letter.len_utf8()]),
            })
            .collect();
        if let Some(last) = symbols.last_mut() {
            last.next = NONE;
        }
        let mut merging = Merging { model, text, symbols, pairs: BinaryHeap::new() };
        for right in 1..merging.symbols.len() {
            merging.find_pair(right - 1, right);
        }
        merging
    }

    /// Remembers the pair if its union is a token.
    fn find_pair(&mut self, left: usize, right: usize) {
        let (Some(first), Some(second)) = (self.symbols.get(left), self.symbols.get(right)) else {
            return;
        };
        let len = first.len + second.len;
        if let Some(token) = self.model.pieces.get(&self.text[first.start..first.start + len]) {
            self.pairs.push(Pair { score: self.model.score(token), left, right, len, token });
        }
    }

    /// Makes the right symbol part of the left one, unless either has changed since.
    fn merge(&mut self, pair: &Pair) {
        let (left, right) = (&self.symbols[pair.left], &self.symbols[pair.right]);
        if left.len == 0 || right.len == 0 || left.len + right.len != pair.len {
            return;
        }
        let (previous, next) = (left.previous, right.next);
        self.symbols[pair.right].len = 0;
        let left = &mut self.symbols[pair.left];
        (left.len, left.next, left.token) = (pair.len, next, Some(pair.token));
        if let Some(next) = self.symbols.get_mut(next) {
            next.previous = pair.left;
        }
        self.find_pair(previous, pair.left);
        self.find_pair(pair.left, next);
    }
}

/// The pair that is merged first is the greatest.
impl Ord for Pair {
    fn cmp(&self, other: &Pair) -> Ordering {
        self.score.total_cmp(&other.score).then(other.left.cmp(&self.left))
    }
}

impl PartialOrd for Pair {
    fn partial_cmp(&self, other: &Pair) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Pair {
    fn eq(&self, other: &Pair) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Pair {}

/// The scores, one a token, none of which is NaN.
fn read_scores(gguf: &Gguf, n_tokens: usize) -> Result<Vec<f32>> {
    const KEY: &str = "tokenizer.ggml.scores";
    let mut scores = gguf.get_f32s(KEY)?.ok_or_else(|| missing(KEY))?;
    if scores.len() != n_tokens {
        return Err(Error::Tokenizer(format!("{KEY} has {} entries for {n_tokens} tokens", scores.len())));
    }
    if let Some(token) = scores.iter().position(|score| score.is_nan()) {
        return Err(Error::Tokenizer(format!("the score of token {token} is not a number")));
    }
    // The first merge of a vocabulary often has the score -0, which is no less than 0.
    scores.iter_mut().for_each(|score| *score += 0.0);
    Ok(scores)
}
