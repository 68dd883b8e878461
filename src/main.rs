//! The `tellal` program.

fn main() -> std::process::ExitCode {
    tellal::cli::main()
}
