//! The project's own commands, run as `cargo xtask …`.
//!
//! Each human action is one command, and continuous integration calls the same ones. This program
//! is built before anything else on a fresh machine, so it stays small: the standard library, a
//! hash, and the tools that are there anyway (cargo, pip, apt).
//!
//! Standard output carries only a result (the answer, the path); everything else goes to standard
//! error.

mod args;
mod cache;
mod chat;
mod conformance;
mod error;
mod fetch;
mod model;
mod shell;
mod test;
mod vulkan;

use std::process::ExitCode;

use args::Task;
use error::Result;

fn main() -> ExitCode {
    match args::parse(std::env::args_os().skip(1)).and_then(perform) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error}");
            error.exit_code()
        }
    }
}

fn perform(task: Task) -> Result<()> {
    match task {
        Task::Chat(request) => chat::chat(request),
        Task::Model(model) => model.ensure().map(|path| println!("{}", path.display())),
        Task::Conformance => conformance::conformance(),
        Task::Test { only } => test::test(&only),
        Task::Help => {
            print!("{}", args::HELP);
            Ok(())
        }
    }
}
