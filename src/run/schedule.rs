//! Which launch comes next, which cells a budget has room for, and how long a launch may go on making images.
//!
//! Contract: rounds go up and down the list in turn (A B … B A …), so that a machine that drifts does not favour the cells at one end.
//! Cells of one group, workload and precision are a comparison, which is made as a whole or not at all. Comparisons come in the order of the plan: one gets
//! its launches if all of them fit into what those before it leave of the budget, and is left out otherwise. Whether they do is judged anew
//! before each launch, by what launches took as soon as some are made. The first comparison always gets a launch of each cell, whatever the budget:
//! a run without a row would say nothing. So does every comparison where nobody gave the run a budget. What is left over goes to more images.

use std::time::Duration;

/// Launches that a comparison must have room for: with three it shows how far launches differ. More are made while the budget lasts.
const ENOUGH: usize = 3;
/// How many times too long an estimate may be that was not taken from this machine: up to there one launch finds out.
const DOUBT: f64 = 4.0;
/// Share of what is missing that must fit once a comparison is begun: a little beyond the budget is better than one launch too few.
const MOSTLY: f64 = 0.8;
/// Images of a launch that the budget has room for: the first is none of the timed ones.
pub const LEAST: usize = 2;

/// The least that a launch takes which tells something: [`LEAST`] images, and more until they took as long as it took to get ready.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Least {
    /// Seconds from the start of the process to its end.
    pub launch_s: f64,
    /// Those of them in which images are made.
    pub images_s: f64,
}

impl Least {
    /// Of a launch that is ready after `ready_s`, makes its first image in `first_s` and each further one in `image_s`, `most` at most.
    pub fn of(ready_s: f64, first_s: f64, image_s: f64, most: usize) -> Self {
        let images = |count: usize| first_s + count.min(most).saturating_sub(1) as f64 * image_s;
        let images_s = ready_s.clamp(images(LEAST), images(most).max(images(LEAST)));
        Self { launch_s: ready_s + images_s, images_s }
    }

    fn scaled(self, by: f64) -> Self {
        Self { launch_s: by * self.launch_s, images_s: by * self.images_s }
    }
}

/// What launches of a cell take before one was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// A launch.
    pub least: Least,
    /// Seconds of what is made once beside the first launch: the memory pass.
    pub beside_s: f64,
    /// Whether this machine has shown it.
    pub is_from_here: bool,
}

/// What is left to do of each cell, and how long its launches take.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CellState {
    /// Launches made, good or bad.
    pub made: usize,
    /// It failed: no further launch would tell more.
    pub failed: bool,
    /// Seconds of its longest launch so far, with all that was made beside it.
    pub longest: Option<Duration>,
    /// One launch is all that is wanted of it.
    pub once: bool,
    /// Which comparison it is part of: 0, 1, … in the order of the plan.
    pub comparison: usize,
    /// What its launches are expected to take; `None` where nothing is known.
    pub expected: Option<Expected>,
    /// The least that a launch of it takes, as its launches have shown.
    pub least: Option<Least>,
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

    /// Launches that are still missing for a comparison.
    pub fn missing(&self, launches: usize) -> usize {
        if self.failed { 0 } else { self.wanted(launches).min(ENOUGH).saturating_sub(self.made) }
    }

    /// Launches that can still be made.
    fn further(&self, launches: usize) -> usize {
        if self.failed { 0 } else { self.wanted(launches).saturating_sub(self.made) }
    }

    /// Takes note of what a launch took.
    pub fn took(&mut self, least: Least) {
        self.least = Some(self.least.filter(|known| known.launch_s > least.launch_s).unwrap_or(least));
    }

    /// The least that its next launch takes; estimates are scaled.
    fn next(&self, scale: f64) -> Option<Least> {
        self.least.or_else(|| Some(self.expected?.least.scaled(scale)))
    }

    /// Seconds of its next launches, with what is made beside the first of all.
    fn seconds(&self, launches: usize, scale: f64) -> f64 {
        let beside = self.expected.filter(|_| self.made == 0 && launches > 0);
        let each = self.next(scale).map_or(0.0, |least| least.launch_s);
        launches as f64 * each + beside.map_or(0.0, |expected| scale * expected.beside_s)
    }
}

/// Under what launches are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Launches of each cell, at most.
    pub launches: usize,
    /// What is left of the budget.
    pub left: Duration,
    /// Whether what has no room in the budget is left out; otherwise one launch of every cell is made all the same.
    pub leaves_out: bool,
}

/// What a comparison gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Room {
    /// All launches that it must have.
    Whole,
    /// A launch of each cell, and more if time is left when all others are done.
    Begun,
    /// A launch of the cell at this place: to find out how long it takes.
    Trial(usize),
    /// Nothing further, unless time is left when all others are done.
    None,
}

/// The next launch, or `None` when all is done or the budget is.
pub fn next(cells: &[CellState], terms: Terms) -> Option<usize> {
    let room = room(cells, terms);
    let must = |place: usize| match room[cells[place].comparison] {
        Room::Whole => cells[place].missing(terms.launches) > 0,
        Room::Begun => cells[place].made == 0 && cells[place].is_open(terms.launches),
        Room::Trial(tried) => tried == place,
        Room::None => false,
    };
    let left = terms.left.as_secs_f64();
    let more = |place: usize| {
        let cell = &cells[place];
        cell.made > 0 && cell.is_open(terms.launches) && cell.next(1.0).is_none_or(|least| least.launch_s <= left)
    };
    of_round(cells, must).or_else(|| of_round(cells, more))
}

/// Of those cells that are in the earliest round, the one whose turn it is.
fn of_round(cells: &[CellState], is_candidate: impl Fn(usize) -> bool) -> Option<usize> {
    let mut order: Vec<usize> = (0..cells.len()).filter(|&place| is_candidate(place)).collect();
    let round = order.iter().map(|&place| cells[place].made).min()?;
    if round % 2 == 1 {
        order.reverse();
    }
    order.into_iter().find(|&place| cells[place].made == round)
}

/// How long the next launch of a cell may make images, in seconds, and how many it makes however long they take: what is left when every launch
/// has its least is shared out.
pub fn images(cells: &[CellState], terms: Terms, place: usize) -> (f64, usize) {
    let rooms = room(cells, terms);
    let cell = &cells[place];
    let all = |launches: &dyn Fn(&CellState) -> usize| {
        let kept = comparisons(cells).into_iter().enumerate();
        let kept = kept.filter(|(comparison, _)| !matches!(rooms[*comparison], Room::None | Room::Trial(_)));
        let (mut taken, mut count) = (0.0, 0);
        for (_, places) in kept {
            taken += seconds(cells, &places, launches);
            count += places.iter().map(|&place| launches(&cells[place])).sum::<usize>();
        }
        (taken, count)
    };
    let (taken, count) = all(&|cell| cell.further(terms.launches));
    let share = (terms.left.as_secs_f64() - taken).max(0.0) / count.max(1) as f64;
    // A further launch is made only where it fits.
    if rooms[cell.comparison] != Room::Whole && cell.made == 0 {
        return (share, 1);
    }
    let places = &comparisons(cells)[cell.comparison];
    let own = cell.next(scale(cells, places)).map_or(0.0, |least| least.images_s);
    (own + share, LEAST)
}

/// Seconds that a cell's next launch takes at least, as far as is known now.
pub fn next_s(cells: &[CellState], place: usize) -> Option<f64> {
    let scale = scale(cells, &comparisons(cells)[cells[place].comparison]);
    cells[place].next(scale).map(|least| least.launch_s)
}

/// The cells that get no launch, as far as is known now.
pub fn left_out(cells: &[CellState], terms: Terms) -> Vec<usize> {
    let room = room(cells, terms);
    let is_out = |place: &usize| {
        let cell = &cells[*place];
        let none = matches!(room[cell.comparison], Room::None | Room::Trial(_));
        none && cell.made == 0 && cell.is_open(terms.launches)
    };
    (0..cells.len()).filter(is_out).collect()
}

/// Seconds that the launches take which comparisons must have and do not have yet.
pub fn needed_s(cells: &[CellState], launches: usize) -> f64 {
    comparisons(cells).iter().map(|places| seconds(cells, places, &|cell| cell.missing(launches))).sum()
}

/// Of one comparison: seconds of so many launches of each cell.
fn seconds(cells: &[CellState], places: &[usize], launches: &dyn Fn(&CellState) -> usize) -> f64 {
    let scale = scale(cells, places);
    places.iter().map(|&place| cells[place].seconds(launches(&cells[place]), scale)).sum()
}

/// How much longer launches of a comparison take than was expected of them. Before one was made: of what is a mere guess, as much longer as those
/// guesses were exceeded that are known by now; else 1.
fn scale(cells: &[CellState], places: &[usize]) -> f64 {
    let is_guess = |cell: &CellState| cell.expected.is_some_and(|expected| !expected.is_from_here);
    let own = exceeded(places.iter().map(|&place| &cells[place]));
    let of_guesses = || {
        let guessed = places.iter().any(|&place| is_guess(&cells[place]));
        guessed.then(|| exceeded(cells.iter().filter(|cell| is_guess(cell)))).flatten()
    };
    own.or_else(of_guesses).unwrap_or(1.0)
}

/// Seconds of launches that were made by those that were expected of them; `None` where there are none of both.
fn exceeded<'a>(cells: impl Iterator<Item = &'a CellState>) -> Option<f64> {
    let both = cells.filter_map(|cell| Some((cell.least?.launch_s, cell.expected?.least.launch_s)));
    let (took, expected) = both.fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    (expected > 0.0).then(|| took / expected)
}

/// The places of each comparison's cells.
fn comparisons(cells: &[CellState]) -> Vec<Vec<usize>> {
    let count = cells.iter().map(|cell| cell.comparison + 1).max().unwrap_or(0);
    let mut all = vec![Vec::new(); count];
    for (place, cell) in cells.iter().enumerate() {
        all[cell.comparison].push(place);
    }
    all
}

/// What each comparison gets.
fn room(cells: &[CellState], terms: Terms) -> Vec<Room> {
    let mut left = terms.left.as_secs_f64();
    let comparisons = comparisons(cells);
    // The first of which anything can run.
    let first = comparisons.iter().position(|places| places.iter().any(|&place| !cells[place].failed));
    let of = |(comparison, places): (usize, Vec<usize>)| {
        let whole = seconds(cells, &places, &|cell| cell.missing(terms.launches));
        let begun = places.iter().any(|&place| cells[place].made > 0);
        if whole * if begun { MOSTLY } else { 1.0 } <= left {
            left = (left - whole).max(0.0);
            return Room::Whole;
        }
        let once = seconds(cells, &places, &|cell| usize::from(cell.made == 0).min(cell.missing(terms.launches)));
        if !terms.leaves_out || first == Some(comparison) || (begun && once <= left) {
            // What is begun comes before what is not: the rest of the time is its own.
            left = 0.0;
            return Room::Begun;
        }
        let is_guess = |&place: &usize| cells[place].expected.is_some_and(|expected| !expected.is_from_here);
        let trial = places.iter().copied().find(|&place| cells[place].missing(terms.launches) > 0);
        let worth = !begun && places.iter().any(is_guess) && whole <= DOUBT * left;
        let Some(place) = trial.filter(|_| worth) else { return Room::None };
        left = (left - cells[place].seconds(1, scale(cells, &places))).max(0.0);
        Room::Trial(place)
    };
    comparisons.into_iter().enumerate().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds_of(launch_s: f64) -> Least {
        Least { launch_s, images_s: launch_s / 2.0 }
    }

    /// A cell of a comparison whose launches are expected to take so many seconds.
    fn cell(comparison: usize, launch_s: f64, is_from_here: bool) -> CellState {
        let expected = Some(Expected { least: seconds_of(launch_s), beside_s: 0.0, is_from_here });
        CellState { comparison, expected, ..CellState::default() }
    }

    /// Runs a schedule in which launches of cell i take `seconds[i]`, and gives the order.
    fn run(cells: &mut [CellState], seconds: &[u64], launches: usize, budget: u64, leaves_out: bool) -> Vec<usize> {
        let mut left = Duration::from_secs(budget);
        let mut order = Vec::new();
        while let Some(index) = next(cells, Terms { launches, left, leaves_out }) {
            cells[index].made += 1;
            cells[index].took(seconds_of(seconds[index] as f64));
            left = left.saturating_sub(Duration::from_secs(seconds[index]));
            order.push(index);
        }
        order
    }

    /// The order of one comparison's launches, of which nothing is known before.
    fn order(seconds: &[u64], launches: usize, budget: u64) -> Vec<usize> {
        run(&mut vec![CellState::default(); seconds.len()], seconds, launches, budget, true)
    }

    fn made(cells: &[CellState]) -> Vec<usize> {
        cells.iter().map(|cell| cell.made).collect()
    }

    #[test]
    fn rounds_turn_round() {
        assert_eq!(order(&[1, 1, 1], 3, 100), [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn the_first_round_of_the_first_comparison_is_whole_even_beyond_the_budget() {
        assert_eq!(order(&[10, 10, 10], 3, 5), [0, 1, 2]);
    }

    #[test]
    fn a_failed_cell_is_not_tried_again() {
        let failed = CellState { made: 1, failed: true, ..CellState::default() };
        let terms = Terms { launches: 3, left: Duration::MAX, leaves_out: true };
        assert_eq!(next(&[failed, CellState { made: 3, ..CellState::default() }], terms), None);
    }

    #[test]
    fn what_is_wanted_once_is_made_once() {
        let once = CellState { once: true, ..CellState::default() };
        let others = |made| CellState { made, ..CellState::default() };
        let terms = Terms { launches: 3, left: Duration::MAX, leaves_out: true };
        assert_eq!(next(&[others(1), once.clone()], terms), Some(1));
        assert_eq!(next(&[others(1), CellState { made: 1, ..once }], terms), Some(0));
    }

    #[test]
    fn a_cell_too_long_for_what_is_left_does_not_stop_the_short_ones() {
        // 9 + 1 + 1 leave 4 s: enough for the short ones' second launch, not for the long one's.
        let order = order(&[9, 1, 1], 2, 15);
        assert_eq!(order, [0, 1, 2, 2, 1]);
    }

    #[test]
    fn fewer_comparisons_get_all_their_launches_instead_of_all_a_single_one() {
        // Two of 18 s and one of 180 s in between: 100 s have room for the two.
        let of = |comparison, launch_s| [cell(comparison, launch_s, true), cell(comparison, launch_s, true)];
        let mut cells = [of(0, 3.0), of(1, 30.0), of(2, 3.0)].concat();
        let seconds = [3, 3, 30, 30, 3, 3];
        let terms = Terms { launches: 3, left: Duration::from_secs(100), leaves_out: true };
        assert_eq!(left_out(&cells, terms), [2, 3]);
        assert_eq!(needed_s(&cells, 3), 216.0);
        let order = run(&mut cells, &seconds, 3, 100, true);
        assert_eq!(made(&cells), [3, 3, 0, 0, 3, 3]);
        assert_eq!(order[..8], [0, 1, 4, 5, 5, 4, 1, 0]);
        assert_eq!(needed_s(&cells, 3), 180.0);
        // Earlier ones go first: with room for one only, it is the first.
        let mut cells = [cell(0, 3.0, true), cell(1, 3.0, true)];
        run(&mut cells, &[3, 3], 3, 10, true);
        assert_eq!(made(&cells), [3, 0]);
    }

    #[test]
    fn where_nobody_gave_a_budget_every_cell_has_a_launch() {
        for (leaves_out, expected) in [(false, [3, 1]), (true, [3, 0])] {
            let mut cells = [cell(0, 3.0, true), cell(1, 30.0, true)];
            run(&mut cells, &[3, 30], 3, 40, leaves_out);
            assert_eq!(made(&cells), expected);
        }
    }

    #[test]
    fn a_mere_guess_is_tried_before_a_comparison_is_left_out() {
        // Expected to take 40 s a launch, and it is 5 s.
        let mut quick = [cell(0, 1.0, false), cell(1, 40.0, false), cell(1, 40.0, false)];
        run(&mut quick, &[1, 5, 5], 3, 100, true);
        assert_eq!(made(&quick), [3, 3, 3]);
        // It is as long as was feared: one launch more was made than was needed to know.
        let mut slow = [cell(0, 1.0, false), cell(1, 40.0, false), cell(1, 40.0, false)];
        run(&mut slow, &[1, 70, 70], 3, 100, true);
        assert_eq!(made(&slow), [3, 1, 0]);
        // What was measured here needs no trial, and what is out of all reach gets none.
        for known in [cell(1, 40.0, true), cell(1, 4000.0, false)] {
            let mut cells = [cell(0, 1.0, false), known.clone(), known];
            run(&mut cells, &[1, 40, 40], 3, 100, true);
            assert_eq!(made(&cells), [3, 0, 0]);
        }
    }

    #[test]
    fn guesses_are_corrected_by_what_the_first_launches_show() {
        // Of all that is guessed the first takes ten times as long: then so does the second, and six launches of 50 s are out of reach.
        let mut cells = [cell(0, 1.0, false), cell(1, 5.0, false), cell(1, 5.0, false)];
        run(&mut cells, &[10, 50, 50], 3, 100, true);
        assert_eq!(made(&cells), [3, 0, 0]);
        // What was measured here is no guess.
        let mut cells = [cell(0, 1.0, false), cell(1, 5.0, true), cell(1, 5.0, true)];
        run(&mut cells, &[10, 5, 5], 3, 100, true);
        assert_eq!(made(&cells), [3, 3, 3]);
    }

    #[test]
    fn a_comparison_that_turns_out_longer_keeps_a_launch_of_each_cell_and_comes_before_later_ones() {
        // 2 s a launch were expected, and it is 10 s: six launches do not fit into 40 s, and the last comparison would.
        let mut cells = [cell(0, 2.0, true), cell(0, 2.0, true), cell(1, 3.0, true)];
        run(&mut cells, &[10, 10, 3], 3, 40, true);
        assert_eq!(made(&cells), [2, 2, 0]);
    }

    #[test]
    fn more_launches_than_three_are_made_while_there_is_time_and_drive_nobody_out() {
        let mut cells = [cell(0, 2.0, true), cell(1, 2.0, true)];
        run(&mut cells, &[2, 2], 10, 18, true);
        assert_eq!(made(&cells), [5, 4]);
    }

    #[test]
    fn a_launch_has_two_images_and_as_many_as_getting_ready_is_worth() {
        assert_eq!(Least::of(1.0, 5.0, 4.0, 30), Least { launch_s: 10.0, images_s: 9.0 });
        assert_eq!(Least::of(1.0, 0.1, 0.1, 30), Least { launch_s: 2.0, images_s: 1.0 });
        assert_eq!(Least::of(1.0, 0.1, 0.1, 5).images_s, 0.5);
        assert_eq!(Least::of(1.0, 5.0, 4.0, 1).images_s, 5.0);
    }

    #[test]
    fn what_is_left_when_every_launch_has_its_least_goes_to_images() {
        // Six launches of 4 s: 12 of 36 s are left for them.
        let mut cells = [cell(0, 4.0, true), cell(0, 4.0, true)];
        let terms = |left| Terms { launches: 3, left: Duration::from_secs(left), leaves_out: true };
        assert_eq!(images(&cells, terms(36), 0), (2.0 + 2.0, LEAST));
        assert_eq!(images(&cells, terms(24), 0), (2.0, LEAST));
        // Beyond the budget one image has to do.
        assert_eq!(images(&cells, terms(10), 0), (0.0, 1));
        cells[0].made = 2;
        assert_eq!(images(&cells, terms(16), 0), (2.0, LEAST));
    }
}
