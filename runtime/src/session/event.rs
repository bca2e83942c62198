//! What a step of a session says.

use crate::tokenizer::Token;

/// What a step did.
///
/// Each token that the model chose has one event, [`Event::Thought`] or [`Event::Text`], but for two
/// cases: a token that ends a thought and begins the answer has one of each, and when an answer is
/// cancelled while something is held back, its last token comes a second time with that. A piece is
/// empty while a character, a tag or a possible stop string is incomplete. Nothing is held back at
/// [`Event::Done`], except that a character the model left unfinished is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part of the prompt was evaluated.
    Prefill {
        /// Tokens evaluated so far.
        done: usize,
        /// Tokens to evaluate: those of the prompt that were not in the cache.
        total: usize,
    },
    /// The model chose a token of the thought that comes before its answer.
    Thought {
        /// The token.
        token: Token,
        /// The piece of the thought that is certain now. Tags, and the line ends beside them, are no
        /// part of it.
        text: String,
    },
    /// The model chose a token of its answer.
    Text {
        /// The token.
        token: Token,
        /// The piece of the answer that is certain now.
        text: String,
    },
    /// The answer is over; further steps repeat this.
    Done(StopReason),
}

/// Why an answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended its turn.
    EndOfTurn,
    /// A stop string came.
    StopString,
    /// The answer has as many tokens as it may.
    MaxTokens,
    /// The conversation has as many tokens as fit.
    ContextFull,
    /// [`CancelHandle::cancel`](super::CancelHandle::cancel) was called.
    Cancelled,
}
