//! Which Deployment is scaled: the rules are Kubernetes', the cure is ours.

use super::fault::{Flaw, quoted};
use crate::kube::{DeploymentName, Namespace};

pub(super) fn namespace(text: &str) -> Result<Namespace, Flaw> {
    Namespace::parse(text).map_err(|_| {
        flaw(
            text,
            "use at most 63 lower-case letters, digits and dashes, no dash first or last",
        )
    })
}

pub(super) fn name(text: &str) -> Result<DeploymentName, Flaw> {
    DeploymentName::parse(text).map_err(|_| {
        flaw(
            text,
            "use at most 253 lower-case letters, digits, dashes and dots, a letter or digit first \
             and last and beside each dot",
        )
    })
}

fn flaw(text: &str, cure: &'static str) -> Flaw {
    let problem = format!("is not a name that Kubernetes allows: {}", quoted(text));
    Flaw::new(problem, cure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_kubernetes_allows() {
        for text in ["clawdbot", "a", "0", "a-b--c9", &"a".repeat(63)] {
            assert_eq!(namespace(text).unwrap().as_str(), text);
            assert_eq!(name(text).unwrap().as_str(), text);
        }
        for text in ["a.b", "web.v1-2", &"a".repeat(253)] {
            assert_eq!(name(text).unwrap().as_str(), text);
            assert!(namespace(text).is_err());
        }
    }

    #[test]
    fn names_that_it_does_not() {
        for text in [
            "",
            "Clawdbot",
            "-a",
            "a-",
            "a_b",
            "a/b",
            "a..b",
            ".a",
            "a.",
            "a.-b",
            "a b",
            "é",
            "..",
            &"a".repeat(254),
        ] {
            assert!(namespace(text).is_err(), "{text}");
            assert!(name(text).is_err(), "{text}");
        }
    }
}
