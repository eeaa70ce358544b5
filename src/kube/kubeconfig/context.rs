//! The choice of a context, and of the cluster and the user that it names, among several
//! files: the first file that has a name decides what is meant by it, as kubectl merges
//! them
//! (<https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig/#merging-kubeconfig-files>).

use super::entry::Entry;
use super::fault::{Fault, Subject, quoted};
use super::files::{Document, Inputs};
use super::yaml::{Node, Value};
use crate::util::SortedSet;

/// The names that a fault lists.
const MAX_NAMED: usize = 10;

const AS_KUBECTL: &str = "write it as kubectl config view --flatten --raw prints it";

/// A context with what it names.
pub(super) struct Context<'a> {
    pub(super) name: String,
    pub(super) cluster: Entry<'a>,
    pub(super) user: Entry<'a>,
}

/// The entries of one of the lists, by name.
struct Named<'a>(Vec<(&'a str, Entry<'a>)>);

impl<'a> Named<'a> {
    /// Reads the list `plural` of all files, whose entries have a name and the fields below
    /// `singular`.
    fn read(documents: &'a [Document], plural: &str, singular: &str, inputs: &mut Inputs) -> Self {
        let mut all = Vec::new();
        let mut taken = SortedSet::new();
        for document in documents {
            let Some(list) = document.root.get(plural) else {
                continue;
            };
            let mut note = |path: &str, line, problem: &str| {
                let fault = Fault::of_field(&document.file, path, line, problem, AS_KUBECTL);
                inputs.faults.push(fault);
            };
            let Value::List(items) = &list.value else {
                note(plural, list.line, "is not a list");
                continue;
            };
            let mut own = SortedSet::new();
            for (at, item) in items.iter().enumerate() {
                let path = format!("{plural}[{at}]");
                let Some(name) = item.get("name").and_then(text) else {
                    note(&path, item.line, "has no name");
                    continue;
                };
                if !own.insert(name) {
                    note(
                        &format!("{path}.name"),
                        item.line,
                        "is the name of another, too",
                    );
                    continue;
                }
                if !taken.insert(name) {
                    continue;
                }
                let node = item.get(singular);
                let entry = Entry {
                    file: &document.file,
                    mode: document.mode,
                    path: format!("{path}.{singular}"),
                    line: node.map_or(item.line, |node| node.line),
                    node,
                };
                all.push((name, entry));
            }
        }
        Self(all)
    }

    /// Takes out the entry of a name.
    fn take(self, name: &str) -> Option<Entry<'a>> {
        let mut all = self.0.into_iter();
        all.find(|(known, _)| *known == name)
            .map(|(_, entry)| entry)
    }

    /// The names, for a sentence that says what there is.
    fn names(&self) -> String {
        let mut names: Vec<String> = self.0.iter().map(|(name, _)| quoted(name)).collect();
        let more = names.len().saturating_sub(MAX_NAMED);
        names.truncate(MAX_NAMED);
        match (names.is_empty(), more) {
            (true, _) => "no context".to_owned(),
            (_, 0) => names.join(", "),
            (_, more) => format!("{} and {more} more", names.join(", ")),
        }
    }
}

/// The context called `wanted`, or else the current one of the first file that has one.
pub(super) fn choose<'a>(
    documents: &'a [Document],
    wanted: Option<&str>,
    inputs: &mut Inputs,
) -> Option<Context<'a>> {
    let contexts = Named::read(documents, "contexts", "context", inputs);
    let clusters = Named::read(documents, "clusters", "cluster", inputs);
    let users = Named::read(documents, "users", "user", inputs);
    // A file that was not read may be the one that has it.
    if documents.is_empty() {
        return None;
    }
    let current = documents
        .iter()
        .find_map(|document| document.root.get("current-context").and_then(text));
    let Some(name) = wanted.or(current) else {
        inputs.faults.push(Fault {
            subject: Subject::Files,
            problem: format!("names no current-context, and has {}", contexts.names()),
            cure: "choose one by KUBE_CONTEXT, or by kubectl config use-context",
        });
        return None;
    };
    let known = contexts.names();
    let Some(context) = contexts.take(name) else {
        let (subject, cure) = match wanted {
            Some(_) => (Subject::Context, "write one of these, or leave it unset"),
            None => (
                Subject::Files,
                "choose another by kubectl config use-context",
            ),
        };
        let is = match wanted {
            Some(_) => "is",
            None => "has the current-context",
        };
        inputs.faults.push(Fault {
            subject,
            problem: format!("{is} {}, and the kubeconfig has {known}", quoted(name)),
            cure,
        });
        return None;
    };
    let cluster = named(&context, "cluster", clusters, inputs);
    let user = named(&context, "user", users, inputs);
    Some(Context {
        name: name.to_owned(),
        cluster: cluster?,
        user: user?,
    })
}

/// The entry that a field of the context names.
fn named<'a>(
    context: &Entry<'a>,
    field: &str,
    all: Named<'a>,
    inputs: &mut Inputs,
) -> Option<Entry<'a>> {
    let known = inputs.faults.len();
    let Some(name) = context.text(field, inputs) else {
        if inputs.faults.len() == known {
            let cure = "name one by kubectl config set-context";
            let fault = context.fault(field, "is not there", cure);
            inputs.faults.push(fault);
        }
        return None;
    };
    let entry = all.take(name);
    match &entry {
        None => {
            let problem = format!("names {}, which is not there", quoted(name));
            let fault = context.fault(field, &problem, AS_KUBECTL);
            inputs.faults.push(fault);
        }
        Some(entry) if entry.node.is_some_and(|node| !is_map(node)) => {
            let path = &entry.path;
            let problem = "is not a mapping";
            let fault = Fault::of_field(entry.file, path, entry.line, problem, AS_KUBECTL);
            inputs.faults.push(fault);
        }
        Some(_) => {}
    }
    entry
}

fn is_map(node: &Node) -> bool {
    matches!(node.value, Value::Map(_))
}

fn text(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Scalar(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}
