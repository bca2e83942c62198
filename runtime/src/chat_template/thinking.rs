//! Whether a model thinks before it answers, and between which tags.

/// The tags between which a model writes its thoughts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThoughtTags {
    /// What begins a thought.
    pub open: &'static str,
    /// What ends it.
    pub close: &'static str,
}

/// Of DeepSeek R1, Qwen 3, SmolLM3 and most others; of Mistral's reasoning models.
const KNOWN: [ThoughtTags; 2] =
    [ThoughtTags { open: "<think>", close: "</think>" }, ThoughtTags { open: "[THINK]", close: "[/THINK]" }];

impl ThoughtTags {
    /// The tags that a template knows of. One that does not is of a model that does not think, or
    /// that nobody is to see thinking.
    pub(super) fn in_template(source: &str) -> Option<ThoughtTags> {
        KNOWN.into_iter().find(|tags| source.contains(tags.close))
    }

    /// The tags that a vocabulary has tokens for; `has` says whether it has one of a spelling.
    pub(super) fn in_vocabulary(has: impl Fn(&str) -> bool) -> Option<ThoughtTags> {
        KNOWN.into_iter().find(|tags| has(tags.open) && has(tags.close))
    }
}
