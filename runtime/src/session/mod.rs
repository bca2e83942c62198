//! A conversation with a model, pulled step by step: start with messages or text, then ask for the
//! next step until the answer is done.
//!
//! One rule holds between all calls: the KV cache holds the first of the session's tokens, none
//! else. A new start keeps what the new prompt shares with them and evaluates the rest.

mod answer_text;
mod cancel;
mod event;
mod stats;
mod thought;

pub use cancel::CancelHandle;
pub use event::{Event, StopReason};
pub use stats::Stats;

use std::sync::Arc;
use std::time::Instant;

use crate::chat_template::{ChatTemplate, Message, RenderOptions};
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::model::{LogitRows, Model};
use crate::sampler::{Sampler, SamplerConfig};
use crate::tokenizer::Token;

use answer_text::{AnswerText, Certain};

/// The context in tokens unless the caller asks for another: memory grows with it.
const DEFAULT_N_CTX: usize = 4096;

/// What a session is made with.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SessionOptions {
    /// Tokens that a conversation may have; by default what the model was trained for, at most 4096.
    pub n_ctx: Option<usize>,
    /// How tokens are chosen.
    pub sampler: SamplerConfig,
    /// Tokens that an answer may have; by default as many as fit.
    pub max_tokens: Option<usize>,
    /// Texts that end an answer and are no part of it. They are not looked for in a thought.
    pub stop: Vec<String>,
    /// Whether the model shall think before it answers; by default as its chat template has it.
    pub thinking: Option<bool>,
    /// The tools that the model may call: a list of JSON schemas, as `transformers` takes them.
    pub tools: Option<serde_json::Value>,
}

#[derive(Clone, Copy)]
enum State {
    Idle,
    Running,
    Over(StopReason),
}

/// An answer, part by part.
#[derive(Default)]
struct Reply {
    thought: String,
    text: String,
}

/// One conversation: its KV cache, its sampler and the answer in progress.
pub struct Session {
    model: Arc<Model>,
    /// Holds the first `kv.len()` of `tokens`.
    kv: KvCache,
    /// The prompt, then what was generated.
    tokens: Vec<Token>,
    n_prompt: usize,
    /// Of the last evaluated token, `[n_vocab]`.
    logits: Vec<f32>,
    sampler: Sampler,
    max_tokens: Option<usize>,
    render_options: RenderOptions,
    text: AnswerText,
    /// What was given out of the answer.
    reply: Reply,
    /// The event of the next step, when a token has two.
    queued: Option<Event>,
    state: State,
    cancel: CancelHandle,
    started: Instant,
    stats: Stats,
}

impl Session {
    /// A session with an empty cache.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an option out of its range or thinking that the model's chat
    /// template cannot switch, [`Error::OutOfMemory`] when the device has no room for the cache.
    pub fn new(model: Arc<Model>, options: SessionOptions) -> Result<Session> {
        let default_n_ctx = model.config().n_ctx_train.min(DEFAULT_N_CTX);
        let n_ctx = options.n_ctx.unwrap_or(default_n_ctx);
        let (thinking, tools) = (options.thinking, options.tools);
        check_thinking(model.chat_template(), thinking)?;
        let tags = model.chat_template().and_then(ChatTemplate::thought_tags);
        Ok(Session {
            sampler: Sampler::new(options.sampler)?,
            text: AnswerText::new(options.stop, tags)?,
            kv: model.new_kv_cache(n_ctx)?,
            model,
            tokens: Vec::with_capacity(n_ctx + 1),
            n_prompt: 0,
            logits: Vec::new(),
            max_tokens: options.max_tokens,
            render_options: RenderOptions { thinking, tools, ..RenderOptions::default() },
            reply: Reply::default(),
            queued: None,
            state: State::Idle,
            cancel: CancelHandle::default(),
            started: Instant::now(),
            stats: Stats::default(),
        })
    }

    /// Begins the model's answer to a conversation, through the chat template of its file or the one
    /// that stands in for it ([`ChatTemplate::built_in`]). For a model without either
    /// ([`Model::chat_template`]) the contents, one to a line, are a plain text to continue.
    ///
    /// # Errors
    /// [`Error::Template`] when the template refuses the messages, and those of
    /// [`Session::start_tokens`].
    pub fn start(&mut self, messages: &[Message]) -> Result<()> {
        let called = Instant::now();
        let tokens = match self.model.chat_template() {
            Some(template) => {
                let prompt = template.render(messages, &self.render_options)?;
                self.model.tokenizer().encode_prompt(&prompt)?
            }
            None => {
                let contents = messages.iter().filter_map(|message| message.content.as_deref());
                self.encode_plain(&contents.collect::<Vec<&str>>().join("\n"))?
            }
        };
        self.begin(&tokens, called)
    }

    /// Begins to continue a text, none of which becomes a control token.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text cannot be cut into tokens, and those of
    /// [`Session::start_tokens`].
    pub fn start_text(&mut self, text: &str) -> Result<()> {
        let called = Instant::now();
        let tokens = self.encode_plain(text)?;
        self.begin_within_text(&tokens, called)
    }

    /// Begins to continue tokens. An answer in progress is over, a cancellation is taken back, and
    /// what the tokens share with the cache is not evaluated again.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if they do not fit, [`Error::InvalidArgument`] if there are none or one
    /// is beyond the vocabulary. The session is then as it was.
    pub fn start_tokens(&mut self, tokens: &[Token]) -> Result<()> {
        self.begin_within_text(tokens, Instant::now())
    }

    /// Evaluates a part of the prompt, [`Model::BATCH`] tokens at most, or generates one token.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] before the first start, and what the model or the device fails
    /// with. A failure ends the answer and empties the cache; the session can be started again.
    pub fn step(&mut self) -> Result<Event> {
        if let Some(event) = self.queued.take() {
            return Ok(event);
        }
        match self.state {
            State::Idle => {
                return Err(Error::InvalidArgument(
                    "the session has no answer in progress; start one first".into(),
                ));
            }
            State::Over(reason) => return Ok(Event::Done(reason)),
            State::Running if self.cancel.is_cancelled() => return Ok(self.end_cancelled()),
            State::Running => {}
        }
        let event = if self.kv.len() < self.n_prompt { self.prefill() } else { self.decode() };
        if event.is_err() {
            // A fault may surface late, so nothing evaluated before it is trusted.
            self.kv.truncate(0);
            self.state = State::Idle;
        }
        event
    }

    /// What cancels the answer from another thread, this one and those that follow.
    pub fn cancel_handle(&self) -> CancelHandle {
        self.cancel.clone()
    }

    /// The tokens of the prompt.
    pub fn prompt(&self) -> &[Token] {
        &self.tokens[..self.n_prompt]
    }

    /// The tokens of the answer, the one that ended the turn included.
    pub fn generated(&self) -> &[Token] {
        &self.tokens[self.n_prompt..]
    }

    /// The answer so far, as the message that goes into the conversation before the next start. The
    /// thought is no part of its content; it stands apart where the template has a place for it and
    /// decides whether the model sees it again.
    pub fn reply(&self) -> Message {
        let Reply { thought, text } = &self.reply;
        let has_place = self.model.chat_template().is_some_and(ChatTemplate::takes_reasoning_content);
        let reasoning_content = (has_place && !thought.is_empty()).then(|| thought.clone());
        Message { reasoning_content, ..Message::assistant(text) }
    }

    /// What the answer cost so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Tokens that a conversation may have.
    pub fn n_ctx(&self) -> usize {
        self.kv.capacity()
    }

    /// Chooses tokens differently from the next one on; the random numbers begin again.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for a setting out of its range.
    pub fn set_sampler(&mut self, config: SamplerConfig) -> Result<()> {
        self.sampler = Sampler::new(config)?;
        Ok(())
    }

    /// Limits the tokens of an answer, from the next token on; `None` allows as many as fit.
    pub fn set_max_tokens(&mut self, max_tokens: Option<usize>) {
        self.max_tokens = max_tokens;
    }

    /// Sets whether the model shall think, from the next start on; `None` leaves it to the template.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] if the model's chat template cannot switch that.
    pub fn set_thinking(&mut self, thinking: Option<bool>) -> Result<()> {
        check_thinking(self.model.chat_template(), thinking)?;
        self.render_options.thinking = thinking;
        Ok(())
    }

    /// The tokens of a text, with the beginning of a sequence where the file asks for it.
    fn encode_plain(&self, text: &str) -> Result<Vec<Token>> {
        let tokenizer = self.model.tokenizer();
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let mut tokens = tokenizer.encode(text, false)?;
        tokens.splice(0..0, bos);
        Ok(tokens)
    }

    fn begin(&mut self, tokens: &[Token], called: Instant) -> Result<()> {
        self.check_prompt(tokens)?;
        let shared = shared_prefix(&self.tokens[..self.kv.len()], tokens);
        // The logits of the last token are needed, so it is evaluated in any case.
        self.kv.truncate(shared.min(tokens.len() - 1));
        self.tokens.clear();
        self.tokens.extend_from_slice(tokens);
        self.n_prompt = tokens.len();
        self.text.start(self.model.tokenizer(), tokens);
        self.reply = Reply::default();
        self.queued = None;
        self.cancel.clear();
        self.state = State::Running;
        self.started = called;
        self.stats = Stats { prompt_tokens: tokens.len(), reused_tokens: self.kv.len(), ..Stats::default() };
        Ok(())
    }

    /// Begins an answer that continues the text of the prompt.
    fn begin_within_text(&mut self, tokens: &[Token], called: Instant) -> Result<()> {
        self.begin(tokens, called)?;
        self.text.continue_text();
        Ok(())
    }

    fn check_prompt(&self, tokens: &[Token]) -> Result<()> {
        if tokens.is_empty() {
            return Err(Error::InvalidArgument("the prompt is empty".into()));
        }
        let n_vocab = self.model.tokenizer().vocab_size();
        if let Some(token) = tokens.iter().find(|token| **token as usize >= n_vocab) {
            return Err(Error::InvalidArgument(format!(
                "token {token} is beyond the vocabulary of {n_vocab} tokens"
            )));
        }
        if tokens.len() > self.n_ctx() {
            return Err(Error::ContextFull { needed: tokens.len(), capacity: self.n_ctx() });
        }
        Ok(())
    }

    fn prefill(&mut self) -> Result<Event> {
        let clock = Instant::now();
        let end = self.n_prompt.min(self.kv.len() + Model::BATCH);
        let is_last = end == self.n_prompt;
        self.evaluate(end, if is_last { LogitRows::Last } else { LogitRows::None })?;
        self.stats.prefill += clock.elapsed();
        self.stats.prefilled_tokens = end - self.stats.reused_tokens;
        if let Some(limit) = self.limit().filter(|_| is_last) {
            self.state = State::Over(limit);
        }
        Ok(Event::Prefill {
            done: self.stats.prefilled_tokens,
            total: self.n_prompt - self.stats.reused_tokens,
        })
    }

    fn decode(&mut self) -> Result<Event> {
        let clock = Instant::now();
        if self.kv.len() < self.tokens.len() {
            self.evaluate(self.tokens.len(), LogitRows::Last)?;
        }
        // The matrix may have more rows than the vocabulary has tokens, to round its shape.
        self.logits.truncate(self.model.tokenizer().vocab_size());
        let token = self.sampler.sample(&mut self.logits, &self.tokens[self.n_prompt..])?;
        self.tokens.push(token);
        let certain = self.accept(token)?;
        self.count_token(clock, certain.thought.is_some());
        Ok(self.give_out(token, certain))
    }

    /// Brings `tokens[kv.len()..end]` into the cache.
    fn evaluate(&mut self, end: usize, rows: LogitRows) -> Result<()> {
        let tokens = &self.tokens[self.kv.len()..end];
        self.model.forward(tokens, &mut self.kv, rows, &mut self.logits)
    }

    /// What is certain with a new token, which may end the answer.
    fn accept(&mut self, token: Token) -> Result<Certain> {
        let tokenizer = self.model.tokenizer();
        let (mut certain, end) = match tokenizer.is_end(token) {
            true => (Certain::default(), Some(StopReason::EndOfTurn)),
            false => (self.text.push(tokenizer, token)?, self.limit()),
        };
        if end.is_some() && !certain.stopped {
            certain.append(self.text.finish());
        }
        if let Some(reason) = if certain.stopped { Some(StopReason::StopString) } else { end } {
            self.state = State::Over(reason);
        }
        Ok(certain)
    }

    fn give_out(&mut self, token: Token, certain: Certain) -> Event {
        self.reply.text += &certain.text;
        let Some(thought) = certain.thought else {
            return Event::Text { token, text: certain.text };
        };
        self.reply.thought += &thought;
        if !certain.text.is_empty() {
            self.queued = Some(Event::Text { token, text: certain.text });
        }
        Event::Thought { token, text: thought }
    }

    /// The limit that allows no further token, if one does.
    fn limit(&self) -> Option<StopReason> {
        let is_long = self.max_tokens.is_some_and(|max| self.generated().len() >= max);
        // The last token of a full conversation cannot be evaluated.
        let is_full = self.tokens.len() > self.n_ctx();
        match (is_long, is_full) {
            (true, _) => Some(StopReason::MaxTokens),
            (false, true) => Some(StopReason::ContextFull),
            (false, false) => None,
        }
    }

    fn count_token(&mut self, clock: Instant, is_thought: bool) {
        self.stats.generated_tokens += 1;
        if is_thought {
            // A thought comes first, so every token up to here was part of it or of its tags.
            self.stats.thought_tokens = self.stats.generated_tokens;
        }
        if self.stats.generated_tokens == 1 {
            self.stats.time_to_first_token = self.started.elapsed();
        } else {
            self.stats.decode += clock.elapsed();
        }
    }

    fn end_cancelled(&mut self) -> Event {
        self.state = State::Over(StopReason::Cancelled);
        let certain = self.text.finish();
        match self.generated().last().copied() {
            Some(token) if !certain.is_empty() => self.give_out(token, certain),
            _ => Event::Done(StopReason::Cancelled),
        }
    }
}

/// How many tokens two sequences have in common at their beginning.
fn shared_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// Checks that the model thinks or does not think, as asked, or can be told to.
fn check_thinking(template: Option<&ChatTemplate>, thinking: Option<bool>) -> Result<()> {
    let Some(on) = thinking else {
        return Ok(());
    };
    let thinks = template.is_some_and(|template| template.thought_tags().is_some());
    if on == thinks || template.is_some_and(ChatTemplate::can_switch_thinking) {
        return Ok(());
    }
    Err(Error::InvalidArgument(match on {
        true => "the model does not think before it answers: its chat template has no switch for that".into(),
        false => "the model always thinks before it answers: its chat template has no switch for that".into(),
    }))
}
