//! The arrows between folders and files, as `docs/architecture.md` has them.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use super::docs::root;

/// Files by the path of their module, such as `matrix::e2ee::trust`.
type Modules = BTreeMap<String, String>;

/// The sources without their tests: what a release is built from.
fn modules() -> Modules {
    fn collect(directory: &Path, prefix: &str, modules: &mut Modules) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let below = |name: &str| match prefix {
                "" => name.to_owned(),
                prefix => format!("{prefix}::{name}"),
            };
            let is_test = name.ends_with("tests") || name.ends_with("_table");
            if is_test || name.starts_with("fake") || name == "lib" || name == "main" {
                continue;
            }
            if path.is_dir() {
                collect(&path, &below(&name), modules);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let module = match name.as_str() {
                    "mod" => prefix.to_owned(),
                    name => below(name),
                };
                modules.insert(module, fs::read_to_string(&path).unwrap());
            }
        }
    }
    let mut modules = Modules::new();
    collect(&root().join("src"), "", &mut modules);
    modules
}

/// A source without comments and without the tests at its end.
fn code(source: &str) -> String {
    let end = source.find("#[cfg(test)]\nmod tests {");
    let lines = source[..end.unwrap_or(source.len())].lines();
    lines
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// The paths that a tree of `use` names.
fn leaves(prefix: &str, tree: &str, found: &mut Vec<String>) {
    let mut depth = 0;
    let mut parts = vec![String::new()];
    for c in tree.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            c => parts.last_mut().unwrap().push(c),
        }
    }
    for part in parts.iter().map(|part| part.trim()) {
        match part.split_once('{') {
            Some((head, rest)) => {
                let inner = rest.strip_suffix('}').unwrap_or(rest);
                leaves(&format!("{prefix}{head}"), inner, found);
            }
            None if part.is_empty() => {}
            None => {
                let path = part.split(" as ").next().unwrap();
                found.push(format!("{prefix}{path}"));
            }
        }
    }
}

/// All paths of a module that begin in the crate or above the module.
fn paths(code: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = String::new();
    for line in code.split_inclusive(';') {
        let Some((before, tree)) = line.split_once("use ") else {
            rest.push_str(line);
            continue;
        };
        rest.push_str(before);
        let tree = tree.trim_end_matches(';');
        let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        if tree.starts_with("crate") || tree.starts_with("super") {
            leaves("", &tree, &mut found);
        }
    }
    let code = rest;
    for start in ["crate::", "super::"] {
        for (at, _) in code.match_indices(start) {
            // How far something is visible is no import.
            if code[..at].ends_with("(in ") {
                continue;
            }
            let path: String = code[at..]
                .chars()
                .take_while(|c| c.is_alphanumeric() || matches!(c, ':' | '_'))
                .collect();
            found.push(path.trim_end_matches(':').to_owned());
        }
    }
    found
}

/// The module below `parent` that `parent` re-exports this name from.
fn exporter<'a>(modules: &'a Modules, parent: &str, name: &str) -> Option<&'a str> {
    let code = code(&modules[parent]);
    for statement in code.split("pub use ").skip(1) {
        let tree = statement.split(';').next().unwrap();
        let tree = tree.split_whitespace().collect::<Vec<_>>().join(" ");
        let mut exported = Vec::new();
        leaves("", &tree, &mut exported);
        for path in exported {
            let (child, last) = path.rsplit_once("::").unwrap_or((&path, ""));
            let child = format!("{parent}::{child}");
            let Some((child, _)) = modules.get_key_value(&child) else {
                continue;
            };
            if last == name {
                return Some(exporter(modules, child, name).unwrap_or(child));
            }
            if last == "*"
                && let Some(found) = exporter(modules, child, name)
            {
                return Some(found);
            }
        }
    }
    None
}

/// The modules that each module imports from.
fn imports(modules: &Modules) -> BTreeMap<&str, BTreeSet<&str>> {
    let mut all = BTreeMap::new();
    for (module, source) in modules {
        let mut imported = BTreeSet::new();
        for path in paths(&code(source)) {
            let mut segments: Vec<&str> = path.split("::").collect();
            let mut above: Vec<&str> = module.split("::").collect();
            let ups = segments.iter().take_while(|part| **part == "super").count();
            above.truncate(above.len().saturating_sub(ups));
            segments.drain(..ups.max(1));
            let mut target = match ups {
                0 => segments,
                _ => [above, segments].concat(),
            };
            let mut name = "";
            while !target.is_empty() {
                if let Some((known, _)) = modules.get_key_value(&target.join("::")) {
                    let known = exporter(modules, known, name).unwrap_or(known);
                    if known != module {
                        imported.insert(known);
                    }
                    break;
                }
                name = target.pop().unwrap();
            }
        }
        all.insert(module.as_str(), imported);
    }
    all
}

/// The folder of a module; `auth` and `matrix` have folders of their own.
fn folder(module: &str) -> String {
    let mut segments = module.split("::");
    let first = segments.next().unwrap();
    match (first, segments.next()) {
        ("auth", Some(second @ ("jwt" | "keycloak" | "sso"))) | ("matrix", Some(second)) => {
            format!("{first}/{second}")
        }
        _ => first.to_owned(),
    }
}

/// The folders' arrows in the table of the document.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let chapters = text.split("## Layers").nth(1);
    let table = chapters
        .and_then(|chapters| chapters.split("\n## ").next())
        .expect("the chapter is there");
    let rows = table.lines().filter(|line| line.starts_with("| `"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    cells
        .map(|cells| {
            let names = |cell: &str| -> BTreeSet<String> {
                let quoted = cell.split('`').skip(1).step_by(2);
                quoted
                    .map(|name| name.trim_end_matches('/').to_owned())
                    .collect()
            };
            let folder = names(cells[1]).into_iter().next().unwrap();
            (folder, names(cells[3]))
        })
        .collect()
}

#[test]
fn folders_import_what_the_document_says() {
    let modules = modules();
    let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (module, imported) in imports(&modules) {
        let from = folder(module);
        let to = imported.into_iter().map(folder).filter(|to| *to != from);
        arrows.entry(from.clone()).or_default().extend(to);
    }
    // It only names its folders.
    arrows.remove("matrix");
    for (folder, imported) in &arrows {
        let rows: Vec<String> = imported.iter().map(|name| format!("`{name}`")).collect();
        assert_eq!(
            documented().get(folder),
            Some(imported),
            "docs/architecture.md, Layers, {folder}: {}",
            rows.join(", ")
        );
    }
    assert_eq!(
        documented().len(),
        arrows.len(),
        "a folder that is not there"
    );
    // What the layers are for.
    for (lower, unknown) in [
        ("control", "matrix/client store kube net crypto bot config"),
        (
            "matrix/client",
            "store crypto matrix/e2ee matrix/session bot",
        ),
        ("matrix/e2ee", "net matrix/session bot kube config"),
        ("matrix/session", "store kube bot config login"),
        ("store", "matrix/client matrix/e2ee net control"),
        ("crypto", "store net matrix/client"),
        ("auth/sso", "auth/keycloak auth/jwt"),
        ("auth/jwt", "auth/keycloak auth/sso"),
        ("kube", "matrix/client matrix/e2ee store bot config"),
    ] {
        for name in unknown.split(' ') {
            assert!(
                !arrows[lower].contains(name),
                "{lower} must not know {name}"
            );
        }
    }
}

#[test]
fn no_two_files_and_no_two_folders_import_each_other() {
    fn reach<'a>(
        from: &'a str,
        edges: &BTreeMap<&'a str, BTreeSet<&'a str>>,
        seen: &mut BTreeSet<&'a str>,
    ) {
        for next in edges.get(from).into_iter().flatten() {
            if seen.insert(next) {
                reach(next, edges, seen);
            }
        }
    }
    let modules = modules();
    let mut edges = imports(&modules);
    // A `mod.rs` only re-exports: what it names is below it, not before it.
    let parents: BTreeSet<&str> = modules
        .keys()
        .filter(|module| {
            let below = format!("{module}::");
            modules.keys().any(|other| other.starts_with(&below))
        })
        .map(String::as_str)
        .collect();
    edges.retain(|module, _| !parents.contains(module));
    let mut circles = Vec::new();
    for module in edges.keys() {
        let mut seen = BTreeSet::new();
        reach(module, &edges, &mut seen);
        if seen.contains(module) {
            circles.push(*module);
        }
    }
    assert!(circles.is_empty(), "in a circle of imports: {circles:#?}");
    let folders: BTreeMap<String, BTreeSet<String>> = documented();
    let arrows: BTreeMap<&str, BTreeSet<&str>> = folders
        .iter()
        .map(|(from, to)| (from.as_str(), to.iter().map(String::as_str).collect()))
        .collect();
    for folder in arrows.keys() {
        let mut seen = BTreeSet::new();
        reach(folder, &arrows, &mut seen);
        assert!(!seen.contains(folder), "{folder} is in a circle");
    }
}

/// Time is handed down by the program: a rule that asked the system for it could not be
/// tested at any other time.
#[test]
fn only_the_clock_and_the_log_ask_the_system_for_the_time() {
    let modules = modules();
    let asking = modules
        .iter()
        .filter(|(_, source)| code(source).contains("SystemTime::now"))
        .map(|(module, _)| module.as_str());
    // A line of the log is of the moment at which it is written, wherever that is.
    assert_eq!(
        asking.collect::<Vec<_>>(),
        ["telemetry::logging", "util::clock"]
    );
    let program = fs::read_to_string(root().join("src/main.rs")).unwrap();
    for (module, source) in &modules {
        let makes = code(source).contains("Clock::system()");
        assert!(!makes, "{module} makes a clock of its own");
    }
    assert!(program.contains("Clock::system()"));
}

/// Every file that the documents of the source name is there.
#[test]
fn every_file_that_the_architecture_names_is_there() {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let quoted = text.split('`').skip(1).step_by(2);
    let mut count = 0;
    for name in
        quoted.filter(|name| name.ends_with(".rs") && name.contains('/') && !name.contains('*'))
    {
        let in_source = root().join("src").join(name);
        let in_repository = root().join(name);
        assert!(in_source.is_file() || in_repository.is_file(), "no {name}");
        count += 1;
    }
    assert!(count >= 8, "only {count} files are named");
    let walk = text
        .split("## A message on its way")
        .nth(1)
        .expect("the walk");
    let walk = walk.split("\n## ").next().unwrap();
    let files: BTreeSet<&str> = walk
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|name| name.ends_with(".rs"))
        .collect();
    assert!(files.len() <= 8, "a message crosses {} files", files.len());
}
