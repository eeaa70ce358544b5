//! Who owns the number of replicas of a workload, as an API server keeps it in
//! `managedFields`: by what a real one of version 1.36 answered.

use serde_json::{Value, json};

/// An owner of the number of replicas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub manager: String,
    /// True if it applied it, false if it wrote it in another way.
    pub applied: bool,
}

/// The number of replicas of a workload, and its owners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replicas {
    pub count: i64,
    pub owners: Vec<Owner>,
}

impl Replicas {
    /// A merge or JSON patch or a PUT. A zero is left out of the object, so that nobody owns
    /// it; and where nobody has applied anything, nobody is noted from then on.
    pub fn update(&mut self, manager: &str, count: i64) {
        if count == self.count {
            return;
        }
        let is_noted = count > 0 && !(self.count == 0 && self.owners.is_empty());
        self.count = count;
        self.owners = match is_noted {
            true => vec![Owner {
                manager: manager.to_owned(),
                applied: false,
            }],
            false => Vec::new(),
        };
    }

    /// A server-side apply. An error names those whose number is another one.
    pub fn apply(&mut self, manager: &str, count: i64, force: bool) -> Result<(), Vec<String>> {
        let me = Owner {
            manager: manager.to_owned(),
            applied: true,
        };
        if count == self.count {
            if !self.owners.contains(&me) {
                self.owners.push(me);
            }
            return Ok(());
        }
        let others: Vec<String> = match self.owners.is_empty() && self.count > 0 {
            true => vec!["before-first-apply".to_owned()],
            false => {
                let others = self.owners.iter().filter(|owner| **owner != me);
                others.map(|owner| owner.manager.clone()).collect()
            }
        };
        if !force && !others.is_empty() {
            return Err(others);
        }
        self.count = count;
        self.owners = vec![me];
        Ok(())
    }

    /// `managedFields` of the object.
    pub fn managed(&self) -> Value {
        let entries = self.owners.iter().map(|owner| {
            let operation = match owner.applied {
                true => "Apply",
                false => "Update",
            };
            json!({
                "manager": owner.manager, "operation": operation, "subresource": "scale",
                "apiVersion": "autoscaling/v1", "fieldsType": "FieldsV1",
                "fieldsV1": {"f:spec": {"f:replicas": {}}},
            })
        });
        Value::Array(entries.collect())
    }
}

/// The `Status` of an apply that others object to.
pub fn conflict(managers: &[String]) -> Value {
    let causes: Vec<Value> = managers
        .iter()
        .map(|manager| {
            let with = match manager.as_str() {
                "before-first-apply" => "\"before-first-apply\" using apps/v1".to_owned(),
                manager => format!("{manager:?} with subresource \"scale\" using autoscaling/v1"),
            };
            json!({
                "reason": "FieldManagerConflict", "message": format!("conflict with {with}"),
                "field": ".spec.replicas",
            })
        })
        .collect();
    let count = causes.len();
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!("Apply failed with {count} conflict: .spec.replicas"),
        "reason": "Conflict", "details": {"causes": causes}, "code": 409,
    })
}

/// The `Status` of a change of what has changed since.
pub fn stale(plural: &str, name: &str) -> Value {
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": format!(
            "Operation cannot be fulfilled on {plural} {name:?}: the object has been modified; \
             please apply your changes to the latest version and try again"
        ),
        "reason": "Conflict", "details": {"name": name, "kind": plural}, "code": 409,
    })
}
