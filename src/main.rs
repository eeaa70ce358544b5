//! The binary: arguments in, exit code out.

use std::io::Write;
use std::process::ExitCode;

use openclaw_k8s_toggle_operator::{cli, util::Clock};

fn main() -> ExitCode {
    let mut args = std::env::args_os();
    let program = args.next().unwrap_or_default();
    let env = |name: &str| std::env::var_os(name);
    let Err(error) = cli::run(
        &program,
        args,
        &env,
        Clock::system(),
        &mut std::io::stdout(),
    ) else {
        return ExitCode::SUCCESS;
    };
    if !error.is_logged() {
        // Nothing better can be done when standard error is closed.
        let _ = writeln!(std::io::stderr(), "{error}");
    }
    ExitCode::from(error.code())
}
