//! Files that are written whole or not at all, whatever happens meanwhile. What stands in them is not decided here.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

/// Writes a file so that it is either as before or whole, also after a crash. Where a link leads there it stays one.
///
/// # Errors
/// When it cannot be written; then it is as before.
pub(crate) fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    replace(&target(path), text)
}

/// What a path leads to in the end, be it there or not.
fn target(path: &Path) -> PathBuf {
    let beside = |target: PathBuf| path.parent().unwrap_or(Path::new("")).join(target);
    fs::canonicalize(path).or_else(|_absent| fs::read_link(path).map(beside)).unwrap_or_else(|_no_link| path.to_owned())
}

fn replace(path: &Path, text: &str) -> io::Result<()> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or(ErrorKind::InvalidFilename)?.to_string_lossy();
    let temporary = directory.join(format!(".{name}.{}", std::process::id()));
    // That of a process of the same number that was killed: in a container every gateway may have it.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let written = (|| {
        let mut file = File::create_new(&temporary)?;
        file.write_all(text.as_bytes())?;
        if let Ok(before) = fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        // The name is a matter of the directory.
        File::open(directory)?.sync_all()
    })();
    if written.is_err() {
        // Nothing more can be done about a temporary file that cannot be removed either.
        drop(fs::remove_file(&temporary));
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_replaced_where_its_link_leads_and_keeps_its_rights() {
        let directory = std::env::temp_dir().join(format!("only1mcp-whole-{}", std::process::id()));
        fs::create_dir_all(directory.join("far")).expect("a directory");
        let (far, link) = (directory.join("far/own"), directory.join("link"));
        symlink("far/own", &link).expect("a link");
        write_whole(&link, "one").expect("the first text");
        fs::set_permissions(&far, fs::Permissions::from_mode(0o600)).expect("its rights");
        // What a process that was killed has left behind.
        fs::write(directory.join(format!("far/.own.{}", std::process::id())), "hal").expect("half a file");
        write_whole(&link, "two").expect("the second text");
        assert_eq!(fs::read_to_string(&far).expect("a file"), "two");
        assert!(link.is_symlink());
        assert_eq!(fs::metadata(&far).expect("a file").permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(directory.join("far")).expect("a directory").count(), 1);
        write_whole(&directory.join("absent/own"), "x").expect_err("no such directory");
        fs::remove_dir_all(directory).expect("it goes");
    }
}
