//! Feeds the list and the file of targets: what an operator, or who may write to the file,
//! can say of them.

#![no_main]

use std::{collections::BTreeSet, ffi::OsString, fs, os::unix::fs::PermissionsExt};

use openclaw_k8s_toggle_operator::config::Settings;
use openclaw_k8s_toggle_operator::control::{StartCount, Targets};
use openclaw_k8s_toggle_operator_fuzz::mode;

use libfuzzer_sys::fuzz_target;

/// The faults that are told of one value, and that there are more.
const MOST_FAULTS: usize = 101;

fuzz_target!(|data: &[u8]| {
    let (mode, data) = mode(data);
    let file = std::env::temp_dir().join(format!("targets-{}", std::process::id()));
    let text = String::from_utf8_lossy(data).replace('\0', " ");
    if mode != b'l' {
        fs::write(&file, data).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let env = |name: &str| {
        let value = match name {
            "MATRIX_HOMESERVER" => "https://matrix.example.org",
            "MATRIX_USER" => "bot",
            "MATRIX_PASSWORD" => "secret",
            "ALLOWED_USERS" => "@anna:hs,@bob:hs",
            "VIEWERS" => "@vera:hs",
            "TARGETS" if mode == b'l' => text.as_str(),
            "TARGETS_FILE" if mode != b'l' => return Some(file.clone().into_os_string()),
            _ => return None,
        };
        Some(OsString::from(value))
    };
    let settings = match Settings::from_env(&env) {
        Ok(settings) => settings,
        Err(faults) => {
            let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
            assert!((1..=MOST_FAULTS + 2).contains(&faults.len()), "{faults:?}");
            for fault in &faults {
                assert!(fault.len() <= 2_000, "{} bytes", fault.len());
                assert!(!fault.contains(char::is_control), "{fault:?}");
            }
            return;
        }
    };
    let Targets::Named(targets) = &settings.targets else {
        // A list without a value is none.
        return;
    };
    assert!((1..=200).contains(&targets.len()));
    let names: BTreeSet<_> = targets.iter().map(|target| &target.name).collect();
    assert_eq!(names.len(), targets.len(), "a name twice");
    let workloads: BTreeSet<_> = targets.iter().map(|target| &target.workload).collect();
    assert_eq!(workloads.len(), targets.len(), "an object twice");
    for target in targets {
        let (StartCount::Replicas(start) | StartCount::Previous(start)) = target.start;
        assert!((1..=1_000).contains(&target.max) && (1..=target.max).contains(&start));
        let users = target.users.iter().flatten();
        assert!(
            users
                .clone()
                .all(|user| settings.allowed_users.contains(user))
        );
    }
});
