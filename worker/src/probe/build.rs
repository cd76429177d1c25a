//! The build that runs: revision, compiler, flags.
//!
//! Contract: known to the program alone, whose build script asks git and the compiler each time that a source changes; this crate,
//! which would be compiled anew with it each time, is told when the program starts. Who was told nothing knows nothing.

use std::sync::OnceLock;

use ditbench_record::{Build, Git, Reading};

static TOLD: OnceLock<Told> = OnceLock::new();

/// What a program's build script found out, as [`crate::told_by_build_script`] gives it.
#[derive(Clone, Copy, Debug)]
pub struct Told {
    /// The commit; empty where there is no git.
    pub revision: &'static str,
    /// `true` or `false`.
    pub dirty: &'static str,
    /// `rustc --version`.
    pub rustc: &'static str,
    /// Target triple.
    pub target: &'static str,
    /// `release`, `debug`.
    pub profile: &'static str,
    /// Compiler flags.
    pub flags: &'static str,
    /// CPU features, with commas.
    pub target_features: &'static str,
}

/// What the build script of the program in which this stands found out.
#[macro_export]
macro_rules! told_by_build_script {
    () => {
        $crate::probe::build::Told {
            revision: env!("DITBENCH_REVISION"),
            dirty: env!("DITBENCH_DIRTY"),
            rustc: env!("DITBENCH_RUSTC"),
            target: env!("DITBENCH_TARGET"),
            profile: env!("DITBENCH_PROFILE"),
            flags: env!("DITBENCH_RUSTFLAGS"),
            target_features: env!("DITBENCH_TARGET_FEATURES"),
        }
    };
}

/// Says which program this is: once, at its start.
pub fn tell(told: Told) {
    // A second time it is the same program.
    let _ = TOLD.set(told);
}

/// How this program was built.
pub fn build() -> Build {
    TOLD.get().map_or_else(Build::default, |told| Build {
        rustc: told.rustc.to_owned(),
        target: told.target.to_owned(),
        profile: told.profile.to_owned(),
        flags: told.flags.to_owned(),
        target_features: told.target_features.split(',').filter(|f| !f.is_empty()).map(str::to_owned).collect(),
    })
}

/// The revision that this program was built from.
pub fn git() -> Reading<Git> {
    match TOLD.get() {
        None => Reading::absent("the program does not know how it was built"),
        Some(told) if told.revision.is_empty() => Reading::absent("the program was not built from a git checkout"),
        Some(told) => Reading::Ok(Git { revision: told.revision.to_owned(), dirty: told.dirty == "true" }),
    }
}
