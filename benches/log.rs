//! What the transparency log costs at 100,000 and at 1,000,000 records, in the server's own store: appending,
//! a checkpoint's root, a look-up with its proof, and what a client does with all of it. `cargo bench --bench log`
//! prints the table of `docs/performance.md`; `TELLAL_RECORDS=N,…` chooses other sizes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark may"
)]

use std::time::Instant;

use tellal::model::{AccountId, DeviceId, KeyId, Leaf, Millis, NameHash, Nickname, Signed};
use tellal::store::{NewAccount, NewMessageKey, SqliteStore, Store};
use tlog_tiles::{Hash, HashReader};

/// Registrations under way at a time: as many as go into one transaction.
const GROUP: u64 = 512;
/// Looked up, and proven.
const SAMPLES: u64 = 1001;
/// Leaves that a server gives at a time.
const PAGE: usize = 1680;

fn id(kind: u8, number: u64) -> [u8; 32] {
    let mut id = [kind; 32];
    id[..8].copy_from_slice(&number.to_be_bytes());
    id
}

fn name(number: u64) -> Nickname {
    format!("person{number}").parse().unwrap()
}

/// An account with records of the size that 3072-bit keys give them. The store looks at none of it.
fn account(number: u64) -> NewAccount {
    let record = |kind: u8| {
        let mut body = vec![kind; 900];
        body[..8].copy_from_slice(&number.to_be_bytes());
        Signed { body: body.into(), signature: vec![kind; 384].into() }
    };
    let device = DeviceId::new(id(2, number));
    NewAccount {
        account: AccountId::new(id(1, number)),
        nickname: name(number),
        device,
        record: record(4),
        invite: None,
        message_key: NewMessageKey {
            device,
            key: KeyId::new(id(3, number)),
            until: Millis(u64::MAX / 4),
            supersedes: None,
            record: record(5),
        },
    }
}

/// Hashes in memory, as a client makes them.
#[derive(Default)]
struct Tree(Vec<Hash>);

impl HashReader for Tree {
    fn read_hashes(&self, places: &[u64]) -> Result<Vec<Hash>, tlog_tiles::Error> {
        let hash = |place: &u64| self.0.get(usize::try_from(*place).unwrap()).copied();
        places.iter().map(hash).collect::<Option<_>>().ok_or(tlog_tiles::Error::IndexesNotInTree)
    }
}

#[derive(Clone, Copy)]
struct Times {
    median: f64,
    least: f64,
    most: f64,
}

fn times(mut seconds: Vec<f64>) -> Times {
    seconds.sort_by(f64::total_cmp);
    Times {
        median: seconds[seconds.len() / 2] * 1e6,
        least: seconds[0] * 1e6,
        most: seconds[seconds.len() - 1] * 1e6,
    }
}

fn row(what: &str, times: Times) {
    println!("| {what} | {:.0} | {:.0}–{:.0} |", times.median, times.least, times.most);
}

/// Bytes of memory that this process has now.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}

#[tokio::main]
async fn main() {
    let chosen = std::env::var("TELLAL_RECORDS").unwrap_or_else(|_| "100000,1000000".to_owned());
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(folder.path()).unwrap();
    let mut records = 0;
    for size in chosen.split(',').map(|size| size.trim().parse::<u64>().unwrap()) {
        let (begun, from) = (Instant::now(), records);
        while records < size {
            let group = records..(records + GROUP).min(size);
            records = group.end;
            // Queued at once, so that the store commits them together.
            let registering = group.map(|number| store.register(account(number)));
            futures_util::future::join_all(registering).await.into_iter().for_each(|done| done.unwrap());
        }
        let each = begun.elapsed().as_secs_f64() * 1e6 / (size - from) as f64;
        println!(
            "\n{size} records: appended in groups of {GROUP}, {each:.0} µs each, account and log together\n"
        );
        println!("| what | median µs | min–max µs |\n| --- | --- | --- |");
        measure(&store, size).await;
        records += ALONE;
        let file = std::fs::metadata(folder.path().join("server.db")).unwrap().len();
        println!("\nThe server's database: {} MiB, its process: {} MiB", file >> 20, resident() >> 20);
        client(&store).await;
    }
}

/// Registrations that are measured one by one.
const ALONE: u64 = 101;

async fn measure(store: &SqliteStore, size: u64) {
    let (mut roots, mut leaves, mut growths, mut checks, mut alone) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut leaf_bytes, mut growth_bytes) = (0, 0);
    let (head, _) = store.log(0, 0).await.unwrap();
    let root = Hash(head.root);
    for sample in 0..SAMPLES {
        let number = sample * (size / SAMPLES);
        let begun = Instant::now();
        store.log(size, 0).await.unwrap();
        roots.push(begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let proven = store.prove_leaf(NameHash::of(&name(number)), size).await.unwrap().unwrap();
        leaves.push(begun.elapsed().as_secs_f64());
        leaf_bytes = leaf_bytes.max(proven.proof.len() * 32);

        let begun = Instant::now();
        let proof = proven.proof.into_iter().map(Hash).collect();
        let leaf = tlog_tiles::record_hash(&proven.leaf.to_bytes());
        tlog_tiles::check_record(&proof, size, root, proven.place, leaf).unwrap();
        checks.push(begun.elapsed().as_secs_f64());

        let begun = Instant::now();
        let proof = store.prove_growth(number + 1, size).await.unwrap();
        growths.push(begun.elapsed().as_secs_f64());
        growth_bytes = growth_bytes.max(proof.len() * 32);
    }
    for number in size..size + ALONE {
        let begun = Instant::now();
        store.register(account(number)).await.unwrap();
        alone.push(begun.elapsed().as_secs_f64());
    }
    row("append one account, alone, durable", times(alone));
    row("the root hash, for a checkpoint", times(roots));
    row(&format!("look-up with proof ({leaf_bytes} bytes at most)"), times(leaves));
    row("checking that proof", times(checks));
    row(&format!("consistency proof ({growth_bytes} bytes at most)"), times(growths));
}

/// What a client does at its first contact: fetch all leaves, hash them all, compare the root.
async fn client(store: &SqliteStore) {
    let (before, begun) = (resident(), Instant::now());
    let (head, _) = store.log(0, 0).await.unwrap();
    let mut leaves: Vec<Leaf> = Vec::new();
    while (leaves.len() as u64) < head.size {
        leaves.extend(store.log(leaves.len() as u64, PAGE).await.unwrap().1);
    }
    let read = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let mut tree = Tree::default();
    for (place, leaf) in (0..).zip(&leaves) {
        let more = tlog_tiles::stored_hashes(place, &leaf.to_bytes(), &tree).unwrap();
        tree.0.extend(more);
    }
    let Hash(root) = tlog_tiles::tree_hash(head.size, &tree).unwrap();
    assert_eq!(root, head.root);
    let (hashed, grown) = (begun.elapsed().as_secs_f64(), resident().saturating_sub(before));
    println!(
        "A client's first audit: {:.1} MB of leaves, read from the store in {read:.2} s, hashed and compared in \
         {hashed:.2} s, {} MiB of memory",
        leaves.len() as f64 * 72e-6,
        grown >> 20,
    );
}
