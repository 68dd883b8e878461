//! Follows what a program writes to a terminal, as a screen reader does: what stands above the line being typed has been
//! read, and must never change again.

use std::num::NonZeroU16;

/// A terminal that finds what is written over.
pub struct Follower<'a> {
    parser: vt100::Parser,
    columns: u16,
    /// What the line being typed begins with.
    prompts: &'a [&'a str],
    /// The rows that have been read, from the first that ever was, and how each looked.
    read: Vec<String>,
}

impl<'a> Follower<'a> {
    /// A terminal of so many rows and columns.
    pub fn new(rows: u16, columns: u16, prompts: &'a [&'a str]) -> Self {
        let size = |cells| NonZeroU16::new(cells).unwrap();
        let parser = vt100::Parser::new(size(rows), size(columns), 10_000);
        Self { parser, columns, prompts, read: Vec::new() }
    }

    /// Takes a program's output byte by byte; afterwards the lines that have been read.
    ///
    /// # Errors
    /// What was done to a row that had been read: the cursor went there, or it looks otherwise.
    pub fn follow(&mut self, output: &[u8]) -> Result<Vec<String>, String> {
        for byte in output {
            // Whatever changes rows begins or ends with one of these.
            if matches!(byte, b'\n' | b'\r' | b'\x1b') {
                self.look()?;
            }
            self.parser.process(&[*byte]);
            let row = self.scrolled() + usize::from(self.parser.screen().cursor_position().0);
            if row < self.read.len() {
                return Err(format!(
                    "the cursor goes to row {row}, which has been read: {:?}",
                    self.text(row)
                ));
            }
            if self.parser.screen().alternate_screen() {
                return Err("another screen covers what was read".to_owned());
            }
        }
        self.look()?;
        let rows = self.read.len();
        Ok((0..rows).map(|row| self.text(row)).collect())
    }

    fn look(&mut self) -> Result<(), String> {
        let (scrolled, rows) = (self.scrolled(), usize::from(self.parser.screen().size().0.get()));
        for row in scrolled..self.read.len() {
            let (was, is) = (&self.read[row], self.look_of(row - scrolled));
            if *was != is {
                return Err(format!("row {row} was {was:?} and is {is:?}"));
            }
        }
        let typed = (0..rows).rev().find(|row| {
            let text = self.visible(*row);
            self.prompts.iter().any(|prompt| text.starts_with(prompt))
        });
        for row in self.read.len()..typed.map_or(0, |row| scrolled + row) {
            // What has left the screen can't change any more.
            let look = if row < scrolled { String::new() } else { self.look_of(row - scrolled) };
            self.read.push(look);
        }
        Ok(())
    }

    /// How many rows have left the screen at its top.
    fn scrolled(&self) -> usize {
        self.parser.screen().scrollback_len()
    }

    /// The text of a row of the screen.
    fn visible(&self, row: usize) -> String {
        self.parser.screen().rows(0, self.columns).nth(row).unwrap().trim_end().to_owned()
    }

    /// The text of a row, counted from the first that ever was.
    fn text(&mut self, row: usize) -> String {
        let back = self.scrolled().saturating_sub(row);
        self.parser.screen_mut().set_scrollback(back);
        let text = self.visible(row - (self.scrolled() - back));
        self.parser.screen_mut().set_scrollback(0);
        text
    }

    /// Every cell of a row of the screen, with its colours.
    fn look_of(&self, row: usize) -> String {
        let cells = (0..self.columns).filter_map(|column| self.parser.screen().cell(row as u16, column));
        let look = |cell: &vt100::Cell| {
            let marks = (cell.underline(), cell.inverse(), cell.dim(), cell.bold());
            match cell.contents() {
                "" => " ".to_owned(),
                contents => format!("{contents}{:?}{:?}{marks:?}", cell.fgcolor(), cell.bgcolor()),
            }
        };
        cells.map(look).collect::<String>().trim_end().to_owned()
    }
}
