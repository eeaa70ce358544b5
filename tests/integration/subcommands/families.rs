//! The health port where the system's network is another one than usual: a
//! network namespace has its own settings of IPv6.

use std::process::Command;

use crate::support::bot::Bot;
use crate::support::world::World;

/// Runs the bot in a new network namespace, and in there `healthcheck` with each
/// address. Arguments: the binary, where the bot listens, how many are asked for,
/// `file=value` settings of the system, the addresses. Prints a line each.
const SCRIPT: &str = r#"
binary=$1; listens=$2; settings=$3; shift 3
for setting in $settings; do echo "${setting#*=}" > "/proc/sys/net/ipv6/${setting%=*}" || exit 77; done
ip link set lo up || exit 77
HEALTH_ADDR=$listens "$binary" >"$LOG" 2>&1 & bot=$!
for wait in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    HEALTH_ADDR=$listens "$binary" healthcheck livez >/dev/null 2>&1 && break
    sleep 0.1
done
for address; do
    HEALTH_ADDR=$address "$binary" healthcheck livez >/dev/null 2>&1 && echo "$address yes" || echo "$address no"
done
kill $bot
"#;

/// The answers of the addresses, one each; an error says why there is no such
/// network here.
fn asked(settings: &str, listens: &str, addresses: &[&str]) -> Result<Vec<String>, String> {
    let world = World::new();
    let log = world.dir.path().join("log");
    let output = Command::new("unshare")
        .args(["-rn", "sh", "-c", SCRIPT, "sh"])
        .arg(Bot::program().get_program())
        .args([listens, settings])
        .args(addresses)
        .env_clear()
        .envs(&world.env)
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("LOG", &log)
        .output()
        .map_err(|error| format!("unshare: {error}"))?;
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    match output.status.success() {
        true => Ok(lines(&output.stdout).lines().map(str::to_owned).collect()),
        false => Err(lines(&output.stderr)),
    }
}

/// The default of new sockets (`bindv6only`) and addresses that are switched off
/// change nothing for who listens on all of them.
#[test]
fn all_addresses_are_those_of_both_families() {
    let (v4, v6) = ("127.0.0.1:8080", "[::1]:8080");
    for (settings, listens, answers) in [
        ("bindv6only=1", ":8080", [true, true]),
        ("bindv6only=1", "[::]:8080", [true, true]),
        ("bindv6only=1", "0.0.0.0:8080", [true, false]),
        (
            "conf/all/disable_ipv6=1 conf/lo/disable_ipv6=1",
            ":8080",
            [true, false],
        ),
    ] {
        let found = match asked(settings, listens, &[v4, v6, listens]) {
            Ok(found) => found,
            Err(why) => return println!("not tested, for want of a network namespace: {why}"),
        };
        let said = |is: bool| if is { "yes" } else { "no" };
        let wanted = [
            format!("{v4} {}", said(answers[0])),
            format!("{v6} {}", said(answers[1])),
            format!("{listens} yes"),
        ];
        assert_eq!(found, wanted, "{listens} with {settings}");
    }
}
