//! The bot outside a cluster, which a kubeconfig leads to.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use crate::support::bot::run;
use crate::support::scenario::Scenario;
use crate::support::world::{OFF, ON, World};

/// The variables that a pod has and a laptop does not.
const OF_A_POD: [&str; 3] = [
    "KUBERNETES_SERVICE_HOST",
    "KUBERNETES_SERVICE_PORT",
    "SERVICE_ACCOUNT_DIR",
];

/// A bot that is not started and has this kubeconfig and nothing of a pod.
fn outside(text: impl FnOnce(&World) -> String) -> World {
    let mut world = Scenario::encrypted().build();
    for name in OF_A_POD {
        world.env.remove(name);
    }
    write(&mut world, text);
    world
}

fn write(world: &mut World, text: impl FnOnce(&World) -> String) {
    let path = world.dir.path().join("kubeconfig");
    fs::write(&path, text(world)).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    world.set("KUBECONFIG", &path.display().to_string());
}

#[test]
fn a_bot_on_a_laptop_scales_by_a_client_certificate_and_by_a_token() {
    for (with_token, proof) in [
        (false, "a client certificate valid until 4096"),
        (true, "a token"),
    ] {
        let mut world = outside(|world| world.api.kubeconfig(with_token));
        world.start();
        assert_eq!(world.ask("start"), ON);
        assert_eq!(world.ask("stop"), OFF);
        assert_eq!(world.api.scaled_to(), [1, 0]);
        let row = world.bot().wait_log("KUBE_CONTEXT ");
        let way = format!(
            "context \"laptop\": https://127.0.0.1:{}, by {proof}",
            world.api.port()
        );
        assert!(row.contains(&way), "{row}");
        assert!(!world.bot().log().contains("of-somebody-else"));
    }
}

#[test]
fn a_token_that_was_replaced_in_the_kubeconfig_is_taken_up() {
    let mut world = outside(|world| {
        let token = crate::support::apiserver::TOKEN;
        world
            .api
            .kubeconfig(true)
            .replace(token, "a-token-of-yesterday")
    });
    world.start();
    let refused = "Error: The Kubernetes API server does not accept the token of my kubeconfig: put \
                   a new one there, such as kubectl create token prints.";
    assert_eq!(world.ask("status"), refused);
    write(&mut world, |world| world.api.kubeconfig(true));
    assert_eq!(world.ask("start"), ON);
    world.bot().wait_log("the kubeconfig has changed: context");
}

#[test]
fn check_config_says_where_a_kubeconfig_leads_or_all_that_is_wrong_with_it() {
    let mut world = outside(|world| world.api.kubeconfig(false));
    let done = run(&["check-config"], &world.env);
    assert_eq!(done.code, Some(0), "{done:?}");
    assert!(
        done.out
            .contains("\n  KUBE_CONTEXT             context \"laptop\": https://")
    );
    assert!(!done.out.contains("stands in"), "{}", done.out);

    write(&mut world, |world| {
        let text = world.api.kubeconfig(true);
        let insecure = "    insecure-skip-tls-verify: true\n    server:";
        let text = text.replace("    server:", insecure);
        format!("{text}    exec: {{command: aws}}\n    username: me\n")
    });
    let done = run(&["check-config"], &world.env);
    assert_eq!(done.code, Some(1), "{done:?}");
    let path = &world.env["KUBECONFIG"];
    let start = format!("configuration error: KUBECONFIG names \"{path}\", whose ");
    for field in [
        "clusters[0].cluster.insecure-skip-tls-verify (line 5)",
        "users[0].user.exec (line 21)",
        "users[0].user.username (line 22)",
    ] {
        let start = format!("{start}{field} ");
        assert!(
            done.err.lines().any(|line| line.starts_with(&start)),
            "{}",
            done.err
        );
    }
    assert_eq!(done.err.lines().count(), 3, "{}", done.err);
    assert!(done.err.contains("kubectl create token"));

    world.env.remove("KUBECONFIG");
    let done = run(&[], &world.env);
    let both = "configuration error: KUBERNETES_SERVICE_HOST is not set: Kubernetes gives it to \
                every container inside a cluster; elsewhere set KUBECONFIG to a kubeconfig file";
    assert!(done.err.starts_with(both), "{}", done.err);
}
