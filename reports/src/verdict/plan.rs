//! The order of an A/B comparison: which launches come next, when to look, when to stop. Pure logic: no process, no clock.
//!
//! Contract: launches come in balanced order, A B B A, cell by cell, so that neighbours in time are a pair and a drift of the
//! machine falls out of their difference. Every look spends a part of the level ([`crate::stats::sequence`]), so that looking
//! often costs no false alarms. A cell leaves the plan once it is decided, by its time where that is judged: counted instructions, which
//! stand in for a time that is not sure, end nothing. A cell that a look flags gets one confirming block
//! of its own; its regression stands only if that block shows it too. It ends when every cell is decided, the most
//! launches are made, or the budget is spent; the first A B B A of every cell is always made.
//!
//! Looks may spend more than the gate's level, because a flag is only half of an alarm. Equal builds are flagged for the worse
//! in at most half of what is spent; the confirming block upholds a flag only if its own shift is beyond the threshold and
//! two thirds of its pairs are worse, which for equal builds has a chance of at most 0.344 (22/64, six pairs, by the
//! binomial). So [`SPENT`] times the gate's level leaves equal builds called regressed less often than without a plan.
//!
//! The caller makes the launches that [`Plan::next`] names, with the pair's number as the launch's index; at a look it compares
//! all records so far with [`Plan::options`] and hands the verdict to [`Plan::look`].

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stats::sequence;

use super::design::Design;
use super::sides::Options;
use super::{Basis, CellState, CellVerdict, Outcome, Verdict, counted};

/// Which build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Build {
    /// A.
    Base,
    /// B.
    Head,
}

/// One launch to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The cell's id.
    pub cell: String,
    /// Of which build.
    pub build: Build,
    /// The pair's number within the cell: the index of the launch on either side.
    pub pair: u32,
    /// Whether it belongs to a confirming block.
    pub confirming: bool,
}

/// How much all looks together may spend, in levels of the gate: 2.5 ÷ 2 × 0.344 < 1 ÷ 2.
pub const SPENT: f64 = 2.5;

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Make these launches, in this order.
    Launch(Vec<Step>),
    /// Compare all records so far, with [`Plan::options`], and call [`Plan::look`].
    Look,
    /// Nothing more: [`Plan::verdict`] has the answer.
    Stop(Stop),
}

/// Why it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Every cell is decided.
    Decided,
    /// The most launches were made.
    Launches,
    /// The budget was spent.
    Budget,
}

impl Stop {
    /// In words.
    pub fn name(self) -> &'static str {
        match self {
            Self::Decided => "every cell is decided",
            Self::Launches => "the maximum number of launches was made",
            Self::Budget => "the budget is spent",
        }
    }
}

/// How much to measure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Pairs of launches before the first look, even: A B B A. Below 10 of 20 an early look has no interval at the little that
    /// it may spend.
    pub first: u32,
    /// Pairs between looks, even. Each look costs a little of the sharpness of the last one.
    pub step: u32,
    /// The most pairs of a cell, confirming block aside.
    pub most: u32,
    /// Pairs of a confirming block. Even.
    pub confirm: u32,
    /// Time for everything; `None` for no limit.
    pub budget: Option<Duration>,
}

impl Default for Settings {
    fn default() -> Self {
        Self { first: 10, step: 10, most: 20, confirm: 6, budget: None }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Flagged: its confirming block begins at this pair.
    Flagged(u32),
    Decided,
}

/// The state of an A/B comparison.
#[derive(Clone, Debug)]
pub struct Plan {
    settings: Settings,
    options: Options,
    /// In the order given: state, and pairs named so far.
    cells: Vec<(String, State, u32)>,
    /// Pairs at the last look that spent.
    looked_at: u32,
    /// Whether launches were named since the last look.
    launched: bool,
    confirming: bool,
    budget_spent: bool,
    /// By cell: the verdict of the last look that was meant for it.
    seen: BTreeMap<String, CellVerdict>,
    last: Option<Verdict>,
    stop: Option<Stop>,
}

impl Plan {
    /// A plan for these cells. The options' design becomes paired.
    pub fn new(cells: impl IntoIterator<Item = String>, settings: Settings, options: Options) -> Self {
        let even = |pairs: u32| pairs.max(1).next_multiple_of(2);
        let settings = Settings {
            first: even(settings.first),
            step: even(settings.step),
            most: even(settings.most.max(settings.first)),
            confirm: even(settings.confirm),
            budget: settings.budget,
        };
        Self {
            settings,
            options: Options { design: Design::Paired, ..options },
            cells: cells.into_iter().map(|cell| (cell, State::Open, 0)).collect(),
            looked_at: 0,
            launched: false,
            confirming: false,
            budget_spent: false,
            seen: BTreeMap::new(),
            last: None,
            stop: None,
        }
    }

    /// What to do next, `elapsed` after the beginning.
    pub fn next(&mut self, elapsed: Duration) -> Next {
        if let Some(stop) = self.stop {
            return Next::Stop(stop);
        }
        if self.launched {
            self.launched = false;
            return Next::Look;
        }
        let over = self.settings.budget.is_some_and(|budget| elapsed >= budget);
        // A confirming block is made even if the budget is spent: an alarm that nobody confirmed helps nobody.
        let flagged: Vec<String> = self.in_state(|state| matches!(state, State::Flagged(_)));
        if !flagged.is_empty() && !self.confirming {
            self.confirming = true;
            return self.launch(&flagged, self.settings.confirm, true);
        }
        let open = self.in_state(|state| state == State::Open);
        let pairs = self.pairs();
        if open.is_empty() {
            self.stop = Some(Stop::Decided);
        } else if pairs >= self.settings.most {
            self.stop = Some(Stop::Launches);
        } else if over && self.looked_at == pairs && self.budget_spent {
            self.stop = Some(Stop::Budget);
        } else if over && pairs > 0 {
            // The budget, not the data, ends it: the last look may spend all that is left.
            self.budget_spent = true;
            return Next::Look;
        } else {
            let more =
                if pairs == 0 { self.settings.first } else { self.settings.step.min(self.settings.most - pairs) };
            return self.launch(&open, more, false);
        }
        self.next(elapsed)
    }

    /// A B B A for each of these cells in turn, so that the two builds of a cell are measured next to each other.
    fn launch(&mut self, cells: &[String], pairs: u32, confirming: bool) -> Next {
        let mut steps = Vec::new();
        // Two pairs at a time over all cells, so that a long list does not give each cell one stretch of the day.
        for _ in 0..pairs / 2 {
            for (cell, _, made) in self.cells.iter_mut().filter(|(cell, ..)| cells.contains(cell)) {
                for (build, pair) in [(Build::Base, 0), (Build::Head, 0), (Build::Head, 1), (Build::Base, 1)] {
                    steps.push(Step { cell: cell.clone(), build, pair: *made + pair, confirming });
                }
                *made += 2;
            }
        }
        self.launched = true;
        Next::Launch(steps)
    }

    fn in_state(&self, wanted: impl Fn(State) -> bool) -> Vec<String> {
        self.cells.iter().filter(|(_, state, _)| wanted(*state)).map(|(cell, ..)| cell.clone()).collect()
    }

    /// Pairs of the cells that are still open; all have as many.
    fn pairs(&self) -> u32 {
        self.cells.iter().filter(|(_, state, _)| *state == State::Open).map(|(.., pairs)| *pairs).max().unwrap_or(0)
    }

    /// Takes in a verdict from before any launch: what fails whatever its speed, or does not work, is not measured at all. It tests
    /// nothing, so it spends nothing.
    pub fn checked(&mut self, verdict: Verdict) {
        for (id, state, _) in &mut self.cells {
            let Some(cell) = verdict.cell(id) else { continue };
            if !cell.findings.is_empty() || cell.state != CellState::Compared {
                *state = State::Decided;
                self.seen.insert(id.clone(), cell.clone());
            }
        }
        self.last = Some(verdict);
    }

    /// Whether this launch and the rest of its block are to be left out, `elapsed` after the beginning: the budget is spent, and
    /// no A B B A is cut in two by it.
    pub fn leaves_out(&self, step: &Step, elapsed: Duration) -> bool {
        let begins = step.build == Build::Base && step.pair > 0 && step.pair.is_multiple_of(2);
        begins && !step.confirming && self.settings.budget.is_some_and(|budget| elapsed >= budget)
    }

    /// The options with which to compare at this look: the level that it may spend, and where confirming blocks begin.
    pub fn options(&self) -> Options {
        let gate = self.options.gate.level;
        let share = |pairs: u32| f64::from(pairs) / f64::from(self.settings.most);
        let now = if self.budget_spent { self.settings.most } else { self.pairs() };
        let level = if self.confirming {
            // The flag was within its level; confirming can only take it away, so it spends nothing.
            gate
        } else {
            sequence::level(SPENT * gate, share(self.looked_at), share(now))
        };
        let confirming = self
            .cells
            .iter()
            .filter_map(|(cell, state, _)| match state {
                State::Flagged(from) => Some((cell.clone(), *from)),
                State::Open | State::Decided => None,
            })
            .collect();
        // A level of 0 would be none at all.
        Options { level: Some(level.max(1e-12)), confirming, ..self.options.clone() }
    }

    /// Takes in the verdict of a look.
    pub fn look(&mut self, verdict: Verdict) {
        if !self.confirming {
            self.looked_at = self.pairs().max(self.looked_at);
        }
        for (id, state, pairs) in &mut self.cells {
            let Some(cell) = verdict.cell(id).filter(|_| *state != State::Decided) else { continue };
            let was_flagged = matches!(state, State::Flagged(_));
            if self.confirming && !was_flagged {
                continue;
            }
            let fails = |of: fn(Basis) -> bool| cell.metrics.iter().any(|one| one.fails() && of(one.basis));
            // What fails whatever its speed, or by a number that each build has once, needs no further launch.
            let once = !cell.findings.is_empty() || fails(|basis| basis == Basis::Value);
            let by_launches = !once && fails(|basis| !basis.is_by_value());
            let stand_in = !once && counted::stand_in(cell, &self.options.gate);
            *state = match cell.outcome {
                Some(Outcome::Regressed) if by_launches && !was_flagged => State::Flagged(*pairs),
                Some(Outcome::Inconclusive) if !was_flagged => State::Open,
                Some(_) if stand_in && !was_flagged => State::Open,
                _ => State::Decided,
            };
            self.seen.insert(id.clone(), cell.clone());
        }
        self.confirming = false;
        self.last = Some(verdict);
    }

    /// The verdict so far: the last look's, with every cell as the last look that was meant for it saw it. `None` before the
    /// first look.
    pub fn verdict(&self) -> Option<Verdict> {
        let mut verdict = self.last.clone()?;
        for cell in &mut verdict.cells {
            if let Some(seen) = self.seen.get(&cell.id) {
                cell.clone_from(seen);
            }
        }
        verdict.method.level = self.options.gate.level;
        if let Some(stop) = self.stop {
            verdict.cautions.push(format!("measuring ended because {}", stop.name()));
        }
        verdict.settle();
        Some(verdict)
    }
}
