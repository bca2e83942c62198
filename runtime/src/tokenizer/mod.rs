//! Text to token ids and back, built from a GGUF file's metadata alone.
//!
//! Control tokens (`<|im_start|>`, `<|endoftext|>` …) never enter the merge model: they are found in
//! the text before it, and only where the caller allows it. So plain text cannot become one.

mod bpe;
mod control;
mod pre_tokenizer;
mod sentence_piece;
mod spellings;
mod stream;
mod vocabulary;

pub(crate) use control::{ControlTokens, Piece};
pub use stream::StreamDecoder;
pub(crate) use vocabulary::Vocabulary;

use std::borrow::Cow;

use crate::chat_template::Prompt;
use crate::error::{Error, Result};
use crate::gguf::Gguf;

use pre_tokenizer::PreTokenizer;
use sentence_piece::SentencePiece;

/// An index into the vocabulary.
pub type Token = u32;

/// A file's vocabulary and the rules that cut text into it.
pub struct Tokenizer {
    vocabulary: Vocabulary,
    controls: ControlTokens,
    model: Model,
    adds_bos: bool,
    /// Whether white space after a control token of a turn is no part of the text.
    trims_turns: bool,
}

/// What cuts text without control tokens into tokens.
enum Model {
    /// Byte-level byte-pair encoding: words first, then the merges of a list.
    Bpe(Box<tokenizers::Tokenizer>),
    /// Merges by score.
    SentencePiece(Box<SentencePiece>),
}

impl Tokenizer {
    /// Builds the tokenizer that the metadata `tokenizer.ggml.*` describes.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a tokenizer model or pre-tokenizer that this runtime does not know;
    /// [`Error::Tokenizer`] for metadata that is missing or contradicts itself.
    pub fn from_gguf(gguf: &Gguf) -> Result<Tokenizer> {
        let model = gguf.get_str("tokenizer.ggml.model")?.ok_or_else(|| missing("tokenizer.ggml.model"))?;
        let vocabulary = Vocabulary::from_gguf(gguf)?;
        let (model, adds_bos) = match model {
            "gpt2" => {
                let pre_tokenizer = PreTokenizer::from_gguf(gguf)?;
                let bpe = bpe::build(gguf, &vocabulary, pre_tokenizer)?;
                (Model::Bpe(Box::new(bpe)), pre_tokenizer.adds_bos)
            }
            "llama" => (Model::SentencePiece(Box::new(SentencePiece::new(gguf, &vocabulary)?)), true),
            other => return Err(unsupported(other)),
        };
        Ok(Tokenizer {
            adds_bos: gguf.get_bool("tokenizer.ggml.add_bos_token")?.unwrap_or(adds_bos),
            trims_turns: matches!(model, Model::SentencePiece(_)) && is_phi3(gguf)?,
            controls: ControlTokens::new(&vocabulary)?,
            vocabulary,
            model,
        })
    }

    /// Number of tokens: every id is below it.
    pub fn vocab_size(&self) -> usize {
        self.vocabulary.len()
    }

    /// The ids of `text`, without a beginning-of-sequence token.
    ///
    /// With `special`, the spelling of a control token becomes that token; without, it stays text, as
    /// everything that a user types must. User-defined tokens (`<think>`) are recognised either way.
    /// What the vocabulary cannot spell becomes its unknown token, or nothing if it has none, as in the
    /// reference implementations.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text cannot be cut up.
    pub fn encode(&self, text: &str, special: bool) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        if special {
            self.encode_pieces(self.controls.split(text, None), &mut tokens)?;
        } else {
            self.encode_plain(text, &mut tokens)?;
        }
        Ok(tokens)
    }

    /// The ids of a prompt: control tokens that the chat template wrote are recognised, those that
    /// stood in a message stay text. The beginning-of-sequence token comes first where the file asks
    /// for it and the template has not written it. No end-of-sequence token is added, whatever
    /// `add_eos_token` says: nothing follows one, and a prompt is there to be continued.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text cannot be cut up.
    pub fn encode_prompt(&self, prompt: &Prompt) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        match prompt.mark() {
            None => self.encode_plain(prompt.marked_text(), &mut tokens)?,
            mark => {
                let pieces = self.controls.split(prompt.marked_text(), mark);
                self.encode_pieces(pieces, &mut tokens)?;
            }
        }
        if let Some(bos) = self.bos()
            && self.adds_bos
            && tokens.first() != Some(&bos)
        {
            tokens.insert(0, bos);
        }
        Ok(tokens)
    }

    /// The text of `tokens`. Control tokens and ids beyond the vocabulary have none; bytes that are no
    /// UTF-8 become U+FFFD. A space that encoding put in front of the text is taken away again.
    pub fn decode(&self, tokens: &[Token]) -> String {
        let mut bytes = Vec::new();
        for &token in tokens {
            self.append_text(token, &mut bytes);
        }
        if self.adds_space() && bytes.first() == Some(&b' ') {
            bytes.remove(0);
        }
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The vocabulary's own spelling of a token: `Ġthe` for " the".
    pub fn piece(&self, token: Token) -> Option<&str> {
        self.vocabulary.spelling(token)
    }

    /// The token that begins a sequence, if the file names one.
    pub fn bos(&self) -> Option<Token> {
        self.vocabulary.bos()
    }

    /// Whether [`Tokenizer::encode_prompt`] puts [`Tokenizer::bos`] in front.
    pub fn adds_bos(&self) -> bool {
        self.adds_bos && self.bos().is_some()
    }

    /// Whether the model ends its turn with this token.
    pub fn is_end(&self, token: Token) -> bool {
        self.vocabulary.is_end(token)
    }

    /// Whether the token steers the model and has no text of its own.
    pub fn is_control(&self, token: Token) -> bool {
        self.vocabulary.is_control(token)
    }

    /// Whether encoding puts a space in front of a text.
    fn adds_space(&self) -> bool {
        matches!(&self.model, Model::SentencePiece(model) if model.adds_space)
    }

    /// Appends the bytes that a token stands for; control tokens and unknown ids stand for none.
    fn append_text(&self, token: Token, bytes: &mut Vec<u8>) {
        if !self.is_control(token) {
            self.vocabulary.append_bytes(token, bytes);
        }
    }

    fn encode_pieces(&self, pieces: Vec<Piece<'_>>, tokens: &mut Vec<Token>) -> Result<()> {
        let mut trims = false;
        for piece in pieces {
            match piece {
                Piece::Control(token) => {
                    tokens.push(token);
                    trims = self.trims_after(token);
                }
                Piece::Text(text) if trims => self.encode_plain(text.trim_start(), tokens)?,
                Piece::Text(text) => self.encode_plain(&text, tokens)?,
            }
        }
        Ok(())
    }

    /// Phi-3 was trained without the line ends that its chat template writes after `<|user|>` and its
    /// like: the tokenizer of the model marks these tokens `rstrip`, which GGUF has no key for.
    fn trims_after(&self, control: Token) -> bool {
        let is_turn = |spelling: &str| spelling.starts_with("<|") && spelling != "<|endoftext|>";
        self.trims_turns && self.piece(control).is_some_and(is_turn)
    }

    fn encode_plain(&self, text: &str, tokens: &mut Vec<Token>) -> Result<()> {
        match &self.model {
            Model::SentencePiece(model) => model.encode(text, tokens),
            Model::Bpe(model) => {
                // The cause may quote the text, which is the user's: it is not passed on.
                let encoding = model
                    .encode_fast(Cow::Borrowed(text), false)
                    .map_err(|_| Error::Tokenizer("the text could not be cut into tokens".into()))?;
                tokens.extend_from_slice(encoding.get_ids());
            }
        }
        Ok(())
    }
}

fn is_phi3(gguf: &Gguf) -> Result<bool> {
    Ok(gguf.get_str("general.architecture")? == Some("phi3"))
}

fn unsupported(model: &str) -> Error {
    Error::Unsupported(format!(
        "the tokenizer model {} is not known; these are: \"gpt2\" (byte-level BPE), \"llama\" \
         (SentencePiece)",
        quoted(model)
    ))
}

fn missing(key: &str) -> Error {
    Error::Tokenizer(format!("the file has no {key}; it needs to be converted again with its tokenizer"))
}

/// A name from a file, fit for an error message whatever it holds.
fn quoted(name: &str) -> String {
    format!("{:?}", name.chars().take(60).collect::<String>())
}
