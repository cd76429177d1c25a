//! ONNX's element types.

use std::fmt;
use std::str::FromStr;

macro_rules! element_types {
    ($($variant:ident = $code:literal, $name:literal, $bits:literal;)*) => {
        /// An element type of a tensor: `TensorProto.DataType` of the ONNX standard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[allow(missing_docs, reason = "the names say it, and Display spells them")]
        pub enum DType {
            $($variant,)*
            /// A number that this version knows no type for.
            Other(i32),
        }

        impl DType {
            /// All types with a name.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The type of a number in a file.
            pub fn from_code(code: i32) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other),
                }
            }

            /// Its number in a file.
            pub fn code(self) -> i32 {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }

            /// Bits of one element; `None` for text and for types that are not known.
            pub fn bits(self) -> Option<u64> {
                match self {
                    $(Self::$variant => if $bits == 0 { None } else { Some($bits) },)*
                    Self::Other(_) => None,
                }
            }
        }

        impl fmt::Display for DType {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $(Self::$variant => f.write_str($name),)*
                    Self::Other(code) => write!(f, "type {code}"),
                }
            }
        }
    };
}

element_types! {
    F32 = 1, "f32", 32;
    U8 = 2, "u8", 8;
    I8 = 3, "i8", 8;
    U16 = 4, "u16", 16;
    I16 = 5, "i16", 16;
    I32 = 6, "i32", 32;
    I64 = 7, "i64", 64;
    Text = 8, "string", 0;
    Bool = 9, "bool", 8;
    F16 = 10, "f16", 16;
    F64 = 11, "f64", 64;
    U32 = 12, "u32", 32;
    U64 = 13, "u64", 64;
    Complex64 = 14, "complex64", 64;
    Complex128 = 15, "complex128", 128;
    Bf16 = 16, "bf16", 16;
    F8E4M3Fn = 17, "f8e4m3fn", 8;
    F8E4M3Fnuz = 18, "f8e4m3fnuz", 8;
    F8E5M2 = 19, "f8e5m2", 8;
    F8E5M2Fnuz = 20, "f8e5m2fnuz", 8;
    U4 = 21, "u4", 4;
    I4 = 22, "i4", 4;
    F4E2M1 = 23, "f4e2m1", 4;
    F8E8M0 = 24, "f8e8m0", 8;
    U2 = 25, "u2", 2;
    I2 = 26, "i2", 2;
}

impl DType {
    /// Whether its numbers are floats of a type that tensors are fed in.
    pub fn is_float(self) -> bool {
        matches!(self, Self::F32 | Self::F64 | Self::F16 | Self::Bf16)
    }

    /// Bytes that `elements` take when packed; `None` if the type has no size or the number is out of all reason.
    pub fn bytes(self, elements: u64) -> Option<u64> {
        Some(elements.checked_mul(self.bits()?)?.div_ceil(8))
    }
}

/// A word that names no element type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "\"{0}\" is not an element type; use one of f32, f16, bf16, f64, i64, i32, i16, i8, u64, u32, u16, u8 and bool"
)]
pub struct UnknownDType(pub String);

impl FromStr for DType {
    type Err = UnknownDType;

    fn from_str(word: &str) -> Result<Self, UnknownDType> {
        Self::ALL.iter().copied().find(|dtype| dtype.to_string() == word).ok_or_else(|| UnknownDType(word.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_names_lead_back() {
        for &dtype in DType::ALL {
            assert_eq!(DType::from_code(dtype.code()), dtype);
            assert_eq!(dtype.to_string().parse(), Ok(dtype));
        }
        assert_eq!(DType::from_code(99), DType::Other(99));
        assert!("float".parse::<DType>().unwrap_err().to_string().contains("use one of f32"));
    }

    #[test]
    fn packed_types_round_up_and_nothing_overflows() {
        assert_eq!(DType::I4.bytes(3), Some(2));
        assert_eq!(DType::F32.bytes(3), Some(12));
        assert_eq!(DType::F32.bytes(u64::MAX), None);
        assert_eq!(DType::Text.bytes(1), None);
    }
}
