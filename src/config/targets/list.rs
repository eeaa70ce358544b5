//! The list of targets in one variable: `NAME=[NAMESPACE/][KIND/]OBJECT[:MAX]`, separated
//! by commas.

use std::time::Duration;

use super::checks::{Placed, too_many};
use crate::config::cluster;
use crate::config::document::{MOST_REPLICAS, kind_named, kind_word};
use crate::config::fault::{Flaw, Flaws, quoted};
use crate::config::policy::each;
use crate::control::{Kind, Namespace, StartCount, Target, TargetName, Workload};
use crate::util::SortedSet;

/// The time from a start after which it is told that a target does not come up, unless the
/// target says otherwise.
pub(super) const READY_TIMEOUT: Duration = Duration::from_secs(600);

const CURE: &str = "write NAME=OBJECT, before the object NAMESPACE/ and KIND/ and behind it :MAX \
    where need be, such as worker=openclaw/deployment/openclaw-worker:5, separated by commas";

const NAME_CURE: &str = "give it another name, of lower-case letters, digits and dashes";

const MAX_CURE: &str = "write behind the colon the most replicas that may be asked for, from 1 to \
    1000";

/// The targets of a list, at least one. `namespace` is that of those that name none.
pub(super) fn targets(
    text: &str,
    namespace: &Namespace,
    max_for: Option<Duration>,
) -> Result<Vec<Placed>, Flaws> {
    let items = text.split(',').filter(|item| !item.trim().is_empty());
    if let Some(flaw) = too_many(items.count()) {
        return Err(flaw.into());
    }
    each(text, "names no target", CURE, |item| {
        let (name, workload, max) = parts(item, namespace)?;
        Ok(Placed {
            place: name.to_string(),
            name: Some(name.clone()),
            workload: Some(workload.clone()),
            default_in: SortedSet::new(),
            may_harm_itself: false,
            target: Some(plain(name, workload, max, max_for)),
        })
    })
}

/// A target of which nothing is said but this.
fn plain(name: TargetName, workload: Workload, max: i32, max_for: Option<Duration>) -> Target {
    Target {
        name,
        workload,
        start: StartCount::Replicas(1),
        max,
        users: None,
        viewers: None,
        rooms: None,
        default_in: SortedSet::new(),
        default_for: None,
        max_for,
        schedule: None,
        confirm: false,
        data_is_disposable: false,
        ready_timeout: READY_TIMEOUT,
        full_details: false,
    }
}

fn parts(item: &str, namespace: &Namespace) -> Result<(TargetName, Workload, i32), Flaw> {
    let (name, object) = item
        .split_once('=')
        .ok_or_else(|| Flaw::new(format!("has no = in {}", quoted(item)), CURE))?;
    let name = name.trim_end();
    let name = TargetName::parse(name).map_err(|fault| {
        let problem = format!("names a target {}, which {fault}", quoted(name));
        Flaw::new(problem, NAME_CURE)
    })?;
    let whose = |flaw: Flaw, part: &str| flaw.within(&format!("has {name}, whose {part}"));
    let object = object.trim_start();
    let (path, max) = match object.rsplit_once(':') {
        Some((path, max)) => (path, most(max).map_err(|flaw| whose(flaw, "most"))?),
        None => (object, 1),
    };
    let segments: Vec<&str> = path.split('/').collect();
    let parts = split(&segments).ok_or_else(|| {
        let problem = format!("object has too many slashes: {}", quoted(path));
        Flaw::new(problem, CURE).within(&format!("has {name}, whose"))
    })?;
    let kind = match parts.kind.as_str() {
        "" => Kind::Deployment,
        given => kind_named(given).map_err(|flaw| whose(flaw, "kind"))?,
    };
    let namespace = match parts.namespace {
        Some(given) => cluster::namespace(given).map_err(|flaw| whose(flaw, "namespace"))?,
        None => namespace.clone(),
    };
    let object = cluster::name(parts.object).map_err(|flaw| whose(flaw, "object"))?;
    let workload = Workload {
        kind,
        namespace,
        name: object,
    };
    Ok((name, workload, max))
}

fn most(text: &str) -> Result<i32, Flaw> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let read = text.parse::<i32>().ok();
    let read = read.filter(|most| digits && (1..=MOST_REPLICAS).contains(most));
    read.ok_or_else(|| {
        let problem = format!("is no number from 1 to {MOST_REPLICAS}: {}", quoted(text));
        Flaw::new(problem, MAX_CURE)
    })
}

/// The parts of `[NAMESPACE/][KIND/]OBJECT`.
struct Parts<'a> {
    namespace: Option<&'a str>,
    /// Empty if there is none.
    kind: String,
    object: &'a str,
}

/// Tells the segments of a path apart; `None` if they are too many. A single one before the
/// object is the kind if it is the word of one, else the namespace.
fn split<'a>(segments: &[&'a str]) -> Option<Parts<'a>> {
    let (object, before) = segments.split_last()?;
    let (namespace, kind) = match before {
        [] => (None, String::new()),
        [one] if kind_word(one).is_some() => (None, (*one).to_owned()),
        [one] => (Some(*one), String::new()),
        [namespace, kind] => (Some(*namespace), (*kind).to_owned()),
        [_, _, _] => (None, before.join("/")),
        [namespace, path @ ..] if path.len() == 3 => (Some(*namespace), path.join("/")),
        _ => return None,
    };
    Some(Parts {
        namespace,
        kind,
        object,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<String>, Vec<String>> {
        let namespace = Namespace::parse("home").unwrap();
        let shown = |placed: Placed| {
            let Target {
                name,
                workload,
                max,
                ..
            } = placed.target.unwrap();
            format!("{name} {} {workload} {max}", workload.kind.group())
        };
        match targets(text, &namespace, None) {
            Ok(targets) => Ok(targets.into_iter().map(shown).collect()),
            Err(Flaws(flaws)) => Err(flaws
                .into_iter()
                .map(|flaw| flaw.of("TARGETS").to_string())
                .collect()),
        }
    }

    #[test]
    fn an_object_may_have_a_namespace_a_kind_and_a_most() {
        for (text, told) in [
            ("a=b", "a apps home/b 1"),
            (" a = b.c:7 ", "a apps home/b.c 7"),
            ("a=ns/b", "a apps ns/b 1"),
            ("a=statefulset/b", "a apps statefulset home/b 1"),
            ("a=deployment/b", "a apps home/b 1"),
            ("a=ns/statefulset/b:1000", "a apps statefulset ns/b 1000"),
            // Where it can be told apart, a namespace may have the name of a kind.
            ("a=statefulset/deployment/b", "a apps statefulset/b 1"),
            ("a=ns/apps/v1/deployments/b", "a apps ns/b 1"),
            (
                "a=argoproj.io/v1alpha1/rollouts/b",
                "a argoproj.io rollouts home/b 1",
            ),
            (
                "a=ns/argoproj.io/v1alpha1/rollouts/b:3",
                "a argoproj.io rollouts ns/b 3",
            ),
        ] {
            assert_eq!(read(text).unwrap(), [told], "{text}");
        }
        assert_eq!(read("a=b,,c=d:2,").unwrap().len(), 2);
    }

    #[test]
    fn every_bad_item_is_a_fault_of_its_own() {
        for (item, told) in [
            ("worker", "has no = in \"worker\": write NAME=OBJECT"),
            ("=b", "names a target \"\", which is not a name of at most"),
            (
                "A=b",
                "names a target \"A\", which is not a name of at most",
            ),
            (
                "all=b",
                "names a target \"all\", which is a word that commands use: ",
            ),
            (
                "a=",
                "has a, whose object is not a name that Kubernetes allows: \"\"",
            ),
            ("a=B", "has a, whose object is not a name that"),
            ("a=x.y/b", "has a, whose namespace is not a name that"),
            (
                "a=ns/daemonset/b",
                "has a, whose kind is none: \"daemonset\": write",
            ),
            ("a=g/v//b", "has a, whose kind is none: \"g/v/\": write"),
            ("a=n/g/v/p/", "has a, whose object is not a name that"),
            (
                "a=1/2/3/4/5/6",
                "has a, whose object has too many slashes: ",
            ),
            (
                "a=b:0",
                "has a, whose most is no number from 1 to 1000: \"0\": ",
            ),
            ("a=b:+1", "has a, whose most is no number"),
            ("a=b:1001", "has a, whose most is no number"),
            ("a=b:99999999999", "has a, whose most is no number"),
            ("a=b:", "has a, whose most is no number"),
        ] {
            let [fault] = read(item).unwrap_err().try_into().unwrap();
            let start = format!("TARGETS {told}");
            assert!(fault.starts_with(&start), "{fault}");
        }
        assert_eq!(read("a=B,c,d=e,f=g:0").unwrap_err().len(), 3);
        assert_eq!(read(" , ").unwrap_err().len(), 1);
    }
}
