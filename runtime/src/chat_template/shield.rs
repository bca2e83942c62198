//! Keeps text in a message from becoming a control token.
//!
//! A mark, a character that occurs nowhere else, is put in front of every place in a message where a
//! control token could begin, and in front of the message if it could continue one that the template
//! has begun. After rendering, a spelling that follows a mark is text ([`ControlTokens::split`]), and
//! the marks are taken out.
//!
//! Tools, tool calls and names are covered as contents are, string by string. Words that name a part
//! of a structure, which templates look up and compare, stay as they are: the keys of objects, roles,
//! and the types of a schema.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::error::{Error, Result};
use crate::tokenizer::ControlTokens;

/// Which places in a message are marked as ones where a control token could begin.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Where one stands. All else is as the user wrote it, so a template can look into messages
    /// (`content.startswith('<think>')`), trim them, and compare names.
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

    /// Whether the light shield is as good as the full one: nothing in `json` can be part of a control
    /// token that begins in it, and no word of it stands inside one.
    pub(super) fn is_harmless(&self, json: &Value) -> bool {
        match json {
            Value::String(text) => self.is_harmless_text(text),
            Value::Array(items) => items.iter().all(|item| self.is_harmless(item)),
            Value::Object(fields) => fields.iter().all(|(key, value)| {
                (self.is_name(key) || self.is_harmless_text(key))
                    && (self.is_structure(key, value) || self.is_harmless(value))
            }),
            Value::Null | Value::Bool(_) | Value::Number(_) => true,
        }
    }

    /// `json` with marks in its strings.
    pub(super) fn cover(&self, json: &Value, strength: Strength) -> Value {
        let cover_key = |key: &String| match self.is_name(key) {
            true => key.clone(),
            false => self.cover_text(key, strength),
        };
        let cover_field = |(key, value): (&String, &Value)| {
            let is_structure = self.is_structure(key, value);
            (cover_key(key), if is_structure { value.clone() } else { self.cover(value, strength) })
        };
        match json {
            Value::String(text) if strength == Strength::Light && self.is_name(text) => json.clone(),
            Value::String(text) => Value::String(self.cover_text(text, strength)),
            Value::Array(items) => items.iter().map(|item| self.cover(item, strength)).collect(),
            Value::Object(fields) => fields.iter().map(cover_field).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) => json.clone(),
        }
    }

    fn is_harmless_text(&self, text: &str) -> bool {
        let begins = text.chars().any(|letter| self.firsts.contains(&letter));
        let lies_within = is_word(text) && self.any(|control| control.contains(text));
        !begins && !lies_within
    }

    /// Whether a field says what its object is: a role, or a type such as `function` or `string`.
    fn is_structure(&self, key: &str, value: &Value) -> bool {
        matches!(key, "role" | "type") && value.as_str().is_some_and(|value| self.is_name(value))
    }

    /// Whether `text` is a plain word that is no control token.
    fn is_name(&self, text: &str) -> bool {
        is_word(text) && !self.any(|control| text.contains(control))
    }

    fn cover_text(&self, content: &str, strength: Strength) -> String {
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

/// Whether `text` is a plain word, as names and roles are.
pub(super) fn is_word(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    !text.is_empty() && text.chars().all(is_part)
}

/// Whether `text` begins with the end of `control` or, perhaps trimmed, lies within it.
fn continues(text: &str, control: &str) -> bool {
    let mut tails = control.char_indices().skip(1).map(|(at, _)| &control[at..]);
    tails.any(|tail| text.starts_with(tail) || tail.starts_with(text.trim_end()))
}
