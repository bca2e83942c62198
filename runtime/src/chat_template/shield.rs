//! Keeps text in a message from becoming a control token.
//!
//! A mark, a character that occurs nowhere else, is put in front of every place in a message where a
//! control token could begin, and in front of the message if it could continue one that the template
//! has begun. After rendering, a spelling that follows a mark is text ([`ControlTokens::split`]), and
//! the marks are taken out.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::tokenizer::ControlTokens;

/// Which places in a message are marked as ones where a control token could begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Where one stands. All else is as the user wrote it, so a template can look into messages
    /// (`content.startswith('<think>')`) and trim them.
    Light,
    /// At every letter that one begins with: safe whatever the template deletes, joins or rewrites.
    Full,
}

/// Marks messages for one rendering.
pub(super) struct Shield<'a> {
    controls: Vec<&'a str>,
    /// The letters that control tokens begin with.
    firsts: BTreeSet<char>,
    mark: char,
}

impl<'a> Shield<'a> {
    /// A shield whose mark occurs in none of `texts`.
    pub(super) fn new<'t>(
        controls: &'a ControlTokens,
        texts: impl Iterator<Item = &'t str> + Clone,
    ) -> Result<Shield<'a>> {
        // Noncharacters, which no text should hold, then the private use planes.
        let mark = ('\u{FDD0}'..='\u{FDEF}')
            .chain('\u{F0000}'..='\u{10FFFF}')
            .find(|&mark| !texts.clone().any(|text| text.contains(mark)))
            .ok_or_else(|| Error::InvalidArgument("the messages use every character".into()))?;
        let controls: Vec<&str> = controls.spellings().collect();
        let firsts = controls.iter().filter_map(|control| control.chars().next());
        Ok(Shield { firsts: firsts.collect(), controls, mark })
    }

    pub(super) fn mark(&self) -> char {
        self.mark
    }

    /// Whether nothing in `content` can be part of a control token that begins in it.
    pub(super) fn is_harmless(&self, content: &str) -> bool {
        !content.chars().any(|letter| self.firsts.contains(&letter))
    }

    /// `content` with its marks.
    pub(super) fn cover(&self, content: &str, strength: Strength) -> String {
        // Templates like to trim: what is first after that can continue what the template has begun.
        let first_letter = content.len() - content.trim_start().len();
        let mut covered = String::with_capacity(content.len());
        for (at, letter) in content.char_indices() {
            let rest = &content[at..];
            let begins = self.firsts.contains(&letter)
                && (strength == Strength::Full || self.any(|control| rest.starts_with(control)));
            let is_first = at == 0 || at == first_letter;
            if begins || is_first && self.any(|control| continues(rest, control)) {
                covered.push(self.mark);
            }
            covered.push(letter);
        }
        covered
    }

    fn any(&self, mut holds: impl FnMut(&str) -> bool) -> bool {
        self.controls.iter().any(|control| holds(control))
    }
}

/// Whether `text` begins with the end of `control` or, perhaps trimmed, lies within it.
fn continues(text: &str, control: &str) -> bool {
    let mut tails = control.char_indices().skip(1).map(|(at, _)| &control[at..]);
    tails.any(|tail| text.starts_with(tail) || tail.starts_with(text.trim_end()))
}
