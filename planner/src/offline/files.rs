//! The files that the flag `-f` names.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{documents::STDIN, error::Error};

/// The files that are read from a folder, by their extensions. kubectl reads the same.
const EXTENSIONS: [&str; 3] = ["json", "yaml", "yml"];

/// Replaces each folder with the files of Kubernetes objects in it, sorted by name, and if `is_recursive`, also with those
/// in its subfolders.
///
/// # Errors
/// A folder can't be read, or it has no such file.
pub(super) fn expand(paths: &[String], is_recursive: bool) -> Result<Vec<String>, Error> {
    let mut files = Vec::new();
    for path in paths {
        if path == STDIN || !Path::new(path).is_dir() {
            files.push(path.clone());
            continue;
        }
        let before = files.len();
        add_folder(Path::new(path), is_recursive, &mut files)?;
        if files.len() == before {
            return Err(Error::EmptyFolder {
                folder: path.clone(),
                is_recursive,
            });
        }
    }
    Ok(files)
}

fn add_folder(folder: &Path, is_recursive: bool, files: &mut Vec<String>) -> Result<(), Error> {
    let unreadable = |error: io::Error| Error::Unreadable {
        file: folder.display().to_string(),
        error,
    };
    let entries = fs::read_dir(folder).map_err(unreadable)?;
    let entries: Result<Vec<_>, _> = entries.collect();
    let mut paths: Vec<PathBuf> = entries
        .map_err(unreadable)?
        .iter()
        .map(fs::DirEntry::path)
        .collect();
    paths.sort();
    for path in paths {
        // A link to a folder isn't followed, because it may lead back to a folder that contains it.
        let is_link = path.is_symlink();
        if path.is_dir() {
            if is_recursive && !is_link {
                add_folder(&path, is_recursive, files)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
        {
            files.push(path.to_string_lossy().into_owned());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(files: &[String], folder: &Path) -> Vec<String> {
        let prefix = format!("{}/", folder.display());
        files.iter().map(|file| file.replace(&prefix, "")).collect()
    }

    #[test]
    fn folder_is_replaced_with_its_files_and_if_recursive_with_those_of_subfolders() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        fs::create_dir_all(folder.join("sub/deep")).unwrap();
        for file in [
            "b.yaml",
            "a.json",
            "c.yml",
            "notes.txt",
            "sub/d.yaml",
            "sub/deep/e.json",
        ] {
            fs::write(folder.join(file), "").unwrap();
        }
        std::os::unix::fs::symlink(folder, folder.join("sub/loop")).unwrap();
        let path = folder.display().to_string();
        let flat = expand(std::slice::from_ref(&path), false).unwrap();
        assert_eq!(names(&flat, folder), ["a.json", "b.yaml", "c.yml"]);
        let deep = expand(&[path, "-".to_owned(), "other.txt".to_owned()], true).unwrap();
        let expected = [
            "a.json",
            "b.yaml",
            "c.yml",
            "sub/d.yaml",
            "sub/deep/e.json",
            "-",
            "other.txt",
        ];
        assert_eq!(names(&deep, folder), expected);
    }

    #[test]
    fn folder_without_files_of_objects_is_refused() {
        let empty = tempfile::tempdir().unwrap();
        let empty = empty.path().display().to_string();
        let message = |is_recursive| {
            let error = expand(std::slice::from_ref(&empty), is_recursive).unwrap_err();
            error.to_string()
        };
        assert_eq!(
            message(false),
            format!("{empty}: the folder has no .json, .yaml or .yml file; -R also reads its subfolders")
        );
        assert_eq!(
            message(true),
            format!("{empty}: the folder has no .json, .yaml or .yml file in it or in its subfolders")
        );
    }
}
