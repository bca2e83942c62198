//! Text from tokens as they come, in whole characters.

use std::mem;
use std::str::from_utf8;

use crate::error::{Error, Result};

use super::{Token, Tokenizer};

/// Turns a stream of tokens into text. A character may be spread over several tokens: its bytes wait
/// here until it is whole. All that was pushed and finished equals [`Tokenizer::decode`] of all tokens,
/// but for a decoder in the [middle](StreamDecoder::in_text) of a text.
#[derive(Clone, Debug, Default)]
pub struct StreamDecoder {
    /// The beginning of a character, 3 bytes at most between two calls.
    pending: Vec<u8>,
    /// Whether a space that comes now was written by the model, not by the encoding of a beginning.
    has_begun: bool,
}

impl StreamDecoder {
    /// A decoder at the beginning of a text.
    pub fn new() -> StreamDecoder {
        StreamDecoder::default()
    }

    /// A decoder in the middle of a text, for tokens that continue it: a space in front of them is
    /// theirs.
    pub fn in_text() -> StreamDecoder {
        StreamDecoder { has_begun: true, ..StreamDecoder::default() }
    }

    /// Takes the next token and returns the text that is complete with it, often empty.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a token beyond the vocabulary; the decoder is left as it was.
    pub fn push(&mut self, tokenizer: &Tokenizer, token: Token) -> Result<String> {
        if token as usize >= tokenizer.vocab_size() {
            return Err(Error::InvalidArgument(format!(
                "token {token} is beyond the vocabulary of {} tokens",
                tokenizer.vocab_size()
            )));
        }
        tokenizer.append_text(token, &mut self.pending);
        if !self.has_begun && !self.pending.is_empty() {
            self.has_begun = true;
            if tokenizer.adds_space() && self.pending[0] == b' ' {
                self.pending.remove(0);
            }
        }
        let whole = self.pending.len() - unfinished(&self.pending);
        let rest = self.pending.split_off(whole);
        let text = mem::replace(&mut self.pending, rest);
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// Ends the text: U+FFFD if a character was left unfinished, else nothing. The decoder can then
    /// begin another text.
    pub fn finish(&mut self) -> String {
        self.has_begun = false;
        String::from_utf8_lossy(&mem::take(&mut self.pending)).into_owned()
    }
}

/// How many bytes at the end begin a character that more bytes could complete.
fn unfinished(bytes: &[u8]) -> usize {
    (1..=bytes.len().min(3))
        .find(|&n| {
            let tail = from_utf8(&bytes[bytes.len() - n..]);
            tail.is_err_and(|error| error.valid_up_to() == 0 && error.error_len().is_none())
        })
        .unwrap_or(0)
}
