//! One call for many workloads of a kind: as a Table, which is a fiftieth of the objects'
//! size (<https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables>).

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use super::api::Api;
use super::api_client::Answer;
use super::call::{Call, collection};
use super::error::Error;
use super::node::Node;
use super::operation::Operation;
use crate::control::progress::Observation;
use crate::control::{Kind, Namespace, ObjectName, Workload};
use crate::json::{Admission, Gate, Many, Shape};
use crate::util::SortedMap;

/// The most rows that are asked for.
const MAX_ROWS: usize = 500;

/// Bytes kept of a Table.
const MAX_KEPT: usize = 64 * 1024;

/// The longest cell, in bytes of JSON text: an object's name has at most 253. A longer one
/// has to keep its place, so that those behind it keep theirs.
const CELL: Shape = Shape::WholeOrPresent(256, "cell");

const COLUMNS: Many = Many {
    what: "column",
    item: Shape::Object(&[("name", Shape::Lenient(64))]),
    size: 128,
    count: 8,
};

/// Those behind the eighth are names of images, selectors and the like.
const CELLS: Many = Many {
    what: "cell",
    item: CELL,
    size: 256,
    count: 8,
};

const ROWS: Many = Many {
    what: "row",
    item: Shape::Object(&[("cells", Shape::List(&CELLS))]),
    size: 1024,
    count: MAX_ROWS,
};

const TABLE: Shape = Shape::Object(&[
    ("kind", Shape::Lenient(64)),
    ("metadata", Shape::Object(&[("continue", Shape::Present)])),
    ("columnDefinitions", Shape::List(&COLUMNS)),
    ("rows", Shape::List(&ROWS)),
]);

/// The state of a workload in a list. No number is negative.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: ObjectName,
    /// The number of replicas that it should have.
    pub desired: i32,
    /// The number of those that are ready; of a kind that is not known, of its pods.
    pub ready: i32,
    /// The number of those that have been ready for long enough; where the API server does
    /// not tell it in a list, as of StatefulSets, the same as `ready`.
    pub available: i32,
}

/// The content of a Table.
struct Table {
    rows: SortedMap<String, Listed>,
    /// A workload that is not in it is not there.
    is_whole: bool,
}

impl Api {
    /// Reads those of the named workloads that are there and may be read, in one call if
    /// that is allowed; [`Api::observe`] says what is wrong with the others.
    ///
    /// # Errors
    /// None may be read, or the API server did not show them.
    pub async fn list(
        &self,
        namespace: &Namespace,
        kind: &Kind,
        names: &[ObjectName],
    ) -> Result<Vec<Listed>, Error> {
        let mut table = self.table(namespace, kind, names).await?;
        let mut listed = Vec::with_capacity(names.len());
        let mut forbidden = None;
        for name in names {
            if let Some(row) = table.rows.remove(name.as_str()) {
                listed.push(row);
                continue;
            }
            if table.is_whole {
                continue;
            }
            let target = Workload {
                kind: kind.clone(),
                namespace: namespace.clone(),
                name: name.clone(),
            };
            match self.observe(&target).await {
                Ok(seen) => listed.push(Listed::seen(name.clone(), &seen)),
                Err(Error::NotFound { .. }) => {}
                Err(error @ Error::Forbidden { .. }) => forbidden = Some(error),
                Err(error) => return Err(error),
            }
        }
        match forbidden {
            Some(error) if listed.is_empty() => Err(error),
            _ => Ok(listed),
        }
    }

    /// Reads the Table of a kind; an empty one where there is none to be had.
    async fn table(
        &self,
        namespace: &Namespace,
        kind: &Kind,
        names: &[ObjectName],
    ) -> Result<Table, Error> {
        let nothing = Table {
            rows: SortedMap::new(),
            is_whole: false,
        };
        // The columns of other kinds are not known, and one object takes one call anyway.
        if matches!(kind, Kind::Other(_)) || names.len() < 2 {
            return Ok(nothing);
        }
        let path = format!(
            "{}?includeObject=None&limit={MAX_ROWS}",
            collection(kind, namespace)
        );
        let wanted: Vec<String> = names.iter().map(|name| format!("\"{name}\"")).collect();
        let call = Call::get(Operation::List, kind, namespace, path, &TABLE)
            .accepting("application/json;as=Table;v=v1;g=meta.k8s.io")
            .keeping(MAX_KEPT)
            .gated(Arc::new(move || Box::new(Wanted(wanted.clone()))));
        if self.refusals.has(&call, Instant::now()) {
            return Ok(nothing);
        }
        match self.api_client.call(&call).await.map_err(Error::from) {
            Ok(answer) => Ok(table(&answer, names).unwrap_or(nothing)),
            Err(Error::Forbidden { .. }) => {
                self.refusals.note(&call, Instant::now());
                Ok(nothing)
            }
            // No such form of an answer, or something in front that does not know it.
            Err(Error::Refused { .. }) => Ok(nothing),
            Err(error) => Err(error),
        }
    }
}

impl Listed {
    fn seen(name: ObjectName, seen: &Observation) -> Self {
        let (ready, available) = match seen.is_scale_only {
            true => (seen.replicas, seen.replicas),
            false => (seen.ready, seen.available),
        };
        Self {
            name,
            desired: seen.desired,
            ready,
            available,
        }
    }
}

/// Of the rows only those that name a wanted object somewhere.
struct Wanted(Vec<String>);

impl Gate for Wanted {
    fn admit(&mut self, what: &'static str, _: &[u8], item: &[u8]) -> Admission {
        let is_wanted =
            |name: &String| item.windows(name.len()).any(|part| part == name.as_bytes());
        match what == ROWS.what && !self.0.iter().any(is_wanted) {
            true => Admission::Irrelevant,
            false => Admission::Keep,
        }
    }
}

/// Reads a Table; None for anything else, or if it lacks a column that is needed.
fn table(answer: &Answer, names: &[ObjectName]) -> Option<Table> {
    let value: Value = serde_json::from_slice(&answer.body).ok()?;
    let table = Node::new(&value);
    if table.at("kind").raw() != "Table" {
        return None;
    }
    let column = |wanted: &str| {
        let mut columns = table.at("columnDefinitions").items();
        columns.position(|column| column.at("name").raw() == wanted)
    };
    let (name_at, ready_at, available_at) =
        (column("Name")?, column("Ready")?, column("Available"));
    let mut rows = SortedMap::new();
    for row in table.at("rows").items() {
        let cell = |at: usize| row.at("cells").items().nth(at);
        let name = cell(name_at)?.raw();
        let Some(name) = names.iter().find(|known| known.as_str() == name) else {
            continue;
        };
        let (ready, desired) = cell(ready_at)?.raw().split_once('/')?;
        let ready = count(ready)?;
        let listed = Listed {
            name: name.clone(),
            desired: count(desired)?,
            ready,
            available: match available_at {
                Some(at) => cell(at)?.count()?,
                None => ready,
            },
        };
        rows.insert(name.as_str().to_owned(), listed);
    }
    Some(Table {
        rows,
        is_whole: !table.at("metadata").at("continue").is_present() && has_all_rows(answer),
    })
}

/// Cells and columns are left out of every Table.
fn has_all_rows(answer: &Answer) -> bool {
    !answer.skipped.contains_key(ROWS.what)
}

fn count(text: &str) -> Option<i32> {
    text.parse().ok().filter(|&count| count >= 0)
}
