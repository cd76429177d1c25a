//! What a backend is: two traits, and the words in which it says what it did.
//!
//! A new backend is one crate that implements [`Backend`] and [`Session`] and passes the conformance suite. This crate
//! knows no backend.

mod device;
mod error;
pub mod onnx;
mod options;
mod prepare;
mod report;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use ditbench_graph::onnx::Dialect;
use ditbench_graph::weights::Weights;
use ditbench_graph::{Graph, Tensor};

pub use device::{DeviceFacts, DeviceKind, DeviceNature, Missing};
pub use error::BackendError;
pub use onnx::OnnxModel;
pub use options::{CompileOptions, MemoryMode, SourceKind, Variant};
pub use prepare::{Carried, Costs, Named, Parcel, PrepareOptions, Ready, rayon_pool};
pub use report::{
    Acceptance, CompileReport, MemoryReport, NodeTime, Numerics, Placement, PlacementEntry, Profile, Refused,
    VersionReport, nodes_in_words,
};

/// A runtime that can run graphs.
pub trait Backend: Send + Sync {
    /// The name that commands and tables use: `candle`, `tract`, `ort`, `reference`.
    fn name(&self) -> &'static str;

    /// Versions of the runtime and what it was built with.
    fn version(&self) -> VersionReport;

    /// What this machine offers right now, and for what it lacks, why and how to get it. A name of a device is a promise:
    /// what is asked for there runs there or not at all.
    fn devices(&self) -> Vec<DeviceFacts>;

    /// Whether a stage that comes as this can be run at all. Every backend takes our graphs; of a user's file, one that has a
    /// way of running it.
    fn takes(&self, source: SourceKind) -> bool {
        source == SourceKind::Graph || !self.onnx_variants().is_empty()
    }

    /// The named ways in which this backend can run weights of a scheme (`stock`, `tuned`, `int8`, `exact`), the
    /// default first. Empty if it cannot run the scheme at all.
    fn variants(&self, scheme: ditbench_graph::weights::Scheme) -> Vec<Variant>;

    /// Finds what it needs on this machine, and fetches it where that is allowed. From then on this value uses what was found.
    ///
    /// # Errors
    /// What is missing and how to get it, in one line: the reason in the rows that want this backend.
    fn prepare(&mut self, options: &PrepareOptions) -> Result<Ready, String> {
        let _ = options;
        Ok(Ready::default())
    }

    /// What can be fetched for its devices beyond their drivers, by the names that users ask for it with.
    fn setups(&self) -> &'static [&'static str] {
        &[]
    }

    /// Fetches what one of [`Backend::setups`] is, unless it is there; says in a few words what there is now. Without `force` it fetches
    /// nothing for a device that has no driver here.
    ///
    /// # Errors
    /// Why it cannot be had, and what to do, in one line.
    fn set_up(&self, name: &str, force: bool, options: &PrepareOptions) -> Result<String, String> {
        let _ = (force, options);
        Err(format!("{} has no setup for \"{name}\"", self.name()))
    }

    /// What it needs on another machine, from what the user named here; `None` if it needs nothing beside the program there.
    ///
    /// # Errors
    /// What is missing and how to get it.
    fn carry(&self, named: &Named) -> Result<Option<Parcel>, Missing> {
        let _ = named;
        Ok(None)
    }

    /// What to add to the cure of something that is missing on a phone: there the user's own machine gets it.
    fn advice_for_a_phone(&self, missing: &Missing) -> Option<String> {
        let _ = missing;
        None
    }

    /// Environment variables that a process of its own must start with to compute on so many threads, beside those that
    /// [`Backend::prepare`] gave.
    fn environment(&self, threads: usize) -> BTreeMap<String, String> {
        rayon_pool(threads)
    }

    /// What to assume of it where nothing is measured yet.
    fn costs(&self) -> Costs {
        Costs::default()
    }

    /// Whether it is there for others to be held against, so that its own speed is of no interest.
    fn is_reference(&self) -> bool {
        false
    }

    /// Makes a session: loads the weights, prepares the graph.
    ///
    /// # Errors
    /// What is missing or unsupported, and what to do about it. Never falls back to another device or precision.
    fn compile(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Box<dyn Session>, BackendError>;

    /// The named ways in which this backend can run a user's own ONNX file, the default first. Empty if it reads none.
    fn onnx_variants(&self) -> Vec<Variant> {
        Vec::new()
    }

    /// Makes a session of a user's own ONNX file.
    ///
    /// # Errors
    /// As [`Backend::compile`]; a backend that reads no ONNX says so.
    fn compile_onnx(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Box<dyn Session>, BackendError> {
        let _ = options;
        let why = format!("it cannot run ONNX files such as {}", model.name);
        Err(BackendError::Unsupported { backend: self.name(), why })
    }

    /// Which operations of a graph a device does not take, and why, as far as that is told. The graph is compiled and not run.
    ///
    /// # Errors
    /// As [`Backend::compile`]; also where the backend cannot tell.
    fn acceptance(
        &self,
        graph: &Graph,
        weights: &Weights,
        options: &CompileOptions,
    ) -> Result<Acceptance, BackendError> {
        let _ = (graph, weights);
        Err(does_not_tell(self.name(), options))
    }

    /// The same of a user's own ONNX file.
    ///
    /// # Errors
    /// As [`Backend::acceptance`].
    fn acceptance_of_file(&self, model: &OnnxModel, options: &CompileOptions) -> Result<Acceptance, BackendError> {
        let _ = model;
        Err(does_not_tell(self.name(), options))
    }

    /// The process that computes, where it is not this one: its memory is the one that counts. Known once the backend was
    /// asked for anything else.
    fn process(&self) -> Option<u32> {
        None
    }

    /// How a graph is written as ONNX for a variant; `None` if there is no such variant, or if no ONNX is read.
    fn dialect(&self, variant: &str) -> Option<Dialect> {
        let _ = variant;
        None
    }

    /// Writes what [`Backend::compile`] would write into `options.cache`, and compiles nothing: so that one machine can
    /// prepare for another. Gives the folders, made or found; empty for a backend that writes nothing. The device need
    /// not be here.
    ///
    /// # Errors
    /// No such variant; weights that do not fit; a cache that cannot be written.
    fn export(&self, graph: &Graph, weights: &Weights, options: &CompileOptions) -> Result<Vec<PathBuf>, BackendError> {
        let _ = (graph, weights, options);
        Ok(Vec::new())
    }
}

fn does_not_tell(backend: &'static str, options: &CompileOptions) -> BackendError {
    let device = &options.device;
    let why = format!(
        "it does not report which operations \"{device}\" takes: whatever it runs, it runs on the device that was asked for"
    );
    BackendError::Unsupported { backend, why }
}

/// A graph made ready to run.
pub trait Session {
    /// One forward pass: tensors in the order of the graph's inputs, results in the order of its outputs.
    ///
    /// # Errors
    /// Wrong inputs, or the runtime's own failure.
    fn run(&mut self, inputs: &[Tensor]) -> Result<Vec<Tensor>, BackendError>;

    /// How long the last [`Session::run`] took by the session's own clock, where that one counts and not the caller's: the
    /// tensors had to be brought to another process and back, which belongs to no stage.
    fn took(&self) -> Option<Duration> {
        None
    }

    /// How long the making of this session took, by part.
    fn compile_report(&self) -> CompileReport;

    /// The precision in which it really computes: decides the tolerance that its results are held to.
    fn numerics(&self) -> Numerics;

    /// Finds out where the nodes really run. A silent fall-back is a finding.
    ///
    /// A runtime may have to be run for the answer, under its profiler and on made-up inputs: that takes time and memory. So
    /// it is asked once for a cell, when the launch has measured all that it is to measure, and never where memory is.
    fn placement(&mut self) -> Placement;

    /// Memory that the runtime can account for by itself.
    fn memory(&self) -> MemoryReport;

    /// One forward pass with a time for each node, under the scope names of the graph.
    ///
    /// # Errors
    /// As [`Session::run`]; also where the runtime has no profiler.
    fn profile(&mut self, inputs: &[Tensor]) -> Result<Profile, BackendError>;
}
