//! The text of an answer on its way out: whole characters only, and nothing that may turn out to be
//! the beginning of a stop string.

use std::mem;

use crate::error::{Error, Result};
use crate::tokenizer::{StreamDecoder, Token, Tokenizer};

/// Decodes tokens and holds text back while its end could begin a stop string.
pub(super) struct AnswerText {
    decoder: StreamDecoder,
    stops: Vec<String>,
    /// Decoded, not given out.
    held: String,
}

impl AnswerText {
    /// Refuses empty stop strings, which every text contains.
    pub(super) fn new(stops: Vec<String>) -> Result<AnswerText> {
        if stops.iter().any(String::is_empty) {
            return Err(Error::InvalidArgument("a stop string must not be empty".into()));
        }
        Ok(AnswerText { decoder: StreamDecoder::new(), stops, held: String::new() })
    }

    /// Takes the next token; returns the text that is certain now, and whether a stop string, which
    /// is no part of it, ended the answer there.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: Token) -> Result<(String, bool)> {
        self.held += &self.decoder.push(tokenizer, token)?;
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop));
        if let Some(begin) = found.min() {
            self.held.truncate(begin);
            return Ok((self.finish(), true));
        }
        let undecided = self.stops.iter().map(|stop| overlap(&self.held, stop));
        let certain = self.held.len() - undecided.max().unwrap_or(0);
        let rest = self.held.split_off(certain);
        Ok((mem::replace(&mut self.held, rest), false))
    }

    /// Ends the answer and returns what was held back, without an unfinished character. The next
    /// token begins another text.
    pub(super) fn finish(&mut self) -> String {
        self.decoder = StreamDecoder::new();
        mem::take(&mut self.held)
    }
}

/// Bytes at the end of `text` that begin `stop`, without being all of it.
fn overlap(text: &str, stop: &str) -> usize {
    let mut beginnings = stop.char_indices().rev().filter_map(|(end, _)| stop.get(..end));
    let longest = beginnings.find(|beginning| text.ends_with(beginning));
    longest.map_or(0, str::len)
}
