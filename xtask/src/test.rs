//! `cargo xtask test`: everything that continuous integration runs, in its order.
//!
//! All steps share the release profile, so that dependencies are compiled once for the builds and
//! once for the checks.

use std::process::Command;
use std::time::{Duration, Instant};

use crate::error::{Error, Result};
use crate::model::MODELS;
use crate::{shell, vulkan};

/// One step; the order is that of [`Step::ALL`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Step {
    Tools,
    Driver,
    Models,
    Fmt,
    Clippy,
    Doc,
    Build,
    Test,
}

impl Step {
    pub(crate) const ALL: [Self; 8] = [
        Self::Tools,
        Self::Driver,
        Self::Models,
        Self::Fmt,
        Self::Clippy,
        Self::Doc,
        Self::Build,
        Self::Test,
    ];

    /// What the step is called on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tools => "tools",
            Self::Driver => "driver",
            Self::Models => "models",
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Doc => "doc",
            Self::Build => "build",
            Self::Test => "test",
        }
    }

    /// Every step can be run alone: what it needs of earlier ones, it asks for again.
    fn perform(self) -> Result<()> {
        match self {
            Self::Tools => tools(),
            Self::Driver => vulkan::ensure_driver(),
            Self::Models => models(),
            Self::Fmt => shell::run(cargo("fmt").args(["--all", "--check"])),
            Self::Clippy => shell::run(
                cargo("clippy")
                    .args(["--release", "--workspace", "--all-targets"])
                    .args(["--", "--deny", "warnings"]),
            ),
            Self::Doc => shell::run(
                cargo("doc")
                    .args(["--release", "--workspace", "--no-deps"])
                    .env("RUSTDOCFLAGS", "--deny warnings"),
            ),
            Self::Build => shell::run(cargo("build").args(["--release", "--workspace"])),
            Self::Test => run_tests(),
        }
    }
}

/// Performs the steps `only`, in their usual order, until one fails.
///
/// # Errors
/// That of the step that failed.
pub(crate) fn test(only: &[Step]) -> Result<()> {
    let mut times = Vec::new();
    for step in Step::ALL.into_iter().filter(|step| only.contains(step)) {
        eprintln!("\n== {} ==", step.name());
        let start = Instant::now();
        let outcome = step.perform();
        times.push((step, start.elapsed()));
        if let Err(error) = outcome {
            eprint!("\n{}", summary(&times));
            return Err(Error::failed(format!("{}: {error}", step.name())));
        }
    }
    eprint!("\n{}all passed\n", summary(&times));
    Ok(())
}

/// A line for each step that ran, with its seconds.
fn summary(times: &[(Step, Duration)]) -> String {
    let line = |(step, time): &(Step, Duration)| format!("{:<8}{:>8.1} s\n", step.name(), time.as_secs_f64());
    times.iter().map(line).collect()
}

fn cargo(subcommand: &str) -> Command {
    let mut command = shell::cargo(subcommand);
    command.current_dir(shell::workspace());
    command
}

fn tools() -> Result<()> {
    shell::python()?;
    component("rustfmt", "fmt")?;
    component("clippy", "clippy")
}

/// Sees to a rustup `component`, known to be there when cargo's `subcommand` runs.
fn component(component: &str, subcommand: &str) -> Result<()> {
    if shell::succeeds(cargo(subcommand).arg("--version")) {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    shell::run(rustup.args(["component", "add", component]))
        .map_err(|error| Error::failed(format!("{component} is missing and not installed: {error}")))
}

fn models() -> Result<()> {
    for model in MODELS {
        eprintln!("{}", model.ensure()?.display());
    }
    Ok(())
}

/// The GPU tests fail without an adapter, and those of the real models without the models, so all are
/// seen to first.
fn run_tests() -> Result<()> {
    vulkan::ensure_driver()?;
    let mut test = cargo("test");
    test.args(["--release", "--workspace", "--no-fail-fast"]);
    for model in MODELS {
        test.env(model.variable, model.ensure()?);
    }
    shell::run(&mut test)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_has_a_line_for_each_step() {
        let times = [(Step::Fmt, Duration::from_millis(340)), (Step::Clippy, Duration::from_secs(61))];
        let expected = "fmt          0.3 s\nclippy      61.0 s\n";
        assert_eq!(summary(&times), expected);
    }
}
