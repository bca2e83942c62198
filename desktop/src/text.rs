//! `halfbyte tokenize` and `halfbyte render`: what the model is given, from the file's metadata
//! alone; no weight is read.

use std::fmt::Write;
use std::path::PathBuf;

use halfbyte::{ChatTemplate, Gguf, RenderOptions, Tokenizer};
use serde_json::json;

use crate::failure::Failure;
use crate::options::{Switch, read_messages, read_text, read_tools};
use crate::report;

const TOKENIZE_EXAMPLES: &str = "\
Examples:
  halfbyte tokenize model.gguf --text \"Hello world\"
  halfbyte tokenize model.gguf --file story.txt --json
  echo -n \"Hello\" | halfbyte tokenize model.gguf --file -
  halfbyte tokenize model.gguf --text \"<|im_start|>\" --no-special     as text that a user typed";

/// Show how a text is cut into tokens
///
/// Prints a line with id and spelling for each token. No beginning-of-sequence token is added.
#[derive(clap::Args)]
#[command(after_help = TOKENIZE_EXAMPLES)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["text", "file"]))]
pub(crate) struct TokenizeArgs {
    /// The model file, in GGUF format
    model: PathBuf,

    /// The text
    #[arg(long)]
    text: Option<String>,

    /// A file with the text; - is standard input
    #[arg(long)]
    file: Option<PathBuf>,

    /// Take the spelling of a control token for text, as in what a user types
    #[arg(long)]
    no_special: bool,

    /// Print ids and pieces as JSON
    #[arg(long)]
    json: bool,
}

/// Runs `tokenize`.
pub(crate) fn tokenize(args: &TokenizeArgs) -> Result<(), Failure> {
    let text = match (&args.file, &args.text) {
        (Some(file), _) => read_text(file)?,
        (None, text) => text.clone().unwrap_or_default(),
    };
    let tokenizer = Tokenizer::from_gguf(&Gguf::open(&args.model)?)?;
    let ids = tokenizer.encode(&text, !args.no_special)?;
    let pieces = ids.iter().map(|&id| tokenizer.piece(id).unwrap_or_default());
    if args.json {
        let pieces: Vec<&str> = pieces.collect();
        return report::output_json(&json!({ "ids": ids, "pieces": pieces }));
    }
    let mut lines = String::new();
    for (id, piece) in ids.iter().zip(pieces) {
        let _ = writeln!(lines, "{id}\t{}", report::one_line(piece));
    }
    report::output(&lines)
}

const RENDER_EXAMPLES: &str = "\
Examples:
  echo '[{\"role\": \"user\", \"content\": \"Hello\"}]' > messages.json
  halfbyte render model.gguf --messages messages.json
  halfbyte render model.gguf --messages - --no-generation-prompt < messages.json
  halfbyte render model.gguf --messages messages.json --tools tools.json --thinking off

A message may also have \"reasoning_content\", \"tool_calls\", \"tool_call_id\" and \"name\", as in
transformers; tools are a list of {\"type\": \"function\", \"function\": {\"name\": …, \"parameters\": …}}.";

/// Show the prompt that the model's chat template makes of messages
///
/// Prints exactly the prompt, without a line end of its own.
#[derive(clap::Args)]
#[command(after_help = RENDER_EXAMPLES)]
pub(crate) struct RenderArgs {
    /// The model file, in GGUF format
    model: PathBuf,

    /// A JSON file with an array of {"role": …, "content": …}; - is standard input
    #[arg(long, value_name = "FILE")]
    messages: PathBuf,

    /// A JSON file with the list of tools that the model may call; - is standard input
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,

    /// Whether the model shall think first, where the template has a switch for it
    /// [default: as the template has it]
    #[arg(long, value_enum, value_name = "on|off")]
    thinking: Option<Switch>,

    /// End with the last message, not with the beginning of the model's answer
    #[arg(long)]
    no_generation_prompt: bool,
}

/// Runs `render`.
pub(crate) fn render(args: &RenderArgs) -> Result<(), Failure> {
    let options = RenderOptions {
        add_generation_prompt: !args.no_generation_prompt,
        tools: args.tools.as_deref().map(read_tools).transpose()?,
        thinking: args.thinking.map(Switch::is_on),
    };
    let messages = read_messages(&args.messages)?;
    let template = ChatTemplate::from_gguf(&Gguf::open(&args.model)?)?;
    let template = template.ok_or_else(|| Failure::new("this model file has no chat template to render"))?;
    report::prompt_format(Some(&template));
    if options.thinking.is_some() && !template.can_switch_thinking() {
        report::line("the chat template has no switch for thinking");
    }
    report::output(&template.render(&messages, &options)?.text())
}
