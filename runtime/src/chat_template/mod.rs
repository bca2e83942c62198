//! Messages to a prompt, through the Jinja template that the model file carries.
//!
//! The template is rendered as `transformers` renders it. Messages and tools are shielded so that no
//! text in them can become a control token, whatever the template does with it.

mod built_in;
mod message;
mod prompt;
mod python;
mod shield;
mod thinking;

pub use message::{Message, RenderOptions};
pub use prompt::Prompt;
pub use thinking::ThoughtTags;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Serde, ValueKind};
use minijinja::{AutoEscape, Environment, ErrorKind, Value, context};
use minijinja_contrib::pycompat;
use serde_json::Value as Json;

use crate::error::{Error, Result};
use crate::gguf::Gguf;
use crate::tokenizer::{ControlTokens, Piece, Token, Vocabulary};

use shield::{Shield, Strength, is_word};

const NAME: &str = "chat_template";
/// The template for conversations with tools, where a file has one of its own.
const TOOL_NAME: &str = "chat_template.tool_use";

/// What one rendering may cost: about as many steps, or 64 bytes of text each. Real templates take a
/// few hundred per message.
const FUEL: u64 = 2_000_000;

/// A compiled chat template and the control tokens that only it may write.
pub struct ChatTemplate {
    environment: Environment<'static>,
    /// Of every template in the environment.
    source: String,
    built_in: Option<&'static str>,
    thought_tags: Option<ThoughtTags>,
    controls: ControlTokens,
    bos: Value,
    eos: Value,
}

impl ChatTemplate {
    /// Compiles `tokenizer.chat_template`, or where the file has none, a template of this runtime that
    /// fits the control tokens in the vocabulary; `None` if there is no such sign of a chat model.
    ///
    /// # Errors
    /// [`Error::Template`] if the template is no valid Jinja; [`Error::Tokenizer`] if the vocabulary,
    /// which says what the control tokens are, is broken.
    pub fn from_gguf(gguf: &Gguf) -> Result<Option<ChatTemplate>> {
        let vocabulary = Vocabulary::from_gguf(gguf)?;
        let mut environment = environment()?;
        if let Some(source) = gguf.get_str("tokenizer.chat_template")? {
            add(&mut environment, NAME, source)?;
            let for_tools = gguf.get_str("tokenizer.chat_template.tool_use")?.unwrap_or_default();
            if !for_tools.is_empty() {
                add(&mut environment, TOOL_NAME, for_tools)?;
            }
            let source = [source, for_tools].concat();
            let tags = ThoughtTags::in_template(&source);
            return ChatTemplate::new(environment, source, None, tags, &vocabulary).map(Some);
        }
        let Some(built_in) = built_in::find(gguf, &vocabulary)? else {
            return Ok(None);
        };
        add(&mut environment, NAME, built_in.source)?;
        let has_token = |tag: &str| vocabulary.iter().any(|(_, spelling)| spelling == tag);
        let tags = ThoughtTags::in_vocabulary(has_token);
        let source = built_in.source.to_owned();
        ChatTemplate::new(environment, source, Some(built_in.name), tags, &vocabulary).map(Some)
    }

    fn new(
        environment: Environment<'static>,
        source: String,
        built_in: Option<&'static str>,
        thought_tags: Option<ThoughtTags>,
        vocabulary: &Vocabulary,
    ) -> Result<ChatTemplate> {
        let spelling = |token: Option<Token>| {
            let spelling = token.and_then(|token| vocabulary.spelling(token));
            spelling.map_or(Value::UNDEFINED, Value::from)
        };
        Ok(ChatTemplate {
            environment,
            source,
            built_in,
            thought_tags,
            controls: ControlTokens::new(vocabulary)?,
            bos: spelling(vocabulary.bos()),
            eos: spelling(vocabulary.eos()),
        })
    }

    /// The name of the template of this runtime that is used because the file has none of its own,
    /// such as `ChatML`.
    pub fn built_in(&self) -> Option<&'static str> {
        self.built_in
    }

    /// The tags between which the model thinks before it answers: those that its template knows of.
    /// `None` for a model that does not think.
    pub fn thought_tags(&self) -> Option<ThoughtTags> {
        self.thought_tags
    }

    /// Whether [`RenderOptions::thinking`] has an effect.
    pub fn can_switch_thinking(&self) -> bool {
        let prompt = |thinking| {
            let options = RenderOptions { thinking: Some(thinking), ..RenderOptions::default() };
            self.render(&[Message::user("Hi")], &options).map(|prompt| prompt.text()).ok()
        };
        prompt(true) != prompt(false)
    }

    /// Whether the template takes a thought apart from the content of its message.
    pub fn takes_reasoning_content(&self) -> bool {
        self.source.contains("reasoning_content")
    }

    /// Renders a conversation.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a role that is no plain word or a message that says nothing;
    /// [`Error::Template`] if the template refuses the messages, fails or does not come to an end. No
    /// error quotes a message.
    pub fn render(&self, messages: &[Message], options: &RenderOptions) -> Result<Prompt> {
        messages.iter().try_for_each(|message| self.check(message))?;
        let broken = |_| Error::InvalidArgument("the messages are no JSON".into());
        let mut messages = serde_json::to_value(messages).map_err(broken)?;
        name_thoughts_twice(&mut messages);
        let tools = options.tools.clone().unwrap_or_default();
        let (message_texts, tool_texts) = (messages.to_string(), tools.to_string());
        let fixed = self.controls.spellings().chain([&*self.source, &*message_texts, &*tool_texts]);
        let shield = Shield::new(&self.controls, fixed)?;

        let render = |strength| self.render_covered(&messages, &tools, options, &shield, strength);
        let light = render(Strength::Light)?;
        if shield.is_harmless(&messages) && shield.is_harmless(&tools) {
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
        messages: &Json,
        tools: &Json,
        options: &RenderOptions,
        shield: &Shield<'_>,
        strength: Strength,
    ) -> Result<Prompt> {
        let switch =
            |is_its_name| options.thinking.filter(|_| is_its_name).map_or(Value::UNDEFINED, Value::from);
        // A template that has a switch of the one name may use the other for something else.
        let named_otherwise = !self.source.contains("enable_thinking");
        let context = context! {
            messages => Serde(shield.cover(messages, strength)),
            add_generation_prompt => options.add_generation_prompt,
            bos_token => self.bos.clone(),
            eos_token => self.eos.clone(),
            tools => Serde(shield.cover(tools, strength)),
            documents => Value::from(()),
            enable_thinking => switch(true),
            thinking => switch(named_otherwise),
        };
        let template = match self.environment.get_template(TOOL_NAME) {
            Ok(for_tools) if options.tools.is_some() => Ok(for_tools),
            _ => self.environment.get_template(NAME),
        };
        match template.and_then(|template| template.render(context)) {
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
    fn check(&self, message: &Message) -> Result<()> {
        let role = &message.role;
        if !is_word(role) || self.controls.spellings().any(|control| role.contains(control)) {
            return Err(Error::InvalidArgument(
                "a role must be a word of letters, digits, '_' and '-', such as \"user\"".into(),
            ));
        }
        let is_empty = message.reasoning_content.is_none() && message.tool_calls.is_none();
        if message.content.is_none() && is_empty {
            return Err(Error::InvalidArgument(format!("a message of the role {role} has no content")));
        }
        Ok(())
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

/// Gives thoughts their second name, `thinking`, which templates of gpt-oss and LFM2.5 read.
fn name_thoughts_twice(messages: &mut Json) {
    let messages = messages.as_array_mut().into_iter().flatten();
    for message in messages.filter_map(Json::as_object_mut) {
        if let Some(thought) = message.get("reasoning_content").cloned() {
            message.shift_insert(0, "thinking".into(), thought);
        }
    }
}

/// An environment that renders as `transformers` would.
fn environment() -> Result<Environment<'static>> {
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(broken)?;
    let mut environment = Environment::new();
    environment.set_syntax(syntax);
    environment.set_fuel(Some(FUEL));
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_unknown_method_callback(pycompat::unknown_method_callback);
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", python::strftime_now);
    environment.add_filter("tojson", python::tojson);
    environment.add_filter("indent", python::indent);
    environment.add_test("iterable", is_iterable);
    Ok(environment)
}

fn add(environment: &mut Environment<'static>, name: &'static str, source: &str) -> Result<()> {
    environment.add_template_owned(name, python::without_generation_tags(source)).map_err(broken)
}

fn broken(error: minijinja::Error) -> Error {
    Error::Template(format!("it is not valid: {error}; use another file of the model"))
}

fn raise_exception(message: String) -> std::result::Result<Value, minijinja::Error> {
    Err(minijinja::Error::new(ErrorKind::InvalidOperation, message))
}

/// Python iterates over strings and Jinja over what is undefined.
fn is_iterable(value: &Value) -> bool {
    use ValueKind::{Iterable, Map, Seq, String, Undefined};
    matches!(value.kind(), Iterable | Map | Seq | String | Undefined)
}
