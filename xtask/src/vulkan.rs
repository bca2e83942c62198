//! A Vulkan driver for wgpu: is one there, and if not, may a software one be installed?
//!
//! The check reads what the Vulkan loader reads (the drivers' manifests) and opens no device, so it
//! is cheap; whether a driver is of use is for the runtime to find out.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Error, Result};
use crate::shell;

/// Debian's drivers, the software one (lavapipe) among them, and the loader.
const PACKAGES: [&str; 2] = ["mesa-vulkan-drivers", "libvulkan1"];

/// Where the loader looks for manifests, as its interface document lists them.
const MANIFEST_FOLDERS: [&str; 4] = [
    "/etc/xdg/vulkan/icd.d",
    "/etc/vulkan/icd.d",
    "/usr/local/share/vulkan/icd.d",
    "/usr/share/vulkan/icd.d",
];

/// Returns when a driver is there, installing a software one when there is none.
///
/// Systems other than Linux bring their own graphics driver or none; there is nothing to install.
///
/// # Errors
/// When there is no driver and none can be installed; the message says how to get one.
pub(crate) fn ensure_driver() -> Result<()> {
    if !cfg!(target_os = "linux") || is_there() {
        return Ok(());
    }
    install()?;
    if is_there() {
        return Ok(());
    }
    Err(missing("none is found after the installation"))
}

fn is_there() -> bool {
    let listed = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];
    let listed = listed.into_iter().find_map(std::env::var_os);
    has_loader() && has_manifest(listed, &MANIFEST_FOLDERS)
}

/// Whether the dynamic linker knows the loader. `/sbin` is named because it is not on every user's
/// path.
fn has_loader() -> bool {
    let libraries = |ldconfig| shell::output(Command::new(ldconfig).arg("-p"));
    ["ldconfig", "/sbin/ldconfig"].into_iter().any(|ldconfig| libraries(ldconfig).contains("libvulkan.so.1"))
}

/// Whether a manifest is in `folders` or, when the user lists files and folders to take their place
/// (`listed`, separated as in `PATH`), among those.
fn has_manifest(listed: Option<OsString>, folders: &[impl AsRef<Path>]) -> bool {
    let places: Vec<PathBuf> = match listed {
        Some(listed) => std::env::split_paths(&listed).collect(),
        None => folders.iter().map(|folder| folder.as_ref().into()).collect(),
    };
    places.iter().any(|place| is_manifest(place) || holds_manifest(place))
}

fn is_manifest(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "json") && path.is_file()
}

fn holds_manifest(folder: &Path) -> bool {
    let mut entries = folder.read_dir().into_iter().flatten().flatten();
    entries.any(|entry| is_manifest(&entry.path()))
}

fn install() -> Result<()> {
    let Some(privilege) = Privilege::find() else {
        return Err(missing("installing one takes apt-get, and root or sudo without a password"));
    };
    eprintln!("There is no Vulkan driver; installing a software one:");
    // A package source that cannot be reached need not be the one that has these packages.
    let _ = shell::run(privilege.apt_get().arg("update"));
    let install = ["install", "--yes", "--no-install-recommends"];
    shell::run(privilege.apt_get().args(install).args(PACKAGES)).map_err(|error| missing(&error.to_string()))
}

/// How this user may install packages.
enum Privilege {
    Root,
    Sudo,
}

impl Privilege {
    fn find() -> Option<Self> {
        if !shell::succeeds(Command::new("apt-get").arg("--version")) {
            None
        } else if shell::output(Command::new("id").arg("-u")).trim() == "0" {
            Some(Self::Root)
        } else if shell::succeeds(Command::new("sudo").args(["-n", "true"])) {
            Some(Self::Sudo)
        } else {
            None
        }
    }

    /// `apt-get` with the rights to install, asking nothing.
    fn apt_get(&self) -> Command {
        let mut command = match self {
            Self::Root => Command::new("env"),
            Self::Sudo => {
                let mut sudo = Command::new("sudo");
                sudo.args(["-n", "env"]);
                sudo
            }
        };
        command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "--quiet"]);
        command
    }
}

fn missing(why: &str) -> Error {
    Error::failed(format!(
        "there is no Vulkan driver: {why}. To get one on Debian, as root: apt-get install {}",
        PACKAGES.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::*;

    #[test]
    fn a_manifest_in_any_folder_counts() {
        let root = tempfile::tempdir().unwrap();
        let folders = [root.path().join("absent"), root.path().join("present")];
        assert!(!has_manifest(None, &folders));

        std::fs::create_dir(&folders[1]).unwrap();
        std::fs::write(folders[1].join("README"), "").unwrap();
        assert!(!has_manifest(None, &folders));

        std::fs::write(folders[1].join("lvp_icd.x86_64.json"), "{}").unwrap();
        assert!(has_manifest(None, &folders));
    }

    #[test]
    fn what_the_user_lists_takes_the_place_of_the_folders() {
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("some_icd.json");
        std::fs::write(&file, "{}").unwrap();
        let standard = [root.path()];
        let absent = root.path().join("absent.json");
        let listed = |paths: &[&Path]| Some(std::env::join_paths(paths).unwrap());

        assert!(!has_manifest(listed(&[&absent]), &standard));
        assert!(has_manifest(listed(&[&absent, &file]), &standard));
        assert!(has_manifest(listed(&[root.path()]), &[&absent]));
        assert!(!has_manifest(Some(OsString::new()), &standard));
    }

    #[test]
    fn a_missing_driver_comes_with_how_to_get_one() {
        let message = missing("apt-get failed").to_string();
        assert!(message.contains("apt-get failed"));
        assert!(message.contains("apt-get install mesa-vulkan-drivers libvulkan1"));
    }
}
