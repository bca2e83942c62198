//! The tokens of a file: their spelling, what kind each is, and the few that have a role.

use std::ops::Range;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::gguf::Gguf;

use super::spellings::{Pieces, Spellings};
use super::{Token, missing};

/// How a SentencePiece vocabulary spells a space: U+2581.
pub(super) const SPACE: &str = "▁";

/// Tokens that end a turn whether or not the file says so in an `…_token_id` key, and that are control
/// tokens even where it says user-defined, so that no text can end a turn.
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
];

/// Ends a turn too, but only as a control token: Gemma has a user-defined one for HTML.
const SENTENCE_END: &str = "</s>";

/// What `tokenizer.ggml.token_type` says about a token, as far as text is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Spelled in the vocabulary's alphabet, made by merges.
    Normal,
    /// One byte of a character that has no token of its own; in SentencePiece vocabularies only.
    Byte(u8),
    /// Steers the model; never text.
    Control,
    /// Spelled as plain text and matched before the merges.
    UserDefined,
}

/// How the spellings of normal tokens stand for text.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Alphabet {
    /// A letter of GPT-2's alphabet for each byte.
    Bytes,
    /// As plain text, but for [`SPACE`].
    Plain,
}

/// Tokens in the order of their ids.
pub(crate) struct Vocabulary {
    alphabet: Alphabet,
    spellings: Arc<Spellings>,
    kinds: Vec<Kind>,
    bos: Option<Token>,
    eos: Option<Token>,
    unknown: Option<Token>,
    /// Sorted.
    ends: Vec<Token>,
}

impl Vocabulary {
    /// Reads and checks `tokenizer.ggml.{model, tokens, token_type, *_token_id}`.
    pub(crate) fn from_gguf(gguf: &Gguf) -> Result<Vocabulary> {
        let alphabet = match gguf.get_str("tokenizer.ggml.model")? {
            Some("llama") => Alphabet::Plain,
            _ => Alphabet::Bytes,
        };
        let spellings = gguf
            .get_strs("tokenizer.ggml.tokens")?
            .filter(|tokens| !tokens.is_empty())
            .ok_or_else(|| missing("tokenizer.ggml.tokens"))?;
        if Token::try_from(spellings.len()).is_err() {
            return Err(Error::Tokenizer("the vocabulary has over 2^32 tokens".into()));
        }
        let kinds = read_kinds(gguf, &spellings, alphabet)?;
        let id = |role| read_id(gguf, role, spellings.len());
        let (bos, eos, unknown) = (id("bos")?, id("eos")?, id("unknown")?);
        let named_ends = [eos, id("eot")?, id("eom")?];
        let spellings = Arc::new(Spellings::new(&spellings));
        let mut vocabulary = Vocabulary { alphabet, spellings, kinds, bos, eos, unknown, ends: Vec::new() };
        vocabulary.ends = vocabulary.find_ends(&named_ends);
        Ok(vocabulary)
    }

    pub(crate) fn len(&self) -> usize {
        self.spellings.len()
    }

    pub(crate) fn spelling(&self, token: Token) -> Option<&str> {
        self.spellings.get(token)
    }

    pub(crate) fn bos(&self) -> Option<Token> {
        self.bos
    }

    pub(crate) fn eos(&self) -> Option<Token> {
        self.eos
    }

    /// What stands for text that the vocabulary cannot spell.
    pub(super) fn unknown(&self) -> Option<Token> {
        self.unknown
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
        self.ids().map(|token| (token, self.spelling(token).unwrap_or_default()))
    }

    /// The normal tokens by their spelling; of equal ones the later.
    pub(super) fn pieces(&self) -> Pieces {
        let normal = self.ids().filter(|&token| self.kind(token) == Some(Kind::Normal));
        Pieces::new(Arc::clone(&self.spellings), normal)
    }

    /// The byte tokens by their byte.
    pub(super) fn bytes(&self) -> [Option<Token>; 256] {
        let mut bytes = [None; 256];
        for (token, kind) in self.ids().zip(&self.kinds) {
            if let Kind::Byte(byte) = *kind {
                bytes[usize::from(byte)] = Some(token);
            }
        }
        bytes
    }

    /// Appends the bytes that a token's spelling stands for; an unknown id has none.
    pub(crate) fn append_bytes(&self, token: Token, bytes: &mut Vec<u8>) {
        let (Some(spelling), Some(kind)) = (self.spelling(token), self.kind(token)) else {
            return;
        };
        match (self.alphabet, kind) {
            (_, Kind::Byte(byte)) => bytes.push(byte),
            (Alphabet::Plain, _) => bytes.extend_from_slice(spelling.replace(SPACE, " ").as_bytes()),
            (Alphabet::Bytes, Kind::UserDefined) => bytes.extend_from_slice(spelling.as_bytes()),
            (Alphabet::Bytes, _) => append_letters(spelling, bytes),
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
            .filter(|&(token, _)| self.is_control(token))
            .filter(|&(_, spelling)| is_turn_end(spelling) || spelling == SENTENCE_END)
            .map(|(token, _)| token);
        let mut ends: Vec<Token> = named.iter().copied().flatten().chain(known).collect();
        ends.sort_unstable();
        ends.dedup();
        ends
    }
}

fn is_turn_end(spelling: &str) -> bool {
    TURN_ENDS.contains(&spelling)
}

/// The kinds, one per token; a file without `token_type` has normal tokens only.
fn read_kinds(gguf: &Gguf, spellings: &[&str], alphabet: Alphabet) -> Result<Vec<Kind>> {
    let n_tokens = spellings.len();
    let Some(types) = gguf.get_i32s("tokenizer.ggml.token_type")? else {
        return Ok(vec![Kind::Normal; n_tokens]);
    };
    if types.len() != n_tokens {
        return Err(Error::Tokenizer(format!(
            "tokenizer.ggml.token_type has {} entries for {n_tokens} tokens",
            types.len()
        )));
    }
    let tokens = types.into_iter().zip(spellings).enumerate();
    tokens.map(|(token, (token_type, spelling))| kind_of(token, token_type, spelling, alphabet)).collect()
}

/// The kind of a token. Types are numbered as in the GGUF specification: 0 undefined, 1 normal,
/// 2 unknown, 3 control, 4 user defined, 5 unused, 6 byte.
fn kind_of(token: usize, token_type: i32, spelling: &str, alphabet: Alphabet) -> Result<Kind> {
    match token_type {
        6 if alphabet == Alphabet::Plain => byte_token(spelling).map(Kind::Byte).ok_or_else(|| {
            Error::Tokenizer(format!("token {token} stands for a byte but is not spelled like <0x0A>"))
        }),
        0 | 1 | 5 | 6 => Ok(Kind::Normal),
        2 | 3 => Ok(Kind::Control),
        4 if is_turn_end(spelling) => Ok(Kind::Control),
        4 => Ok(Kind::UserDefined),
        other => Err(Error::Tokenizer(format!("token {token} has the type {other}; types go from 0 to 6"))),
    }
}

/// The byte of a spelling like `<0x0A>`.
fn byte_token(spelling: &str) -> Option<u8> {
    let digits = spelling.strip_prefix("<0x")?.strip_suffix('>')?;
    let is_hexadecimal = digits.len() == 2 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u8::from_str_radix(digits, 16).ok().filter(|_| is_hexadecimal)
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

/// Appends the bytes that the letters of GPT-2's alphabet stand for, or, where another letter is among
/// them, the spelling as it is.
fn append_letters(spelling: &str, bytes: &mut Vec<u8>) {
    let start = bytes.len();
    for letter in spelling.chars() {
        let Some(byte) = byte_of(letter) else {
            bytes.truncate(start);
            bytes.extend_from_slice(spelling.as_bytes());
            return;
        };
        bytes.push(byte);
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
