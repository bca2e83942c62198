//! Finds the spellings of control tokens in text.

use std::borrow::Cow;

use aho_corasick::{AhoCorasick, Input, MatchKind};

use crate::error::{Error, Result};

use super::{Token, Vocabulary};

/// A stretch of text between control tokens, or one of them.
pub(crate) enum Piece<'t> {
    Text(Cow<'t, str>),
    Control(Token),
}

/// Every control token of a vocabulary, ready to be searched for.
pub(crate) struct ControlTokens {
    spellings: Vec<Box<str>>,
    /// Parallel to `spellings`.
    tokens: Vec<Token>,
    matcher: AhoCorasick,
}

impl ControlTokens {
    pub(crate) fn new(vocabulary: &Vocabulary) -> Result<ControlTokens> {
        // Of equal spellings the matcher takes the first; the vocabulary's later one shall count.
        let (tokens, spellings): (Vec<Token>, Vec<Box<str>>) = vocabulary
            .iter()
            .rev()
            .filter(|&(token, spelling)| vocabulary.is_control(token) && !spelling.is_empty())
            .map(|(token, spelling)| (token, spelling.into()))
            .unzip();
        let matcher = AhoCorasick::builder()
            .match_kind(MatchKind::LeftmostLongest)
            .build(spellings.iter().map(|spelling| spelling.as_bytes()))
            .map_err(|error| Error::Tokenizer(format!("too many control tokens: {error}")))?;
        Ok(ControlTokens { spellings, tokens, matcher })
    }

    pub(crate) fn spellings(&self) -> impl Iterator<Item = &str> + Clone {
        self.spellings.iter().map(|spelling| &**spelling)
    }

    /// Cuts `text` at the control tokens in it, the longest at each place. A spelling that directly
    /// follows `mark` is no control token; the marks themselves are taken out.
    pub(crate) fn split<'t>(&self, text: &'t str, mark: Option<char>) -> Vec<Piece<'t>> {
        let mut pieces = Vec::new();
        let (mut done, mut at) = (0, 0);
        while let Some(found) = self.matcher.find(Input::new(text).range(at..)) {
            if mark.is_some_and(|mark| text[..found.start()].ends_with(mark)) {
                let first = text[found.start()..].chars().next();
                at = found.start() + first.map_or(1, char::len_utf8);
                continue;
            }
            push_text(&mut pieces, &text[done..found.start()], mark);
            pieces.extend(self.tokens.get(found.pattern().as_usize()).copied().map(Piece::Control));
            done = found.end();
            at = done;
        }
        push_text(&mut pieces, &text[done..], mark);
        pieces
    }
}

fn push_text<'t>(pieces: &mut Vec<Piece<'t>>, text: &'t str, mark: Option<char>) {
    if text.is_empty() {
        return;
    }
    pieces.push(Piece::Text(match mark {
        Some(mark) if text.contains(mark) => Cow::Owned(text.replace(mark, "")),
        _ => Cow::Borrowed(text),
    }));
}
