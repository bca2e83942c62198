//! What a conversation is made of, and what a template is told beside it.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One turn of a conversation. Most have a role and a content only ([`Message::user`] and its kin);
/// the other fields are what templates know of tools and reasoning, named as in `transformers`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, `tool`, or what else the template knows.
    pub role: String,
    /// What is said: plain text. A message that only calls tools may have none.
    #[serde(default)]
    pub content: Option<String>,
    /// What the model thought before it said that. Templates leave it out where the model is not to
    /// see it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning_content: Option<String>,
    /// The tools that the model called: a list of
    /// `{"type": "function", "function": {"name": …, "arguments": {…}}}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_calls: Option<Value>,
    /// The call that this message, of the role `tool`, is the result of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// The tool that this message is the result of, or who of several speaks.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

impl Message {
    /// A message of any role.
    pub fn new(role: impl Into<String>, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: Some(content.into()), ..Message::default() }
    }

    /// Instructions for the model.
    pub fn system(content: impl Into<String>) -> Message {
        Message::new("system", content)
    }

    /// What the user says.
    pub fn user(content: impl Into<String>) -> Message {
        Message::new("user", content)
    }

    /// What the model answered.
    pub fn assistant(content: impl Into<String>) -> Message {
        Message::new("assistant", content)
    }

    /// What a tool gave back.
    pub fn tool(content: impl Into<String>) -> Message {
        Message::new("tool", content)
    }
}

/// What a template is told beside the messages.
#[derive(Clone, Debug, PartialEq)]
pub struct RenderOptions {
    /// Whether the prompt ends where the model's answer begins, or with the last message.
    pub add_generation_prompt: bool,
    /// The tools that the model may call: a list of JSON schemas, as `transformers` takes them.
    pub tools: Option<Value>,
    /// Whether the model shall think before it answers; `None` leaves it to the template. It has no
    /// effect where the template has no switch.
    pub thinking: Option<bool>,
}

impl Default for RenderOptions {
    /// For an answer, without tools.
    fn default() -> RenderOptions {
        RenderOptions { add_generation_prompt: true, tools: None, thinking: None }
    }
}
