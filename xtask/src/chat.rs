//! `cargo xtask chat`: from a fresh clone to an answer.

use std::path::Path;
use std::process::Command;

use crate::args::ChatRequest;
use crate::error::Result;
use crate::{model, shell, vulkan};

/// Fetches the model, sees to a Vulkan driver, builds `halfbyte` and becomes `halfbyte chat`.
///
/// # Errors
/// When the model cannot be fetched or the program cannot be built. A missing driver is not an
/// error: the model then runs on the CPU.
pub(crate) fn chat(request: ChatRequest) -> Result<()> {
    let model = model::SMOLLM2.ensure()?;
    if !asks_for_cpu(&request.options)
        && let Err(reason) = vulkan::ensure_driver()
    {
        eprintln!("{reason}. Continuing without it, on the CPU.");
    }
    shell::run(&mut halfbyte("build"))?;
    shell::replace_with(halfbyte("run").args(["--quiet", "--"]).args(words(&model, &request)))
}

/// `cargo build` or `cargo run` for the desktop program, from any folder.
fn halfbyte(subcommand: &str) -> Command {
    let manifest = shell::workspace().join("Cargo.toml");
    let mut command = shell::cargo(subcommand);
    command.args(["--release", "--package", "halfbyte-desktop", "--manifest-path"]);
    command.arg(manifest);
    command
}

/// The command line that `halfbyte` gets.
fn words<'a>(model: &'a Path, request: &'a ChatRequest) -> Vec<&'a std::ffi::OsStr> {
    let question = request.question.iter().map(String::as_ref);
    let options = request.options.iter().map(String::as_ref);
    let fixed = ["chat".as_ref(), model.as_os_str()];
    fixed.into_iter().chain(question).chain(options).collect()
}

fn asks_for_cpu(options: &[String]) -> bool {
    let pairs = options.windows(2);
    options.iter().any(|option| option == "--backend=cpu")
        || pairs.into_iter().any(|pair| pair == ["--backend", "cpu"])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(question: Option<&str>, options: &[&str]) -> ChatRequest {
        ChatRequest {
            question: question.map(str::to_owned),
            options: options.iter().map(|&option| option.to_owned()).collect(),
        }
    }

    #[test]
    fn the_question_and_the_options_follow_the_model() {
        let model = Path::new("/cache/m.gguf");
        let one = request(Some("Why?"), &["--seed", "1"]);
        assert_eq!(words(model, &one), ["chat", "/cache/m.gguf", "Why?", "--seed", "1"]);
        let interactive = ChatRequest::default();
        assert_eq!(words(model, &interactive), ["chat", "/cache/m.gguf"]);
    }

    #[test]
    fn no_driver_is_wanted_where_the_cpu_is_asked_for() {
        assert!(asks_for_cpu(&request(None, &["--seed", "1", "--backend", "cpu"]).options));
        assert!(asks_for_cpu(&request(None, &["--backend=cpu"]).options));
        assert!(!asks_for_cpu(&request(None, &["--backend", "gpu"]).options));
        assert!(!asks_for_cpu(&request(None, &["--system", "cpu"]).options));
        assert!(!asks_for_cpu(&[]));
    }
}
