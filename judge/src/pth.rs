//! Reading a PyTorch state dictionary in the format from before version 1.6: five pickles, then the numbers.
//!
//! Contract: only what a dictionary of dense tensors needs is understood, nothing in the file is ever run, and whatever else
//! is in it ends in an error that says where. The format is that of `torch.serialization._legacy_load`; the file that it is
//! for is pinned by its hash.

use std::collections::BTreeMap;

/// One tensor, as 32-bit floats.
#[derive(Clone, Debug, PartialEq)]
pub struct PthTensor {
    /// Extent of each axis.
    pub shape: Vec<usize>,
    /// Row-major.
    pub data: Vec<f32>,
}

/// What a pickle is made of, as far as it is needed.
#[derive(Clone, Debug, PartialEq)]
enum Value {
    None,
    Bool(bool),
    Int(i64),
    /// An integer that no other needs: the file's magic number.
    Long(Vec<u8>),
    Text(String),
    Tuple(Vec<Value>),
    List(Vec<Value>),
    Dict(Vec<(Value, Value)>),
    /// `module name`.
    Global(String),
    /// Something that lies outside the pickle: a storage.
    Outside(Vec<Value>),
    /// A function that was to be called, and its arguments.
    Call(String, Vec<Value>),
    Mark,
}

/// 0x1950a86a20f9469cfc6c, little-endian: what such a file begins with.
const MAGIC: [u8; 10] = [0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];

/// The float tensors of a file, by name. Tensors of integers (counters of the training) are left out.
///
/// # Errors
/// Where the file is not what it should be.
pub fn read(bytes: &[u8]) -> Result<BTreeMap<String, PthTensor>, String> {
    let mut reader = Reader { bytes, at: 0 };
    match reader.pickle()? {
        Value::Long(magic) if magic == MAGIC => {}
        _ => return Err("this is not a PyTorch file of the old format: it begins differently".to_owned()),
    }
    let _version = reader.pickle()?;
    let _system = reader.pickle()?;
    let Value::Dict(entries) = reader.pickle()? else { return Err("it has no dictionary of tensors".to_owned()) };
    let Value::List(keys) = reader.pickle()? else { return Err("it has no list of its storages".to_owned()) };
    let views: Vec<(String, View)> = entries.into_iter().map(view).collect::<Result<_, _>>()?;
    let mut storages: BTreeMap<String, &[u8]> = BTreeMap::new();
    for key in keys {
        let Value::Text(key) = key else { return Err("a storage has no name".to_owned()) };
        let width = views.iter().find(|(_, view)| view.storage == key).map_or(4, |(_, view)| view.width);
        let elements = reader.take(8)?;
        let elements = u64::from_le_bytes(elements.try_into().map_err(|_| "a storage without its length")?);
        let bytes = usize::try_from(elements).ok().and_then(|n| n.checked_mul(width));
        storages.insert(key, reader.take(bytes.ok_or("a storage that is too long")?)?);
    }
    let floats = views.into_iter().filter(|(_, view)| view.width == 4);
    floats.map(|(name, view)| view.tensor(&storages).map(|tensor| (name, tensor))).collect()
}

/// A tensor as the dictionary describes it.
struct View {
    storage: String,
    /// Bytes of an element.
    width: usize,
    /// Elements before the first.
    offset: usize,
    shape: Vec<usize>,
    /// Elements from one to the next along each axis.
    strides: Vec<usize>,
}

impl View {
    fn tensor(self, storages: &BTreeMap<String, &[u8]>) -> Result<PthTensor, String> {
        let storage = storages.get(&self.storage).ok_or("a tensor without its storage")?;
        let len: usize = self.shape.iter().product();
        if len > storage.len() / 4 {
            return Err("a tensor is longer than its storage".to_owned());
        }
        let element = |mut index: usize| -> Option<f32> {
            let mut place = self.offset;
            for (&size, &stride) in self.shape.iter().zip(&self.strides).rev() {
                place = place.checked_add((index % size).checked_mul(stride)?)?;
                index /= size;
            }
            let at = place.checked_mul(4)?;
            Some(f32::from_le_bytes(storage.get(at..at.checked_add(4)?)?.try_into().ok()?))
        };
        let data = (0..len).map(element).collect::<Option<_>>().ok_or("a tensor reaches beyond its storage")?;
        Ok(PthTensor { shape: self.shape, data })
    }
}

/// `name: torch._utils._rebuild_tensor_v2(storage, offset, shape, strides, …)`.
fn view((name, value): (Value, Value)) -> Result<(String, View), String> {
    let Value::Text(name) = name else { return Err("a tensor has no name".to_owned()) };
    let wrong = || format!("tensor {name} is not written as tensors are");
    let arguments = match value {
        Value::Call(function, arguments) if function == "torch._utils _rebuild_tensor_v2" => arguments,
        _ => return Err(wrong()),
    };
    let [Value::Outside(storage), Value::Int(offset), Value::Tuple(shape), Value::Tuple(strides), ..] = &arguments[..]
    else {
        return Err(wrong());
    };
    let [_, Value::Global(kind), Value::Text(key), ..] = &storage[..] else { return Err(wrong()) };
    let sizes = |values: &[Value]| -> Option<Vec<usize>> {
        values.iter().map(|v| if let Value::Int(v) = v { usize::try_from(*v).ok() } else { None }).collect()
    };
    let (shape, strides) = sizes(shape).zip(sizes(strides)).ok_or_else(wrong)?;
    if shape.len() != strides.len() || shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).is_none() {
        return Err(wrong());
    }
    let width = match kind.as_str() {
        "torch FloatStorage" => 4,
        "torch LongStorage" => 8,
        other => return Err(format!("tensor {name} is a {other}, which is not read here")),
    };
    let offset = usize::try_from(*offset).map_err(|_| wrong())?;
    Ok((name, View { storage: key.clone(), width, offset, shape, strides }))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let found = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let found = found.ok_or_else(|| format!("it ends at byte {}, in the middle of something", self.bytes.len()))?;
        self.at += count;
        Ok(found)
    }

    fn size<const N: usize>(&mut self) -> Result<usize, String> {
        Ok(self.take(N)?.iter().rev().fold(0, |sum, &byte| sum << 8 | usize::from(byte)))
    }

    fn line(&mut self) -> Result<String, String> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("a name without an end")?;
        let line = String::from_utf8_lossy(&rest[..length]).into_owned();
        self.at += length + 1;
        Ok(line)
    }

    /// One pickle of protocol 2, up to its STOP.
    fn pickle(&mut self) -> Result<Value, String> {
        let mut stack: Vec<Value> = Vec::new();
        let mut memo: BTreeMap<usize, Value> = BTreeMap::new();
        loop {
            let at = self.at;
            let code = self.take(1)?[0];
            let short = || format!("byte {at}: the pickle uses what is not there");
            match code {
                b'.' => return stack.pop().ok_or_else(short),
                // PROTO and its number.
                0x80 => _ = self.take(1)?,
                b'N' => stack.push(Value::None),
                0x88 => stack.push(Value::Bool(true)),
                0x89 => stack.push(Value::Bool(false)),
                b'K' => stack.push(Value::Int(self.size::<1>()? as i64)),
                b'M' => stack.push(Value::Int(self.size::<2>()? as i64)),
                b'J' => stack.push(Value::Int(i64::from(self.size::<4>()? as u32 as i32))),
                0x8a => {
                    let count = self.size::<1>()?;
                    stack.push(Value::Long(self.take(count)?.to_vec()));
                }
                b'X' => {
                    let count = self.size::<4>()?;
                    stack.push(Value::Text(String::from_utf8_lossy(self.take(count)?).into_owned()));
                }
                b'c' => {
                    let name = format!("{} {}", self.line()?, self.line()?);
                    stack.push(Value::Global(name));
                }
                b'(' => stack.push(Value::Mark),
                b')' => stack.push(Value::Tuple(Vec::new())),
                b']' => stack.push(Value::List(Vec::new())),
                b'}' => stack.push(Value::Dict(Vec::new())),
                b't' => {
                    let items = since_mark(&mut stack).ok_or_else(short)?;
                    stack.push(Value::Tuple(items));
                }
                0x85..=0x87 => {
                    let from = stack.len().checked_sub(usize::from(code - 0x84)).ok_or_else(short)?;
                    let items = stack.split_off(from);
                    stack.push(Value::Tuple(items));
                }
                // APPENDS, SETITEMS, SETITEM.
                b'e' => {
                    let items = since_mark(&mut stack).ok_or_else(short)?;
                    let Some(Value::List(list)) = stack.last_mut() else { return Err(short()) };
                    list.extend(items);
                }
                b'u' | b's' => {
                    let items = if code == b'u' {
                        since_mark(&mut stack).ok_or_else(short)?
                    } else {
                        let from = stack.len().checked_sub(2).ok_or_else(short)?;
                        stack.split_off(from)
                    };
                    let Some(Value::Dict(dict)) = stack.last_mut() else { return Err(short()) };
                    let mut items = items.into_iter();
                    while let Some((key, value)) = items.next().zip(items.next()) {
                        dict.push((key, value));
                    }
                }
                // PUT and GET of a value that is used again.
                b'q' | b'r' => {
                    let index = if code == b'q' { self.size::<1>()? } else { self.size::<4>()? };
                    memo.insert(index, stack.last().ok_or_else(short)?.clone());
                }
                b'h' | b'j' => {
                    let index = if code == b'h' { self.size::<1>()? } else { self.size::<4>()? };
                    stack.push(memo.get(&index).ok_or_else(short)?.clone());
                }
                // BINPERSID, REDUCE, BUILD.
                b'Q' => match stack.pop() {
                    Some(Value::Tuple(id)) => stack.push(Value::Outside(id)),
                    _ => return Err(short()),
                },
                b'R' => match (stack.pop(), stack.pop()) {
                    (Some(Value::Tuple(_)), Some(Value::Global(name))) if name == "collections OrderedDict" => {
                        stack.push(Value::Dict(Vec::new()));
                    }
                    (Some(Value::Tuple(arguments)), Some(Value::Global(name))) => {
                        stack.push(Value::Call(name, arguments))
                    }
                    _ => return Err(short()),
                },
                // The dictionary's own attributes: `_metadata` of PyTorch, not needed.
                b'b' => _ = stack.pop().ok_or_else(short)?,
                other => return Err(format!("byte {at}: pickle code 0x{other:02x} is not read here")),
            }
        }
    }
}

/// What was pushed since the last mark, which goes too.
fn since_mark(stack: &mut Vec<Value>) -> Option<Vec<Value>> {
    let mark = stack.iter().rposition(|value| *value == Value::Mark)?;
    let items = stack.split_off(mark + 1);
    stack.pop();
    Some(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as PyTorch's old format has it: one tensor `a`, [2, 3] with strides [1, 2], of six numbers from one on.
    fn file() -> Vec<u8> {
        let text = |text: &str| [&b"X"[..], &(text.len() as u32).to_le_bytes(), text.as_bytes()].concat();
        let magic = [&[0x80, 2, 0x8a, 10], &MAGIC[..], b"."].concat();
        let (version, system) = (b"\x80\x02M\xe9\x03.".to_vec(), b"\x80\x02}.".to_vec());
        let storage =
            [&b"("[..], &text("storage"), b"ctorch\nFloatStorage\n", &text("key"), &text("cpu"), b"K\x06Nt"].concat();
        let arguments =
            [&b"("[..], &storage, b"QK\x00K\x02K\x03\x86K\x01K\x02\x86\x89ccollections\nOrderedDict\n)Rt"].concat();
        let tensor = [&b"ctorch._utils\n_rebuild_tensor_v2\n"[..], &arguments, b"R"].concat();
        let dict = [&b"\x80\x02ccollections\nOrderedDict\n)R("[..], &text("a"), &tensor, b"u."].concat();
        let keys = [&b"\x80\x02]("[..], &text("key"), b"e."].concat();
        let numbers: Vec<u8> = (1..=6).flat_map(|v| (v as f32).to_le_bytes()).collect();
        [magic, version, system, dict, keys, 6u64.to_le_bytes().to_vec(), numbers].concat()
    }

    #[test]
    fn a_tensor_is_read_in_the_order_of_its_strides() {
        let tensors = read(&file()).unwrap();
        assert_eq!(tensors["a"], PthTensor { shape: vec![2, 3], data: vec![1.0, 3.0, 5.0, 2.0, 4.0, 6.0] });
    }

    #[test]
    fn a_cut_or_damaged_file_is_an_error_and_no_panic() {
        let whole = file();
        for end in 0..whole.len() {
            assert!(read(&whole[..end]).is_err(), "{end}");
        }
        for at in 0..whole.len() {
            for value in [0, b'.', b'(', b'e', b'R', 0x87, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = value;
                // Whatever it says: it says it.
                let _ = read(&damaged);
            }
        }
    }
}
