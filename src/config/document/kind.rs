//! The kind of an object, as it is written in a configuration.

use crate::config::fault::{Flaw, quoted};
use crate::control::{Kind, Namespace, ObjectName, ResourceType};

const CURE: &str = "write deployment, statefulset, or GROUP/VERSION/PLURAL of another resource with \
    a scale subresource, such as argoproj.io/v1alpha1/rollouts";

/// The kind in a text: `deployment`, `statefulset` or `GROUP/VERSION/PLURAL`.
pub(in crate::config) fn kind_named(text: &str) -> Result<Kind, Flaw> {
    let of_apps = kind_word(text);
    let of_path = || {
        let parts: Vec<&str> = text.split('/').collect();
        let [group, version, plural] = parts.as_slice() else {
            return None;
        };
        path(group, version, plural)
    };
    of_apps
        .or_else(of_path)
        .ok_or_else(|| Flaw::new(format!("is none: {}", quoted(text)), CURE))
}

/// The kind that one word names.
pub(in crate::config) fn kind_word(text: &str) -> Option<Kind> {
    match text {
        "deployment" => Some(Kind::Deployment),
        "statefulset" => Some(Kind::StatefulSet),
        _ => None,
    }
}

/// The kind of a resource. Those that have words are the same by their paths, so that one
/// object cannot have two.
fn path(group: &str, version: &str, plural: &str) -> Option<Kind> {
    Some(match (group, version, plural) {
        ("apps", "v1", "deployments") => Kind::Deployment,
        ("apps", "v1", "statefulsets") => Kind::StatefulSet,
        _ => Kind::Other(ResourceType {
            group: ObjectName::parse(group)?,
            version: Namespace::parse(version)?,
            plural: ObjectName::parse(plural)?,
        }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_words_or_paths() {
        for (text, group, version, resource) in [
            ("deployment", "apps", "v1", "deployments"),
            ("apps/v1/deployments", "apps", "v1", "deployments"),
            ("statefulset", "apps", "v1", "statefulsets"),
            ("apps/v1/statefulsets", "apps", "v1", "statefulsets"),
            (
                "argoproj.io/v1alpha1/rollouts",
                "argoproj.io",
                "v1alpha1",
                "rollouts",
            ),
        ] {
            let kind = kind_named(text).unwrap();
            assert_eq!(
                (kind.group(), kind.version(), kind.resource()),
                (group, version, resource),
                "{text}"
            );
        }
        let same = kind_named("apps/v1/deployments").unwrap();
        assert_eq!(same, Kind::Deployment);
    }

    #[test]
    fn what_is_no_kind_is_refused() {
        for text in [
            "",
            "Deployment",
            "deployments",
            "daemonset",
            "v1/pods",
            "a/b/c/d",
            "apps//deployments",
            "apps/v1/../x",
            "Apps/v1/x",
        ] {
            assert!(kind_named(text).is_err(), "{text}");
        }
    }
}
