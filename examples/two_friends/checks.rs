//! What was found to be so, and what was not.

use crate::stage::Stage;

/// The findings.
#[derive(Default)]
pub struct Checks(Vec<(&'static str, bool, String)>);

impl Checks {
    /// One more.
    pub fn add(&mut self, what: &'static str, holds: bool, how: String) {
        self.0.push((what, holds, how));
    }

    /// Whether all are as they should be.
    pub fn hold(&self) -> bool {
        self.0.iter().all(|(_, holds, _)| *holds)
    }

    /// One line for each.
    pub fn print(&self, stage: &Stage) {
        for (what, holds, how) in &self.0 {
            let mark = if *holds { stage.green("yes") } else { stage.red("NO ") };
            stage.print(&format!("{mark}  {what:<12} {how}"));
        }
        let word =
            if self.hold() { stage.green("All of it works.") } else { stage.red("Not all of it works.") };
        stage.print(&format!("\n{word}"));
    }
}
