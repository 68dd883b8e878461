//! The `tellal` program.

fn main() {}
