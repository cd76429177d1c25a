//! The workloads there are: the one place that names them all.

use std::fmt;

use crate::Choice;
use crate::cascaded::Cascaded;
use crate::edgedit::EdgeDit;
use crate::elasticdit::ElasticDit;
use crate::own::{self, Own};
use crate::pipeline::Pipeline;
use crate::snapgen::SnapGen;
use crate::snapgenpp::SnapGenPp;

pub use crate::spec::{ModelInfo, Workload, WorkloadError};

/// All workloads, the usual one first.
pub static ALL: [&dyn Workload; 5] = [&SnapGenPp, &EdgeDit, &SnapGen, &ElasticDit, &Cascaded];

/// All workloads, and that of the models which users bring: it has no models of its own, so it is none of [`ALL`].
pub fn with_users() -> impl Iterator<Item = &'static dyn Workload> {
    ALL.into_iter().chain([&Own as &dyn Workload])
}

/// The workload of that name.
pub fn named(name: &str) -> Option<&'static dyn Workload> {
    with_users().find(|workload| workload.name() == name)
}

/// Builds the pipeline of a choice.
///
/// # Errors
/// As [`Workload::build`]; a workload that this program does not have.
pub fn build(choice: &Choice) -> Result<Pipeline, WorkloadError> {
    let known = || ALL.map(|workload| workload.name()).join(", ");
    let workload = named(&choice.workload).ok_or_else(|| {
        WorkloadError::Choice(format!("unknown workload \"{}\": choose from {}", choice.workload, known()))
    })?;
    workload.build(choice)
}

/// The workload that has a model, and the model.
///
/// # Errors
/// Names the models there are.
pub fn of_model(name: &str) -> Result<(&'static dyn Workload, &'static ModelInfo), WorkloadError> {
    let all = || ALL.into_iter().flat_map(|workload| workload.models().iter().map(move |model| (workload, model)));
    all().find(|(_, model)| model.name == name).ok_or_else(|| {
        let names: Vec<&str> = all().map(|(_, model)| model.name).collect();
        WorkloadError::Choice(format!(
            "unknown model \"{name}\": choose one of {}, or give the path of your own, a pipeline's folder or an .onnx file",
            names.join(", ")
        ))
    })
}

/// `nano 64×64 width 0.5 8 steps`: the model, and what sets this apart from the usual.
impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(sizes) = own::shown_sizes(self) {
            return write!(f, "{} {sizes}", self.model);
        }
        write!(f, "{} {}×{}", self.model, self.size.width, self.size.height)?;
        let axes = named(&self.workload).map_or(&[][..], |workload| workload.axes());
        for axis in axes {
            if let Some(value) = self.own(axis.name).filter(|value| *value != axis.default) {
                write!(f, " {}", (axis.show)(value))?;
            }
        }
        match self.steps {
            4 => {}
            1 => write!(f, " 1 step")?,
            steps => write!(f, " {steps} steps")?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use ditbench_graph::Op;

    use super::*;

    #[test]
    fn models_have_one_name_each_and_build_at_their_usual_size() {
        let mut names = HashSet::new();
        for workload in ALL {
            for model in workload.models() {
                assert!(names.insert(model.name), "{} is in two workloads", model.name);
                let (found, info) = of_model(model.name).unwrap();
                assert_eq!((found.name(), info), (workload.name(), model));
            }
            let smallest = &workload.models()[0];
            let choice = Choice::new(workload.name(), smallest.name, smallest.usual_size, smallest.usual_steps);
            let pipeline = build(&choice).unwrap();
            assert!(!pipeline.stages.is_empty() && pipeline.flops_per_image() > 0);
            // In an ONNX file both are names of values: tract refuses two of one name.
            for graph in pipeline.graphs() {
                let weights: HashSet<&str> = graph.weights.iter().map(|weight| weight.name.as_str()).collect();
                let computed = graph.nodes.iter().filter(|node| !matches!(node.op, Op::Parameter { .. }));
                let taken: Vec<&str> =
                    computed.map(|node| node.name.as_str()).filter(|name| weights.contains(name)).collect();
                assert!(
                    taken.is_empty(),
                    "{}, {}: nodes with the names of weights: {taken:?}",
                    smallest.name,
                    graph.name
                );
            }
        }
        assert!(of_model("huge").map(|_| ()).unwrap_err().to_string().contains("nano"));
    }

    #[test]
    fn the_default_of_an_axis_is_a_value_of_it_and_what_is_wrong_is_said() {
        for axis in with_users().flat_map(|workload| workload.axes()) {
            if !axis.default.is_empty() {
                assert_eq!((axis.parse)(axis.default).as_deref(), Ok(axis.default), "{}", axis.name);
            }
            let error = (axis.parse)("no such value").unwrap_err();
            assert!(error.contains("no such value") && error.len() > 30, "{}: {error}", axis.name);
            assert!(axis.help.len() > 10 && !axis.name.contains('_'));
        }
    }
}
