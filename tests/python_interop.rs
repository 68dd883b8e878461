//! Envelopes between this crate and `examples/open_envelope.py`, which knows nothing but Python's
//! `cryptography` and a CBOR decoder: sealed by either, opened by the other.

#![cfg(feature = "client")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tellal::crypto::envelope::{
    Content, Delivered, Draft, Header, Opened, Recipient, VoiceData, VoiceManifest, parse, seal,
};
use tellal::crypto::record::{Account, MessageKey};
use tellal::crypto::{MessageSecret, PrivateKey, record};
use tellal::model::{BlobId, Conversation, EnvelopeHash, Head, MessageId, Millis, Signed, Wrap, to_cbor};
use tempfile::TempDir;

const THEN: Millis = Millis(1_795_233_600_000);
const TEXT: &str = "Yarın saat üçte: 안녕, 你好, à bientôt!\n🎙 --text";

/// ayşe's device and burak's, as far as an envelope between them needs.
struct Scene {
    ayşe: Account,
    ayşe_chain: Vec<Signed>,
    ayşe_device: PrivateKey,
    burak: Account,
    burak_message: PrivateKey,
    burak_key: MessageKey,
    folder: TempDir,
}

fn scene() -> Scene {
    let [ayşe, ayşe_device, burak, burak_device, burak_message] =
        std::array::from_fn(|_| PrivateKey::generate(2048).unwrap());
    let account = |identity: &PrivateKey, device: &PrivateKey, name: &str| {
        let name = name.parse().unwrap();
        let record = record::register(identity, device.public(), name, None, THEN).unwrap();
        (record::verify_account(std::slice::from_ref(&record)).unwrap(), vec![record])
    };
    let (ayşe, ayşe_chain) = account(&ayşe, &ayşe_device, "ayşe");
    let (burak, burak_chain) = account(&burak, &burak_device, "burak");
    let key =
        record::announce_message_key(&burak_device, burak.id, burak_message.public(), THEN, None).unwrap();
    let burak_key = record::verify_message_key(&burak, &key).unwrap();

    let scene = Scene {
        ayşe,
        ayşe_chain,
        ayşe_device,
        burak,
        burak_message,
        burak_key,
        folder: TempDir::new().unwrap(),
    };
    fs::write(scene.path("device.pem"), scene.ayşe_device.to_pem().as_bytes()).unwrap();
    fs::write(scene.path("device.spki"), scene.ayşe_device.public().spki()).unwrap();
    fs::write(scene.path("chain"), to_cbor(&scene.ayşe_chain)).unwrap();
    fs::write(scene.path("other chain"), to_cbor(&burak_chain)).unwrap();
    fs::write(scene.path("message.pem"), scene.burak_message.to_pem().as_bytes()).unwrap();
    fs::write(scene.path("message.spki"), scene.burak_message.public().spki()).unwrap();
    scene
}

impl Scene {
    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn python(&self, arguments: &[&str]) -> Output {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/open_envelope.py");
        Command::new("/usr/bin/python3")
            .arg(script)
            .args(arguments)
            .current_dir(&self.folder)
            .output()
            .unwrap()
    }

    fn draft(&self) -> Draft {
        Draft {
            message: MessageId::generate(),
            account: self.ayşe.id,
            recipient: Conversation::Account(self.burak.id),
            counter: Some(41),
            previous: EnvelopeHash::new([7; 32]),
            sent_at: THEN,
            log: Some(Head { size: 3, root: [9; 32] }),
        }
    }

    /// Seals, writes body and wrap into files, and has Python open them.
    fn opened_by_python(&self, draft: &Draft, content: &Content) -> Value {
        let sealed = seal(&self.ayşe_device, draft, content, MessageSecret::generate()).unwrap();
        fs::write(self.path("body"), &sealed.body).unwrap();
        fs::write(self.path("wrap"), sealed.wrap_for(&self.burak_key).unwrap().ciphertext.as_slice())
            .unwrap();
        let output = self.python(&OPEN);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(found["hash"], sealed.hash.to_string());
        assert_eq!(found["verified"], true);
        found
    }

    /// Opens the files that Python wrote as burak's device does.
    fn open(&self) -> (Header, Opened) {
        let body = fs::read(self.path("body")).unwrap().into();
        let ciphertext = fs::read(self.path("wrap")).unwrap().into();
        let parsed = parse(&body).unwrap();
        let header = parsed.header().clone();
        let delivered = Delivered {
            sender: self.ayşe.id,
            device: self.ayşe_device.public().id().into(),
            message: header.message,
            conversation: self.burak.id.into(),
        };
        let me = Recipient { account: self.burak.id, device: self.burak_key.device };
        let verified = parsed.check(&delivered, me, &self.ayşe, None).unwrap();
        let wrap = Wrap { device: me.device, key: self.burak_message.public().id(), ciphertext };
        (header, verified.open(&self.burak_message, &wrap).unwrap())
    }
}

const OPEN: [&str; 9] =
    ["open", "--body", "body", "--wrap", "wrap", "--key", "message.pem", "--sender", "device.spki"];

#[test]
fn python_opens_what_we_sealed() {
    let scene = scene();
    let draft = scene.draft();
    let found = scene.opened_by_python(&draft, &Content::Text(TEXT.to_owned()));
    assert_eq!((&found["kind"], &found["text"]), (&"text".into(), &TEXT.into()));
    assert_eq!(found["message"], draft.message.to_string());
    assert_eq!(found["account"], scene.ayşe.id.to_string());
    assert_eq!(found["device"], scene.ayşe_device.public().id().to_string());
    assert_eq!(found["to"], scene.burak.id.to_string());
    assert_eq!((&found["counter"], &found["sent_at"]), (&41.into(), &THEN.0.into()));
    assert_eq!(found["previous"], "07".repeat(32));

    let outside = Draft { counter: None, previous: Header::NONE_BEFORE, ..scene.draft() };
    let found = scene.opened_by_python(&outside, &Content::Void);
    assert_eq!((&found["kind"], &found["counter"]), (&"void".into(), &Value::Null));

    let long = "uzun ".repeat(9000);
    let found = scene.opened_by_python(&scene.draft(), &Content::Text(long.clone()));
    assert_eq!(found["text"], long);
}

#[test]
fn python_opens_our_voice_notes() {
    let scene = scene();
    let note = VoiceManifest {
        data: VoiceData::Inline(b"RIFF".to_vec().into()),
        name: "sesli not.wav".to_owned(),
        media_type: "audio/wav".to_owned(),
        size: 4,
        sha256: <sha2::Sha256 as sha2::Digest>::digest(b"RIFF").into(),
        duration_ms: 1500,
        sample_rate: 16_000,
        peaks: vec![0, 255].into(),
    };
    let found = scene.opened_by_python(&scene.draft(), &Content::Voice(note.clone()));
    assert_eq!((&found["kind"], &found["audio"]), (&"voice".into(), &"UklGRg==".into()));
    assert_eq!((&found["duration_ms"], &found["sample_rate"]), (&1500.into(), &16_000.into()));

    let data = VoiceData::Blob { id: BlobId::new([9; 32]), chunks: 3 };
    let found = scene
        .opened_by_python(&scene.draft(), &Content::Voice(VoiceManifest { data, size: 150_000, ..note }));
    assert_eq!((&found["blob"], &found["chunks"]), (&"09".repeat(32).into(), &3.into()));
    assert_eq!(found["size"], 150_000);
}

#[test]
fn python_finds_the_senders_device_in_the_directory() {
    let scene = scene();
    scene.opened_by_python(&scene.draft(), &Content::Text(TEXT.to_owned()));
    let open = |chain| scene.python(&[&OPEN[..7], &["--chain", chain]].concat());
    let found: Value = serde_json::from_slice(&open("chain").stdout).unwrap();
    assert_eq!((&found["verified"], &found["text"]), (&true.into(), &TEXT.into()));

    assert_eq!(open("other chain").status.code(), Some(1));
    let mut forged = scene.ayşe_chain.clone();
    forged[0].signature[9] ^= 1;
    fs::write(scene.path("forged"), to_cbor(&forged)).unwrap();
    assert_eq!(open("forged").status.code(), Some(1));
}

#[test]
fn python_refuses_what_was_changed() {
    let scene = scene();
    scene.opened_by_python(&scene.draft(), &Content::Text(TEXT.to_owned()));
    let body = fs::read(scene.path("body")).unwrap();
    let wrap = fs::read(scene.path("wrap")).unwrap();
    // In the header's message id, in the signature, in the token; then in the wrap.
    for at in [10, 300, body.len() - 40] {
        let mut changed = body.clone();
        changed[at] ^= 1;
        fs::write(scene.path("body"), changed).unwrap();
        let output = scene.python(&OPEN);
        assert_eq!(output.status.code(), Some(1), "byte {at}");
        assert!(output.stdout.is_empty());
    }
    fs::write(scene.path("body"), &body).unwrap();
    let mut changed = wrap;
    changed[100] ^= 1;
    fs::write(scene.path("wrap"), changed).unwrap();
    let output = scene.python(&OPEN);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("cannot be opened"));
}

#[test]
fn we_open_what_python_sealed() {
    let scene = scene();
    let (account, to) = (scene.ayşe.id.to_string(), scene.burak.id.to_string());
    let seal = |more: &[&str]| -> Value {
        let keys = ["seal", "--device-key", "device.pem", "--recipient-key", "message.spki"];
        let names = ["--account", &account, "--to", &to, "--body", "body", "--wrap", "wrap"];
        let output = scene.python(&[keys.as_slice(), &names, more].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };

    let said = seal(&[TEXT]);
    let (header, opened) = scene.open();
    assert_eq!(opened.content, Content::Text(TEXT.to_owned()));
    assert_eq!((header.counter, header.previous), (None, Header::NONE_BEFORE));
    assert_eq!(said["message"], header.message.to_string());
    assert_eq!(header.message.to_string().as_bytes()[14], b'7', "a UUIDv7");
    assert_eq!(said["key"], scene.burak_message.public().id().to_string());

    let (id, before) = (MessageId::generate().to_string(), "05".repeat(32));
    seal(&["--message", &id, "--counter", "8", "--previous", &before, "--sent-at", "1795233600000", "evet"]);
    let (header, opened) = scene.open();
    assert_eq!(opened.content, Content::Text("evet".to_owned()));
    assert_eq!((header.message.to_string(), header.sent_at), (id, THEN));
    assert_eq!((header.counter, header.previous), (Some(8), EnvelopeHash::new([5; 32])));
}
