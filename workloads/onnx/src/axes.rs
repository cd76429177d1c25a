//! From a graph's inputs to inputs of a fixed size: what the file says, what the user gives, what a name implies.
//!
//! Contract: no axis is ever guessed. One that is still open is an error that names it, and each size that was filled in
//! says where it came from.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use crate::DType;
use crate::model::{Dim, Port};

/// Most elements of one input: more is a slip of the keyboard.
const MOST: usize = 1 << 32;

/// The size of an input as the user gives it: `sample=1x4x64x64`, with `:f16` behind it to have the type checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputSize {
    /// The input's name.
    pub name: String,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// The element type that the user expects.
    pub dtype: Option<DType>,
}

/// Words that are no size of an input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("\"{given}\" does not give an input's size: {why}. Write NAME=1x4x64x64, or NAME=1x4x64x64:f16")]
pub struct InputSizeError {
    given: String,
    why: String,
}

impl FromStr for InputSize {
    type Err = InputSizeError;

    fn from_str(given: &str) -> Result<Self, InputSizeError> {
        let fail = |why: String| InputSizeError { given: given.to_owned(), why };
        // Names of inputs may hold colons ("tokens:0"), sizes cannot hold an equals sign.
        let (name, size) = given.rsplit_once('=').ok_or_else(|| fail("there is no \"=\" in it".to_owned()))?;
        if name.is_empty() {
            return Err(fail("the name is missing".to_owned()));
        }
        let (size, dtype) = match size.split_once(':') {
            Some((size, dtype)) => (size, Some(dtype.parse::<DType>().map_err(|error| fail(error.to_string()))?)),
            None => (size, None),
        };
        let axis = |word: &str| match word.parse::<usize>() {
            Ok(0) => Err(fail("an axis of 0 holds nothing".to_owned())),
            Ok(extent) => Ok(extent),
            Err(_) => Err(fail(format!("\"{word}\" is not a number"))),
        };
        let shape = size.split('x').map(axis).collect::<Result<Vec<_>, _>>()?;
        elements(&shape).ok_or_else(|| fail("that is more than any machine holds".to_owned()))?;
        Ok(Self { name: name.to_owned(), shape, dtype })
    }
}

impl fmt::Display for InputSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shape: Vec<String> = self.shape.iter().map(usize::to_string).collect();
        write!(f, "{}={}", self.name, shape.join("x"))?;
        self.dtype.map_or(Ok(()), |dtype| write!(f, ":{dtype}"))
    }
}

fn elements(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent)).filter(|&product| product <= MOST)
}

/// Where the size of an axis came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A number in the file.
    File,
    /// The user.
    Given,
    /// What the axis is for, or what its name says.
    Implied,
}

/// An input whose size is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixedInput {
    /// Its name.
    pub name: String,
    /// The element type.
    pub dtype: DType,
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Where each extent came from.
    pub origins: Vec<Origin>,
}

/// Why inputs have no size, or a wrong one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AxesError {
    /// Axes that nobody fixed.
    #[error("{component}: {} no size: {}. Give {}", if open.len() == 1 { "an axis has" } else { "these axes have" }, open.join("; "), cure.join(" "))]
    Open {
        /// The component or file.
        component: String,
        /// Each input with its open axes.
        open: Vec<String>,
        /// What to give for each.
        cure: Vec<String>,
    },
    /// A given input that the graph does not have.
    #[error("{component}: there is no input \"{name}\"; it has {inputs}")]
    NoSuchInput {
        /// The component or file.
        component: String,
        /// The name given.
        name: String,
        /// The names that there are.
        inputs: String,
    },
    /// A given size that cannot be.
    #[error("{component}: input {port}: {why}")]
    Unfit {
        /// The component or file.
        component: String,
        /// The input as the file has it.
        port: String,
        /// What does not fit.
        why: String,
    },
}

/// What the name of an axis implies in any graph: a batch is 1.
pub fn by_name(name: &str) -> Option<usize> {
    name.to_ascii_lowercase().contains("batch").then_some(1).filter(|_| is_plain(name))
}

/// A name, not an expression of names.
fn is_plain(name: &str) -> bool {
    name.chars().all(|sign| sign.is_alphanumeric() || sign == '_' || sign == '.')
}

/// Fixes all inputs of a graph: by the file, else by `given`, else by `implied` (an input and the number of an axis), else
/// by the same name elsewhere in the graph.
///
/// # Errors
/// [`AxesError`]: axes that stay open, all of them at once; a given size that the file contradicts.
pub fn fix(
    component: &str,
    ports: &[Port],
    given: &[InputSize],
    implied: &dyn Fn(&Port, usize) -> Option<usize>,
) -> Result<Vec<FixedInput>, AxesError> {
    let component = || component.to_owned();
    if let Some(unknown) = given.iter().find(|size| ports.iter().all(|port| port.name != size.name)) {
        let inputs: Vec<&str> = ports.iter().map(|port| port.name.as_str()).collect();
        return Err(AxesError::NoSuchInput {
            component: component(),
            name: unknown.name.clone(),
            inputs: inputs.join(", "),
        });
    }
    let unfit = |port: &Port, why: String| AxesError::Unfit { component: component(), port: port.to_string(), why };
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut sizes = Vec::new();
    for port in ports {
        let size = given.iter().rfind(|size| size.name == port.name);
        let axes = axes(port, size, implied).map_err(|why| unfit(port, why))?;
        for (dim, axis) in port.dims.iter().flatten().zip(&axes) {
            if let (Dim::Named(name), Some((extent, _))) = (dim, axis) {
                let known = *names.entry(name).or_insert(*extent);
                if known != *extent {
                    return Err(unfit(port, format!("{name} is {known} in another input and {extent} here")));
                }
            }
        }
        sizes.push(axes);
    }
    let (mut fixed, mut open, mut cure) = (Vec::new(), Vec::new(), Vec::new());
    for (port, axes) in ports.iter().zip(sizes) {
        let by_other = |dim: &Dim| match dim {
            Dim::Named(name) => names.get(name.as_str()).map(|&extent| (extent, Origin::Implied)),
            _ => None,
        };
        let dims = port.dims.iter().flatten();
        let axes: Vec<_> = match port.dims {
            Some(_) => axes.into_iter().zip(dims).map(|(axis, dim)| axis.or_else(|| by_other(dim))).collect(),
            None => axes,
        };
        if port.dims.is_none() && axes.is_empty() {
            open.push(format!("input {port} (not even the number of axes)"));
            cure.push(format!("{}=AxBx…", port.name));
        } else if axes.iter().any(Option::is_none) {
            let (axis, word) = describe(port, &axes);
            open.push(axis);
            cure.push(word);
        } else {
            let (shape, origins): (Vec<usize>, Vec<Origin>) = axes.into_iter().flatten().unzip();
            let dtype = port.dtype.ok_or_else(|| unfit(port, "only tensors can be fed".to_owned()))?;
            elements(&shape).ok_or_else(|| unfit(port, format!("{shape:?} is more than any machine holds")))?;
            fixed.push(FixedInput { name: port.name.clone(), dtype, shape, origins });
        }
    }
    if open.is_empty() { Ok(fixed) } else { Err(AxesError::Open { component: component(), open, cure }) }
}

type Axis = Option<(usize, Origin)>;

fn axes(
    port: &Port,
    size: Option<&InputSize>,
    implied: &dyn Fn(&Port, usize) -> Option<usize>,
) -> Result<Vec<Axis>, String> {
    if let Some(wanted) = size.and_then(|size| size.dtype).filter(|&wanted| Some(wanted) != port.dtype) {
        let found = port.dtype.map_or_else(|| "no tensor".to_owned(), |dtype| dtype.to_string());
        return Err(format!("it is {found} in the file, not {wanted}"));
    }
    let Some(dims) = &port.dims else {
        return Ok(size.map_or_else(Vec::new, |size| size.shape.iter().map(|&n| Some((n, Origin::Given))).collect()));
    };
    if let Some(size) = size.filter(|size| size.shape.len() != dims.len()) {
        return Err(format!("{size} has {} axes, the file {}", size.shape.len(), dims.len()));
    }
    let axis = |(index, dim): (usize, &Dim)| match (dim, size.map(|size| size.shape[index])) {
        (Dim::Fixed(extent), Some(wanted)) if *extent != wanted => Err(format!(
            "axis {index} is fixed to {extent} in the file, {wanted} was given: export it for that size, or give {extent}"
        )),
        (Dim::Fixed(extent), _) => match implied(port, index).filter(|wanted| wanted != extent) {
            Some(wanted) => Err(format!(
                "axis {index} is fixed to {extent} in the file, but must be {wanted} here: export it for that size"
            )),
            None => Ok(Some((*extent, Origin::File))),
        },
        (_, Some(extent)) => Ok(Some((extent, Origin::Given))),
        (_, None) => Ok(implied(port, index).map(|extent| (extent, Origin::Implied))),
    };
    dims.iter().enumerate().map(axis).collect()
}

/// An input with open axes, and the word that would fix it: `image=1x3xHxW`.
fn describe(port: &Port, axes: &[Axis]) -> (String, String) {
    let named: Vec<String> = port.dims.iter().flatten().map(Dim::to_string).collect();
    let missing: Vec<String> = axes
        .iter()
        .zip(&named)
        .enumerate()
        .filter(|(_, (axis, _))| axis.is_none())
        .map(|(index, (_, name))| format!("{index} ({name})"))
        .collect();
    let word = |(axis, name): (&Axis, &String)| match axis {
        Some((extent, _)) => extent.to_string(),
        None if is_plain(name) && !name.is_empty() => name.to_uppercase(),
        None => "N".to_owned(),
    };
    let words: Vec<String> = axes.iter().zip(&named).map(word).collect();
    (format!("input {port}, axis {}", missing.join(", ")), format!("{}={}", port.name, words.join("x")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn port(name: &str, dtype: DType, dims: &[&str]) -> Port {
        let dim = |word: &&str| match word.parse() {
            Ok(extent) => Dim::Fixed(extent),
            Err(_) if *word == "?" => Dim::Open,
            Err(_) => Dim::Named((*word).to_owned()),
        };
        Port { name: name.to_owned(), dtype: Some(dtype), dims: Some(dims.iter().map(dim).collect()) }
    }

    fn named(port: &Port, axis: usize) -> Option<usize> {
        match &port.dims.as_ref()?[axis] {
            Dim::Named(name) => by_name(name),
            _ => None,
        }
    }

    fn fix_words(ports: &[Port], words: &[&str]) -> Result<Vec<FixedInput>, String> {
        let given: Vec<InputSize> = words.iter().map(|word| word.parse().unwrap()).collect();
        fix("model.onnx", ports, &given, &named).map_err(|error| error.to_string())
    }

    #[test]
    fn sizes_are_read_from_words() {
        let size: InputSize = "sample=1x4x64x64:f16".parse().unwrap();
        assert_eq!((size.shape.as_slice(), size.dtype), (&[1, 4, 64, 64][..], Some(DType::F16)));
        assert_eq!(size.to_string(), "sample=1x4x64x64:f16");
        assert_eq!("tokens:0=1x77".parse::<InputSize>().unwrap().name, "tokens:0");
        for (word, why) in [
            ("sample", "there is no \"=\""),
            ("=1x2", "the name is missing"),
            ("x=1x0", "an axis of 0"),
            ("x=1xax2", "\"a\" is not a number"),
            ("x=", "\"\" is not a number"),
            ("x=1x-4", "\"-4\" is not a number"),
            ("x=1:float", "\"float\" is not an element type"),
            ("x=4294967296x4294967296x4294967296", "more than any machine"),
        ] {
            let error = word.parse::<InputSize>().unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("Write NAME=1x4x64x64"), "{error}");
        }
    }

    #[test]
    fn an_open_axis_is_named_with_what_to_give() {
        let cnn = [port("image", DType::F32, &["N", "3", "H", "W"])];
        assert_eq!(
            fix_words(&cnn, &[]).unwrap_err(),
            "model.onnx: an axis has no size: input image [N, 3, H, W] f32, axis 0 (N), 2 (H), 3 (W). Give image=Nx3xHxW"
        );
        let tagger = [port("ids", DType::I32, &["batch", "words"]), port("mask", DType::Bool, &["batch", "words"])];
        let error = fix_words(&tagger, &[]).unwrap_err();
        assert!(
            error.contains("these axes have no size") && error.ends_with("Give ids=1xWORDS mask=1xWORDS"),
            "{error}"
        );
    }

    #[test]
    fn one_input_fixes_a_name_for_all() {
        let tagger = [port("ids", DType::I32, &["batch", "words"]), port("mask", DType::Bool, &["batch", "words"])];
        let fixed = fix_words(&tagger, &["ids=1x12"]).unwrap();
        assert_eq!(fixed[1].shape, [1, 12]);
        assert_eq!(fixed[0].origins, [Origin::Given, Origin::Given]);
        assert_eq!(fixed[1].origins, [Origin::Implied, Origin::Implied]);
        let error = fix_words(&tagger, &["ids=1x12", "mask=1x13"]).unwrap_err();
        assert!(error.contains("words is 12 in another input and 13 here"), "{error}");
        let error = fix_words(&tagger, &["ids=2x12"]).unwrap_err();
        assert!(error.contains("batch is 2 in another input and 1 here"), "{error}");
    }

    #[test]
    fn what_the_file_fixes_stays() {
        let ports = [port("x", DType::F16, &["1", "4"]), port("t", DType::F32, &[])];
        let fixed = fix_words(&ports, &[]).unwrap();
        assert_eq!((fixed[0].origins.as_slice(), fixed[1].shape.len()), (&[Origin::File, Origin::File][..], 0));
        for (word, why) in [
            ("x=1x8", "axis 1 is fixed to 4 in the file, 8 was given"),
            ("x=1x4x1", "has 3 axes, the file 2"),
            ("x=1x4:f32", "it is f16 in the file, not f32"),
            ("y=1", "there is no input \"y\"; it has x, t"),
        ] {
            let error = fix_words(&ports, &[word]).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
        let batch_of_two = [port("x", DType::F32, &["2"])];
        let error = fix("unet", &batch_of_two, &[], &|_, _| Some(1)).unwrap_err().to_string();
        assert!(error.contains("unet: input x [2] f32: axis 0 is fixed to 2 in the file, but must be 1"), "{error}");
    }

    #[test]
    fn unknown_ranks_and_what_is_no_tensor() {
        let ports = [Port { name: "x".to_owned(), dtype: Some(DType::F32), dims: None }];
        assert!(fix_words(&ports, &[]).unwrap_err().contains("not even the number of axes"));
        assert_eq!(fix_words(&ports, &["x=3x2"]).unwrap()[0].shape, [3, 2]);
        let sequence = [Port { name: "s".to_owned(), dtype: None, dims: Some(Vec::new()) }];
        assert!(fix_words(&sequence, &[]).unwrap_err().contains("only tensors can be fed"));
    }

    #[test]
    fn only_a_batch_is_implied_by_its_name() {
        for name in ["batch", "batch_size", "unet_sample_batch", "Batch"] {
            assert_eq!(by_name(name), Some(1), "{name}");
        }
        for name in ["N", "height", "sequence_length", "2*batch", "batch + 1", ""] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_words_are_read_or_refused(word in ".{0,40}") {
            if let Ok(size) = word.parse::<InputSize>() {
                prop_assert_eq!(size.to_string().parse::<InputSize>().unwrap(), size);
            }
        }
    }
}
