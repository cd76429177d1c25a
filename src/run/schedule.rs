//! Which launch comes next: one of every cell first, then further rounds while the budget lasts.
//!
//! Contract: rounds go up and down the list in turn (A B … B A …), so that a machine that drifts does not favour the
//! cells at one end. The first round is always made in full: a row without one launch would say nothing.

use std::time::Duration;

/// What is left to do of each cell, and how long its launches take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellState {
    /// Launches made, good or bad.
    pub made: usize,
    /// It failed: no further launch would tell more.
    pub failed: bool,
    /// Seconds of its longest launch so far.
    pub longest: Option<Duration>,
    /// One launch is all that is wanted of it.
    pub once: bool,
}

impl CellState {
    /// Launches that are wanted of it, of as many as others get.
    pub fn wanted(&self, launches: usize) -> usize {
        if self.once { 1 } else { launches }
    }

    /// Whether another launch is wanted.
    pub fn is_open(&self, launches: usize) -> bool {
        !self.failed && self.made < self.wanted(launches)
    }
}

/// The next launch, or `None` when all is done or the budget is.
pub fn next(cells: &[CellState], launches: usize, left: Duration) -> Option<usize> {
    let open = |cell: &CellState| cell.is_open(launches);
    let round = cells.iter().filter(|cell| open(cell)).map(|cell| cell.made).min()?;
    let mut order: Vec<usize> = (0..cells.len()).collect();
    if round % 2 == 1 {
        order.reverse();
    }
    order.into_iter().find(|&index| {
        let cell = &cells[index];
        let fits = round == 0 || cell.longest.is_none_or(|longest| longest <= left);
        open(cell) && cell.made == round && fits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a schedule in which launch of cell i takes `seconds[i]`, and gives the order.
    fn order(seconds: &[u64], launches: usize, budget: u64) -> Vec<usize> {
        let mut cells = vec![CellState::default(); seconds.len()];
        let mut left = Duration::from_secs(budget);
        let mut order = Vec::new();
        while let Some(index) = next(&cells, launches, left) {
            let took = Duration::from_secs(seconds[index]);
            cells[index].made += 1;
            cells[index].longest = Some(took);
            left = left.saturating_sub(took);
            order.push(index);
        }
        order
    }

    #[test]
    fn rounds_turn_round() {
        assert_eq!(order(&[1, 1, 1], 3, 100), [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn the_first_round_is_whole_even_beyond_the_budget() {
        assert_eq!(order(&[10, 10, 10], 3, 5), [0, 1, 2]);
    }

    #[test]
    fn a_failed_cell_is_not_tried_again() {
        let failed = CellState { made: 1, failed: true, ..CellState::default() };
        assert_eq!(next(&[failed, CellState { made: 3, ..CellState::default() }], 3, Duration::MAX), None);
    }

    #[test]
    fn what_is_wanted_once_is_made_once() {
        let once = CellState { once: true, ..CellState::default() };
        let others = |made| CellState { made, ..CellState::default() };
        assert_eq!(next(&[others(1), once.clone()], 3, Duration::MAX), Some(1));
        assert_eq!(next(&[others(1), CellState { made: 1, ..once }], 3, Duration::MAX), Some(0));
    }

    #[test]
    fn a_cell_too_long_for_what_is_left_does_not_stop_the_short_ones() {
        // 9 + 1 + 1 leave 4 s: enough for the short ones' second launch, not for the long one's.
        let order = order(&[9, 1, 1], 2, 15);
        assert_eq!(order, [0, 1, 2, 2, 1]);
    }
}
