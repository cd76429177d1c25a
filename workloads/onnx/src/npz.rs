//! Inputs and expected outputs of the user's own, as numpy saves them.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use half::f16;

use crate::Value;
use crate::value::Data;

/// Most bytes of one array: more is not for one input of a model.
const MOST: u64 = 4 << 30;

/// A file of arrays that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {}{why}", path.display(), array.as_ref().map(|name| format!("array \"{name}\" ")).unwrap_or_default())]
pub struct NpzError {
    path: PathBuf,
    array: Option<String>,
    why: String,
}

/// Reads all arrays of an `.npz` by name, or the one of an `.npy` by the file's name.
///
/// # Errors
/// [`NpzError`] says which array of which file, and why.
pub fn read(path: &Path) -> Result<BTreeMap<String, Value>, NpzError> {
    let fail =
        |array: Option<&str>, why: String| NpzError { path: path.to_owned(), array: array.map(str::to_owned), why };
    let open = || File::open(path).map_err(|error| fail(None, format!("cannot be read: {error}")));
    if path.extension().is_some_and(|extension| extension == "npy") {
        let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let value = array(open()?).map_err(|why| fail(None, why))?;
        return Ok(BTreeMap::from([(name, value)]));
    }
    let mut archive = zip::ZipArchive::new(BufReader::new(open()?))
        .map_err(|error| fail(None, format!("is not an .npz, which is a zip archive of arrays: {error}")))?;
    let mut values = BTreeMap::new();
    for index in 0..archive.len() {
        let entry = archive.by_index(index).map_err(|error| fail(None, format!("is damaged: {error}")))?;
        let name = entry.name().map_err(|error| fail(None, format!("is damaged: {error}")))?.into_owned();
        let Some(name) = name.strip_suffix(".npy").map(str::to_owned) else {
            return Err(fail(None, format!("holds \"{name}\", which is not an array")));
        };
        let value = array(entry).map_err(|why| fail(Some(&name), why))?;
        if values.insert(name.clone(), value).is_some() {
            return Err(fail(Some(&name), "is there twice".to_owned()));
        }
    }
    Ok(values)
}

fn array(reader: impl Read) -> Result<Value, String> {
    let mut bytes = Vec::new();
    let read = reader.take(MOST + 1).read_to_end(&mut bytes).map_err(|error| format!("cannot be read: {error}"))?;
    if read as u64 > MOST {
        return Err(format!("has more than {} GiB", MOST >> 30));
    }
    parse(&bytes)
}

/// Reads the bytes of an `.npy`: a magic word, a header that is a Python dictionary of three known keys, the elements.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let (header, body) = split(bytes)?;
    let kind = Kind::of(header)?;
    let shape = shape(header)?;
    let elements = shape.iter().try_fold(1usize, |product, &extent| product.checked_mul(extent));
    if elements.and_then(|elements| elements.checked_mul(kind.size)) != Some(body.len()) {
        return Err(format!("has {} bytes, which are not {shape:?} of {}", body.len(), kind.name));
    }
    let by_columns = entry(header, "fortran_order").is_some_and(|word| word.starts_with("True"));
    if by_columns && shape.len() > 1 {
        return Err("is stored column by column; save numpy.ascontiguousarray of it".to_owned());
    }
    Value::new(shape, kind.elements(body)?).map_err(|error| error.to_string())
}

/// The header and the elements.
fn split(bytes: &[u8]) -> Result<(&str, &[u8]), String> {
    let short = || "is not a whole .npy: it breaks off in its header".to_owned();
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err("is not an .npy".to_owned());
    }
    let (start, length) = match bytes.get(6..12).ok_or_else(short)? {
        [1, _, a, b, ..] => (10, usize::from(u16::from_le_bytes([*a, *b]))),
        [2 | 3, _, a, b, c, d] => (12, u32::from_le_bytes([*a, *b, *c, *d]) as usize),
        _ => return Err("is of a version of .npy that is not known".to_owned()),
    };
    let (header, body) = bytes[start..].split_at_checked(length).ok_or_else(short)?;
    Ok((std::str::from_utf8(header).map_err(|_| "has a header that is not text".to_owned())?, body))
}

/// What follows a key of the header.
fn entry<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let quoted = [format!("'{key}'"), format!("\"{key}\"")];
    let after = quoted.iter().find_map(|key| header.split_once(key.as_str()))?.1;
    Some(after.trim_start().strip_prefix(':')?.trim_start())
}

fn shape(header: &str) -> Result<Vec<usize>, String> {
    let words = entry(header, "shape").and_then(|word| word.strip_prefix('(')?.split_once(')')).map(|(words, _)| words);
    let words = words.ok_or_else(|| "has a header without a shape".to_owned())?;
    let extents = words.split(',').map(str::trim).filter(|word| !word.is_empty());
    extents.map(|word| word.parse().map_err(|_| format!("has the shape ({words})"))).collect()
}

/// How elements are stored: `<f4`.
struct Kind<'a> {
    name: &'a str,
    big_endian: bool,
    letter: char,
    size: usize,
}

impl<'a> Kind<'a> {
    fn of(header: &'a str) -> Result<Self, String> {
        let word = entry(header, "descr").ok_or_else(|| "has a header without a type".to_owned())?;
        let quote = word.chars().next().filter(|sign| matches!(sign, '\'' | '"'));
        let name = quote.and_then(|quote| word[1..].split_once(quote)).map(|(name, _)| name);
        let name = name.ok_or_else(|| "is a structure of several fields; save plain arrays".to_owned())?;
        let unreadable = || format!("is of type {name}, which no model reads; save numbers or bools");
        let plain = name.strip_prefix(['<', '>', '|', '=']).unwrap_or(name);
        let mut signs = plain.chars();
        let letter = signs.next().filter(|letter| matches!(letter, 'f' | 'i' | 'u' | 'b')).ok_or_else(unreadable)?;
        let size = signs.as_str().parse().map_err(|_| unreadable())?;
        Ok(Self { name, big_endian: name.starts_with('>'), letter, size })
    }

    fn elements(&self, body: &[u8]) -> Result<Data, String> {
        macro_rules! data {
            ($($letter:literal $size:literal $rust:ty;)*) => {
                match (self.letter, self.size) {
                    $(($letter, $size) => Data::from(
                        body.chunks_exact($size)
                            .map(|chunk| {
                                let mut bytes: [u8; $size] = std::array::from_fn(|index| chunk[index]);
                                if self.big_endian {
                                    bytes.reverse();
                                }
                                <$rust>::from_le_bytes(bytes)
                            })
                            .collect::<Vec<$rust>>(),
                    ),)*
                    ('b', 1) => Data::from(body.iter().map(|&byte| byte != 0).collect::<Vec<bool>>()),
                    _ => return Err(format!("is of type {}, which no model reads; save numbers or bools", self.name)),
                }
            };
        }
        Ok(data! {
            'f' 2 f16;
            'f' 4 f32;
            'f' 8 f64;
            'i' 1 i8;
            'i' 2 i16;
            'i' 4 i32;
            'i' 8 i64;
            'u' 1 u8;
            'u' 2 u16;
            'u' 4 u32;
            'u' 8 u64;
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;

    fn npy(header: &str, body: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        bytes.extend((header.len() as u16 + 1).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.push(b'\n');
        bytes.extend(body);
        bytes
    }

    fn plain(descr: &str, shape: &str, body: &[u8]) -> Vec<u8> {
        npy(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), body)
    }

    #[test]
    fn every_type_that_a_model_reads_is_read() {
        for (descr, body, wanted) in [
            ("<f4", &1.5f32.to_le_bytes()[..], Data::F32(vec![1.5])),
            (">f4", &1.5f32.to_be_bytes(), Data::F32(vec![1.5])),
            ("<f8", &1.5f64.to_le_bytes(), Data::F64(vec![1.5])),
            ("<f2", &f16::from_f32(1.5).to_le_bytes(), Data::F16(vec![f16::from_f32(1.5)])),
            ("<i8", &(-7i64).to_le_bytes(), Data::I64(vec![-7])),
            ("<i4", &(-7i32).to_le_bytes(), Data::I32(vec![-7])),
            ("<i2", &(-7i16).to_le_bytes(), Data::I16(vec![-7])),
            ("|i1", &[0xf9], Data::I8(vec![-7])),
            ("<u8", &7u64.to_le_bytes(), Data::U64(vec![7])),
            ("<u4", &7u32.to_le_bytes(), Data::U32(vec![7])),
            ("<u2", &7u16.to_le_bytes(), Data::U16(vec![7])),
            ("|u1", &[7], Data::U8(vec![7])),
            ("|b1", &[1], Data::Bool(vec![true])),
        ] {
            assert_eq!(parse(&plain(descr, "(1,)", body)), Ok(Value::new([1], wanted.clone()).unwrap()), "{descr}");
            assert_eq!(parse(&plain(descr, "()", body)), Ok(Value::new([], wanted).unwrap()), "a scalar stays one");
        }
        assert_eq!(parse(&plain("<f4", "(2, 0)", &[])), Ok(Value::new([2, 0], Vec::<f32>::new()).unwrap()));
    }

    #[test]
    fn what_is_not_read_says_why() {
        let deep = format!("{{'descr': {}", "(".repeat(3000));
        for (bytes, why) in [
            (plain("<c8", "(1,)", &[0; 8]), "which no model reads"),
            (plain("<U1", "(1,)", &[0; 4]), "which no model reads"),
            (plain("<f4", "(2,)", &[0; 4]), "has 4 bytes, which are not [2]"),
            (plain("<f4", "(1,)", &[0; 12]), "has 12 bytes"),
            (plain("<f4", "(4294967296, 4294967296, 4294967296)", &[]), "has 0 bytes"),
            (plain("<f4", "(2, -1)", &[0; 8]), "has the shape (2, -1)"),
            (plain("<f4", "2", &[0; 8]), "without a shape"),
            (plain("<f3", "(1,)", &[0; 3]), "which no model reads"),
            (plain("<f", "(1,)", &[0; 3]), "which no model reads"),
            (plain("", "(1,)", &[0; 3]), "which no model reads"),
            (plain("|O", "(1,)", &[0; 8]), "which no model reads"),
            (npy("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", &[0; 4]), "several fields"),
            (npy("{'descr': '<f4', 'fortran_order': True, 'shape': (2, 2), }", &[0; 16]), "ascontiguousarray"),
            (npy(&deep, &[]), "several fields"),
            (npy("{}", &[]), "without a type"),
            (b"\x93NUMPY\x02\x00\xff\xff\xff\xff".to_vec(), "breaks off"),
            (b"\x93NUMPY\x09\x00\x04\x00{}{}".to_vec(), "a version of .npy that is not known"),
            (b"\x93NUMPY\x01\x00\x02\x00\xff\xff".to_vec(), "not text"),
            (b"\x93NUMPY\x01".to_vec(), "breaks off"),
            (b"\x93NUMPY\x01\x00\x80\x00{".to_vec(), "breaks off"),
            (b"1 2 3".to_vec(), "is not an .npy"),
        ] {
            let message = parse(&bytes).unwrap_err();
            assert!(message.contains(why), "{message}");
        }
        assert!(parse(&npy("{'descr': '<f4', 'fortran_order': True, 'shape': (4,), }", &[0; 16])).is_ok());
    }

    fn archive(entries: &[(&str, &[u8])]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("io.npz");
        let mut writer = zip::ZipWriter::new(File::create(&path).unwrap());
        for (name, body) in entries {
            writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
            writer.write_all(body).unwrap();
        }
        writer.finish().unwrap();
        (folder, path)
    }

    #[test]
    fn arrays_of_an_archive_have_names() {
        let x = plain("<f4", "(1,)", &1.5f32.to_le_bytes());
        let (_folder, path) = archive(&[("x.npy", &x), ("hidden_states.0.npy", &x)]);
        let values = read(&path).unwrap();
        assert_eq!(values.keys().collect::<Vec<_>>(), ["hidden_states.0", "x"]);
        let (_folder, path) = archive(&[("x.npy", &x), ("notes.txt", b"")]);
        assert!(read(&path).unwrap_err().to_string().contains("io.npz: holds \"notes.txt\", which is not an array"));
        let (_folder, path) = archive(&[("x.npy", &x[..40])]);
        assert!(read(&path).unwrap_err().to_string().contains("io.npz: array \"x\" "));
    }

    #[test]
    fn a_single_array_goes_by_the_files_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sample.npy");
        std::fs::write(&path, plain("<i8", "(2,)", &[0; 16])).unwrap();
        assert_eq!(read(&path).unwrap()["sample"].shape(), [2]);
        assert!(read(&folder.path().join("none.npz")).unwrap_err().to_string().contains("cannot be read"));
        let path = folder.path().join("text.npz");
        std::fs::write(&path, "text").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("not an .npz"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(header in ".{0,80}", body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&npy(&header, &body));
            let _ = parse(&body);
        }

        #[test]
        fn any_shape_is_read_or_refused(shape in "\\([0-9, ]{0,30}\\)", body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&plain("<f4", &shape, &body));
        }
    }
}
