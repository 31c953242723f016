//! What PyTorch means by the calls, storages and attributes of a pickle.

use super::values::{Described, Place, Value, Values};

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
    match (name.as_str(), &arguments[..]) {
        ("torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2", arguments) => {
            let made = described(values, arguments, None);
            values.add(made)
        }
        ("torch._utils._rebuild_tensor_v3", arguments) => {
            let kind = arguments.get(6).and_then(|place| values.class_name(*place));
            let made = described(values, arguments, Some(kind.unwrap_or_default()));
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
            let pairs = values.list(items).unwrap_or_default().iter().filter_map(pair).collect();
            values.add(Value::Dict(pairs))
        }
        _ => values.add(Value::Dict(Vec::new())),
    }
}

/// A tensor of the arguments `storage, offset, size, strides`; nothing where they are others.
fn described(values: &Values, arguments: &[Place], kind: Option<String>) -> Value {
    let sizes = |place: Place| -> Option<Vec<usize>> {
        values.list(place)?.iter().map(|item| values.size(*item)).collect()
    };
    let described = || {
        let [storage, offset, shape, strides, ..] = *arguments else { return None };
        let Value::Storage(name, numbers) = &values[storage] else { return None };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        (shape.len() == strides.len()).then_some(Described {
            storage: name.clone(),
            kind: kind.unwrap_or_else(|| numbers.clone()),
            offset: values.size(offset)?,
            shape,
            strides,
        })
    };
    described().map_or(Value::Other, |described| Value::Tensor(Box::new(described)))
}

/// The storage of an id `('storage', type, name, device, count)`.
pub(super) fn storage(values: &Values, id: Place) -> Value {
    let Some(&[_, kind, name, ..]) = values.list(id) else { return Value::Other };
    let name = match &values[name] {
        Value::Text(name) => name.clone(),
        Value::Int(name) => name.to_string(),
        _ => return Value::Other,
    };
    Value::Storage(name, values.class_name(kind).unwrap_or_default())
}

/// Gives an object its attributes. A module of PyTorch's has its tensors by the names of its
/// `state_dict`.
pub(super) fn build(values: &mut Values, object: Place, state: Place) {
    let Value::Dict(attributes) = &values[state] else { return };
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
    let passing: Vec<&String> = match named("_non_persistent_buffers_set") {
        Some(Value::List(names)) => names.iter().filter_map(text).collect(),
        _ => Vec::new(),
    };
    let pairs: Vec<(Place, Place)> = match tables {
        [Some(parameters), Some(buffers), Some(modules)] => {
            let buffers =
                buffers.iter().filter(|(name, _)| text(name).is_none_or(|name| !passing.contains(&name)));
            parameters.iter().chain(buffers).chain(modules).copied().collect()
        }
        _ => attributes.clone(),
    };
    // A dictionary's own attributes are no entries: PyTorch keeps versions there.
    values.fill(object, pairs);
}
