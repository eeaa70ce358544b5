//! A kubeconfig instead of what a pod has.

use super::*;
use crate::util::Clock;
use crate::util::temp::TempFile;

const KUBECONFIG: &str = "
contexts:
- {name: a, context: {cluster: c, user: u, namespace: elsewhere}}
- {name: b, context: {cluster: c, user: v}}
current-context: a
clusters: [{name: c, cluster: {server: 'https://api.example:6443'}}]
users:
- {name: u, user: {token: battery-horse-staple}}
- name: v
  user:
    exec: {command: battery}
    username: battery
";

/// The settings of a laptop: nothing that Kubernetes gives, and these.
fn outside(extra: &[(&str, &str)]) -> Result<Settings, Faults> {
    let none = [
        ("KUBERNETES_SERVICE_HOST", ""),
        ("KUBERNETES_SERVICE_PORT", ""),
    ];
    with(&[&none, extra].concat())
}

fn file() -> TempFile {
    use std::os::unix::fs::PermissionsExt;
    let file = TempFile::new(KUBECONFIG);
    std::fs::set_permissions(file.path(), std::fs::Permissions::from_mode(0o600)).unwrap();
    file
}

#[test]
fn a_kubeconfig_takes_the_place_of_what_a_pod_has() {
    let file = file();
    let settings = outside(&[("KUBECONFIG", &format!(" {} \n", file.path()))]).unwrap();
    let summary = settings.summary();
    for row in [
        format!("\n  KUBECONFIG               {}\n", file.path()),
        "\n  KUBE_CONTEXT             context \"a\": https://api.example:6443, by a token".into(),
    ] {
        assert!(summary.contains(&row), "{summary}");
    }
    assert!(!summary.contains("KUBERNETES_SERVICE"), "{summary}");
    assert!(!format!("{settings:?}{summary}").contains("battery"));
    assert_eq!(
        settings.kubernetes.warnings(Clock::stopped().now()),
        Vec::<String>::new()
    );
    assert_eq!(super::deployment(&settings), "clawdbot/clawdbot");
    // It counts in a pod, too, and beside files that are not there.
    let path = format!("/nonexistent/config:{}:", file.path());
    let settings = with(&[("KUBECONFIG", &path), ("KUBE_CONTEXT", "a")]).unwrap();
    let told = "KUBECONFIG: \"/nonexistent/config\" is not there, and left out";
    assert_eq!(settings.kubernetes.warnings(Clock::stopped().now()), [told]);
    assert_eq!(pod(&with(&[]).unwrap()).1, 443);
}

#[test]
fn its_faults_are_told_with_all_others() {
    let file = file();
    let path = ("KUBECONFIG", file.path());
    let faults = outside(&[path, ("KUBE_CONTEXT", "b"), ("ECHO_MODE", "x")]).unwrap_err();
    assert_eq!(names(&faults), ["ECHO_MODE", "KUBECONFIG", "KUBECONFIG"]);
    let told = told(&faults);
    let start = format!("KUBECONFIG names \"{}\", whose users[1].user.", file.path());
    assert!(
        told.contains(&format!("{start}exec (line 11) has a program run")),
        "{told}"
    );
    assert!(
        told.contains(&format!("{start}username (line 12) is for")),
        "{told}"
    );
    assert!(told.contains("kubectl create token"), "{told}");
    let faults = outside(&[path, ("KUBE_CONTEXT", "c")]).unwrap_err();
    assert_eq!(
        super::told(&faults),
        "KUBE_CONTEXT is \"c\", and the kubeconfig has \"a\", \"b\": write one of these, or leave \
         it unset"
    );
    assert!(outside(&[("KUBECONFIG", " : ")]).is_err());
}

#[test]
fn without_either_both_ways_are_named() {
    let faults = outside(&[("KUBE_CONTEXT", "a")]).unwrap_err();
    let variables = [
        "KUBERNETES_SERVICE_HOST",
        "KUBERNETES_SERVICE_PORT",
        "KUBE_CONTEXT",
    ];
    assert_eq!(names(&faults), variables);
    let told = told(&faults);
    let first = "KUBERNETES_SERVICE_HOST is not set: Kubernetes gives it to every container inside a \
                 cluster; elsewhere set KUBECONFIG to a kubeconfig file, such as ~/.kube/config\n";
    assert!(told.starts_with(first), "{told}");
    assert!(
        told.contains("KUBE_CONTEXT is set, and KUBECONFIG is not: "),
        "{told}"
    );
}
