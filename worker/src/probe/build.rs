//! The build that runs: revision, compiler, flags. Filled in at compile time by the build script.

use ditbench_record::{Build, Git, Reading};

/// How this program was built.
pub fn build() -> Build {
    Build {
        rustc: env!("DITBENCH_RUSTC").to_owned(),
        target: env!("DITBENCH_TARGET").to_owned(),
        profile: env!("DITBENCH_PROFILE").to_owned(),
        flags: env!("DITBENCH_RUSTFLAGS").to_owned(),
        target_features: env!("DITBENCH_TARGET_FEATURES")
            .split(',')
            .filter(|f| !f.is_empty())
            .map(str::to_owned)
            .collect(),
    }
}

/// The revision that this program was built from.
pub fn git() -> Reading<Git> {
    let revision = env!("DITBENCH_REVISION");
    if revision.is_empty() {
        return Reading::absent("the program was not built from a git checkout");
    }
    Reading::Ok(Git { revision: revision.to_owned(), dirty: env!("DITBENCH_DIRTY") == "true" })
}
