//! The class that a class-conditional model draws, in the place of a prompt.

use crate::{Axis, Choice};

/// The axis that such workloads share.
pub(crate) const AXIS: Axis = Axis {
    name: "class",
    help: "Class of a class-conditional model, in the place of a prompt: 0 to 999 of ImageNet's, 0 to 9 for those named nano",
    default: "",
    parse: |text| match text.parse::<u16>() {
        Ok(class) => Ok(class.to_string()),
        Err(_) => Err(format!("\"{text}\" is not a class: use its number, as in 207")),
    },
    show: |value| format!("class {value}"),
};

/// The class where nobody says: ImageNet's golden retriever, as good as any; of nano's ten, the last that it leaves.
pub(crate) fn usual(classes: usize) -> usize {
    207 % classes
}

/// The class of a choice.
///
/// # Errors
/// The model has no such class.
pub(crate) fn of(choice: &Choice, classes: usize) -> Result<usize, String> {
    match choice.own(AXIS.name) {
        None => Ok(usual(classes)),
        Some(text) => text
            .parse()
            .ok()
            .filter(|class| *class < classes)
            .ok_or_else(|| format!("{} has no class {text}: choose one from 0 to {}", choice.model, classes - 1)),
    }
}
