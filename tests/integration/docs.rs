//! The documents' claims about the tests hold: every test they name exists. And no
//! file of the tests is longer than one sitting.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// The names after `start` in all files with this ending below a directory.
fn defined(directory: &Path, ending: &str, start: &str, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_dir() && name != "node_modules" {
            defined(&path, ending, start, names);
        } else if name.ends_with(ending) {
            let text = fs::read_to_string(&path).unwrap();
            for line in text.lines() {
                if let Some(rest) = line.trim_start().strip_prefix(start) {
                    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_');
                    names.insert(rest[..end.unwrap_or(rest.len())].to_owned());
                }
            }
        }
    }
}

/// Names in backticks that look like a test's: three words or more.
fn named(text: &str) -> Vec<&str> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .map(|name| name.trim_start_matches("e2e:").trim())
        .filter(|name| {
            name.matches('_').count() >= 2
                && name
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        })
        .collect()
}

/// The documents about security, and how many names of tests each has at least.
const SECURITY: [(&str, usize); 2] = [("docs/security.md", 80), ("docs/gateway-security.md", 250)];

#[test]
fn every_test_that_the_security_document_names_is_there() {
    let mut tests = BTreeSet::new();
    defined(&root().join("src"), ".rs", "fn ", &mut tests);
    defined(&root().join("tests"), ".rs", "fn ", &mut tests);
    defined(&root().join("tests/e2e"), ".py", "def ", &mut tests);
    for (document, least) in SECURITY {
        let text = fs::read_to_string(root().join(document)).unwrap();
        let named = named(&text);
        let count = named.len();
        assert!(count > least, "{document}: only {count} were found");
        let missing: Vec<&str> = named
            .into_iter()
            .filter(|name| *name != "sender_device_keys" && !tests.contains(*name))
            .collect();
        assert!(
            missing.is_empty(),
            "{document}: no such tests: {missing:#?}"
        );
    }
}

/// Each of these numbers has its row in the document.
fn assert_rows(document: &str, numbers: impl Iterator<Item = u32>) {
    let text = fs::read_to_string(root().join(document)).unwrap();
    for number in numbers {
        assert!(text.contains(&format!("\n| {number} | ")), "{number}");
    }
}

/// Each number of the list has its row.
#[test]
fn every_rule_has_a_row() {
    assert_rows("docs/security.md", (1..=52).chain([54]));
}

/// Each number of the gateway's list that is about a part of this version.
#[test]
fn every_rule_of_the_gateway_has_a_row() {
    let numbers = (1..=19).chain(29..=35).chain(39..=65).chain([73, 74]);
    assert_rows("docs/gateway-security.md", numbers);
}

/// A test file has so many lines at most.
const LONGEST: usize = 500;

/// The files below a directory, but for those that others made.
fn files(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if path.is_file() {
            found.push(path);
        } else if !["node_modules", "target", "corpus"].contains(&name) {
            files(&path, found);
        }
    }
}

#[test]
fn no_test_file_is_longer_than_five_hundred_lines() {
    let mut found = Vec::new();
    files(&root().join("tests"), &mut found);
    let mut source = Vec::new();
    files(&root().join("src"), &mut source);
    found.extend(source.into_iter().filter(|path| {
        let mut folders = path.components();
        folders.any(|folder| folder.as_os_str() == "tests")
    }));
    found.retain(|path| matches!(path.extension(), Some(end) if end == "rs" || end == "py"));
    assert!(found.len() > 150, "only {} were found", found.len());
    let lines = |path: &PathBuf| fs::read_to_string(path).unwrap().lines().count();
    found.retain(|path| lines(path) > LONGEST);
    assert!(found.is_empty(), "longer: {found:#?}");
}
