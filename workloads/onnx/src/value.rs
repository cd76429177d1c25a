//! A tensor in host memory, of any element type that a graph may ask for.

use half::{bf16, f16};

use crate::DType;

macro_rules! elements {
    ($($variant:ident($rust:ty), $doc:literal;)*) => {
        /// The elements of a [`Value`], row by row.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Data {
            $(#[doc = $doc] $variant(Vec<$rust>),)*
        }

        impl Data {
            /// The element type.
            pub fn dtype(&self) -> DType {
                match self {
                    $(Self::$variant(_) => DType::$variant,)*
                }
            }

            /// Number of elements.
            pub fn len(&self) -> usize {
                match self {
                    $(Self::$variant(values) => values.len(),)*
                }
            }

            /// Whether there are none.
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }

            fn numbers(&self) -> Box<dyn Iterator<Item = Number> + '_> {
                match self {
                    $(Self::$variant(values) => Box::new(values.iter().map(|&value| value.into_number())),)*
                }
            }

            fn gather(dtype: DType, numbers: impl Iterator<Item = Number>) -> Result<Self, Unfit> {
                match dtype {
                    $(DType::$variant => {
                        let values: Result<Vec<$rust>, Number> =
                            numbers.map(|number| <$rust>::from_number(number).ok_or(number)).collect();
                        values.map(Self::$variant).map_err(|number| Unfit { number: number.to_string(), dtype })
                    })*
                    other => Err(Unfit { number: "a number".to_owned(), dtype: other }),
                }
            }
        }

        $(impl From<Vec<$rust>> for Data {
            fn from(values: Vec<$rust>) -> Self {
                Self::$variant(values)
            }
        })*
    };
}

elements! {
    F32(f32), "32-bit floats.";
    F64(f64), "64-bit floats.";
    F16(f16), "16-bit floats.";
    Bf16(bf16), "Floats of 8 bits of exponent and 7 of fraction.";
    I64(i64), "64-bit signed integers.";
    I32(i32), "32-bit signed integers.";
    I16(i16), "16-bit signed integers.";
    I8(i8), "8-bit signed integers.";
    U64(u64), "64-bit unsigned integers.";
    U32(u32), "32-bit unsigned integers.";
    U16(u16), "16-bit unsigned integers.";
    U8(u8), "8-bit unsigned integers.";
    Bool(bool), "Truth values.";
}

/// One element on its way from one type to another.
#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
        }
    }
}

/// An element type that numbers go into and come out of.
trait Element: Copy {
    fn into_number(self) -> Number;
    /// `None` if the type cannot hold the number: out of range, or a fraction for an integer.
    fn from_number(number: Number) -> Option<Self>;
}

macro_rules! integers {
    ($($rust:ty)*) => {$(
        impl Element for $rust {
            fn into_number(self) -> Number {
                Number::Int(i128::from(self))
            }

            fn from_number(number: Number) -> Option<Self> {
                let whole = match number {
                    Number::Int(value) => value,
                    // Beyond 2^100 a float is no number of these types, and the conversion would saturate.
                    Number::Float(value) if value.fract() == 0.0 && value.abs() < 1e30 => value as i128,
                    Number::Float(_) => return None,
                };
                Self::try_from(whole).ok()
            }
        }
    )*};
}

integers! { i64 i32 i16 i8 u64 u32 u16 u8 }

macro_rules! floats {
    ($($rust:ty, $from:expr;)*) => {$(
        impl Element for $rust {
            fn into_number(self) -> Number {
                Number::Float(f64::from(self))
            }

            fn from_number(number: Number) -> Option<Self> {
                let exact = match number {
                    Number::Int(value) => value as f64,
                    Number::Float(value) => value,
                };
                let value: $rust = ($from)(exact);
                (value.is_finite() || !exact.is_finite()).then_some(value)
            }
        }
    )*};
}

floats! {
    f64, |value: f64| value;
    f32, |value: f64| value as f32;
    f16, f16::from_f64;
    bf16, bf16::from_f64;
}

impl Element for bool {
    fn into_number(self) -> Number {
        Number::Int(i128::from(self))
    }

    fn from_number(number: Number) -> Option<Self> {
        match number {
            Number::Int(0) => Some(false),
            Number::Int(1) => Some(true),
            Number::Float(0.0) => Some(false),
            Number::Float(1.0) => Some(true),
            _ => None,
        }
    }
}

/// A number that an element type cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{number} cannot be stored as {dtype}")]
pub struct Unfit {
    number: String,
    dtype: DType,
}

/// The elements are not as many as the shape says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("shape {shape:?} does not hold {found} elements")]
pub struct ShapeMismatch {
    /// The shape asked for.
    pub shape: Vec<usize>,
    /// Number of elements there are.
    pub found: usize,
}

/// A dense tensor, row by row. Rank 0 is a scalar, and stays one.
#[derive(Clone, Debug, PartialEq)]
pub struct Value {
    shape: Vec<usize>,
    data: Data,
}

impl Value {
    /// A tensor of a shape.
    ///
    /// # Errors
    /// [`ShapeMismatch`] if the shape holds another number of elements.
    pub fn new(shape: impl Into<Vec<usize>>, data: impl Into<Data>) -> Result<Self, ShapeMismatch> {
        let (shape, data) = (shape.into(), data.into());
        let wanted = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
        if wanted != Some(data.len()) {
            return Err(ShapeMismatch { shape, found: data.len() });
        }
        Ok(Self { shape, data })
    }

    /// Extent of each axis.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The elements.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.data.dtype()
    }

    /// The same elements in another shape.
    ///
    /// # Errors
    /// [`ShapeMismatch`] if that shape holds another number of elements.
    pub fn reshape(self, shape: impl Into<Vec<usize>>) -> Result<Self, ShapeMismatch> {
        Self::new(shape, self.data)
    }

    /// The same numbers in another element type, rounded once where the target is a narrower float.
    ///
    /// # Errors
    /// [`Unfit`]: out of range, or a fraction for an integer. Nothing is clipped or cut off in silence.
    pub fn cast(&self, dtype: DType) -> Result<Self, Unfit> {
        if dtype == self.dtype() {
            return Ok(self.clone());
        }
        Ok(Self { shape: self.shape.clone(), data: Data::gather(dtype, self.data.numbers())? })
    }

    /// The elements as 64-bit floats.
    pub fn to_f64(&self) -> Vec<f64> {
        self.data
            .numbers()
            .map(|number| match number {
                Number::Int(value) => value as f64,
                Number::Float(value) => value,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_must_hold_the_elements() {
        assert!(Value::new([2, 3], vec![0f32; 6]).is_ok());
        assert!(Value::new([], vec![1i64]).is_ok(), "a scalar has rank 0 and one element");
        assert!(Value::new([0, 4], Vec::<f32>::new()).is_ok());
        for shape in [vec![2, 2], vec![usize::MAX, 2], vec![]] {
            let error = Value::new(shape.clone(), vec![0f32; 6]).unwrap_err();
            assert_eq!(error, ShapeMismatch { shape, found: 6 });
        }
    }

    #[test]
    fn casts_keep_numbers_or_say_which_does_not_fit() {
        let ids = Value::new([3], vec![0i64, 49407, -1]).unwrap();
        assert_eq!(ids.cast(DType::I32).unwrap().data(), &Data::I32(vec![0, 49407, -1]));
        assert_eq!(ids.cast(DType::U16).unwrap_err().to_string(), "-1 cannot be stored as u16");
        let time = Value::new([2], vec![749.0f32, 499.5]).unwrap();
        assert_eq!(time.cast(DType::I64).unwrap_err().to_string(), "499.5 cannot be stored as i64");
        assert_eq!(time.cast(DType::F16).unwrap().to_f64(), [749.0, 499.5]);
        let large = Value::new([1], vec![1e6f32]).unwrap();
        assert_eq!(large.cast(DType::F16).unwrap_err().to_string(), "1000000 cannot be stored as f16");
        let endless = Value::new([1], vec![f32::INFINITY]).unwrap();
        assert_eq!(endless.cast(DType::F64).unwrap().to_f64(), [f64::INFINITY]);
        assert!(endless.cast(DType::I64).is_err() && large.cast(DType::Text).is_err());
        let mask = Value::new([2], vec![1i64, 0]).unwrap();
        assert_eq!(mask.cast(DType::Bool).unwrap().data(), &Data::Bool(vec![true, false]));
        assert!(ids.cast(DType::Bool).is_err());
    }

    #[test]
    fn large_integers_do_not_pass_through_floats() {
        let exact = Value::new([1], vec![i64::MAX - 1]).unwrap();
        assert_eq!(exact.cast(DType::U64).unwrap().data(), &Data::U64(vec![i64::MAX as u64 - 1]));
    }
}
