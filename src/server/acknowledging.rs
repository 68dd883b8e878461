//! What a connection says it has. One word is written at a time: of those that come meanwhile the furthest is enough,
//! so that however many there are, they cost what one after another costs, and none is refused or lost.

use crate::model::Position;

/// What a connection has acknowledged.
#[derive(Debug, Default)]
pub struct Acknowledging {
    under_way: bool,
    kept: Option<Position>,
}

impl Acknowledging {
    /// Takes one, and gives it back if it is to be written now.
    pub fn take(&mut self, position: Position) -> Option<Position> {
        if !self.under_way {
            self.under_way = true;
            return Some(position);
        }
        // Of two epochs, one says nothing: the later word counts.
        let further = self.kept.filter(|kept| kept.epoch == position.epoch && kept.seq > position.seq);
        self.kept = further.or(Some(position));
        None
    }

    /// What was under way has been written: the next one to write.
    pub fn written(&mut self) -> Option<Position> {
        self.under_way = self.kept.is_some();
        self.kept.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_comes_while_one_is_written_the_furthest_is_kept() {
        let at = |epoch, seq| Position { epoch, seq };
        let mut acknowledging = Acknowledging::default();
        assert_eq!(acknowledging.take(at(7, 1)), Some(at(7, 1)));
        for seq in [2, 900, 5].into_iter().cycle().take(10_000) {
            assert_eq!(acknowledging.take(at(7, seq)), None);
        }
        assert_eq!(acknowledging.written(), Some(at(7, 900)));
        assert_eq!(acknowledging.take(at(6, 9_000)), None, "that one is under way");
        assert_eq!(acknowledging.take(at(7, 901)), None);
        assert_eq!(acknowledging.written(), Some(at(7, 901)));
        assert_eq!(acknowledging.written(), None);
        assert_eq!(acknowledging.take(at(7, 902)), Some(at(7, 902)));
    }
}
