//! Rules of this repository which no compiler checks.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};

use crate::readme;

/// Folders at the top. A new one needs a reason in DESIGN.md.
const FOLDERS: &[&str] = &[
    "ota-core",
    "ota-psoc6",
    "ota-psoc64",
    "ota-sim",
    "ota-cli",
    "examples",
    "benches",
    "tests",
    "fuzz",
    "xtask",
];

/// Folders whose name starts with a dot and which belong to the repository; others are somebody's tools.
const DOT_FOLDERS: &[&str] = &[".cargo", ".ci", ".config", ".github"];

/// What cargo and version control put anywhere in the tree.
const GENERATED: &[&str] = &["target", ".git"];

/// Where a file has outgrown one owner and one screen of public items; said, not enforced.
const LONG_FILE_LINES: usize = 450;
/// Where it must be cut.
const MAX_FILE_LINES: usize = 600;

/// First folders of absolute paths: a file that names one works on one machine only.
const MACHINE_FOLDERS: &[&str] = &["work", "home", "root", "tmp", "Users"];

/// Endings of files that people write.
const WRITTEN: &[&str] = &["rs", "toml", "md", "yml", "sh", "x", "json"];

/// Checks everything and prints each breach.
pub(crate) fn run() -> anyhow::Result<()> {
    let root = crate::root();
    let mut breaches = folders(&root)?;
    let files = files(&root)?;
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(&root).unwrap_or(path).display().to_string();
        breaches.extend(check_file(&name, &text));
    }
    if let Err(error) = readme::quick_start() {
        breaches.push(format!("{error:#}"));
    }
    for breach in &breaches {
        println!("tidy: {breach}");
    }
    if !breaches.is_empty() {
        bail!("{} breaches of the repository's rules", breaches.len());
    }
    println!("{} files", files.len());
    Ok(())
}

fn folders(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut breaches = Vec::new();
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let ours = FOLDERS.contains(&name.as_str());
        let ignored = name.starts_with('.') || GENERATED.contains(&name.as_str());
        if entry.file_type()?.is_dir() && !ours && !ignored {
            breaches.push(format!("{name}/: not a folder of this repository (see xtask/src/tidy.rs)"));
        }
    }
    Ok(breaches)
}

/// All files that people write, in a fixed order.
fn files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = entry.path();
            let kind = entry.file_type()?;
            if kind.is_dir() {
                let foreign = name.starts_with('.') && !DOT_FOLDERS.contains(&name.as_str());
                if !foreign && !GENERATED.contains(&name.as_str()) {
                    folders.push(path);
                }
            } else if kind.is_file() {
                let ending = path.extension().map(|ending| ending.to_string_lossy().into_owned());
                let script = folder.ends_with(".ci");
                if script || ending.is_some_and(|ending| WRITTEN.contains(&ending.as_str())) {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

fn check_file(name: &str, text: &str) -> Vec<String> {
    let mut breaches = Vec::new();
    let lines = text.lines().count();
    if name.ends_with(".rs") {
        if lines > MAX_FILE_LINES {
            breaches.push(format!("{name}: {lines} lines, limit {MAX_FILE_LINES}: cut it"));
        } else if lines > LONG_FILE_LINES {
            println!("tidy: note: {name}: {lines} lines, aim at {LONG_FILE_LINES}");
        }
    }
    for (index, line) in text.lines().enumerate() {
        if let Some(path) = machine_path(line) {
            breaches.push(format!("{name}:{}: names a place of one machine: {path}", index + 1));
        }
    }
    breaches
}

/// An absolute path of somebody's machine in `line`.
fn machine_path(line: &str) -> Option<&str> {
    MACHINE_FOLDERS.iter().find_map(|folder| {
        line.match_indices(&format!("/{folder}/")).find_map(|(at, _)| {
            // In the middle of a longer path or of a URL it is something else.
            let starts = line[..at].chars().next_back().is_none_or(|before| " \t\"'`(=:<[".contains(before));
            starts.then(|| line[at..].split([' ', '"', '\'', '`', ')', '>']).next().unwrap_or_default())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_files_are_breaches_from_the_limit_on() {
        let text = |lines: usize| "x\n".repeat(lines);
        assert_eq!(check_file("a.rs", &text(MAX_FILE_LINES)), Vec::<String>::new());
        assert_eq!(check_file("a.rs", &text(MAX_FILE_LINES + 1)).len(), 1);
        // Prose is as long as it is.
        assert_eq!(check_file("A.md", &text(MAX_FILE_LINES + 1)), Vec::<String>::new());
    }

    #[test]
    fn places_of_one_machine_are_found_and_urls_are_not() {
        for folder in MACHINE_FOLDERS {
            let path = format!("/{folder}/me/image.bin");
            for line in
                [path.clone(), format!("open(\"{path}\")"), format!("see `{path}`."), format!("A={path}")]
            {
                assert_eq!(machine_path(&line), Some(path.as_str()), "{line}");
                assert_eq!(check_file("a.md", &line).len(), 1);
            }
            assert_eq!(machine_path(&format!("https://example.com/{folder}/page")), None);
            assert_eq!(machine_path(&format!("../{folder}/page")), None);
        }
    }

    #[test]
    fn the_tree_is_walked_without_what_is_generated() {
        let files = files(&crate::root()).expect("the tree can be read");
        assert!(files.iter().any(|path| path.ends_with("xtask/src/tidy.rs")));
        assert!(files.iter().any(|path| path.ends_with(".ci/run")));
        assert!(files.iter().all(|path| !path.components().any(|part| part.as_os_str() == "target")));
    }
}
