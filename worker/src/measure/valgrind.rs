//! Marks for callgrind: which instructions belong to the image, and which of them to which stage.
//!
//! Contract: outside valgrind a mark does nothing, at the cost of a few instructions. Under callgrind (started with
//! `--instr-atstart=no`, so that loading goes fast and counts for nothing) counting begins with [`Marks::begin`]; what ran since
//! then, or since the last mark, is written to a file of its own whose trigger is the mark's name; [`Marks::end`] ends it.
//! What counts is read by `ditbench ab --count`.

/// Of what is no stage's: the sampler's arithmetic, copies.
pub const REST: &str = "ditbench rest";
/// Before a stage's id.
pub const STAGE: &str = "ditbench stage ";

/// Marks, where valgrind runs this process.
#[derive(Clone, Copy, Debug)]
pub struct Marks {
    valgrind: bool,
    counts: bool,
}

impl Marks {
    /// Finds out whether valgrind runs this process.
    pub fn find() -> Self {
        Self { valgrind: request(Request::RunningOnValgrind, 0) > 0, counts: false }
    }

    /// Whether valgrind runs this process.
    pub fn runs_in_valgrind(self) -> bool {
        self.valgrind
    }

    /// From here on instructions count.
    pub fn begin(&mut self) {
        if self.valgrind {
            request(Request::StartInstrumentation, 0);
            self.counts = true;
        }
    }

    /// A stage begins: what ran until here is the rest's.
    pub fn stage_begins(self) {
        self.dump(|| REST.to_owned());
    }

    /// It has ended: what ran since it began is the stage's.
    pub fn stage_ended(self, stage: &str) {
        self.dump(|| format!("{STAGE}{stage}"));
    }

    /// What ran since the last stage is the rest's, and nothing counts any more.
    pub fn end(&mut self) {
        self.dump(|| REST.to_owned());
        if self.counts {
            request(Request::StopInstrumentation, 0);
            self.counts = false;
        }
    }

    fn dump(self, name: impl Fn() -> String) {
        // An id with a zero in it is nobody's; then its instructions are the rest's.
        if let Some(name) = self.counts.then(|| std::ffi::CString::new(name()).ok()).flatten() {
            request(Request::DumpStatsAt, name.as_ptr() as usize);
        }
    }
}

/// What a process can ask of valgrind, by the numbers of its `valgrind.h` and `callgrind.h`.
#[derive(Clone, Copy)]
enum Request {
    RunningOnValgrind = 0x1001,
    // The tool's two letters above, its own number below.
    DumpStatsAt = 0x4354_0003,
    StartInstrumentation = 0x4354_0004,
    StopInstrumentation = 0x4354_0005,
}

/// Asks valgrind; 0 where there is none, or where it knows no such request.
///
/// The sequence is part of valgrind's interface and does nothing on a processor: rotations that add up to none, and an exchange of a
/// register with itself.
fn request(what: Request, argument: usize) -> usize {
    let arguments = [what as usize, argument, 0, 0, 0, 0];
    #[allow(unused_mut, unused_assignments, reason = "where there is no valgrind the answer is always 0")]
    let mut answer = 0usize;
    #[cfg(all(target_arch = "x86_64", not(windows)))]
    // SAFETY: on a processor no register and no memory changes but flags, which asm! takes for changed. Under valgrind the
    // request is read from `arguments`, which lives over it, and the answer is put into rdx.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above; the request in x4, the answer in x3, and x12 is turned by 128 bits in all.
    unsafe {
        std::arch::asm!(
            "ror x12, x12, #3",
            "ror x12, x12, #13",
            "ror x12, x12, #51",
            "ror x12, x12, #61",
            "orr x10, x10, x10",
            in("x4") arguments.as_ptr(),
            inout("x3") answer,
            options(nostack),
        );
    }
    std::hint::black_box(&arguments);
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outside_valgrind_marks_do_nothing() {
        let mut marks = Marks::find();
        assert!(!marks.valgrind);
        marks.begin();
        marks.stage_begins();
        marks.stage_ended("denoiser");
        marks.end();
        assert!(!marks.counts);
    }
}
