//! `halfbyte`: chat with a language model in a GGUF file, measure it and check what it computes.
//!
//! Standard output carries the answer and nothing else; status, progress and errors go to standard
//! error. The program ends with 0 when the job is done, 1 when it failed (one line says why), 2 when
//! the arguments make no sense.

mod answer;
mod bench;
mod chat;
mod failure;
mod inspect;
mod logits;
mod options;
mod perplexity;
mod report;
mod run;
mod text;

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use log::{Level, LevelFilter};

use failure::Failure;

const EXAMPLES: &str = "\
Examples:
  halfbyte chat model.gguf                          talk with a model; Ctrl-C stops an answer
  halfbyte chat model.gguf \"Why is the sky blue?\"   one question, one answer
  halfbyte run model.gguf --prompt \"Once upon\"      continue a text
  halfbyte inspect model.gguf                       what is in a file, and the memory it will take
  halfbyte bench model.gguf --json                  how fast it is on this machine

Everything happens on this machine. `halfbyte COMMAND --help` has more examples.
Exit codes: 0 done, 1 the job failed (standard error says why), 2 wrong usage.";

/// Runs language models in GGUF files on this machine: no server, no network.
#[derive(Parser)]
#[command(name = "halfbyte", version, about, after_help = EXAMPLES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Chat(chat::Args),
    Run(run::Args),
    Bench(bench::Args),
    Inspect(inspect::Args),
    Tokenize(text::TokenizeArgs),
    Render(text::RenderArgs),
    Logits(logits::Args),
    Perplexity(perplexity::Args),
}

fn main() -> ExitCode {
    hush_device_selection();
    let cli = Cli::parse();
    start_log();
    match execute(cli.command) {
        Ok(()) | Err(Failure::ClosedPipe) => ExitCode::SUCCESS,
        Err(failure) => {
            report::line(format_args!("error: {failure}"));
            failure.exit_code()
        }
    }
}

fn execute(command: Command) -> Result<(), Failure> {
    match command {
        Command::Chat(args) => chat::chat(&args),
        Command::Run(args) => run::run(&args),
        Command::Bench(args) => bench::bench(&args),
        Command::Inspect(args) => inspect::inspect(&args),
        Command::Tokenize(args) => text::tokenize(&args),
        Command::Render(args) => text::render(&args),
        Command::Logits(args) => logits::logits(&args),
        Command::Perplexity(args) => perplexity::perplexity(&args),
    }
}

/// Without a desktop, Mesa's layer that picks a GPU for it fails to reach one and prints errors.
fn hush_device_selection() {
    if std::env::var_os("XDG_RUNTIME_DIR").is_none() {
        // SAFETY: `main` has just begun, so no other thread reads the environment.
        unsafe { std::env::set_var("NODEVICE_SELECT", "1") };
    }
}

/// Shows what the runtime warns of, such as why it does not use the GPU.
fn start_log() {
    // A progress line may stand where the message goes.
    let clear = if std::io::stderr().is_terminal() { "\r\x1b[K" } else { "" };
    env_logger::Builder::new()
        .filter_level(LevelFilter::Error)
        .filter_module("halfbyte", LevelFilter::Warn)
        .parse_env("RUST_LOG")
        .format(move |out, record| {
            let level = match record.level() {
                Level::Warn => "warning".into(),
                level => level.as_str().to_lowercase(),
            };
            writeln!(out, "{clear}{level}: {}", record.args())
        })
        .init();
}
