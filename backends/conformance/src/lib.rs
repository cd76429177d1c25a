//! What every backend must get right: small graphs, run on the backend and on the f64 reference with the same weights.
//!
//! A backend's test is a few lines:
//!
//! ```no_run
//! use ditbench_conformance::{Suite, assert_passed};
//! use ditbench_graph::weights::Scheme;
//! # use ditbench_reference::Reference as MyBackend;
//!
//! let cache = std::env::temp_dir().join("mine"); // a folder of the test's own
//! let outcomes = Suite::new(cache)
//!     .schemes(&[Scheme::F32, Scheme::Q4])
//!     .except("conv2d.", Some(Scheme::F16), None, "no f16 convolution in version 1.2")
//!     .run(&MyBackend);
//! assert_passed(&outcomes); // a table of what failed and by how much
//! ```
//!
//! Contract: a case passes if the session's results are within the bound that its precision allows ([`allowed`]), come
//! out bit for bit the same when run again, and do not depend on what ran before. A failure names the first node that
//! goes wrong ([`first_divergence`]). A case may be [`BackendError::Unsupported`] only if the test declares so, with a
//! reason; a declaration that nothing needs any more is a failure too.
//!
//! [`BackendError::Unsupported`]: ditbench_backend_api::BackendError::Unsupported

mod cases;
mod check;
mod contract;
mod difference;
mod locate;
mod one_way;
mod seeded;
mod suite;
mod tolerance;

pub use cases::{Case, cases};
pub use check::{Outcome, Verdict, check};
pub use contract::check_contract;
pub use difference::Difference;
pub use locate::{Divergence, first_divergence};
pub use one_way::OneWay;
pub use seeded::{inputs, weights};
pub use suite::{Exception, Suite, assert_passed, table};
pub use tolerance::{allowed, depth};
