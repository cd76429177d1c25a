//! What the processor's counters counted in each launch, and what a simulator counted once.

use super::{by, not_followed, not_judged};
use crate::metric::Better::Lower;
use crate::metric::Csv::{Column, WhereKnown};
use crate::metric::Enforce::{Alarm, Show, Strict};
use crate::metric::Scale::Relative;
use crate::metric::{Definition, Detail, Followed, Shown, Taken, Unit, counts};
use crate::record::{Counter, Role};

/// Of parts of an image.
const IN_IMAGE: &str = "image_instructions is followed";
/// Of parts of the counted image.
const IN_COUNTED: &str = "counted_instructions is followed";

pub(super) const COUNTS: &[Definition] = &[
    Definition {
        name: "image_instructions",
        title: "instructions of an image",
        heading: "Instructions",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Launch(|launch| counts::of_images(launch, Counter::Instructions)),
        gate: by(
            Alarm,
            0.01,
            0.0,
            "threads that wait for each other retire instructions as well, so it varies with more than one thread; where image_s is \
             decided, that decides",
        ),
        history: Followed::As { id: "instructions", since: 8, detail: Detail::Nothing },
        shown: Shown::More,
        csv: Column(800),
        glossary: "Instructions that the processor retired in user space while a steady image was made, by its own \
                   counter: all threads, also while they wait in a loop for each other. What a GPU or an NPU computes is not in it.",
    },
    Definition {
        name: "text_encoder_instructions",
        title: "instructions of the text encoder",
        heading: "Instructions, text encoder",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::LaunchOf(|cell, launch| counts::in_stages(cell, launch, Role::Encoder)),
        gate: not_judged("image_instructions is judged, which has them in it"),
        history: not_followed(IN_IMAGE),
        shown: Shown::More,
        csv: Column(801),
        glossary: "The text encoder's part of image_instructions, in one more image of a cell's first launch, which is not timed.",
    },
    Definition {
        name: "denoiser_pass_instructions",
        title: "instructions of a denoiser pass",
        heading: "Instructions, denoiser pass",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::LaunchOf(|cell, launch| counts::of_a_pass(cell, launch, Role::Denoiser)),
        gate: not_judged("image_instructions is judged, which has them in it"),
        history: not_followed(IN_IMAGE),
        shown: Shown::More,
        csv: Column(802),
        glossary: "The same of one pass through the denoiser, the median over passes; with guidance a step has two.",
    },
    Definition {
        name: "decoder_instructions",
        title: "instructions of the decoder",
        heading: "Instructions, decoder",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::LaunchOf(|cell, launch| counts::in_stages(cell, launch, Role::Decoder)),
        gate: not_judged("image_instructions is judged, which has them in it"),
        history: not_followed(IN_IMAGE),
        shown: Shown::More,
        csv: Column(803),
        glossary: "The same of the decoder.",
    },
    Definition {
        name: "image_cycles",
        title: "cycles of an image",
        heading: "Cycles",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Launch(|launch| counts::of_images(launch, Counter::Cycles)),
        gate: not_judged("image_s is judged, which they follow, and other load moves them too"),
        history: not_followed("image_s is followed, and image_instructions"),
        shown: Shown::More,
        csv: Column(804),
        glossary: "Cycles of the cores in user space while a steady image was made, all threads together. Unlike time they do not \
                   grow when the clock is lowered, but they do when memory is slow.",
    },
    Definition {
        name: "image_branch_misses",
        title: "branch misses of an image",
        heading: "Branch misses",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Launch(|launch| counts::of_images(launch, Counter::BranchMisses)),
        gate: not_judged("they explain image_s and are no aim of their own"),
        history: not_followed("they explain image_s and are no aim of their own"),
        shown: Shown::More,
        csv: Column(805),
        glossary: "Branches that the processor predicted wrongly while a steady image was made.",
    },
    Definition {
        name: "image_llc_misses",
        title: "last-level-cache misses of an image",
        heading: "Last-level-cache misses",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Launch(|launch| counts::of_images(launch, Counter::LlcMisses)),
        gate: not_judged("neighbours on the same cache move them; image_s is judged"),
        history: not_followed("neighbours on the same cache move them"),
        shown: Shown::More,
        csv: Column(806),
        glossary: "Loads that missed the last-level cache while a steady image was made: each waits for memory.",
    },
    Definition {
        name: "counted_instructions",
        title: "counted instructions",
        heading: "Counted instructions",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Counted(|_, counted| {
            // Exact up to 2⁵³.
            crate::record::Reading::Ok((counted.instructions as f64).into())
        }),
        gate: by(
            Strict,
            0.005,
            0.0,
            "counted one by one: equal builds differ by less than 0.1 %; where image_s is judged and decided, that decides",
        ),
        history: Followed::As { id: "counted", since: 8, detail: Detail::Nothing },
        shown: Shown::More,
        csv: WhereKnown(1010),
        glossary: "Instructions of one steady image on one thread, counted one by one in valgrind's callgrind (`ab --count`). \
                   Its processor is simulated and has no AVX-512, so kernels may be other ones than those that are timed, and \
                   what caches, memory and waiting cost is not in it.",
    },
    Definition {
        name: "counted_text_encoder_instructions",
        title: "counted instructions of the text encoder",
        heading: "Counted, text encoder",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Counted(|cell, counted| counts::counted_in_stages(cell, counted, Role::Encoder)),
        gate: by(Show, 0.005, 0.0, "it says where; counted_instructions is judged, which has them in it"),
        history: not_followed(IN_COUNTED),
        shown: Shown::More,
        csv: WhereKnown(1011),
        glossary: "The text encoder's part of counted_instructions.",
    },
    Definition {
        name: "counted_denoiser_instructions",
        title: "counted instructions of the denoiser",
        heading: "Counted, denoiser",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Counted(|cell, counted| counts::counted_in_stages(cell, counted, Role::Denoiser)),
        gate: by(Show, 0.005, 0.0, "it says where; counted_instructions is judged, which has them in it"),
        history: not_followed(IN_COUNTED),
        shown: Shown::More,
        csv: WhereKnown(1012),
        glossary: "The denoiser's part of counted_instructions, all steps together.",
    },
    Definition {
        name: "counted_decoder_instructions",
        title: "counted instructions of the decoder",
        heading: "Counted, decoder",
        unit: Unit::Events,
        better: Lower,
        scale: Relative,
        taken: Taken::Counted(|cell, counted| counts::counted_in_stages(cell, counted, Role::Decoder)),
        gate: by(Show, 0.005, 0.0, "it says where; counted_instructions is judged, which has them in it"),
        history: not_followed(IN_COUNTED),
        shown: Shown::More,
        csv: WhereKnown(1013),
        glossary: "The decoder's part of counted_instructions.",
    },
];
