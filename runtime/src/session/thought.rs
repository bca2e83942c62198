//! Tells what a model thinks from what it says, by the tags around its thought.
//!
//! A thought comes before the answer or not at all: a tag further on is text like any other, as in an
//! answer about tags. Line ends beside the tags are no part of thought or answer, as chat templates
//! have it.

use std::mem;

use crate::chat_template::ThoughtTags;
use crate::tokenizer::{Token, Tokenizer};

use super::answer_text::overlap;

/// As many tokens as an opening tag at the end of a prompt, and the line ends behind it, may have.
const TAIL: usize = 16;

/// Where in an answer the next text belongs.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Nothing but white space yet: a thought or the answer may begin.
    Beginning,
    /// In the thought, of which nothing but line ends has come.
    ThoughtBeginning,
    Thought,
    /// Behind the thought, before the answer.
    AnswerBeginning,
    Answer,
}

/// What became certain, part by part.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Parts {
    pub thought: String,
    pub text: String,
}

/// Parts a text that comes in pieces.
pub(super) struct Splitter {
    tags: Option<ThoughtTags>,
    place: Place,
    /// Text of which it is not certain where it belongs.
    held: String,
}

impl Splitter {
    /// For a model that thinks between `tags`, if it does.
    pub(super) fn new(tags: Option<ThoughtTags>) -> Splitter {
        Splitter { tags, place: Place::Answer, held: String::new() }
    }

    /// Begins the answer to a prompt, in the thought if the prompt has opened it.
    pub(super) fn start(&mut self, tokenizer: &Tokenizer, prompt: &[Token]) {
        self.held.clear();
        self.place = match self.tags {
            None => Place::Answer,
            Some(tags) => {
                let tail = &prompt[prompt.len().saturating_sub(TAIL)..];
                let text: String = tail.iter().map(|&token| self.spell(tokenizer, token)).collect();
                if text.trim_end().ends_with(tags.open) { Place::ThoughtBeginning } else { Place::Beginning }
            }
        };
    }

    /// Whether the next text belongs to the thought, as far as is known.
    pub(super) fn is_thinking(&self) -> bool {
        matches!(self.place, Place::ThoughtBeginning | Place::Thought)
    }

    /// The tag that a control token is: such a token has no text.
    pub(super) fn control_tag(&self, tokenizer: &Tokenizer, token: Token) -> Option<&'static str> {
        let tags = self.tags.filter(|_| tokenizer.is_control(token))?;
        let spelling = tokenizer.piece(token)?;
        [tags.open, tags.close].into_iter().find(|tag| *tag == spelling)
    }

    /// Takes the next piece and returns what is certain with it.
    pub(super) fn push(&mut self, piece: &str) -> Parts {
        self.held += piece;
        let mut parts = Parts::default();
        if let Some(tags) = self.tags {
            while self.advance(tags, &mut parts) {}
        }
        if self.place == Place::Answer {
            parts.text = mem::take(&mut self.held);
        }
        parts
    }

    /// Ends the answer: what was held back belongs where it stands.
    pub(super) fn finish(&mut self) -> Parts {
        let held = mem::take(&mut self.held);
        match self.place {
            Place::Thought => Parts { thought: trim_end(&held).to_owned(), text: String::new() },
            Place::Beginning | Place::Answer => Parts { thought: String::new(), text: held },
            Place::ThoughtBeginning | Place::AnswerBeginning => Parts::default(),
        }
    }

    /// Goes on to the next place if what is held decides that.
    fn advance(&mut self, tags: ThoughtTags, parts: &mut Parts) -> bool {
        let place = self.place;
        match place {
            Place::Beginning => {
                let begun = self.held.trim_start();
                if let Some(thought) = begun.strip_prefix(tags.open) {
                    self.held = thought.to_owned();
                    self.place = Place::ThoughtBeginning;
                } else if !tags.open.starts_with(begun) {
                    self.place = Place::Answer;
                }
            }
            Place::ThoughtBeginning | Place::AnswerBeginning => {
                self.held = self.held.trim_start_matches(LINE_ENDS).to_owned();
                if !self.held.is_empty() {
                    let is_thought = place == Place::ThoughtBeginning;
                    self.place = if is_thought { Place::Thought } else { Place::Answer };
                }
            }
            Place::Thought => match self.held.split_once(tags.close) {
                Some((thought, answer)) => {
                    parts.thought += trim_end(thought);
                    self.held = answer.to_owned();
                    self.place = Place::AnswerBeginning;
                }
                None => {
                    let before_tag = self.held.len() - overlap(&self.held, tags.close);
                    let certain = trim_end(&self.held[..before_tag]).len();
                    parts.thought.extend(self.held.drain(..certain));
                }
            },
            Place::Answer => {}
        }
        self.place != place
    }

    fn spell(&self, tokenizer: &Tokenizer, token: Token) -> String {
        let tag = self.control_tag(tokenizer, token);
        tag.map_or_else(|| tokenizer.decode(&[token]), str::to_owned)
    }
}

const LINE_ENDS: [char; 2] = ['\n', '\r'];

fn trim_end(text: &str) -> &str {
    text.trim_end_matches(LINE_ENDS)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAGS: ThoughtTags = ThoughtTags { open: "<think>", close: "</think>" };

    fn split(place: Place, pieces: &[&str]) -> (String, String) {
        let mut splitter = Splitter { tags: Some(TAGS), place, held: String::new() };
        let (mut thought, mut text) = (String::new(), String::new());
        let pushed: Vec<Parts> = pieces.iter().map(|piece| splitter.push(piece)).collect();
        for parts in pushed.into_iter().chain([splitter.finish()]) {
            thought += &parts.thought;
            text += &parts.text;
        }
        (thought, text)
    }

    #[test]
    fn it_does_not_matter_where_a_text_is_cut() {
        for (place, said, thought, text) in [
            (Place::Beginning, " <think>\na\n\n</th\n</think>\n\nb</think>", "a\n\n</th", "b</think>"),
            (Place::Beginning, "\n<thinks> <think>", "", "\n<thinks> <think>"),
            (Place::ThoughtBeginning, "\n\na</</think>\r\n b\n", "a</", " b\n"),
            (Place::ThoughtBeginning, "</think>", "", ""),
            (Place::ThoughtBeginning, "a\n</think", "a\n</think", ""),
        ] {
            for first in 0..=said.len() {
                for second in first..=said.len() {
                    let pieces = [&said[..first], &said[first..second], &said[second..]];
                    assert_eq!(split(place, &pieces), (thought.into(), text.into()), "{pieces:?}");
                }
            }
        }
    }
}
