//! `halfbyte run`: continues a text or tokens as they are, or answers messages from a file.

use std::path::PathBuf;
use std::sync::Arc;

use halfbyte::{Session, SessionOptions};
use serde_json::json;

use crate::answer::{self, Interrupt};
use crate::failure::Failure;
use crate::options::{AnswerArgs, Ids, ModelArgs, Switch, read_messages, read_tools};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  halfbyte run model.gguf --prompt \"Once upon a time\" --max-tokens 100
  halfbyte run model.gguf --prompt \"$(cat story.txt)\" --stop \"The End\"
  halfbyte run model.gguf --ids 1,450,7483 --max-tokens 32 --temperature 0 --json
  halfbyte run model.gguf --ids @ids.txt --json
  halfbyte run model.gguf --messages messages.json --tools tools.json --thinking off --json

What a reasoning model thinks first is shown dimmed on standard error when that is a terminal;
--json has it apart, in \"thought\".";

/// Continue a text or a list of token ids, or answer messages
///
/// No chat template is applied to a text or to ids. A text is plain: the spelling of a control token
/// in it stays text. The beginning-of-sequence token comes before a text where the file says so,
/// never before ids. Messages go through the chat template.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
#[command(group = clap::ArgGroup::new("input").required(true).args(["prompt", "ids", "messages"]))]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// The text to continue
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,

    /// The token ids to continue, such as 1,2,3, or @FILE
    #[arg(long, value_name = "IDS", value_parser = Ids::parse)]
    ids: Option<Ids>,

    /// A JSON file with an array of {"role": …, "content": …} to answer; - is standard input
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,

    /// A JSON file with the list of tools that the model may call
    #[arg(long, value_name = "FILE", conflicts_with_all = ["prompt", "ids"])]
    tools: Option<PathBuf>,

    /// Whether the model shall think before it answers, where its chat template has a switch for it
    /// [default: as the template has it]
    #[arg(long, value_enum, value_name = "on|off", conflicts_with_all = ["prompt", "ids"])]
    thinking: Option<Switch>,

    /// Print ids, text, the thought before it, why it ended and what it cost as JSON, when it is complete
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let ids = args.ids.as_ref().map(Ids::read).transpose()?;
    let messages = args.messages.as_deref().map(read_messages).transpose()?;
    let tools = args.tools.as_deref().map(read_tools).transpose()?;
    let model = args.model.open()?;
    let thinking = args.thinking.map(Switch::is_on);
    let options = SessionOptions { thinking, tools, ..args.answer.session_options() };
    let seed = options.sampler.seed;
    let reports = args.answer.verbose || report::is_watched();
    if reports {
        let device = report::device(model.device());
        report::line(format_args!("running on {device}"));
    }
    let mut session = Session::new(Arc::clone(&model), options)?;
    let interrupt = Interrupt::install(session.cancel_handle());
    match (&ids, &messages) {
        (Some(ids), _) => session.start_tokens(ids)?,
        (None, Some(messages)) => {
            report::prompt_format(model.chat_template());
            session.start(messages)?;
        }
        (None, None) => session.start_text(args.prompt.as_deref().unwrap_or_default())?,
    }
    let answer = interrupt.during(|| match args.json {
        true => answer::pull(&mut session, |_| Ok(())),
        false => answer::print(&mut session),
    })?;
    if args.json {
        report::output_json(&json!({
            "prompt_ids": session.prompt(),
            "generated_ids": session.generated(),
            "thought": answer.thought_json(),
            "text": answer.text,
            "stop": report::stop_name(answer.stop),
            "seed": seed,
            "stats": report::stats_json(session.stats()),
            "device": report::device_json(model.device()),
        }))?;
    }
    if reports {
        report::line(report::speed(session.stats()));
    }
    answer.outcome()
}
