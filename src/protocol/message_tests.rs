use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::model::{KeyId, LogCertificate, RosterId, from_canonical_cbor, to_cbor};

fn bytes() -> impl Strategy<Value = ByteVec> {
    vec(any::<u8>(), 0..600).prop_map(ByteVec::from)
}

fn account() -> impl Strategy<Value = AccountId> {
    any::<[u8; 32]>().prop_map(AccountId::new)
}

fn device() -> impl Strategy<Value = DeviceId> {
    any::<[u8; 32]>().prop_map(DeviceId::new)
}

fn room() -> impl Strategy<Value = RoomId> {
    any::<[u8; 32]>().prop_map(RoomId::new)
}

fn conversation() -> impl Strategy<Value = Conversation> {
    let roster = any::<[u8; 32]>().prop_map(RosterId::new);
    prop_oneof![
        account().prop_map(Conversation::Account),
        (room(), roster).prop_map(|(room, roster)| Conversation::Room { room, roster }),
    ]
}

fn blob() -> impl Strategy<Value = BlobId> {
    any::<[u8; 32]>().prop_map(BlobId::new)
}

fn message() -> impl Strategy<Value = MessageId> {
    any::<[u8; 16]>().prop_map(MessageId::from_bytes)
}

fn nickname() -> impl Strategy<Value = Nickname> {
    prop::sample::select(vec!["ayşe", "burak", "지민", "小明", "zoé"]).prop_map(|name| name.parse().unwrap())
}

fn position() -> impl Strategy<Value = Position> {
    any::<(u64, u64)>().prop_map(|(epoch, seq)| Position { epoch, seq })
}

fn signed() -> impl Strategy<Value = Signed> {
    (bytes(), bytes()).prop_map(|(body, signature)| Signed { body, signature })
}

fn wrap() -> impl Strategy<Value = Wrap> {
    let key = any::<[u8; 32]>().prop_map(KeyId::new);
    (device(), key, bytes()).prop_map(|(device, key, ciphertext)| Wrap { device, key, ciphertext })
}

fn recipient() -> impl Strategy<Value = Recipient> {
    (account(), vec(wrap(), 0..4)).prop_map(|(account, wraps)| Recipient { account, wraps })
}

fn verb() -> impl Strategy<Value = Verb> {
    prop_oneof![
        (signed(), signed(), bytes(), option::of("[a-z0-9-]{0,30}")).prop_map(
            |(record, message_key, signature, invite)| Verb::Register {
                record,
                message_key,
                signature,
                invite
            }
        ),
        (account(), device(), bytes()).prop_map(|(account, device, signature)| Verb::Login {
            account,
            device,
            signature
        }),
        nickname().prop_map(|nickname| Verb::LookUpName { nickname }),
        account().prop_map(|account| Verb::LookUpAccount { account }),
        option::of(nickname()).prop_map(|after| Verb::ListAccounts { after }),
        signed().prop_map(|record| Verb::PublishMessageKey { record }),
        (message(), conversation(), vec(recipient(), 0..3), vec(blob(), 0..3)).prop_map(
            |(message, conversation, recipients, blobs)| Verb::Submit {
                message,
                conversation,
                recipients,
                blobs
            }
        ),
        option::of(position()).prop_map(|after| Verb::Subscribe { after }),
        position().prop_map(|position| Verb::Acknowledge { position }),
        (blob(), any::<u32>()).prop_map(|(blob, index)| Verb::PutChunk { blob, index }),
        (blob(), any::<u32>()).prop_map(|(blob, chunks)| Verb::SealBlob { blob, chunks }),
        blob().prop_map(|blob| Verb::StatBlob { blob }),
        (blob(), any::<u32>()).prop_map(|(blob, index)| Verb::FetchChunk { blob, index }),
        Just(Verb::WatchPresence),
        any::<u64>().prop_map(|from| Verb::ReadLog { from }),
        any::<u64>().prop_map(|size| Verb::ProveLeaf { nickname: "ayşe".parse().unwrap(), size }),
        any::<(u64, u64)>().prop_map(|(from, to)| Verb::ProveGrowth { from, to }),
        Just(Verb::Ping),
        account().prop_map(|account| Verb::Block { account }),
        account().prop_map(|account| Verb::Unblock { account }),
        signed().prop_map(|record| Verb::PublishRoomRecord { record }),
        (room(), any::<u32>()).prop_map(|(room, from)| Verb::ReadRoom { room, from }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    (any::<u32>(), verb()).prop_map(|(number, verb)| Request { number, verb })
}

fn answer() -> impl Strategy<Value = Answer> {
    let entry = (vec(signed(), 0..3), vec(signed(), 0..3), any::<bool>())
        .prop_map(|(chain, message_keys, online)| DirectoryEntry { chain, message_keys, online });
    prop_oneof![
        Just(Answer::Done),
        Just(Answer::LoggedIn),
        (vec(entry, 0..3), any::<bool>()).prop_map(|(entries, more)| Answer::Directory { entries, more }),
        (any::<u64>(), vec(account(), 0..3))
            .prop_map(|(at, left_out)| Answer::Accepted { at: Millis(at), left_out }),
        (vec(signed(), 0..3), any::<bool>()).prop_map(|(records, more)| Answer::Room { records, more }),
        position().prop_map(|oldest| Answer::Subscribed { oldest }),
        any::<(u32, bool)>().prop_map(|(chunks, sealed)| Answer::Blob { chunks, sealed }),
        Just(Answer::Chunk),
        (vec(account(), 0..5), any::<bool>()).prop_map(|(accounts, more)| Answer::Online { accounts, more }),
        ".{0,40}".prop_map(|checkpoint| Answer::Log { checkpoint }),
        proptest::option::of((any::<u64>(), vec(any::<[u8; 32]>(), 0..4))).prop_map(|found| {
            Answer::LogLeaf {
                leaf: found.map(|(place, proof)| LeafProof {
                    place,
                    leaf: vec![7; 72].into(),
                    proof: proof.into_iter().map(Into::into).collect(),
                }),
            }
        }),
        vec(any::<[u8; 32]>(), 0..4)
            .prop_map(|proof| Answer::LogGrowth { proof: proof.into_iter().map(Into::into).collect() }),
    ]
}

fn push() -> impl Strategy<Value = Push> {
    let code = prop::sample::select(vec![
        RefusalCode::Invalid,
        RefusalCode::NameReused,
        RefusalCode::KeySuperseded,
        RefusalCode::ShuttingDown,
        RefusalCode::NotInRoom,
    ]);
    let reason = prop::sample::select(vec![
        GoodbyeReason::ShuttingDown,
        GoodbyeReason::Malformed,
        GoodbyeReason::TooLarge,
        GoodbyeReason::TimedOut,
        GoodbyeReason::Replaced,
        GoodbyeReason::OutOfOrder,
    ]);
    prop_oneof![
        (vec(any::<u16>(), 0..4), any::<([u8; 32], [u8; 32], u64)>()).prop_map(
            |(versions, (server, nonce, time))| Push::Hello {
                log: (time % 2 == 0).then(|| LogCertificate {
                    server: ServerId::new(server),
                    log_key: nonce,
                    tls_key: nonce.to_vec().into(),
                    scheme: 0x0403,
                    signature: server.to_vec().into(),
                }),
                versions,
                server: ServerId::new(server),
                nonce: nonce.into(),
                time: Millis(time)
            }
        ),
        any::<u64>().prop_map(|size| Push::LogGrown { size }),
        room().prop_map(|room| Push::RoomChanged { room }),
        (any::<u32>(), answer()).prop_map(|(number, answer)| Push::Reply { number, answer }),
        (any::<u32>(), code, any::<Option<u32>>()).prop_map(|(number, code, retry_after)| Push::Refusal {
            number,
            code,
            retry_after
        }),
        (position(), account(), device(), message(), conversation(), option::of(wrap()), any::<u64>())
            .prop_map(|(position, sender, device, message, conversation, wrap, at)| Push::Delivery {
                position,
                sender,
                device,
                message,
                conversation,
                wrap,
                accepted_at: Millis(at)
            }),
        position().prop_map(|position| Push::Drained { position }),
        (account(), any::<bool>()).prop_map(|(account, online)| Push::Presence { account, online }),
        (reason, any::<Option<u32>>())
            .prop_map(|(reason, retry_after)| Push::Goodbye { reason, retry_after }),
    ]
}

proptest! {
    #[test]
    fn a_request_comes_out_as_it_went_in(request in request()) {
        prop_assert_eq!(from_canonical_cbor::<Request>(&to_cbor(&request)), Ok(request));
    }

    #[test]
    fn a_push_comes_out_as_it_went_in(push in push()) {
        prop_assert_eq!(from_canonical_cbor::<Push>(&to_cbor(&push)), Ok(push));
    }

    #[test]
    fn a_head_that_is_cut_off_is_refused_at_every_byte(request in request(), push in push()) {
        let (request, push) = (to_cbor(&request), to_cbor(&push));
        for length in 0..request.len() {
            prop_assert!(minicbor::decode::<Request>(&request[..length]).is_err());
        }
        for length in 0..push.len() {
            prop_assert!(minicbor::decode::<Push>(&push[..length]).is_err());
        }
    }

    #[test]
    fn a_damaged_head_is_decoded_or_refused(request in request(), place in any::<usize>(), bit in 0..8u8) {
        let mut bytes = to_cbor(&request);
        let place = place % bytes.len();
        bytes[place] ^= 1 << bit;
        let _ = minicbor::decode::<Request>(&bytes);
    }
}
