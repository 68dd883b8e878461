# `make demo` shows Tellal at work; `make test` runs everything that is tested. Both set up what they need.

.PHONY: build demo test clean

build:
	@scripts/setup build
	cargo build --release

demo:
	@scripts/setup demo
	cargo build --release --bin tellal --example two_friends
	cargo run --release --example two_friends

test:
	@scripts/setup test
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings
	cargo clippy --no-default-features --features server -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --no-deps
	scripts/test

clean:
	cargo clean
