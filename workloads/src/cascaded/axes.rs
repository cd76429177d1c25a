//! The axes of a cascade beyond model, size and steps, as people write their values.

use crate::Axis;
use crate::blocks::class;

/// What a plan may vary.
pub(super) static AXES: [Axis; 2] = [
    class::AXIS,
    Axis {
        name: "augmentation",
        help: "Noise that is put on the smaller image between the stages of a cascade (conditioning augmentation), in thousandths of the \
               timesteps: 0 to 999, for nets that read its level, as cdm-32-64's",
        default: "100",
        parse: |text| match text.parse::<u16>() {
            Ok(level) if level < 1000 => Ok(level.to_string()),
            _ => {
                Err(format!("\"{text}\" is not a level of augmentation: write thousandths of the timesteps, 0 to 999"))
            }
        },
        show: |value| format!("augmentation {value}"),
    },
];
