//! Other programs: how they are found and run.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::error::{Error, Result};

/// The folder of the workspace.
pub(crate) fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

/// The cargo that runs this program.
pub(crate) fn cargo(subcommand: &str) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.arg(subcommand);
    command
}

/// The name of a Python that has pip.
///
/// # Errors
/// When there is none.
pub(crate) fn python() -> Result<&'static str> {
    ["python3", "python"]
        .into_iter()
        .find(|name| succeeds(Command::new(name).args(["-m", "pip", "--version"])))
        .ok_or_else(|| {
            Error::failed(
                "Python with pip is needed to fetch what this command works with; \
                 on Debian: apt-get install python3-pip",
            )
        })
}

/// Runs `command` to its end: no input, and its output on standard error.
///
/// # Errors
/// When it cannot be started or reports a failure.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    command.stdin(Stdio::null()).stdout(std::io::stderr());
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Error::failed(format!("{name} stopped with {status}"))),
        Err(cause) => Err(Error::failed(format!("{name} did not start: {cause}"))),
    }
}

/// Whether `command` starts and reports success; it is neither seen nor heard.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    let silent = command.stdin(Stdio::null()).stdout(Stdio::null());
    let status = silent.stderr(Stdio::null()).status();
    status.is_ok_and(|status| status.success())
}

/// What `command` prints on standard output, empty when it cannot be run.
pub(crate) fn output(command: &mut Command) -> String {
    let output = command.stdin(Stdio::null()).output();
    output.map_or(String::new(), |output| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` in the place of this program, as the last thing it does: the two share the
/// terminal, and the exit code is that of `command`.
///
/// # Errors
/// When it cannot be started.
pub(crate) fn replace_with(command: &mut Command) -> Result<()> {
    let name = command.get_program().to_string_lossy().into_owned();
    let cause = match hand_over(command) {
        Ok(never) => match never {},
        Err(cause) => cause,
    };
    Err(Error::failed(format!("{name} did not start: {cause}")))
}

#[cfg(unix)]
fn hand_over(command: &mut Command) -> std::io::Result<std::convert::Infallible> {
    Err(std::os::unix::process::CommandExt::exec(command))
}

#[cfg(not(unix))]
fn hand_over(command: &mut Command) -> std::io::Result<std::convert::Infallible> {
    let status = command.status()?;
    std::process::exit(status.code().unwrap_or(1))
}
