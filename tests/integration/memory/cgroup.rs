//! A control group that a program is started in, with the memory it has in the
//! cluster and no more.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::support::bot::Bot;

/// The manifest, which says how much memory the bot may have.
const MANIFEST: &str = concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/deploy/k8s/base/deployment.yaml"
);

/// The memory controller's group; gone when dropped.
pub struct Group {
    path: PathBuf,
    version: Version,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The limit of the manifest in bytes: the last `memory:` in it.
pub fn limit() -> u64 {
    let manifest = fs::read_to_string(MANIFEST).expect("the manifest is there");
    let lines = manifest.lines().rev();
    let mut memory = lines.filter_map(|line| line.trim().strip_prefix("memory: "));
    let limit = memory.next().expect("it has a limit");
    let mib: u64 = limit
        .strip_suffix("Mi")
        .and_then(|number| number.parse().ok())
        .expect("in MiB");
    mib * 1024 * 1024
}

impl Group {
    /// A new group below this process's own, or wherever one can be made; an
    /// error says in one sentence why there is none.
    pub fn new(limit: u64) -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("openclaw-memory-{}-{number}", std::process::id());
        let mut why = "no memory controller is mounted".to_owned();
        for (version, parent) in places() {
            let path = parent.join(&name);
            match make(version, &parent, &path, limit) {
                Ok(()) => return Ok(Self { path, version }),
                Err(error) => {
                    let _ = fs::remove_dir(&path);
                    why = format!("{}: {error}", parent.display());
                }
            }
        }
        Err(format!(
            "no control group with a memory limit can be made ({why}); run as root, or in a \
             delegated subtree"
        ))
    }

    /// Starts the bot's binary in the group.
    pub fn program(&self) -> Command {
        let binary = Bot::program();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", "echo $$ > \"$0\" && exec \"$1\""])
            .arg(self.path.join("cgroup.procs"))
            .arg(binary.get_program());
        command
    }

    /// The number of times that the kernel killed a process of the group for its memory.
    pub fn kills(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.oom_control",
            Version::Two => "memory.events",
        };
        let text = self.read(file);
        let found = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        found.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// The most memory that was charged to the group, caches of files included, in kB.
    pub fn peak_kb(&self) -> u64 {
        let file = match self.version {
            Version::One => "memory.max_usage_in_bytes",
            Version::Two => "memory.peak",
        };
        self.read(file).trim().parse::<u64>().unwrap_or(0) / 1024
    }

    fn read(&self, file: &str) -> String {
        fs::read_to_string(self.path.join(file)).unwrap_or_default()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Its process was waited for; the kernel may need a moment to see that.
        for _ in 0..100 {
            if fs::remove_dir(&self.path).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

/// The places in which groups may be made, this process's own first, up to the root.
fn places() -> Vec<(Version, PathBuf)> {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let mut places = Vec::new();
    for mount in mounts.lines() {
        let mut fields = mount.split(' ').skip(1);
        let (Some(at), Some(kind), Some(options)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (version, controller) = match kind {
            "cgroup2" => (Version::Two, ""),
            "cgroup" if options.split(',').any(|one| one == "memory") => (Version::One, "memory"),
            _ => continue,
        };
        let mut below = own.lines().filter_map(|line| {
            let mut parts = line.splitn(3, ':').skip(1);
            let (controllers, path) = (parts.next()?, parts.next()?);
            controllers
                .split(',')
                .any(|one| one == controller)
                .then_some(path)
        });
        let own = Path::new(at).join(below.next().unwrap_or("/").trim_start_matches('/'));
        let up = own.ancestors().take_while(|path| path.starts_with(at));
        places.extend(up.map(|path| (version, path.to_owned())));
    }
    places
}

fn make(version: Version, parent: &Path, path: &Path, limit: u64) -> io::Result<()> {
    fs::create_dir(path)?;
    let write = |file: &str, value: &str| fs::write(path.join(file), value);
    let limit = limit.to_string();
    match version {
        Version::One => {
            write("memory.limit_in_bytes", &limit)?;
            // Not there without accounting for swap; then there is none to use.
            let _ = write("memory.memsw.limit_in_bytes", &limit);
            Ok(())
        }
        Version::Two => {
            if !path.join("memory.max").exists() {
                fs::write(parent.join("cgroup.subtree_control"), "+memory")?;
            }
            write("memory.max", &limit)?;
            let _ = write("memory.swap.max", "0");
            // The group as one, as Kubernetes has it.
            let _ = write("memory.oom.group", "1");
            Ok(())
        }
    }
}
