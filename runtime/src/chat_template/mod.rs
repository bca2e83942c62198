//! Messages to a prompt, through the Jinja template that the model file carries.
//!
//! The template is rendered as `transformers` renders it. Message contents are shielded so that no
//! text in them can become a control token, whatever the template does with it.

mod prompt;
mod python;
mod shield;

pub use prompt::Prompt;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::ValueKind;
use minijinja::{AutoEscape, Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::tokenizer::{ControlTokens, Piece, Token, Vocabulary};

use shield::{Shield, Strength};

const NAME: &str = "chat_template";

/// What one rendering may cost: about as many steps, or 64 bytes of text each. Real templates take a
/// few hundred per message.
const FUEL: u64 = 2_000_000;

/// One turn of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`, or what else the template knows.
    pub role: String,
    /// What is said: plain text.
    pub content: String,
}

impl Message {
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

    fn new(role: &str, content: impl Into<String>) -> Message {
        Message { role: role.into(), content: content.into() }
    }
}

/// A compiled chat template and the control tokens that only it may write.
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    controls: ControlTokens,
    bos: Value,
    eos: Value,
}

impl ChatTemplate {
    /// Compiles `tokenizer.chat_template`; `None` if the file has no template.
    ///
    /// # Errors
    /// [`Error::Template`] if the template is no valid Jinja; [`Error::Tokenizer`] if the vocabulary,
    /// which says what the control tokens are, is broken.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<ChatTemplate>> {
        let Some(source) = gguf.get_str("tokenizer.chat_template")? else {
            return Ok(None);
        };
        let vocabulary = Vocabulary::from_gguf(gguf)?;
        let spelling = |token: Option<Token>| {
            let spelling = token.and_then(|token| vocabulary.spelling(token));
            spelling.map_or(Value::UNDEFINED, Value::from)
        };
        Ok(Some(ChatTemplate {
            environment: compile(source)?,
            source: source.to_owned(),
            controls: ControlTokens::new(&vocabulary)?,
            bos: spelling(vocabulary.bos()),
            eos: spelling(vocabulary.eos()),
        }))
    }

    /// Renders a conversation; with `add_generation_prompt`, up to where the model's answer begins.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a role that is no plain word; [`Error::Template`] if the template
    /// refuses the messages, fails or does not come to an end. No error quotes a message.
    pub fn render(&self, messages: &[Message], add_generation_prompt: bool) -> Result<Prompt> {
        for message in messages {
            self.check_role(&message.role)?;
        }
        let contents = messages.iter().map(|message| message.content.as_str());
        let fixed = self.controls.spellings().chain([self.source.as_str()]);
        let shield = Shield::new(&self.controls, fixed.chain(contents))?;

        let render = |strength| self.render_covered(messages, add_generation_prompt, &shield, strength);
        let light = render(Strength::Light)?;
        let harmless = |message: &Message| shield.is_harmless(&message.content);
        if messages.iter().all(harmless) {
            return Ok(light);
        }
        // A template that joins, trims or rewrites messages can put a control token together behind
        // the light shield. Then the full one, which lets none through, gives other control tokens.
        let full = render(Strength::Full)?;
        let agrees = self.control_tokens(&light) == self.control_tokens(&full);
        Ok(if agrees { light } else { full })
    }

    fn render_covered(
        &self,
        messages: &[Message],
        add_generation_prompt: bool,
        shield: &Shield<'_>,
        strength: Strength,
    ) -> Result<Prompt> {
        let covered = messages.iter().map(|Message { role, content }| {
            context! { role, content => shield.cover(content, strength) }
        });
        let context = context! {
            messages => covered.collect::<Vec<Value>>(),
            add_generation_prompt,
            bos_token => self.bos.clone(),
            eos_token => self.eos.clone(),
            tools => Value::from(()),
            documents => Value::from(()),
        };
        let template = self.environment.get_template(NAME);
        let text = template.and_then(|template| template.render(context));
        match text {
            Ok(text) => Ok(Prompt::marked(text, shield.mark())),
            Err(error) => Err(self.refusal(&error)),
        }
    }

    /// Says what went wrong without a word that may come from a message: only what stands in the
    /// template itself is quoted.
    fn refusal(&self, error: &minijinja::Error) -> Error {
        let line = error.line().unwrap_or(0);
        Error::Template(match error.detail() {
            _ if error.kind() == ErrorKind::OutOfFuel => {
                format!("it does not come to an end (line {line}); use another file of the model")
            }
            Some(detail) if detail.len() > 3 && self.source.contains(detail) => detail.to_owned(),
            _ => format!("{} (line {line})", error.kind()),
        })
    }

    /// A role is written into the markup between control tokens, so it must be a plain word.
    fn check_role(&self, role: &str) -> Result<()> {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        let plain = !role.is_empty() && role.chars().all(is_word);
        if plain && !self.controls.spellings().any(|control| role.contains(control)) {
            return Ok(());
        }
        Err(Error::InvalidArgument(
            "a role must be a word of letters, digits, '_' and '-', such as \"user\"".into(),
        ))
    }

    fn control_tokens(&self, prompt: &Prompt) -> Vec<Token> {
        let pieces = self.controls.split(prompt.marked_text(), prompt.mark());
        let control = |piece| match piece {
            Piece::Control(token) => Some(token),
            Piece::Text(_) => None,
        };
        pieces.into_iter().filter_map(control).collect()
    }
}

/// An environment that renders `source` as `transformers` would.
fn compile(source: &str) -> Result<Environment<'static>> {
    let broken = |error: minijinja::Error| {
        Error::Template(format!("it is not valid: {error}; use another file of the model"))
    };
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", python::strftime_now);
    environment.add_filter("tojson", python::tojson);
    environment.add_test("iterable", is_iterable);
    environment.add_template_owned(NAME, python::without_generation_tags(source)).map_err(broken)?;
    Ok(environment)
}

fn raise_exception(message: String) -> std::result::Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// Python iterates over strings and Jinja over what is undefined.
fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), Iterable | Map | Seq | String | Undefined)
}
