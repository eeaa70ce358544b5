//! Kubeconfigs that are refused: all that is wrong, where, and nothing secret.

use super::*;
use crate::kube::Subject;

const CLUSTER: &str = "clusters: [{name: b, cluster: {server: 'https://x.example'}}]\n";
const CONTEXT: &str = "contexts: [{name: a, context: {cluster: b, user: c}}]\ncurrent-context: a\n";
const USER: &str = "users: [{name: c, user: {token: hunter2-hunter2}}]\n";

fn with_user(user: &str) -> String {
    format!("{CLUSTER}{CONTEXT}users:\n- name: c\n  user:\n    {user}\n")
}

fn with_cluster(cluster: &str) -> String {
    format!("{CONTEXT}{USER}clusters:\n- name: b\n  cluster:\n    {cluster}\n")
}

#[test]
fn a_file_that_is_no_kubeconfig_is_named() {
    let home = Home::new();
    for (text, told) in [
        ("[1]", "names \"DIR/config\", which is no kubeconfig"),
        (
            "kind: Pod\napiVersion: v1\n",
            "names \"DIR/config\", which is no kubeconfig",
        ),
        (
            "apiVersion: v2",
            "names \"DIR/config\", which is no kubeconfig",
        ),
        (
            "kind: [Config]",
            "names \"DIR/config\", which is no kubeconfig",
        ),
        ("a: [", "names \"DIR/config\", which is not YAML at line "),
        ("", "names no current-context, and has no context"),
        (
            "contexts: [{name: x}, {name: y}]",
            "names no current-context, and has \"x\", \"y\"",
        ),
        (
            "current-context: z\ncontexts: [{name: x}]",
            "has the current-context \"z\", and the kubeconfig has \"x\"",
        ),
    ] {
        let faults = home.faults(text);
        assert!(faults.starts_with(told), "{text}: {faults}");
    }
    fs::write(home.path("config"), b"a: \xff").unwrap();
    let told = home.told(home.read(&["config"], None).unwrap_err());
    assert_eq!(told, "names \"DIR/config\", which is not UTF-8");
    fs::write(home.path("config"), vec![b' '; 1024 * 1024 + 1]).unwrap();
    let told = home.told(home.read(&["config"], None).unwrap_err());
    assert_eq!(
        told,
        "names \"DIR/config\", which is larger than 1048576 bytes"
    );
    home.write("config", &with_token(1, &home.authority.pem()));
    set_permissions(home.path("config"), Permissions::from_mode(0o666)).unwrap();
    let told = home.told(home.read(&["config"], None).unwrap_err());
    let problem = "names \"DIR/config\", which everybody can write to (mode 0666): chmod o-w it";
    assert_eq!(told, problem);
    let told = home.told(home.read(&["none"], None).unwrap_err());
    assert_eq!(
        told,
        "names \"DIR/none\", which cannot be read (entity not found)"
    );
    assert_eq!(
        home.told(home.read(&[], None).unwrap_err()),
        "names no file"
    );
    let many = vec!["none"; 17];
    let told = home.told(home.read(&many, None).unwrap_err());
    assert_eq!(told, "names more than 16 files");
}

#[test]
fn a_context_that_is_not_there_is_put_down_to_its_variable() {
    let home = Home::new();
    home.write("config", &format!("{CLUSTER}{CONTEXT}{USER}"));
    let faults = home.read(&["config"], Some("other")).unwrap_err();
    assert_eq!(faults[0].subject, Subject::Context);
    assert_eq!(
        home.told(faults),
        "is \"other\", and the kubeconfig has \"a\""
    );
}

#[test]
fn entries_that_are_missing_or_of_another_kind_are_told_at_once() {
    let home = Home::new();
    let at = "names \"DIR/config\", whose ";
    for (text, told) in [
        (
            format!("{CONTEXT}{USER}"),
            "contexts[0].context.cluster (line 1) names \"b\", which is not there",
        ),
        (
            format!("{CLUSTER}{CONTEXT}"),
            "contexts[0].context.user (line 2) names \"c\", which is not there",
        ),
        (
            format!("{CLUSTER}{USER}contexts:\n- name: a\ncurrent-context: a\n"),
            "contexts[0].context.cluster (line 4) is not there\n\
             names \"DIR/config\", whose contexts[0].context.user (line 4) is not there",
        ),
        (
            format!("{CLUSTER}{CONTEXT}users: {{name: c}}\n"),
            "users (line 4) is not a list\n\
             names \"DIR/config\", whose contexts[0].context.user (line 2) names \"c\", which is \
             not there",
        ),
        (
            format!("{CLUSTER}{CONTEXT}users:\n- user: {{}}\n- name: c\n  user: 7\n"),
            "users[0] (line 5) has no name\n\
             names \"DIR/config\", whose users[1].user (line 7) is not a mapping\n\
             names \"DIR/config\", whose users[1].user.token (line 7) is not there, and neither is \
             client-certificate: nothing proves who asks",
        ),
        (
            format!("{CONTEXT}{USER}clusters: [{{name: b}}, {{name: b}}]\n"),
            "clusters[1].name (line 4) is the name of another, too\n\
             names \"DIR/config\", whose clusters[0].cluster.server (line 4) is not there",
        ),
        (
            with_user("token: {a: b}"),
            "users[0].user.token (line 7) is not a text",
        ),
        (
            with_user("token: [x]\n    client-key: x\n    tokenFile: [y]"),
            "users[0].user.tokenFile (line 9) is not a text",
        ),
    ] {
        let faults = home.faults(&text);
        assert!(
            faults.starts_with(&format!("{at}{told}")),
            "{text}\n{faults}"
        );
    }
}

#[test]
fn what_this_program_does_not_do_is_refused_by_its_field_with_the_way_out() {
    let home = Home::new();
    for (user, field) in [
        (
            "exec: {apiVersion: x, command: aws, args: [hunter2]}",
            "exec",
        ),
        ("auth-provider: {name: gcp}", "auth-provider"),
        ("username: admin", "username"),
        ("password: hunter2", "password"),
        ("as: hunter2", "as"),
        ("as-uid: hunter2", "as-uid"),
        ("as-groups: [hunter2]", "as-groups"),
        ("as-user-extra: {hunter2: [x]}", "as-user-extra"),
    ] {
        let text = with_user(&format!("token: hunter2-hunter2\n    {user}"));
        let faults = home.read_text(&text).unwrap_err();
        assert!(
            faults[0].cure.contains("kubectl create token"),
            "{faults:?}"
        );
        assert!(
            faults[0]
                .cure
                .contains("kubernetes.io/service-account-token")
        );
        let told = home.told(faults);
        let start = format!("names \"DIR/config\", whose users[0].user.{field} (line 8) ");
        assert!(told.starts_with(&start), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
    for (cluster, field, cure) in [
        (
            "insecure-skip-tls-verify: true",
            "insecure-skip-tls-verify",
            "certificate-authority",
        ),
        (
            "proxy-url: http://proxy:3128",
            "proxy-url",
            "server address",
        ),
    ] {
        let text = with_cluster(&format!("server: https://x.example\n    {cluster}"));
        let faults = home.read_text(&text).unwrap_err();
        assert!(faults[0].cure.contains(cure), "{faults:?}");
        let told = home.told(faults);
        let start = format!("names \"DIR/config\", whose clusters[0].cluster.{field} (line 8) ");
        assert!(told.starts_with(&start), "{told}");
    }
}

#[test]
fn addresses_and_names_that_lead_nowhere_are_refused() {
    let home = Home::new();
    let fine = [
        "https://x.example",
        "https://10.0.0.1:6443/",
        "HTTPS://[fd00::1]:6443/a/b",
    ];
    for server in fine {
        let text = with_cluster(&format!("server: {server}"));
        assert!(home.read_text(&text).is_ok(), "{server}");
    }
    for (server, told) in [
        ("http://127.0.0.1:8001", "is not encrypted, "),
        (
            "10.0.0.1:6443",
            "does not begin with https://: \"10.0.0.1:6443\"",
        ),
        ("https://", "is not a URL"),
        ("https://a b", "is not a URL"),
        (
            "https://me:hunter2@x.example",
            "holds a user name or password",
        ),
        ("https://x.example?a=b", "has a query or a fragment"),
        (
            "https://x.example:99999",
            "is no address (the port in the URL",
        ),
        ("https://-x-.y", "is no address (the URL has no valid host)"),
    ] {
        let faults = home.faults(&with_cluster(&format!("server: {server}")));
        let start = "names \"DIR/config\", whose clusters[0].cluster.server (line 7) ";
        assert!(faults.starts_with(&format!("{start}{told}")), "{faults}");
    }
    let text = with_cluster("server: https://x.example\n    tls-server-name: a/b");
    let told = "clusters[0].cluster.tls-server-name (line 8) is not a host: \"a/b\"";
    assert!(home.faults(&text).ends_with(told));
}

#[test]
fn certificates_and_keys_that_cannot_be_used_are_told_at_once() {
    let home = Home::new();
    home.write("bot.crt", &home.certificate);
    home.write("bot.key", &home.key.serialize_pem());
    let another = KeyPair::generate().unwrap().serialize_pem();
    home.write("another.key", &another);
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
    home.write("encrypted.key", encrypted);
    home.write(
        "old.key",
        &another.replacen('\n', "\nProc-Type: 4,ENCRYPTED\n", 1),
    );
    home.write(
        "strange.key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
    );
    home.write("cut.key", "-----BEGIN PRIVATE KEY-----\nAAAA\n");
    home.write("open.key", &another);
    set_permissions(home.path("open.key"), Permissions::from_mode(0o602)).unwrap();
    let pair = |certificate: &str, key: &str| {
        with_user(&format!(
            "client-certificate: {certificate}\n    client-key: {key}"
        ))
    };
    assert!(home.read_text(&pair("bot.crt", "bot.key")).is_ok());
    for (text, told) in [
        (
            pair("bot.crt", "another.key"),
            "client-key (line 8) gives no key that can be used: its private key is not the \
             certificate's",
        ),
        (
            pair("bot.crt", "encrypted.key"),
            "client-key (line 8) gives no key that can be used: the private key in it is encrypted",
        ),
        (
            pair("bot.crt", "old.key"),
            "client-key (line 8) gives no key that can be used: the private key in it is encrypted",
        ),
        (
            pair("bot.crt", "strange.key"),
            "client-key (line 8) gives no key that can be used: its private key is none of",
        ),
        (
            pair("bot.crt", "cut.key"),
            "client-key (line 8) gives no key that can be used: broken PEM",
        ),
        (
            pair("bot.crt", "bot.crt"),
            "client-key (line 8) gives no key that can be used: no PEM private key in it",
        ),
        (
            pair("bot.crt", "open.key"),
            "client-key (line 8) names \"DIR/open.key\", which everybody can write to (mode 0602)",
        ),
        (
            pair("none.crt", "/none.key"),
            "client-certificate (line 7) names \"DIR/none.crt\", which cannot be read (entity not \
             found)\nnames \"DIR/config\", whose users[0].user.client-key (line 8) names \
             \"/none.key\", which cannot",
        ),
        (
            pair("bot.key", "another.key"),
            "client-certificate (line 7) gives no certificate: a private key in it and no",
        ),
        (
            with_user("client-certificate: bot.crt"),
            "client-key (line 7) is not there, and client-certificate is",
        ),
        (
            with_user("client-key: bot.key"),
            "client-certificate (line 7) is not there, and client-key is",
        ),
        (
            with_user("client-key-data: '!'\n    client-key: bot.key"),
            "client-key-data (line 7) is there, and so is client-key",
        ),
        (
            with_user("client-key-data: hunter2!\n    client-certificate-data: [x]"),
            "client-certificate-data (line 8) is not a text\n\
             names \"DIR/config\", whose users[0].user.client-key-data (line 7) is not base64",
        ),
        (
            with_user("tokenFile: none"),
            "tokenFile (line 7) gives no token: DIR/none: entity not found",
        ),
        (
            with_user("token: two hunter2"),
            "token (line 7) is not a token: it has a space, or is too long",
        ),
    ] {
        let faults = home.faults(&text);
        let start = format!("names \"DIR/config\", whose users[0].user.{told}");
        assert!(faults.starts_with(&start), "{faults}");
    }
    let text = with_cluster("certificate-authority-data: AAAA\n    server: https://x.example");
    let told = "whose clusters[0].cluster.certificate-authority-data (line 7) gives no authority: \
                no PEM certificate in it";
    assert!(home.faults(&text).ends_with(told));
}
