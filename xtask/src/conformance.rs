//! `cargo xtask conformance`: do tokenizers and chat templates do what their references do?
//!
//! The source package of `llama-cpp-python` carries llama.cpp's test data: vocabularies of real models
//! with texts and their ids from Hugging Face's tokenizers, and chat templates of real models. What
//! the templates should give is rendered by `transformers` itself. The program `conformance` of the
//! tests compares.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::fetch::{self, Asset};
use crate::{cache, shell};

const PACKAGE: &str = "llama-cpp-python==0.3.36";

const ARCHIVE: Asset = Asset {
    file_name: "llama_cpp_python-0.3.36.tar.gz",
    bytes: 76_589_250,
    sha256: "832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e",
};

/// What renders the reference, in exactly these versions.
const RENDERERS: [&str; 2] = ["transformers==5.24.0", "jinja2==3.1.6"];

/// Fetches the data, renders the reference and becomes the program that compares.
///
/// # Errors
/// When something cannot be fetched, installed or built.
pub(crate) fn conformance() -> Result<()> {
    let folder = cache::folder("conformance")?;
    let archive = fetch::ensure(&ARCHIVE, &folder, download)?;
    let models = unpacked(&archive, &folder)?;
    let cases = folder.join("cases.json");
    let mut reference = Command::new(renderer(&folder)?);
    reference.arg(script("reference.py")).arg(models.join("templates")).arg(&cases);
    // The date in a template shall be the same on both sides, and no model is asked for.
    reference.envs([("TZ", "UTC"), ("HF_HUB_OFFLINE", "1"), ("TRANSFORMERS_VERBOSITY", "error")]);
    shell::run(&mut reference)?;
    let mut compare = shell::cargo("run");
    compare.args(["--quiet", "--release", "--package", "halfbyte-tests", "--bin", "conformance"]);
    compare.arg("--manifest-path").arg(shell::workspace().join("Cargo.toml"));
    shell::replace_with(compare.arg("--").arg(models).arg(cases))
}

fn script(name: &str) -> PathBuf {
    shell::workspace().join("xtask/src/conformance").join(name)
}

fn download(scratch: &Path) -> Result<PathBuf> {
    eprintln!("Fetching {} (77 MB, once):", ARCHIVE.file_name);
    fetch::pip_download(PACKAGE, "--no-binary=llama-cpp-python", scratch)?;
    Ok(scratch.join(ARCHIVE.file_name))
}

/// The folder with the vocabularies and templates of `archive`, which appears only when it is whole.
fn unpacked(archive: &Path, folder: &Path) -> Result<PathBuf> {
    let models = folder.join("models-0.3.36");
    if models.is_dir() {
        return Ok(models);
    }
    let partial = folder.join(format!(".models-{}", std::process::id()));
    shell::run(Command::new(shell::python()?).arg(script("unpack.py")).arg(archive).arg(&partial))?;
    match fs::rename(&partial, &models) {
        // Another process was faster.
        Err(_) if models.is_dir() => {
            fs::remove_dir_all(&partial).map_err(Error::io("cannot remove", &partial))?;
        }
        outcome => outcome.map_err(Error::io("cannot write", &models))?,
    }
    Ok(models)
}

/// A Python that has the renderers, installed in an environment of its own if they are not there.
fn renderer(folder: &Path) -> Result<PathBuf> {
    let environment = folder.join("python");
    let python = environment.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let versions = "import importlib.metadata as m, sys; \
                    sys.exit(any(m.version(p) != v for p, v in (r.split('==') for r in sys.argv[1:])))";
    if shell::succeeds(Command::new(&python).args(["-c", versions]).args(RENDERERS)) {
        return Ok(python);
    }
    eprintln!("Installing {} for the reference:", RENDERERS.join(" and "));
    shell::run(Command::new(shell::python()?).args(["-m", "venv", "--clear"]).arg(&environment))?;
    let mut pip = Command::new(&python);
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]);
    shell::run(pip.args(RENDERERS))?;
    Ok(python)
}
