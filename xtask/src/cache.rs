//! Where this program keeps what it has fetched.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::error::{Error, Result};

/// The folder `name` of Halfbyte in the user's cache folder, whether or not it exists.
///
/// # Errors
/// When the user has no folder for caches.
pub(crate) fn folder(name: &str) -> Result<PathBuf> {
    let base = user_caches(std::env::var_os("XDG_CACHE_HOME"), std::env::home_dir());
    let base =
        base.ok_or_else(|| Error::failed("there is no home folder to keep files in: set XDG_CACHE_HOME"))?;
    Ok(base.join("halfbyte").join(name))
}

/// Where caches are kept, as the XDG base directory specification has it: a relative
/// `XDG_CACHE_HOME` does not count.
fn user_caches(xdg_cache_home: Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    let xdg = xdg_cache_home.map(PathBuf::from);
    let chosen = xdg.filter(|path| path.is_absolute());
    chosen.or_else(|| home.map(|home| home.join(".cache")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_where_the_user_keeps_caches() {
        let home = || Some(PathBuf::from("/home/ada"));
        let caches = |xdg: Option<&str>, home| user_caches(xdg.map(OsString::from), home);

        let chosen = Some(PathBuf::from("/scratch"));
        assert_eq!(caches(Some("/scratch"), home()), chosen);
        assert_eq!(caches(Some("/scratch"), None), chosen);

        let usual = Some(PathBuf::from("/home/ada/.cache"));
        for xdg in [None, Some(""), Some("relative")] {
            assert_eq!(caches(xdg, home()), usual);
        }
        assert_eq!(caches(None, None), None);
    }
}
