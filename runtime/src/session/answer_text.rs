//! The text of an answer on its way out: whole characters only, thought and answer apart, and nothing
//! that may turn out to be the beginning of a tag or of a stop string.

use std::mem;

use crate::chat_template::ThoughtTags;
use crate::error::{Error, Result};
use crate::tokenizer::{StreamDecoder, Token, Tokenizer};

use super::thought::Splitter;

/// What is certain with a token.
#[derive(Debug, Default)]
pub(super) struct Certain {
    /// The next piece of the thought, if the token has to do with it.
    pub thought: Option<String>,
    /// The next piece of the answer.
    pub text: String,
    /// Whether a stop string, which is no part of the answer, ended it here.
    pub stopped: bool,
}

impl Certain {
    /// Adds what was certain next.
    pub(super) fn append(&mut self, next: Certain) {
        if let Some(thought) = next.thought {
            *self.thought.get_or_insert_default() += &thought;
        }
        self.text += &next.text;
        self.stopped |= next.stopped;
    }

    /// Whether there is nothing to give out.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty() && self.thought.as_deref().is_none_or(str::is_empty)
    }
}

/// Decodes tokens, tells thought from answer, and holds text of the answer back while its end could
/// begin a stop string.
pub(super) struct AnswerText {
    decoder: StreamDecoder,
    splitter: Splitter,
    stops: Vec<String>,
    /// Text of the answer, not given out.
    held: String,
}

impl AnswerText {
    /// Refuses empty stop strings, which every text contains.
    pub(super) fn new(stops: Vec<String>, tags: Option<ThoughtTags>) -> Result<AnswerText> {
        if stops.iter().any(String::is_empty) {
            return Err(Error::InvalidArgument("a stop string must not be empty".into()));
        }
        let (decoder, splitter) = (StreamDecoder::new(), Splitter::new(tags));
        Ok(AnswerText { decoder, splitter, stops, held: String::new() })
    }

    /// Begins the answer to a prompt; what was held back of another is forgotten.
    pub(super) fn start(&mut self, tokenizer: &Tokenizer, prompt: &[Token]) {
        self.decoder = StreamDecoder::new();
        self.held.clear();
        self.splitter.start(tokenizer, prompt);
    }

    /// The next token continues the text of the prompt instead of beginning one.
    pub(super) fn continue_text(&mut self) {
        self.decoder = StreamDecoder::in_text();
    }

    /// Takes the next token.
    pub(super) fn push(&mut self, tokenizer: &Tokenizer, token: Token) -> Result<Certain> {
        let was_thinking = self.splitter.is_thinking();
        let parts = match self.splitter.control_tag(tokenizer, token) {
            Some(tag) => {
                let before = self.decoder.finish();
                self.splitter.push(&(before + tag))
            }
            None => self.splitter.push(&self.decoder.push(tokenizer, token)?),
        };
        let is_thought = was_thinking || self.splitter.is_thinking() || !parts.thought.is_empty();
        let (text, stopped) = self.hold_back(&parts.text);
        Ok(Certain { thought: is_thought.then_some(parts.thought), text, stopped })
    }

    /// Ends the answer with what was held back, without an unfinished character.
    pub(super) fn finish(&mut self) -> Certain {
        let is_thought = self.splitter.is_thinking();
        let parts = self.splitter.finish();
        let (mut text, stopped) = self.hold_back(&parts.text);
        text += &mem::take(&mut self.held);
        self.decoder = StreamDecoder::new();
        Certain { thought: is_thought.then_some(parts.thought), text, stopped }
    }

    /// The text that is certain with the next piece of the answer, and whether a stop string ended it
    /// there.
    fn hold_back(&mut self, piece: &str) -> (String, bool) {
        self.held += piece;
        let found = self.stops.iter().filter_map(|stop| self.held.find(stop));
        if let Some(begin) = found.min() {
            self.held.truncate(begin);
            return (mem::take(&mut self.held), true);
        }
        let undecided = self.stops.iter().map(|stop| overlap(&self.held, stop));
        let certain = self.held.len() - undecided.max().unwrap_or(0);
        let rest = self.held.split_off(certain);
        (mem::replace(&mut self.held, rest), false)
    }
}

/// Bytes at the end of `text` that begin `mark`, without being all of it.
pub(super) fn overlap(text: &str, mark: &str) -> usize {
    let mut beginnings = mark.char_indices().rev().filter_map(|(end, _)| mark.get(..end));
    let longest = beginnings.find(|beginning| text.ends_with(beginning));
    longest.map_or(0, str::len)
}
