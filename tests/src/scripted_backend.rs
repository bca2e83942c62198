//! A backend that computes nothing, for tests of what stands above it: it records the tokens that
//! it is given and answers every forward with logits from a script.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use halfbyte::backend::{
    AttentionParams, Backend, Buf, Device, EmbedParams, GeluMulParams, HeadBufs, KvBufs, MatmulParams,
    RmsNormParams, RopeKvParams, SiluMulParams, SoftcapParams,
};
use halfbyte::gguf::TensorView;
use halfbyte::{Error, Result, Token};

/// How long a thread waits for another before the test goes on and fails.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a [`ScriptedBackend`] will answer and what it was asked. Clones are the same script; it
/// serves one session.
#[derive(Clone, Default)]
pub struct Script {
    shared: Arc<(Mutex<State>, Condvar)>,
}

#[derive(Default)]
struct State {
    answers: VecDeque<Answer>,
    forwards: Vec<Vec<Token>>,
    cache: Vec<Token>,
    hold_at: Option<usize>,
    is_held: bool,
    fail_at: Option<usize>,
    has_failed: bool,
}

enum Answer {
    Token(Token),
    Logits(Vec<f32>),
}

impl Script {
    /// The backend that follows this script.
    pub fn backend(&self) -> Box<dyn Backend> {
        Box::new(ScriptedBackend {
            script: self.clone(),
            n_bufs: 0,
            device: Device {
                backend: "cpu",
                name: "script".into(),
                driver: String::new(),
                features: Vec::new(),
                is_software: true,
            },
        })
    }

    /// Makes each token in turn the likeliest by far, one per read of logits. A read past the end
    /// of the script fails.
    pub fn say(&self, tokens: &[Token]) {
        let answers = tokens.iter().map(|&token| Answer::Token(token));
        self.state().answers.extend(answers);
    }

    /// Answers one read with these logits.
    pub fn say_logits(&self, logits: Vec<f32>) {
        self.state().answers.push_back(Answer::Logits(logits));
    }

    /// Drops what has not been said.
    pub fn clear(&self) {
        self.state().answers.clear();
    }

    /// The tokens of every forward so far, one entry each.
    pub fn forwards(&self) -> Vec<Vec<Token>> {
        self.state().forwards.clone()
    }

    /// The token at each position of the KV cache, as the cache was written.
    pub fn cache(&self) -> Vec<Token> {
        self.state().cache.clone()
    }

    /// Makes forward number `n` fault, counted from 0 over the whole script. As on a GPU, the fault
    /// surfaces in the next read.
    pub fn fail_at(&self, n: usize) {
        self.state().fail_at = Some(n);
    }

    /// Makes forward number `n` wait, counted from 0 over the whole script, until
    /// [`Script::release`].
    pub fn hold_at(&self, n: usize) {
        self.state().hold_at = Some(n);
    }

    /// Waits until the forward of [`Script::hold_at`] is under way; false if it never is.
    pub fn wait_until_held(&self) -> bool {
        let held = self.wait_while(|state| !state.is_held);
        held.is_held
    }

    /// Lets the forward of [`Script::hold_at`] go on.
    pub fn release(&self) {
        self.state().hold_at = None;
        self.shared.1.notify_all();
    }

    fn begin_forward(&self, tokens: &[Token]) {
        let mut state = self.state();
        let n = state.forwards.len();
        state.forwards.push(tokens.to_vec());
        state.has_failed |= state.fail_at == Some(n);
        state.is_held = state.hold_at == Some(n);
        if state.is_held {
            drop(state);
            self.shared.1.notify_all();
            self.wait_while(|state| state.hold_at.is_some()).is_held = false;
        }
    }

    fn write_cache(&self, pos: usize) {
        let mut state = self.state();
        let tokens = state.forwards.last().cloned().unwrap_or_default();
        state.cache.truncate(pos);
        state.cache.extend(tokens);
    }

    fn answer(&self, out: &mut [f32]) -> Result<()> {
        let mut state = self.state();
        if std::mem::take(&mut state.has_failed) {
            return Err(Error::Gpu("a scripted fault".into()));
        }
        if out.is_empty() {
            return Ok(());
        }
        match state.answers.pop_front() {
            None => return Err(Error::Gpu("the script is at its end".into())),
            Some(Answer::Logits(logits)) => out.copy_from_slice(&logits),
            Some(Answer::Token(token)) => {
                out.fill(0.0);
                out[token as usize] = 100.0;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        let state = self.shared.0.lock();
        state.unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_while(&self, condition: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.shared.1.wait_timeout_while(self.state(), PATIENCE, |state| condition(state));
        waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// Follows a [`Script`].
pub struct ScriptedBackend {
    script: Script,
    n_bufs: u32,
    device: Device,
}

impl ScriptedBackend {
    fn next_buf(&mut self) -> Buf {
        self.n_bufs += 1;
        Buf(self.n_bufs)
    }
}

impl Backend for ScriptedBackend {
    fn device(&self) -> &Device {
        &self.device
    }

    fn upload(&mut self, _tensors: &[TensorView]) -> Result<Buf> {
        Ok(self.next_buf())
    }

    fn alloc(&mut self, _n_f32: usize) -> Result<Buf> {
        Ok(self.next_buf())
    }

    fn free(&mut self, _buf: Buf) {}

    fn write(&mut self, _buf: Buf, _data: &[f32]) -> Result<()> {
        Ok(())
    }

    fn embed(&mut self, _out: Buf, _table: Buf, tokens: &[Token], _p: EmbedParams) {
        self.script.begin_forward(tokens);
    }

    fn rms_norm(&mut self, _out: Buf, _x: Buf, _weight: Buf, _p: RmsNormParams) {}

    fn matmul(&mut self, _out: Buf, _x: Buf, _weight: Buf, _p: MatmulParams) {}

    fn rope_kv(&mut self, _queries: Buf, _qkv: Buf, _kv: KvBufs, _heads: HeadBufs, p: RopeKvParams) {
        self.script.write_cache(p.pos as usize);
    }

    fn attention(&mut self, _out: Buf, _queries: Buf, _kv: KvBufs, _p: AttentionParams) {}

    fn silu_mul(&mut self, _out: Buf, _gate_up: Buf, _p: SiluMulParams) {}

    fn gelu_mul(&mut self, _out: Buf, _gate_up: Buf, _p: GeluMulParams) {}

    fn softcap(&mut self, _x: Buf, _p: SoftcapParams) {}

    fn read(&mut self, _buf: Buf, out: &mut [f32]) -> Result<()> {
        self.script.answer(out)
    }
}
