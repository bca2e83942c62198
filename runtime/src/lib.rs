//! Halfbyte runs compressed language models on the device: no server, no network, no telemetry.
//!
//! A memory-mapped [`gguf`] file becomes a [`Model`] on a [`backend`]: the GPU through wgpu, or the
//! CPU, which is the reference and the fallback. A [`Session`] turns messages into a stream of text.
//!
//! ```no_run
//! use halfbyte::{BackendChoice, Event, Message, Model, Session, SessionOptions};
//!
//! let model = Model::open("model.gguf", BackendChoice::Auto)?;
//! let mut session = Session::new(model, SessionOptions::default())?;
//! session.start(&[Message::user("Why is the sky blue?")])?;
//! loop {
//!     match session.step()? {
//!         Event::Text { text, .. } => print!("{text}"),
//!         Event::Done(_) => break,
//!         Event::Prefill { .. } | Event::Thought { .. } => {}
//!     }
//! }
//! # Ok::<(), halfbyte::Error>(())
//! ```

pub mod backend;
pub mod chat_template;
pub mod config;
pub mod error;
pub mod gguf;
pub mod kv_cache;
pub mod model;
pub mod plan;
pub mod quant;
pub mod sampler;
pub mod session;
pub mod tokenizer;
mod weights;

pub use backend::{Activations, BackendChoice, BackendOptions, Device};
pub use chat_template::{ChatTemplate, Message, Prompt, RenderOptions, ThoughtTags};
pub use config::ModelConfig;
pub use error::{Error, Result};
pub use gguf::Gguf;
pub use kv_cache::KvCache;
pub use model::{LogitRows, Model};
pub use plan::Plan;
pub use sampler::{Sampler, SamplerConfig};
pub use session::{CancelHandle, Event, Session, SessionOptions, Stats, StopReason};
pub use tokenizer::{StreamDecoder, Token, Tokenizer};
