//! The rights, row by row: principal, target, action, number, time → decision.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Access, Action, Actions, Ask, Grants, Identity, Permissions, Person, Pod, Principal, Role,
    ServiceAccountName,
};
use crate::control::TargetName;
use crate::util::{SortedMap, SortedSet};

fn target(name: &str) -> TargetName {
    TargetName::parse(name).unwrap()
}

const fn hours(count: u64) -> Duration {
    Duration::from_secs(count * 3600)
}

fn role(targets: &str, actions: &str, most: Option<i32>, longest: Option<u64>) -> Arc<Role> {
    let targets = match targets {
        "*" => None,
        named => Some(
            named
                .split_whitespace()
                .map(target)
                .collect::<SortedSet<_>>(),
        ),
    };
    let actions = actions.split_whitespace();
    Arc::new(Role {
        targets,
        actions: actions.map(|word| Action::of_word(word).unwrap()).collect(),
        max_replicas: most,
        max_for: longest.map(hours),
    })
}

fn identity(namespace: &str, name: &str, roles: &[&str], allow_unbound: bool) -> Identity {
    let part = |text: &str| (text != "*").then(|| text.to_owned());
    Identity {
        namespace: part(namespace),
        name: part(name),
        roles: roles.iter().map(|&name| name.to_owned()).collect(),
        allow_unbound,
    }
}

/// Targets `web`, `db` and `open`, of which the last is everybody's to wake and reach.
fn grants() -> Grants {
    let roles = [
        ("node", role("web", "status wait wake connect", None, None)),
        ("viewer", role("*", "status", None, None)),
        ("lister", role("db", "list", None, None)),
        ("starter", role("web db", "start", Some(2), Some(8))),
        ("crowd", role("web", "start", Some(5), Some(1))),
        ("scaler", role("web", "scale", Some(9), None)),
        ("owner", role("web", "start stop scale", None, None)),
        (
            "admin",
            role("*", "stop start scale connect", Some(3), None),
        ),
        ("idler", role("web db", "", None, None)),
        ("nowhere", role("", "start stop", None, None)),
    ];
    let oidc = [
        ("realm-viewer", &["viewer"][..]),
        ("realm-ops", &["starter", "scaler"]),
        ("realm-ghost", &["undefined"]),
        ("realm-twice", &["starter", "starter", "crowd"]),
    ];
    let open = [(target("open"), actions("wake connect"))];
    Grants {
        roles: roles.map(|(name, role)| (name.to_owned(), role)).into(),
        identities: vec![
            identity("claw", "worker", &["node"], false),
            identity("claw", "ops", &["starter"], false),
            identity("claw", "ops", &["crowd", "starter"], true),
            identity("claw", "*", &["lister"], false),
            identity("*", "robot", &["admin"], false),
            identity("claw", "ghost", &["undefined"], false),
            identity("ci", "deployer", &["owner"], true),
            identity("ci", "*", &["viewer"], false),
            identity("lazy", "one", &["idler", "nowhere"], false),
        ],
        oidc_roles: oidc
            .map(|(said, roles)| {
                let roles = roles.iter().map(|&name| name.to_owned()).collect();
                (said.to_owned(), roles)
            })
            .into(),
        anonymous: Arc::new(SortedMap::from(open)),
    }
}

fn actions(words: &str) -> Actions {
    let words = words.split_whitespace();
    words.map(|word| Action::of_word(word).unwrap()).collect()
}

/// The principal of a row's first column: `-` for nobody, `NS/NAME` for a pod's service account,
/// `NS/NAME!` for a token without a pod, `@ROLE,ROLE` for a person.
fn principal(text: &str) -> Principal {
    if text == "-" {
        return Principal::Anonymous;
    }
    if let Some(roles) = text.strip_prefix('@') {
        return Principal::Person(Person {
            issuer: "https://id.example.org/realms/a".to_owned(),
            subject: "1".to_owned(),
            shown: "anna".to_owned(),
            roles: roles.split(',').map(str::to_owned).collect(),
        });
    }
    let (account, pod) = match text.strip_suffix('!') {
        Some(account) => (account, None),
        None => {
            let (name, uid) = ("p".to_owned(), "u".to_owned());
            (text, Some(Pod { name, uid }))
        }
    };
    Principal::ServiceAccount(self::account(account), pod)
}

fn account(text: &str) -> ServiceAccountName {
    let (namespace, name) = text.split_once('/').unwrap();
    ServiceAccountName {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

/// Reads `ACTION [N] [Hh]`.
fn decide(permissions: &Permissions, on: &str, asked: &str) -> String {
    let mut words = asked.split_whitespace();
    let action = Action::of_word(words.next().unwrap()).unwrap();
    let (mut replicas, mut run_for) = (None, None);
    for word in words {
        match word.strip_suffix('h') {
            Some(count) => run_for = Some(hours(count.parse().unwrap())),
            None => replicas = Some(word.parse().unwrap()),
        }
    }
    let on = target(on);
    let decided = permissions.decide(&Ask {
        target: &on,
        action,
        replicas,
        run_for,
    });
    let may = permissions.allows(&on, action);
    assert_eq!(may, !matches!(decided, Access::Hidden | Access::Denied));
    assert_eq!(may, permissions.actions(&on).has(action));
    match decided {
        Access::Granted => "granted".to_owned(),
        Access::Hidden => "hidden".to_owned(),
        Access::Denied => "denied".to_owned(),
        Access::TooMany(most) => format!("at most {most}"),
        Access::TooLong(longest) => format!("at most {}h", longest.as_secs() / 3600),
    }
}

const ROWS: &[(&str, &str, &str, &str)] = &[
    // Nobody in particular may what the target says of everybody, and no more.
    ("-", "open", "connect", "granted"),
    ("-", "open", "wake", "granted"),
    ("-", "open", "list", "granted"),
    ("-", "open", "status", "denied"),
    ("-", "open", "start", "denied"),
    ("-", "open", "stop", "denied"),
    ("-", "web", "list", "hidden"),
    ("-", "web", "connect", "hidden"),
    ("-", "nothing", "connect", "hidden"),
    // One role on one target.
    ("claw/worker", "web", "status", "granted"),
    ("claw/worker", "web", "wait", "granted"),
    ("claw/worker", "web", "wake", "granted"),
    ("claw/worker", "web", "connect", "granted"),
    // Whoever may do something sees it, without being told so.
    ("claw/worker", "web", "list", "granted"),
    ("claw/worker", "web", "start", "denied"),
    ("claw/worker", "web", "start 1", "denied"),
    ("claw/worker", "web", "stop", "denied"),
    ("claw/worker", "web", "scale 1", "denied"),
    // An entry for all of the namespace adds its role.
    ("claw/worker", "db", "list", "granted"),
    ("claw/worker", "db", "status", "denied"),
    ("claw/worker", "db", "connect", "denied"),
    ("claw/worker", "nothing", "list", "hidden"),
    // Everybody's is theirs, too.
    ("claw/worker", "open", "connect", "granted"),
    ("claw/worker", "open", "stop", "denied"),
    // Names are compared whole, with both of their parts.
    ("claw/worker2", "web", "connect", "hidden"),
    ("claw/worke", "web", "connect", "hidden"),
    ("other/worker", "web", "connect", "hidden"),
    ("claw/Worker", "web", "connect", "hidden"),
    ("claw2/worker", "web", "connect", "hidden"),
    ("claw/*", "web", "connect", "hidden"),
    ("*/worker", "web", "connect", "hidden"),
    // Of two roles that give an action the more generous counts: by number …
    ("claw/ops", "web", "start", "granted"),
    ("claw/ops", "web", "start 2", "granted"),
    ("claw/ops", "web", "start 5", "granted"),
    ("claw/ops", "web", "start 6", "at most 5"),
    // … and by time …
    ("claw/ops", "web", "start 8h", "granted"),
    ("claw/ops", "web", "start 9h", "at most 8h"),
    ("claw/ops", "web", "start 2 8h", "granted"),
    ("claw/ops", "web", "start 5 1h", "granted"),
    // … but what no role allows as a whole is not allowed.
    ("claw/ops", "web", "start 5 2h", "at most 1h"),
    ("claw/ops", "web", "start 6 9h", "at most 5"),
    // The role that is not about this target does not help.
    ("claw/ops", "db", "start 2 8h", "granted"),
    ("claw/ops", "db", "start 3", "at most 2"),
    ("claw/ops", "db", "start 9h", "at most 8h"),
    ("claw/ops", "web", "scale 1", "denied"),
    // A token without a pod has the roles of the entries that take such tokens.
    ("claw/ops!", "web", "start 5 1h", "granted"),
    ("claw/ops!", "db", "start", "granted"),
    ("claw/ops!", "db", "list", "granted"),
    ("claw/worker!", "web", "connect", "hidden"),
    ("claw/worker!", "db", "list", "hidden"),
    ("claw/worker!", "open", "connect", "granted"),
    ("ci/deployer!", "web", "stop", "granted"),
    ("ci/deployer!", "db", "status", "hidden"),
    ("ci/deployer", "db", "status", "granted"),
    ("ci/deployer", "db", "stop", "denied"),
    // Without a limit of the role there is only the target's.
    ("ci/deployer", "web", "scale 1000", "granted"),
    ("ci/deployer", "web", "start 1000 99h", "granted"),
    ("ci/other", "web", "status", "granted"),
    ("ci/other", "web", "stop", "denied"),
    // A name in any namespace, and all targets: even those that are not there.
    ("any/robot", "db", "stop", "granted"),
    ("any/robot", "db", "scale 3", "granted"),
    ("any/robot", "db", "scale 4", "at most 3"),
    ("any/robot", "db", "scale 0", "granted"),
    ("any/robot", "db", "status", "denied"),
    ("any/robot", "nothing", "stop", "granted"),
    ("any/robots", "db", "stop", "hidden"),
    ("claw/robot", "db", "list", "granted"),
    ("claw/robot", "web", "connect", "granted"),
    // A role that is defined nowhere, that says no action or no target, gives nothing.
    ("claw/ghost", "web", "list", "hidden"),
    ("lazy/one", "web", "list", "hidden"),
    ("lazy/one", "db", "start", "hidden"),
    ("lazy/two", "web", "list", "hidden"),
    // Persons, by the roles of their tokens.
    ("@realm-viewer", "web", "status", "granted"),
    ("@realm-viewer", "db", "status", "granted"),
    ("@realm-viewer", "db", "start", "denied"),
    ("@realm-ops", "web", "start 2", "granted"),
    ("@realm-ops", "web", "start 3", "at most 2"),
    // The limit of another action's role is none of this one's.
    ("@realm-ops", "web", "scale 9", "granted"),
    ("@realm-ops", "web", "scale 10", "at most 9"),
    ("@realm-ops", "db", "scale 1", "denied"),
    ("@realm-viewer,realm-ops", "db", "status", "granted"),
    ("@realm-viewer,realm-ops", "db", "start 1 8h", "granted"),
    ("@realm-ghost", "web", "list", "hidden"),
    ("@realm-twice", "web", "start 5 2h", "at most 1h"),
    ("@unknown,", "web", "list", "hidden"),
    // A role of this configuration is none of the token's.
    ("@admin", "web", "stop", "hidden"),
    ("@realm-VIEWER", "web", "status", "hidden"),
    ("@admin", "open", "wake", "granted"),
];

#[test]
fn every_row() {
    let grants = grants();
    for (who, on, asked, wanted) in ROWS {
        let permissions = grants.permissions(&principal(who));
        let decided = decide(&permissions, on, asked);
        assert_eq!(decided, *wanted, "{who}: {asked} {on}");
    }
    assert!(ROWS.len() >= 60);
}

#[test]
fn who_asks_for_no_number_gets_no_more_than_a_role_allows() {
    let mut grants = grants();
    grants.anonymous = Arc::new([(target("open"), actions("start"))].into());
    for (who, on, run_for, most) in [
        // The most generous of those that allow the time.
        ("claw/ops", "web", None, Some(5)),
        ("claw/ops", "web", Some(1), Some(5)),
        ("claw/ops", "web", Some(2), Some(2)),
        ("claw/ops", "db", None, Some(2)),
        ("any/robot", "web", Some(99), Some(3)),
        // Another action's limit is none of a start's.
        ("@realm-ops", "web", None, Some(2)),
        // No limit.
        ("ci/deployer", "web", None, None),
        ("-", "open", None, None),
        ("any/robot", "open", None, None),
    ] {
        let on = target(on);
        let asked = Ask {
            target: &on,
            action: Action::Start,
            replicas: None,
            run_for: run_for.map(hours),
        };
        let permissions = grants.permissions(&principal(who));
        assert_eq!(permissions.decide(&asked), Access::Granted, "{who}");
        assert_eq!(permissions.most_replicas(&asked), most, "{who} {on}");
    }
}

#[test]
fn without_rules_nobody_may_do_anything() {
    let none = Grants::default();
    for who in ["-", "claw/worker", "claw/ops!", "@realm-viewer"] {
        let permissions = none.permissions(&principal(who));
        assert!(permissions.is_empty(), "{who}");
        for action in Action::ALL {
            assert_eq!(decide(&permissions, "web", action.as_str()), "hidden");
        }
    }
}

#[test]
fn rights_are_empty_where_there_is_nothing_to_do() {
    let mut grants = grants();
    let empty = |grants: &Grants, who: &str| grants.permissions(&principal(who)).is_empty();
    // Everybody has the open target.
    assert!(!empty(&grants, "-") && !empty(&grants, "nobody/x"));
    grants.anonymous = Arc::new(SortedMap::from([(target("open"), Actions::NONE)]));
    for (who, is_empty) in [
        ("-", true),
        ("nobody/x", true),
        ("lazy/one", true),
        ("claw/ghost", false),
        ("other/ghost", true),
        ("@realm-ghost", true),
        ("@realm-viewer", false),
        ("claw/worker", false),
        ("claw/worker!", true),
    ] {
        assert_eq!(empty(&grants, who), is_empty, "{who}");
    }
}

#[test]
fn the_roles_are_named_once_each_in_the_order_of_the_entries() {
    let grants = grants();
    for (who, roles) in [
        ("-", &[][..]),
        ("claw/ops", &["starter", "crowd", "lister"]),
        ("claw/ops!", &["crowd", "starter"]),
        ("claw/ghost", &["lister"]),
        ("@realm-twice,realm-viewer", &["starter", "crowd", "viewer"]),
    ] {
        assert_eq!(grants.permissions(&principal(who)).roles, roles, "{who}");
    }
}

#[test]
fn tokens_without_a_pod_are_taken_where_an_entry_says_so() {
    let grants = grants();
    for (name, is_taken) in [
        ("claw/ops", true),
        ("ci/deployer", true),
        ("ci/other", false),
        ("claw/worker", false),
        ("any/robot", false),
        ("claw/robot", false),
    ] {
        assert_eq!(grants.allows_unbound(&account(name)), is_taken, "{name}");
    }
}
