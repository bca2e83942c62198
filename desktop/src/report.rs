//! What the commands say and how: results on standard output, all else on standard error, numbers in
//! one form.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::time::Duration;

use halfbyte::{ChatTemplate, Device, Stats, StopReason};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::failure::Failure;

/// Writes a part of the answer to standard output, at once.
pub(crate) fn output(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).map_err(|error| Failure::output(&error))
}

/// Writes a JSON result to standard output.
pub(crate) fn output_json(value: &Value) -> Result<(), Failure> {
    output(&format!("{value:#}\n"))
}

/// Writes a line to standard error. That nobody may read it changes nothing.
pub(crate) fn line(text: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Whether someone watches standard error.
pub(crate) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// What is for the eye only, dimmed on standard error; only on a terminal.
pub(crate) struct Dimmed {
    is_open: bool,
}

impl Dimmed {
    /// Nothing yet.
    pub(crate) fn new() -> Dimmed {
        Dimmed { is_open: false }
    }

    /// Shows the next piece, at once.
    pub(crate) fn show(&mut self, piece: &str) {
        if piece.is_empty() || !is_watched() {
            return;
        }
        let begin = if self.is_open { "" } else { "\x1b[2m" };
        self.is_open = true;
        let mut err = io::stderr().lock();
        let _ = write!(err, "{begin}{piece}").and_then(|()| err.flush());
    }

    /// Ends what was shown, with an empty line behind it.
    pub(crate) fn end(&mut self) {
        if std::mem::take(&mut self.is_open) {
            let _ = write!(io::stderr(), "\x1b[0m\n\n");
        }
    }

    /// Leaves the terminal as it was, when the program ends at once.
    pub(crate) fn reset() {
        if is_watched() {
            let _ = write!(io::stderr(), "\x1b[0m");
        }
    }
}

impl Drop for Dimmed {
    fn drop(&mut self) {
        self.end();
    }
}

/// A sign of life that goes away when it is dropped; only on a terminal.
pub(crate) fn waiting(what: &'static str) -> Bar {
    let bar = ProgressBar::new_spinner().with_message(what);
    bar.enable_steady_tick(Duration::from_millis(100));
    Bar(bar)
}

/// A progress bar over `total` tokens that goes away when it is dropped; only on a terminal.
pub(crate) fn progress(what: &'static str, total: usize) -> Bar {
    let bar = ProgressBar::new(total as u64).with_message(what);
    if let Ok(style) = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} tokens, {eta} left") {
        bar.set_style(style);
    }
    Bar(bar)
}

/// Progress on standard error.
pub(crate) struct Bar(ProgressBar);

impl Bar {
    /// Shows that `n` of the tokens are done.
    pub(crate) fn set(&self, n: usize) {
        self.0.set_position(n as u64);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

/// A device in one line.
pub(crate) fn device(device: &Device) -> String {
    let mut parts = vec![format!("the {}: {}", device.backend.to_uppercase(), device.name)];
    if !device.driver.is_empty() {
        parts.push(format!("driver {}", device.driver));
    }
    parts.extend_from_slice(&device.features);
    if device.is_software {
        parts.push("a software adapter: the processor stands in for a GPU".into());
    }
    parts.join("; ")
}

/// A device for scripts.
pub(crate) fn device_json(device: &Device) -> Value {
    json!({
        "backend": device.backend,
        "name": device.name,
        "driver": device.driver,
        "features": device.features,
        "is_software": device.is_software,
    })
}

/// Says how messages become a prompt where the model file does not say it itself.
pub(crate) fn prompt_format(template: Option<&ChatTemplate>) {
    match template.map(ChatTemplate::built_in) {
        None => line("this model file has no chat template: messages are a plain text that it continues"),
        Some(Some(name)) => {
            line(format_args!("this model file has no chat template: the built-in one for {name} is used"));
        }
        Some(None) => {}
    }
}

/// The speed of an answer in one line.
pub(crate) fn speed(stats: &Stats) -> String {
    let reused = match stats.reused_tokens {
        0 => String::new(),
        n => format!(" ({n} were known already)"),
    };
    let thought = match stats.thought_tokens {
        0 => String::new(),
        n => format!(" ({n} of them thought)"),
    };
    format!(
        "[{} tokens read at {:.0}/s{reused}, first token after {:.2} s, {} written at {:.1}/s{thought}]",
        stats.prefilled_tokens,
        stats.prefill_tokens_per_second(),
        stats.time_to_first_token.as_secs_f64(),
        stats.generated_tokens,
        stats.decode_tokens_per_second(),
    )
}

/// The costs of an answer for scripts.
pub(crate) fn stats_json(stats: &Stats) -> Value {
    json!({
        "prompt_tokens": stats.prompt_tokens,
        "reused_tokens": stats.reused_tokens,
        "prefilled_tokens": stats.prefilled_tokens,
        "generated_tokens": stats.generated_tokens,
        "thought_tokens": stats.thought_tokens,
        "prefill_seconds": stats.prefill.as_secs_f64(),
        "decode_seconds": stats.decode.as_secs_f64(),
        "time_to_first_token_seconds": stats.time_to_first_token.as_secs_f64(),
        "prefill_tokens_per_second": stats.prefill_tokens_per_second(),
        "decode_tokens_per_second": stats.decode_tokens_per_second(),
    })
}

/// The name of a stop reason for scripts.
pub(crate) fn stop_name(stop: StopReason) -> &'static str {
    match stop {
        StopReason::EndOfTurn => "end_of_turn",
        StopReason::StopString => "stop_string",
        StopReason::MaxTokens => "max_tokens",
        StopReason::ContextFull => "context_full",
        StopReason::Cancelled => "cancelled",
    }
}

/// Bytes in megabytes of 10⁶.
pub(crate) fn megabytes(bytes: u64) -> String {
    format!("{:.1} MB", bytes as f64 / 1e6)
}

/// Text from a file that stays on its line and does nothing to a terminal.
pub(crate) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        match c.is_control() {
            true => line.extend(c.escape_default()),
            false => line.push(c),
        }
    }
    line
}
