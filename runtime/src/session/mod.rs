//! A conversation with a model, pulled step by step: start with messages or text, then ask for the
//! next step until the answer is done.
//!
//! One rule holds between all calls: the KV cache holds the first of the session's tokens, none
//! else. A new start keeps what the new prompt shares with them and evaluates the rest.

mod cancel;
mod stats;
mod stop;

pub use cancel::CancelHandle;
pub use stats::Stats;

use std::sync::Arc;
use std::time::Instant;

use crate::chat_template::{Message, RenderOptions};
use crate::error::{Error, Result};
use crate::kv_cache::KvCache;
use crate::model::{LogitRows, Model};
use crate::sampler::{Sampler, SamplerConfig};
use crate::tokenizer::Token;

use stop::AnswerText;

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
    /// Texts that end an answer and are no part of it.
    pub stop: Vec<String>,
}

/// What a step did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A part of the prompt was evaluated.
    Prefill {
        /// Tokens evaluated so far.
        done: usize,
        /// Tokens to evaluate: those of the prompt that were not in the cache.
        total: usize,
    },
    /// The model chose a token.
    Text {
        /// The token, of which there is one event each. Only when an answer is cancelled while text
        /// is held back does its last token come a second time, with that text.
        token: Token,
        /// The text that is certain now: empty while a character or a possible stop string is
        /// incomplete. The text of all events is the answer; nothing is held back at
        /// [`Event::Done`], except that a character the model left unfinished is dropped.
        text: String,
    },
    /// The answer is over; further steps repeat this.
    Done(StopReason),
}

/// Why an answer is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopReason {
    /// The model ended its turn.
    EndOfTurn,
    /// A stop string came.
    StopString,
    /// The answer has as many tokens as it may.
    MaxTokens,
    /// The conversation has as many tokens as fit.
    ContextFull,
    /// [`CancelHandle::cancel`] was called.
    Cancelled,
}

#[derive(Clone, Copy)]
enum State {
    Idle,
    Running,
    Over(StopReason),
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
    text: AnswerText,
    state: State,
    cancel: CancelHandle,
    started: Instant,
    stats: Stats,
}

impl Session {
    /// A session with an empty cache.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] for an option out of its range, [`Error::OutOfMemory`] when the
    /// device has no room for the cache.
    pub fn new(model: Arc<Model>, options: SessionOptions) -> Result<Session> {
        let default_n_ctx = model.config().n_ctx_train.min(DEFAULT_N_CTX);
        let n_ctx = options.n_ctx.unwrap_or(default_n_ctx);
        Ok(Session {
            sampler: Sampler::new(options.sampler)?,
            text: AnswerText::new(options.stop)?,
            kv: model.new_kv_cache(n_ctx)?,
            model,
            tokens: Vec::with_capacity(n_ctx + 1),
            n_prompt: 0,
            logits: Vec::new(),
            max_tokens: options.max_tokens,
            state: State::Idle,
            cancel: CancelHandle::default(),
            started: Instant::now(),
            stats: Stats::default(),
        })
    }

    /// Begins the model's answer to a conversation, through the chat template of its file.
    ///
    /// # Errors
    /// [`Error::Template`] when the file has no template or the template refuses the messages, and
    /// those of [`Session::start_tokens`].
    pub fn start(&mut self, messages: &[Message]) -> Result<()> {
        let called = Instant::now();
        let template = self.model.chat_template().ok_or_else(|| {
            Error::Template("the model file has none; give it plain text to continue".into())
        })?;
        let prompt = template.render(messages, &RenderOptions::default())?;
        let tokens = self.model.tokenizer().encode_prompt(&prompt)?;
        self.begin(&tokens, called)
    }

    /// Begins to continue a text, none of which becomes a control token.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] when the text cannot be cut into tokens, and those of
    /// [`Session::start_tokens`].
    pub fn start_text(&mut self, text: &str) -> Result<()> {
        let called = Instant::now();
        let tokenizer = self.model.tokenizer();
        let bos = tokenizer.bos().filter(|_| tokenizer.adds_bos());
        let mut tokens = tokenizer.encode(text, false)?;
        tokens.splice(0..0, bos);
        self.begin(&tokens, called)
    }

    /// Begins to continue tokens. An answer in progress is over, a cancellation is taken back, and
    /// what the tokens share with the cache is not evaluated again.
    ///
    /// # Errors
    /// [`Error::ContextFull`] if they do not fit, [`Error::InvalidArgument`] if there are none or one
    /// is beyond the vocabulary. The session is then as it was.
    pub fn start_tokens(&mut self, tokens: &[Token]) -> Result<()> {
        self.begin(tokens, Instant::now())
    }

    /// Evaluates a part of the prompt, [`Model::BATCH`] tokens at most, or generates one token.
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] before the first start, and what the model or the device fails
    /// with. A failure ends the answer and empties the cache; the session can be started again.
    pub fn step(&mut self) -> Result<Event> {
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

    fn begin(&mut self, tokens: &[Token], called: Instant) -> Result<()> {
        self.check_prompt(tokens)?;
        let shared = shared_prefix(&self.tokens[..self.kv.len()], tokens);
        // The logits of the last token are needed, so it is evaluated in any case.
        self.kv.truncate(shared.min(tokens.len() - 1));
        self.tokens.clear();
        self.tokens.extend_from_slice(tokens);
        self.n_prompt = tokens.len();
        self.text.finish();
        self.cancel.clear();
        self.state = State::Running;
        self.started = called;
        self.stats = Stats { prompt_tokens: tokens.len(), reused_tokens: self.kv.len(), ..Stats::default() };
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
        let text = self.accept(token)?;
        self.count_token(clock);
        Ok(Event::Text { token, text })
    }

    /// Brings `tokens[kv.len()..end]` into the cache.
    fn evaluate(&mut self, end: usize, rows: LogitRows) -> Result<()> {
        let tokens = &self.tokens[self.kv.len()..end];
        self.model.forward(tokens, &mut self.kv, rows, &mut self.logits)
    }

    /// The text that is certain with a new token, which may end the answer.
    fn accept(&mut self, token: Token) -> Result<String> {
        let tokenizer = self.model.tokenizer();
        if tokenizer.is_end(token) {
            self.state = State::Over(StopReason::EndOfTurn);
            return Ok(self.text.finish());
        }
        let (mut text, stopped) = self.text.push(tokenizer, token)?;
        if stopped {
            self.state = State::Over(StopReason::StopString);
        } else if let Some(limit) = self.limit() {
            self.state = State::Over(limit);
            text += &self.text.finish();
        }
        Ok(text)
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

    fn count_token(&mut self, clock: Instant) {
        self.stats.generated_tokens += 1;
        if self.stats.generated_tokens == 1 {
            self.stats.time_to_first_token = self.started.elapsed();
        } else {
            self.stats.decode += clock.elapsed();
        }
    }

    fn end_cancelled(&mut self) -> Event {
        self.state = State::Over(StopReason::Cancelled);
        let text = self.text.finish();
        match self.generated().last() {
            Some(&token) if !text.is_empty() => Event::Text { token, text },
            _ => Event::Done(StopReason::Cancelled),
        }
    }
}

/// How many tokens two sequences have in common at their beginning.
fn shared_prefix(a: &[Token], b: &[Token]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
