//! Arrow arrays as text.

use arrow_array::Array;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_schema::DataType;

/// The values of an array as text; `None` for a type that is neither text nor a label.
pub(crate) fn strings(array: &dyn Array) -> Option<Vec<Option<String>>> {
    macro_rules! whole {
        ($type:ty) => {
            array.as_primitive::<$type>().iter().map(|value| value.map(|value| value.to_string())).collect()
        };
    }
    let owned = |value: Option<&str>| value.map(String::from);
    Some(match array.data_type() {
        DataType::Utf8 => array.as_string::<i32>().iter().map(owned).collect(),
        DataType::LargeUtf8 => array.as_string::<i64>().iter().map(owned).collect(),
        DataType::Utf8View => array.as_string_view().iter().map(owned).collect(),
        DataType::Boolean => {
            array.as_boolean().iter().map(|value| value.map(|value| value.to_string())).collect()
        }
        DataType::Int8 => whole!(Int8Type),
        DataType::Int16 => whole!(Int16Type),
        DataType::Int32 => whole!(Int32Type),
        DataType::Int64 => whole!(Int64Type),
        DataType::UInt8 => whole!(UInt8Type),
        DataType::UInt16 => whole!(UInt16Type),
        DataType::UInt32 => whole!(UInt32Type),
        DataType::UInt64 => whole!(UInt64Type),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Some(vec![None; array.len()]);
            }
            let values = strings(dictionary.values())?;
            let keys = dictionary.normalized_keys();
            let value = |(row, &key): (usize, &usize)| {
                if array.is_null(row) { None } else { values.get(key).cloned().flatten() }
            };
            keys.iter().enumerate().map(value).collect()
        }
        _ => return None,
    })
}
