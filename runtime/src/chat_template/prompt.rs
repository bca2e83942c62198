//! A prompt that still knows which of its control tokens are real.

/// Text for [`Tokenizer::encode_prompt`](crate::tokenizer::Tokenizer::encode_prompt).
#[derive(Clone, PartialEq, Eq)]
pub struct Prompt {
    text: String,
    mark: Option<char>,
}

impl Prompt {
    /// Text without a template, none of which is a control token.
    pub fn plain(text: impl Into<String>) -> Prompt {
        Prompt { text: text.into(), mark: None }
    }

    /// What a template made of shielded messages: a control token's spelling directly after `mark` is
    /// text, and the marks are no part of the prompt.
    pub(super) fn marked(text: String, mark: char) -> Prompt {
        Prompt { text, mark: Some(mark) }
    }

    /// The prompt as people read it. Encoding this string instead of the prompt would lose which
    /// control tokens are real.
    pub fn text(&self) -> String {
        match self.mark {
            Some(mark) => self.text.replace(mark, ""),
            None => self.text.clone(),
        }
    }

    pub(crate) fn marked_text(&self) -> &str {
        &self.text
    }

    /// `None` for plain text.
    pub(crate) fn mark(&self) -> Option<char> {
        self.mark
    }
}
