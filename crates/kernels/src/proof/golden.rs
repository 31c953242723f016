//! Fast paths and their twins against PyTorch.
//!
//! `golden/make.py` fills the inputs and writes the files read here. Cases have the same names in both.

use super::{Size, cases};
use crate::testing::{Layout, Setting, assert_close, outcome};
use burn::tensor::DType;
use serde_json::{Map, Value};

fn numbers(value: &Value) -> Vec<f64> {
    let items = value.as_array().expect("a list");
    items.iter().map(|item| item.as_f64().expect("the files hold numbers")).collect()
}

#[test]
fn ops_give_what_pytorch_gives() {
    let mut golden = Map::new();
    for file in [
        include_str!("../../golden/dense.json"),
        include_str!("../../golden/losses.json"),
        include_str!("../../golden/images.json"),
        include_str!("../../golden/sequences.json"),
        include_str!("../../golden/optimizers.json"),
    ] {
        golden.extend(serde_json::from_str::<Map<_, _>>(file).expect("the file is JSON"));
    }
    for case in cases(Size::Small) {
        let expected = golden.remove(case.name).unwrap_or_else(|| panic!("{} is in no file", case.name));
        let gradients = expected["gradients"].as_array().expect("a list an input");
        for (dtype, tolerance) in [(DType::F32, 1e-5), (DType::F64, 1e-6)] {
            let setting = Setting { dtype, layout: Layout::Plain, graph: true };
            let found = outcome(&case.inputs, setting, |inputs| case.run(inputs));
            let close = |what: &str, found: &[f64], expected: &Value| {
                let what = format!("{}, {dtype:?}: {what}", case.name);
                assert_close(&what, found, &numbers(expected), tolerance, 1e-2);
            };
            close("output", &found.output, &expected["output"]);
            assert_eq!(found.gradients.len(), gradients.len(), "{}: gradients", case.name);
            for (index, (found, expected)) in found.gradients.iter().zip(gradients).enumerate() {
                close(&format!("gradient {index}"), found, expected);
            }
        }
    }
    assert!(golden.is_empty(), "no case is called {:?}", golden.keys().collect::<Vec<_>>());
}
