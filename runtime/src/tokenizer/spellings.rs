//! The spellings of a vocabulary in two blocks of memory, and a table that finds a token by its spelling:
//! a quarter of a million strings of their own would take several times as much.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::Token;

/// Strings by their number.
pub(super) struct Spellings {
    text: String,
    /// Where in `text` each ends.
    ends: Vec<usize>,
}

impl Spellings {
    pub(super) fn new(spellings: &[&str]) -> Spellings {
        let ends = spellings.iter().scan(0, |end, spelling| {
            *end += spelling.len();
            Some(*end)
        });
        Spellings { text: spellings.concat(), ends: ends.collect() }
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, token: Token) -> Option<&str> {
        let token = token as usize;
        let end = *self.ends.get(token)?;
        let start = token.checked_sub(1).map_or(0, |previous| self.ends[previous]);
        self.text.get(start..end)
    }
}

/// Tokens by their spelling.
pub(super) struct Pieces {
    spellings: Arc<Spellings>,
    tokens: HashTable<Token>,
    hasher: RandomState,
    /// Bytes of the longest piece.
    longest: usize,
}

impl Pieces {
    /// Of equal spellings the later one of `tokens` counts.
    pub(super) fn new(spellings: Arc<Spellings>, tokens: impl Iterator<Item = Token>) -> Pieces {
        let hasher = RandomState::new();
        let spell = |token: Token| spellings.get(token).unwrap_or_default();
        let hash = |token: &Token| hasher.hash_one(spell(*token));
        let (mut table, mut longest) = (HashTable::new(), 0);
        for token in tokens {
            longest = longest.max(spell(token).len());
            match table.entry(hash(&token), |other| spell(*other) == spell(token), hash) {
                Entry::Occupied(mut entry) => *entry.get_mut() = token,
                Entry::Vacant(entry) => {
                    entry.insert(token);
                }
            }
        }
        Pieces { tokens: table, longest, hasher, spellings }
    }

    pub(super) fn get(&self, text: &str) -> Option<Token> {
        if text.len() > self.longest {
            return None;
        }
        let is_it = |token: &Token| self.spellings.get(*token) == Some(text);
        self.tokens.find(self.hasher.hash_one(text), is_it).copied()
    }
}
