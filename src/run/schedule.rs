//! Which launch comes next, which cells a budget has room for, and how long a launch may go on making images.
//!
//! Contract: rounds go up and down the list in turn (A B … B A …), so that a machine that drifts does not favour the cells at one end.
//! Cells of one group, workload and precision are a comparison. In the order of the plan, a comparison gets three launches of each of its cells
//! (or as many as were asked for, if fewer) if all of them fit into what those before it leave of the budget, and is left out otherwise. What is
//! left then goes to further launches, in whole rounds of a comparison, and what is left of that to more images. All this is judged anew
//! before each launch. The first comparison always gets a launch of each cell, whatever the budget: a run without a row would say nothing.
//! So does every comparison where nobody gave the run a budget.

use std::time::Duration;

use crate::plan::Times;

/// Launches that a comparison must have room for: with three it shows how far launches differ.
pub const ENOUGH: usize = 3;
/// Images of a launch that the budget has room for: the first is none of the timed ones.
const LEAST: usize = 2;

/// What launches of a cell take before one was made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Expected {
    /// Its times.
    pub times: Times,
    /// Whether they are this very cell's, measured on this machine; else launches of others correct them.
    pub is_measured: bool,
    /// What would be expected had it not been measured.
    pub guessed: Option<Times>,
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
    /// One launch of one image is all that is wanted of it: others are held against it.
    pub once: bool,
    /// Which comparison it is part of: 0, 1, … in the order of the plan.
    pub comparison: usize,
    /// What its launches are expected to take; `None` where nothing is known.
    pub expected: Option<Expected>,
    /// What its latest launch took.
    pub shown: Option<Times>,
}

impl CellState {
    /// Launches that are wanted of it, of as many as others get.
    pub fn wanted(&self, launches: usize) -> usize {
        if self.once { launches.min(1) } else { launches }
    }

    /// Whether another launch is wanted.
    pub fn is_open(&self, launches: usize) -> bool {
        self.missing(launches) > 0
    }

    /// Launches until it has as many as are wanted of it.
    pub fn missing(&self, launches: usize) -> usize {
        if self.failed { 0 } else { self.wanted(launches).saturating_sub(self.made) }
    }
}

/// Under what launches are made.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Terms {
    /// Launches of each cell, at most.
    pub launches: usize,
    /// Images of each launch, at most.
    pub images: usize,
    /// Seconds for which each launch goes on, whatever an image takes, where that is what was asked for.
    pub sustained_s: Option<f64>,
    /// Seconds of a first image below which a cell gets a pass of its own for memory.
    pub memory_pass_below_s: f64,
    /// Seconds that a launch takes beside its process: until the machine is cool and quiet, and for launches that are made again.
    pub around_s: f64,
    /// Seconds that are left of the budget.
    pub left_s: f64,
    /// Whether what has no room in the budget is left out; otherwise one launch of every cell is made all the same.
    pub leaves_out: bool,
}

/// The next launch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Turn {
    /// The place of its cell.
    pub place: usize,
    /// Seconds of images after which it begins no other.
    pub images_s: f64,
    /// Images that it makes however long they take.
    pub least: usize,
}

/// Cells that are made together, and what the budget has room for of them.
#[derive(Clone, Debug, Default)]
struct Comparison {
    places: Vec<usize>,
    /// Launches that each of them gets.
    rounds: usize,
    /// Whether they fit: the first comparison gets a launch of each cell even if not.
    fits: bool,
}

/// How a budget is shared out, as far as is known now.
pub struct Schedule<'a> {
    cells: &'a [CellState],
    terms: Terms,
    /// How many times as long as guessed images took where that was a guess.
    slower: f64,
    comparisons: Vec<Comparison>,
    /// Seconds that are left when all launches have their least.
    spare_s: f64,
}

impl<'a> Schedule<'a> {
    /// Shares out what is left.
    pub fn new(cells: &'a [CellState], terms: Terms) -> Self {
        let mut comparisons = Vec::new();
        for (place, cell) in cells.iter().enumerate() {
            if cell.comparison >= comparisons.len() {
                comparisons.resize_with(cell.comparison + 1, Comparison::default);
            }
            comparisons[cell.comparison].places.push(place);
        }
        let mut all = Self { cells, terms, slower: slower(cells), comparisons, spare_s: terms.left_s };
        all.share_out();
        all
    }

    fn share_out(&mut self) {
        let (cells, terms) = (self.cells, self.terms);
        // What others are held against is no result.
        let has_result =
            |comparison: &Comparison| comparison.places.iter().any(|&p| !cells[p].failed && !cells[p].once);
        let first = self.comparisons.iter().position(has_result);
        for index in 0..self.comparisons.len() {
            let must = !terms.leaves_out || first == Some(index);
            let begun = self.comparisons[index].places.iter().any(|&place| cells[place].made > 0);
            let enough = terms.launches.min(ENOUGH);
            // What is begun comes before what is not.
            let once = must || (begun && self.fits(index, 1));
            self.give(index, if self.fits(index, enough) { enough } else { usize::from(once) });
        }
        let is_next = |one: &Self, index: usize| {
            let rounds = one.comparisons[index].rounds;
            (rounds > 0 && rounds < terms.launches && one.fits(index, rounds + 1)).then_some((rounds, index))
        };
        while let Some((rounds, index)) = (0..self.comparisons.len()).filter_map(|index| is_next(self, index)).min() {
            self.give(index, rounds + 1);
        }
    }

    /// Whether a comparison has room for so many launches of each cell. One of which nothing is known is begun while anything is left: its
    /// first launch tells.
    fn fits(&self, index: usize, rounds: usize) -> bool {
        self.further_s(index, rounds).map_or(self.spare_s > 0.0, |seconds| seconds <= self.spare_s)
    }

    fn give(&mut self, index: usize, rounds: usize) {
        let fits = self.fits(index, rounds);
        self.spare_s = (self.spare_s - self.further_s(index, rounds).unwrap_or(0.0)).max(0.0);
        let comparison = &mut self.comparisons[index];
        (comparison.rounds, comparison.fits) = (rounds, fits);
    }

    /// Seconds of what so many launches of each cell are more than it has been given.
    fn further_s(&self, index: usize, rounds: usize) -> Option<f64> {
        let comparison = &self.comparisons[index];
        Some(self.seconds(&comparison.places, rounds)? - self.seconds(&comparison.places, comparison.rounds)?)
    }

    /// Seconds until each of these cells has so many launches. A cell of which nothing is known counts as the slowest of the others; `None`
    /// if nothing is known of any.
    fn seconds(&self, places: &[usize], rounds: usize) -> Option<f64> {
        let running = places.iter().copied().filter(|&place| !self.cells[place].failed);
        let slowest = running.clone().filter_map(|place| self.launch_s(place)).reduce(f64::max);
        let missing = running.filter(|&place| self.cells[place].is_open(rounds));
        missing
            .map(|place| {
                let each = self.launch_s(place).or(slowest)?;
                Some(self.cells[place].missing(rounds) as f64 * each + self.memory_pass_s(place))
            })
            .sum()
    }

    /// The next launch, or `None` when all is done or the budget is.
    pub fn next(&self) -> Option<Turn> {
        let missing = |place: usize| self.cells[place].missing(self.comparison_of(place).rounds);
        let place = of_round(self.cells, |place| missing(place) > 0)?;
        let launches: usize = (0..self.cells.len()).map(missing).sum();
        let share_s = self.spare_s / launches as f64;
        if !self.comparison_of(place).fits && self.cells[place].made == 0 {
            return Some(Turn { place, images_s: share_s, least: 1 });
        }
        let images_s = self.times(place).map_or(share_s, |times| {
            // The last one that is begun ends within it.
            self.images_s(place, &times) + share_s - times.image_s()
        });
        // How long an image of what is not known takes, the first one tells.
        let least = if self.times(place).is_some() { LEAST } else { 1 };
        Some(Turn { place, images_s, least })
    }

    fn comparison_of(&self, place: usize) -> &Comparison {
        &self.comparisons[self.cells[place].comparison]
    }

    /// The cells that get no launch.
    pub fn left_out(&self) -> Vec<usize> {
        let is_out = |&place: &usize| {
            let cell = &self.cells[place];
            self.comparison_of(place).rounds == 0 && cell.made == 0 && cell.is_open(self.terms.launches)
        };
        (0..self.cells.len()).filter(is_out).collect()
    }

    /// Seconds of all launches that are wanted and not made; `None` where nothing is known of one of the comparisons.
    pub fn needed_s(&self) -> Option<f64> {
        self.comparisons.iter().map(|comparison| self.seconds(&comparison.places, self.terms.launches)).sum()
    }

    /// Seconds that a cell's next launch takes at least.
    pub fn launch_s(&self, place: usize) -> Option<f64> {
        self.times(place).map(|times| times.ready_s + self.images_s(place, &times) + self.terms.around_s)
    }

    /// What a cell's next launch takes.
    fn times(&self, place: usize) -> Option<Times> {
        let cell = &self.cells[place];
        let expected = |known: Expected| if known.is_measured { known.times } else { known.times.slower(self.slower) };
        cell.shown.or_else(|| cell.expected.map(expected))
    }

    /// Seconds of images that a launch makes at least: of [`LEAST`] images, and of more until they took as long as it took to get ready.
    fn images_s(&self, place: usize, times: &Times) -> f64 {
        let once = self.cells[place].once;
        if let Some(seconds) = self.terms.sustained_s.filter(|_| !once) {
            return seconds;
        }
        let most = if once { 1 } else { self.terms.images };
        let of = |count: usize| times.first_image_s + count.min(most).saturating_sub(1) as f64 * times.image_s();
        times.ready_s.clamp(of(LEAST), of(most).max(of(LEAST)))
    }

    /// Seconds of the pass for memory, which is made beside a cell's first launch.
    fn memory_pass_s(&self, place: usize) -> f64 {
        let times = self.times(place).filter(|times| times.first_image_s < self.terms.memory_pass_below_s);
        let times = times.filter(|_| self.cells[place].made == 0);
        times.map_or(0.0, |times| times.ready_s + times.first_image_s + times.image_s())
    }
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

/// How many times as long as guessed images took, over all cells for which there is a guess, those included that were measured
/// before and need none: how wrong it is for them tells how wrong it is for others. 1 before there are any. Getting ready depends on other things than
/// images do.
fn slower(cells: &[CellState]) -> f64 {
    let two = |times: &Times| times.first_image_s + times.image_s();
    let both = cells.iter().filter_map(|cell| Some((cell.shown?, cell.expected?.guessed?)));
    let sums = both.fold((0.0, 0.0), |sums, (shown, known)| (sums.0 + two(&shown), sums.1 + two(&known)));
    if sums.1 > 0.0 { sums.0 / sums.1 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A launch of so many seconds: one to get ready, and two images.
    fn times(launch_s: f64) -> Times {
        let image_s = (launch_s - 1.0) / 2.0;
        Times { ready_s: 1.0, first_image_s: image_s, image_s: Some(image_s) }
    }

    /// A cell of a comparison whose launches are expected to take so many seconds.
    fn cell(comparison: usize, launch_s: f64, is_measured: bool) -> CellState {
        let guessed = (!is_measured).then(|| times(launch_s));
        let expected = Some(Expected { times: times(launch_s), is_measured, guessed });
        CellState { comparison, expected, ..CellState::default() }
    }

    fn terms(launches: usize, left_s: f64) -> Terms {
        let (sustained_s, memory_pass_below_s, around_s, leaves_out) = (None, 0.0, 0.0, true);
        Terms { launches, images: 2, sustained_s, memory_pass_below_s, around_s, left_s, leaves_out }
    }

    /// Runs a schedule in which launches of cell i take `seconds[i]`, and gives the order.
    fn run(cells: &mut [CellState], seconds: &[f64], mut terms: Terms) -> Vec<usize> {
        let mut order = Vec::new();
        while let Some(Turn { place, .. }) = Schedule::new(cells, terms).next() {
            cells[place].made += 1;
            cells[place].shown = Some(times(seconds[place]));
            terms.left_s = (terms.left_s - seconds[place]).max(0.0);
            order.push(place);
        }
        order
    }

    /// The order of one comparison's launches, of which nothing is known before.
    fn order(seconds: &[f64], launches: usize, budget: f64) -> Vec<usize> {
        run(&mut vec![CellState::default(); seconds.len()], seconds, terms(launches, budget))
    }

    fn made(cells: &[CellState]) -> Vec<usize> {
        cells.iter().map(|cell| cell.made).collect()
    }

    #[test]
    fn rounds_turn_round() {
        assert_eq!(order(&[2.0, 2.0, 2.0], 3, 100.0), [0, 1, 2, 2, 1, 0, 0, 1, 2]);
    }

    #[test]
    fn the_first_round_of_the_first_comparison_is_whole_even_beyond_the_budget() {
        assert_eq!(order(&[10.0, 10.0, 10.0], 3, 5.0), [0, 1, 2]);
    }

    #[test]
    fn a_failed_cell_is_not_tried_again() {
        let failed = CellState { made: 1, failed: true, ..CellState::default() };
        let cells = [failed, CellState { made: 3, ..CellState::default() }];
        assert_eq!(Schedule::new(&cells, terms(3, 1e9)).next(), None);
    }

    /// The first image tells how long one takes, and may be all that there is time for.
    #[test]
    fn of_what_is_not_known_one_image_has_to_do() {
        let turn = |cell: CellState| Schedule::new(&[cell], terms(3, 48.0)).next().unwrap();
        assert_eq!(turn(CellState::default()), Turn { place: 0, images_s: 16.0, least: 1 });
        assert_eq!(turn(cell(0, 5.0, true)).least, LEAST);
    }

    #[test]
    fn what_is_wanted_once_is_made_once() {
        let once = CellState { once: true, ..CellState::default() };
        let others = |made| CellState { made, ..CellState::default() };
        let next = |cells: &[CellState]| Schedule::new(cells, terms(3, 1e9)).next().map(|turn| turn.place);
        assert_eq!(next(&[others(1), once.clone()]), Some(1));
        assert_eq!(next(&[others(1), CellState { made: 1, ..once.clone() }]), Some(0));
        assert_eq!(next(&[others(3), CellState { made: 1, ..once }]), None);
    }

    #[test]
    fn what_others_are_held_against_is_not_all_that_a_run_has() {
        let refused = CellState { failed: true, ..cell(0, 5.0, true) };
        let once = CellState { once: true, ..cell(0, 5.0, true) };
        let mut cells = [refused, once, cell(1, 5.0, true)];
        run(&mut cells, &[5.0, 5.0, 5.0], terms(3, 2.0));
        assert_eq!(made(&cells), [0, 0, 1]);
    }

    #[test]
    fn fewer_comparisons_get_all_their_launches_instead_of_all_a_single_one() {
        // Two of 18 s and one of 180 s in between: 100 s have room for the two.
        let of = |comparison, launch_s| [cell(comparison, launch_s, true), cell(comparison, launch_s, true)];
        let mut cells = [of(0, 3.0), of(1, 30.0), of(2, 3.0)].concat();
        let seconds = [3.0, 3.0, 30.0, 30.0, 3.0, 3.0];
        let before = Schedule::new(&cells, terms(3, 100.0));
        assert_eq!((before.left_out(), before.needed_s()), (vec![2, 3], Some(216.0)));
        let order = run(&mut cells, &seconds, terms(3, 100.0));
        assert_eq!(made(&cells), [3, 3, 0, 0, 3, 3]);
        assert_eq!(order[..8], [0, 1, 4, 5, 5, 4, 1, 0]);
        assert_eq!(Schedule::new(&cells, terms(3, 64.0)).needed_s(), Some(180.0));
        // Earlier ones go first: with room for one only, it is the first.
        let mut cells = [cell(0, 3.0, true), cell(1, 3.0, true)];
        run(&mut cells, &[3.0, 3.0], terms(3, 10.0));
        assert_eq!(made(&cells), [3, 0]);
    }

    #[test]
    fn where_nobody_gave_a_budget_every_cell_has_a_launch() {
        for (leaves_out, expected) in [(false, [3, 1]), (true, [3, 0])] {
            let mut cells = [cell(0, 3.0, true), cell(1, 30.0, true)];
            run(&mut cells, &[3.0, 30.0], Terms { leaves_out, ..terms(3, 40.0) });
            assert_eq!(made(&cells), expected);
        }
    }

    #[test]
    fn what_is_not_known_keeps_to_the_budget_as_soon_as_a_launch_has_shown_it() {
        let unknown = |comparison| CellState { comparison, ..CellState::default() };
        // 30 s each: three have room, and the launch that shows it of the fourth has not.
        let mut cells = [0, 0, 1, 1, 2, 2, 3, 3].map(unknown);
        run(&mut cells, &[5.0; 8], terms(3, 90.0));
        assert_eq!(made(&cells), [3, 3, 3, 3, 3, 3, 0, 0]);
        // Nothing is left for it after the first.
        let mut cells = [cell(0, 5.0, true), unknown(1)];
        run(&mut cells, &[5.0, 5.0], terms(3, 15.0));
        assert_eq!(made(&cells), [3, 0]);
        // One that is not known counts as the slowest of its comparison.
        let mut cells = [cell(0, 5.0, true), cell(1, 5.0, true), unknown(1)];
        run(&mut cells, &[5.0, 5.0, 5.0], terms(3, 40.0));
        assert_eq!(made(&cells), [3, 0, 0]);
        assert_eq!(Schedule::new(&[cell(0, 5.0, true), unknown(1)], terms(3, 90.0)).needed_s(), None);
    }

    #[test]
    fn guesses_are_corrected_by_what_images_of_others_took() {
        // Images take ten times as long as those of the first were guessed to: then so do the second's.
        let mut cells = [cell(0, 3.0, false), cell(1, 5.0, false), cell(1, 5.0, false)];
        run(&mut cells, &[21.0, 41.0, 41.0], terms(3, 100.0));
        assert_eq!(made(&cells), [3, 0, 0]);
        // What was measured here is no guess.
        let mut cells = [cell(0, 3.0, false), cell(1, 5.0, true), cell(1, 5.0, true)];
        run(&mut cells, &[21.0, 5.0, 5.0], terms(3, 100.0));
        assert_eq!(made(&cells), [3, 3, 3]);
        // Nor does it need one to tell of the others' guesses: a run that is resumed has measured its first cells.
        let mut measured = cell(0, 21.0, true);
        measured.expected.as_mut().unwrap().guessed = Some(times(3.0));
        let mut cells = [measured, cell(1, 5.0, false), cell(1, 5.0, false)];
        run(&mut cells, &[21.0, 41.0, 41.0], terms(3, 100.0));
        assert_eq!(made(&cells), [3, 0, 0]);
        // Getting ready took long, and images what was guessed: nothing is corrected.
        let slow = Times { ready_s: 20.0, ..times(3.0) };
        let cells = [CellState { made: 1, shown: Some(slow), ..cell(0, 3.0, false) }, cell(1, 5.0, false)];
        assert_eq!(Schedule::new(&cells, terms(3, 100.0)).launch_s(1), Some(5.0));
    }

    #[test]
    fn a_comparison_that_turns_out_longer_leaves_the_others_what_it_cannot_use() {
        // 3 s a launch were expected, and it is 10 s: its six launches do not fit into 40 s, and the last comparison does.
        let mut cells = [cell(0, 3.0, true), cell(0, 3.0, true), cell(1, 3.0, true)];
        run(&mut cells, &[10.0, 10.0, 3.0], terms(3, 40.0));
        assert_eq!(made(&cells), [1, 1, 3]);
    }

    #[test]
    fn more_launches_than_three_come_in_whole_rounds_and_drive_nobody_out() {
        let mut cells = [cell(0, 2.0, true), cell(0, 2.0, true), cell(1, 2.0, true)];
        run(&mut cells, &[2.0, 2.0, 2.0], terms(10, 27.0));
        // 18 s for three of each, then 4 s and 2 s; of the last 3 s the first has no use.
        assert_eq!(made(&cells), [4, 4, 5]);
    }

    #[test]
    fn a_launch_has_two_images_and_as_many_as_getting_ready_is_worth() {
        let images_s = |times: Times, change: &dyn Fn(&mut Terms)| {
            let mut terms = Terms { images: 30, ..terms(3, 0.0) };
            change(&mut terms);
            Schedule::new(&[CellState::default()], terms).images_s(0, &times)
        };
        let of = |first_image_s, image_s| Times { ready_s: 1.0, first_image_s, image_s: Some(image_s) };
        assert_eq!(images_s(of(5.0, 4.0), &|_| ()), 9.0);
        assert_eq!(images_s(of(0.1, 0.1), &|_| ()), 1.0);
        assert_eq!(images_s(of(0.5, 0.1), &|terms| terms.images = 5), 0.9);
        assert_eq!(images_s(of(5.0, 4.0), &|terms| terms.images = 1), 5.0);
        assert_eq!(images_s(of(5.0, 4.0), &|terms| terms.sustained_s = Some(600.0)), 600.0);
    }

    #[test]
    fn a_sustained_launch_keeps_its_length_whatever_images_took() {
        let sustained = Terms { sustained_s: Some(60.0), ..terms(3, 1e3) };
        let shown = CellState { made: 1, shown: Some(times(3.0)), ..cell(0, 3.0, true) };
        assert_eq!(Schedule::new(&[shown], sustained).launch_s(0), Some(61.0));
    }

    #[test]
    fn what_a_launch_takes_beside_its_process_counts_and_is_no_getting_ready() {
        // Cooling for a minute before each launch: of six there is room for three.
        let cells = [cell(0, 3.0, true), cell(1, 3.0, true)];
        let schedule = Schedule::new(&cells, Terms { around_s: 60.0, images: 30, ..terms(3, 200.0) });
        assert_eq!((schedule.left_out(), schedule.launch_s(1)), (vec![1], Some(63.0)));
    }

    #[test]
    fn the_pass_for_memory_is_made_beside_the_first_launch() {
        let needed = |made| {
            let cells = [CellState { made, ..cell(0, 3.0, true) }];
            Schedule::new(&cells, Terms { memory_pass_below_s: 2.0, ..terms(3, 1e3) }).needed_s()
        };
        assert_eq!((needed(0), needed(1)), (Some(12.0), Some(6.0)));
    }

    #[test]
    fn what_is_left_when_every_launch_has_its_least_goes_to_images() {
        // Launches of 5 s, two images of 2 s each. Six of them: 18 of 48 s are left for images.
        let mut cells = [cell(0, 5.0, true), cell(0, 5.0, true)];
        let turn = |cells: &[CellState], left_s| {
            let turn = Schedule::new(cells, terms(3, left_s)).next().unwrap();
            (turn.images_s, turn.least)
        };
        // A third image, begun before 5 s, ends within 7 s; without a share there is none.
        assert_eq!(turn(&cells, 48.0), (5.0, LEAST));
        assert_eq!(turn(&cells, 30.0), (2.0, LEAST));
        // Room for a launch of each, but not for three.
        assert_eq!(turn(&cells, 12.0), (3.0, LEAST));
        // Beyond the budget one image has to do.
        assert_eq!(turn(&cells, 8.0), (0.0, 1));
        cells[0].made = 2;
        assert_eq!(turn(&cells, 20.0), (2.0, LEAST));
    }
}
