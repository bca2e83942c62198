//! The tokens of a file: their spelling, what kind each is, and the few that have a role.

use std::ops::Range;

use crate::error::{Error, Result};
use crate::gguf::Gguf;

use super::{Token, missing};

/// Control tokens that end a turn whether or not the file says so in an `…_token_id` key.
const TURN_ENDS: &[&str] = &[
    "<|im_end|>",
    "<|eot_id|>",
    "<|eom_id|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<|end_of_turn|>",
    "<|END_OF_TURN_TOKEN|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<end_of_utterance>",
    "<｜end▁of▁sentence｜>",
    "<EOT>",
    "</s>",
];

/// What `tokenizer.ggml.token_type` says about a token, as far as text is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Spelled in the byte alphabet of GPT-2, made by merges.
    Normal,
    /// Steers the model; never text.
    Control,
    /// Spelled as plain text and matched before the merges.
    UserDefined,
}

/// Tokens in the order of their ids.
pub(crate) struct Vocabulary {
    spellings: Vec<Box<str>>,
    kinds: Vec<Kind>,
    bos: Option<Token>,
    eos: Option<Token>,
    /// Sorted.
    ends: Vec<Token>,
}

impl Vocabulary {
    /// Reads and checks `tokenizer.ggml.{tokens, token_type, *_token_id}`.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Vocabulary> {
        let spellings: Vec<Box<str>> = gguf
            .get_strs("tokenizer.ggml.tokens")?
            .filter(|tokens| !tokens.is_empty())
            .ok_or_else(|| missing("tokenizer.ggml.tokens"))?
            .into_iter()
            .map(Into::into)
            .collect();
        if Token::try_from(spellings.len()).is_err() {
            return Err(Error::Tokenizer("the vocabulary has over 2^32 tokens".into()));
        }
        let kinds = read_kinds(gguf, spellings.len())?;
        let id = |role| read_id(gguf, role, spellings.len());
        let (bos, eos) = (id("bos")?, id("eos")?);
        let named_ends = [eos, id("eot")?, id("eom")?];
        let mut vocabulary = Vocabulary { spellings, kinds, bos, eos, ends: Vec::new() };
        vocabulary.ends = vocabulary.find_ends(&named_ends);
        Ok(vocabulary)
    }

    pub(crate) fn len(&self) -> usize {
        self.spellings.len()
    }

    pub(crate) fn spelling(&self, token: Token) -> Option<&str> {
        Some(self.spellings.get(token as usize)?)
    }

    pub(crate) fn bos(&self) -> Option<Token> {
        self.bos
    }

    pub(crate) fn eos(&self) -> Option<Token> {
        self.eos
    }

    pub(crate) fn is_end(&self, token: Token) -> bool {
        self.ends.binary_search(&token).is_ok()
    }

    pub(crate) fn is_control(&self, token: Token) -> bool {
        self.kind(token) == Some(Kind::Control)
    }

    pub(crate) fn is_user_defined(&self, token: Token) -> bool {
        self.kind(token) == Some(Kind::UserDefined)
    }

    /// Every token with its spelling, by id.
    pub(crate) fn iter(&self) -> impl DoubleEndedIterator<Item = (Token, &str)> {
        self.ids().zip(self.spellings.iter().map(|spelling| &**spelling))
    }

    /// Appends the bytes that a token's spelling stands for; an unknown id has none.
    pub(crate) fn append_bytes(&self, token: Token, bytes: &mut Vec<u8>) {
        let Some(spelling) = self.spelling(token) else {
            return;
        };
        let start = bytes.len();
        let decoded = !self.is_user_defined(token)
            && spelling.chars().all(|letter| {
                let byte = byte_of(letter);
                bytes.extend(byte);
                byte.is_some()
            });
        if !decoded {
            bytes.truncate(start);
            bytes.extend_from_slice(spelling.as_bytes());
        }
    }

    fn ids(&self) -> Range<Token> {
        // The length was checked to fit when the file was read.
        0..self.spellings.len() as Token
    }

    fn kind(&self, token: Token) -> Option<Kind> {
        self.kinds.get(token as usize).copied()
    }

    fn find_ends(&self, named: &[Option<Token>]) -> Vec<Token> {
        let known = self
            .iter()
            .filter(|&(token, spelling)| self.is_control(token) && TURN_ENDS.contains(&spelling))
            .map(|(token, _)| token);
        let mut ends: Vec<Token> = named.iter().copied().flatten().chain(known).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

/// The kinds, one per token; a file without `token_type` has normal tokens only.
fn read_kinds(gguf: &Gguf, n_tokens: usize) -> Result<Vec<Kind>> {
    let Some(types) = gguf.get_i32s("tokenizer.ggml.token_type")? else {
        return Ok(vec![Kind::Normal; n_tokens]);
    };
    if types.len() != n_tokens {
        return Err(Error::Tokenizer(format!(
            "tokenizer.ggml.token_type has {} entries for {n_tokens} tokens",
            types.len()
        )));
    }
    types.into_iter().enumerate().map(kind_of).collect()
}

/// The kind of one `(token, token_type)`, numbered as in the GGUF specification: 0 undefined, 1 normal,
/// 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
fn kind_of((token, token_type): (usize, i32)) -> Result<Kind> {
    match token_type {
        0 | 1 | 5 | 6 => Ok(Kind::Normal),
        2 | 3 => Ok(Kind::Control),
        4 => Ok(Kind::UserDefined),
        other => Err(Error::Tokenizer(format!("token {token} has the type {other}; types go from 0 to 6"))),
    }
}

fn read_id(gguf: &Gguf, role: &str, n_tokens: usize) -> Result<Option<Token>> {
    let key = format!("tokenizer.ggml.{role}_token_id");
    match gguf.get_u32(&key)? {
        Some(id) if id as usize >= n_tokens => {
            Err(Error::Tokenizer(format!("{key} is {id}, but the vocabulary has {n_tokens} tokens")))
        }
        id => Ok(id),
    }
}

/// The byte that a letter of GPT-2's byte alphabet stands for: printable Latin-1 is itself, the other
/// 68 bytes are U+0100 onwards in order
/// (`bytes_to_unicode` in <https://github.com/openai/gpt-2/blob/master/src/encoder.py>).
fn byte_of(letter: char) -> Option<u8> {
    let code = letter as u32;
    let byte = match code {
        0x21..=0x7e | 0xa1..=0xac | 0xae..=0xff => code,
        0x100..=0x120 => code - 0x100,
        0x121..=0x142 => code - 0x121 + 0x7f,
        0x143 => 0xad,
        _ => return None,
    };
    u8::try_from(byte).ok()
}
