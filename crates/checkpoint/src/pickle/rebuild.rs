//! What PyTorch means by the calls, storages and attributes of a pickle.

use super::values::{Described, Place, Storage, Value, Values};
use std::collections::HashSet;

/// Calls within calls.
const DEEPEST: usize = 64;

/// The object that a call makes. Of calls that make no tensor, an object without attributes.
///
/// # Errors
/// When there are too many values.
pub(super) fn call(values: &mut Values, class: Place, arguments: Place) -> Result<Place, String> {
    call_within(values, class, arguments, DEEPEST)
}

/// As [`call`], so many calls within it at most.
fn call_within(values: &mut Values, class: Place, arguments: Place, deepest: usize) -> Result<Place, String> {
    let name = if let Value::Class(name) = &values[class] { name.clone() } else { String::new() };
    let arguments = values.list(arguments).unwrap_or_default().to_vec();
    values.copy(name.len() + size_of_val(&arguments[..]))?;
    match (name.as_str(), &arguments[..]) {
        ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", arguments) => {
            let made = described(values, arguments, None)?;
            values.add(made)
        }
        ("torch._utils._rebuild_tensor_v3", arguments) => {
            let kind = arguments.get(6).and_then(|place| values.class_name(*place));
            let made = described(values, arguments, Some(kind.unwrap_or_default()))?;
            values.add(made)
        }
        ("torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state", [data, ..]) => {
            Ok(*data)
        }
        ("torch._tensor._rebuild_from_type_v2", &[function, _, arguments, ..]) if deepest > 0 => {
            call_within(values, function, arguments, deepest - 1)
        }
        ("builtins.set" | "builtins.frozenset" | "__builtin__.set" | "__builtin__.frozenset", [items]) => {
            Ok(*items)
        }
        ("collections.OrderedDict", &[items]) => {
            let pair = |place: &Place| match values.list(*place) {
                Some(&[key, value]) => Some((key, value)),
                _ => None,
            };
            let items = values.list(items).unwrap_or_default();
            let pairs: Vec<_> = items.iter().filter_map(pair).collect();
            values.copy(size_of_val(items))?;
            values.add(Value::Dict(pairs))
        }
        _ => values.add(Value::Dict(Vec::new())),
    }
}

/// A tensor of the arguments `storage, offset, size, strides`; nothing where they are others.
fn described(values: &mut Values, arguments: &[Place], kind: Option<String>) -> Result<Value, String> {
    let sizes = |place: Place| -> Option<Vec<usize>> {
        values.list(place)?.iter().map(|item| values.size(*item)).collect()
    };
    let described = || {
        let [storage, offset, shape, strides, ..] = *arguments else { return None };
        let Value::Storage(storage) = &values[storage] else { return None };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        (shape.len() == strides.len()).then_some(Described {
            storage: storage.name.clone(),
            kind: kind.unwrap_or_else(|| storage.kind.clone()),
            offset: values.size(offset)?.checked_add(storage.offset)?,
            shape,
            strides,
        })
    };
    let walked: usize =
        arguments.iter().take(4).map(|place| values.list(*place).map_or(0, size_of_val)).sum();
    let described = described();
    values.copy(walked + described.as_ref().map_or(0, Described::size))?;
    Ok(described.map_or(Value::Other, |described| Value::Tensor(Box::new(described))))
}

/// The storage of an id `('storage', type, name, device, count)`, in older files with a sixth part: nothing,
/// or `(name, offset, count)` of a part of the storage.
///
/// # Errors
/// When too much is copied.
pub(super) fn storage(values: &mut Values, id: Place) -> Result<Value, String> {
    let Some(&[what, kind, name, ref rest @ ..]) = values.list(id) else { return Ok(Value::Other) };
    if values.text(what).is_some_and(|what| what != "storage") {
        return Ok(Value::Other);
    }
    let name = match &values[name] {
        Value::Text(name) => name.clone(),
        Value::Int(name) => name.to_string(),
        _ => return Ok(Value::Other),
    };
    let part = rest.get(2).and_then(|part| values.list(*part));
    let offset = match part.map(|part| part.get(1).and_then(|offset| values.size(*offset))) {
        None => 0,
        Some(Some(offset)) => offset,
        Some(None) => return Ok(Value::Other),
    };
    let count = rest.get(1).and_then(|count| values.size(*count));
    let kind = values.class_name(kind).unwrap_or_default();
    values.copy(size_of::<Storage>() + name.len() + kind.len())?;
    Ok(Value::Storage(Box::new(Storage { name, kind, count, offset })))
}

/// Gives an object its attributes. A module of PyTorch's has its tensors by the names of its
/// `state_dict`.
///
/// # Errors
/// When too much is copied.
pub(super) fn build(values: &mut Values, object: Place, state: Place) -> Result<(), String> {
    let Value::Dict(attributes) = &values[state] else { return Ok(()) };
    let named = |wanted: &str| {
        let key = |key: &Place| matches!(&values[*key], Value::Text(text) if text == wanted);
        let found = attributes.iter().rev().find(|(name, _)| key(name));
        found.map(|(_, value)| &values[*value])
    };
    let tables = ["_parameters", "_buffers", "_modules"].map(|table| match named(table) {
        Some(Value::Dict(pairs)) => Some(pairs),
        _ => None,
    });
    let text = |place: &Place| values.text(*place);
    let passing: HashSet<&String> = match named("_non_persistent_buffers_set") {
        Some(Value::List(names)) => names.iter().filter_map(text).collect(),
        _ => HashSet::new(),
    };
    let pairs: Vec<(Place, Place)> = match tables {
        [Some(parameters), Some(buffers), Some(modules)] => {
            let buffers =
                buffers.iter().filter(|(name, _)| text(name).is_none_or(|name| !passing.contains(name)));
            parameters.iter().chain(buffers).chain(modules).copied().collect()
        }
        _ => attributes.clone(),
    };
    let walked = attributes.len() + passing.len() + pairs.len();
    values.copy(walked * size_of::<(Place, Place)>())?;
    // A dictionary's own attributes are no entries: PyTorch keeps versions there.
    values.fill(object, pairs);
    Ok(())
}
