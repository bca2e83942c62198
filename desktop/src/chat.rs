//! `halfbyte chat`: a conversation, or one question.

use std::io::{self, BufRead, IsTerminal};
use std::sync::Arc;

use halfbyte::{Message, Model, Session, SessionOptions, StopReason};
use rustyline::config::Behavior;
use rustyline::error::ReadlineError;
use rustyline::{Config, DefaultEditor};
use serde_json::json;

use crate::answer::{self, Answer, Interrupt};
use crate::failure::Failure;
use crate::options::{AnswerArgs, ModelArgs, Switch};
use crate::report;

const EXAMPLES: &str = "\
Examples:
  halfbyte chat model.gguf
  halfbyte chat model.gguf \"Why is the sky blue?\"
  halfbyte chat model.gguf --system \"Answer like a pirate.\" --temperature 1
  halfbyte chat model.gguf \"List three fruits\" --seed 7 --max-tokens 60 --json
  halfbyte chat model.gguf \"Is 91 a prime?\" --thinking off
  printf 'Hello\\nTell me more\\n' | halfbyte chat model.gguf      each line is a turn

In a conversation, Ctrl-C stops the answer; at the prompt it ends the program, as Ctrl-D does.
/new begins a new conversation, /exit ends the program.

What a reasoning model thinks before it answers is shown dimmed on standard error when that is a
terminal, and is not told to the model again. --json has it apart, in \"thought\".";

/// Talk with a model, or ask it one question
///
/// The conversation goes through the chat template in the model file, or a built-in one that fits
/// the file's control tokens. A model without either continues what is said as a plain text. Nothing
/// leaves this machine and nothing is stored.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    model: ModelArgs,

    /// The question; without it, a conversation begins
    question: Option<String>,

    /// Instructions for the model that come before the conversation
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,

    /// Whether the model shall think before it answers, where its chat template has a switch for it
    /// [default: as the template has it]
    #[arg(long, value_enum, value_name = "on|off")]
    thinking: Option<Switch>,

    /// Print the answer, the thought before it, why it ended and what it cost as JSON, when it is complete
    #[arg(long, requires = "question")]
    json: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

/// Runs the command.
pub(crate) fn chat(args: &Args) -> Result<(), Failure> {
    let model = args.model.open()?;
    let device = report::device(model.device());
    report::line(format_args!("running on {device}"));
    report::prompt_format(model.chat_template());
    let Some(question) = &args.question else {
        // The line editor takes Ctrl-C over when it is made, and the chat takes it from there.
        let questions = Questions::open()?;
        return Chat::new(&model, args)?.converse(questions);
    };
    let mut chat = Chat::new(&model, args)?;
    match args.json {
        true => chat.answer_in_json(question, &model),
        false => chat.answer(question)?.outcome(),
    }
}

/// A conversation.
struct Chat {
    session: Session,
    interrupt: Interrupt,
    messages: Vec<Message>,
    /// Messages that a new conversation begins with.
    opening: usize,
    seed: u64,
    reports_speed: bool,
}

impl Chat {
    fn new(model: &Arc<Model>, args: &Args) -> Result<Chat, Failure> {
        let thinking = args.thinking.map(Switch::is_on);
        let options = SessionOptions { thinking, ..args.answer.session_options() };
        let seed = options.sampler.seed;
        let session = Session::new(Arc::clone(model), options)?;
        let messages: Vec<Message> = args.system.iter().map(Message::system).collect();
        Ok(Chat {
            interrupt: Interrupt::install(session.cancel_handle()),
            session,
            opening: messages.len(),
            messages,
            seed,
            reports_speed: args.answer.verbose || report::is_watched(),
        })
    }

    /// Answers until there are no more questions.
    fn converse(&mut self, mut questions: Questions) -> Result<(), Failure> {
        while let Some(question) = questions.next()? {
            match question.trim() {
                "" => {}
                "/exit" => break,
                "/new" => self.messages.truncate(self.opening),
                _ => match self.answer(&question) {
                    Err(failure @ Failure::Runtime(_)) if questions.are_typed() => {
                        report::line(format_args!("error: {failure}"));
                    }
                    answered => drop(answered?),
                },
            }
        }
        Ok(())
    }

    /// Streams the answer to a question.
    fn answer(&mut self, question: &str) -> Result<Answer, Failure> {
        let answer = self.turn(question, answer::print)?;
        if answer.stop == StopReason::ContextFull {
            report::line("the context is full: /new begins a new conversation, --ctx gives more room");
        }
        if self.reports_speed {
            report::line(report::speed(self.session.stats()));
        }
        Ok(answer)
    }

    fn answer_in_json(&mut self, question: &str, model: &Model) -> Result<(), Failure> {
        let answer = self.turn(question, |session| answer::pull(session, |_| Ok(())))?;
        report::output_json(&json!({
            "thought": answer.thought_json(),
            "answer": answer.text,
            "stop": report::stop_name(answer.stop),
            "seed": self.seed,
            "stats": report::stats_json(self.session.stats()),
            "device": report::device_json(model.device()),
        }))?;
        answer.outcome()
    }

    /// Adds a question and its answer, complete or not, to the conversation; neither if it fails.
    fn turn(
        &mut self,
        question: &str,
        pull: impl FnOnce(&mut Session) -> Result<Answer, Failure>,
    ) -> Result<Answer, Failure> {
        let before = self.messages.len();
        self.messages.push(Message::user(question));
        let started = self.session.start(&self.messages);
        let answer =
            started.map_err(Failure::from).and_then(|()| self.interrupt.during(|| pull(&mut self.session)));
        match &answer {
            Ok(_) => self.messages.push(self.session.reply()),
            Err(_) => self.messages.truncate(before),
        }
        answer
    }
}

/// Where questions come from.
enum Questions {
    /// Someone types them; prompt and echo go to the terminal itself, not to standard output.
    Typed(Box<DefaultEditor>),
    /// A line of standard input each.
    Piped(io::StdinLock<'static>),
}

impl Questions {
    fn open() -> Result<Questions, Failure> {
        if !io::stdin().is_terminal() {
            return Ok(Questions::Piped(io::stdin().lock()));
        }
        report::line("Ask something. Ctrl-C stops an answer, /new begins anew, /exit ends.");
        let config = Config::builder().behavior(Behavior::PreferTerm).auto_add_history(true).build();
        let editor = DefaultEditor::with_config(config).map_err(|e| no_terminal(&e))?;
        Ok(Questions::Typed(Box::new(editor)))
    }

    fn are_typed(&self) -> bool {
        matches!(self, Questions::Typed(_))
    }

    /// The next question; `None` when there are no more.
    fn next(&mut self) -> Result<Option<String>, Failure> {
        match self {
            Questions::Typed(editor) => match editor.readline("> ") {
                Ok(line) => Ok(Some(line)),
                Err(ReadlineError::Eof | ReadlineError::Interrupted) => Ok(None),
                Err(error) => Err(no_terminal(&error)),
            },
            Questions::Piped(input) => {
                let mut line = String::new();
                match input.read_line(&mut line) {
                    Ok(0) => Ok(None),
                    Ok(_) => Ok(Some(line.trim_end_matches(['\r', '\n']).into())),
                    Err(error) => Err(Failure::read("standard input".as_ref(), &error)),
                }
            }
        }
    }
}

fn no_terminal(error: &ReadlineError) -> Failure {
    Failure::new(format!("cannot read from the terminal: {error}"))
}
