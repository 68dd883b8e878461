use super::*;
use crate::client::db::memory;
use crate::crypto::room::{Room, found, next};
use crate::crypto::test_keys::{AYŞE, BURAK, THEN};
use crate::model::RoomRecordKind;

const GARDEN: RoomId = RoomId::new([1; 32]);
const CELLAR: RoomId = RoomId::new([2; 32]);

fn name(text: &str) -> RoomName {
    text.parse().unwrap()
}

fn member(id: RoomId, text: &str) -> Stored {
    Stored { id, name: name(text), standing: Standing::Member }
}

fn way(room: RoomId, inviter: u8, text: &str) -> Way {
    Way { room, inviter: AccountId::new([inviter; 32]), name: name(text) }
}

#[test]
fn a_room_is_found_by_its_name_in_any_case_and_no_two_have_one_name() {
    let db = memory();
    let garden = member(GARDEN, "Garden");
    begin(&db, &garden).unwrap();
    assert_eq!(by_name(&db, &name("gARDEN")).unwrap(), Some(garden.clone()));
    assert_eq!(by_id(&db, &GARDEN).unwrap(), Some(garden));
    assert!(begin(&db, &member(CELLAR, "garden")).is_err());
    begin(&db, &member(CELLAR, "cellar")).unwrap();
    set_standing(&db, &GARDEN, Standing::Left).unwrap();
    // One that was left keeps its name: what was written there has it.
    assert!(begin(&db, &member(RoomId::new([3; 32]), "garden")).is_err());
    let standings: Vec<_> = all(&db).unwrap().into_iter().map(|room| (room.id, room.standing)).collect();
    assert_eq!(standings, [(CELLAR, Standing::Member), (GARDEN, Standing::Left)]);
    forget(&db, &CELLAR).unwrap();
    assert_eq!(by_id(&db, &CELLAR).unwrap(), None);
}

#[test]
fn records_are_read_back_in_their_order_as_the_room_that_they_are() {
    let db = memory();
    let first = found(&AYŞE.device, AYŞE.account.id, [7; 32], THEN).unwrap();
    let mut room = Room::found(&first, &AYŞE.account).unwrap();
    append(&db, &room.id, 0, std::slice::from_ref(&first)).unwrap();
    let invited = RoomRecordKind::Invited { account: BURAK.account.id };
    let invited = next(&room, &AYŞE.device, AYŞE.account.id, invited, THEN).unwrap();
    room.append(&invited, &AYŞE.account).unwrap();
    let joined = next(&room, &BURAK.device, BURAK.account.id, RoomRecordKind::Joined, THEN).unwrap();
    room.append(&joined, &BURAK.account).unwrap();
    append(&db, &room.id, 1, &[invited, joined.clone()]).unwrap();
    let read = Room::read_verified(&chain(&db, &room.id).unwrap()).unwrap();
    assert_eq!((read.id, read.roster(), read.members), (room.id, room.roster(), room.members));
    // No place is taken twice.
    assert!(append(&db, &room.id, 2, &[joined]).is_err());
    assert_eq!(chain(&db, &GARDEN).unwrap(), []);
}

#[test]
fn ways_into_rooms_are_kept_of_each_who_shows_one_the_newest_of_them() {
    let db = memory();
    keep_way(&db, &way(GARDEN, 1, "garden"), Millis(1)).unwrap();
    keep_way(&db, &way(GARDEN, 2, "Park"), Millis(2)).unwrap();
    keep_way(&db, &way(GARDEN, 1, "orchard"), Millis(3)).unwrap();
    assert_eq!(ways(&db).unwrap(), [way(GARDEN, 1, "orchard"), way(GARDEN, 2, "Park")]);
    assert_eq!(joining(&db, &GARDEN).unwrap(), Some(name("orchard")));
    set_joining(&db, &GARDEN, &name("meadow")).unwrap();
    assert_eq!(joining(&db, &GARDEN).unwrap(), Some(name("meadow")));
    keep_way(&db, &way(GARDEN, 3, "swamp"), Millis(4)).unwrap();
    assert_eq!(joining(&db, &GARDEN).unwrap(), Some(name("meadow")));
    end_ways(&db, &GARDEN).unwrap();
    assert_eq!((ways(&db).unwrap(), joining(&db, &GARDEN).unwrap()), (vec![], None));
    // However many one account shows, another's stay.
    keep_way(&db, &way(CELLAR, 2, "cellar"), Millis(4)).unwrap();
    for place in 0..u8::MAX {
        keep_way(&db, &way(RoomId::new([place; 32]), 1, "flood"), Millis(5 + u64::from(place))).unwrap();
    }
    let kept = ways(&db).unwrap();
    assert_eq!(kept.len() as i64, INVITATIONS_OF_ONE + 1);
    assert_eq!(kept.first().unwrap().room, RoomId::new([u8::MAX - 1; 32]));
    assert!(kept.contains(&way(CELLAR, 2, "cellar")));
}

#[test]
fn that_somebody_is_left_out_is_new_once_until_it_changes() {
    let db = memory();
    let [zoé, burak] = [1, 2].map(|byte| AccountId::new([byte; 32]));
    let mine = |now: &[(AccountId, LeftOut)]| leave_out(&db, &GARDEN, false, now).unwrap();
    let servers = |now: &[(AccountId, LeftOut)]| leave_out(&db, &GARDEN, true, now).unwrap();
    let (changed, full) = ((zoé, LeftOut::KeyChanged), (burak, LeftOut::MailboxFull));
    assert_eq!(mine(&[changed]), [changed]);
    assert_eq!(mine(&[changed]), []);
    // What this profile and what the server decides don't undo each other.
    assert_eq!(servers(&[full]), [full]);
    assert_eq!((mine(&[changed]), servers(&[full])), (vec![], vec![]));
    assert_eq!(leave_out(&db, &CELLAR, false, &[changed]).unwrap(), [changed]);
    // Another reason is another matter.
    assert_eq!(mine(&[(zoé, LeftOut::Ended), changed]), [(zoé, LeftOut::Ended)]);
    assert_eq!(mine(&[]), []);
    assert_eq!((mine(&[changed]), servers(&[full])), (vec![changed], vec![]));
}
